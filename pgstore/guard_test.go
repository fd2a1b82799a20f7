package pgstore

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"ringhook/pgstore/pgtest"
	"ringhook/store/storetest"
	"ringhook/test/wait"
)

// serve opens a database as a server does.
func serve(t *testing.T, dsn string, log *slog.Logger, reg prometheus.Registerer) *Store {
	t.Helper()
	s, err := OpenServer(wait.Context(t), Config{DSN: dsn}, log, reg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if s.ctx.Err() == nil {
			closeStore(t, s)
		}
	})
	return s
}

// expectUp checks the metric of the engine.
func expectUp(t *testing.T, reg *prometheus.Registry, want string) {
	t.Helper()
	text := "# HELP ringhook_engine_up 1 if PostgreSQL confirms commits, else 0.\n# TYPE ringhook_engine_up gauge\nringhook_engine_up " + want + "\n"
	if err := testutil.GatherAndCompare(reg, strings.NewReader(text), "ringhook_engine_up"); err != nil {
		t.Error(err)
	}
}

// TestEngineComesAndGoes opens a store while its engine is away. Until the engine is back, also after it was there,
// everything fails at once and says why; then the schema and the counts of hooks are brought up to date.
func TestEngineComesAndGoes(t *testing.T) {
	if server == nil {
		t.Skip("PostgreSQL is not installed")
	}
	own, err := pgtest.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(own.Stop)
	dsn := own.Database(t)
	conn, err := connect(wait.Context(t), dsn, nil)
	if err == nil { // the schema of an older ringhook
		err = errors.Join(applyStep(wait.Context(t), conn, "migrations/0001.sql", 1), conn.Close(wait.Context(t)))
	}
	if err != nil {
		t.Fatal(err)
	}
	own.Halt()

	var log bytes.Buffer
	reg := prometheus.NewRegistry()
	s := serve(t, dsn, slog.New(slog.NewTextHandler(&log, nil)), reg)
	away := func() {
		t.Helper()
		if _, err := s.Journal().Queue(wait.Context(t), storetest.Record("1.1", 1, "a")); classOf(err) != Away {
			t.Errorf("queue: %v", err)
		}
		if _, _, err := s.Journal().Call("1.1", time.Time{}); classOf(err) != Away {
			t.Errorf("call: %v", err)
		}
		if _, err := s.Operator().HookCounts(); classOf(err) != Away {
			t.Errorf("counts: %v", err)
		}
		if err := s.Journal().Barrier(wait.Context(t)); err != nil {
			t.Errorf("barrier: %v", err)
		}
		if s.Ready() == nil {
			t.Error("the store is ready")
		}
		expectUp(t, reg, "0")
	}
	away()
	if err := s.Outbox().EnsureHooks(wait.Context(t), []string{"a"}); err != nil {
		t.Errorf("hooks: %v", err)
	}
	for range 2 {
		if err := own.Resume(); err != nil {
			t.Fatal(err)
		}
		wait.Until(t, func() bool { return s.Ready() == nil }, "the store is not ready again")
		storetest.Keep(t, s.Journal(), storetest.Record("1.1", 1, "a"))
		wait.Until(t, func() bool { counts, err := s.Operator().HookCounts(); return err == nil && len(counts) == 1 }, "the hook has no counts")
		expectUp(t, reg, "1")
		own.Halt()
		wait.Until(t, func() bool { return s.Ready() != nil }, "the store is ready without its engine")
		away()
	}
	closeStore(t, s)
	if n := strings.Count(log.String(), "level=ERROR"); n != 3 {
		t.Errorf("%d errors are logged, want one for each time that the engine is away:\n%s", n, &log)
	}
}

// TestOneName checks that a second server of the same name is refused, and that it is not when the first has ended. Without a name in
// the configuration it is that of the host.
func TestOneName(t *testing.T) {
	dsn := database(t)
	log := slog.New(slog.DiscardHandler)
	first := serve(t, dsn, log, nil)
	short, cancel := context.WithTimeout(wait.Context(t), time.Second)
	defer cancel()
	if _, err := OpenServer(short, Config{DSN: dsn}, log, nil); !errors.Is(err, ErrServed) {
		t.Errorf("a second server: %v, want %v", err, ErrServed)
	}
	if tenant, err := OpenServer(wait.Context(t), Config{DSN: dsn, Tenant: 1}, log, nil); err != nil {
		t.Errorf("another tenant: %v", err)
	} else {
		closeStore(t, tenant)
	}
	tool := openStore(t, dsn, time.Now) // a command is no server
	storetest.Keep(t, tool.Journal(), storetest.Record("1.1", 1, "a"))
	closeStore(t, first)
	serve(t, dsn, log, nil)
}

// TestServerMistakes checks what a start refuses.
func TestServerMistakes(t *testing.T) {
	log := slog.New(slog.DiscardHandler)
	dsn := server.Database(t)
	if _, err := OpenServer(wait.Context(t), Config{DSN: dsn}, log, nil); !errors.Is(err, ErrNoSchema) {
		t.Errorf("an empty database: %v", err)
	}
	if err := Migrate(wait.Context(t), dsn); err != nil {
		t.Fatal(err)
	}
	exec(t, dsn, "update ringhook.schema set oldest_reader = 1000")
	if _, err := OpenServer(wait.Context(t), Config{DSN: dsn}, log, nil); !errors.Is(err, ErrNewer) {
		t.Errorf("the schema of a newer ringhook: %v", err)
	}
}

// TestGuardNoticesStandby checks that a server whose commits do not return is not ready, and that what it was given
// meanwhile is stored when they do.
func TestGuardNoticesStandby(t *testing.T) {
	dsn := database(t)
	s := serve(t, dsn, slog.New(slog.DiscardHandler), nil)
	restore := withoutStandby(t, dsn)
	wait.Until(t, func() bool { return errors.Is(s.Ready(), errSlow) }, "nothing is noticed: %v", s.Ready())
	c := queue(t, s, storetest.Record("1.1", 1, "a"))
	restore()
	if _, err := c.Wait(wait.Context(t)); err != nil {
		t.Errorf("the record: %v", err)
	}
	wait.Until(t, func() bool { return s.Ready() == nil }, "the store is not ready again")
}
