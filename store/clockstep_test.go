package store

import (
	"sync/atomic"
	"testing"
	"time"

	"ringhook/hooks"
)

// TestClockSetBeforeUpkeep: a clock that is set between the look at it and the removal of what is old ends
// nothing either.
func TestClockSetBeforeUpkeep(t *testing.T) {
	c := newClock()
	var ahead atomic.Int64
	ahead.Store(-1) // the clock is right
	s := testStore(t, func() time.Time {
		if n := ahead.Load(); n >= 0 && ahead.Add(1) > 1 {
			return c.now().Add(365 * day) // from the second look on
		}
		return c.now()
	})
	stopUpkeep(s)
	s.steps.since = func(last, now time.Time) time.Duration { return 0 }
	keep(t, s.Journal(), testRecord("1.1", 1, "a"))
	_, list := due(t, s.Outbox(), "a", c.now())
	settleOne(t, s.Outbox(), list[0].ID, hooks.Dead, time.Time{})
	ahead.Store(0)
	for more := true; more; {
		var err error
		if more, err = s.maintainOnce(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if tallies, err := s.Operator().HookCounts(); err != nil || len(tallies) != 1 || tallies[0].Dead != 1 {
		t.Errorf("tallies %+v, %v, want one dead", tallies, err)
	}
	if calls, err := s.Calls("1.1"); err != nil || len(calls) != 1 {
		t.Errorf("calls: %+v, %v", calls, err)
	}
}
