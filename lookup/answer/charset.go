package answer

import (
	"bytes"
	"errors"
	"fmt"
	"html"
	"mime"
	"regexp"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/htmlindex"
	"golang.org/x/text/encoding/unicode"
)

// document is the body of an answer. Its charset is nil if that is UTF-8.
type document struct {
	body     []byte
	charset  encoding.Encoding
	entities bool // the values contain HTML entities
}

var byteOrderMark = []byte("\xef\xbb\xbf")

// open finds a body's charset: the configured one, else that of the
// Content-Type, else that of the XML declaration, else UTF-8. Byte order marks
// and blanks around the text are removed, and UTF-16, in which not even a
// blank is one byte, becomes UTF-8.
func open(body []byte, contentType, configured string) (document, error) {
	d := document{body: body}
	name, from := configured, "the key charset"
	switch {
	case name != "":
	case bytes.HasPrefix(body, []byte{0xff, 0xfe}), bytes.HasPrefix(body, []byte{0xfe, 0xff}):
		d.charset = unicode.UTF16(unicode.BigEndian, unicode.UseBOM)
	default:
		if _, params, err := mime.ParseMediaType(contentType); err == nil {
			name, from = params["charset"], "the Content-Type"
		}
		if name == "" {
			name, from = declared(body), "the XML declaration"
		}
	}
	if d.charset == nil {
		var err error
		if d.charset, err = Charset(name); err != nil {
			return d, &Error{ReasonCharset, advised{fmt.Errorf("%w in %s", err, from), "set charset to the right one"}}
		}
	}
	// What declares UTF-16 in single bytes is not in UTF-16.
	if d.charset != nil && isWide(d.charset) && configured == "" && name != "" && bytes.IndexByte(body, 0) < 0 && utf8.Valid(body) {
		d.charset = nil
	}
	if d.charset != nil && isWide(d.charset) {
		text, err := d.decode(body)
		if err != nil {
			return d, err
		}
		d.body, d.charset = []byte(text), nil
	}
	d.body = bytes.TrimSpace(bytes.TrimPrefix(d.body, byteOrderMark))
	return d, nil
}

// Charset returns a charset by the name that the web has for it, and nil
// for UTF-8 and for no name.
func Charset(name string) (encoding.Encoding, error) {
	name = strings.ToLower(strings.TrimSpace(name))
	if name == "" || name == "utf-8" || name == "utf8" {
		return nil, nil
	}
	charset, err := htmlindex.Get(name)
	if err != nil {
		return nil, fmt.Errorf("unknown charset %.40q", name)
	}
	if canonical, _ := htmlindex.Name(charset); canonical == "utf-8" {
		return nil, nil
	} else if canonical == "replacement" {
		return nil, fmt.Errorf("charset %.40q is not supported", name)
	}
	return charset, nil
}

func isWide(charset encoding.Encoding) bool {
	name, err := htmlindex.Name(charset)
	return err != nil || strings.HasPrefix(name, "utf-16")
}

var declaration = regexp.MustCompile(`^(?:\xef\xbb\xbf)?\s*<\?xml[^>]{0,200}?\sencoding\s*=\s*["']([A-Za-z0-9._:-]{1,40})["']`)

// declared returns the charset that an XML declaration names.
func declared(body []byte) string {
	found := declaration.FindSubmatch(body[:min(len(body), 300)])
	if found == nil {
		return ""
	}
	return string(found[1])
}

// Text returns an answer in UTF-8, for people. What cannot be read in the charset that
// it names stays as it came.
func Text(body []byte, contentType, charset string) string {
	d, err := open(body, contentType, charset)
	if err == nil {
		var text string
		if text, err = d.text(); err == nil {
			return text
		}
	}
	return string(body)
}

// value returns a value without HTML entities, if it may contain some.
func (d document) value(s string) string {
	if d.entities {
		return html.UnescapeString(s)
	}
	return s
}

// text returns the whole body in UTF-8.
func (d document) text() (string, error) { return d.decode(d.body) }

// decode returns a part of the body in UTF-8. Bytes that are no text in the
// charset are an error: what is half readable is not what was meant.
func (d document) decode(part []byte) (string, error) {
	if d.charset == nil {
		if !utf8.Valid(part) {
			return "", &Error{ReasonCharset, advised{errors.New("answer is not UTF-8"), "set charset to what it is"}}
		}
		return string(part), nil
	}
	text, err := d.charset.NewDecoder().Bytes(part)
	if err != nil || bytes.ContainsRune(text, utf8.RuneError) {
		return "", &Error{ReasonCharset, errors.New("answer is not in the charset that it names")}
	}
	return string(text), nil
}
