package store

import (
	"testing"
	"time"

	"ringhook/dialplan"
)

// TestLinkedIDOf checks that a call is found by its call_uuid, also if only an event of it is kept, and so are its
// deliveries.
func TestLinkedIDOf(t *testing.T) {
	s := testStore(t, newClock().now)
	east, west := dialplan.Identity{Asterisk: "east", LinkedID: "1.1"}, dialplan.Identity{Asterisk: "west", LinkedID: "1.2"}
	r := testRecord("1.1", 1, "a")
	r.Call, r.Events[0].Event.Params["call_uuid"] = east.Key(), east.UUID()
	keep(t, s.Journal(), r)
	r = testRecord("1.2", 1, "a")
	r.Events[0].Event.Params["call_uuid"] = west.UUID() // its state is under another key
	r.Events[0].Event.Params["callerid_name"] = `"call_uuid":"` + east.UUID() + `"`
	keep(t, s.Journal(), r)
	for _, id := range []dialplan.Identity{east, west} {
		if got, err := s.LinkedIDOf(id.UUID()); err != nil || got != id.LinkedID {
			t.Errorf("%v: got %s, %v", id, got, err)
		}
		list, err := s.Operator().List(Filter{Call: id.UUID()})
		if err != nil || len(list) != 1 || list[0].Event.LinkedID != id.LinkedID {
			t.Errorf("%v: got %+v, %v", id, list, err)
		}
	}
	unknown := dialplan.Identity{Asterisk: "north", LinkedID: "1.3"}.UUID()
	for _, text := range []string{unknown, "1.1", "x"} {
		if got, err := s.LinkedIDOf(text); err != nil || got != text {
			t.Errorf("%s: got %s, %v", text, got, err)
		}
	}
}

// TestParsePlace checks that a place is read as it is written, and that nothing else is one.
func TestParsePlace(t *testing.T) {
	at := time.UnixMilli(1768469400123)
	for text, want := range map[string]Place{"1768469400123.17": {at, 17}, "1768469400123": {at, 0}, "-1.0": {time.UnixMilli(-1), 0}} {
		if p, err := ParsePlace(text); err != nil || !p.Before.Equal(want.Before) || p.row != want.row {
			t.Errorf("%s: %v, %v", text, p, err)
		}
	}
	for _, text := range []string{"", ".", "1.", ".1", "1.2.3", "x", "1.x", " 1", "9223372036854775808", "1.9223372036854775808"} {
		if p, err := ParsePlace(text); err == nil {
			t.Errorf("%q is the place %v", text, p)
		}
	}
}

// FuzzParsePlace reads places.
func FuzzParsePlace(f *testing.F) {
	for _, text := range []string{"1768469400123.17", "1768469400123", "-1.0", "x", "1.", "9223372036854775807.-9223372036854775808"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, err := ParsePlace(text)
		if err != nil {
			return
		}
		if again, err := ParsePlace(p.String()); err != nil || again.row != p.row || again.Before.UnixMilli() != p.Before.UnixMilli() {
			t.Errorf("%q: %v became %v, %v", text, p, again, err)
		}
	})
}
