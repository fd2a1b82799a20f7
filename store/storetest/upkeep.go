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

const day = 24 * time.Hour

// The times for which a store under test keeps what is no longer needed.
const (
	KeepDelivered = 7 * day
	KeepDead      = 30 * day
	KeepCalls     = day
)

// Kept is a store under test whose upkeep is the test's own.
type Kept struct {
	Operated
	SetConfiguredHooks func(names []string)
	// Maintain takes one step of upkeep, and reports whether there is more to do.
	Maintain func(ctx context.Context) (more bool, err error)
	// StopMonotonic stops the monotonic clock: what the test then adds to its clock is a step of the wall clock.
	StopMonotonic func()
}

// maintain does all upkeep that is due.
func (k *Kept) maintain(t *testing.T) {
	t.Helper()
	for more := true; more; {
		var err error
		if more, err = k.Maintain(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
}

// count returns the number of deliveries in these states.
func (k *Kept) count(t *testing.T, states ...hooks.State) int {
	t.Helper()
	ids, err := k.Operator.IDs(browse.Filter{States: states})
	if err != nil {
		t.Fatal(err)
	}
	return len(ids)
}

// expectCounts checks the counts of a hook.
func (k *Kept) expectCounts(t *testing.T, hook string, pending, dead int) {
	t.Helper()
	if got := countsOf(t, k.Operated, hook); got.Pending != pending || got.Dead != dead {
		t.Fatalf("%s: got %+v, want %d pending and %d dead", hook, got, pending, dead)
	}
}

// upkeep are the tests of upkeep.
var upkeep = []struct {
	name string
	run  func(t *testing.T, c *clock, k Kept, reopen func() Kept)
}{
	{"retention", retention},
	{"remembered values stay", rememberedStays},
	{"removed hook", hookRemoved},
	{"clock set", clockSet},
	{"removed hook and clock set", hookRemovedAndClockSet},
	{"due too late", dueTooLate},
}

// RunUpkeep checks the upkeep of a store, which keeps what is no longer needed for KeepDelivered, KeepDead and KeepCalls. open and
// reopen are those of Run.
func RunUpkeep(t *testing.T, open func(t *testing.T, now func() time.Time) (k Kept, reopen func() Kept)) {
	for _, test := range upkeep {
		t.Run(test.name, func(t *testing.T) {
			c := newClock()
			k, reopen := open(t, c.now)
			test.run(t, c, k, reopen)
		})
	}
}

// What has ended goes after its time, in steps, and what waits stays.
func retention(t *testing.T, c *clock, k Kept, _ func() Kept) {
	const calls = 250 // more than two steps' worth
	var queued []dialplan.Commit
	for n := range calls {
		q, err := k.Queue(context.Background(), Record(fmt.Sprint("1.", n), 1, "a", "b"))
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
	_, list := Due(t, k, "a", c.now())
	var results []hooks.Result
	for n, d := range list {
		r := hooks.Result{Delivery: d.ID, State: hooks.Delivered, Attempt: hooks.Attempt{Started: c.now(), Class: "x"}}
		if n%10 == 0 {
			r.State = hooks.Dead
		}
		results = append(results, r)
	}
	_, list = Due(t, k, "b", c.now())
	for n, d := range list {
		r := hooks.Result{Delivery: d.ID, State: hooks.Dropped}
		if n%50 == 0 {
			r = hooks.Result{Delivery: d.ID, State: hooks.Pending, Next: c.now().Add(time.Hour), Attempt: hooks.Attempt{Started: c.now(), Class: "x"}}
		}
		results = append(results, r)
	}
	if _, err := k.Settle(context.Background(), results); err != nil {
		t.Fatal(err)
	}
	expect := func(ended, dead, idle int) {
		t.Helper()
		k.maintain(t)
		if n := k.count(t, hooks.Delivered, hooks.Dropped); n != ended {
			t.Errorf("%d deliveries that have ended, want %d", n, ended)
		}
		if n := k.count(t, hooks.Pending); n != 5 {
			t.Errorf("%d pending deliveries, want 5", n)
		}
		k.expectCounts(t, "a", 0, dead)
		k.expectCounts(t, "b", 5, 0)
		if list, err := k.IdleCalls(time.Time{}, c.now(), 2*calls); err != nil || len(list) != idle {
			t.Errorf("%d calls, %v, want %d", len(list), err, idle)
		}
	}
	const ended, dead = calls - 25 + calls - 5, 25
	c.add(KeepCalls - time.Second)
	expect(ended, dead, calls)
	c.add(2 * time.Second)
	expect(ended, dead, 0)
	c.add(KeepDelivered - KeepCalls - 2*time.Second)
	expect(ended, dead, 0)
	c.add(2 * time.Second)
	expect(0, dead, 0)
	items, err := k.Operator.List(browse.Filter{States: []hooks.State{hooks.Dead}, Limit: 1})
	if err != nil || len(items) != 1 {
		t.Fatalf("got %+v, %v", items, err)
	}
	if item, attempts, err := k.Operator.Show(items[0].ID); err != nil || item.Event.Name != "agent-answer" || len(attempts) != 1 {
		t.Errorf("a dead one is shown as %+v, %+v, %v", item, attempts, err)
	}
	c.add(KeepDead - KeepDelivered)
	expect(0, 0, 0)
	if _, list := Due(t, k, "b", c.now()); len(list) != 5 || list[0].Attempts != 1 {
		t.Errorf("due are %+v, want what waits", list)
	}
}

// The values of a call stay while the call or an event of it is stored, and not longer.
func rememberedStays(t *testing.T, c *clock, k Kept, _ func() Kept) {
	second := Record("1.2", 1, "a")
	second.Call += " @pbx"
	const third = "pbx @home-1700000000.17" // the linkedid has the system name
	for _, r := range []dialplan.Record{Record("1.1", 1, "a"), second, Record(third, 1, "a")} {
		Keep(t, k, r)
		_, list := Due(t, k, "a", c.now())
		left := hooks.Result{
			Delivery: list[0].ID, State: hooks.Delivered, Call: r.Events[0].Event.LinkedID, Values: map[string]string{"crm_call": "7"},
			Attempt: hooks.Attempt{Started: c.now(), Class: "delivered"},
		}
		if _, err := k.Settle(context.Background(), []hooks.Result{left}); err != nil {
			t.Fatal(err)
		}
	}
	remembers := func(want bool, call string) {
		t.Helper()
		k.maintain(t)
		if got, err := k.Remembered("a", call); err != nil || got["crm_call"] == "7" != want {
			t.Errorf("%s: got %v, %v, want %v", call, got, err, want)
		}
	}
	for range 9 { // the second and the third call go on
		c.add(day)
		for _, call := range []string{second.Call, third} {
			Keep(t, k, dialplan.Record{Call: call, State: []byte("{}")})
		}
		if c.now().Before(newClock().now().Add(KeepDelivered)) {
			remembers(true, "1.1") // its event is stored
		}
	}
	remembers(false, "1.1")
	remembers(true, "1.2")
	remembers(true, third)
	c.add(KeepCalls + time.Second)
	remembers(false, "1.2")
	remembers(false, third)
}

// The deliveries of a hook that was removed from the configuration wait for a week, over restarts, and are dead then, unless the
// hook is back before. After an operator's retry they wait for another week.
func hookRemoved(t *testing.T, c *clock, k Kept, reopen func() Kept) {
	maintain := func(names ...string) {
		t.Helper()
		if names != nil {
			k.SetConfiguredHooks(names)
		}
		k.maintain(t)
	}
	const calls = 150 // more than one step's worth
	for n := range calls {
		Keep(t, k, Record(fmt.Sprint("1.", n), 1, "a", "b"))
		Keep(t, k, Record(fmt.Sprint("1.", n), 2, "a"))
	}
	c.add(30 * day)
	maintain() // before SetConfiguredHooks
	maintain("b")
	k.expectCounts(t, "a", 2*calls, 0) // however old it is
	c.add(6 * day)
	k = reopen()
	maintain("b")
	k.expectCounts(t, "a", 2*calls, 0)
	if err := k.EnsureHooks(t.Context(), []string{"a", "b"}); err != nil { // it is back, for a moment
		t.Fatal(err)
	}
	maintain("a", "b")
	maintain("b")
	c.add(browse.KeepRemoved - time.Second)
	maintain("b")
	k.expectCounts(t, "a", 2*calls, 0)
	c.add(time.Second)
	maintain("b")
	k.expectCounts(t, "a", 0, 2*calls)
	k.expectCounts(t, "b", calls, 0)

	list, err := k.Operator.List(browse.Filter{Hook: "a", Limit: 1})
	if err != nil || len(list) != 1 || list[0].State != hooks.Dead || list[0].Class != hooks.Removed {
		t.Fatalf("got %+v, %v", list, err)
	}
	if n, err := k.Operator.Retry(t.Context(), list[0].ID); n != 1 || err != nil {
		t.Fatalf("retry: got %d, %v", n, err)
	}
	c.add(browse.KeepRemoved - time.Second)
	maintain("b")
	k.expectCounts(t, "a", 1, 2*calls-1)
	c.add(time.Second)
	maintain("b")
	k.expectCounts(t, "a", 0, 2*calls)
	c.add(KeepDead + time.Second)
	maintain("b")
	k.expectCounts(t, "a", 0, 0)
}

// F23, F24: a clock that is set while ringhook runs ends nothing and plans nothing far away: what waits keeps its age, its
// schedule and its order, dead letters and calls stay as long as they would have, and what comes after it is as new.
func clockSet(t *testing.T, c *clock, k Kept, _ func() Kept) {
	const year = 365 * day
	k.StopMonotonic()
	for n, by := range []time.Duration{time.Hour, 10 * year, -time.Hour, -10 * year} {
		hook := fmt.Sprint("a", n)
		begun := c.now()
		Keep(t, k, Record(fmt.Sprint(n, ".1"), 1, hook))
		Keep(t, k, Record(fmt.Sprint(n, ".2"), 1, hook))
		_, list := Due(t, k, hook, c.now())
		Settle(t, k, list[0].ID, hooks.Dead, time.Time{})
		Settle(t, k, list[1].ID, hooks.Pending, begun.Add(30*time.Second))

		now := c.add(by)
		expect(t, k, hook, now)
		if next, err := k.Next(hook); err != nil || !next.Equal(now.Add(30*time.Second)) {
			t.Errorf("set by %v: next: got %v, %v, want in 30 s of %v", by, next, err, now)
		}
		_, list = Due(t, k, hook, now.Add(30*time.Second))
		if len(list) != 1 || !list[0].Accepted.Equal(now) {
			t.Errorf("set by %v: its age is not what it was: %+v", by, list)
		}
		k.maintain(t)
		k.expectCounts(t, hook, 1, 1)
		idle, err := k.IdleCalls(now.Add(-time.Second), now, 10)
		for m := range 2 {
			want := fmt.Sprint(n, ".", m+1)
			found := false
			for _, u := range idle {
				found = found || u.Call == want && u.Seen.Equal(now)
			}
			if err != nil || !found {
				t.Errorf("set by %v: call %s is not among %+v, %v", by, want, idle, err)
			}
		}
		Keep(t, k, Record(fmt.Sprint(n, ".3"), 1, hook))
		expect(t, k, hook, now, fmt.Sprint("msg_", n, ".3_1"))
	}
}

// Setting the clock does not end the wait for a hook that was removed.
func hookRemovedAndClockSet(t *testing.T, c *clock, k Kept, _ func() Kept) {
	k.StopMonotonic()
	Keep(t, k, Record("1.1", 1, "a"))
	k.SetConfiguredHooks(nil)
	for _, by := range []time.Duration{0, 10 * 365 * day, -20 * 365 * day} {
		c.add(by)
		for range 2 {
			k.maintain(t)
		}
		if got := countsOf(t, k.Operated, "a"); got.Pending != 1 || !got.Removed.Equal(c.now()) {
			t.Errorf("set by %v: got %+v, want one pending since %v", by, got, c.now())
		}
	}
}

// An attempt that is due later than any schedule allows, because the clock was wrong when it was planned, is moved.
func dueTooLate(t *testing.T, c *clock, k Kept, _ func() Kept) {
	Keep(t, k, Record("1.1", 1, "a"))
	_, list := Due(t, k, "a", c.now())
	Settle(t, k, list[0].ID, hooks.Pending, c.now().Add(365*day))
	k.maintain(t)
	if next, err := k.Next("a"); err != nil || !next.Equal(c.now().Add(2*day)) {
		t.Errorf("next: got %v, %v, want in two days", next, err)
	}
}
