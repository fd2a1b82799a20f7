package command

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"ringhook/conf"
	"ringhook/dialplan"
	"ringhook/hooks"
	"ringhook/recordings"
)

type hookCmd struct {
	List   hookListCmd   `cmd:"" help:"Show the state of each hook and what waits for it."`
	Enable hookEnableCmd `cmd:"" help:"Enable a disabled hook."`
	Test   hookTestCmd   `cmd:"" help:"Send a sample event to a hook and print request and answer."`
}

type hookTestCmd struct {
	Name  string `arg:"" help:"The hook's name; of one with several URLs journal is the first, journal.2 the second."`
	Event string `arg:"" optional:"" help:"The event, such as agent-answer; the first that the hook names otherwise."`
	Raw   bool   `help:"Print the request as it is sent, with its secrets and its signature."`

	Set map[string]string `placeholder:"NAME=VALUE" help:"Set a parameter of the sample, such as customer_id=4711."`
}

// Run sends the sample without the outbox: it is not stored, counted or retried.
func (c *hookTestCmd) Run(s *streams) error {
	cfg, err := s.load()
	if err != nil {
		return err
	}
	name, _, _ := strings.Cut(c.Name, ".")
	n := slices.IndexFunc(cfg.Hooks, func(h hooks.Config) bool { return h.Name == name })
	if n < 0 {
		return fmt.Errorf("the configuration has no hook %q", c.Name)
	}
	event, err := c.event(cfg.Hooks[n].Events)
	if err != nil {
		return err
	}
	ev, err := sampleEvent(event)
	if err != nil {
		return err
	}
	if ev, err = ev.Replace(c.Set); err != nil {
		return usageError{fmt.Errorf("--set %w", err)}
	}
	accounts, done, err := openAccounts(s, cfg)
	if err != nil {
		return err
	}
	defer done()
	p, a, wanted, err := hooks.Try(cfg.Hooks, hooks.Shared{Accounts: accounts, Recordings: recordingsOf(cfg)}, ev, c.Name, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	if !wanted {
		fmt.Fprintf(s.out, "The hook would not get this sample: it is not among its events, or its condition does not hold. It is sent all the same.\n\n")
	}
	printPreview(s.out, p, c.Raw)
	fmt.Fprintf(s.out, "\n%s after %s", a.Class, milliseconds(a.Took))
	if a.Status != 0 {
		fmt.Fprintf(s.out, ", status %d", a.Status)
	}
	fmt.Fprintln(s.out)
	if a.Excerpt != "" {
		fmt.Fprintf(s.out, "  %s\n", printable(a.Excerpt))
	}
	if a.Class != "delivered" {
		return errors.New("the hook did not take the event")
	}
	return nil
}

// recordingsOf returns the recordings of the configuration, to open and not to link.
func recordingsOf(cfg *conf.Config) *recordings.Recordings {
	none := slog.New(slog.DiscardHandler) // that links cannot be signed does not matter
	r := recordings.New(nil, none, prometheus.NewRegistry())
	r.Exchange(cfg.Recordings, "")
	return r
}

// event returns the event to send: the one asked for, else the first that the hook names. An event of the dialplan's
// own has to be among those that the hook names.
func (c *hookTestCmd) event(named []string) (string, error) {
	if c.Event != "" {
		known := append(dialplan.Events(), hooks.HookDisabled)
		if !slices.Contains(known, c.Event) && !slices.Contains(named, c.Event) {
			return "", usageError{fmt.Errorf("no point makes an event %q: use %s, or an event of your dialplan that the hook names in events",
				c.Event, strings.Join(known, ", "))}
		}
		return c.Event, nil
	}
	for _, name := range named {
		if !strings.ContainsAny(name, `*?[\`) {
			return name, nil
		}
	}
	return "call-hangup", nil
}

// sampleEvent returns an event as ringhook makes it, between fictitious people.
func sampleEvent(name string) (*hooks.Event, error) {
	now := time.Now().Truncate(time.Second)
	if name == hooks.HookDisabled {
		return hooks.DisabledEvent("journal", hooks.Gone, now), nil
	}
	return dialplan.Sample(name, now)
}

// printPreview shows a request without its secrets, or as it is sent.
func printPreview(w io.Writer, p hooks.Preview, raw bool) {
	if raw {
		fmt.Fprintln(w, string(p.Raw))
		return
	}
	fmt.Fprintf(w, "%s %s\n", p.Method, p.URL)
	for _, h := range p.Headers {
		fmt.Fprintf(w, "%s: %s\n", h[0], h[1])
	}
	if p.Body != "" {
		fmt.Fprintf(w, "\n%s\n", p.Body)
	}
}
