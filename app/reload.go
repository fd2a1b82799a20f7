package app

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"ringhook/conf"
	"ringhook/lookup"
)

// reloadMetrics tell whether the configuration in force is the one on disk.
type reloadMetrics struct{ ok, at prometheus.Gauge }

func newReloadMetrics(reg prometheus.Registerer) reloadMetrics {
	m := reloadMetrics{
		ok: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "ringhook_config_last_reload_successful", Help: "1 when the last reading of the configuration put it in force, 0 when an older one still is.",
		}),
		at: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "ringhook_config_last_reload_success_timestamp_seconds", Help: "When a configuration was last put in force.",
		}),
	}
	reg.MustRegister(m.ok, m.at)
	m.ok.Set(1)
	m.at.SetToCurrentTime()
	return m
}

// reloadOn reads the configuration again at each signal, until ctx ends.
func (a *App) reloadOn(ctx context.Context, hup <-chan os.Signal, load func() (*conf.Config, error)) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-hup:
		}
		a.systemd.reloading()
		cfg, err := load()
		if err == nil {
			fitSessions(cfg, a.log)
			err = a.reload(ctx, cfg)
		}
		if err != nil {
			a.reloads.ok.Set(0)
			a.log.Error("configuration not taken, the old one stays in force", "err", err)
			a.systemd.ready("serving; the configuration on disk is wrong, and an older one in force")
			continue
		}
		a.reloads.ok.Set(1)
		a.reloads.at.SetToCurrentTime()
		warn(cfg, a.log)
		a.log.Info("configuration read again")
		a.systemd.ready("serving")
	}
}

// reload prepares all that can fail, and then exchanges it. Calls on their
// way end with what they began with.
func (a *App) reload(ctx context.Context, cfg *conf.Config) error {
	if err := a.fixed(cfg); err != nil {
		return err
	}
	servers, err := a.control.Prepare(cfg.AMI)
	if err != nil {
		return err
	}
	parts, err := a.newParts(ctx, cfg)
	if err != nil {
		return err
	}
	if err := a.agi.Reconfigure(cfg.FastAGI); err != nil {
		return fmt.Errorf("[fastagi]: %w", err)
	}
	old := a.parts
	a.parts = parts
	a.cfg.Store(cfg)
	parts.Hooks.Replace(old.Hooks)
	ended := a.points.Exchange(cfg.Settings(), parts)
	a.api.Exchange(cfg.HTTP.Token, explainer(cfg, parts), parts.Hooks)
	a.control.Exchange(servers)
	a.setHooks(parts.Hooks.Names())
	a.retiring.Go(func() { a.retire(old.Lookups, ended) })
	return nil
}

// retire closes lookups after the last call that began with them has ended, which the
// longest budget bounds.
func (a *App) retire(s *lookup.Service, ended func()) {
	ended()
	if err := a.closeLookups(context.Background(), s); err != nil {
		a.log.Warn("lookups from before the reload cut short", "err", err)
	}
}

// fixed says what of a new configuration cannot be put in force while calls
// go on.
func (a *App) fixed(cfg *conf.Config) error {
	var moved []string
	old := a.cfg.Load()
	for name, same := range map[string]bool{
		"[fastagi] listen": cfg.FastAGI.Listen == old.FastAGI.Listen,
		"[http] listen":    cfg.HTTP.Listen == old.HTTP.Listen,
		"[store]":          cfg.Store == old.Store,
	} {
		if !same {
			moved = append(moved, name)
		}
	}
	if len(moved) == 0 {
		return nil
	}
	slices.Sort(moved)
	return fmt.Errorf("%s changed, which needs a restart", strings.Join(moved, " and "))
}
