package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"ringhook/dialplan"
	"ringhook/hooks"
	"ringhook/store"
)

type traceCmd struct {
	Linkedid string `arg:"" optional:"" help:"The call's linkedid, which is the uniqueid of its first channel; without one calls are listed."`
	Since    moment `default:"1h" placeholder:"TIME" help:"List the calls from then on: 2h for the last two hours, 10:42, or \"2006-01-02 15:04\"."`
	Until    moment `default:"0s" placeholder:"TIME" help:"List the calls that began before then."`
	Limit    int    `default:"100" help:"List at most this many."`
	JSON     bool   `name:"json" help:"Print everything of the call as JSON."`
}

// Run tells everything that the files have of a call.
func (c *traceCmd) Run(s *streams) (err error) {
	st, err := openOutbox(s)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, st.Close()) }()
	if c.Linkedid == "" {
		return c.list(s, st)
	}
	held, err := heldOf(st, c.Linkedid)
	if err != nil {
		return err
	}
	if c.JSON {
		return held.printJSON(s.out)
	}
	return held.print(s.out, time.Now())
}

// heldTrace is everything that is held of one call.
type heldTrace struct {
	linkedid   string
	call       *store.HeldCall // nil where its state is not kept
	points     []dialplan.PointTrace
	deliveries []store.Item
	attempts   [][]hooks.Attempt // of each delivery
}

func heldOf(st *store.Store, linkedid string) (*heldTrace, error) {
	h := &heldTrace{linkedid: linkedid}
	call, known, err := st.Call(linkedid)
	if err != nil {
		return nil, err
	}
	if known {
		h.call = &call
	}
	if h.points, err = st.Points(linkedid); err != nil {
		return nil, err
	}
	if h.deliveries, err = st.Outbox().List(store.Filter{LinkedID: linkedid, Limit: maxTraced}); err != nil {
		return nil, err
	}
	slices.Reverse(h.deliveries) // the first made first
	if !known && len(h.points)+len(h.deliveries) == 0 {
		return nil, fmt.Errorf("nothing is known of call %s: no point was asked with this linkedid, or it is longer ago than [store] keeps it; ringhook trace --since 1h lists the calls of the last hour", linkedid)
	}
	for _, d := range h.deliveries {
		_, attempts, err := st.Outbox().Show(d.ID)
		if err != nil {
			return nil, err
		}
		h.attempts = append(h.attempts, attempts)
	}
	return h, nil
}

func (h *heldTrace) print(w io.Writer, now time.Time) error {
	if h.call == nil {
		fmt.Fprintf(w, "call %s, of which no state is kept\n", printable(h.linkedid))
	} else if err := printCallState(w, h.call); err != nil {
		return err
	}
	t := trace{now: now}
	for i := range h.points {
		t.point(&h.points[i])
	}
	for i := range h.deliveries {
		t.add(&h.deliveries[i], h.attempts[i])
	}
	if err := t.print(w); err != nil {
		return err
	}
	if len(h.deliveries) == 0 {
		fmt.Fprintln(w, "\nNo hook wanted an event of this call: see events and when of each [[hook]].")
	}
	return h.printUndelivered(w)
}

// printUndelivered says what did not reach whom, and what mends it.
func (h *heldTrace) printUndelivered(w io.Writer) error {
	var lines strings.Builder
	mend := false
	for _, d := range h.deliveries {
		if d.State == hooks.Delivered {
			continue
		}
		mend = mend || d.State != hooks.Dropped
		fmt.Fprintf(&lines, "  %s did not get %s (delivery %d), which is %s", d.Hook, d.Event.Name, d.ID, stateNames[d.State])
		if d.Attempts > 0 {
			fmt.Fprintf(&lines, " after %d attempts, the last: %s", d.Attempts, lastOutcome(d))
		}
		if d.State == hooks.Pending {
			fmt.Fprintf(&lines, "; next attempt: %s", nextAttempt(d))
		}
		lines.WriteString("\n")
	}
	if lines.Len() == 0 {
		return nil
	}
	fmt.Fprintf(w, "\nNot delivered:\n%s", lines.String())
	if mend {
		fmt.Fprintf(w, "Once the receiver is well: ringhook outbox retry --call %s\n", printable(h.linkedid))
	}
	return nil
}

func (h *heldTrace) printJSON(w io.Writer) error {
	report := struct {
		Call       *store.HeldCall       `json:"call,omitempty"`
		Points     []dialplan.PointTrace `json:"points"`
		Deliveries []*deliveryDetails    `json:"deliveries"`
	}{Call: h.call, Points: h.points}
	for i := range h.deliveries {
		report.Deliveries = append(report.Deliveries, reportDetails(&h.deliveries[i], h.attempts[i]))
	}
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(report)
}

