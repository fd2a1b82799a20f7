package store

import (
	"fmt"
	"time"

	"github.com/valyala/fastjson"

	"ringhook/hooks"
)

// maxBody is the maximum size of an event in bytes, so that a batch stays a short commit.
const maxBody = 256 << 10

// encodeEvent returns the event as it is stored: as JSON, without the fields that have
// columns of their own. Each event is encoded once and decoded at each attempt: encoding/json
// takes twice as long and 50 allocations in place of 2 to encode one, and four times as long to
// decode it.
func encodeEvent(e *hooks.Event) ([]byte, error) {
	b := e.AppendJSON(make([]byte, 0, 768))
	if len(b) > maxBody {
		return nil, fmt.Errorf("encode event %s: %d bytes are more than the outbox takes (%d)", e.ID, len(b), maxBody)
	}
	return b, nil
}

var eventParsers fastjson.ParserPool

// decodeEvent returns the event with the original types of its parameters: numbers are
// int64.
func decodeEvent(id, linkedid string, text []byte) (hooks.Event, error) {
	p := eventParsers.Get()
	defer eventParsers.Put(p)
	ev := hooks.Event{ID: id, LinkedID: linkedid}
	v, err := p.ParseBytes(text)
	if err == nil {
		ev.Name, ev.Seq, ev.Final = string(v.GetStringBytes("name")), v.GetInt("seq"), v.GetBool("final")
		ev.Time, err = time.Parse(time.RFC3339Nano, string(v.GetStringBytes("time")))
	}
	if params := v.GetObject("params"); err == nil && params != nil {
		ev.Params = make(map[string]any, params.Len())
		params.Visit(func(name []byte, v *fastjson.Value) {
			value, perr := paramOf(v)
			if perr != nil && err == nil {
				err = fmt.Errorf("parameter %s: %w", name, perr)
			}
			ev.Params[string(name)] = value
		})
	}
	if err != nil {
		return hooks.Event{}, fmt.Errorf("decode event %s: %w", id, err)
	}
	return ev, nil
}

func paramOf(v *fastjson.Value) (any, error) {
	switch v.Type() {
	case fastjson.TypeString:
		text, err := v.StringBytes()
		return string(text), err
	case fastjson.TypeNumber:
		return v.Int64()
	case fastjson.TypeTrue, fastjson.TypeFalse:
		return v.Bool()
	}
	return nil, fmt.Errorf("is %s", v.Type())
}
