package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"text/tabwriter"
	"time"

	"ringhook/api"
	"ringhook/conf"
	"ringhook/hooks"
	"ringhook/store/browse"
)

type outboxCmd struct {
	List  outboxListCmd  `cmd:"" help:"List deliveries, the newest first."`
	Show  outboxShowCmd  `cmd:"" help:"Show a delivery: its request and every attempt."`
	Retry outboxRetryCmd `cmd:"" help:"Attempt deliveries now, also dead ones and those of a paused hook."`
	Drop  outboxDropCmd  `cmd:"" help:"Drop deliveries: they are not attempted again."`

	Salvage outboxSalvageCmd `cmd:"" help:"Copy readable deliveries from a damaged outbox."`

	Replay outboxReplayCmd `cmd:"" help:"Send a hook the events of a time span again."`
}

// outboxFilter chooses deliveries.
type outboxFilter struct {
	Hook  string     `placeholder:"NAME" help:"Only deliveries for this hook."`
	Call  string     `placeholder:"CALL" help:"Only deliveries of this call: its linkedid, or its call_uuid."`
	State string     `enum:"pending,dead,delivered,dropped,all" default:"all" help:"Only deliveries in this state: ${enum}."`
	Since api.Moment `placeholder:"TIME" help:"Only events from then on: 2h for the last two hours, 10:42, or \"2006-01-02 15:04\"."`
	Until api.Moment `placeholder:"TIME" help:"Only events before then."`
}

func (f outboxFilter) filter(limit int) browse.Filter {
	filter := browse.Filter{Hook: f.Hook, Call: f.Call, Limit: limit, Since: f.Since.Time, Until: f.Until.EndOf(f.Since.Time)}
	if state, ok := hooks.StateNamed(f.State); ok {
		filter.States = []hooks.State{state}
	}
	return filter
}

type outboxListCmd struct {
	outboxFilter
	Limit int `default:"100" help:"At most this many."`
}

// Run lists deliveries.
func (c *outboxListCmd) Run(s *streams) (err error) {
	st, cfg, err := openStore(s)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, st.Close()) }()
	if err := c.known(cfg, st); err != nil {
		return err
	}
	list, err := st.List(c.filter(c.Limit))
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(s.out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "ID\tACCEPTED\tHOOK\tEVENT\tCALL\tSTATE\tATTEMPTS\tLAST\tNEXT")
	for _, d := range list {
		fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%s\t%s\t%d\t%s\t%s\n", d.ID, d.Accepted.Local().Format(time.DateTime), d.Hook,
			d.Event.Name, d.Event.LinkedID, d.State, d.Attempts, lastOutcome(d), nextAttempt(d))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if len(list) == c.Limit {
		fmt.Fprintf(s.err, "the newest %d are shown; --limit shows more\n", c.Limit)
	}
	return nil
}

func lastOutcome(d browse.Item) string {
	switch {
	case d.Class == "":
		return "-"
	case d.Status != 0:
		return fmt.Sprintf("%s %d", d.Class, d.Status)
	}
	return d.Class
}

func nextAttempt(d browse.Item) string {
	switch {
	case d.Held:
		return "after the one before"
	case d.Next.IsZero():
		return "-"
	}
	return d.Next.Local().Format(time.DateTime)
}

type outboxShowCmd struct {
	ID  int64 `arg:"" help:"The delivery's number, from the list."`
	Raw bool  `help:"Print only the request as it would be sent now, with its secrets and its signature."`
}

// Run shows one delivery.
func (c *outboxShowCmd) Run(s *streams) (err error) {
	st, cfg, err := openStore(s)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, st.Close()) }()
	d, attempts, err := st.Show(c.ID)
	if err != nil {
		return fmt.Errorf("delivery %d: %w", c.ID, err)
	}
	if by := hooks.RememberedFor(cfg.Hooks, d.Hook); by != d.Hook {
		if d.Remembered, err = st.outbox.Remembered(by, d.Event.Call()); err != nil {
			return err
		}
	}
	ev := d.Event.With(d.Remembered)
	if c.Raw {
		p, err := hooks.Render(cfg.Hooks, ev, d.Hook)
		if err != nil {
			return err
		}
		printPreview(s.out, p, true)
		return nil
	}
	fmt.Fprintf(s.out, "delivery %d: %s for hook %s, %s\n", d.ID, d.Event.Name, d.Hook, d.State)
	if d.ReplayOf != 0 {
		fmt.Fprintf(s.out, "sent again, after delivery %d\n", d.ReplayOf)
	}
	fmt.Fprintf(s.out, "event %s of call %s, accepted %s\n", d.Event.ID, d.Event.LinkedID, d.Accepted.Local().Format(time.DateTime))
	if next := nextAttempt(d); next != "-" {
		fmt.Fprintf(s.out, "next attempt: %s\n", next)
	}
	for _, name := range slices.Sorted(maps.Keys(d.Remembered)) {
		fmt.Fprintf(s.out, "remembered of the call: %s = %s\n", name, printable(d.Remembered[name]))
	}
	printAttempts(s.out, attempts)
	return c.preview(s.out, cfg, ev, d.Hook)
}

func printAttempts(w io.Writer, attempts []hooks.Attempt) {
	for _, a := range attempts {
		fmt.Fprintf(w, "\n%s  %s after %s", a.Started.Local().Format(time.DateTime), a.Class, milliseconds(a.Took))
		if a.Status != 0 {
			fmt.Fprintf(w, ", status %d", a.Status)
		}
		if a.Excerpt != "" {
			fmt.Fprintf(w, "\n  %s", printable(a.Excerpt))
		}
	}
	if len(attempts) > 0 {
		fmt.Fprintln(w)
	}
}

