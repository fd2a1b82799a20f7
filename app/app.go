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

	"ringhook/api"
	"ringhook/conf"
	"ringhook/control"
	"ringhook/dialplan"
	"ringhook/fastagi"
	"ringhook/hooks"
	"ringhook/lookup"
	"ringhook/lookup/number"
	"ringhook/store"
)

// The way out, all of it within systemd's stop timeout of 20 s.
const (
	attemptDrain = 10 * time.Second // for the deliveries in flight
	httpDrain    = 2 * time.Second
)

// App is the running service: the rooms, wired.
type App struct {
	log      *slog.Logger
	lines    *logWriter // where the log goes; nil where it is written at once
	systemd  supervisor
	cfg      atomic.Pointer[conf.Config] // in force; changed by reload alone
	registry *prometheus.Registry
	store    *store.Store
	points   *dialplan.Dialplan
	agi      *fastagi.Server
	agiAt    net.Listener
	web      *api.Server
	webAt    net.Listener
	api      *api.API
	control  *control.Control
	parts    dialplan.Parts
	draining atomic.Bool
	retiring sync.WaitGroup // lookups of former configurations
	reloads  reloadMetrics
	undo     []step // of what has been built so far, the last first
}

// step is one part's way out.
type step struct {
	name string
	stop func() error
}

// New builds everything that serves, and binds the ports, so that all that
// can fail at a start fails here.
func New(cfg *conf.Config, log *slog.Logger, build Build) (a *App, err error) {
	a = &App{log: log, systemd: supervisor{log}, registry: prometheus.NewRegistry()}
	a.cfg.Store(cfg)
	defer func() {
		if err != nil {
			err = errors.Join(err, a.unwind())
		}
	}()
	a.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	build.register(a.registry)
	a.registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{
		Name: "ringhook_log_dropped_total", Help: "Lines of the log that were dropped because nobody took them.",
	}, func() float64 { return a.lines.Lost() }))
	a.reloads = newReloadMetrics(a.registry)

	if a.store, err = store.Open(cfg.Store, log, a.registry); err != nil {
		return a, fmt.Errorf("open store: %w", err)
	}
	a.onStop("store", a.store.Close)

	if a.parts, err = a.newParts(cfg); err != nil {
		return a, err
	}
	a.onStop("lookups", func() error {
		a.retiring.Wait()
		if err := a.closeLookups(a.parts.Lookups); err != nil {
			a.log.Warn("requests of lookups were cut short, which costs what they would have left in the cache", "err", err)
		}
		return nil
	})
	a.onStop("hooks", func() error { return a.closeHooks(a.parts.Hooks) })

	a.points = dialplan.New(cfg.Settings(), a.parts, a.store.Journal(), log, a.registry)
	a.onStop("dialplan", a.points.Close)
	if a.agi, err = fastagi.New(cfg.FastAGI, a.points.Serve, log, a.registry); err != nil {
		return a, err
	}
	if a.agiAt, err = fastagi.Listen(cfg.FastAGI.Listen); err != nil {
		return a, fmt.Errorf("[fastagi] listen: %w", err)
	}
	a.onStop("fastagi listener", closed(a.agiAt))
	if a.webAt, err = net.Listen("tcp", cfg.HTTP.Listen); err != nil {
		return a, fmt.Errorf("[http] listen: %w", err)
	}
	a.control = control.New(log, a.registry)
	servers, err := a.control.Prepare(cfg.AMI)
	if err != nil {
		return a, err
	}
	a.control.Exchange(servers)
	a.onStop("manager interface", a.control.Close)
	a.api = api.New(log, a.store, a.control, a.webAt.Addr())
	a.api.Exchange(cfg.HTTP.Token, explainer(cfg, a.parts), a.parts.Hooks)
	a.web = api.NewServer(a.api, api.MaxConnections, a.registry, a.unready, log)
	return a, nil
}

// newParts makes what a reload exchanges.
func (a *App) newParts(cfg *conf.Config) (p dialplan.Parts, err error) {
	p.Numbers = number.NewReader(cfg.Number)
	if p.Lookups, err = lookup.New(cfg.Lookups, a.store.Cache(), a.store.Phonebook(), a.log, a.registry); err != nil {
		return p, fmt.Errorf("[[lookup]]: %w", err)
	}
	if p.Hooks, err = hooks.New(cfg.Hooks, a.store.Outbox(), a.log, a.registry); err != nil {
		return p, errors.Join(fmt.Errorf("[[hook]]: %w", err), a.closeLookups(p.Lookups))
	}
	ctx, cancel := context.WithTimeout(context.Background(), store.Wait)
	defer cancel()
	if err := a.store.Outbox().Enrol(ctx, p.Hooks.Names()); err != nil {
		return p, errors.Join(err, a.closeLookups(p.Lookups), a.closeHooks(p.Hooks))
	}
	return p, nil
}

