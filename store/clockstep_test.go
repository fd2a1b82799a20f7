package store

import (
	"sync/atomic"
	"testing"
	"time"

	"ringhook/hooks"
)

// F23, F24: a clock that is set while ringhook runs ends nothing and plans
// nothing far away: what waits keeps its age, its schedule and its order, dead letters
// and calls stay as long as they would have, and what comes after it is as new.
func TestClockSet(t *testing.T) {
	const year = 365 * day
	for _, by := range []time.Duration{time.Hour, 10 * year, -time.Hour, -10 * year} {
		t.Run(by.String(), func(t *testing.T) {
			c := newClock()
			s := testStore(t, c.now)
			stopUpkeep(s) // upkeep is the test's own
			s.steps.mu.Lock()
			s.steps.since = func(last, now time.Time) time.Duration { return 0 } // the monotonic clock stands
			s.steps.mu.Unlock()
			begun := c.now()
			keep(t, s.Journal(), testRecord("1.1", 1, "a"))
			keep(t, s.Journal(), testRecord("1.2", 1, "a"))
			_, list := due(t, s.Outbox(), "a", c.now())
			settleOne(t, s.Outbox(), list[0].ID, hooks.Dead, time.Time{})
			settleOne(t, s.Outbox(), list[1].ID, hooks.Pending, begun.Add(30*time.Second))

			now := c.add(by)
			if got, _ := due(t, s.Outbox(), "a", now); len(got) != 0 {
				t.Errorf("due at once: %v", got)
			}
			if next, err := s.Outbox().Next("a"); err != nil || !next.Equal(now.Add(30*time.Second)) {
				t.Errorf("next: got %v, %v, want in 30 s of %v", next, err, now)
			}
			_, list = due(t, s.Outbox(), "a", now.Add(30*time.Second))
			if len(list) != 1 || !list[0].Accepted.Equal(now) {
				t.Errorf("its age is not what it was: %+v", list)
			}
			for more := true; more; {
				var err error
				if more, err = s.maintainOnce(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			if tallies, err := s.Operator().HookCounts(); err != nil || len(tallies) != 1 || tallies[0].Pending != 1 || tallies[0].Dead != 1 {
				t.Errorf("tallies %+v, %v, want one pending and one dead", tallies, err)
			}
			for _, linkedid := range []string{"1.1", "1.2"} {
				if calls, err := s.Calls(linkedid); err != nil || len(calls) != 1 || !calls[0].Seen.Equal(now) {
					t.Errorf("call %s: %+v, %v", linkedid, calls, err)
				}
			}
			keep(t, s.Journal(), testRecord("2.1", 1, "a"))
			if got, _ := due(t, s.Outbox(), "a", now); len(got) != 1 || got[0] != "msg_2.1_1" {
				t.Errorf("due: %v, want what is new", got)
			}
		})
	}
}

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
