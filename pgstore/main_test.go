package pgstore

import (
	"context"
	"log/slog"
	"os"
	"testing"
	"time"

	"ringhook/hooks"
	"ringhook/pgstore/pgtest"
	"ringhook/store/storetest"
	"ringhook/test/wait"
)

// server is the PostgreSQL of all tests, nil if none is installed.
var server *pgtest.Server

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m, &server)) }

// database creates a database with the schema.
func database(t testing.TB) (dsn string) {
	t.Helper()
	dsn = server.Database(t)
	if err := Migrate(wait.Context(t), dsn); err != nil {
		t.Fatal(err)
	}
	return dsn
}

// openStore opens a store that is closed when the test ends.
func openStore(t testing.TB, dsn string, now func() time.Time) *Store {
	t.Helper()
	s, err := open(wait.Context(t), Config{DSN: dsn}, slog.New(slog.DiscardHandler), now)
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

func closeStore(t testing.TB, s *Store) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
}

// home is a store as storetest knows it.
type home struct {
	*Journal
	*Outbox
}

func homeOf(s *Store) home { return home{s.Journal(), s.Outbox()} }

func TestStore(t *testing.T) {
	storetest.Run(t, func(t *testing.T, now func() time.Time) (storetest.Home, func() storetest.Home) {
		dsn := database(t)
		s := openStore(t, dsn, now)
		return homeOf(s), func() storetest.Home {
			closeStore(t, s)
			s = openStore(t, dsn, now)
			return homeOf(s)
		}
	})
}

func TestShared(t *testing.T) {
	storetest.RunShared(t, func(t *testing.T, now func() time.Time) (a, b storetest.Home) {
		dsn := database(t)
		return homeOf(openStore(t, dsn, now)), homeOf(openStore(t, dsn, now))
	})
}

func TestOperator(t *testing.T) {
	storetest.RunOperator(t, func(t *testing.T, now func() time.Time) storetest.Operated {
		s := openStore(t, database(t), now)
		return storetest.Operated{Home: homeOf(s), Operator: s.Operator(), EnsureHooks: s.Outbox().EnsureHooks}
	})
}

func TestUpkeep(t *testing.T) {
	storetest.RunUpkeep(t, func(t *testing.T, now func() time.Time) (storetest.Kept, func() storetest.Kept) {
		dsn := database(t)
		s := openStore(t, dsn, now)
		return keptOf(s), func() storetest.Kept {
			closeStore(t, s)
			s = openStore(t, dsn, now)
			return keptOf(s)
		}
	})
}

func TestPerson(t *testing.T) {
	storetest.RunPerson(t, func(t *testing.T, now func() time.Time) storetest.Personal {
		dsn := database(t)
		s := openStore(t, dsn, now)
		return storetest.Personal{
			Operated: storetest.Operated{Home: homeOf(s), Operator: s.Operator(), EnsureHooks: s.Outbox().EnsureHooks},
			Person:   s.Person,
			Erase:    s.Erase,
			Count:    func(table string) (int, error) { return rows(t, dsn, table), nil },
		}
	})
}

// testKeep is the time for which a store of the suite keeps what is no longer needed.
var testKeep = Keep{Delivered: storetest.KeepDelivered, Dead: storetest.KeepDead, Calls: storetest.KeepCalls}

func keptOf(s *Store) storetest.Kept {
	return storetest.Kept{
		Operated:           storetest.Operated{Home: homeOf(s), Operator: s.Operator(), EnsureHooks: s.Outbox().EnsureHooks},
		SetConfiguredHooks: s.Outbox().SetConfiguredHooks,
		Maintain: func(ctx context.Context) (bool, error) {
			more, _, err := s.maintainOnce(ctx, testKeep)
			return more, err
		},
		StopMonotonic: func() {
			s.clock.mu.Lock()
			defer s.clock.mu.Unlock()
			s.clock.since = func(last, now time.Time) time.Duration { return 0 }
		},
	}
}

func TestHeld(t *testing.T) {
	storetest.RunHeld(t, func(t *testing.T, now func() time.Time) storetest.Held {
		s := openStore(t, database(t), now)
		operated := storetest.Operated{Home: homeOf(s), Operator: s.Operator(), EnsureHooks: s.Outbox().EnsureHooks}
		return storetest.Held{Operated: operated, CallReader: s, Crashed: s.Outbox().Crashed}
	})
}

// TestTenants checks that what two tenants have does not meet, though their calls have the same names.
func TestTenants(t *testing.T) {
	dsn := database(t)
	for tenant := range 2 {
		s, err := Open(wait.Context(t), Config{DSN: dsn, Tenant: tenant}, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		if state, _, err := s.Journal().Call("1.1", time.Time{}); state != nil || err != nil {
			t.Errorf("tenant %d has a call: %q, %v", tenant, state, err)
		}
		storetest.Keep(t, s.Journal(), storetest.Record("1.1", 1, "a"))
		names, list := storetest.Due(t, s.Outbox(), "a", time.Now())
		if len(names) != 1 {
			t.Fatalf("tenant %d: due are %v", tenant, names)
		}
		storetest.Settle(t, s.Outbox(), list[0].ID, hooks.Pending, time.Now().Add(time.Hour))
		closeStore(t, s)
	}
	if n := value[int](t, dsn, "select count(*)::integer from ringhook.attempt"); n != 2 {
		t.Errorf("%d attempts, want one of each tenant", n)
	}
}

// exec runs a statement in a database.
func exec(t testing.TB, dsn, sql string, args ...any) {
	t.Helper()
	conn, err := connect(context.Background(), dsn, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	if _, err := conn.Exec(context.Background(), sql, args...); err != nil {
		t.Fatal(err)
	}
}
