package storetest

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"ringhook/dialplan"
)

var calls = []test{
	{"state", callState},
	{"records of one call in one commit", oneCommit},
	{"broken lineage", brokenLineage},
	{"a waiter that gave up", canceledWait},
	{"idle calls of one moment", idleAtOnce},
}

func callState(t *testing.T, _ *clock, h Home, reopen func() Home) {
	if state, _, err := h.Call("1.1", time.Time{}); state != nil || err != nil {
		t.Fatalf("unknown call: got %q, %v", state, err)
	}
	Keep(t, h, dialplan.Record{Call: "1.1", State: []byte("one")})
	h.KeepLater(dialplan.Record{Call: "1.1", State: []byte("two")})
	Keep(t, h, dialplan.Record{Call: "1.2", State: []byte("other")})
	for range 2 {
		for linkedid, want := range map[string]string{"1.1": "two", "1.2": "other"} {
			if state, _, err := h.Call(linkedid, time.Time{}); string(state) != want || err != nil {
				t.Errorf("call %s: got %q, %v, want %q", linkedid, state, err, want)
			}
		}
		h = reopen()
	}
}

func oneCommit(t *testing.T, c *clock, h Home, _ func() Home) {
	var queued []dialplan.Commit
	lineage := &dialplan.Lineage{}
	for seq := range 60 {
		r := Record("1.1", seq+1, "a")
		r.State, r.Lineage = fmt.Append(nil, seq), lineage
		q, err := h.Queue(context.Background(), r)
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
	if state, _, err := h.Call("1.1", time.Time{}); string(state) != "59" || err != nil {
		t.Errorf("state %q, %v, want the last one", state, err)
	}
}

func brokenLineage(t *testing.T, c *clock, h Home, _ func() Home) {
	lineage := &dialplan.Lineage{}
	lineage.Break()
	r := Record("1.1", 1, "a")
	r.State, r.Lineage = []byte("one"), lineage
	if _, err := commit(context.Background(), h, r); err == nil {
		t.Error("a record of a broken lineage was kept")
	}
	h.KeepLater(r)
	Keep(t, h, Record("1.2", 1, "a"))
	if state, _, err := h.Call("1.1", time.Time{}); state != nil || err != nil {
		t.Errorf("state %q, %v, want none", state, err)
	}
}

func canceledWait(t *testing.T, c *clock, h Home, _ func() Home) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := commit(ctx, h, Record("1.1", 1, "a"))
	Keep(t, h, Record("1.2", 1, "a"))
	if got, _ := Due(t, h, "a", c.now()); err == nil && !slices.Contains(got, "msg_1.1_1") {
		t.Errorf("kept, but not there: %v", got)
	}
}

// Idle calls whose last records were stored at the same moment are listed together, so that a list that goes on after that
// moment misses none.
func idleAtOnce(t *testing.T, c *clock, h Home, _ func() Home) {
	before := c.now()
	for n, at := range []time.Duration{time.Second, 0, 0, time.Second} {
		c.add(at)
		Keep(t, h, dialplan.Record{Call: fmt.Sprint("1.", n), State: []byte("{}")})
	}
	for limit, want := range map[int]int{1: 3, 2: 3, 3: 3, 4: 4, 5: 4} {
		list, err := h.IdleCalls(before, c.now(), limit)
		if err != nil || len(list) != want || list[len(list)-1].Call == "1.3" && want == 3 {
			t.Errorf("at most %d: got %v, %v, want %d", limit, list, err, want)
		}
	}
	if list, err := h.IdleCalls(c.now(), c.now(), 1); len(list) != 0 || err != nil {
		t.Errorf("after the last one: got %v, %v", list, err)
	}
}
