package storetest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"ringhook/dialplan"
	"ringhook/hooks"
	"ringhook/store/browse"
)

// What is sent again goes one at a time, with a pause, while a new event goes at once.
func replayed(t *testing.T, c *clock, s Operated) {
	Keep(t, s.Home, Record("1.0", 1, "a")) // before the span
	c.add(time.Minute)
	since := c.now()
	for _, linkedid := range []string{"1.1", "1.2", "1.3"} {
		Keep(t, s.Home, Record(linkedid, 1, "a", "b"))
	}
	until := c.add(time.Minute)
	Keep(t, s.Home, Record("1.4", 1, "a"))
	_, list := Due(t, s.Home, "a", c.now())
	for i, state := range []hooks.State{hooks.Delivered, hooks.Delivered, hooks.Dead, hooks.Pending, hooks.Delivered} {
		Settle(t, s.Home, list[i].ID, state, c.now().Add(time.Hour))
	}
	begun := c.add(48 * time.Hour)
	replay := func(want int) {
		t.Helper()
		if n, err := s.Operator.Replay(context.Background(), browse.Replay{Hook: "a", Since: since, Until: until}); n != want || err != nil {
			t.Fatalf("got %d, %v, want %d", n, err, want)
		}
	}
	replay(2) // what is pending is not sent twice
	replay(0)
	Settle(t, s.Home, list[3].ID, hooks.Delivered, time.Time{})
	replay(1)
	if n := countsOf(t, s, "a"); n.Pending != 3 {
		t.Errorf("%d deliveries are pending, want 3", n.Pending)
	}

	Keep(t, s.Home, Record("1.5", 1, "a"))
	again := expect(t, s.Home, "a", c.now(), "msg_1.1_1", "msg_1.5_1")
	if again[0].Attempts != 0 || !again[0].Accepted.Equal(begun) {
		t.Errorf("sent again with %d attempts, accepted %v, want none and %v", again[0].Attempts, again[0].Accepted, begun)
	}
	if item, _, err := s.Operator.Show(again[0].ID); err != nil || item.ReplayOf != list[1].ID {
		t.Errorf("replay of %d, %v, want %d", item.ReplayOf, err, list[1].ID)
	}
	Settle(t, s.Home, again[0].ID, hooks.Delivered, time.Time{})
	expect(t, s.Home, "a", c.now(), "msg_1.5_1")
	c.add(browse.ReplayPace)
	again = expect(t, s.Home, "a", c.now(), "msg_1.5_1", "msg_1.2_1")
	// One that fails is passed after the hold, as any.
	Settle(t, s.Home, again[1].ID, hooks.Pending, c.now().Add(time.Hour))
	expect(t, s.Home, "a", c.now(), "msg_1.5_1")
	c.add(15 * time.Minute)
	expect(t, s.Home, "a", c.now(), "msg_1.5_1", "msg_1.3_1")
	if _, list := Due(t, s.Home, "b", c.now()); len(list) != 3 || list[0].Attempts != 0 {
		t.Errorf("the other hook has %d due, want its 3", len(list))
	}
}

// countsOf returns the counts of a hook.
func countsOf(t *testing.T, s Operated, hook string) browse.HookCounts {
	t.Helper()
	list, err := s.Operator.HookCounts()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range list {
		if c.Hook == hook {
			return c
		}
	}
	return browse.HookCounts{}
}

// A receiver that shall process events again gets each of them with a new id, and the one before stays as it was.
func replayedWithNewIDs(t *testing.T, c *clock, s Operated) {
	since := c.now()
	ev := Event("1.1", 1)
	ev.Params["event_id"] = ev.ID
	Keep(t, s.Home, dialplan.Record{Call: "1.1", State: []byte("{}"), Events: []dialplan.Accepted{{Event: ev, Hooks: Routes("1.1", "a")}}})
	_, list := Due(t, s.Home, "a", c.now())
	Settle(t, s.Home, list[0].ID, hooks.Delivered, time.Time{})
	ids := map[string]bool{ev.ID: true}
	for range 2 {
		c.add(time.Minute)
		if n, err := s.Operator.Replay(context.Background(), browse.Replay{Hook: "a", Since: since, Until: c.now(), NewID: true}); n != 1 || err != nil {
			t.Fatalf("got %d, %v", n, err)
		}
		_, again := Due(t, s.Home, "a", c.now())
		if len(again) != 1 || ids[again[0].Event.ID] {
			t.Fatalf("got %+v", again)
		}
		got := again[0].Event
		ids[got.ID] = true
		if got.Name != ev.Name || got.Seq != 1 || got.LinkedID != "1.1" || len(got.Params) != len(ev.Params) || got.Params["event_id"] != got.ID {
			t.Errorf("got %+v of %+v", got, ev)
		}
		Settle(t, s.Home, again[0].ID, hooks.Delivered, time.Time{})
	}
	if item, _, err := s.Operator.Show(list[0].ID); err != nil || item.Event.ID != ev.ID {
		t.Errorf("the first is %+v, %v", item.Event, err)
	}
}

