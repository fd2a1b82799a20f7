package app

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"ringhook/account"
	"ringhook/api"
	"ringhook/control"
	"ringhook/desk"
	"ringhook/dialplan"
	"ringhook/directory"
	"ringhook/lookup"
	"ringhook/pgstore"
	enginecache "ringhook/pgstore/cache"
	enginecredentials "ringhook/pgstore/credentials"
	enginedesk "ringhook/pgstore/desk"
	enginebook "ringhook/pgstore/phonebook"
	enginetrace "ringhook/pgstore/trace"
	"ringhook/store"
	"ringhook/store/browse"
	storedesk "ringhook/store/desk"
)

// side is where the service keeps what it stores beside calls and deliveries.
type side struct {
	desk        deskStore
	credentials credentialStore
	cache       answers
	traces      dialplan.Tracer
	points      browse.PointReader
	// personalEvery is the interval at which changes of settings, exceptions and sessions by other processes are looked for.
	personalEvery time.Duration
}

// answers is where the service keeps the answers of lookups.
type answers interface {
	lookup.Cache
	api.Answers
}

// deskStore is where the service keeps what people and programs do with the PBX.
type deskStore interface {
	api.Records
	control.Store
	desk.Accounts
	lookup.DIDs
	Revision() (storedesk.Revision, error)
	Settings() (map[string]map[string]string, error)
}

// credentialStore is where the service keeps what other systems issue to it.
type credentialStore interface {
	account.Vault
	directory.Shelf
	Secret(name string) ([]byte, error)
}

// localSide keeps everything in the folder.
func localSide(local *store.Store) side {
	return side{local.Desk(), local.Credentials(), local.Cache(), local.Journal(), local, personalEvery}
}

// engineSide keeps everything in the engine, which other nodes use too, and in the folder what has to be there while the engine is
// away. Lookups read the phonebook of the folder, which follows that of the engine.
func (a *App) engineSide(cfg store.Config, engine *pgstore.Store, local *store.Store, log *slog.Logger, reg prometheus.Registerer) side {
	agents := enginedesk.New(engine)
	book := enginebook.NewFollower(enginebook.New(engine), local.Phonebook(), log)
	upkeep, end := context.WithCancel(context.Background())
	var ended sync.WaitGroup
	ended.Go(func() { agents.Run(upkeep, log) })
	ended.Go(func() { book.Run(upkeep) })
	a.onStop("upkeep of desk and phonebook", partTime, without(func() error {
		end()
		ended.Wait()
		return nil
	}))
	dropped := prometheus.NewCounter(prometheus.CounterOpts{
		Name: "ringhook_engine_cache_dropped_total", Help: "Answers of lookups that were not stored in PostgreSQL, because it was away or slow.",
	})
	reg.MustRegister(dropped)
	cache := enginecache.New(engine, local.Cache(), enginecache.Limits{Rows: cfg.CacheRows, Bytes: int64(cfg.MaxSize)}, log, dropped)
	a.onStop("cache in PostgreSQL", partTime, without(cache.Close))
	traces := enginetrace.New(engine, local.Journal(), cfg.KeepCalls, log)
	a.onStop("trace in PostgreSQL", partTime, without(traces.Close))
	return side{agents, enginecredentials.New(engine), cache, traces, enginetrace.NewReader(engine, local), personalEveryShared}
}
