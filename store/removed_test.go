package store

import (
	"fmt"
	"testing"
	"time"

	"ringhook/hooks"
)

// TestHookRemoved checks that the deliveries of a hook that was removed from the
// configuration wait for a week, over restarts, and are dead then, unless the hook is back
// before. After an operator's retry they wait for another week.
func TestHookRemoved(t *testing.T) {
	c := newClock()
	cfg := testConfig(t)
	s := mustOpen(t, cfg, c.now)
	defer func() { mustClose(t, s) }()
	keepHouse := func(names ...string) {
		t.Helper()
		stopUpkeep(s) // upkeep is the test's own
		if names != nil {
			s.Outbox().SetConfiguredHooks(names)
		}
		for more := true; more; {
			var err error
			if more, err = s.maintainOnce(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	expect := func(hook string, pending, dead int) {
		t.Helper()
		tallies, err := s.Operator().HookCounts()
		var got HookCounts
		for _, tally := range tallies {
			if tally.Hook == hook {
				got = tally
			}
		}
		if err != nil || got.Pending != pending || got.Dead != dead {
			t.Fatalf("%s: got %+v, %v, want %d pending and %d dead", hook, got, err, pending, dead)
		}
	}
	const calls = 150 // more than one step's worth
	for n := range calls {
		keep(t, s.Journal(), testRecord(fmt.Sprintf("1.%d", n), 1, "a", "b"))
		keep(t, s.Journal(), testRecord(fmt.Sprintf("1.%d", n), 2, "a"))
	}
	c.add(30 * day)
	keepHouse() // before SetConfiguredHooks
	keepHouse("b")
	expect("a", 2*calls, 0) // however old it is
	c.add(6 * day)
	mustClose(t, s)
	s = mustOpen(t, cfg, c.now)
	keepHouse("b")
	expect("a", 2*calls, 0)
	if err := s.Outbox().EnsureHooks(t.Context(), []string{"a", "b"}); err != nil { // it is back, for a moment
		t.Fatal(err)
	}
	keepHouse("a", "b")
	keepHouse("b")
	c.add(KeepRemoved - time.Second)
	keepHouse("b")
	expect("a", 2*calls, 0)
	c.add(time.Second)
	keepHouse("b")
	expect("a", 0, 2*calls)
	expect("b", calls, 0)

	list, err := s.Operator().List(Filter{Hook: "a", Limit: 1})
	if err != nil || len(list) != 1 || list[0].State != hooks.Dead || list[0].Class != hooks.Removed {
		t.Fatalf("got %+v, %v", list, err)
	}
	if n, err := s.Operator().Retry(t.Context(), list[0].ID); n != 1 || err != nil {
		t.Fatalf("retry: got %d, %v", n, err)
	}
	c.add(KeepRemoved - time.Second)
	keepHouse("b")
	expect("a", 1, 2*calls-1)
	c.add(time.Second)
	keepHouse("b")
	expect("a", 0, 2*calls)
	c.add(cfg.KeepDead + time.Second)
	keepHouse("b")
	expect("a", 0, 0)
}

// TestHookRemovedAndClockSet checks that setting the clock does not end the wait.
func TestHookRemovedAndClockSet(t *testing.T) {
	c := newClock()
	s := testStore(t, c.now)
	stopUpkeep(s)
	s.steps.mu.Lock()
	s.steps.since = func(last, now time.Time) time.Duration { return 0 } // the monotonic clock stands
	s.steps.mu.Unlock()
	keep(t, s.Journal(), testRecord("1.1", 1, "a"))
	s.Outbox().SetConfiguredHooks(nil)
	for _, by := range []time.Duration{0, 10 * 365 * day, -20 * 365 * day} {
		c.add(by)
		for range 2 {
			if _, err := s.maintainOnce(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		tallies, err := s.Operator().HookCounts()
		if err != nil || len(tallies) != 1 || tallies[0].Pending != 1 || !tallies[0].Removed.Equal(c.now()) {
			t.Errorf("set by %v: got %+v, %v, want one pending since %v", by, tallies, err, c.now())
		}
	}
}
