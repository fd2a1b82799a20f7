package lookup

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
func parsePairs(_ context.Context, d document) ([]record, error) {
	var r record
	for n, rest := 1, d.body; len(rest) > 0; n++ {
		var pair []byte
		pair, rest, _ = bytes.Cut(rest, []byte("&"))
		rawName, rawValue, ok := bytes.Cut(pair, []byte("="))
		if !ok {
			return nil, &fault{reason: reasonSyntax, err: fmt.Errorf("pair %d has no equals sign", n)}
		}
		if n > maxVars {
			return nil, &fault{reason: reasonLimit, err: fmt.Errorf("more than %d variables", maxVars)}
		}
		name, nameErr := url.QueryUnescape(string(rawName))
		raw, valueErr := url.QueryUnescape(string(rawValue))
		if nameErr != nil || valueErr != nil {
			return nil, &fault{reason: reasonSyntax, err: fmt.Errorf("pair %d: percent sign without two hex digits", n)}
		}
		value, err := d.decode([]byte(raw))
		if err != nil {
			return nil, err
		}
		if r, err = r.add(name, value); err != nil {
			return nil, err
		}
	}
	return []record{r}, nil
}

// parsePairsRaw reads name=value&name=value where the values are written as
// they are, plus and percent signs too. What follows an ampersand and is no
// name with an equals sign belongs to the value before it: Smith & Sons.
func parsePairsRaw(_ context.Context, d document) ([]record, error) {
	text, err := d.text()
	if err != nil {
		return nil, err
	}
	if name, _, ok := strings.Cut(text, "="); !ok || !isVarName(name) {
		return nil, &fault{reason: reasonSyntax, err: errors.New("answer does not begin with a name and an equals sign")}
	}
	var r record
	for text != "" {
		name, rest, _ := strings.Cut(text, "=")
		end := rawEnd(rest)
		if r, err = r.add(name, strings.TrimSpace(rest[:end])); err != nil {
			return nil, err
		}
		text = strings.TrimPrefix(rest[end:], "&")
	}
	return []record{r}, nil
}

// rawEnd finds the ampersand that ends a value.
func rawEnd(s string) int {
	for at := 0; ; at++ {
		next := strings.IndexByte(s[at:], '&')
		if next < 0 {
			return len(s)
		}
		at += next
		if name, _, ok := strings.Cut(s[at+1:], "="); ok && isVarName(name) || at+1 == len(s) {
			return at
		}
	}
}

// newText makes the whole answer one variable's value.
func newText(cfg *Config) (parser, error) {
	name := cfg.Variable
	if !isVarName(name) {
		return nil, &keyError{"variable", errors.New("is no name of a variable: CALLERID(name) is one")}
	}
	return func(_ context.Context, d document) ([]record, error) {
		text, err := d.text()
		if err != nil {
			return nil, err
		}
		r, err := record(nil).add(name, text)
		return []record{r}, err
	}, nil
}
