package store

import (
	"testing"

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
