package yemot

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/url"
	"slices"
	"strings"
)

// Params are the parameters of a request. In a query or a form every value is text; in JSON it may also be a
// number, a list or an object.
type Params map[string]json.RawMessage

const (
	maxParams = 64
	maxList   = 500
)

// Parse returns the parameters of a request. A parameter that is given twice is refused.
func Parse(query string, contentType string, body []byte) (Params, error) {
	p := Params{}
	if err := p.form(query); err != nil {
		return nil, err
	}
	if len(body) == 0 {
		return p, nil
	}
	kind, _, err := mime.ParseMediaType(contentType)
	if err != nil {
		kind = ""
	}
	switch kind {
	case "application/json":
		return p, p.object(body)
	case "application/x-www-form-urlencoded", "":
		return p, p.form(string(body))
	}
	return nil, refuse("send the parameters as JSON or as a form")
}

func (p Params) form(text string) error {
	values, err := url.ParseQuery(text)
	if err != nil {
		return refuse("the parameters are not encoded as a form")
	}
	for name, all := range values {
		value, err := json.Marshal(all[0])
		if err != nil {
			return fmt.Errorf("encode a parameter: %w", err)
		}
		if len(all) > 1 {
			return refuse("a parameter is given twice")
		}
		if err := p.set(name, value); err != nil {
			return err
		}
	}
	return nil
}

func (p Params) object(body []byte) error {
	values := Params{}
	d := json.NewDecoder(bytes.NewReader(body))
	if err := d.Decode(&values); err != nil {
		return refuse("the body is not a JSON object")
	}
	if _, err := d.Token(); err != io.EOF {
		return refuse("there is more after the JSON object")
	}
	for name, value := range values {
		if err := p.set(name, value); err != nil {
			return err
		}
	}
	return nil
}

func (p Params) set(name string, value json.RawMessage) error {
	if _, twice := p[name]; twice {
		return refuse("a parameter is given twice")
	}
	if len(p) == maxParams {
		return refuse("more than %d parameters", maxParams)
	}
	p[name] = value
	return nil
}

// Text returns a parameter that is a text or a number; "" if it is missing or something else.
func (p Params) Text(name string) string {
	text, _ := textOf(p[name])
	return text
}

func textOf(value json.RawMessage) (string, bool) {
	var text string
	if json.Unmarshal(value, &text) == nil {
		return strings.TrimSpace(text), true
	}
	var number json.Number
	if json.Unmarshal(value, &number) == nil {
		return number.String(), true
	}
	return "", false
}

// list returns a parameter that is a list of texts or numbers: as JSON, as JSON within a text, or as a text
// with colons or commas.
func (p Params) list(name string) ([]string, error) {
	value := p[name]
	if text, single := textOf(value); single {
		if !strings.HasPrefix(text, "[") {
			all := strings.FieldsFunc(text, func(c rune) bool { return c == ':' || c == ',' })
			if len(all) > maxList {
				return nil, refuse("%s has more than %d entries", name, maxList)
			}
			return all, nil
		}
		value = json.RawMessage(text)
	}
	if len(value) == 0 {
		return nil, nil
	}
	var items []json.RawMessage
	if err := json.Unmarshal(value, &items); err != nil {
		return nil, refuse("%s must be a list", name)
	}
	if len(items) > maxList {
		return nil, refuse("%s has more than %d entries", name, maxList)
	}
	list := make([]string, len(items))
	for i, item := range items {
		text, single := textOf(item)
		if !single || text == "" {
			return nil, refuse("%s must be a list of texts", name)
		}
		list[i] = text
	}
	return list, nil
}

// place returns the last part of a path such as ivr2:/500, /500 or 500: the queue or extension that it names.
func place(path string) string {
	path = strings.TrimPrefix(strings.TrimSpace(path), "ivr2:")
	parts := strings.FieldsFunc(path, func(c rune) bool { return c == '/' })
	return slices.Concat([]string{""}, parts)[len(parts)]
}
