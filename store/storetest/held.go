package storetest

import (
	"context"
	"slices"
	"testing"
	"time"

	"ringhook/dialplan"
	"ringhook/hooks"
	"ringhook/store/browse"
)

// Held is a store under test with the parts that show calls and that record crashes.
type Held struct {
	Operated
	browse.CallReader
	// Crashed records a crash during an attempt at a delivery.
	Crashed func(ctx context.Context, delivery int64, at time.Time, why string) (dead bool, err error)
}

// RunHeld checks how a store shows calls, and what becomes of a delivery that crashes ringhook. open returns an empty store
// that takes the time from now and is closed when the test ends.
func RunHeld(t *testing.T, open func(t *testing.T, now func() time.Time) Held) {
	for _, test := range []struct {
		name string
		run  func(t *testing.T, c *clock, s Held)
	}{{"calls of a linkedid", callsOfLinkedID}, {"the list of calls", listOfCalls}, {"crashes", crashes}} {
		t.Run(test.name, func(t *testing.T) {
			c := newClock()
			test.run(t, c, open(t, c.now))
		})
	}
}

// callsOfLinkedID checks that a call is found by its linkedid and its call_uuid, also if only an event of it is kept.
func callsOfLinkedID(t *testing.T, c *clock, s Held) {
	east, west := dialplan.Identity{Asterisk: "east", LinkedID: "1.1"}, dialplan.Identity{Asterisk: "west", LinkedID: "1.1"}
	for seq, id := range []dialplan.Identity{west, east} {
		r := Record("1.1", seq+1, "a")
		r.Call, r.Events[0].Event.Params["call_uuid"] = id.Key(), id.UUID()
		Keep(t, s.Home, r)
		c.add(time.Second)
	}
	Keep(t, s.Home, Record("1.10", 1, "a")) // another linkedid
	gone := dialplan.Identity{Asterisk: "north", LinkedID: "1.2"}
	r := Record("1.2", 1, "a")
	r.State, r.Events[0].Event.Params["call_uuid"] = nil, gone.UUID()
	Keep(t, s.Home, r)

	list, err := s.Calls("1.1")
	if err != nil || len(list) != 2 || list[0].Key != west.Key() || list[1].Key != east.Key() || list[1].Asterisk() != "east" ||
		list[0].UUID() != west.UUID() || list[0].LinkedID != "1.1" || string(list[1].State) != `{"seq":2}` || !list[0].Seen.Before(list[1].Seen) {
		t.Errorf("calls: %+v, %v", list, err)
	}
	if calls, err := s.EventCalls("1.1"); err != nil || !slices.Equal(calls, []string{west.UUID(), east.UUID()}) {
		t.Errorf("calls of events: %v, %v", calls, err)
	}
	unknown := dialplan.Identity{Asterisk: "south", LinkedID: "1.3"}.UUID()
	for text, want := range map[string]string{east.UUID(): "1.1", gone.UUID(): "1.2", unknown: unknown, "1.1": "1.1", "x": "x"} {
		if got, err := s.LinkedIDOf(text); err != nil || got != want {
			t.Errorf("linkedid of %s: %s, %v", text, got, err)
		}
	}
}

// listOfCalls checks that pages of the list have each call once, the latest first, also calls of the same time.
func listOfCalls(t *testing.T, c *clock, s Held) {
	var want []string
	for _, linkedid := range []string{"1.1", "1.2", "1.3", "1.4", "1.5", "1.6", "1.7"} {
		Keep(t, s.Home, Record(linkedid, 1, "a"))
		want = append(want, linkedid)
		if linkedid == "1.1" || linkedid == "1.6" { // 1.2 to 1.6 have one time
			c.add(time.Second)
		}
	}
	var got []string
	for at := (browse.Place{Before: c.now().Add(time.Minute)}); ; {
		list, next, err := s.CallsAfter(at, 2)
		if err != nil {
			t.Fatal(err)
		}
		if len(list) == 0 {
			break
		}
		if len(list) > 2 || next != list[len(list)-1].Place() {
			t.Fatalf("%d calls until %v", len(list), next)
		}
		for i := range list {
			got = append(got, list[i].LinkedID)
		}
		if at, err = browse.ParsePlace(next.String()); err != nil {
			t.Fatal(err)
		}
	}
	if len(got) != len(want) || got[0] != "1.7" || got[6] != "1.1" {
		t.Errorf("the list is %v", got)
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("the list has %v, want %v", got, want)
	}

	got = nil
	err := s.CallsSince(c.now().Add(-time.Second), func(call browse.HeldCall) bool {
		got = append(got, call.LinkedID)
		return len(got) < 3
	})
	if err != nil || len(got) != 3 || slices.Contains(got, "1.1") {
		t.Errorf("calls since a second ago: %v, %v", got, err)
	}
}

// crashes checks that a delivery that crashes ringhook pauses, and is dead after the third crash. One that waits for it
// continues then, and one that is not pending is not changed.
func crashes(t *testing.T, c *clock, s Held) {
	Keep(t, s.Home, Record("1.1", 1, "a"))
	Keep(t, s.Home, Record("1.1", 2, "a"))
	Keep(t, s.Home, Record("1.2", 1, "b"))
	delivered := expect(t, s.Home, "b", c.now(), "msg_1.2_1")[0].ID
	Settle(t, s.Home, delivered, hooks.Delivered, time.Time{})
	bad := expect(t, s.Home, "a", c.now(), "msg_1.1_1")[0].ID
	for n := 1; n <= 3; n++ {
		for _, id := range []int64{bad, delivered, 999_999} {
			if dead, err := s.Crashed(t.Context(), id, c.now(), "fatal error: stack overflow"); err != nil || id == bad && dead != (n == 3) {
				t.Fatalf("crash %d of %d: dead is %v, %v", n, id, dead, err)
			}
		}
		want := "msg_1.1_1"
		if n == 3 {
			want = "msg_1.1_2"
		} else {
			expect(t, s.Home, "a", c.now())
		}
		c.add(time.Minute)
		expect(t, s.Home, "a", c.now(), want)
	}
	item, attempts, err := s.Operator.Show(bad)
	if err != nil || item.State != hooks.Dead || item.Class != hooks.Poison || len(attempts) != 3 || attempts[0].Class != hooks.Crash {
		t.Errorf("the delivery is %+v with %+v, %v", item, attempts, err)
	}
	if item, attempts, err = s.Operator.Show(delivered); err != nil || item.State != hooks.Delivered || len(attempts) != 1 {
		t.Errorf("the delivered one is %+v with %+v, %v", item, attempts, err)
	}
}
