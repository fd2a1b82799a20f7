package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"ringhook/dialplan"
	"ringhook/hooks"
	"ringhook/pgstore"
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
}

// outbox is what the service needs of an outbox.
type outbox interface {
	hooks.Outbox
	EnsureHooks(ctx context.Context, names []string) error
	SetConfiguredHooks(names []string)
	Crashed(ctx context.Context, delivery int64, at time.Time, why string) (dead bool, err error)
}

// engineJournal keeps calls and events in the engine, and traces where Tracer does.
type engineJournal struct {
	*pgstore.Journal
	dialplan.Tracer
}

// openData returns the data of the configuration's store. local is the open folder.
func (a *App) openData(cfg store.Config, local *store.Store, log *slog.Logger, reg prometheus.Registerer) (d data, err error) {
	if cfg.Type != store.Postgres {
		return data{side: localSide(local), journal: local.Journal(), outbox: local.Outbox(), browse: local.Browse(), ready: local.Ready}, nil
	}
	if err := nothingWaits(local); err != nil {
		return d, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), store.Wait)
	defer cancel()
	engine, err := pgstore.OpenServer(ctx, pgstore.Config{
		DSN: cfg.DSN, Keep: &pgstore.Keep{Delivered: cfg.KeepDelivered, Dead: cfg.KeepDead, Calls: cfg.KeepCalls},
	}, log, reg)
	if err != nil {
		if errors.Is(err, pgstore.ErrNoSchema) || errors.Is(err, pgstore.ErrOutdated) {
			err = fmt.Errorf("%w: run ringhook engine init", err)
		}
		return d, fmt.Errorf("open PostgreSQL (%s): %w", pgstore.Address(cfg.DSN), err)
	}
	a.onStop("PostgreSQL", stopTime, without(engine.Close))
	beside := a.engineSide(cfg, engine, local, log, reg)
	return data{
		side: beside, journal: engineJournal{engine.Journal(), beside.traces}, outbox: engine.Outbox(), browse: engine.Browse(beside.points), ready: engine.Ready,
	}, nil
}

// nothingWaits returns an error if the folder has deliveries from before the type of the store was changed, which would not
// be made.
func nothingWaits(local *store.Store) error {
	counts, err := local.Operator().HookCounts()
	if err != nil {
		return fmt.Errorf("count the deliveries in %s: %w", local.Folder(), err)
	}
	waiting := 0
	for _, c := range counts {
		waiting += c.Pending
	}
	if waiting == 0 {
		return nil
	}
	return fmt.Errorf("%d deliveries wait in outbox.db in %s, and type = \"postgres\" does not make them: set type = \"sqlite\" again, "+
		"and change it when ringhook hook list shows none (ringhook outbox drop drops what is not wanted)", waiting, local.Folder())
}
