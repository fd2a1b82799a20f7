package ami

import (
	"errors"
	"fmt"
	"strings"
)

// The largest action that Asterisk reads. It rejects a longer line, and reads what
// follows one of exactly 1,025 bytes as a second action.
const (
	maxSentLine   = 1024 // with CR LF
	maxSentFields = 128  // with Action and ActionID
)

// ErrInvalid is wrapped by the errors for actions that cannot be sent, of which nothing was.
var ErrInvalid = errors.New("cannot be sent")

// Action is a request to Asterisk. A field may occur more than once.
type Action struct {
	Name   string
	Fields []Field
}

// encode returns the action's text. It refuses whatever Asterisk would read as anything but
// these fields: for CR, LF and NUL there is no escape, and a lone LF ends a line.
func (a *Action) encode(id string) ([]byte, error) {
	if len(a.Fields)+2 > maxSentFields {
		return nil, fmt.Errorf("%w: %d fields, at most %d are allowed", ErrInvalid, len(a.Fields), maxSentFields-2)
	}
	text := make([]byte, 0, 256)
	text, err := appendField(text, Field{"Action", a.Name})
	if err == nil {
		text, err = appendField(text, Field{"ActionID", id})
	}
	for i := 0; err == nil && i < len(a.Fields); i++ {
		if key := a.Fields[i].Key; strings.EqualFold(key, "Action") || strings.EqualFold(key, "ActionID") {
			return nil, fmt.Errorf("%w: %s is not a field", ErrInvalid, key)
		}
		text, err = appendField(text, a.Fields[i])
	}
	if err != nil {
		return nil, err
	}
	return append(text, "\r\n"...), nil
}

func appendField(text []byte, f Field) ([]byte, error) {
	if f.Key == "" || strings.ContainsFunc(f.Key, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-')
	}) {
		return nil, fmt.Errorf("%w: %q is not the name of a field", ErrInvalid, f.Key)
	}
	if strings.ContainsAny(f.Value, "\r\n\x00") {
		return nil, fmt.Errorf("%w: %s contains CR, LF or NUL", ErrInvalid, f.Key)
	}
	if n := len(f.Key) + len(": ") + len(f.Value) + len("\r\n"); n > maxSentLine {
		return nil, fmt.Errorf("%w: %s is %d bytes too long", ErrInvalid, f.Key, n-maxSentLine)
	}
	text = append(append(text, f.Key...), ": "...)
	return append(append(text, f.Value...), "\r\n"...), nil
}

// RejectedError is returned if Asterisk answered an action with an error.
type RejectedError struct {
	Action  string
	Message string // Asterisk's words
}

// Error returns Asterisk's words.
func (e *RejectedError) Error() string {
	return fmt.Sprintf("Asterisk rejected %s: %s", e.Action, strings.ToValidUTF8(e.Message, "\uFFFD"))
}
