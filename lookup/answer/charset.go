package answer

import (
	"bytes"
	"errors"
	"fmt"
	"mime"
	"regexp"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/htmlindex"
	"golang.org/x/text/encoding/unicode"
)

// document is the body of an answer. Its charset is nil where that is UTF-8.
type document struct {
	body    []byte
	charset encoding.Encoding
}

var byteOrderMark = []byte("\xef\xbb\xbf")

// open finds out a body's charset: the configured one, else that of the
// Content-Type, else that of the XML declaration, else UTF-8. Byte order marks
// and blanks around the text are taken away, and UTF-16, in which not even a
// blank is one byte, is turned into UTF-8.
func open(body []byte, contentType, configured string) (document, error) {
	d := document{body: body}
	name := configured
	switch {
	case name != "":
	case bytes.HasPrefix(body, []byte{0xff, 0xfe}), bytes.HasPrefix(body, []byte{0xfe, 0xff}):
		d.charset = unicode.UTF16(unicode.BigEndian, unicode.UseBOM)
	default:
		if _, params, err := mime.ParseMediaType(contentType); err == nil {
			name = params["charset"]
		}
		if name == "" {
			name = declared(body)
		}
	}
	if d.charset == nil {
		var err error
		if d.charset, err = Charset(name); err != nil {
			return d, &Error{ReasonCharset, errors.New("charset that the answer names is unknown")}
		}
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

// Charset gives a charset by the name that the web has for it, and nil
// for UTF-8 and for none.
func Charset(name string) (encoding.Encoding, error) {
	name = strings.ToLower(strings.TrimSpace(name))
	if name == "" || name == "utf-8" || name == "utf8" {
		return nil, nil
	}
	charset, err := htmlindex.Get(name)
	if err != nil {
		return nil, fmt.Errorf("charset %q is unknown", name)
	}
	if canonical, _ := htmlindex.Name(charset); canonical == "utf-8" {
		return nil, nil
	} else if canonical == "replacement" {
		return nil, fmt.Errorf("charset %q is not supported", name)
	}
	return charset, nil
}

func isWide(charset encoding.Encoding) bool {
	name, err := htmlindex.Name(charset)
	return err != nil || strings.HasPrefix(name, "utf-16")
}

var declaration = regexp.MustCompile(`^(?:\xef\xbb\xbf)?\s*<\?xml[^>]{0,200}?\sencoding\s*=\s*["']([A-Za-z0-9._:-]{1,40})["']`)

// declared gives the charset that an XML declaration names.
func declared(body []byte) string {
	found := declaration.FindSubmatch(body[:min(len(body), 300)])
	if found == nil {
		return ""
	}
	return string(found[1])
}

// text is the whole body in UTF-8.
func (d document) text() (string, error) { return d.decode(d.body) }

// decode gives a part of the body in UTF-8. Bytes that are no text in the
// charset make it a fault: what is half readable is not what was meant.
func (d document) decode(part []byte) (string, error) {
	if d.charset == nil {
		if !utf8.Valid(part) {
			return "", &Error{ReasonCharset, errors.New("answer is not UTF-8; charset says what it is")}
		}
		return string(part), nil
	}
	text, err := d.charset.NewDecoder().Bytes(part)
	if err != nil || bytes.ContainsRune(text, utf8.RuneError) {
		return "", &Error{ReasonCharset, errors.New("answer is not in the charset it should be in")}
	}
	return string(text), nil
}
