// Package answer reads what a source answers: bytes in, records out.
//
// It guarantees that whatever comes is read within bounds of time and size, and
// that an error never quotes the answer.
package answer

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"mime"
	"runtime"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Var is a variable that a source answered, still as the source wrote it.
type Var struct {
	Name  string `json:"name"`
	Value string `json:"value"` // never empty
}

// Record is one customer of an answer: the variables that have a value, each once
// and on one line.
type Record []Var

// Result is the content of an answer.
type Result struct {
	Records []Record // of the customers; none means that no customer is known
	Refused []string // variables that were left out, with the reason
}

// parser reads an answer that is not empty. Its errors are *Error, or those
// of the context.
type parser func(ctx context.Context, d document) (Result, error)

// formats are the formats that a source may answer in, each with what makes its
// parser. The error is a *KeyError.
var formats = map[string]func(*Config) (parser, error){
	"pairs":     newPairs,
	"pairs-raw": newPairsRaw,
	"text":      newText,
	"json":      newJSON,
	"xml":       newXML,
}

// Formats returns the names of the formats, sorted.
func Formats() []string {
	return slices.Sorted(maps.Keys(formats))
}

// Config is how a source writes its answers. The fields are keys of a [[lookup]]
// table.
type Config struct {
	Format   string // one of Formats
	Charset  string // of the answer; if it is empty, the one that the answer names
	Map      map[string]string
	Records  string
	Variable string
	Entities bool // values contain HTML entities such as &amp;
	// Settings are values that expressions of jq take as variables: portal is $portal.
	Settings map[string]string
	// Whole reads the expressions of Map once, of the whole answer, also if that stands for no customer, such as [].
	Whole bool
	// MaxRecords is the maximum number of records of an answer in JSON; more are an error. By default it is 100, and those
	// after them are left out.
	MaxRecords int
	// Time is the maximum time to read an answer, 500 ms by default. What expressions cost depends on the answer.
	Time time.Duration
}

// Reader reads answers of one source. It may be used from many goroutines.
type Reader struct {
	cfg   Config
	parse parser
	slots chan struct{} // one for each answer that is read at the moment
}

// readTime is the default of Config.Time: a call may wait for the answer.
const readTime = 500 * time.Millisecond

// NewReader makes a Reader. Its error is a *KeyError, or several; see KeyErrors.
func NewReader(cfg Config) (*Reader, error) {
	newParser := formats[cfg.Format]
	if newParser == nil {
		return nil, &KeyError{"format", errors.New("is unknown: " + strings.Join(Formats(), ", ") + " are the formats")}
	}
	cfg.Time = cmp.Or(cfg.Time, readTime)
	parse, err := newParser(&cfg)
	if err != nil {
		return nil, err
	}
	return &Reader{cfg: cfg, parse: parse, slots: make(chan struct{}, max(2, runtime.GOMAXPROCS(0)))}, nil
}

// Read reads an answer. Its errors are *Error, or those of the context.
func (r *Reader) Read(ctx context.Context, body []byte, contentType string) (Result, error) {
	d, err := open(body, contentType, r.cfg.Charset)
	if err != nil || len(d.body) == 0 {
		return Result{}, err
	}
	d.entities = r.cfg.Entities
	// The memory that answers take while they are read is bounded by their number.
	select {
	case r.slots <- struct{}{}:
		defer func() { <-r.slots }()
	case <-ctx.Done():
		return Result{}, ctx.Err()
	}
	limited, cancel := context.WithTimeout(ctx, r.cfg.Time)
	defer cancel()
	res, err := r.parse(limited, d)
	if err != nil && limited.Err() != nil && ctx.Err() == nil {
		err = &Error{ReasonLimit, fmt.Errorf("the expressions of the mapping took longer than %v", r.cfg.Time)}
	}
	var wrong *Error
	if errors.As(err, &wrong) && wrong.Reason == ReasonSyntax {
		err = explain(wrong, d.body, contentType, r.cfg.Format)
	}
	return res, err
}

// KeyError is a mistake in one key of the configuration.
type KeyError struct {
	Key string
	Err error
}

// KeyErrors returns the mistakes that an error of NewReader joins.
func KeyErrors(err error) (list []*KeyError) {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, part := range joined.Unwrap() {
			list = append(list, KeyErrors(part)...)
		}
		return list
	}
	if wrong := (*KeyError)(nil); errors.As(err, &wrong) {
		list = append(list, wrong)
	}
	return list
}

// Error returns the key and what is wrong with it.
func (e *KeyError) Error() string { return e.Key + ": " + e.Err.Error() }

// Unwrap returns what is wrong, without the key.
func (e *KeyError) Unwrap() error { return e.Err }

// The reasons of an Error.
const (
	ReasonHTML    = "html"    // a page for people, such as a login
	ReasonCharset = "charset" // not text in the charset that it names
	ReasonSyntax  = "syntax"  // not the format it should be
	ReasonType    = "type"    // the right format with other content than expected
	ReasonLimit   = "limit"   // more than any source should answer
)

// Error is why an answer cannot be read. Its text never quotes the answer.
type Error struct {
	Reason string // one of a closed list
	Err    error
}