// hooksAre has the outbox know which hooks are in force, and tells what waits
// for others.
func (a *App) hooksAre(names []string) {
	o := a.store.Outbox()
	o.Configured(names)
	tallies, err := o.Tallies()
	if err != nil {
		a.log.Warn("not known whether deliveries wait for hooks that are not in the configuration", "err", err)
	}
	for _, t := range tallies {
		if t.Pending > 0 && !slices.Contains(names, t.Hook) {
			a.log.Warn("deliveries wait for a hook that is not in the configuration; they are given up unless it comes back", "hook", t.Hook,
				"pending", t.Pending, "until", t.GivenUpAt(time.Now()))
		}
	}
}

func explainer(cfg *conf.Config, p dialplan.Parts) *api.Explainer {
	return api.NewExplainer(cfg.Settings(), p.Numbers, p.Lookups)
}

// Run serves until ctx ends, a listener dies, or the outbox is found damaged; then it stops in order:
// no new calls, calls in progress, deliveries in flight, the store, metrics
// last. At each signal on hup the configuration is loaded again.
func (a *App) Run(ctx context.Context, hup <-chan os.Signal, load func() (*conf.Config, error)) error {
	a.hooksAre(a.parts.Hooks.Names())
	a.parts.Hooks.Start()
	failed := make(chan error, 2)
	go func() { failed <- a.agi.Serve(a.agiAt) }()
	go func() { failed <- a.web.Serve(a.webAt) }()
	beside, endBeside := context.WithCancel(ctx)
	defer endBeside()
	var besides sync.WaitGroup
	besides.Go(func() { a.reloadOn(beside, hup, load) })
	besides.Go(func() { a.points.CloseIdleCalls(beside) })
	watched, unwatch := context.WithCancel(context.Background())
	var watchdog sync.WaitGroup
	watchdog.Go(func() { a.watchdog(watched) })
	defer watchdog.Wait()
	defer unwatch()
	a.systemd.ready("serving")
	a.log.Info("serving", "fastagi", a.agiAt.Addr().String(), "http", a.webAt.Addr().String())

	var err error
	ended := 0
	select {
	case <-ctx.Done():
		a.log.Info("stopping: no new calls, those in progress are answered")
	case err = <-failed:
		ended++
		err = fmt.Errorf("listener died: %w", err)
	case <-a.store.Damaged():
		err = errors.New("outbox is damaged or gone: the next start begins a new one")
	}
	a.draining.Store(true)
	a.systemd.stopping(2*a.cfg.Load().FastAGI.Budget + attemptDrain + httpDrain + store.Wait)
	endBeside()
	besides.Wait()
	drain, cancel := context.WithTimeout(context.Background(), a.cfg.Load().FastAGI.Budget+time.Second)
	defer cancel()
	err = errors.Join(err, named("fastagi", a.agi.Shutdown(drain)), a.unwind())
	last, cancel := context.WithTimeout(context.Background(), httpDrain)
	defer cancel()
	err = errors.Join(err, named("http", a.web.Shutdown(last)))
	for ; ended < 2; ended++ {
		err = errors.Join(err, <-failed)
	}
	return err
}

// FastAGIAddr is the address that Asterisk is served on.
func (a *App) FastAGIAddr() net.Addr { return a.agiAt.Addr() }

// HTTPAddr is the address of metrics, health and the API.
func (a *App) HTTPAddr() net.Addr { return a.webAt.Addr() }

func (a *App) onStop(name string, stop func() error) { a.undo = append(a.undo, step{name, stop}) }

// unwind stops what was built, the last first. One that fails does not keep
// the rest from stopping.
func (a *App) unwind() (err error) {
	for i := len(a.undo) - 1; i >= 0; i-- {
		err = errors.Join(err, named(a.undo[i].name, a.undo[i].stop()))
	}
	a.undo = nil
	return err
}

func (a *App) closeLookups(s *lookup.Service) error {
	ctx, cancel := context.WithTimeout(context.Background(), a.cfg.Load().FastAGI.Budget)
	defer cancel()
	return s.Close(ctx)
}

func (a *App) closeHooks(d *hooks.Dispatcher) error {
	ctx, cancel := context.WithTimeout(context.Background(), attemptDrain)
	defer cancel()
	return d.Close(ctx)
}

// closed closes a listener that its server may have closed already.
func closed(l net.Listener) func() error {
	return func() error {
		if err := l.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			return err
		}
		return nil
	}
}

func named(name string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("stop %s: %w", name, err)
}

// unready says why no new call should be sent here, empty where it should.
func (a *App) unready() string {
	if a.draining.Load() {
		return "stopping"
	}
	if err := a.store.Ready(); err != nil {
		return err.Error()
	}
	return ""
}
