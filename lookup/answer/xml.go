package answer

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"

	"github.com/antchfx/xmlquery"
	"github.com/antchfx/xpath"
)

// xmlDeclaration is cut off, since it names a charset that the text is not in
// any more.
var xmlDeclaration = regexp.MustCompile(`^<\?xml[^>]*\?>`)

// newXML reads XML through XPath.
func newXML(cfg *Config) (parser, error) {
	m, err := newMapping(cfg, func(text string) (*xpath.Expr, error) {
		e, err := xpath.Compile(text)
		if err != nil {
			return nil, fmt.Errorf("is no XPath: %w", err)
		}
		return e, nil
	})
	if err != nil {
		return nil, err
	}
	// An expression keeps state while it is evaluated.
	turn := make(chan struct{}, 1)
	return func(ctx context.Context, d document) (res Result, err error) {
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
		select {
		case turn <- struct{}{}:
			defer func() { <-turn }()
		case <-ctx.Done():
			return Result{}, ctx.Err()
		}
		defer func() {
			if p := recover(); p != nil {
				long, ok := p.(tooLong)
				if !ok {
					panic(p)
				}
				res, err = Result{}, long.error
			}
		}()
		customers := []*xmlquery.Node{root}
		if m.records != nil {
			customers = selected(ctx, *m.records, root)
		}
		for _, customer := range customers {
			r, err := xmlRecord(ctx, m, customer)
			if err != nil {
				return Result{}, err
			}
			res.Records = append(res.Records, r)
		}
		return res, nil
	}, nil
}

// selected gives the first nodes that an expression selects.
func selected(ctx context.Context, expr *xpath.Expr, top *xmlquery.Node) (nodes []*xmlquery.Node) {
	for it := expr.Select(newWalker(ctx, top)); len(nodes) < maxRecords && it.MoveNext(); {
		nodes = append(nodes, it.Current().(*walker).Current())
	}
	return nodes
}

func xmlRecord(ctx context.Context, m *mapping[*xpath.Expr], customer *xmlquery.Node) (Record, error) {
	var r Record
	for _, f := range m.fields {
		value, err := xpathValue(ctx, f.expr, customer)
		if err == nil {
			r, err = r.add(f.name, value)
		}
		if err != nil {
			return nil, err
		}
	}
	return r, nil
}

// xpathValue is what an expression gives as text: an element's, an
// attribute's, or what a function of XPath makes.
func xpathValue(ctx context.Context, expr *xpath.Expr, node *xmlquery.Node) (string, error) {
	switch v := expr.Evaluate(newWalker(ctx, node)).(type) {
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
				return "", &Error{ReasonType, fmt.Errorf("%s: more than one value; records tells customers apart", expr)}
			}
			value = text
		}
		return value, nil
	}
	return "", &Error{ReasonType, fmt.Errorf("%s: neither text nor number", expr)}
}

// checkXML proves that a text is XML, and bounds its depth and the number of
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
				return &Error{ReasonHTML, errors.New("a page in place of an answer")}
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
