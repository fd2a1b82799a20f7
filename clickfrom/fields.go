package clickfrom

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/url"
	"regexp"
	"strconv"
	"strings"
)

const (
	// MaxBody is the maximum size of a request's body, in bytes.
	MaxBody   = 64 << 10
	maxDepth  = 8    // of JSON
	maxFields = 1000 // of a request
	maxName   = 256  // of a field, in bytes
	maxValue  = 2048 // of a value that is used, in bytes
)

// fields are the values of a request by name. A repeated name has no value: which one counts is not known.
type fields struct {
	values   map[string]string
	repeated map[string]bool
}

// readFields reads the query and the body of a request: a form or JSON, whose nested values have names such as
// data[USER_ID].
func readFields(query, contentType string, body []byte) (*fields, error) {
	f := &fields{values: map[string]string{}, repeated: map[string]bool{}}
	if err := f.form(query); err != nil {
		return nil, err
	}
	if len(body) > MaxBody {
		return nil, fmt.Errorf("the body is larger than %d bytes", MaxBody)
	}
	if len(bytes.TrimSpace(body)) == 0 {
		return f, nil
	}
	kind, _, err := mime.ParseMediaType(contentType)
	if err != nil {
		kind = ""
	}
	switch {
	case kind == "application/json" || strings.HasSuffix(kind, "+json"):
		return f, f.json(body)
	case kind == "application/x-www-form-urlencoded" || kind == "":
		return f, f.form(string(body))
	}
	return nil, errors.New("the body must be a form or JSON")
}

func (f *fields) add(name, value string) error {
	if len(f.values) >= maxFields {
		return fmt.Errorf("the request has more than %d fields", maxFields)
	}
	if len(name) > maxName {
		return nil // no configuration names it
	}
	if before, has := f.values[name]; has && before != value {
		f.repeated[name] = true
	}
	f.values[name] = value
	return nil
}

// form reads a query or a form.
func (f *fields) form(text string) error {
	for pair := range strings.SplitSeq(text, "&") {
		if pair == "" {
			continue
		}
		name, value, _ := strings.Cut(pair, "=")
		name, err1 := url.QueryUnescape(name)
		value, err2 := url.QueryUnescape(value)
		if err1 != nil || err2 != nil {
			return errors.New("a field is not percent-encoded correctly")
		}
		if err := f.add(name, value); err != nil {
			return err
		}
	}
	return nil
}

// whole matches a whole number that is written with decimals, as languages without integers write ids.
var whole = regexp.MustCompile(`^(-?[0-9]+)\.0+$`)

// json reads an object, with numbers as they are written, whole ones without decimals.
func (f *fields) json(body []byte) error {
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	if err := f.value(d, "", 0); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something follows the JSON")
	}
	return nil
}

// value reads one value of JSON. The decoder returns each token by itself, so that the depth is checked before anything
// deeper is read.
func (f *fields) value(d *json.Decoder, name string, depth int) error {
	token, err := d.Token()
	if err != nil {
		return errors.New("the body is no JSON")
	}
	switch token := token.(type) {
	case json.Delim:
		if depth >= maxDepth {
			return fmt.Errorf("the JSON is deeper than %d levels", maxDepth)
		}
		return f.inside(d, name, depth+1, token == '[')
	case string:
		return f.add(name, token)
	case json.Number:
		return f.add(name, whole.ReplaceAllString(token.String(), "$1"))
	case bool:
		return f.add(name, strconv.FormatBool(token))
	}
	return nil // null
}

// inside reads the values of an object or a list, and its end.
func (f *fields) inside(d *json.Decoder, name string, depth int, list bool) error {
	for n := 0; d.More(); n++ {
		key := strconv.Itoa(n)
		if !list {
			token, err := d.Token()
			text, ok := token.(string)
			if err != nil || !ok {
				return errors.New("the body is no JSON")
			}
			key = text
		}
		if n > maxFields {
			return fmt.Errorf("the request has more than %d fields", maxFields)
		}
		inner := key
		if name != "" {
			inner = name + "[" + key + "]"
		}
		if len(inner) > 2*maxName {
			inner = inner[:2*maxName] // too long to be named, and must not grow with the depth
		}
		if err := f.value(d, inner, depth); err != nil {
			return err
		}
	}
	if _, err := d.Token(); err != nil {
		return errors.New("the body is no JSON")
	}
	return nil
}

// at returns the value of a place. It is empty if the value is missing, repeated with another value, or too long.
func (f *fields) at(place string, header func(string) string) string {
	value := ""
	if name, ok := strings.CutPrefix(place, "header "); ok {
		value = header(name)
	} else if !f.repeated[place] {
		value = f.values[place]
	}
	if len(value) > maxValue {
		return ""
	}
	return strings.TrimSpace(strings.ToValidUTF8(value, ""))
}
