package answer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
)

func newPairs(*Config) (parser, error) { return parsePairs, nil }

func newPairsRaw(*Config) (parser, error) { return parsePairsRaw, nil }

// parsePairs reads name=value&name=value as a form is encoded, in whatever
// charset the bytes after the percent signs are. Pairs may also stand one per line,
// and empty ones are ignored. It is strict: an error in plain text must not
// become a variable.
func parsePairs(_ context.Context, d document) (Result, error) {
	body := d.body
	if d.entities {
		body = bytes.ReplaceAll(body, []byte("&amp;"), []byte("&"))
	}
	var r Record
	n := 0
	for pair := range bytes.FieldsFuncSeq(body, func(c rune) bool { return c == '&' || c == '\n' || c == '\r' }) {
		if len(bytes.TrimSpace(pair)) == 0 {
			continue
		}
		if n++; n > maxVars {
			return Result{}, &Error{ReasonLimit, fmt.Errorf("more than %d variables", maxVars)}
		}
		rawName, rawValue, ok := bytes.Cut(pair, []byte("="))
		if bytes.HasPrefix(rawName, []byte("amp;")) {
			return Result{}, &Error{ReasonSyntax, fmt.Errorf("pair %d begins with &amp;, an entity of HTML: set entities = true", n)}
		}
		if !ok {
			return Result{}, &Error{ReasonSyntax, fmt.Errorf("pair %d has no equals sign%s", n, rawHint)}
		}
		name, nameErr := url.QueryUnescape(string(rawName))
		raw, valueErr := url.QueryUnescape(string(rawValue))
		if nameErr != nil || valueErr != nil {
			return Result{}, &Error{ReasonSyntax, fmt.Errorf("pair %d has a percent sign without two hex digits%s", n, rawHint)}
		}
		value, err := d.decode([]byte(raw))
		if err != nil {
			return Result{}, err
		}
		if r, err = r.add(strings.TrimSpace(name), d.value(value)); err != nil {
			return Result{}, err
		}
	}
	return Result{Records: []Record{r}}, nil
}

const rawHint = `; if values have & and % in them as they are, set format = "pairs-raw"`

// parsePairsRaw reads name=value&name=value, or one pair per line, with values
// written as they are, plus and percent signs too. What follows an ampersand or a
// line break and is no name with an equals sign belongs to the value before it:
// Smith & Sons.
func parsePairsRaw(_ context.Context, d document) (Result, error) {
	text, err := d.text()
	if err != nil {
		return Result{}, err
	}
	text = strings.TrimLeft(text, "&\r\n ")
	if name, _, ok := strings.Cut(text, "="); !ok || !IsVarName(name) {
		return Result{}, &Error{ReasonSyntax, errors.New("answer does not begin with a name and an equals sign")}
	}
	var r Record
	for text != "" {
		name, rest, _ := strings.Cut(text, "=")
		end := rawEnd(rest)
		if r, err = r.add(name, d.value(rest[:end])); err != nil {
			return Result{}, err
		}
		text = strings.TrimLeft(rest[end:], "&\r\n ")
	}
	return Result{Records: []Record{r}}, nil
}

// rawEnd returns the position at which a value ends: that of an ampersand or a line
// break before the next name, or of those at the end.
func rawEnd(s string) int {
	for at := 0; ; at++ {
		next := strings.IndexAny(s[at:], "&\r\n")
		if next < 0 {
			return len(s)
		}
		at += next
		rest := strings.TrimLeft(s[at:], "&\r\n ")
		if rest == "" {
			return at
		}
		if name, _, ok := strings.Cut(rest[:min(len(rest), maxName+1)], "="); ok && IsVarName(name) {
			return at
		}
	}
}

// nobodyTexts are whole answers with which programs that write JSON say that there is no value.
var nobodyTexts = []string{"false", "null", "[]", "{}", `""`}

// newText reads the whole answer as one variable's value.
func newText(cfg *Config) (parser, error) {
	name := cfg.Variable
	if !IsVarName(name) {
		return nil, &KeyError{"variable", errors.New("is no name of a variable: use a name such as CALLERID(name)")}
	}
	return func(_ context.Context, d document) (Result, error) {
		if isPage(d.body) || len(d.body) > 1 && d.body[0] == '<' && (d.body[1] == '!' || d.body[1] == '?' || 'a' <= d.body[1]|0x20 && d.body[1]|0x20 <= 'z') {
			return Result{}, &Error{ReasonSyntax, errors.New("answer begins with a tag")}
		}
		text, err := d.text()
		if err != nil {
			return Result{}, err
		}
		if slices.Contains(nobodyTexts, text) {
			return Result{}, nil
		}
		r, err := Record(nil).add(name, d.value(text))
		return Result{Records: []Record{r}}, err
	}, nil
}
