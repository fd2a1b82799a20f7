package campaign

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// Entry is one number to call.
type Entry struct {
	Number   string `json:"number"`
	CallerID string `json:"caller_id,omitempty"` // that the callee sees; empty for the campaign's
}

// errForm is returned for a list in none of the forms.
var errForm = errors.New(`numbers must be "a:b:c", or a list of numbers, of {"number", "caller_id"} or of {"numbers", "caller_id"}`)

// ParseNumbers reads a list of numbers, in any of these forms:
//
//	"+79161234567:+79161234568"
//	["+79161234567", ...]
//	[{"number": "+79161234567", "caller_id": "74951234500"}, ...]
//	[{"numbers": <a list, or text with colons>, "caller_id": "74951234500"}, ...]
//
// The words phone, phones and callerId stand for number, numbers and caller_id. A number may be written as a JSON
// number. The list has at most so many entries.
func ParseNumbers(data []byte, most int) ([]Entry, error) {
	p := parser{most: most}
	if err := p.list(data, "", 0); err != nil {
		return nil, err
	}
	if len(p.entries) == 0 {
		return nil, errors.New("numbers is empty")
	}
	return p.entries, nil
}

type parser struct {
	most    int
	entries []Entry
}

func (p *parser) add(number, callerID string) error {
	if number = strings.TrimSpace(number); number == "" {
		return nil
	}
	if len(p.entries) == p.most {
		return fmt.Errorf("more than %d numbers", p.most)
	}
	p.entries = append(p.entries, Entry{number, strings.TrimSpace(callerID)})
	return nil
}

// text returns a JSON string or number as text.
func text(data json.RawMessage) (string, bool) {
	var s string
	if json.Unmarshal(data, &s) == nil {
		return s, true
	}
	var n json.Number
	if err := json.Unmarshal(data, &n); err != nil || strings.Trim(n.String(), "0123456789") != "" {
		return "", false
	}
	return n.String(), true
}

// list reads one value: a text with colons, or a list of entries.
func (p *parser) list(data json.RawMessage, callerID string, depth int) error {
	data = bytes.TrimSpace(data)
	if bytes.Equal(data, []byte("null")) {
		return errForm
	}
	if all, ok := text(data); ok {
		for number := range strings.SplitSeq(all, ":") {
			if err := p.add(number, callerID); err != nil {
				return err
			}
		}
		return nil
	}
	var items []json.RawMessage
	if err := json.Unmarshal(data, &items); err != nil {
		return errForm
	}
	for _, item := range items {
		if number, ok := text(item); ok {
			if err := p.add(number, callerID); err != nil {
				return err
			}
			continue
		}
		if err := p.entry(item, depth); err != nil {
			return err
		}
	}
	return nil
}

// entry reads one number, or a group, with its own caller ID.
func (p *parser) entry(data json.RawMessage, depth int) error {
	var e struct {
		Number   json.RawMessage `json:"number"`
		Phone    json.RawMessage `json:"phone"`
		Numbers  json.RawMessage `json:"numbers"`
		Phones   json.RawMessage `json:"phones"`
		CallerID json.RawMessage `json:"caller_id"`
		Caller   json.RawMessage `json:"callerId"`
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&e); err != nil || depth > 0 {
		return errForm // a group in a group is none of the forms
	}
	callerID := ""
	for _, given := range []json.RawMessage{e.CallerID, e.Caller} {
		if given == nil {
			continue
		}
		var ok bool
		if callerID, ok = text(given); !ok {
			return errors.New("caller_id must be a text")
		}
	}
	found := false
	for _, one := range []json.RawMessage{e.Number, e.Phone} {
		if one == nil {
			continue
		}
		number, ok := text(one)
		if !ok || strings.TrimSpace(number) == "" {
			return errForm
		}
		found = true
		if err := p.add(number, callerID); err != nil {
			return err
		}
	}
	for _, group := range []json.RawMessage{e.Numbers, e.Phones} {
		if group == nil {
			continue
		}
		found = true
		if err := p.list(group, callerID, depth+1); err != nil {
			return err
		}
	}
	if !found {
		return errForm
	}
	return nil
}
