package store

import (
	"context"
	"testing"
	"time"

	"ringhook/hooks"
)

func TestReplay(t *testing.T) {
	c := newClock()
	s := testStore(t, c.now)
	o := s.Outbox()
	keep(t, s.Journal(), testRecord("1.0", 1, "a")) // before the span
	c.add(time.Minute)
	since := c.now()
	for _, linkedid := range []string{"1.1", "1.2", "1.3"} {
		keep(t, s.Journal(), testRecord(linkedid, 1, "a", "b"))
	}
	until := c.add(time.Minute)
	keep(t, s.Journal(), testRecord("1.4", 1, "a"))
	_, list := due(t, o, "a", c.now())
	for i, state := range []hooks.State{hooks.Delivered, hooks.Delivered, hooks.Dead, hooks.Pending, hooks.Delivered} {
		settleOne(t, o, list[i].ID, state, c.now().Add(time.Hour))
	}
	begun := c.add(48 * time.Hour)
	replay := func(want int) {
		t.Helper()
		if n, err := s.Operator().Replay(context.Background(), Replay{Hook: "a", Since: since, Until: until}); n != want || err != nil {
			t.Fatalf("got %d, %v, want %d", n, err, want)
		}
	}
	replay(2) // what is pending is not sent twice
	replay(0)
	settleOne(t, o, list[3].ID, hooks.Delivered, time.Time{})
	replay(1)

	// One at a time, with a pause, while a new event goes at once.
	keep(t, s.Journal(), testRecord("1.5", 1, "a"))
	expect := func(want ...string) []hooks.Delivery {
		t.Helper()
		got, list := due(t, o, "a", c.now())
		if len(got) != len(want) {
			t.Fatalf("due: got %v, want %v", got, want)
		}
		for i := range got {
			if got[i] != want[i] {
				t.Fatalf("due: got %v, want %v", got, want)
			}
		}
		return list
	}
	again := expect("msg_1.1_1", "msg_1.5_1")
	if again[0].Attempts != 0 || !again[0].Accepted.Equal(begun) {
		t.Errorf("sent again with %d attempts, accepted %v, want none and %v", again[0].Attempts, again[0].Accepted, begun)
	}
	if item, _, err := s.Operator().Show(again[0].ID); err != nil || item.ReplayOf != list[1].ID {
		t.Errorf("replay of %d, %v, want %d", item.ReplayOf, err, list[1].ID)
	}
	settleOne(t, o, again[0].ID, hooks.Delivered, time.Time{})
	expect("msg_1.5_1")
	c.add(replayPace)
	again = expect("msg_1.5_1", "msg_1.2_1")
	// One that fails is passed after the hold, as any.
	settleOne(t, o, again[1].ID, hooks.Pending, c.now().Add(time.Hour))
	expect("msg_1.5_1")
	c.add(15 * time.Minute)
	expect("msg_1.5_1", "msg_1.3_1")
	if _, list := due(t, o, "b", c.now()); len(list) != 3 || list[0].Attempts != 0 {
		t.Errorf("the other hook has %d due, want its 3", len(list))
	}
}

// TestReplayNewID is a receiver that shall process events again: each is the same
// but for its id, which is new each time, and the one before stays as it was.
func TestReplayNewID(t *testing.T) {
	c := newClock()
	s := testStore(t, c.now)
	o := s.Outbox()
	since := c.now()
	keep(t, s.Journal(), testRecord("1.1", 1, "a"))
	_, list := due(t, o, "a", c.now())
	settleOne(t, o, list[0].ID, hooks.Delivered, time.Time{})
	ids := map[string]bool{list[0].Event.ID: true}
	for range 2 {
		c.add(time.Minute)
		if n, err := s.Operator().Replay(context.Background(), Replay{Hook: "a", Since: since, Until: c.now(), NewID: true}); n != 1 || err != nil {
			t.Fatalf("got %d, %v", n, err)
		}
		_, again := due(t, o, "a", c.now())
		if len(again) != 1 || ids[again[0].Event.ID] {
			t.Fatalf("got %+v", again)
		}
		ev := again[0].Event
		ids[ev.ID] = true
		if ev.Name != list[0].Event.Name || ev.Seq != 1 || ev.LinkedID != "1.1" || len(ev.Params) != len(list[0].Event.Params) {
			t.Errorf("got %+v of %+v", ev, list[0].Event)
		}
		if told, ok := ev.Params["event_id"]; ok && told != ev.ID {
			t.Errorf("the parameter event_id is %v, want %s", told, ev.ID)
		}
		settleOne(t, o, again[0].ID, hooks.Delivered, time.Time{})
	}
	if item, _, err := s.Operator().Show(list[0].ID); err != nil || item.Event.ID != list[0].Event.ID {
		t.Errorf("the first is %+v, %v", item.Event, err)
	}
}

// TestReplayFromAnotherHook fills a new hook with what another one got: what the new
// one wants and has not had, once, whatever became of it at the other.
func TestReplayFromAnotherHook(t *testing.T) {
	c := newClock()
	s := testStore(t, c.now)
	o := s.Outbox()
	since := c.now()
	keep(t, s.Journal(), testRecord("1.1", 1, "old"))
	keep(t, s.Journal(), testRecord("1.2", 1, "old", "new"))
	keep(t, s.Journal(), testRecord("1.3", 1, "old"))
	keep(t, s.Journal(), testRecord("1.4", 1, "old"))
	_, list := due(t, o, "old", c.now())
	settleOne(t, o, list[0].ID, hooks.Delivered, time.Time{})
	settleOne(t, o, list[2].ID, hooks.Dead, time.Time{})
	c.add(time.Minute)
	r := Replay{Hook: "new", From: "old", Since: since, Until: c.now(), Wants: func(ev *hooks.Event) bool { return ev.LinkedID != "1.4" }}
	if n, err := s.Operator().Replayable(r); n != 2 || err != nil {
		t.Errorf("replayable: got %d, %v, want 2", n, err)
	}
	for _, want := range []int{2, 0} {
		if n, err := s.Operator().Replay(t.Context(), r); n != want || err != nil {
			t.Errorf("replay: got %d, %v, want %d", n, err, want)
		}
	}
	// Its own delivery of 1.2 is untouched, the two others come one by one.
	if got, _ := due(t, o, "new", c.now()); len(got) != 2 || got[0] != "msg_1.2_1" && got[1] != "msg_1.2_1" {
		t.Errorf("due: got %v, want msg_1.2_1 and one of those sent again", got)
	}
	if got, _ := due(t, o, "old", c.now()); len(got) != 2 {
		t.Errorf("due at the other hook: got %v, want its two", got)
	}
}
