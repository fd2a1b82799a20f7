// Package app is the running service: it wires the rooms together, starts and stops them
// in order, reloads the configuration, and talks to systemd. It decides nothing about
// calls, lookups or hooks.
package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"ringhook/account"
	"ringhook/api"
	"ringhook/clickfrom"
	"ringhook/conf"
	"ringhook/control"
	"ringhook/desk"
	"ringhook/dialplan"
	"ringhook/directory"
	"ringhook/fastagi"
	"ringhook/hooks"
	"ringhook/httpclient"
	"ringhook/loglimit"
	"ringhook/lookup"
	"ringhook/lookup/number"
	"ringhook/pgstore/node"
	"ringhook/pops"
	"ringhook/pops/getevent"
	"ringhook/recordings"
	"ringhook/store"
)

// App is the running service.
type App struct {
	log        *slog.Logger
	limited    *loglimit.Limiter // for what the request of an agent causes
	lines      *logWriter        // where the log goes; nil if it is written at once
	level      *slog.LevelVar    // of the log; nil if it is fixed
	build      Build
	systemd    supervisor
	cfg        atomic.Pointer[conf.Config] // in force; changed by reload alone
	registry   *prometheus.Registry
	store      *store.Store // the folder
	data       data
	accounts   *account.Accounts
	people     *directory.Directory
	clicks     *clickfrom.Service
	recordings *recordings.Recordings
	points     *dialplan.Dialplan
	agi        *fastagi.Server
	agiAt      net.Listener
	web        *api.Server
	webAt      net.Listener
	api        *api.API
	control    *control.Control
	pops       *pops.Live
	personal   personal
	desk       *desk.Desk   // nil if it is off
	deskAt     net.Listener // nil if it is off
	parts      dialplan.Parts
	draining   atomic.Bool
	reloads    reloadMetrics
	retiring   sync.WaitGroup // lookups that calls from before a reload still use
	undo       []step         // of what has been built so far
}

// New returns a service that logs to log. It builds everything and binds the ports, so
// that everything that can fail at a start fails here.
func New(cfg *conf.Config, log *slog.Logger, build Build) (a *App, err error) {
	a = &App{log: log, limited: loglimit.New(log, time.Minute), build: build, systemd: supervisor{log}, registry: prometheus.NewRegistry()}
	connections := fitFiles(cfg, log)
	a.cfg.Store(cfg)
	defer func() {
		if err != nil {
			err = errors.Join(err, a.unwind(context.Background()))
		}
	}()
	a.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	a.onStop("log of requests", partTime, without(func() error { a.limited.Close(); return nil }))
	build.register(a.registry)
	a.registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{
		Name: "ringhook_log_dropped_total", Help: "Log lines that were dropped because the log was not read fast enough.",
	}, func() float64 { return a.lines.Lost() }))
	a.reloads = newReloadMetrics(a.registry)

	if a.store, err = store.Open(cfg.Store, log, a.registry); err != nil {
		return a, fmt.Errorf("open store: %w", err)
	}
	a.onStop("store", stopTime, without(a.store.Close))
	if a.data, err = a.openData(cfg.Store, a.store, log, a.registry); err != nil {
		return a, err
	}

	a.control = control.New(log, a.registry)
	popping, err := a.popSetup(cfg)
	if err != nil {
		return a, err
	}
	a.pops = pops.NewLive(popping, a.data.journal, log, a.registry)
	a.onStop("screen pops", partTime, without(a.pops.Close))
	accounts, err := a.buildShared(cfg)
	if err != nil {
		return a, err
	}
	if a.parts, err = a.newParts(context.Background(), cfg, accounts); err != nil {
		return a, err
	}
	a.data.spool.use(cfg, accounts, a.parts.Hooks)
	popping.Hooks = a.parts.Hooks.Once
	a.pops.Exchange(popping)
	if err := a.readPersonal(); err != nil {
		log.Error("cannot read settings of agents and exceptions of screen pops", "err", err)
	}
	a.control.Configure(cfg.Control(a.parts.Numbers))
	a.onStop("lookups", lookupTime, func(ctx context.Context) error { return a.parts.Lookups.Close(ctx) })
	a.onStop("lookups before a reload", lookupTime, without(func() error { a.retiring.Wait(); return nil }))
	a.onStop("hooks", attemptDrain, func(ctx context.Context) error { return a.parts.Hooks.Close(ctx) })

	a.points = dialplan.New(a.settings(cfg), a.parts, a.data.journal, log, a.registry)
	a.onStop("dialplan", partTime, without(a.points.Close))
	a.control.Use(a.data.desk, a.points)
	a.onStop("manager interface", partTime, without(a.control.Close))
	a.control.Report(a.points)
	servers, err := a.control.Prepare(cfg.AMI)
	if err != nil {
		return a, err
	}
	a.control.Exchange(servers)
	if a.agi, err = fastagi.New(cfg.FastAGI, a.points.Serve, log, a.registry); err != nil {
		return a, err
	}
	if a.agiAt, err = listenAGI(cfg.FastAGI.Listen); err != nil {
		return a, err
	}
	a.onStop("FastAGI listener", partTime, closeListener(a.agiAt))
	if a.webAt, err = net.Listen("tcp", cfg.HTTP.Listen); err != nil {
		return a, fmt.Errorf("[http] listen: %w", err)
	}
	a.buildAPI(cfg, connections)
	if err := a.buildDesk(cfg, popping); err != nil {
		return a, err
	}
	// First of all steps, so that the last request for a token ends within stopTime.
	a.onStop("requests for tokens", partTime, without(func() error { a.accounts.Stop(); return nil }))
	return a, nil
}

