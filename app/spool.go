package app

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"ringhook/cluster"
	"ringhook/conf"
	"ringhook/hooks"
	"ringhook/httpclient"
	"ringhook/pgstore"
	"ringhook/store"
)

// spool keeps on this machine what PostgreSQL cannot accept at the moment.
type spool struct {
	*cluster.Cluster
	app    *App
	engine *pgstore.Store

	mu       sync.Mutex
	hooks    *hooks.Dispatcher   // of PostgreSQL; guarded by mu
	cfg      *conf.Config        // guarded by mu
	accounts httpclient.Accounts // guarded by mu
}

// openSpool joins PostgreSQL and the folder.
func (a *App) openSpool(cfg store.Config, engine *pgstore.Store, local *store.Store, log *slog.Logger, reg prometheus.Registerer) *spool {
	s := &spool{app: a, engine: engine}
	s.Cluster = cluster.New(cluster.Config{Promise: cfg.Promise, Patience: cfg.Patience, AloneAfter: cfg.AloneAfter}, engine.Journal(), local, log, reg)
	a.onStop("events of this machine", attemptDrain+time.Second, without(s.Close))
	return s
}

// use has events delivered by the configuration in force. It does nothing without a spool.
func (s *spool) use(cfg *conf.Config, accounts httpclient.Accounts, d *hooks.Dispatcher) {
	if s == nil {
		return
	}
	s.mu.Lock()
	first := s.hooks == nil
	s.hooks, s.cfg, s.accounts = d, cfg, accounts
	s.mu.Unlock()
	if !first {
		s.Reconfigured()
	}
}

// start begins to forward. It does nothing without a spool.
func (s *spool) start() {
	if s != nil {
		s.Start(s.engine.Ready(), s.wake, s.deliverer)
	}
}

// wake has PostgreSQL looked at for deliveries.
func (s *spool) wake() {
	s.mu.Lock()
	d := s.hooks
	s.mu.Unlock()
	d.WakeAll()
}

// deliverer makes a dispatcher for what the folder has.
func (s *spool) deliverer(outbox hooks.Outbox) (cluster.Deliverer, error) {
	s.mu.Lock()
	cfg, accounts := s.cfg, s.accounts
	s.mu.Unlock()
	return hooks.NewShared(cfg.Hooks, hooks.Shared{Accounts: accounts, Recordings: s.app.recordings}, outbox, s.app.log, s.app.registry)
}

// ready returns why points are not answered OK now, nil if they are.
func (s *spool) ready() error {
	err := s.Unready()
	if cause := s.engine.Ready(); err != nil && s.Away() != nil && cause != nil {
		return cause
	}
	return err
}

// note says what is kept where while PostgreSQL does not answer, empty if it does.
func (s *spool) note() string {
	if s == nil || s.Away() == nil {
		return ""
	}
	return "events are kept on this machine: PostgreSQL does not answer"
}

// spoolOutbox is PostgreSQL's outbox, of which nothing is delivered before it is known what this machine has delivered
// itself. What is configured applies to both stores.
type spoolOutbox struct {
	outbox
	queue cluster.Queue
	local *store.Outbox
}

// Due implements hooks.Queue.
func (o spoolOutbox) Due(hook string, now time.Time, limit int, underWay ...int64) ([]hooks.Delivery, error) {
	return o.queue.Due(hook, now, limit, underWay...)
}

// EnsureHooks adds the counts of hooks.
func (o spoolOutbox) EnsureHooks(ctx context.Context, names []string) error {
	return errors.Join(o.outbox.EnsureHooks(ctx, names), o.local.EnsureHooks(ctx, names))
}

// SetConfiguredHooks sets the hooks of the configuration.
func (o spoolOutbox) SetConfiguredHooks(names []string) {
	o.outbox.SetConfiguredHooks(names)
	o.local.SetConfiguredHooks(names)
}

// Crashed records a crash during an attempt, in the store whose delivery that was.
func (o spoolOutbox) Crashed(ctx context.Context, delivery int64, at time.Time, why string) (dead bool, err error) {
	if delivery > cluster.Local {
		return o.local.Crashed(ctx, delivery-cluster.Local, at, why)
	}
	return o.outbox.Crashed(ctx, delivery, at, why)
}
