package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"ringhook/conf"
	"ringhook/lookup"
	"ringhook/pgstore"
	"ringhook/pops/getevent"
	"ringhook/store"
)

// reloadMetrics report whether the configuration on disk is in force.
type reloadMetrics struct{ ok, at prometheus.Gauge }

func newReloadMetrics(reg prometheus.Registerer) reloadMetrics {
	m := reloadMetrics{
		ok: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "ringhook_config_last_reload_successful", Help: "1 if the last reload put the whole configuration in force, else 0.",
		}),
		at: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "ringhook_config_last_reload_success_timestamp_seconds", Help: "Time of the last reload that put the whole configuration in force.",
		}),
	}
	reg.MustRegister(m.ok, m.at)
	m.ok.Set(1)
	m.at.SetToCurrentTime()
	return m
}

// Reloaded is the result of a reload.
type Reloaded struct {
	Changed  []string `json:"changed,omitempty"`  // what changed and is in force now
	Restart  []string `json:"restart,omitempty"`  // what changed and needs a restart
	Warnings []string `json:"warnings,omitempty"` // likely mistakes
	Error    string   `json:"error,omitempty"`    // why nothing changed
}

// Err returns the error of a reload that did not put everything in force.
func (r *Reloaded) Err() error {
	switch {
	case r.Error != "":
		return errors.New(r.Error)
	case len(r.Restart) > 0:
		return fmt.Errorf("%s: a change of this needs a restart; everything else of the file is in force", strings.Join(r.Restart, ", "))
	}
	return nil
}

// reloadOn reloads at each signal and each request, until ctx ends.
func (a *App) reloadOn(ctx context.Context, hup <-chan os.Signal, requests <-chan chan<- *Reloaded, load func() (*conf.Config, error)) {
	for {
		var result chan<- *Reloaded
		select {
		case <-ctx.Done():
			return
		case <-hup:
		case result = <-requests:
		}
		a.systemd.reloading()
		done := a.reloadFile(ctx, load)
		status := "serving"
		switch {
		case done.Error != "":
			status = "serving; the configuration on disk is wrong, and an older one in force"
		case len(done.Restart) > 0:
			status = "serving; some changes of the configuration need a restart"
		}
		a.systemd.ready(status)
		if result != nil {
			result <- done
		}
	}
}

// reloadFile loads the configuration, puts it in force, and logs and counts the result.
func (a *App) reloadFile(ctx context.Context, load func() (*conf.Config, error)) *Reloaded {
	done := &Reloaded{}
	cfg, err := load()
	if err == nil {
		err = a.reload(ctx, cfg, done)
	}
	if err != nil {
		a.reloads.ok.Set(0)
		a.log.Error("reload failed, the old configuration stays in force", "err", err)
		return &Reloaded{Error: err.Error()}
	}
	warn(cfg, a.log)
	for _, w := range cfg.Warnings {
		done.Warnings = append(done.Warnings, w.String())
	}
	a.log.Info("configuration reloaded", append(a.describe(cfg), "changed", strings.Join(done.Changed, ", "))...)
	if len(done.Restart) > 0 {
		a.reloads.ok.Set(0)
		a.log.Error("some changes need a restart", "keys", strings.Join(done.Restart, ", "))
		return done
	}
	a.reloads.ok.Set(1)
	a.reloads.at.SetToCurrentTime()
	return done
}

// describe returns what a configuration is and has, as attributes of a log line.
func (a *App) describe(cfg *conf.Config) []any {
	file := "built-in defaults"
	if cfg.File != "" {
		file = absolute(cfg.File)
	}
	where := []any{"version", a.build.Version, "file", file, "store", absolute(cfg.Store.Folder)}
	if cfg.Store.Type == store.Postgres {
		where = append(where, "postgres", pgstore.Address(cfg.Store.DSN))
	}
	return append(where,
		"lookups", len(cfg.Lookups), "hooks", len(cfg.Hooks), "queues", len(cfg.Queues), "agents", len(cfg.Agents), "ami", len(cfg.AMI))
}

func absolute(path string) string {
	if abs, err := filepath.Abs(path); err == nil {
		return abs
	}
	return path
}

// reload prepares everything that can fail, and then exchanges it. Calls in progress end
// with the settings that they began with. Keys that need a restart keep their values.
func (a *App) reload(ctx context.Context, cfg *conf.Config, done *Reloaded) error {
	fitFiles(cfg, a.log)
	for _, change := range conf.Changes(a.cfg.Load(), cfg) {
		if needsRestart(change) {
			done.Restart = append(done.Restart, change)
		} else {
			done.Changed = append(done.Changed, change)
		}
	}
	running := a.cfg.Load()
	cfg.FastAGI.Listen, cfg.HTTP.Listen, cfg.Store = running.FastAGI.Listen, running.HTTP.Listen, running.Store
	cfg.Desk.Listen, cfg.Desk.CertFile, cfg.Desk.KeyFile = running.Desk.Listen, running.Desk.CertFile, running.Desk.KeyFile
	servers, err := a.control.Prepare(cfg.AMI)
	if err != nil {
		return err
	}
	popping, err := a.popSetup(cfg)
	if err != nil {
		return err
	}
	exchangeDesk, err := a.prepareDesk(cfg, &popping)
	if err != nil {
		return err
	}
	shared, err := a.newShared(cfg)
	if err != nil {
		return err
	}
	parts, err := a.newParts(ctx, cfg, shared.Tokens)
	if err != nil {
		return err
	}
	if err := a.agi.Reconfigure(cfg.FastAGI); err != nil {
		return fmt.Errorf("[fastagi]: %w", err)
	}
	old := a.parts
	a.parts = parts
	a.cfg.Store(cfg)
	if a.level != nil {
		a.level.Set(cfg.Log.Slog())
	}
	closeAccounts := shared.exchange()
	parts.Hooks.Replace(old.Hooks)
	a.data.spool.use(cfg, shared.Tokens, parts.Hooks)
	ended := a.points.Exchange(a.settings(cfg), parts)
	asked := a.api.Exchange(cfg.HTTP.Token, cfg.Yemot, explainer(cfg, parts), parts.Hooks, cfg.Recordings.Shown())
	a.control.Configure(cfg.Control(parts.Numbers))
	a.control.Exchange(servers)
	a.clicks.Exchange(cfg.Clicks, cfg.Agents)
	a.recordings.Exchange(cfg.Recordings, cfg.Desk.URL)
	exchangeDesk()
	popping.Hooks = parts.Hooks.Once
	a.pops.Exchange(popping)
	a.api.SetGetEvent(getevent.New(cfg.GetEvent, a.pops))
	a.setHooks(parts.Hooks.Names())
	a.retiring.Go(func() {
		a.retire(old.Lookups, ended, asked)
		closeAccounts()
	})
	return nil
}

// needsRestart reports whether a change of conf.Changes cannot be put in force while
// calls go on.
func needsRestart(change string) bool {
	return slices.Contains([]string{"[fastagi] listen", "[http] listen", "[desk] listen", "[desk] cert_file", "[desk] key_file"}, change) ||
		strings.HasPrefix(change, "[store] ")
}

// retire closes lookups after the last calls and API requests that began with them have
// ended, which the longest budget and the API's time limit bound.
func (a *App) retire(s *lookup.Service, ended ...func()) {
	for _, wait := range ended {
		wait()
	}
	if err := a.closeLookups(context.Background(), s); err != nil {
		a.log.Warn("lookups from before the reload cut short", "err", err)
	}
}
