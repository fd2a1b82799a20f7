package command

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"ringhook/api"
	"ringhook/dialplan"
	"ringhook/hooks"
	"ringhook/store"
)

type traceCmd struct {
	Call  string     `arg:"" optional:"" placeholder:"CALL" help:"The call's linkedid, which is the uniqueid of its first channel, or its call_uuid; without one calls are listed."`
	Since api.Moment `default:"1h" placeholder:"TIME" help:"List the calls from then on: 2h for the last two hours, 10:42, or \"2006-01-02 15:04\"."`
	Until api.Moment `default:"0s" placeholder:"TIME" help:"List the calls that began before then."`
	Limit int        `default:"100" help:"List at most this many."`
	JSON  bool       `name:"json" help:"Print everything of the call as JSON."`
}

// Run prints everything stored about a call, or lists calls.
func (c *traceCmd) Run(s *streams) (err error) {
	st, _, err := openStore(s)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, st.Close()) }()
	if c.Call == "" {
		return c.list(s, st)
	}
	held, err := heldOf(st, c.Call)
	if err != nil {
		return err
	}
	if c.JSON {
		return held.printJSON(s.out)
	}
	return held.print(s.out, time.Now())
}

// heldTrace is everything stored about one call.
type heldTrace struct {
	linkedid   string
	asked      string           // its linkedid, or its call_uuid
	sharing    int              // the number of calls that have the linkedid
	calls      []store.HeldCall // of all Asterisks unless one was asked for, the longest idle first; none if no state is stored
	points     []dialplan.PointTrace
	deliveries []store.Item
	attempts   [][]hooks.Attempt // of each delivery
}

// heldOf returns everything stored about a call, by its linkedid or its call_uuid. The points are those of the linkedid: they
// do not name their Asterisk.
func heldOf(st *store.Store, call string) (*heldTrace, error) {
	linkedid, err := st.LinkedIDOf(call)
	if err != nil {
		return nil, err
	}
	h := &heldTrace{linkedid: linkedid, asked: call}
	if h.calls, err = st.Calls(linkedid); err != nil {
		return nil, err
	}
	if h.sharing = len(h.calls); call != linkedid {
		h.calls = slices.DeleteFunc(h.calls, func(c store.HeldCall) bool { return c.UUID() != call })
	}
	if h.points, err = st.Points(linkedid); err != nil {
		return nil, err
	}
	if h.deliveries, err = st.Operator().List(store.Filter{Call: call, Limit: maxTraced}); err != nil {
		return nil, err
	}
	slices.Reverse(h.deliveries) // the first made first
	if len(h.calls)+len(h.points)+len(h.deliveries) == 0 {
		return nil, fmt.Errorf("nothing is known of call %s: no point was asked with this linkedid or call_uuid, or it is longer ago than [store] keeps it; ringhook trace --since 1h lists the calls of the last hour", call)
	}
	for _, d := range h.deliveries {
		_, attempts, err := st.Operator().Show(d.ID)
		if err != nil {
			return nil, err
		}
		h.attempts = append(h.attempts, attempts)
	}
	return h, nil
}

func (h *heldTrace) print(w io.Writer, now time.Time) error {
	if len(h.calls) == 0 {
		fmt.Fprintf(w, "call %s, of which no state is kept\n", printable(h.linkedid))
	}
	for i := range h.calls {
		if h.sharing > 1 {
			fmt.Fprintf(w, "Asterisk %s, call_uuid %s:\n", printable(cmp.Or(h.calls[i].Asterisk(), "unknown")), h.calls[i].UUID())
		}
		if err := printCallState(w, &h.calls[i]); err != nil {
			return err
		}
	}
	if h.sharing > 1 {
		fmt.Fprintf(w, "\n%d Asterisks have a call with this linkedid. The points of all of them follow: a point does not name its Asterisk.\n", h.sharing)
	}
	t := trace{now: now, uuids: len(h.calls) > 1}
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

// printUndelivered prints what was not delivered, and the command to retry it.
func (h *heldTrace) printUndelivered(w io.Writer) error {
	var lines strings.Builder
	mend := false
	for _, d := range h.deliveries {
		if d.State == hooks.Delivered {
			continue
		}
		mend = mend || d.State != hooks.Dropped
		fmt.Fprintf(&lines, "  %s did not get %s (delivery %d), which is %s", d.Hook, d.Event.Name, d.ID, d.State)
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
		fmt.Fprintf(w, "Once the receiver is well: ringhook outbox retry --call %s\n", printable(h.asked))
	}
	return nil
}

func (h *heldTrace) printJSON(w io.Writer) error {
	report := struct {
		Call       *store.HeldCall        `json:"call,omitempty"`  // the latest
		Calls      []store.HeldCall       `json:"calls,omitempty"` // of all Asterisks, if there are several
		Points     []dialplan.PointTrace  `json:"points"`
		Deliveries []*api.DeliveryDetails `json:"deliveries"`
	}{Points: h.points}
	if n := len(h.calls); n > 0 {
		report.Call = &h.calls[n-1]
		if n > 1 {
			report.Calls = h.calls
		}
	}
	for i := range h.deliveries {
		report.Deliveries = append(report.Deliveries, api.ReportDetails(&h.deliveries[i], h.attempts[i]))
	}
	return printJSON(w, report)
}

// maxTraced is more deliveries than a call has.
const maxTraced = 10_000
