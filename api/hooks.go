package api

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"ringhook/store/browse"
)

// HookReport is the state of a hook.
type HookReport struct {
	Hook    string     `json:"hook"`
	Pending int        `json:"pending"`
	Oldest  *time.Time `json:"oldest,omitempty"` // when the oldest pending one was accepted
	Dead    int        `json:"dead"`
	// State is fine, failing, waiting, disabled or unknown. A waiting hook is paused
	// until Until. An unknown one is not in the configuration: its pending deliveries
	// are given up at Until.
	State    string     `json:"state"`
	Since    *time.Time `json:"since,omitempty"` // it is failing, waiting or disabled
	Until    *time.Time `json:"until,omitempty"`
	Class    string     `json:"class,omitempty"`  // of a failure
	Reason   string     `json:"reason,omitempty"` // why it is disabled
	Failures int        `json:"failures,omitempty"`
	Error    string     `json:"error,omitempty"` // why the last attempt failed, in a few words
	Next     *time.Time `json:"next,omitempty"`  // the next attempt of what failed
}

// HookReports returns the state of the named hooks, and of others that have
// deliveries in the outbox.
func HookReports(o browse.Operator, names []string, now time.Time) ([]HookReport, error) {
	tallies, err := o.HookCounts()
	if err != nil {
		return nil, err
	}
	states, err := o.States()
	if err != nil {
		return nil, err
	}
	some := func(t time.Time) *time.Time {
		if t.IsZero() {
			return nil
		}
		return &t
	}
	reports := make([]HookReport, len(names))
	for i, name := range names {
		reports[i] = HookReport{Hook: name, State: "fine"}
	}
	of := func(name string) *HookReport {
		n := slices.IndexFunc(reports, func(r HookReport) bool { return r.Hook == name })
		if n < 0 {
			return nil
		}
		return &reports[n]
	}
	for _, t := range tallies {
		r := of(t.Hook)
		if r == nil {
			if t.Pending+t.Dead == 0 {
				continue
			}
			reports = append(reports, HookReport{Hook: t.Hook, State: "unknown"})
			r = &reports[len(reports)-1]
		}
		r.Pending, r.Dead, r.Oldest = t.Pending, t.Dead, some(t.Oldest)
		if r.State == "unknown" && t.Pending > 0 {
			r.Until = some(t.GivenUpAt(now))
		}
	}
	for _, st := range states {
		r := of(st.Hook)
		if r == nil || r.State == "unknown" {
			continue
		}
		r.State, r.Since, r.Class, r.Failures = "failing", some(st.Since), st.Class, st.Failures
		switch {
		case st.Disabled != "":
			r.State, r.Since, r.Reason = "disabled", some(st.DisabledAt), st.Disabled
		case now.Before(st.Until):
			r.State, r.Until = "waiting", some(st.Until)
		}
	}
	for i := range reports {
		if err := reports[i].addFailure(o); err != nil {
			return nil, err
		}
	}
	return reports, nil
}

// addFailure adds the last failure of what is pending. A single failure changes no hook's stored state, but the hook is not
// fine.
func (r *HookReport) addFailure(o browse.Operator) error {
	if r.Pending == 0 || r.State == "unknown" || r.State == "disabled" {
		return nil
	}
	last, next, failing, err := o.Failing(r.Hook)
	if err != nil || !failing {
		return err
	}
	if r.State == "fine" {
		r.State, r.Since = "failing", &last.Started
	}
	r.Class, r.Error, r.Next = last.Class, last.Cause(), &next
	if r.Until != nil && r.Until.After(next) {
		r.Next = r.Until
	}
	return nil
}

// KnownHook returns an error for a hook that is neither configured nor in the outbox. No name is no error.
func KnownHook(o browse.Operator, configured []string, name string) error {
	if name == "" || slices.Contains(configured, name) {
		return nil
	}
	had, err := o.List(browse.Filter{Hook: name, Limit: 1})
	if err == nil && len(had) == 0 {
		return &refusal{status: fasthttp.StatusNotFound, text: fmt.Sprintf("neither the configuration nor the outbox has a hook %q; the configuration has %s",
			name, cmp.Or(strings.Join(configured, ", "), "none"))}
	}
	return err
}

// listHooks lists the configured hooks and those that deliveries still wait for.
func (a *API) listHooks(_ context.Context, now *settings, _ *request) (any, error) {
	reports, err := HookReports(a.stored, now.hooks.Names(), time.Now())
	return map[string][]HookReport{"hooks": reports}, err
}

// enableRequest names a hook.
type enableRequest struct {
	Hook string `json:"hook"`
}

// enableHook enables a disabled hook.
func (a *API) enableHook(ctx context.Context, now *settings, r *request) (any, error) {
	var asked enableRequest
	if err := decode(r.body, &asked); err != nil {
		return nil, err
	}
	if !slices.Contains(now.hooks.Names(), asked.Hook) {
		return nil, &refusal{status: 404, text: fmt.Sprintf("the configuration has no hook %q", asked.Hook)}
	}
	was, err := a.stored.Enable(ctx, asked.Hook)
	now.hooks.Wake(asked.Hook)
	return map[string]bool{"enabled": was}, err
}
