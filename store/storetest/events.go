package storetest

import (
	"context"
	"reflect"
	"slices"
	"testing"
	"time"

	"ringhook/dialplan"
	"ringhook/hooks"
)

var events = []test{
	{"event comes back as it was", sameEvent},
	{"repeated event is left out", repeatedEvent},
	{"due at once", dueAtOnce},
}

func sameEvent(t *testing.T, c *clock, h Home, reopen func() Home) {
	want := Event("1.1", 7)
	want.Final = true
	Keep(t, h, dialplan.Record{Call: "1.1", Events: []dialplan.Accepted{{Event: want, Hooks: Routes("1.1", "a")}}})
	h = reopen()
	list := expect(t, h, "a", c.now(), want.ID)
	got := list[0]
	if !reflect.DeepEqual(got.Event.Params, want.Params) {
		t.Errorf("parameters: got %#v, want %#v", got.Event.Params, want.Params)
	}
	if got.Event.Name != want.Name || got.Event.Seq != 7 || !got.Event.Final || !got.Event.Time.Equal(want.Time) ||
		got.Event.LinkedID != "1.1" || got.Hook != "a" || got.Attempts != 0 || !got.Accepted.Equal(c.now()) {
		t.Errorf("delivery: got %+v", got)
	}
}

// A point that is reported twice is one event.
func repeatedEvent(t *testing.T, c *clock, h Home, reopen func() Home) {
	Keep(t, h, Record("1.1", 1, "a"))
	Keep(t, h, Record("1.1", 1, "a", "b"))
	list := expect(t, h, "a", c.now(), "msg_1.1_1")
	expect(t, h, "b", c.now())
	Settle(t, h, list[0].ID, hooks.Delivered, time.Time{})
	h = reopen()
	Keep(t, h, Record("1.1", 1, "a"))
	expect(t, h, "a", c.now())
}

// Wait returns the same deliveries as Due: none that waits for another.
func dueAtOnce(t *testing.T, c *clock, h Home, _ func() Home) {
	keepDue := func(r dialplan.Record, want ...string) {
		t.Helper()
		list, err := commit(context.Background(), h, r)
		var got []string
		for _, d := range list {
			got = append(got, d.Hook+" "+d.Event.ID)
		}
		if err != nil || !slices.Equal(got, want) {
			t.Fatalf("due at once: got %q, %v, want %q", got, err, want)
		}
		for _, d := range list {
			asked, err := h.Due(d.Hook, c.now(), 1000)
			same := func(o hooks.Delivery) bool {
				return o.ID == d.ID && o.Attempts == d.Attempts && o.Accepted.Equal(d.Accepted) && reflect.DeepEqual(o.Event.Params, d.Event.Params)
			}
			if err != nil || !slices.ContainsFunc(asked, same) {
				t.Errorf("kept %+v, but the outbox has %+v, %v", d, asked, err)
			}
		}
	}
	keepDue(Record("1.1", 1, "a", "b"), "a msg_1.1_1", "b msg_1.1_1")
	keepDue(Record("1.1", 2, "a"))
	keepDue(Record("1.1", 1, "a"))
	keepDue(Record("1.2", 1, "a"), "a msg_1.2_1")
}
