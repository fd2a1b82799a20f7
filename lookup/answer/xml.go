package answer

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync"

	"github.com/antchfx/xmlquery"
	"github.com/antchfx/xpath"

	"ringhook/pattern"
)

// xmlDeclaration is cut off, because it names a charset that the text is not in
// any more.
var xmlDeclaration = regexp.MustCompile(`^<\?xml[^>]*\?>`)

// maxPatterns is the number of regular expressions of matches() and replace() that are kept compiled, of which an answer may
// bring some: each takes up to a megabyte.
const maxPatterns = 32

// boundPatterns bounds the regular expressions of XPath, which may come from an answer.
var boundPatterns = sync.OnceFunc(func() {
	xpath.RegexpCache = xpath.NewLoadingCache(func(key any) (any, error) {
		text := key.(string)
		if err := pattern.Check(text); err != nil {
			return nil, err
		}
		return regexp.Compile(text)
	}, maxPatterns)
})

// newXML reads XML through XPath.
func newXML(cfg *Config) (parser, error) {
	boundPatterns()
	if _, err := newMapping(cfg, compileXPath); err != nil {
		return nil, err
	}
	whole := cfg.Whole
	// An expression keeps state while it is evaluated.
	mappings := sync.Pool{New: func() any {
		m, err := newMapping(cfg, compileXPath)
		if err != nil {
			panic(err) // it was compiled above
		}
		return m
	}}
	return func(ctx context.Context, d document) (Result, error) {
		text, err := d.text()
		if err != nil {
			return Result{}, err
		}
		text = xmlDeclaration.ReplaceAllLiteralString(text, "")
		if err := checkXML(text); err != nil {
			return Result{}, err
		}
		root, err := xmlquery.ParseWithOptions(strings.NewReader(text), xmlquery.ParserOptions{
			Decoder: &xmlquery.DecoderOptions{Strict: true},
		})
		if err != nil {
			return Result{}, &Error{ReasonSyntax, errors.New("answer is no XML")}
		}
		m := mappings.Get().(*mapping[*xpathExpr])
		defer mappings.Put(m)
		return readXML(ctx, m, root, d.value, whole)
	}, nil
}

// readXML takes the customers and their variables out of an answer.
func readXML(ctx context.Context, m *mapping[*xpathExpr], root *xmlquery.Node, value func(string) string, whole bool) (res Result, err error) {
	defer func() {
		if p := recover(); p != nil {
			res, err = Result{}, evaluationError(p)
		}
	}()
	customers := []*xmlquery.Node{root}
	if m.records != nil {
		customers = selected(ctx, *m.records, root)
	}
	for _, customer := range customers {
		r, refused, err := xmlRecord(ctx, m, customer, value)
		if err != nil {
			return Result{}, err
		}
		if len(r) == 0 && len(refused) > 0 && !whole {
			return Result{}, &Error{ReasonType, errors.New(refused[0])}
		}
		res.Records = append(res.Records, r)
		res.Refused = append(res.Refused, refused...)
	}
	return res, nil
}

// evaluationError returns the error of an expression that panicked: XPath has no other way to report a deadline, or values
// of the answer that its functions cannot take. It panics again if it is a bug.
func evaluationError(p any) error {
	if late, ok := p.(errDeadline); ok {
		return late.error
	}
	err, ok := p.(error)
	if _, bug := p.(runtime.Error); bug || !ok {
		panic(p)
	}
	if strings.Contains(err.Error(), pattern.ErrTooLarge.Error()) { // it is not wrapped
		return errExpression
	}
	return &Error{ReasonType, errStructure} // without the error, which quotes the answer
}

// selected returns the first nodes that an expression selects.
func selected(ctx context.Context, expr *xpathExpr, top *xmlquery.Node) (nodes []*xmlquery.Node) {
	for it := expr.Select(newNavigator(ctx, top, expr.bounded)); len(nodes) < maxRecords && it.MoveNext(); {
		nodes = append(nodes, it.Current().(*deadlineNavigator).Current())
	}
	return nodes
}

// xmlRecord takes the variables of one customer. A value that does not fit is
// left out alone.
func xmlRecord(ctx context.Context, m *mapping[*xpathExpr], customer *xmlquery.Node, value func(string) string) (r Record, refused []string, err error) {
	for _, f := range m.fields {
		text, err := xpathValue(ctx, f.expr, customer)
		if err != nil {
			refused = append(refused, fmt.Sprintf("map.%s: %v", f.name, err))
			continue
		}
		if r, err = r.add(f.name, value(text)); err != nil {
			return nil, nil, err
		}
	}
	return r, refused, nil
}

// xpathValue returns what an expression results in as text: an element's, an
// attribute's, or what a function of XPath makes.
func xpathValue(ctx context.Context, expr *xpathExpr, node *xmlquery.Node) (text string, err error) {
	defer func() {
		if p := recover(); p != nil {
			if err = evaluationError(p); !errors.Is(err, errStructure) {
				panic(errDeadline{err}) // no other expression is evaluated, either
			}
			text, err = "", errStructure
		}
	}()
	switch v := expr.Evaluate(newNavigator(ctx, node, expr.bounded)).(type) {
	case string:
		return strings.TrimSpace(v), nil
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64), nil
	case bool:
		return strconv.FormatBool(v), nil
	case *xpath.NodeIterator:
		value := ""
		for n := 0; v.MoveNext(); n++ {
			text := strings.TrimSpace(v.Current().Value())
			if n > 0 && text != value {
				return "", errors.New("more than one value; set records if it has several customers")
			}
			value = text
		}
		return value, nil
	}
	return "", errors.New("neither text nor number")
}

// checkXML checks that a text is XML, and bounds its depth and the number of
// its nodes before a tree is made of them. Entities of its own are an error.
func checkXML(text string) error {
	dec := xml.NewDecoder(strings.NewReader(text))
	depth, nodes, elements := 0, 0, 0
	for {
		token, err := dec.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return &Error{ReasonSyntax, errors.New("answer is no XML, or ends too early")}
		}
		nodes++
		switch t := token.(type) {
		case xml.StartElement:
			if elements == 0 && strings.EqualFold(t.Name.Local, "html") {
				return &Error{ReasonHTML, errPage}
			}
			if elements > 0 && depth == 0 {
				return &Error{ReasonSyntax, errors.New("XML has more than one root element")}
			}
			depth++
			elements++
			nodes += len(t.Attr)
		case xml.EndElement:
			depth--
		}
		if depth > maxDepth || nodes > maxNodes {
			return &Error{ReasonLimit, errors.New("XML is too deep or too large")}
		}
	}
	if elements == 0 {
		return &Error{ReasonSyntax, errors.New("answer is no XML")}
	}
	return nil
}