// A new hook gets what another one got: what it wants and has not had, once, whatever became of it at the other.
func replayedFromAnotherHook(t *testing.T, c *clock, s Operated) {
	since := c.now()
	Keep(t, s.Home, Record("1.1", 1, "old"))
	Keep(t, s.Home, Record("1.2", 1, "old", "new"))
	Keep(t, s.Home, Record("1.3", 1, "old"))
	Keep(t, s.Home, Record("1.4", 1, "old"))
	_, list := Due(t, s.Home, "old", c.now())
	Settle(t, s.Home, list[0].ID, hooks.Delivered, time.Time{})
	Settle(t, s.Home, list[2].ID, hooks.Dead, time.Time{})
	c.add(time.Minute)
	r := browse.Replay{Hook: "new", From: "old", Since: since, Until: c.now(), Wants: func(ev *hooks.Event) bool { return ev.LinkedID != "1.4" }}
	if n, err := s.Operator.Replayable(r); n != 2 || err != nil {
		t.Errorf("replayable: got %d, %v, want 2", n, err)
	}
	for _, want := range []int{2, 0} {
		if n, err := s.Operator.Replay(t.Context(), r); n != want || err != nil {
			t.Errorf("replay: got %d, %v, want %d", n, err, want)
		}
	}
	// Its own delivery of 1.2 is untouched, the two others come one by one.
	if got, _ := Due(t, s.Home, "new", c.now()); len(got) != 2 || got[0] != "msg_1.2_1" && got[1] != "msg_1.2_1" {
		t.Errorf("due: got %v, want msg_1.2_1 and one of those sent again", got)
	}
	if got, _ := Due(t, s.Home, "old", c.now()); len(got) != 2 {
		t.Errorf("due at the other hook: got %v, want its two", got)
	}
}

// More than is changed in one commit is sent again as a whole, each once.
func replayedInParts(t *testing.T, c *clock, s Operated) {
	const calls = 1100
	since := c.now()
	var queued []dialplan.Commit
	for n := range calls {
		q, err := s.Home.Queue(context.Background(), Record(fmt.Sprint("1.", n), 1, "a"))
		if err != nil {
			t.Fatal(err)
		}
		queued = append(queued, q)
	}
	for _, q := range queued {
		if _, err := q.Wait(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	list, err := s.Home.Due("a", c.now(), calls)
	if err != nil {
		t.Fatal(err)
	}
	var results []hooks.Result
	for _, d := range list {
		results = append(results, hooks.Result{Delivery: d.ID, State: hooks.Delivered})
	}
	if _, err := s.Home.Settle(context.Background(), results); err != nil {
		t.Fatal(err)
	}
	c.add(time.Minute)
	r := browse.Replay{Hook: "a", Since: since, Until: c.now()}
	if n, err := s.Operator.Replay(context.Background(), r); n != calls || err != nil {
		t.Errorf("got %d, %v, want %d", n, err, calls)
	}
	if n := countsOf(t, s, "a"); n.Pending != calls {
		t.Errorf("%d deliveries are pending, want %d", n.Pending, calls)
	}
}

// Of the replays of one delivery, only one is pending at a time: a retry leaves the others as they are.
func retriedReplays(t *testing.T, c *clock, s Operated) {
	since := c.now()
	Keep(t, s.Home, Record("1.1", 1, "a"))
	_, list := Due(t, s.Home, "a", c.now())
	Settle(t, s.Home, list[0].ID, hooks.Delivered, time.Time{})
	c.add(time.Minute)
	var ids []int64
	for range 3 {
		if n, err := s.Operator.Replay(t.Context(), browse.Replay{Hook: "a", Since: since, Until: c.now()}); n != 1 || err != nil {
			t.Fatalf("replay: got %d, %v", n, err)
		}
		c.add(time.Minute)
		_, list := Due(t, s.Home, "a", c.now())
		ids = append(ids, list[0].ID)
		if len(ids) < 3 {
			Settle(t, s.Home, list[0].ID, hooks.Dead, time.Time{})
		}
	}
	retry := func(want int, ids ...int64) {
		t.Helper()
		if n, err := s.Operator.Retry(t.Context(), ids...); n != want || err != nil {
			t.Errorf("retried %d, %v, want %d", n, err, want)
		}
	}
	retry(0, ids[0])
	if item, attempts, err := s.Operator.Show(ids[0]); err != nil || item.State != hooks.Dead || len(attempts) != 1 {
		t.Errorf("shown: %+v, %v, %v", item, attempts, err)
	}
	retry(1, ids...) // the pending one
	Settle(t, s.Home, ids[2], hooks.Dead, time.Time{})
	retry(1, ids...)
	if n := countsOf(t, s, "a"); n.Pending != 1 || n.Dead != 2 {
		t.Errorf("counts: %+v", n)
	}
}
