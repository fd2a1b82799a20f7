package store

import (
	"context"
	"testing"
	"time"

	"ringhook/dialplan"
	"ringhook/hooks"
	"ringhook/store/sqlite"
)

// TestBehind checks that a step returns how long the first of the removed rows had been
// due, for deliveries and calls.
func TestBehind(t *testing.T) {
	c := newClock()
	s := testStore(t, c.now)
	stopUpkeep(s) // upkeep is the test's own
	keep(t, s.Journal(), testRecord("1.1", 1, "a"))
	_, list := due(t, s.Outbox(), "a", c.now())
	if _, err := s.Outbox().Settle(context.Background(), []hooks.Result{{Delivery: list[0].ID, State: hooks.Delivered}}); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct{ later, want time.Duration }{
		{s.cfg.KeepCalls, 0},
		{time.Hour, time.Hour}, // the call
		{s.cfg.KeepDelivered - s.cfg.KeepCalls + time.Hour, 2 * time.Hour}, // the delivery
		{time.Hour, 0},
	} {
		c.add(step.later)
		if _, err := s.maintainOnce(t.Context()); err != nil {
			t.Fatal(err)
		}
		if s.behind != step.want {
			t.Errorf("%v later: %v behind, want %v", step.later, s.behind, step.want)
		}
	}
}

// TestEndedInTheFuture checks that what ended while the clock was ahead is removed like the rest, also if the clock was set back
// while ringhook did not run.
func TestEndedInTheFuture(t *testing.T) {
	c := newClock()
	s := testStore(t, c.now)
	stopUpkeep(s)
	s.steps.since = func(last, now time.Time) time.Duration { return now.Sub(last) } // nothing is noticed
	const years = 10 * 365 * day
	c.add(years)
	keep(t, s.Journal(), testRecord("1.1", 1, "a", "b"))
	for hook, state := range map[string]hooks.State{"a": hooks.Delivered, "b": hooks.Dead} {
		_, list := due(t, s.Outbox(), hook, c.now())
		settleOne(t, s.Outbox(), list[0].ID, state, time.Time{})
	}
	c.add(-years)
	left := func(later time.Duration, deliveries, calls int) {
		t.Helper()
		c.add(later)
		if _, err := s.maintainOnce(t.Context()); err != nil {
			t.Fatal(err)
		}
		list, err := s.Operator().List(Filter{Limit: 10})
		if err != nil || len(list) != deliveries {
			t.Errorf("%d deliveries, %v, want %d", len(list), err, deliveries)
		}
		if held, err := s.Calls("1.1"); err != nil || len(held) != calls {
			t.Errorf("%d calls, %v, want %d", len(held), err, calls)
		}
	}
	left(0, 2, 1)
	left(s.cfg.KeepCalls+time.Minute, 2, 0)
	left(s.cfg.KeepDelivered-s.cfg.KeepCalls, 1, 0)
	left(s.cfg.KeepDead-s.cfg.KeepDelivered, 0, 0)
}

// TestRememberedStays checks that the values of a call stay while the call or an event of it is stored, also if delivered
// events are removed at once because room is scarce, and not longer.
func TestRememberedStays(t *testing.T) {
	c := newClock()
	s := testStore(t, c.now)
	stopUpkeep(s) // upkeep is the test's own
	deliver := func(linkedid string, values map[string]string) {
		t.Helper()
		_, list := due(t, s.Outbox(), "a", c.now())
		for _, d := range list {
			r := hooks.Result{Delivery: d.ID, State: hooks.Delivered, Call: linkedid, Values: values, Attempt: hooks.Attempt{Started: c.now(), Class: "delivered"}}
			if _, err := s.Outbox().Settle(context.Background(), []hooks.Result{r}); err != nil {
				t.Fatal(err)
			}
		}
	}
	tidy := func(later time.Duration) {
		t.Helper()
		c.add(later)
		if _, err := s.maintainOnce(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	remembers := func(want bool, calls ...string) {
		t.Helper()
		for _, call := range calls {
			if got, err := s.Outbox().Remembered("a", call); err != nil || got["crm_call"] == "7" != want {
				t.Errorf("%s: got %v, %v, want %v", call, got, err, want)
			}
		}
	}
	if err := s.w.do(t.Context(), upkeep, 0, func(*sqlite.Conn) error { s.w.tight = true; return nil }); err != nil {
		t.Fatal(err)
	}
	second := testRecord("1.2", 1, "a")
	second.Call += " @pbx"
	other := testRecord("1.3", 1, "a")
	other.State = nil // of no call that is kept
	for _, r := range []dialplan.Record{testRecord("1.1", 1, "a"), second, other} {
		keep(t, s.Journal(), r)
		deliver(r.Events[0].Event.LinkedID, map[string]string{"crm_call": "7"})
	}
	remembers(true, "1.1", "1.2", "1.3")
	tidy(time.Second)
	if n, err := s.Operator().List(Filter{Limit: 10}); err != nil || len(n) != 0 {
		t.Fatalf("deliveries are left: %+v, %v", n, err)
	}
	remembers(true, "1.1", "1.2")
	remembers(false, "1.3")
	keep(t, s.Journal(), testRecord("1.1", 2, "a")) // pending: it needs the value
	tidy(s.cfg.KeepCalls - time.Hour)
	remembers(true, "1.1", "1.2")
	tidy(2 * time.Hour)
	remembers(true, "1.1")
	remembers(false, "1.2")
	tidy(s.cfg.KeepCalls)
	remembers(true, "1.1")
	deliver("1.1", nil)
	tidy(time.Second)
	remembers(false, "1.1")
}
