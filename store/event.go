package store

import (
	"fmt"
	"time"

	"github.com/valyala/fastjson"

	"ringhook/hooks"
)

// maxBody bounds an event, in bytes: a batch of them has to stay a short commit.
const maxBody = 256 << 10

// encodeEvent writes an event as it is stored: as JSON, but for what has a column
// of its own.
func encodeEvent(e *hooks.Event) ([]byte, error) {
	b := e.AppendJSON(make([]byte, 0, 768))
	if len(b) > maxBody {
		return nil, fmt.Errorf("encode event %s: %d bytes are more than the outbox takes (%d)", e.ID, len(b), maxBody)
	}
	return b, nil
}

var eventParsers fastjson.ParserPool

// decodeEvent gives the parameters their types back: numbers are int64.
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
