package store

import (
	"context"
	"testing"
	"time"

	"ringhook/hooks"
)

// TestNumbersAreUsedOnce checks that the result of an attempt settles only the attempted
// delivery, even if that one was erased, or dropped and removed, and another was added. If
// its number were used again, a delivery that was never sent would count as delivered.
func TestNumbersAreUsedOnce(t *testing.T) {
	c := newClock()
	cfg := testConfig(t)
	s := mustOpen(t, cfg, c.now)
	defer func() { mustClose(t, s) }()
	stopUpkeep(s) // upkeep is the test's own
	last := int64(0)
	attempt := func() int64 {
		t.Helper()
		_, list := due(t, s.Outbox(), "a", c.now())
		if len(list) != 1 || list[0].ID <= last {
			t.Fatalf("due: got %+v, want one delivery with a number above %d", list, last)
		}
		last = list[0].ID
		return last
	}
	for n, remove := range map[string]func(id int64){
		"erased": func(int64) {
			if _, err := s.Erase(t.Context(), "+74950000001"); err != nil {
				t.Fatal(err)
			}
		},
		"dropped": func(id int64) {
			if _, err := s.Operator().Drop(t.Context(), id); err != nil {
				t.Fatal(err)
			}
			c.add(cfg.KeepDelivered + time.Second)
			for more := true; more; {
				var err error
				if more, err = s.maintainOnce(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
		},
	} {
		keep(t, s.Journal(), testRecord("1."+n, 1, "a"))
		under := attempt()
		remove(under)
		keep(t, s.Journal(), testRecord("2."+n, 1, "a"))
		settleOne(t, s.Outbox(), under, hooks.Delivered, time.Time{})
		settleOne(t, s.Outbox(), attempt(), hooks.Delivered, time.Time{})
	}

	// Nor after a restart, for those who wrote a number down, nor for what is sent again.
	if n, err := s.Operator().Replay(context.Background(), Replay{Hook: "a", Since: time.Unix(0, 0), Until: c.now().Add(time.Second)}); n == 0 || err != nil {
		t.Fatalf("replay: got %d, %v", n, err)
	}
	settleOne(t, s.Outbox(), attempt(), hooks.Delivered, time.Time{})
	if _, err := s.Erase(t.Context(), "+74950000001"); err != nil {
		t.Fatal(err)
	}
	mustClose(t, s)
	s = mustOpen(t, cfg, c.now)
	keep(t, s.Journal(), testRecord("3.1", 1, "a"))
	attempt()
}
