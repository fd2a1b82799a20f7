package store

import (
	"testing"
	"time"

	"ringhook/hooks"
)

// TestCrashed checks that a delivery that crashes ringhook pauses and is dead after the
// third crash, also over restarts. Deliveries that wait for it continue then. A delivery
// that is not pending is not changed.
func TestCrashed(t *testing.T) {
	c := newClock()
	cfg := testConfig(t)
	s := mustOpen(t, cfg, c.now)
	defer func() { mustClose(t, s) }()
	keep(t, s.Journal(), testRecord("1.1", 1, "a"))
	keep(t, s.Journal(), testRecord("1.1", 2, "a"))
	keep(t, s.Journal(), testRecord("1.2", 1, "b"))
	_, list := due(t, s.Outbox(), "b", c.now())
	delivered := list[0].ID
	settleOne(t, s.Outbox(), delivered, hooks.Delivered, time.Time{})
	_, list = due(t, s.Outbox(), "a", c.now())
	bad := list[0].ID

	for n := 1; n <= 3; n++ {
		for _, id := range []int64{bad, delivered, 999} {
			if dead, err := s.Outbox().Crashed(t.Context(), id, c.now(), "fatal error: stack overflow"); err != nil || id == bad && dead != (n == 3) {
				t.Fatalf("crash %d of %d: dead is %v, %v", n, id, dead, err)
			}
		}
		mustClose(t, s)
		s = mustOpen(t, cfg, c.now)
		if got, _ := due(t, s.Outbox(), "a", c.now()); n < 3 && len(got) != 0 {
			t.Errorf("after crash %d there are due at once %v", n, got)
		}
		c.add(time.Minute)
		want := "msg_1.1_1"
		if n == 3 {
			want = "msg_1.1_2"
		}
		if got, _ := due(t, s.Outbox(), "a", c.now()); len(got) != 1 || got[0] != want {
			t.Errorf("after crash %d there are due %v, want %s", n, got, want)
		}
	}
	item, attempts, err := s.Operator().Show(bad)
	if err != nil || item.State != hooks.Dead || item.Class != hooks.Poison || item.Attempts != 3 ||
		len(attempts) != 3 || attempts[0].Class != hooks.Crash || attempts[2].Excerpt != "fatal error: stack overflow" {
		t.Errorf("got %+v, %+v, %v", item, attempts, err)
	}
	if item, attempts, err = s.Operator().Show(delivered); err != nil || item.State != hooks.Delivered || len(attempts) != 1 {
		t.Errorf("delivered: got %+v, %+v, %v", item, attempts, err)
	}
}
