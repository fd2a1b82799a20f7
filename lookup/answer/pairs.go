package answer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
)

func newPairs(*Config) (parser, error) { return parsePairs, nil }

func newPairsRaw(*Config) (parser, error) { return parsePairsRaw, nil }

// parsePairs reads name=value&name=value as a form is encoded, in whatever
// charset the bytes behind the percent signs are. It is strict: an error in
// plain text must not become a variable.
func parsePairs(_ context.Context, d document) (Result, error) {
	var r Record
	for n, rest := 1, d.body; len(rest) > 0; n++ {
		var pair []byte
		pair, rest, _ = bytes.Cut(rest, []byte("&"))
		rawName, rawValue, ok := bytes.Cut(pair, []byte("="))
		if !ok {
			return Result{}, &Error{ReasonSyntax, fmt.Errorf("pair %d has no equals sign", n)}
		}
		if n > maxVars {
			return Result{}, &Error{ReasonLimit, fmt.Errorf("more than %d variables", maxVars)}
		}
		name, nameErr := url.QueryUnescape(string(rawName))
		raw, valueErr := url.QueryUnescape(string(rawValue))
		if nameErr != nil || valueErr != nil {
			return Result{}, &Error{ReasonSyntax, fmt.Errorf("pair %d: percent sign without two hex digits", n)}
		}
		value, err := d.decode([]byte(raw))
		if err != nil {
			return Result{}, err
		}
		if r, err = r.add(name, value); err != nil {
			return Result{}, err
		}
	}
	return Result{Records: []Record{r}}, nil
}

// parsePairsRaw reads name=value&name=value where the values are written as
// they are, plus and percent signs too. What follows an ampersand and is no
// name with an equals sign belongs to the value before it: Smith & Sons.
func parsePairsRaw(_ context.Context, d document) (Result, error) {
	text, err := d.text()
	if err != nil {
		return Result{}, err
	}
	if name, _, ok := strings.Cut(text, "="); !ok || !IsVarName(name) {
		return Result{}, &Error{ReasonSyntax, errors.New("answer does not begin with a name and an equals sign")}
	}
	var r Record
	for text != "" {
		name, rest, _ := strings.Cut(text, "=")
		end := rawEnd(rest)
		if r, err = r.add(name, strings.TrimSpace(rest[:end])); err != nil {
			return Result{}, err
		}
		text = strings.TrimPrefix(rest[end:], "&")
	}
	return Result{Records: []Record{r}}, nil
}

// rawEnd finds the ampersand that ends a value.
func rawEnd(s string) int {
	for at := 0; ; at++ {
		next := strings.IndexByte(s[at:], '&')
		if next < 0 {
			return len(s)
		}
		at += next
		if name, _, ok := strings.Cut(s[at+1:], "="); ok && IsVarName(name) || at+1 == len(s) {
			return at
		}
	}
}

// newText makes the whole answer one variable's value.
func newText(cfg *Config) (parser, error) {
	name := cfg.Variable
	if !IsVarName(name) {
		return nil, &KeyError{"variable", errors.New("is no name of a variable: CALLERID(name) is one")}
	}
	return func(_ context.Context, d document) (Result, error) {
		text, err := d.text()
		if err != nil {
			return Result{}, err
		}
		r, err := Record(nil).add(name, text)
		return Result{Records: []Record{r}}, err
	}, nil
}
