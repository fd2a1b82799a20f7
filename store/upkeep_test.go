package store

import (
	"context"
	"testing"
	"time"

	"ringhook/hooks"
)

// TestPace checks that the share of upkeep is a tenth of the time at first, grows to at
// most a third while due rows wait longer and longer, and otherwise stays.
func TestPace(t *testing.T) {
	const took = 100 * time.Millisecond
	for name, c := range map[string]struct {
		behind func(step int) time.Duration
		want   time.Duration // what it waits after a hundred seconds
	}{
		"catches up":   {func(step int) time.Duration { return max(0, time.Hour-time.Duration(step)*time.Minute) }, 10 * took},
		"holds":        {func(int) time.Duration { return time.Minute }, 10 * took},
		"falls behind": {func(step int) time.Duration { return time.Duration(step) * time.Second }, 2 * took},
	} {
		p := newPace()
		var wait time.Duration
		for step, passed := 0, time.Duration(0); passed < 100*time.Second; step++ {
			wait = p.after(took, c.behind(step))
			passed += took + wait
		}
		if wait != c.want {
			t.Errorf("%s: waits %v, want %v", name, wait, c.want)
		}
	}
}

// TestBehind checks that a step returns how long the first of the removed rows had been
// due, for deliveries and calls.
func TestBehind(t *testing.T) {
	c := newClock()
	s := testStore(t, c.now)
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
