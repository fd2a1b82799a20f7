package pgstore

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"ringhook/dialplan"
	"ringhook/hooks"
	"ringhook/store/storetest"
	"ringhook/test/wait"
)

// movingClock is set by the test.
type movingClock struct {
	mu sync.Mutex
	t  time.Time
}

func (c *movingClock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *movingClock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

func startClock() *movingClock { return &movingClock{t: time.Date(2026, 1, 15, 9, 30, 0, 0, time.UTC)} }

// maintain does all upkeep that is due.
func maintain(t *testing.T, s *Store) {
	t.Helper()
	for more := true; more; {
		var err error
		if more, _, err = s.maintainOnce(wait.Context(t), testKeep); err != nil {
			t.Fatal(err)
		}
	}
}

// rows returns the number of rows of a table.
func rows(t *testing.T, dsn, table string) int {
	t.Helper()
	return value[int](t, dsn, "select count(*)::integer from ringhook."+table)
}

// TestNothingIsLeft checks that upkeep empties every table of what has ended, and adds the changes of the counts up.
func TestNothingIsLeft(t *testing.T) {
	c := startClock()
	dsn := database(t)
	s := openStore(t, dsn, c.now)
	for n := range 10 {
		storetest.Keep(t, s.Journal(), storetest.Record(fmt.Sprint("1.", n), 1, "a", "b"))
	}
	for _, hook := range []string{"a", "b"} {
		_, list := storetest.Due(t, s.Outbox(), hook, c.now())
		for n, d := range list {
			storetest.Settle(t, s.Outbox(), d.ID, hooks.Pending, c.now())
			r := hooks.Result{Delivery: d.ID, State: hooks.State(1 + n%3), Call: "1.1", Values: map[string]string{"x": "1"}, Attempt: hooks.Attempt{Started: c.now()}}
			if _, err := s.Outbox().Settle(wait.Context(t), []hooks.Result{r}); err != nil {
				t.Fatal(err)
			}
		}
	}
	if n := rows(t, dsn, "tally_change"); n == 0 {
		t.Error("no change of the counts is stored")
	}
	c.add(365 * 24 * time.Hour)
	maintain(t, s)
	maintain(t, s) // what the removal changed
	for _, table := range []string{"call", "event", "delivery", "attempt", "remembered", "tally_change"} {
		if n := rows(t, dsn, table); n != 0 {
			t.Errorf("%s has %d rows", table, n)
		}
	}
	if n := value[int](t, dsn, "select count(*)::integer from ringhook.tally where pending = 0 and dead = 0"); n != 2 {
		t.Errorf("%d hooks have no deliveries, want 2", n)
	}
}

// TestFoldTogether checks that two nodes which add the counts up at the same time count each change once.
func TestFoldTogether(t *testing.T) {
	dsn := database(t)
	stores := []*Store{openStore(t, dsn, time.Now), openStore(t, dsn, time.Now)}
	const calls = 40
	var all sync.WaitGroup
	for n, s := range stores {
		all.Go(func() {
			for m := range calls {
				storetest.Keep(t, s.Journal(), storetest.Record(fmt.Sprint(n, ".", m), 1, "a", "b"))
				maintain(t, s)
			}
		})
	}
	all.Wait()
	for range 2 {
		counts, err := stores[0].Operator().HookCounts()
		if err != nil || len(counts) != 2 || counts[0].Pending != 2*calls || counts[1].Pending != 2*calls {
			t.Errorf("got %+v, %v, want %d pending each", counts, err, 2*calls)
		}
		maintain(t, stores[1])
	}
	if n := rows(t, dsn, "tally_change"); n != 0 {
		t.Errorf("%d changes are left", n)
	}
}

// TestVersionAfterRemoval checks that the state of a call which was removed and came again is not taken for the one that a node
// still has, however many changes of it were stored.
func TestVersionAfterRemoval(t *testing.T) {
	c := startClock()
	dsn := database(t)
	a, b := openStore(t, dsn, c.now), openStore(t, dsn, c.now)
	lineage := func(s *Store) *dialplan.Lineage {
		_, version, err := s.Journal().Call("1.1", time.Time{})
		if err != nil {
			t.Fatal(err)
		}
		return dialplan.NewLineage(version)
	}
	keep := func(s *Store, l *dialplan.Lineage, seq int) error {
		r := storetest.Record("1.1", seq, "a")
		r.Lineage = l
		_, err := queue(t, s, r).Wait(wait.Context(t))
		return err
	}
	const changes = 3
	old, copied := lineage(a), []*dialplan.Lineage(nil)
	for seq := range changes {
		if err := keep(a, old, seq); err != nil {
			t.Fatal(err)
		}
		copied = append(copied, dialplan.NewLineage(old.Version()))
	}
	c.add(storetest.KeepCalls + time.Second)
	maintain(t, b)
	fresh := lineage(b)
	if fresh.Version() != 0 {
		t.Fatalf("the call is still stored, version %d", fresh.Version())
	}
	for seq := range changes + 1 {
		if err := keep(b, fresh, changes+seq); err != nil {
			t.Fatal(err)
		}
		for n, l := range append(copied, old) {
			held := dialplan.NewLineage(l.Version())
			moved := (*dialplan.Moved)(nil)
			if err := keep(a, held, 100+n); !errors.As(err, &moved) || moved.Version != fresh.Version() {
				t.Errorf("a record on the old state %d was stored over the new one of version %d: %v", n, fresh.Version(), err)
			}
		}
	}
	// A node that has the call in memory goes on with it if nothing else is stored.
	c.add(storetest.KeepCalls + time.Second)
	maintain(t, a)
	if err := keep(b, fresh, 200); err != nil {
		t.Error(err)
	}
}

// TestRetryBesideRemoval checks that a delivery which is retried while upkeep removes it is either there and pending or gone, and
// counted as it is.
func TestRetryBesideRemoval(t *testing.T) {
	c := startClock()
	dsn := database(t)
	s := openStore(t, dsn, c.now)
	for n := range 200 {
		storetest.Keep(t, s.Journal(), storetest.Record(fmt.Sprint("1.", n), 1, "a"))
	}
	_, list := storetest.Due(t, s.Outbox(), "a", c.now())
	var ids []int64
	for _, d := range list {
		storetest.Settle(t, s.Outbox(), d.ID, hooks.Dead, time.Time{})
		ids = append(ids, d.ID)
	}
	c.add(storetest.KeepDead + time.Second)
	var both sync.WaitGroup
	both.Go(func() {
		for _, id := range ids {
			if _, err := s.Operator().Retry(wait.Context(t), id); err != nil {
				t.Error(err)
			}
		}
	})
	both.Go(func() { maintain(t, s) })
	both.Wait()
	maintain(t, s)
	counts, err := s.Operator().HookCounts()
	if err != nil || len(counts) != 1 || counts[0].Dead != 0 || counts[0].Pending != rows(t, dsn, "delivery") || counts[0].Pending != rows(t, dsn, "event") {
		t.Errorf("counts %+v, %v, of %d deliveries", counts, err, rows(t, dsn, "delivery"))
	}
	if n := value[int](t, dsn, "select count(*)::integer from ringhook.attempt a where not exists (select from ringhook.delivery d where d.id = a.delivery)"); n != 0 {
		t.Errorf("%d attempts of no delivery", n)
	}
}

// TestNodeClock checks that a node whose clock is wrong stores the times of the engine, and that its callers do not notice.
func TestNodeClock(t *testing.T) {
	dsn := database(t)
	s, err := Open(wait.Context(t), Config{DSN: dsn}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer closeStore(t, s)
	const off = -10 * 365 * 24 * time.Hour
	s.clock.mu.Lock()
	s.clock.local = func() time.Time { return time.Now().Add(off) }
	s.clock.last.local = s.clock.last.local.Add(off)
	s.clock.mu.Unlock()
	storetest.Keep(t, s.Journal(), storetest.Record("1.1", 1, "a"))
	at := time.Now().Add(off)
	due := func(when time.Time) (list []hooks.Delivery) {
		t.Helper()
		_, list = storetest.Due(t, s.Outbox(), "a", when)
		return list
	}
	list := due(at)
	if len(list) != 1 || at.Sub(list[0].Accepted).Abs() > wait.Limit {
		t.Fatalf("due at %v: %+v", at, list)
	}
	storetest.Settle(t, s.Outbox(), list[0].ID, hooks.Pending, at.Add(24*time.Hour))
	if list := due(at); len(list) != 0 {
		t.Errorf("due a day early: %+v", list)
	}
	if list := due(at.Add(25 * time.Hour)); len(list) != 1 {
		t.Error("not due in a day")
	}
	if !value[bool](t, dsn, `select bool_and(c.seen > now() - interval '1 day' and d.next_at > now())
		from ringhook.call c, ringhook.delivery d`) {
		t.Error("the stored times are those of the node's clock")
	}
}

// TestHookStateComesBack checks that the state of a hook is read as it was stored also if the clocks have drifted since: a
// sender takes an earlier end of a pause for the wish of an operator.
func TestHookStateComesBack(t *testing.T) {
	s := openStore(t, database(t), time.Now)
	at := time.UnixMilli(time.Now().UnixMilli())
	st := hooks.HookState{Hook: "a", Receiver: "r", Since: at, Failures: 3, Class: "timeout", Until: at.Add(time.Hour), Opened: 1}
	if err := s.Outbox().SetState(wait.Context(t), st, nil, nil); err != nil {
		t.Fatal(err)
	}
	s.clock.mu.Lock()
	s.clock.last.engine = s.clock.last.engine.Add(3 * time.Millisecond)
	s.clock.mu.Unlock()
	if got, err := s.Outbox().State("a"); got != st || err != nil {
		t.Errorf("got %+v, %v, want %+v", got, err, st)
	}
}

// TestStepOnce checks that of the nodes that notice a step of the engine's clock one moves the times.
func TestStepOnce(t *testing.T) {
	c := startClock()
	dsn := database(t)
	stores := []*Store{openStore(t, dsn, c.now), openStore(t, dsn, c.now)}
	for _, s := range stores {
		keptOf(s).StopMonotonic()
	}
	storetest.Keep(t, stores[0].Journal(), storetest.Record("1.1", 1, "a"))
	c.add(-10 * 365 * 24 * time.Hour)
	var both sync.WaitGroup
	for _, s := range stores {
		both.Go(func() { maintain(t, s) })
	}
	both.Wait()
	for _, s := range stores {
		maintain(t, s)
		if !s.now().Equal(c.now()) {
			t.Errorf("the engine's clock is taken for %v, want %v", s.now(), c.now())
		}
	}
	if seen := value[time.Time](t, dsn, "select seen from ringhook.call"); !seen.Equal(c.now()) {
		t.Errorf("seen %v, want %v", seen, c.now())
	}
}

// TestUpkeepRuns checks that a store does its upkeep by itself, and tries whether commits succeed again.
func TestUpkeepRuns(t *testing.T) {
	dsn := database(t)
	s := openStore(t, dsn, time.Now)
	s.maintainEvery, s.recoverEvery = 50*time.Millisecond, 50*time.Millisecond
	storetest.Keep(t, s.Journal(), storetest.Record("1.1", 1, "a"))
	exec(t, dsn, "alter table ringhook.call rename to elsewhere")
	if _, err := queue(t, s, built("1.2")).Wait(wait.Context(t)); err == nil || s.Ready() == nil {
		t.Fatal("the store is ready although nothing can be stored")
	}
	ctx, cancel := context.WithCancel(wait.Context(t))
	var upkeep sync.WaitGroup
	upkeep.Go(func() { s.tend(ctx) })
	upkeep.Go(func() { s.maintain(ctx, Keep{Delivered: 0, Dead: 0, Calls: 0}) })
	exec(t, dsn, "alter table ringhook.elsewhere rename to call")
	wait.Until(t, func() bool { return s.Ready() == nil }, "the store is not ready: %v", s.Ready())
	wait.Until(t, func() bool { return rows(t, dsn, "call") == 0 && rows(t, dsn, "tally_change") == 0 }, "calls are not removed")
	cancel()
	upkeep.Wait()
}

// TestLateLook checks that a store which could not look at the engine's clock when it was opened takes that for no step.
func TestLateLook(t *testing.T) {
	c := startClock()
	dsn := database(t)
	s := openStore(t, dsn, c.now)
	storetest.Keep(t, s.Journal(), storetest.Record("1.1", 1, "a"))
	s.clock.looked, s.clock.last.engine = false, s.clock.last.engine.Add(24*time.Hour)
	maintain(t, s)
	if seen := value[time.Time](t, dsn, "select seen from ringhook.call"); !seen.Equal(c.now()) || !s.now().Equal(c.now()) {
		t.Errorf("seen %v, the engine's clock is taken for %v, want %v", seen, s.now(), c.now())
	}
}
