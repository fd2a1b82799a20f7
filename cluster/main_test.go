package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"ringhook/dialplan"
	"ringhook/hooks"
	"ringhook/pgstore"
	"ringhook/pgstore/pgtest"
	"ringhook/store"
	"ringhook/store/storetest"
	"ringhook/test/wait"
)

// server is the PostgreSQL of all tests, nil if none is installed.
var server *pgtest.Server

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m, &server)) }

// node is a ringhook's data: an engine behind a proxy, and a folder.
type node struct {
	*Cluster
	t       testing.TB
	dsn     string
	proxy   *pgtest.Proxy
	engine  *pgstore.Store
	folder  store.Config
	local   *store.Store
	reg     *prometheus.Registry
	cfg     Config
	deliver func(hooks.Outbox) (Deliverer, error)
}

// testPatience is long enough for an engine on a busy machine, and short enough for a test.
const testPatience = 250 * time.Millisecond

func newNode(t testing.TB, cfg Config) *node {
	t.Helper()
	n := &node{t: t, dsn: server.Database(t), cfg: cfg, folder: store.DefaultConfig(), deliver: func(hooks.Outbox) (Deliverer, error) { return nil, nil }}
	if n.cfg.Promise == "" {
		n.cfg.Promise = Shared
	}
	if n.cfg.Patience == 0 {
		n.cfg.Patience = testPatience
	}
	n.folder.Folder, n.folder.Type, n.folder.Synchronous, n.folder.MaxSize = filepath.Join(t.TempDir(), "data"), store.Postgres, "normal", 64<<20
	n.proxy = server.NewProxy(t)
	if err := pgstore.Migrate(wait.Context(t), n.dsn); err != nil {
		t.Fatal(err)
	}
	return n
}

// begin opens the stores, and closes them with the test. Without the engine's answer they are opened all the same.
func (n *node) begin() *node {
	n.t.Helper()
	log := slog.New(slog.DiscardHandler)
	var err error
	n.reg = prometheus.NewRegistry()
	if n.local, err = store.Open(n.folder, log, n.reg); err != nil {
		n.t.Fatal(err)
	}
	if n.engine, err = pgstore.OpenServer(wait.Context(n.t), pgstore.Config{DSN: n.proxy.DSN(n.dsn)}, log, nil); err != nil {
		n.t.Fatal(err)
	}
	n.Cluster = New(n.cfg, n.engine.Journal(), n.local, log, n.reg)
	n.Start(n.engine.Ready(), func() {}, n.deliver)
	n.t.Cleanup(n.end)
	return n
}

// end closes the stores, once.
func (n *node) end() {
	if n.Cluster == nil {
		return
	}
	n.proxy.Set(pgtest.Cut) // a hanging commit would hold the end up
	if err := errors.Join(n.Close(), n.engine.Close(), n.local.Close()); err != nil {
		n.t.Error(err)
	}
	n.Cluster = nil
}

// call is a call that a dialplan has in memory.
type call struct {
	n       *node
	key     string
	lineage *dialplan.Lineage
	seq     int
}

func (n *node) call(key string) *call { return &call{n: n, key: key} }

// point accepts the next event of the call, for the hook a, as a dialplan does: it applies the change again to a newer
// state.
func (c *call) point() error {
	c.seq++
	for {
		if c.lineage == nil || c.lineage.Broken() {
			version := int64(0)
			if moved := c.lineage.Newer(); moved != nil {
				version = moved.Version
			} else {
				if err := c.n.Barrier(wait.Context(c.n.t)); err != nil {
					return err
				}
				// Without an answer the call continues without its past.
				_, version, _ = c.n.Call(c.key, time.Now().Add(time.Second))
			}
			c.lineage = dialplan.NewLineage(version)
		}
		r := storetest.Record(c.key, c.seq, "a")
		r.State = fmt.Appendf(nil, `{"linkedid":%q,"began":"2026-01-15T09:30:00Z","seq":%d}`, c.key, c.seq)
		r.Lineage = c.lineage
		err := commitOf(c.n, r)
		if moved := (*dialplan.Moved)(nil); !errors.As(err, &moved) {
			return err
		}
	}
}

func commitOf(n *node, r dialplan.Record) error {
	queued, err := n.Queue(wait.Context(n.t), r)
	if err != nil {
		return err
	}
	_, err = queued.Wait(wait.Context(n.t))
	return err
}

// accept accepts events of the call.
func (c *call) accept(events int) {
	c.n.t.Helper()
	for range events {
		if err := c.point(); err != nil {
			c.n.t.Fatalf("%s %d: %v", c.key, c.seq, err)
		}
	}
}

// promised returns how often an event was accepted by the engine or this machine.
func (n *node) promised(by string) int {
	return int(testutil.ToFloat64(n.metrics.promised.WithLabelValues(by)))
}

// events returns the numbers of the events in the engine, in their order there, by linkedid.
func (n *node) events() map[string][]string {
	n.t.Helper()
	conn, err := pgx.Connect(wait.Context(n.t), n.dsn)
	if err != nil {
		n.t.Fatal(err)
	}
	defer conn.Close(context.Background())
	rows, err := conn.Query(wait.Context(n.t), "select linkedid, event_id from ringhook.event order by id")
	if err != nil {
		n.t.Fatal(err)
	}
	events := map[string][]string{}
	var linkedid, id string
	_, err = pgx.ForEachRow(rows, []any{&linkedid, &id}, func() error {
		events[linkedid] = append(events[linkedid], strings.TrimPrefix(id, "msg_"+linkedid+"_"))
		return nil
	})
	if err != nil {
		n.t.Fatal(err)
	}
	return events
}

// numbers returns the numbers from 1 to n.
func numbers(n int) (list []string) {
	for i := range n {
		list = append(list, fmt.Sprint(i+1))
	}
	return list
}

// forwarded waits until nothing is left to forward, and checks the events of calls in the engine, and their states.
func (n *node) forwarded(calls ...*call) {
	n.t.Helper()
	wait.Until(n.t, func() bool {
		events, _, err := n.spool.Waiting()
		return err == nil && events == 0 && !slices.ContainsFunc(calls, func(c *call) bool { return n.isLocal(c.key) })
	}, "the spool is not emptied")
	events := n.events()
	for _, c := range calls {
		if got := events[c.key]; !slices.Equal(got, numbers(c.seq)) {
			n.t.Errorf("events of %s are %v, want %d in order", c.key, got, c.seq)
		}
		state, _, err := n.engine.Journal().Call(c.key, time.Time{})
		if want := fmt.Sprintf(`"seq":%d`, c.seq); err != nil || !strings.Contains(string(state), want+",") && !strings.Contains(string(state), want+"}") {
			n.t.Errorf("the call is %s, %v", state, err)
		}
	}
}

// opens waits until the breaker is open, or closed.
func (n *node) opens(open bool) {
	n.t.Helper()
	wait.Until(n.t, func() bool { return (n.Away() != nil) == open }, "the breaker is not open: %v", open)
}
