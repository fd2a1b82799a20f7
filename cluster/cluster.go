// Package cluster keeps calls and events in PostgreSQL, and on the disk of this machine while PostgreSQL does not answer.
//
// A point waits for the engine for a bounded time. What the engine has not confirmed by then goes to the local store, which
// is the node's spool, and so does every further record of the same call. When the engine is back, the calls in the spool
// are joined with what it has, and removed from the spool when that is committed. Until then the local store is the one
// that knows them. Everything is recognised by its id, so that it may be offered to the engine any number of times.
//
// If the engine stays away, a dispatcher delivers what the spool has. What became of the deliveries is forwarded with them.
package cluster

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"ringhook/dialplan"
	"ringhook/hooks"
	"ringhook/loglimit"
	"ringhook/pgstore"
	"ringhook/store"
	"ringhook/store/spooled"
)

// What RINGHOOK_STATUS promises, see Config.Promise.
const (
	// Shared promises that the engine has the event; if it is away, that this machine has it.
	Shared = "cluster"
	// Machine promises that this machine has the event.
	Machine = "machine"
	// ClusterOnly promises that the engine has the event.
	ClusterOnly = "cluster-only"
)

// Config says how a node works with the engine.
type Config struct {
	Promise    string        // one of Shared, Machine, ClusterOnly
	Patience   time.Duration // for which a point waits for the engine, at most maxPatience
	AloneAfter time.Duration // for which the engine is away before this node delivers what it has itself; 0: never
}

// Engine is the store that the nodes share. It is a *pgstore.Journal.
type Engine interface {
	dialplan.Calls
	dialplan.Acceptor
	Taker
}

// Taker takes over what nodes have accepted.
type Taker interface {
	// TryCommit commits something after all records that are queued.
	TryCommit(ctx context.Context) error
	// Have returns what the engine has of groups.
	Have(ctx context.Context, groups []spooled.Group) (pgstore.Have, error)
	// Take stores groups, and returns the keys of the calls whose version is not theirs.
	Take(ctx context.Context, groups []spooled.Group) (moved []string, err error)
	// TakeResults stores what became of deliveries that the engine has.
	TakeResults(ctx context.Context, events []spooled.Event) error
}

// Deliverer delivers what waits in an outbox. It is a *hooks.Dispatcher.
type Deliverer interface {
	Start()
	Committed(routes []hooks.Route, due []hooks.Delivery)
	Close(ctx context.Context) error
}

// Cluster is the engine and the local store as one.
type Cluster struct {
	cfg        Config
	engine     Engine
	local      localJournal
	spool      *store.Spool
	localReady func() error // returns why the local store does not commit, nil if it does
	log        *slog.Logger
	limit      *loglimit.Limiter
	metrics    *metrics
	breaker    *breaker

	mu    sync.Mutex
	lanes map[string]*lane // by linkedid; guarded by mu
	waits sync.WaitGroup   // for answers of the engine

	kicked    chan struct{} // receives if there may be something to forward
	outbox    hooks.Outbox  // of the local store, for the local dispatcher
	deliverer func(hooks.Outbox) (Deliverer, error)
	wake      func() // has the dispatcher of the engine look
	alone     aloneState
	restart   atomic.Bool // the local dispatcher is that of an old configuration
	latch     latch
	stop      context.CancelFunc
	running   sync.WaitGroup
}

// localJournal is what the cluster needs of the journal of the local store.
type localJournal interface {
	dialplan.Acceptor
	Call(key string, deadline time.Time) (state []byte, version int64, err error)
}

// New returns a cluster. Start starts it. The registerer may be nil.
func New(cfg Config, engine Engine, local *store.Store, log *slog.Logger, reg prometheus.Registerer) *Cluster {
	c := &Cluster{
		cfg: cfg, engine: engine, local: local.Journal(), spool: local.Spool(), localReady: local.Ready, log: log, limit: loglimit.New(log, time.Minute),
		breaker: newBreaker(log), lanes: map[string]*lane{}, kicked: make(chan struct{}, 1), wake: func() {},
		deliverer: func(hooks.Outbox) (Deliverer, error) { return nil, nil }, outbox: localOutbox{local.Outbox()}, stop: func() {},
	}
	c.metrics = newMetrics(c.spool, reg)
	return c
}

// Start begins to forward. ready is why the engine cannot be used now, nil if it can. wake has the dispatcher of the engine look
// for deliveries. deliverer makes a dispatcher that delivers from the local store while the engine is away; its outbox has numbers above Local.
func (c *Cluster) Start(ready error, wake func(), deliverer func(hooks.Outbox) (Deliverer, error)) {
	c.wake, c.deliverer = wake, deliverer
	ctx, stop := context.WithCancel(context.Background())
	c.stop = stop
	if ready != nil {
		c.breaker.trip(ready)
	}
	c.running.Go(func() { c.breaker.run(ctx, c.engine.TryCommit, c.kick) })
	c.running.Go(func() { c.run(ctx) })
}

// Close waits for records that the engine has not answered, and ends. Records must not be queued any more.
func (c *Cluster) Close() error {
	c.waits.Wait()
	c.stop()
	c.running.Wait()
	c.limit.Close()
	return nil
}

// Away returns why the engine is not used now, nil if it is.
func (c *Cluster) Away() error {
	_, err := c.breaker.state()
	return err
}

// Unready returns why points are not answered OK now, nil if they are.
func (c *Cluster) Unready() error {
	away := c.Away()
	switch {
	case c.cfg.Promise == ClusterOnly, pgstore.ClassOf(away) == pgstore.Full:
		return away
	case away != nil || c.cfg.Promise == Machine:
		return c.localReady()
	}
	return nil
}

// kick has what is spooled forwarded.
func (c *Cluster) kick() {
	select {
	case c.kicked <- struct{}{}:
	default:
	}
}
