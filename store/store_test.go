package store

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"ringhook/dialplan"
	"ringhook/hooks"
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

func testEvent(linkedid string, seq int) hooks.Event {
	return hooks.Event{
		ID: fmt.Sprintf("msg_%s_%d", linkedid, seq), Name: "agent-answer", LinkedID: linkedid, Seq: seq,
		Time: time.Date(2026, 1, 15, 9, 30, seq%60, 123_000_000, time.UTC),
		Params: map[string]any{
			"callerid": "+74950000001", "callerid_name": "Zoë <\"&\u200e>", "talk_time": int64(42), "final": false,
			"seq": int64(seq), "linkedid": linkedid,
		},
	}
}

func testRecord(linkedid string, seq int, names ...string) dialplan.Record {
	return dialplan.Record{
		Call: linkedid, State: fmt.Appendf(nil, `{"seq":%d}`, seq),
		Events: []dialplan.Accepted{{Event: testEvent(linkedid, seq), Hooks: testRoutes(linkedid, names...)}},
	}
}

// testRoutes are those of hooks with the default order.
func testRoutes(linkedid string, names ...string) (routes []hooks.Route) {
	for _, name := range names {
		routes = append(routes, hooks.Route{Hook: name, Key: linkedid, Hold: 15 * time.Minute})
	}
	return routes
}

func keep(t testing.TB, j dialplan.Journal, r dialplan.Record) {
	t.Helper()
	c, err := j.Queue(context.Background(), r)
	if err == nil {
		_, err = c.Wait(context.Background())
	}
	if err != nil {
		t.Fatal(err)
	}
}

func settleOne(t testing.TB, o hooks.Outbox, id int64, state hooks.State, next time.Time) {
	t.Helper()
	r := hooks.Result{Delivery: id, State: state, Next: next, Attempt: hooks.Attempt{
		Started: time.Date(2026, 1, 15, 9, 31, 0, 0, time.UTC), Took: 1500 * time.Microsecond,
		Class: "rejected", Status: 404, Excerpt: "no such page",
	}}
	if _, err := o.Settle(context.Background(), []hooks.Result{r}); err != nil {
		t.Fatal(err)
	}
}

// due gives the ids of the events that are due.
func due(t testing.TB, o hooks.Outbox, hook string, now time.Time) (events []string, deliveries []hooks.Delivery) {
	t.Helper()
	deliveries, err := o.Due(hook, now, 1000)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range deliveries {
		events = append(events, d.Event.ID)
	}
	return events, deliveries
}
