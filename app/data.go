package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"ringhook/cluster"
	"ringhook/dialplan"
	"ringhook/hooks"
	"ringhook/pgstore"
	"ringhook/pgstore/node"
	"ringhook/store"
	"ringhook/store/browse"
)

// data is where the service keeps what must survive a restart.
type data struct {
	side
	journal dialplan.Journal
	outbox  outbox
	browse  browse.Store
	ready   func() error // returns why nothing can be accepted now
	spool   *spool       // nil without PostgreSQL
	leases  hooks.Leases // nil if no other ringhook has these data
	// setConfig passes on digests of the configuration's parts; nil if no other ringhook has these data.
	setConfig func(digests map[string]string)
}

// outbox is what the service needs of an outbox.
type outbox interface {
	hooks.Outbox
	EnsureHooks(ctx context.Context, names []string) error
	SetConfiguredHooks(names []string)
	Crashed(ctx context.Context, delivery int64, at time.Time, why string) (dead bool, err error)
}

// engineJournal keeps calls and events in the engine, or in the folder while that is away, and traces where Tracer does.
type engineJournal struct {
	*cluster.Cluster
	dialplan.Tracer
}

// openData returns the data of the configuration's store. local is the open folder.
func (a *App) openData(cfg store.Config, local *store.Store, log *slog.Logger, reg prometheus.Registerer) (d data, err error) {
	if cfg.Type != store.Postgres {
		return data{side: localSide(local), journal: local.Journal(), outbox: local.Outbox(), browse: local.Browse(), ready: local.Ready}, nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), store.Wait)
	defer cancel()
	engine, err := pgstore.OpenServer(ctx, pgstore.Config{
		DSN: cfg.DSN, Node: node.Self{Name: cfg.Node, Version: a.build.Version}, Keep: &pgstore.Keep{Delivered: cfg.KeepDelivered, Dead: cfg.KeepDead, Calls: cfg.KeepCalls},
	}, log, reg)
	if err != nil {
		if errors.Is(err, pgstore.ErrNoSchema) || errors.Is(err, pgstore.ErrOutdated) {
			err = fmt.Errorf("%w: run ringhook engine init", err)
		}
		return d, fmt.Errorf("open PostgreSQL (%s): %w", pgstore.Address(cfg.DSN), err)
	}
	a.onStop("PostgreSQL", stopTime, without(engine.Close))
	beside := a.engineSide(cfg, engine, local, log, reg)
	waiting := a.openSpool(cfg, engine, local, log, reg)
	return data{
		side: beside, journal: engineJournal{waiting.Cluster, beside.traces},
		outbox: spoolOutbox{engine.Outbox(), cluster.Queue{Queue: engine.Outbox(), Cluster: waiting.Cluster}, local.Outbox()},
		browse: engine.Browse(beside.points), ready: waiting.ready, spool: waiting,
		leases: engine.Leases(), setConfig: engine.SetConfig,
	}, nil
}

// alone calls do with a context that lasts as long as this ringhook is the one that is to do it, again each time that it is,
// until ctx ends.
func (d *data) alone(ctx context.Context, work string, do func(context.Context)) {
	if d.leases == nil {
		do(ctx)
		return
	}
	for {
		lease := d.leases.Acquire(ctx, work)
		if lease == nil {
			return
		}
		do(lease.Context())
		lease.Release()
	}
}
