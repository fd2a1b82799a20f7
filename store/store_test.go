package store

import (
	"log/slog"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"ringhook/store/sqlite"
	"ringhook/store/storetest"
)

// clock is set by the test.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func newClock() *clock { return &clock{t: time.Date(2026, 1, 15, 9, 30, 0, 0, time.UTC)} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) add(d time.Duration) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
	return c.t
}

var quiet = slog.New(slog.DiscardHandler)

func testConfig(t testing.TB) Config {
	cfg := DefaultConfig()
	cfg.Folder = filepath.Join(t.TempDir(), "data")
	cfg.Synchronous = "normal"
	cfg.MaxSize = 64 << 20 // for a small reserve
	return cfg
}

func mustOpen(t testing.TB, cfg Config, now func() time.Time) *Store {
	t.Helper()
	s, err := open(cfg, quiet, prometheus.NewRegistry(), now)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func mustClose(t testing.TB, s *Store) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// testStore opens a store that is closed with the test.
func testStore(t testing.TB, now func() time.Time) *Store {
	t.Helper()
	s := mustOpen(t, testConfig(t), now)
	t.Cleanup(func() { mustClose(t, s) })
	return s
}

// stopUpkeep ends the upkeep of a store whose test does it by itself.
func stopUpkeep(s *Store) {
	s.stop()
	s.maintainers.Wait()
}

// The fixtures of the suite serve the tests of this package too.
var (
	testEvent  = storetest.Event
	testRecord = storetest.Record
	testRoutes = storetest.Routes
	keep       = storetest.Keep
	settleOne  = storetest.Settle
	due        = storetest.Due
)

type sqliteHome struct {
	*Journal
	*Outbox
}

func TestHome(t *testing.T) {
	storetest.Run(t, func(t *testing.T, now func() time.Time) (storetest.Home, func() storetest.Home) {
		t.Parallel()
		cfg := testConfig(t)
		s := mustOpen(t, cfg, now)
		t.Cleanup(func() { mustClose(t, s) })
		return sqliteHome{s.Journal(), s.Outbox()}, func() storetest.Home {
			mustClose(t, s)
			s = mustOpen(t, cfg, now)
			return sqliteHome{s.Journal(), s.Outbox()}
		}
	})
}

func TestOperator(t *testing.T) {
	storetest.RunOperator(t, func(t *testing.T, now func() time.Time) storetest.Operated {
		s := testStore(t, now)
		return storetest.Operated{Home: sqliteHome{s.Journal(), s.Outbox()}, Operator: s.Operator(), EnsureHooks: s.Outbox().EnsureHooks}
	})
}

func TestHeld(t *testing.T) {
	storetest.RunHeld(t, func(t *testing.T, now func() time.Time) storetest.Held {
		s := testStore(t, now)
		operated := storetest.Operated{Home: sqliteHome{s.Journal(), s.Outbox()}, Operator: s.Operator(), EnsureHooks: s.Outbox().EnsureHooks}
		return storetest.Held{Operated: operated, CallReader: s, Crashed: s.Outbox().Crashed}
	})
}

func TestUpkeep(t *testing.T) {
	storetest.RunUpkeep(t, func(t *testing.T, now func() time.Time) (storetest.Kept, func() storetest.Kept) {
		t.Parallel()
		cfg := testConfig(t)
		cfg.KeepDelivered, cfg.KeepDead, cfg.KeepCalls = storetest.KeepDelivered, storetest.KeepDead, storetest.KeepCalls
		var s *Store
		open := func() storetest.Kept {
			s = mustOpen(t, cfg, now)
			stopUpkeep(s)
			return storetest.Kept{
				Operated:           storetest.Operated{Home: sqliteHome{s.Journal(), s.Outbox()}, Operator: s.Operator(), EnsureHooks: s.Outbox().EnsureHooks},
				SetConfiguredHooks: s.Outbox().SetConfiguredHooks,
				Maintain:           s.maintainOnce,
				StopMonotonic: func() {
					s.steps.mu.Lock()
					defer s.steps.mu.Unlock()
					s.steps.since = func(last, now time.Time) time.Duration { return 0 }
				},
			}
		}
		k := open()
		t.Cleanup(func() { mustClose(t, s) })
		return k, func() storetest.Kept {
			mustClose(t, s)
			return open()
		}
	})
}

func TestPerson(t *testing.T) {
	storetest.RunPerson(t, func(t *testing.T, now func() time.Time) storetest.Personal {
		t.Parallel()
		s := testStore(t, now)
		return storetest.Personal{
			Operated: storetest.Operated{Home: sqliteHome{s.Journal(), s.Outbox()}, Operator: s.Operator(), EnsureHooks: s.Outbox().EnsureHooks},
			Person:   s.Person,
			Erase:    s.Erase,
			Count: func(table string) (n int, err error) {
				_, err = sqlite.One(s.read, "select count(*) from "+table, nil, &n)
				return n, err
			},
			Trace: s.Journal().Trace,
		}
	})
}
