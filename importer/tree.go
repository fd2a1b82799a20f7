package importer

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"

	"golang.org/x/text/encoding/htmlindex"
	"golang.org/x/text/encoding/unicode"
)

const (
	maxDepth    = 32
	maxElements = 20000
)

// element is an element of a template.
type element struct {
	name  string
	attrs map[string]string
	text  strings.Builder // of the parts between inner elements and comments
	inner []*element
}

// versionPattern matches the version of an XML declaration. Yeastar writes 1.1, which the parser refuses; the templates
// use nothing of it.
var versionPattern = regexp.MustCompile(`^(\s*<\?xml[^>]*version\s*=\s*["'])1\.1(["'])`)

// readTree reads a document, without its comments and processing instructions.
func readTree(text []byte) (*element, error) {
	if len(text) > MaxSize {
		return nil, fmt.Errorf("the file is larger than %d bytes", MaxSize)
	}
	text = bytes.TrimPrefix(text, []byte("\xef\xbb\xbf"))
	wide := bytes.HasPrefix(text, []byte{0xff, 0xfe}) || bytes.HasPrefix(text, []byte{0xfe, 0xff})
	if wide {
		decoded, err := unicode.UTF16(unicode.LittleEndian, unicode.UseBOM).NewDecoder().Bytes(text)
		if err != nil {
			return nil, errors.New("the file is no UTF-16, as its first bytes say: save it as UTF-8")
		}
		text = decoded
	}
	var unknown error
	d := xml.NewDecoder(bytes.NewReader(versionPattern.ReplaceAll(text, []byte("${1}1.0${2}"))))
	d.CharsetReader = func(label string, in io.Reader) (io.Reader, error) {
		if wide {
			return in, nil
		}
		charset, err := htmlindex.Get(label)
		if err != nil || strings.HasPrefix(strings.ToLower(label), "utf-16") {
			unknown = fmt.Errorf("the file is not in the encoding %.40q, which it names: save it as UTF-8", label)
			return nil, unknown
		}
		return charset.NewDecoder().Reader(in), nil
	}
	root, count := &element{}, 0
	open := []*element{root}
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if unknown != nil {
			return nil, unknown
		}
		if err != nil {
			return nil, fmt.Errorf("the file is no XML: %w", err)
		}
		at := open[len(open)-1]
		switch token := token.(type) {
		case xml.StartElement:
			if count++; count > maxElements || len(open) > maxDepth {
				return nil, fmt.Errorf("the file has more than %d elements, or more than %d inside each other", maxElements, maxDepth)
			}
			e := &element{name: token.Name.Local, attrs: map[string]string{}}
			for _, a := range token.Attr {
				e.attrs[a.Name.Local] = a.Value
			}
			at.inner = append(at.inner, e)
			open = append(open, e)
		case xml.EndElement:
			open = open[:len(open)-1]
		case xml.CharData:
			at.text.Write(token)
		case xml.Directive:
			return nil, errors.New("the file has a document type, which a template has not")
		}
	}
	if len(root.inner) != 1 {
		return nil, errors.New("the file is empty")
	}
	return root.inner[0], nil
}

// child returns the first inner element of a name, an empty one if there is none.
func (e *element) child(name string) *element {
	for _, in := range e.inner {
		if in.name == name {
			return in
		}
	}
	return &element{}
}

// children returns the inner elements of a name.
func (e *element) children(name string) (list []*element) {
	for _, in := range e.inner {
		if in.name == name {
			list = append(list, in)
		}
	}
	return list
}

func (e *element) attr(name string) string { return strings.TrimSpace(e.attrs[name]) }

func (e *element) content() string { return strings.TrimSpace(e.text.String()) }
