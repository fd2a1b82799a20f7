package httpclient

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"
)

// Place is where a template is used, and so how its values are escaped.
type Place int

// The places.
const (
	// PlaceURL is an absolute http or https URL. A value is percent-escaped down
	// to the unreserved characters, and can change neither host nor path:
	// control characters are dropped, and the dots of a value that would make
	// a "." or ".." of the path become underscores.
	PlaceURL Place = iota
	// PlaceHeader is the value of a header: control characters are dropped.
	PlaceHeader
	// PlaceForm is a body of application/x-www-form-urlencoded.
	PlaceForm
	// PlaceJSON is a JSON text. Between quotes a value is escaped as part of
	// that string. Elsewhere it is written as the number or the boolean that it
	// is, as null when it is empty, and else as a string of its own.
	PlaceJSON
	// PlaceXML is an XML text or an attribute between quotes: a value is
	// escaped, and characters that XML cannot carry are dropped.
	PlaceXML
	// PlaceText is plain text: values are not escaped.
	PlaceText
)

// Template is a text with placeholders. It is immutable and may be used by
// many goroutines at once.
type Template struct {
	place Place
	parts []part
	keys  []string // of the placeholders, each once, in the order of their first use
	// path and query are the borders of a URL's path: path is its start in the
	// first literal, query the first part after it.
	path, query int
}

// part is a literal, or a placeholder.
type part struct {
	literal string
	key     string  // what stands between the percent signs, without the nested escaping; empty for a literal
	nth     int     // the place of key in the keys of the template
	nested  nesting // what the value goes through before it is escaped for its place
	quoted  bool    // in a JSON string
}

// ParseTemplate reads a template for its place. A placeholder is %name%, with
// a name of small letters, digits and underscores that begins with a letter
// or an underscore, or %name:format%, where the format is any text in one line
// without a percent sign. At the end of the placeholder :escaped, :json or :html escapes the value for
// a text inside the text: percent-encoded, as the content of a JSON string, or for HTML and XML;
// :alphanumeric leaves its ASCII letters and digits. The escaping for the place follows. A percent
// sign that begins no placeholder stands for itself, and so does one with two hex digits, as in
// %d0%bf: what is percent-encoded already stays so. In a URL there is no other percent sign.
//
// A URL must be absolute, and its host must be written out: a placeholder
// comes after it, in the path or in the query. Errors do not show the text,
// which may hold a secret.
func ParseTemplate(text string, place Place) (*Template, error) {
	t := &Template{place: place}
	if place == PlaceURL {
		if err := CheckPercent(text); err != nil {
			return t, err
		}
	}
	for text != "" {
		at, key := findPlaceholder(text)
		if key == "" {
			t.literal(text)
			break
		}
		t.literal(text[:at])
		t.placeholder(key)
		text = text[at+len(key)+2:]
	}
	switch place {
	case PlaceURL:
		return t, t.checkURL()
	case PlaceJSON:
		t.findStrings()
	}
	return t, nil
}

// placeholder adds what stands between two percent signs.
func (t *Template) placeholder(text string) {
	p := part{}
	p.key, p.nested = cutNesting(text)
	if p.nth = slices.Index(t.keys, p.key); p.nth < 0 {
		p.nth = len(t.keys)
		t.keys = append(t.keys, p.key)
	}
	t.parts = append(t.parts, p)
}

func (t *Template) literal(s string) {
	if s != "" {
		t.parts = append(t.parts, part{literal: s})
	}
}

// findPlaceholder returns the position of the first placeholder and the text in it.
func findPlaceholder(s string) (at int, key string) {
	for {
		i := strings.IndexByte(s[at:], '%')
		if i < 0 {
			return 0, ""
		}
		at += i
		if key := placeholderKey(s[at+1:]); key != "" {
			return at, key
		}
		at++
	}
}

