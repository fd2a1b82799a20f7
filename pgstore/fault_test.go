package pgstore

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"ringhook/dialplan"
	"ringhook/hooks"
	"ringhook/store/storetest"
	"ringhook/test/wait"
)

func TestClasses(t *testing.T) {
	for code, want := range map[string]Class{
		"53100": Full, "53200": Crowded, "08006": Away, "08007": Doubt, "40003": Doubt, "40P01": Conflict, "55P03": Conflict, "57014": Conflict,
		"57P01": Away, "53300": Away, "25006": Away, "22021": Refused, "23514": Refused, "54000": Refused, "42P01": Other, "28P01": Other, "": Other,
	} {
		if got := classOfCode(code); got != want {
			t.Errorf("%s is %s, want %s", code, got, want)
		}
	}
}

// other is a connection of another program.
func other(t *testing.T, dsn string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(wait.Context(t), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

// do executes a statement on a connection.
func do(t *testing.T, conn *pgx.Conn, sql string, args ...any) {
	t.Helper()
	if _, err := conn.Exec(wait.Context(t), sql, args...); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

// awaitPID returns the process of a connection that waits for something.
func awaitPID(t *testing.T, dsn, condition string) (pid int) {
	t.Helper()
	sql := "select coalesce(min(pid), 0) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid() and " + condition
	wait.Until(t, func() bool {
		pid = value[int](t, dsn, sql)
		return pid != 0
	}, "no connection has %s", condition)
	return pid
}

const (
	waitsForLane    = "wait_event_type = 'Lock' and wait_event = 'advisory'"
	waitsForOther   = "wait_event_type = 'Lock' and wait_event <> 'advisory'"
	waitsForStandby = "wait_event = 'SyncRep'"
)

// holdLane locks a lane until the function is called that it returns.
func holdLane(t *testing.T, dsn, lane string) (release func()) {
	t.Helper()
	conn := other(t, dsn)
	do(t, conn, "select pg_advisory_lock(hashtextextended($1, 0))", lane)
	return func() { do(t, conn, "select pg_advisory_unlock(hashtextextended($1, 0))", lane) }
}

// built returns a record of a new call, which depends on nothing being stored.
func built(call string) dialplan.Record {
	r := storetest.Record(call, 1, "a")
	r.Lineage = dialplan.NewLineage(0)
	return r
}

// TestEngineRefusesAll checks that an engine which refuses everything is not taken for one that refuses a record: it is
// reported once, and until something is committed again.
func TestEngineRefusesAll(t *testing.T) {
	dsn := database(t)
	var log bytes.Buffer
	s, err := open(wait.Context(t), Config{DSN: dsn}, slog.New(slog.NewTextHandler(&log, nil)), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	exec(t, dsn, "alter table ringhook.call rename to elsewhere")
	for _, call := range []string{"1.1", "1.2"} {
		if _, err := queue(t, s, built(call)).Wait(wait.Context(t)); classOf(err) != Other {
			t.Errorf("call %s: %v", call, err)
		}
		if err := s.Journal().Barrier(wait.Context(t)); err != nil {
			t.Errorf("barrier: %v", err)
		}
		if s.Ready() == nil {
			t.Error("the store is ready although nothing can be stored")
		}
	}
	exec(t, dsn, "alter table ringhook.elsewhere rename to call")
	storetest.Keep(t, s.Journal(), built("1.3"))
	if err := s.Ready(); err != nil {
		t.Errorf("ready: %v", err)
	}
	closeStore(t, s)
	if n := strings.Count(log.String(), "\n"); n != 2 {
		t.Errorf("%d lines are logged, want one for the failure and one for its end:\n%s", n, &log)
	}
}

// TestOwnCommit checks that a record whose commit was in doubt is recognised as stored: the repeat is not taken for the
// change of another server, and waits for the standby.
func TestOwnCommit(t *testing.T) {
	dsn := database(t)
	s := openStore(t, dsn, time.Now)
	storetest.Keep(t, s.Journal(), storetest.Record("1.0", 1, "a")) // the writer is connected
	restore := withoutStandby(t, dsn)
	r := built("1.1")
	c := queue(t, s, r)
	pid := awaitPID(t, dsn, waitsForStandby)
	value[bool](t, dsn, "select pg_terminate_backend($1)", pid)
	if again := awaitPID(t, dsn, waitsForStandby); again == pid {
		wait.Until(t, func() bool { again = awaitPID(t, dsn, waitsForStandby); return again != pid }, "the commit is not repeated")
	}
	restore()
	if _, err := c.Wait(wait.Context(t)); err != nil {
		t.Error(err)
	}
	if stored := value[int64](t, dsn, "select version from ringhook.call where key = '1.1'"); r.Lineage.Broken() || r.Lineage.Version() != stored {
		t.Errorf("broken %v, version %d, want %d", r.Lineage.Broken(), r.Lineage.Version(), stored)
	}
	storetest.Keep(t, s.Journal(), r) // the lineage goes on
}

// TestDoubtStays checks that a commit whose outcome is not known is in doubt also if the engine then refuses connections.
func TestDoubtStays(t *testing.T) {
	dsn := database(t)
	s := openStore(t, dsn, time.Now)
	storetest.Keep(t, s.Journal(), storetest.Record("1.0", 1, "a"))
	restore := withoutStandby(t, dsn)
	c := queue(t, s, built("1.1"))
	pid := awaitPID(t, dsn, waitsForStandby)
	name := value[string](t, dsn, "select current_database()")
	admin := other(t, server.DSN("postgres"))
	do(t, admin, "set synchronous_commit = local")
	do(t, admin, "alter database "+name+" allow_connections false")
	do(t, admin, "select pg_terminate_backend($1)", pid)
	if _, err := c.Wait(wait.Context(t)); !errors.Is(err, ErrDoubt) || classOf(err) != Doubt {
		t.Errorf("got %v, want a doubt", err)
	}
	do(t, admin, "alter database "+name+" allow_connections true")
	restore()
	if n := value[int](t, dsn, "select count(*)::integer from ringhook.event where linkedid = '1.1'"); n != 1 {
		t.Errorf("%d events, want the one in doubt", n)
	}
}

// TestChangedWithoutLock checks a call that something stores without its lock while the writer stores it: the record is
// refused, and not taken for stored.
func TestChangedWithoutLock(t *testing.T) {
	dsn := database(t)
	s := openStore(t, dsn, time.Now)
	conn := other(t, dsn)
	do(t, conn, "begin")
	do(t, conn, `insert into ringhook.call values (0, '1.1', '{"seq":9}', 5, now())`)
	c := queue(t, s, built("1.1"))
	awaitPID(t, dsn, waitsForOther)
	do(t, conn, "commit")
	moved := (*dialplan.Moved)(nil)
	if _, err := c.Wait(wait.Context(t)); !errors.As(err, &moved) || moved.Version != 5 {
		t.Errorf("got %v, want a move to version 5", err)
	}
}

// TestCancelledStatement checks that a statement which an administrator cancels before its commit is repeated.
func TestCancelledStatement(t *testing.T) {
	dsn := database(t)
	s := openStore(t, dsn, time.Now)
	storetest.Keep(t, s.Journal(), storetest.Record("1.1", 1, "a"))
	_, list := storetest.Due(t, s.Outbox(), "a", time.Now())
	release := holdLane(t, dsn, "1.1")
	c := queue(t, s, storetest.Record("1.1", 2, "a"))
	value[bool](t, dsn, "select pg_cancel_backend($1)", awaitPID(t, dsn, waitsForLane))
	settled := make(chan error, 1)
	go func() {
		_, err := s.Outbox().Settle(wait.Context(t), []hooks.Result{{Delivery: list[0].ID, State: hooks.Delivered}})
		settled <- err
	}()
	pid := awaitPID(t, dsn, waitsForLane+" and query like '%from ringhook.delivery where tenant%'")
	value[bool](t, dsn, "select pg_cancel_backend($1)", pid)
	release()
	if _, err := c.Wait(wait.Context(t)); err != nil {
		t.Errorf("record: %v", err)
	}
	if err := <-settled; err != nil {
		t.Errorf("settle: %v", err)
	}
}

// TestSlowCommit checks that the store is not ready while a commit does not end.
func TestSlowCommit(t *testing.T) {
	dsn := database(t)
	s := openStore(t, dsn, time.Now)
	s.w.slow = 0
	restore := withoutStandby(t, dsn)
	c := queue(t, s, built("1.1"))
	wait.Until(t, func() bool { return s.Ready() != nil }, "the store is ready although its commit does not end")
	restore()
	if _, err := c.Wait(wait.Context(t)); err != nil {
		t.Error(err)
	}
	wait.Until(t, func() bool { return s.Ready() == nil }, "the store is not ready after the commit")
}

// TestReadsWhileCommitsWait checks that calls are read although as many commits as there are connections wait for a
// standby.
func TestReadsWhileCommitsWait(t *testing.T) {
	dsn := database(t)
	s := openStore(t, dsn, time.Now)
	storetest.Keep(t, s.Journal(), built("1.1"))
	restore := withoutStandby(t, dsn)
	stored := make(chan error, poolSize)
	for n := range poolSize {
		go func() {
			stored <- s.Outbox().SetState(wait.Context(t), hooks.HookState{Hook: string(rune('a' + n)), Failures: 1}, nil, nil)
		}()
	}
	wait.Until(t, func() bool { return value[int](t, dsn, waiters) == poolSize }, "the commits do not wait for the standby")
	if state, _, err := s.Journal().Call("1.1", time.Time{}); state == nil || err != nil {
		t.Errorf("state %s, %v", state, err)
	}
	restore()
	for range poolSize {
		if err := <-stored; err != nil {
			t.Error(err)
		}
	}
}

// TestReadEnds checks that a read which takes too long does not go on in the engine.
func TestReadEnds(t *testing.T) {
	dsn := database(t)
	s := openStore(t, dsn, time.Now)
	s.readTime = time.Second
	err := s.query(func(pgx.Rows) error { return nil }, "select pg_sleep(100000)")
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want the end of the time", err)
	}
	wait.Until(t, func() bool {
		return value[int](t, dsn, "select count(*)::integer from pg_stat_activity where query like '%pg_sleep(100000)%' and state = 'active' and pid <> pg_backend_pid()") == 0
	}, "the read goes on in the engine")
}

// TestWaitEnds checks that the outcome of a commit is in doubt if its wait ended before, and that it is not cancelled.
func TestWaitEnds(t *testing.T) {
	dsn := database(t)
	s := openStore(t, dsn, time.Now)
	for seq := range 2 { // the second waits for the first
		storetest.Keep(t, s.Journal(), storetest.Record("1.1", seq+1, "a"))
	}
	_, list := storetest.Due(t, s.Outbox(), "a", time.Now())
	release := holdLane(t, dsn, "1.1")
	ctx, cancel := context.WithCancel(wait.Context(t))
	settled := make(chan error, 1)
	go func() {
		_, err := s.Outbox().Settle(ctx, []hooks.Result{{Delivery: list[0].ID, State: hooks.Delivered}})
		settled <- err
	}()
	awaitPID(t, dsn, waitsForLane)
	cancel()
	if err := <-settled; classOf(err) != Doubt || !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want a doubt", err)
	}
	release()
	wait.Until(t, func() bool {
		names, _ := storetest.Due(t, s.Outbox(), "a", time.Now())
		return len(names) == 1 && names[0] == "msg_1.1_2"
	}, "the results are not stored")
}

// TestResultsAgain checks results that are stored a second time, because their first commit was in doubt: they count once,
// and still say that others are due.
func TestResultsAgain(t *testing.T) {
	dsn := database(t)
	s := openStore(t, dsn, time.Now)
	for seq := range 2 {
		storetest.Keep(t, s.Journal(), storetest.Record("1.1", seq+1, "a"))
	}
	storetest.Keep(t, s.Journal(), storetest.Record("1.2", 1, "a"))
	names, list := storetest.Due(t, s.Outbox(), "a", time.Now())
	if len(names) != 2 {
		t.Fatalf("due are %v", names)
	}
	results := []hooks.Result{
		{Delivery: list[0].ID, State: hooks.Delivered, Attempt: hooks.Attempt{Started: time.Now(), Class: "delivered"}},
		{Delivery: list[1].ID, State: hooks.Pending, Next: time.Now(), Attempt: hooks.Attempt{Started: time.Now(), Class: "rejected"}},
	}
	for range 2 {
		if released, err := s.Outbox().Settle(wait.Context(t), results); !released || err != nil {
			t.Errorf("released %v, %v", released, err)
		}
	}
	for _, d := range list {
		item, attempts, err := s.Operator().Show(d.ID)
		if err != nil || item.Attempts != 1 || len(attempts) != 1 {
			t.Errorf("delivery %d has %d attempts, %v, %v", d.ID, item.Attempts, attempts, err)
		}
	}
	storetest.Settle(t, s.Outbox(), list[1].ID, hooks.Pending, time.Now()) // another one
	if item, _, err := s.Operator().Show(list[1].ID); err != nil || item.Attempts != 2 {
		t.Errorf("%d attempts, %v", item.Attempts, err)
	}
}

// TestStateLocksLanesFirst checks that the state of a hook and its notice are stored in the order in which an operator's
// retry locks: otherwise each would wait for the other.
func TestStateLocksLanesFirst(t *testing.T) {
	dsn := database(t)
	s := openStore(t, dsn, time.Now)
	st := hooks.HookState{Hook: "a", Failures: 1}
	if err := s.Outbox().SetState(wait.Context(t), st, nil, nil); err != nil {
		t.Fatal(err)
	}
	notice := hooks.Event{ID: "msg_1", Name: "hook-failing", Time: time.Now()}
	release := holdLane(t, dsn, laneOf("b", ""))
	stored := make(chan error, 1)
	go func() {
		stored <- s.Outbox().SetState(wait.Context(t), st, &notice, []hooks.Route{{Hook: "b"}})
	}()
	awaitPID(t, dsn, waitsForLane)
	do(t, other(t, dsn), "select from ringhook.hook_state where hook = 'a' for update nowait")
	release()
	if err := <-stored; err != nil {
		t.Error(err)
	}
}

// TestLimitsOfTheDatabase checks that time limits which are set for all programs do not end commits.
func TestLimitsOfTheDatabase(t *testing.T) {
	dsn := database(t)
	name := value[string](t, dsn, "select current_database()")
	for _, limit := range []string{"statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"} {
		exec(t, dsn, "alter database "+name+" set "+limit+" = '1min'")
	}
	s := openStore(t, dsn, time.Now)
	for _, pool := range []interface {
		QueryRow(context.Context, string, ...any) pgx.Row
	}{s.reads, s.changes} {
		for _, limit := range []string{"statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"} {
			var got string
			if err := pool.QueryRow(wait.Context(t), "show "+limit).Scan(&got); got != "0" || err != nil {
				t.Errorf("%s is %s, %v", limit, got, err)
			}
		}
	}
	if got := s.changes.Config().ConnConfig.ConnectTimeout; got != connectTime {
		t.Errorf("connecting may take %v, want %v", got, connectTime)
	}
}

// TestCallEnds checks that the read of a call ends at the deadline of the point that waits for it.
func TestCallEnds(t *testing.T) {
	dsn := database(t)
	s := openStore(t, dsn, time.Now)
	conn := other(t, dsn)
	do(t, conn, "begin")
	do(t, conn, "lock table ringhook.call in access exclusive mode")
	if _, _, err := s.Journal().Call("1.1", time.Now().Add(50*time.Millisecond)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want the end of the time", err)
	}
	do(t, conn, "rollback")
	if state, _, err := s.Journal().Call("1.1", time.Time{}); state != nil || err != nil {
		t.Errorf("state %s, %v", state, err)
	}
}
