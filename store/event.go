package store

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"

	"ringhook/hooks"
)

// body is an event as it is stored, but for what has a column of its own.
type body struct {
	Name   string         `json:"name"`
	Seq    int            `json:"seq,omitempty"`
	Final  bool           `json:"final,omitempty"`
	Time   time.Time      `json:"time"`
	Params map[string]any `json:"params,omitempty"`
}

// maxBody bounds an event, in bytes: a batch of them has to stay a short commit.
const maxBody = 256 << 10

func encodeEvent(e *hooks.Event) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(body{Name: e.Name, Seq: e.Seq, Final: e.Final, Time: e.Time, Params: e.Params}); err != nil {
		return nil, fmt.Errorf("encode event %s: %w", e.ID, err)
	}
	if b.Len() > maxBody {
		return nil, fmt.Errorf("encode event %s: %d bytes are more than the outbox takes (%d)", e.ID, b.Len(), maxBody)
	}
	return b.Bytes(), nil
}

// decodeEvent gives the parameters their types back: numbers are int64.
func decodeEvent(id, linkedid string, text []byte) (hooks.Event, error) {
	var b body
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	if err := dec.Decode(&b); err != nil {
		return hooks.Event{}, fmt.Errorf("decode event %s: %w", id, err)
	}
	for name, v := range b.Params {
		if number, ok := v.(json.Number); ok {
			n, err := number.Int64()
			if err != nil {
				return hooks.Event{}, fmt.Errorf("decode event %s: parameter %s: %w", id, name, err)
			}
			b.Params[name] = n
		}
	}
	return hooks.Event{ID: id, Name: b.Name, LinkedID: linkedid, Seq: b.Seq, Final: b.Final, Time: b.Time, Params: b.Params}, nil
}
