package command

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"ringhook/dialplan"
	"ringhook/dialplan/kept"
	"ringhook/hooks"
	"ringhook/store/browse"
)

// list prints the calls of a time span, with their problems.
func (c *traceCmd) list(s *streams, st browse.Store) error {
	calls, err := c.calls(st)
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(s.out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "BEGAN\tCALL\tDIRECTION\tCALLER\tANSWERED\tENDED\tTROUBLE")
	for _, call := range calls[:min(len(calls), c.Limit)] {
		undelivered, err := st.List(browse.Filter{Call: call.linkedid, States: []hooks.State{hooks.Pending, hooks.Dead, hooks.Dropped}})
		if err != nil {
			return err
		}
		undelivered = slices.DeleteFunc(undelivered, func(d browse.Item) bool {
			of := d.Event.Call()
			return call.uuid != "" && of != call.uuid && of != call.linkedid // of another Asterisk's call
		})
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
	kept.Call
	linkedid string
	uuid     string // empty if there is no state
	caller   string // as the channel showed it, if there is no state
	trouble  []string
}

// calls returns the calls of the time span in the order of their beginning, also those of
// which only the points are stored.
func (c *traceCmd) calls(st browse.Store) ([]*listedCall, error) {
	byID := map[string][]*listedCall{} // two Asterisks may have one linkedid
	err := st.CallsSince(c.Since.Time, func(call browse.HeldCall) bool {
		if c, err := kept.Decode(call.State); err == nil {
			byID[call.LinkedID] = append(byID[call.LinkedID], &listedCall{Call: *c, linkedid: call.LinkedID, uuid: call.UUID()})
		}
		return true
	})
	if err != nil {
		return nil, err
	}
	err = st.PointsSince(c.Since.Time, func(p *dialplan.PointTrace) {
		if byID[p.LinkedID] == nil {
			byID[p.LinkedID] = []*listedCall{{linkedid: p.LinkedID, Call: kept.Call{Began: p.At}, caller: p.Caller}}
		}
		for _, l := range byID[p.LinkedID] {
			l.note(p)
		}
	})
	calls := slices.Concat(slices.Collect(maps.Values(byID))...)
	until := c.Until.EndOf(c.Since.Time)
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

// troubles summarises what went wrong with points, lookups and deliveries.
func (l *listedCall) troubles(undelivered []browse.Item) string {
	list := l.trouble
	counts := map[string]int{}
	for _, d := range undelivered {
		what := d.State.String()
		if d.State == hooks.Pending && d.Attempts > 0 {
			what += ", failing (" + lastOutcome(d) + ")"
			if !d.Next.IsZero() {
				what += ", next at " + d.Next.Local().Format(time.TimeOnly)
			}
		}
		counts[d.Hook+": %d "+what]++
	}
	for _, format := range slices.Sorted(maps.Keys(counts)) {
		list = append(list, fmt.Sprintf(format, counts[format]))
	}
	return printable(cmp.Or(strings.Join(list, "; "), "-"))
}
