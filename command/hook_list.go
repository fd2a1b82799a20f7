package command

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"ringhook/api"
	"ringhook/hooks"
	"ringhook/store"
)

type hookListCmd struct{}

// Run prints the state of the hooks. It needs no running server.
func (*hookListCmd) Run(s *streams) (err error) {
	st, cfg, err := openStore(s)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, st.Close()) }()
	reports, err := api.HookReports(st, hooks.Names(cfg.Hooks), time.Now())
	if err != nil {
		return err
	}
	return printHooks(s.out, reports)
}

func printHooks(out io.Writer, reports []api.HookReport) error {
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

// stateOf describes the state of a hook.
func stateOf(r *api.HookReport) string {
	switch r.State {
	case "disabled":
		return fmt.Sprintf("disabled since %s: %s", local(r.Since), cmp.Or(hooks.Reasons[r.Reason], r.Reason))
	case "waiting":
		return fmt.Sprintf("failing since %s: %s; paused until %s", local(r.Since), cmp.Or(r.Error, r.Class), local(r.Until))
	case "failing":
		if r.Next == nil {
			return fmt.Sprintf("failing since %s: %s", local(r.Since), cmp.Or(r.Error, r.Class))
		}
		return fmt.Sprintf("failing: %s, next at %s", cmp.Or(r.Error, r.Class), local(r.Next))
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

// Run enables a disabled hook. A running server notices it within seconds.
func (c *hookEnableCmd) Run(s *streams) (err error) {
	st, cfg, err := openStore(s)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, st.Close()) }()
	if names := hooks.Names(cfg.Hooks); !slices.Contains(names, c.Name) {
		return fmt.Errorf("the configuration has no hook %q, only %s", c.Name, strings.Join(names, ", "))
	}
	ctx, cancel := context.WithTimeout(s.ctx, store.Wait)
	defer cancel()
	was, err := st.Enable(ctx, c.Name)
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
