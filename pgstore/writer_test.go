package pgstore

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"ringhook/dialplan"
	"ringhook/hooks"
	"ringhook/store/storetest"
	"ringhook/test/wait"
)

// value returns the only value of a query.
func value[T any](t testing.TB, dsn, sql string, args ...any) (v T) {
	t.Helper()
	conn, err := pgx.Connect(wait.Context(t), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	if err := conn.QueryRow(wait.Context(t), sql, args...).Scan(&v); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return v
}

// queue queues a record.
func queue(t *testing.T, s *Store, r dialplan.Record) dialplan.Commit {
	t.Helper()
	c, err := s.Journal().Queue(wait.Context(t), r)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestOneRecordAtFault checks that a record which the engine refuses does not take the others of its batch with it.
func TestOneRecordAtFault(t *testing.T) {
	dsn := database(t)
	exec(t, dsn, "alter table ringhook.call add check (key <> '1.3')")
	s := openStore(t, dsn, time.Now)
	batch := make([]*task, 7)
	for n := range batch {
		r := storetest.Record("1."+string(rune('0'+n)), 1, "a")
		rec, err := encode(r)
		if err != nil {
			t.Fatal(err)
		}
		batch[n] = &task{rec: rec, lineage: dialplan.NewLineage(0), awaited: true, done: make(chan struct{})}
	}
	w := newWriter(wait.Context(t), Config{DSN: dsn}, s.clock, s.log, s.limit)
	w.commit(slices.Clone(batch))
	for n, task := range batch {
		if (task.err != nil) != (n == 3) || task.lineage.Broken() != (n == 3) || (len(task.due) == 1) != (n != 3) {
			t.Errorf("record %d: %v, due %v", n, task.err, task.due)
		}
	}
	if s.Ready() != nil {
		t.Errorf("the engine works: %v", s.Ready())
	}
	if err := w.conn.Close(context.Background()); err != nil {
		t.Error(err)
	}
}

// TestConnectionEnds checks that a record survives the end of the writer's connection.
func TestConnectionEnds(t *testing.T) {
	dsn := database(t)
	s := openStore(t, dsn, time.Now)
	storetest.Keep(t, s.Journal(), storetest.Record("1.1", 1, "a"))
	if ended := value[bool](t, dsn, "select bool_and(pg_terminate_backend(pid)) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()"); !ended {
		t.Fatal("the connections are not ended")
	}
	storetest.Keep(t, s.Journal(), storetest.Record("1.1", 2, "a"))
	if n := value[int](t, dsn, "select count(*)::integer from ringhook.event"); n != 2 {
		t.Errorf("%d events, want 2", n)
	}
}

// withoutStandby lets commits of the server wait for a standby that does not exist. The function that it returns ends
// that.
func withoutStandby(t *testing.T, dsn string) (restore func()) {
	t.Helper()
	set := func(names string) {
		exec(t, dsn, "alter system set synchronous_standby_names = '"+names+"'")
		exec(t, dsn, "select pg_reload_conf()")
		wait.Until(t, func() bool { return value[string](t, dsn, "show synchronous_standby_names") == names }, "the setting is not in force")
	}
	set("nowhere")
	done := false
	restore = func() {
		if !done {
			done = true
			set("")
		}
	}
	t.Cleanup(restore)
	return restore
}

const waiters = "select count(*)::integer from pg_stat_activity where datname = current_database() and wait_event = 'SyncRep'"

// TestStandbyAway checks that nothing is acknowledged that no standby has: neither a commit whose wait was cancelled, of
// which the engine only warns, nor a repeat of it, although its event is stored.
func TestStandbyAway(t *testing.T) {
	dsn := database(t)
	s := openStore(t, dsn, time.Now)
	storetest.Keep(t, s.Journal(), storetest.Record("1.0", 1, "a")) // the writer is connected
	restore := withoutStandby(t, dsn)
	first := queue(t, s, storetest.Record("1.1", 1, "a"))
	for range 2 { // the second is what the writer offers again
		wait.Until(t, func() bool { return value[int](t, dsn, waiters) == 1 }, "the commit does not wait for the standby")
		pid := value[int](t, dsn, "select pid from pg_stat_activity where datname = current_database() and wait_event = 'SyncRep'")
		if !value[bool](t, dsn, "select pg_cancel_backend($1)", pid) {
			t.Fatal("not cancelled")
		}
		wait.Until(t, func() bool {
			return value[int](t, dsn, "select count(*)::integer from ringhook.event where linkedid = '1.1'") == 1
		}, "the event is not visible, as the engine promises")
	}
	if _, err := first.Wait(wait.Context(t)); !errors.Is(err, ErrDoubt) {
		t.Errorf("a commit that no standby has: %v, want a doubt", err)
	}
	if err := s.Ready(); !errors.Is(err, ErrDoubt) {
		t.Errorf("ready: %v, want a doubt", err)
	}
	repeat := queue(t, s, storetest.Record("1.1", 1, "a"))
	wait.Until(t, func() bool { return value[int](t, dsn, waiters) == 1 }, "the repeat does not wait for the standby")
	restore()
	if _, err := repeat.Wait(wait.Context(t)); err != nil {
		t.Error(err)
	}
	if err := s.Ready(); err != nil {
		t.Errorf("ready: %v", err)
	}
	if n := value[int](t, dsn, "select count(*)::integer from ringhook.delivery"); n != 2 {
		t.Errorf("%d deliveries, want 2", n)
	}
}

// TestCloseWithoutStandby checks that Close ends although commits wait for a standby, and that they go on waiting
// in the engine.
func TestCloseWithoutStandby(t *testing.T) {
	dsn := database(t)
	s := openStore(t, dsn, time.Now)
	s.closeTime = time.Millisecond
	restore := withoutStandby(t, dsn)
	c := queue(t, s, storetest.Record("1.1", 1, "a"))
	state := make(chan error, 1)
	go func() {
		state <- s.Outbox().SetState(wait.Context(t), hooks.HookState{Hook: "a", Failures: 1}, nil, nil)
	}()
	wait.Until(t, func() bool { return value[int](t, dsn, waiters) == 2 }, "the commits do not wait for the standby")
	closeStore(t, s)
	if err := <-state; err == nil {
		t.Error("the state of the hook is not known to be stored")
	}
	if _, err := c.Wait(wait.Context(t)); !errors.Is(err, ErrDoubt) && !errors.Is(err, ErrClosed) {
		t.Errorf("got %v, want a doubt", err)
	}
	if n := value[int](t, dsn, "select count(*)::integer from ringhook.event"); n != 0 {
		t.Error("the event is visible before a standby has it: the commit was cancelled")
	}
	restore()
	wait.Until(t, func() bool { return value[int](t, dsn, "select count(*)::integer from ringhook.event") == 1 }, "the commit ends with the wait")
}

// TestClosed checks that a closed store refuses everything.
func TestClosed(t *testing.T) {
	s := openStore(t, database(t), time.Now)
	closeStore(t, s)
	if _, err := s.Journal().Queue(wait.Context(t), storetest.Record("1.1", 1, "a")); !errors.Is(err, ErrClosed) {
		t.Errorf("queue: %v", err)
	}
	if _, err := s.Outbox().Due("a", time.Now(), 1); !errors.Is(err, ErrClosed) {
		t.Errorf("due: %v", err)
	}
	if _, _, err := s.Journal().Call("1.1", time.Time{}); !errors.Is(err, ErrClosed) {
		t.Errorf("call: %v", err)
	}
	if _, err := s.Outbox().Settle(wait.Context(t), []hooks.Result{{Delivery: 1}}); !errors.Is(err, ErrClosed) {
		t.Errorf("settle: %v", err)
	}
}

// TestChangesWithoutStandby checks that a change of which the engine warns that no standby has it is in doubt, and that the
// repeat of it waits for the standby although there is nothing left to change.
func TestChangesWithoutStandby(t *testing.T) {
	dsn := database(t)
	s := openStore(t, dsn, time.Now)
	storetest.Keep(t, s.Journal(), storetest.Record("1.1", 1, "a"))
	_, list := storetest.Due(t, s.Outbox(), "a", time.Now())
	notice := storetest.Event("", 0)
	for name, change := range map[string]func() error{
		"results": func() error {
			_, err := s.Outbox().Settle(wait.Context(t), []hooks.Result{{Delivery: list[0].ID, State: hooks.Delivered}})
			return err
		},
		"drop": func() error {
			_, err := s.Operator().Drop(wait.Context(t), list[0].ID)
			return err
		},
		"erase": func() error {
			_, err := s.Erase(wait.Context(t), "+442079460142")
			return err
		},
		"event without a call": func() error {
			r := dialplan.Record{Call: "1.1", Events: []dialplan.Accepted{{Event: notice, Hooks: storetest.Routes("", "b")}}}
			_, err := queue(t, s, r).Wait(wait.Context(t))
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			restore := withoutStandby(t, dsn)
			changed := make(chan error, 1)
			begin := func() { changed <- change() }
			go begin()
			for range 2 { // the writer repeats a record by itself
				value[bool](t, dsn, "select pg_cancel_backend($1)", awaitPID(t, dsn, waitsForStandby))
				if name != "event without a call" {
					break
				}
				wait.Until(t, func() bool { return rows(t, dsn, "event") == 2 }, "the event is not visible, as the engine promises")
			}
			if err := <-changed; !errors.Is(err, ErrDoubt) {
				t.Fatalf("got %v, want a doubt", err)
			}
			go begin()
			awaitPID(t, dsn, waitsForStandby)
			restore()
			if err := <-changed; err != nil {
				t.Error(err)
			}
		})
	}
}
