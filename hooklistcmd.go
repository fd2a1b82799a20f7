package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"ringhook/hooks"
	"ringhook/store"
)

// hookReport is how a hook stands.
type hookReport struct {
	Hook    string     `json:"hook"`
	Pending int        `json:"pending"`
	Oldest  *time.Time `json:"oldest,omitempty"` // when the oldest pending one was accepted
	Dead    int        `json:"dead"`
	// State is fine, failing, waiting, disabled or unknown: waiting where nothing is
	// sent until Until, unknown where the configuration has no such hook: what is
	// pending is dead then at Until.
	State    string     `json:"state"`
	Since    *time.Time `json:"since,omitempty"` // it is failing, waiting or disabled
	Until    *time.Time `json:"until,omitempty"`
	Class    string     `json:"class,omitempty"`  // of a failure
	Reason   string     `json:"reason,omitempty"` // why it is disabled
	Failures int        `json:"failures,omitempty"`
}

// hookReports tells how the named hooks stand, and those of which there is
// something in the outbox though nobody names them.
func hookReports(o *store.Outbox, names []string, now time.Time) ([]hookReport, error) {
	tallies, err := o.Tallies()
	if err != nil {
		return nil, err
	}
	standings, err := o.Standings()
	if err != nil {
		return nil, err
	}
	some := func(t time.Time) *time.Time {
		if t.IsZero() {
			return nil
		}
		return &t
	}
	reports := make([]hookReport, len(names))
	for i, name := range names {
		reports[i] = hookReport{Hook: name, State: "fine"}
	}
	of := func(name string) *hookReport {
		n := slices.IndexFunc(reports, func(r hookReport) bool { return r.Hook == name })
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
			reports = append(reports, hookReport{Hook: t.Hook, State: "unknown"})
			r = &reports[len(reports)-1]
		}
		r.Pending, r.Dead, r.Oldest = t.Pending, t.Dead, some(t.Oldest)
		if r.State == "unknown" && t.Pending > 0 {
			r.Until = some(givenUp(&t, now))
		}
	}
	for _, st := range standings {
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
	return reports, nil
}

type hookListCmd struct{}

// Run prints how the hooks stand; a server need not run.
func (*hookListCmd) Run(s *streams) (err error) {
	names, err := hookNames(s)
	if err != nil {
		return err
	}
	st, err := openOutbox(s)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, st.Close()) }()
	reports, err := hookReports(st.Outbox(), names, time.Now())
	if err != nil {
		return err
	}
	return printHooks(s.out, reports)
}

// hookNames are those of the configuration, copies among them.
func hookNames(s *streams) ([]string, error) {
	cfg, err := s.load()
	if err != nil {
		return nil, err
	}
	d, err := hooks.New(cfg.Hooks, nil, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	if err != nil {
		return nil, err
	}
	return d.Names(), nil
}

func printHooks(out io.Writer, reports []hookReport) error {
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "HOOK\tPENDING\tOLDEST\tDEAD\tSTATE")
	for _, r := range reports {
		fmt.Fprintf(w, "%s\t%d\t%s\t%d\t%s\n", r.Hook, r.Pending, local(r.Oldest), r.Dead, stateOf(&r))
	}
	return w.Flush()
}

func local(t *time.Time) string {
	if t == nil {
		return "-"
	}
	return t.Local().Format(time.DateTime)
}

// stateOf says for people how a hook stands.
func stateOf(r *hookReport) string {
	switch r.State {
	case "disabled":
		return fmt.Sprintf("disabled since %s: %s", local(r.Since), cmp.Or(hooks.Reasons[r.Reason], r.Reason))
	case "waiting":
		return fmt.Sprintf("failing since %s (%s), left alone until %s", local(r.Since), r.Class, local(r.Until))
	case "failing":
		return fmt.Sprintf("failing since %s (%s)", local(r.Since), r.Class)
	case "unknown":
		if r.Until == nil {
			return "not in the configuration"
		}
		return "not in the configuration: what is pending waits for a hook of that name until " + local(r.Until)
	}
	return r.State
}

type hookEnableCmd struct {
	Name string `arg:"" help:"The hook's name, from the list."`
}

// Run has a disabled hook be sent events again; a running server sees it within
// seconds.
func (c *hookEnableCmd) Run(s *streams) (err error) {
	names, err := hookNames(s)
	if err != nil {
		return err
	}
	if !slices.Contains(names, c.Name) {
		return fmt.Errorf("the configuration has no hook %q, only %s", c.Name, strings.Join(names, ", "))
	}
	st, err := openOutbox(s)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, st.Close()) }()
	ctx, cancel := context.WithTimeout(s.ctx, storeWait)
	defer cancel()
	was, err := st.Outbox().Enable(ctx, c.Name)
	switch {
	case err != nil:
		return err
	case !was:
		fmt.Fprintf(s.out, "hook %s is not disabled\n", c.Name)
	default:
		fmt.Fprintf(s.out, "hook %s is enabled; a running server sends to it within seconds. What was given up stays so: ringhook outbox retry --hook %s --state dead\n", c.Name, c.Name)
	}
	return nil
}

// hooksPath is where the API lists the hooks.
const hooksPath = apiPrefix + "hooks"

func (a *api) listHooks(now *apiSettings) (any, error) {
	reports, err := hookReports(a.outbox, now.hooks.Names(), time.Now())
	return map[string][]hookReport{"hooks": reports}, err
}

func (a *api) enableHook(ctx context.Context, now *apiSettings, body []byte) (any, error) {
	var asked struct {
		Hook string `json:"hook"`
	}
	if err := decode(body, &asked); err != nil {
		return nil, err
	}
	if !slices.Contains(now.hooks.Names(), asked.Hook) {
		return nil, &refusal{status: 404, text: fmt.Sprintf("there is no hook %q", asked.Hook)}
	}
	was, err := a.outbox.Enable(ctx, asked.Hook)
	now.hooks.Wake(asked.Hook)
	return map[string]bool{"enabled": was}, err
}