// preview prints the request that the current configuration renders.
func (c *outboxShowCmd) preview(w io.Writer, cfg *conf.Config, ev *hooks.Event, hook string) error {
	p, err := hooks.Render(cfg.Hooks, ev, hook)
	if err != nil {
		fmt.Fprintf(w, "\nthe request cannot be shown: %v\n", err)
		return nil
	}
	fmt.Fprintln(w)
	printPreview(w, p, false)
	return nil
}

// outboxChoice selects deliveries by number, or by a filter if no number is given.
type outboxChoice struct {
	IDs []int64 `arg:"" optional:"" name:"id" help:"Numbers of deliveries, from the list; else give a filter."`
	outboxFilter
	Limit int `placeholder:"N" help:"At most this many, the oldest; all that fit otherwise."`
}

func (c *outboxChoice) choose(s *streams, change func(browse.Operator, context.Context, ...int64) (int, error), done string) (err error) {
	if len(c.IDs) == 0 && c.Hook == "" && c.Call == "" && c.Since.IsZero() {
		return usageError{errors.New("give numbers of deliveries, or --hook, --call or --since")}
	}
	st, cfg, err := openStore(s)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, st.Close()) }()
	if err := c.known(cfg, st, c.IDs...); err != nil {
		return err
	}
	ids := c.IDs
	if len(ids) == 0 {
		if ids, err = st.Changeable(c.filter(c.Limit)); err != nil {
			return err
		}
	}
	n, err := change(st, s.ctx, ids...)
	fmt.Fprintf(s.out, "%d deliveries %s\n", n, done)
	return err
}

// known returns an error if a filter names a hook or a call, or there are numbers of deliveries, that are nowhere: they
// are mistyped, and nothing would be shown or changed without a word.
func (f outboxFilter) known(cfg *conf.Config, st *openedStore, ids ...int64) error {
	err := api.KnownHook(st, hooks.Names(cfg.Hooks), f.Hook)
	if f.Call != "" {
		_, held := heldOf(st.Store, f.Call, nil)
		err = errors.Join(err, held)
	}
	for _, id := range ids {
		if _, _, shown := st.Show(id); shown != nil {
			err = errors.Join(err, fmt.Errorf("delivery %d: %w", id, shown))
		}
	}
	return err
}

type outboxRetryCmd struct {
	outboxChoice
}

// Run makes deliveries due now. A running server notices it within seconds.
func (c *outboxRetryCmd) Run(s *streams) error {
	return c.choose(s, browse.Operator.Retry, "are due now; a running server attempts them within seconds")
}

type outboxDropCmd struct {
	outboxChoice
}

// Run drops deliveries.
func (c *outboxDropCmd) Run(s *streams) error {
	return c.choose(s, browse.Operator.Drop, "dropped")
}

type outboxReplayCmd struct {
	Hook   string     `required:"" placeholder:"NAME" help:"The hook to send to."`
	From   string     `placeholder:"NAME" help:"Send what this other hook got and --hook did not."`
	Since  api.Moment `required:"" placeholder:"TIME" help:"First event: 2h for two hours ago, 10:42, or \"2006-01-02 15:04\"."`
	Until  api.Moment `default:"0s" placeholder:"TIME" help:"Only events before this time. Default: now."`
	NewID  bool       `name:"new-id" help:"Give each event a new id, for a receiver that drops ids it knows."`
	DryRun bool       `help:"Print how many events would be sent, and how long that takes."`
}

// Run creates new deliveries of events that were delivered, given up or dropped.
func (c *outboxReplayCmd) Run(s *streams) (err error) {
	if c.NewID && c.From != "" {
		return usageError{errors.New("--new-id is for the hook's own events, --from for those of another hook: give one of them")}
	}
	st, cfg, err := openStore(s)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, st.Close()) }()
	for _, name := range []string{c.Hook, c.From} {
		if err := api.KnownHook(st, hooks.Names(cfg.Hooks), name); err != nil {
			return err
		}
	}
	r := browse.Replay{Hook: c.Hook, From: c.From, Since: c.Since.Time, Until: c.Until.EndOf(c.Since.Time), NewID: c.NewID}
	if c.From != "" {
		if r.Wants, err = hooks.Wants(cfg.Hooks, c.Hook, s.warnings()); err != nil {
			return err
		}
	}
	if c.DryRun {
		n, err := st.Replayable(r)
		if err == nil {
			fmt.Fprintf(s.out, "%d deliveries would be sent: %s\n", n, replayEnd(n))
		}
		return err
	}
	n, err := st.Replay(s.ctx, r)
	fmt.Fprintf(s.out, "%d deliveries are queued: %s\n", n, replayEnd(n))
	return err
}

// replayEnd says when n replayed deliveries are sent if the receiver takes each at once.
func replayEnd(n int) string {
	took := browse.ReplayTime(n)
	return fmt.Sprintf("one at a time, at most %d a second, after new events; at the earliest done in %s (%s)",
		int(time.Second/browse.ReplayTime(2)), took.Round(time.Second), time.Now().Add(took).Format(time.DateTime))
}

type outboxSalvageCmd struct {
	File string `arg:"" placeholder:"FILE" help:"The outbox that was moved aside, such as ringhook-data/outbox.db.damaged-20260115T093000.000Z."`
}

// Run copies pending and dead deliveries. A running server notices it within seconds.
func (c *outboxSalvageCmd) Run(s *streams) (err error) {
	st, _, err := openFolder(s)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, st.Close()) }()
	got, err := st.Operator().Salvage(s.ctx, c.File)
	fmt.Fprintf(s.out, "%d deliveries copied, %d were there already", got.Copied, got.Known)
	if got.Unreadable > 0 {
		fmt.Fprintf(s.out, "; up to %d cannot be read", got.Unreadable)
	}
	fmt.Fprintln(s.out)
	return err
}