// advised is a problem with the key of a [[lookup]] that solves it. Other tables have no such keys.
type advised struct {
	error
	advice string
}

// Unwrap returns the problem.
func (a advised) Unwrap() error { return a.error }

// Advice returns what to set in a [[lookup]] so that answers with this error can be read; empty if that is not known.
func Advice(err error) string {
	var a advised
	if errors.As(err, &a) {
		return a.advice
	}
	return ""
}

// errPage is an answer that is a page from its first byte on, as a source answers
// everybody whose login has ended.
var errPage = errors.New("a page for people in place of an answer")

// IsPage reports whether an answer was a page for people: then the source does
// not work, for any caller.
func IsPage(err error) bool { return errors.Is(err, errPage) }

// Error returns the reason and the cause.
func (e *Error) Error() string { return e.Reason + ": " + e.Err.Error() }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

const (
	maxVars    = 200   // of one record
	maxName    = 80    // of a variable, in bytes
	maxRecords = 100   // of one answer
	maxDepth   = 32    // of JSON and XML
	maxNodes   = 20000 // of JSON and XML
)

// add adds a variable with a value to a record.
func (r Record) add(name, value string) (Record, error) {
	if !IsVarName(name) {
		return nil, &Error{ReasonSyntax, fmt.Errorf("variable %d has a name that no variable can have", len(r)+1)}
	}
	if !utf8.ValidString(value) {
		return nil, &Error{ReasonCharset, fmt.Errorf("value of %s is not UTF-8", name)}
	}
	if value = OneLine(value); value == "" {
		return r, nil
	}
	if had := r.Value(name); had == value {
		return r, nil
	} else if had != "" {
		return nil, &Error{ReasonSyntax, fmt.Errorf("%s stands there twice with two values", name)}
	}
	if len(r) == maxVars {
		return nil, &Error{ReasonLimit, fmt.Errorf("more than %d variables", maxVars)}
	}
	return append(r, Var{name, value}), nil
}

// Value returns a variable's value, empty if it has none.
func (r Record) Value(name string) string {
	for _, v := range r {
		if v.Name == name {
			return v.Value
		}
	}
	return ""
}

// IsVarName knows the names of channel variables and of functions with an
// argument, such as CALLERID(name). What may be set is decided elsewhere.
func IsVarName(s string) bool {
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

// isPage reports whether an answer is a page for people from its first byte on.
func isPage(body []byte) bool {
	start := bytes.ToLower(body[:min(len(body), 15)])
	return bytes.HasPrefix(start, []byte("<!doctype html")) || bytes.HasPrefix(start, []byte("<html"))
}

// explain adds to the error of an answer that is not in its format what the answer
// is, and the key that reads it. The format was tried first: PHP scripts send
// text/html by default, and a value may contain any character.
func explain(err *Error, body []byte, contentType, format string) *Error {
	if isPage(body) {
		return &Error{ReasonHTML, errPage}
	}
	media, _, _ := mime.ParseMediaType(contentType)
	switch looks := looksLike(body); {
	case looks == "xml" && format != "xml", media == "text/html" && bytes.IndexByte(body, '<') >= 0:
		if bytes.HasPrefix(body, []byte("<?xml")) || strings.Contains(media, "xml") {
			return &Error{ReasonSyntax, advised{errors.New("answer is XML"), `set format = "xml"`}}
		}
		return &Error{ReasonHTML, errors.New("answer has HTML in it, such as a warning of PHP")}
	case looks != "" && looks != format && !(strings.HasPrefix(looks, "pairs") && strings.HasPrefix(format, "pairs")):
		problem := strings.TrimSuffix(err.Err.Error(), rawHint)
		return &Error{err.Reason, advised{fmt.Errorf("%s; the answer looks like another format", problem), fmt.Sprintf("set format = %q", looks)}}
	}
	return err
}

// looksLike returns the format that an answer seems to be in, empty if that is
// not plain.
func looksLike(body []byte) string {
	switch {
	case json.Valid(body) && (body[0] == '{' || body[0] == '['):
		return "json"
	case body[0] == '<':
		return "xml"
	}
	if name, _, found := bytes.Cut(body[:min(len(body), maxName+1)], []byte("=")); found && IsVarName(string(name)) {
		return "pairs"
	}
	if len(body) <= maxName && !bytes.ContainsAny(body, "=&<>{}[]\"\r\n") && bytes.Count(body, []byte(" ")) < 2 {
		return "text"
	}
	return ""
}

// OneLine makes a value one line: a run of control characters, with the blanks
// around it, becomes one blank, and blanks at the ends are cut off.
func OneLine(s string) string {
	if strings.IndexFunc(s, isControl) < 0 {
		return strings.TrimSpace(s)
	}
	parts := strings.FieldsFunc(s, isControl)
	kept := parts[:0]
	for _, part := range parts {
		if part = strings.TrimSpace(part); part != "" {
			kept = append(kept, part)
		}
	}
	return strings.Join(kept, " ")
}

// isControl knows control characters, and the two line breaks that are none.
func isControl(c rune) bool { return unicode.IsControl(c) || c == '\u2028' || c == '\u2029' }