// buildAPI builds the API of the port that is bound.
func (a *App) buildAPI(cfg *conf.Config, connections int) {
	a.api = api.New(a.log, a.data.desk, a.data.cache, a.data.browse, a.control, a.webAt.Addr())
	a.api.Exchange(cfg.HTTP.Token, cfg.Yemot, explainer(cfg, a.parts), a.parts.Hooks, cfg.Recordings.Shown())
	a.api.SetGetEvent(getevent.New(cfg.GetEvent, a.pops))
	if cfg.Desk.Listen == "" { // else they come from outside by the desk's port
		a.api.SetClicks(a.clicks)
	}
	a.api.SetPops(a.pops)
	a.web = api.NewServer(a.api, connections, a.registry, a.readiness, a.log)
}

// newParts builds what a reload exchanges.
func (a *App) newParts(ctx context.Context, cfg *conf.Config, accounts httpclient.Accounts) (p dialplan.Parts, err error) {
	p.Numbers = number.NewReader(cfg.Number)
	if len(cfg.AMI) > 0 {
		p.Waiting = a.control
	}
	if len(cfg.Pops) > 0 || cfg.Desk.Listen != "" {
		p.Audience = a.pops
	}
	if p.Lookups, err = lookup.New(cfg.Lookups, a.data.cache, lookup.Own{Phonebook: a.store.Phonebook(), DIDs: a.data.desk, Accounts: accounts}, a.log, a.registry); err != nil {
		return p, fmt.Errorf("[[lookup]]: %w", err)
	}
	if p.Hooks, err = hooks.NewShared(cfg.Hooks, hooks.Shared{Accounts: accounts, Recordings: a.recordings, Leases: a.data.leases}, a.data.outbox, a.log, a.registry); err != nil {
		return p, errors.Join(fmt.Errorf("[[hook]]: %w", err), a.closeLookups(ctx, p.Lookups))
	}
	ctx, cancel := context.WithTimeout(ctx, store.Wait)
	defer cancel()
	if err := a.data.outbox.EnsureHooks(ctx, p.Hooks.Names()); err != nil {
		return p, errors.Join(err, a.closeLookups(ctx, p.Lookups), a.closeHooks(ctx, p.Hooks))
	}
	return p, nil
}

// setHooks passes the names of the configured hooks to the outbox, and warns of deliveries for
// others. Where several ringhooks share the outbox, they compare the configuration.
func (a *App) setHooks(names []string) {
	a.data.outbox.SetConfiguredHooks(names)
	if a.data.setConfig != nil {
		a.data.setConfig(a.cfg.Load().Digests())
	}
	tallies, err := a.data.browse.HookCounts()
	if err != nil {
		a.log.Warn("cannot count deliveries for removed hooks", "err", err)
	}
	for _, t := range tallies {
		if t.Pending > 0 && !slices.Contains(names, t.Hook) {
			a.log.Warn("deliveries wait for a removed hook", "hook", t.Hook, "pending", t.Pending, "until", t.GivenUpAt(time.Now()),
				"hint", "they are given up then unless the configuration has a hook of this name again")
		}
	}
}

