package dialplan

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"ringhook/fastagi"
)

// encoded returns the encoded record of a point.
func encoded(env fastagi.Env, left traced) traceBuffer {
	p := &pointSession{session: &fastagi.Session{}, current: &current{settings: newSettings(Settings{})}, traced: left, kind: "short"}
	*p.session.Env() = env
	p.request = &request{env: p.session.Env(), args: map[string]string{"linkedid": "1.1", "status": "BUSY"}, asked: []string{"linkedid", "visit", "status"}}
	b := traceBuffer{traceVersion}
	p.encode(&b, "OK", 1500*time.Microsecond)
	return b
}

// TestTraceRoundTrip checks that a decoded record equals the encoded one, and that a cut one is refused.
func TestTraceRoundTrip(t *testing.T) {
	b := encoded(fastagi.Env{
		Point: "queue-dial", Query: "a=b", Channel: "PJSIP/trunk-1", UniqueID: "1.2", CallerNum: "101", CallerName: "Zoë", DNID: "500", Args: []string{"queue_id=500"},
	}, traced{
		refused: []refusal{{"SHELL(id)", "name"}}, recorded: []TracedEvent{{"queue-dial", 2}}, err: "event not kept: disk",
		set: []fastagi.Variable{{Name: "RINGHOOK_STATUS", Value: "OK"}},
	})
	got, err := DecodeTrace(b)
	want := PointTrace{
		Took: 1500 * time.Microsecond, Point: "queue-dial", LinkedID: "1.1", UniqueID: "1.2", Channel: "PJSIP/trunk-1",
		Caller: "101", CallerName: "Zoë", DNID: "500", Kind: "short", Query: "a=b", Given: []string{"queue_id=500"},
		Read:   []TracedValue{{"linkedid", "1.1"}, {"visit", ""}, {"status", "BUSY"}},
		Events: []TracedEvent{{"queue-dial", 2}}, Set: []TracedValue{{"RINGHOOK_STATUS", "OK"}}, Refused: []TracedValue{{"SHELL(id)", "name"}},
		Status: "OK", Error: "event not kept: disk",
	}
	got.At = time.Time{}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v\nwant %+v", got, err, want)
	}
	for end := range b {
		if _, err := DecodeTrace(b[:end]); err == nil {
			t.Errorf("the first %d bytes of a record were accepted", end)
		}
	}
}

// TestTracePoint checks that both encoders of a record produce the same.
func TestTracePoint(t *testing.T) {
	want := PointTrace{
		At: time.UnixMicro(7), Took: time.Second, Hungup: true, Point: "late-answer", LinkedID: "1.1", UniqueID: "1.2", Channel: "PJSIP/trunk-1", Caller: "1", CallerName: "n",
		DNID: "5", Kind: "k", Query: "q", Given: []string{"g"}, Read: []TracedValue{{"r", "1"}}, Status: "applied", Error: "e", Why: "w",
		Lookups: []TracedLookup{{Lookup: "crm", Outcome: "found", Why: "x", Took: time.Minute, Age: time.Hour, Shadow: true}},
		Events:  []TracedEvent{{"queue-dial", 2}}, Set: []TracedValue{{"A", "1"}}, Refused: []TracedValue{{"B", "name"}},
	}
	b := traceBuffer{traceVersion}
	b.point(&want)
	if got, err := DecodeTrace(b); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v\nwant %+v", got, err, want)
	}
}

// TestTraceIsBounded checks that a record is bounded however much Asterisk and a source send.
func TestTraceIsBounded(t *testing.T) {
	long := strings.Repeat("ж", 4000)
	left := traced{err: long}
	var args []string
	for range 1000 {
		left.refused = append(left.refused, refusal{long, "name"})
		left.recorded = append(left.recorded, TracedEvent{long, 1})
		left.set = append(left.set, fastagi.Variable{Name: long, Value: long})
		args = append(args, long)
	}
	b := encoded(fastagi.Env{Point: long, Query: long, Channel: long, UniqueID: long, CallerNum: long, CallerName: long, DNID: long, Args: args}, left)
	if len(b) > maxTrace+1024 {
		t.Errorf("record has %d bytes", len(b))
	}
	p, err := DecodeTrace(b)
	if err != nil || len(p.Given) != maxTracedList || len(p.Caller) > maxTracedValue || !strings.HasPrefix(long, p.Error) || p.Error == "" {
		t.Errorf("got %+v, %v", p, err)
	}
}

func FuzzDecodeTrace(f *testing.F) {
	f.Add([]byte(encoded(fastagi.Env{Point: "lookup"}, traced{})))
	f.Add([]byte{traceVersion, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1})
	f.Fuzz(func(t *testing.T, record []byte) {
		if p, err := DecodeTrace(record); err != nil && p.Point != "" {
			t.Errorf("a refused record is decoded as %+v", p)
		}
	})
}
