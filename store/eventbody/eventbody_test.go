package eventbody

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"ringhook/hooks"
)

// FuzzDecode checks that a stored event is decoded unchanged, and that the content of
// a damaged file causes at most an error.
func FuzzDecode(f *testing.F) {
	at := time.Date(2026, 1, 15, 9, 30, 0, 1000, time.FixedZone("", 3600))
	for _, e := range []hooks.Event{
		{Name: "queue-dial", Time: at},
		{Name: "call-hangup", Seq: 12, Final: true, Time: at, Params: map[string]any{
			"callerid_name": "Иван \"Грозный\" \\ \u2028 \U0001F600", "talk_time": int64(1 << 62), "final": true, "correction": false,
		}},
	} {
		text, err := Encode(&e)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	for _, text := range []string{``, `{`, `[]`, `{"name":1,"time":"x"}`, `{"time":"2026-01-15T09:30:00Z","params":{"a":1.5,"b":[{}],"a":null}}`} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		e, err := Decode("msg_1", "1.1", text)
		if err != nil {
			return
		}
		again, err := Encode(&e)
		if err != nil || !json.Valid(again) {
			t.Fatalf("encoded again: %s, %v", again, err)
		}
		var plain struct{ Params map[string]any }
		if err := json.Unmarshal(again, &plain); err != nil || len(plain.Params) > len(e.Params) {
			t.Fatalf("%s is read otherwise: %v, %v", again, plain.Params, err)
		}
		back, err := Decode("msg_1", "1.1", again)
		if err != nil {
			t.Fatalf("%s: %v", again, err)
		}
		if e.Time, back.Time = e.Time.UTC(), back.Time.UTC(); len(e.Params) == len(back.Params) && len(e.Params) > 0 && !valid(&e, &back) {
			t.Errorf("got %+v, want %+v", back, e)
		}
	})
}

// valid compares two events, but for text that was not UTF-8.
func valid(a, b *hooks.Event) bool {
	for name, v := range a.Params {
		if text, ok := v.(string); ok && text != string([]rune(text)) {
			return true
		}
		if name != string([]rune(name)) {
			return true
		}
	}
	return reflect.DeepEqual(a.Params, b.Params)
}