func explainer(cfg *conf.Config, p dialplan.Parts) *api.Explainer {
	return api.NewExplainer(cfg.Settings(), p.Numbers, p.Lookups)
}

// Run serves until ctx ends, a listener dies, or the outbox is found damaged. Then it
// stops in order: no new calls, calls in progress, deliveries in flight, the store,
// metrics last. At each signal on hup it loads the configuration again. A stop that
// was asked for by ctx is no error, whatever it had to cut short.
func (a *App) Run(ctx context.Context, hup <-chan os.Signal, load func() (*conf.Config, error)) error {
	a.setHooks(a.parts.Hooks.Names())
	a.parts.Hooks.Start()
	a.data.spool.start()
	agiEnded, webEnded := make(chan error, 1), make(chan error, 1)
	go func() { agiEnded <- a.agi.Serve(a.agiAt) }()
	go func() { webEnded <- a.web.Serve(a.webAt) }()
	var local sync.WaitGroup
	local.Go(a.serveLocal)
	defer local.Wait()
	deskEnded := a.serveDesk()
	defer deskEnded()
	serving, endServing := context.WithCancel(ctx)
	defer endServing()
	var background sync.WaitGroup
	requests := make(chan chan<- *Reloaded)
	background.Go(func() { a.reloadOn(serving, hup, requests, load) })
	background.Go(func() { a.serveReload(serving, requests) })
	background.Go(func() { a.data.alone(serving, node.IdleCalls, a.points.CloseIdleCalls) })
	background.Go(func() { a.accounts.Run(serving) })
	background.Go(func() { a.people.Run(serving) })
	background.Go(func() { a.keepPersonal(serving) })
	background.Go(func() { a.keepRecordings(serving) })
	watched, unwatch := context.WithCancel(context.Background())
	var watchdog sync.WaitGroup
	watchdog.Go(func() { a.watchdog(watched) })
	defer watchdog.Wait()
	defer unwatch()
	a.systemd.ready("serving")
	a.log.Info("serving", append(a.describe(a.cfg.Load()), "fastagi", a.agiAt.Addr().String(), "http", a.webAt.Addr().String())...)

	var err error
	select {
	case <-ctx.Done():
	case err = <-agiEnded:
		err = fmt.Errorf("FastAGI listener failed: %w", err)
		agiEnded <- nil
	case err = <-webEnded:
		err = fmt.Errorf("HTTP listener failed: %w", err)
		webEnded <- nil
	case <-a.store.Damaged():
		err = errors.New("outbox is damaged or gone: the next start begins a new one")
	}
	stopping, cancel := context.WithTimeout(context.Background(), stopTime)
	defer cancel()
	a.draining.Store(true)
	sessions := make(chan error, 1)
	go func() {
		sessions <- a.end(stopping, step{"calls in progress", min(a.cfg.Load().FastAGI.Budget+time.Second, sessionTime), a.agi.Shutdown})
	}()
	err = errors.Join(err, <-agiEnded) // no new call from here on
	a.log.Info("stopping")
	a.systemd.stopping(stopTime + 2*httpDrain)
	endServing()
	err = errors.Join(err,
		a.end(stopping, step{"reload", reloadTime, without(func() error { background.Wait(); return nil })}),
		<-sessions, a.unwind(stopping))
	last, cancel := context.WithTimeout(context.Background(), httpDrain+stopGrace)
	defer cancel()
	return errors.Join(err, a.end(last, step{"HTTP server", httpDrain, a.web.Shutdown}), <-webEnded)
}

// FastAGIAddr returns the address that serves Asterisk.
func (a *App) FastAGIAddr() net.Addr { return a.agiAt.Addr() }

// HTTPAddr returns the address of metrics, health checks and the API.
func (a *App) HTTPAddr() net.Addr { return a.webAt.Addr() }

// readiness reports whether new calls should be sent to this instance. The note says why not, or what is not as usual.
func (a *App) readiness() (note string, ready bool) {
	if a.draining.Load() {
		return "stopping", false
	}
	if err := a.data.ready(); err != nil {
		return err.Error(), false
	}
	return a.data.spool.note(), true
}