// placeholderKey returns the text between a percent sign and the next, if
// the two make a placeholder.
func placeholderKey(s string) string {
	end := strings.IndexByte(s, '%')
	if end < 1 {
		return ""
	}
	key := s[:end]
	name, format, formatted := strings.Cut(key, ":")
	if !isName(name) || len(name) == 2 && isHex(name[0]) && isHex(name[1]) {
		return ""
	}
	if formatted && (format == "" || strings.ContainsAny(format, "\r\n")) {
		return ""
	}
	return key
}

func isName(s string) bool {
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && c != '_' && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return s != ""
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f'
}

// Names returns the names of the placeholders without their formats, each once,
// in the order of their first use.
func (t *Template) Names() []string {
	var names []string
	for _, p := range t.parts {
		name, _, _ := strings.Cut(p.key, ":")
		if name != "" && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// Unclosed returns the words in the literal text that follow a percent sign as the name of a placeholder does: it is not
// closed by another, or has capital letters. Which of them are meant as placeholders the caller knows: 100%ig is a word.
func (t *Template) Unclosed() []string {
	var words []string
	for _, p := range t.parts {
		for _, text := range strings.Split(p.literal, "%")[1:] {
			end := strings.IndexFunc(text, func(c rune) bool { return c > 'z' || !isName("x"+strings.ToLower(string(c))) })
			if end < 0 {
				end = len(text)
			}
			if word := text[:end]; isName(strings.ToLower(word)) && !slices.Contains(words, word) {
				words = append(words, word)
			}
		}
	}
	return words
}

// Keys returns what stands between the percent signs of the placeholders, without
// nested escaping, each once, in the order of their first use. It must not be changed.
func (t *Template) Keys() []string { return t.keys }

// Nested reports whether a placeholder has a nested escaping.
func (t *Template) Nested() bool {
	return slices.ContainsFunc(t.parts, func(p part) bool { return p.nested != notNested })
}

// Append appends the text with its placeholders filled to dst. The function
// value is called with what stands between the percent signs, the format with
// it if there is one, without nested escaping.
func (t *Template) Append(dst []byte, value func(name string) string) []byte {
	return t.AppendNth(dst, func(n int) string { return value(t.keys[n]) })
}

// AppendNth is Append for a caller that has prepared a value for each of Keys: value
// is called with the place of the placeholder in them.
func (t *Template) AppendNth(dst []byte, value func(n int) string) []byte {
	start := len(dst) + t.path
	for i, p := range t.parts {
		if t.place == PlaceURL && i == t.query {
			dst = maskDots(dst, start)
		}
		if p.key == "" {
			dst = append(dst, p.literal...)
			continue
		}
		dst = appendEscaped(dst, p.nested.escape(value(p.nth)), t.place, p.quoted)
	}
	if t.place == PlaceURL && t.query == len(t.parts) {
		dst = maskDots(dst, start)
	}
	return dst
}

// JoinPath appends a path, which may have a query, to a base URL. Without a path it returns the URL as it is.
func JoinPath(base, path string) (string, error) {
	if path == "" {
		return base, nil
	}
	if strings.ContainsAny(base, "?#") {
		return base, errors.New("cannot be appended to a url with a query: leave the query out, or write the whole address as url and no path")
	}
	return strings.TrimRight(base, "/") + "/" + strings.TrimLeft(path, "/"), nil
}

// checkURL checks that the URL is valid, and finds its path.
func (t *Template) checkURL() error {
	head := ""
	if len(t.parts) > 0 {
		head = t.parts[0].literal
	}
	scheme, rest, _ := strings.Cut(head, "://")
	if !strings.EqualFold(scheme, "http") && !strings.EqualFold(scheme, "https") || scheme == head {
		return errors.New("URL does not begin with http:// or https://")
	}
	t.path = strings.IndexAny(rest, "/?#\\")
	if t.path < 0 {
		if len(t.parts) > 1 {
			return fmt.Errorf("placeholder %%%s%% stands before the end of the URL's host: it may stand in the path or in the query", t.parts[1].key)
		}
		t.path = len(rest)
	}
	t.path += len(head) - len(rest)

	t.splitQuery()
	if err := t.checkLiterals(); err != nil {
		return err
	}
	// A letter in place of each value shows what the URL is without them.
	u, err := url.Parse(string(t.Append(nil, func(string) string { return "x" })))
	if err != nil {
		var parse *url.Error
		if errors.As(err, &parse) {
			err = parse.Err
		}
		return fmt.Errorf("URL cannot be read: %w", err)
	}
	if u.Hostname() == "" {
		return errors.New("URL has no host")
	}
	return nil
}

// CheckPercent refuses a URL with a percent sign that begins neither a placeholder nor an
// encoded byte. Servers reject such a URL, or read it as something else.
func CheckPercent(text string) error {
	for i := 0; i < len(text); i++ {
		if text[i] != '%' {
			continue
		}
		if key := placeholderKey(text[i+1:]); key != "" {
			i += len(key) + 1
			continue
		}
		if !isEncoded(text[i:]) || isUnclosed(text, i) {
			return fmt.Errorf("URL has a %% at character %d that begins neither a placeholder nor an encoded byte: write %%name%%, in small letters and closed, or %%25 for the sign itself", i+1)
		}
		i += 2
	}
	return nil
}

// isEncoded reports whether a text begins with a percent sign and two hex digits.
func isEncoded(s string) bool {
	_, err := url.PathUnescape(s[:min(len(s), 3)])
	return err == nil && len(s) >= 3 && s[0] == '%'
}

// isUnclosed reports whether an encoded byte is rather the beginning of a name that is not closed, as in %callerid: a letter
// goes on where the digits end, and the bytes that are encoded there are no UTF-8.
func isUnclosed(text string, at int) bool {
	if at+3 >= len(text) {
		return false
	}
	pair, next := text[at+1:at+3], text[at+1:at+4]
	if pair == strings.ToUpper(pair) || !isName(strings.ToLower(next)) {
		return false
	}
	from := at
	for from >= 3 && isEncoded(text[from-3:]) {
		from -= 3
	}
	plain, err := url.PathUnescape(text[from : at+3])
	return err == nil && !utf8.ValidString(plain)
}

// splitQuery makes the query begin with a part of its own.
func (t *Template) splitQuery() {
	t.query = len(t.parts)
	for i, p := range t.parts {
		if at := strings.IndexByte(p.literal, '?'); at >= 0 {
			t.query = i + 1
			t.parts = slices.Replace(t.parts, i, i+1, part{literal: p.literal[:at]}, part{literal: p.literal[at:]})
			return
		}
	}
}

// checkLiterals refuses literal characters that would not arrive as written.
func (t *Template) checkLiterals() error {
	for _, p := range t.parts {
		for i := range len(p.literal) {
			switch c := p.literal[i]; {
			case c <= ' ', c >= 0x7f, c == '\\':
				return errors.New("URL has a blank, a backslash or a letter outside ASCII: write it percent-encoded")
			case c == '#':
				return errors.New("URL has a fragment, which is never sent: write # as %23")
			}
		}
	}
	if path := t.appendPath(nil); !slices.Equal(maskDots(slices.Clone(path), 0), path) {
		return errors.New(`URL has "." or ".." as a part of its path: write the path without it`)
	}
	return nil
}

// appendPath appends the path as it is written, with a letter for each value.
func (t *Template) appendPath(dst []byte) []byte {
	for i, p := range t.parts[:t.query] {
		switch {
		case i == 0:
			dst = append(dst, p.literal[t.path:]...)
		case p.key != "":
			dst = append(dst, 'x')
		default:
			dst = append(dst, p.literal...)
		}
	}
	return dst
}

// findStrings marks the placeholders that stand in a JSON string.
func (t *Template) findStrings() {
	inside := false
	for i, p := range t.parts {
		t.parts[i].quoted = inside
		for j := 0; j < len(p.literal); j++ {
			switch {
			case p.literal[j] == '"':
				inside = !inside
			case inside && p.literal[j] == '\\':
				j++
			}
		}
	}
}