// maxTraced is more deliveries than a call has.
const maxTraced = 10_000

// callState is what the dialplan keeps of a call, as far as people read it.
type callState struct {
	Direction string         `json:"direction"`
	Began     time.Time      `json:"began"`
	Answered  time.Time      `json:"answered"`
	Ended     time.Time      `json:"ended"`
	Seq       int            `json:"seq"`
	Known     map[string]any `json:"known"`
	Visits    []callPart     `json:"visits"`
	Rings     []callPart     `json:"rings"`
}

// callPart is a visit to a queue or a phone that rang.
type callPart struct {
	Marker struct {
		What string `json:"what"`
	} `json:"marker"`
	Phone    string    `json:"phone"`
	Agent    string    `json:"agent"` // who answered the visit
	Began    time.Time `json:"began"`
	Answered time.Time `json:"answered"`
	Ended    time.Time `json:"ended"`
}

// list shows the calls of a span of time, and what went wrong with them.
func (c *traceCmd) list(s *streams, st *store.Store) error {
	calls, err := c.calls(st)
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(s.out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "BEGAN\tCALL\tDIRECTION\tCALLER\tANSWERED\tENDED\tTROUBLE")
	for _, call := range calls[:min(len(calls), c.Limit)] {
		undelivered, err := st.Outbox().List(store.Filter{LinkedID: call.linkedid, States: []hooks.State{hooks.Pending, hooks.Dead, hooks.Dropped}})
		if err != nil {
			return err
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", call.Began.Local().Format(time.DateTime), printable(call.linkedid), cmp.Or(call.Direction, "-"),
			printable(cmp.Or(text(call.Known["callerid"]), call.caller, "-")), clock(call.Answered), clock(call.Ended), call.troubles(undelivered))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if len(calls) > c.Limit {
		fmt.Fprintf(s.err, "the first %d of %d are shown; --limit shows more\n", c.Limit, len(calls))
	}
	return nil
}

// listedCall is a call in the list.
type listedCall struct {
	callState
	linkedid string
	caller   string // as the channel showed it, where there is no state
	trouble  []string
}

// calls gives the calls of the span, those among them of which nothing but the
// points is kept, in the order in which they began.
func (c *traceCmd) calls(st *store.Store) ([]*listedCall, error) {
	byID := map[string]*listedCall{}
	err := st.CallsSince(c.Since.Time, func(call store.HeldCall) bool {
		l := &listedCall{linkedid: call.LinkedID}
		if json.Unmarshal(call.State, &l.callState) == nil {
			byID[call.LinkedID] = l
		}
		return true
	})
	if err != nil {
		return nil, err
	}
	err = st.PointsSince(c.Since.Time, func(p *dialplan.PointTrace) {
		l := byID[p.LinkedID]
		if l == nil {
			l = &listedCall{linkedid: p.LinkedID, callState: callState{Began: p.At}, caller: p.Caller}
			byID[p.LinkedID] = l
		}
		l.note(p)
	})
	calls := slices.Collect(maps.Values(byID))
	until := c.Until.endOf(c.Since.Time)
	calls = slices.DeleteFunc(calls, func(l *listedCall) bool { return !l.Began.Before(until) })
	slices.SortFunc(calls, func(a, b *listedCall) int {
		return cmp.Or(a.Began.Compare(b.Began), cmp.Compare(a.linkedid, b.linkedid))
	})
	return calls, err
}

// note adds a point's trouble, once for each kind.
func (l *listedCall) note(p *dialplan.PointTrace) {
	add := func(what string) {
		if !slices.Contains(l.trouble, what) && len(l.trouble) < maxTroubles {
			l.trouble = append(l.trouble, what)
		}
	}
	if p.Error != "" {
		add(p.Point + " failed")
	}
	for _, k := range p.Lookups {
		if !k.Shadow && (k.Outcome == "timeout" || k.Outcome == "error" || k.Outcome == "open") {
			add("lookup " + k.Lookup + ": " + k.Outcome)
		}
	}
}

const maxTroubles = 8

// troubles tells in short what went wrong: with points, lookups and deliveries.
func (l *listedCall) troubles(undelivered []store.Item) string {
	list := l.trouble
	counts := map[string]int{}
	for _, d := range undelivered {
		counts[d.Hook+": %d "+stateNames[d.State]]++
	}
	for _, format := range slices.Sorted(maps.Keys(counts)) {
		list = append(list, fmt.Sprintf(format, counts[format]))
	}
	return printable(cmp.Or(strings.Join(list, "; "), "-"))
}

func text(v any) string {
	s, _ := v.(string)
	return s
}

// clock is a time of day, or that there is none.
func clock(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.Local().Format(time.TimeOnly)
}

func printCallState(w io.Writer, call *store.HeldCall) error {
	var state callState
	if err := json.Unmarshal(call.State, &state); err != nil {
		return fmt.Errorf("read the state of call %s: %w", call.LinkedID, err)
	}
	fmt.Fprintf(w, "call %s, %s, last heard of %s\n", printable(call.LinkedID), cmp.Or(state.Direction, "direction unknown"), call.Seen.Local().Format(time.DateTime))
	fmt.Fprintf(w, "  began %s, answered %s, ended %s, %d events\n", clock(state.Began), clock(state.Answered), clock(state.Ended), state.Seq)
	for _, p := range state.Visits {
		fmt.Fprintf(w, "  queue %s: entered %s, answered %s%s, left %s\n", printable(p.Marker.What), clock(p.Began), clock(p.Answered), by(p.Agent), clock(p.Ended))
	}
	for _, p := range state.Rings {
		fmt.Fprintf(w, "  phone %s: rang %s, answered %s, ended %s\n", printable(p.Phone), clock(p.Began), clock(p.Answered), clock(p.Ended))
	}
	for _, name := range slices.Sorted(maps.Keys(state.Known)) {
		fmt.Fprintf(w, "  %s = %s\n", printable(name), printable(fmt.Sprint(state.Known[name])))
	}
	return nil
}

func by(agent string) string {
	if agent == "" {
		return ""
	}
	return " by " + printable(agent)
}

// trace is what became of a call's events, to be put in order.
type trace struct {
	now   time.Time
	told  []string // ids of the events that are in it
	lines []traceLine
}

type traceLine struct {
	at   time.Time
	seq  int
	text string
}

func (t *trace) add(d *store.Item, attempts []hooks.Attempt) {
	if !slices.Contains(t.told, d.Event.ID) {
		t.told = append(t.told, d.Event.ID)
		var own []string
		for _, name := range []string{"queue_id", "agent_phone", "dialed", "status", "wait_time", "ring_time", "talk_time", "match", "callerid_kind", "correction", "presumed"} {
			if v, ok := d.Event.Params[name]; ok {
				own = append(own, fmt.Sprintf("%s=%v", name, v))
			}
		}
		t.lines = append(t.lines, traceLine{d.Event.Time, 2 * d.Event.Seq, fmt.Sprintf("event %d %s  %s", d.Event.Seq, d.Event.Name, printable(strings.Join(own, " ")))})
	}
	for _, a := range attempts {
		outcome := a.Class
		if a.Status != 0 {
			outcome = fmt.Sprintf("%s %d", a.Class, a.Status)
		}
		line := fmt.Sprintf("  to %s: %s %s after %s", d.Hook, d.Event.Name, outcome, milliseconds(a.Took))
		if a.Class != "delivered" && a.Excerpt != "" {
			line += ": " + printable(firstOf(a.Excerpt, 120))
		}
		t.lines = append(t.lines, traceLine{a.Started, 2*d.Event.Seq + 1, line})
	}
	if d.State == hooks.Delivered {
		return
	}
	line := fmt.Sprintf("  to %s: %s is %s (delivery %d)", d.Hook, d.Event.Name, stateNames[d.State], d.ID)
	at := d.Finished
	if d.State == hooks.Pending {
		at = t.now
		line += ", next attempt: " + nextAttempt(*d)
	}
	t.lines = append(t.lines, traceLine{at, 2*d.Event.Seq + 1, line})
}

func firstOf(s string, most int) string {
	if r := []rune(s); len(r) > most {
		return string(r[:most]) + "..."
	}
	return s
}

func (t *trace) print(w io.Writer) error {
	slices.SortStableFunc(t.lines, func(a, b traceLine) int {
		return cmp.Or(a.at.Truncate(time.Millisecond).Compare(b.at.Truncate(time.Millisecond)), cmp.Compare(a.seq, b.seq))
	})
	day := ""
	for _, l := range t.lines {
		at := l.at.Local()
		if date := at.Format(time.DateOnly); date != day {
			day = date
			fmt.Fprintf(w, "\n%s\n", day)
		}
		if _, err := fmt.Fprintf(w, "%s  %s\n", at.Format("15:04:05.000"), l.text); err != nil {
			return err
		}
	}
	return nil
}
