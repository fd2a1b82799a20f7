package lookup

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"mime"
	"slices"
	"unicode/utf8"
)

// record is what a source says of one customer: its variables that have a
// value, each once.
type record []Var

// parser reads an answer that is not empty. It gives the customers that it
// speaks of; none means that nobody is known. Its errors are *fault, but for
// those of the context.
type parser func(ctx context.Context, d document) ([]record, error)

// formats makes a parser for each format that a source may answer in. Its
// error says what is wrong with which key.
var formats = map[string]func(*Config) (parser, error){
	"pairs":     newPairs,
	"pairs-raw": newPairsRaw,
	"text":      newText,
	"json":      newJSON,
	"xml":       newXML,
}

func formatNames() []string {
	return slices.Sorted(maps.Keys(formats))
}

// keyError is a mistake in one key of the configuration.
type keyError struct {
	key string
	err error
}

// Error names the key and what is wrong with it.
func (e *keyError) Error() string { return e.key + ": " + e.err.Error() }

// Unwrap gives what is wrong without the key.
func (e *keyError) Unwrap() error { return e.err }

const (
	maxVars    = 200   // of one record
	maxName    = 80    // of a variable, in bytes
	maxRecords = 100   // of one answer
	maxDepth   = 32    // of JSON and XML
	maxNodes   = 20000 // of JSON and XML
)

// add adds a variable with a value to a record.
func (r record) add(name, value string) (record, error) {
	if !isVarName(name) {
		return nil, &fault{reason: reasonSyntax, err: fmt.Errorf("variable %d has an unfit name", len(r)+1)}
	}
	if !utf8.ValidString(value) {
		return nil, &fault{reason: reasonCharset, err: fmt.Errorf("value of %s is not UTF-8", name)}
	}
	if value == "" {
		return r, nil
	}
	if had := r.value(name); had == value {
		return r, nil
	} else if had != "" {
		return nil, &fault{reason: reasonSyntax, err: fmt.Errorf("%s is given twice with two values", name)}
	}
	if len(r) == maxVars {
		return nil, &fault{reason: reasonLimit, err: fmt.Errorf("more than %d variables", maxVars)}
	}
	return append(r, Var{name, value}), nil
}

// value gives a variable's value, empty where it has none.
func (r record) value(name string) string {
	for _, v := range r {
		if v.Name == name {
			return v.Value
		}
	}
	return ""
}

// isVarName knows the names of channel variables and of functions with an
// argument, such as CALLERID(name). What may be set is decided elsewhere.
func isVarName(s string) bool {
	if s == "" || len(s) > maxName {
		return false
	}
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case c == '_', c == '-', c == '.', c == '(', c == ')', c == ',':
		default:
			return false
		}
	}
	return true
}

// checkPage refuses a page for people in place of an answer. A script in PHP
// says text/html of whatever it prints unless it is told otherwise, so that
// alone does not make one.
func checkPage(body []byte, contentType, format string) error {
	start := bytes.ToLower(body[:min(len(body), 15)])
	page := bytes.HasPrefix(start, []byte("<!doctype html")) || bytes.HasPrefix(start, []byte("<html"))
	if format != "xml" {
		media, _, _ := mime.ParseMediaType(contentType)
		page = body[0] == '<' || media == "text/html" && bytes.IndexByte(body, '<') >= 0
	}
	if page {
		return &fault{reason: reasonHTML, down: true, err: errors.New("a page in place of an answer")}
	}
	return nil
}
