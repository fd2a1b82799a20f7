package command

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"ringhook/api"
	"ringhook/dialplan"
	"ringhook/hooks"
	"ringhook/recordings"
	"ringhook/store/browse"
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
	st, cfg, err := openStore(s)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, st.Close()) }()
	if c.Call == "" {
		return c.list(s, st.Store)
	}
	held, err := heldOf(st.Store, c.Call, cfg.Recordings.Shown())
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
	*api.StoredCall
	asked string            // its linkedid, or its call_uuid
	links *recordings.Shown // hides the secrets of links to recordings
}

// heldOf returns everything stored about a call, by its linkedid or its call_uuid, without the secrets of links.
func heldOf(st browse.Store, call string, links *recordings.Shown) (*heldTrace, error) {
	c, err := api.ReadCall(st, call, maxTraced)
	if err != nil {
		return nil, err
	}
	if c.None() {
		return nil, fmt.Errorf("nothing is known of call %s: no point was asked with this linkedid or call_uuid, or it is longer ago than [store] keeps it; ringhook trace --since 1h lists the calls of the last hour", call)
	}
	hideLinks(c.Calls, links)
	return &heldTrace{c, call, links}, nil
}

// hideLinks hides the secrets of links to recordings in calls.
func hideLinks(calls []browse.HeldCall, links *recordings.Shown) {
	for i := range calls {
		calls[i].State = links.State(calls[i].State)
	}
}

func (h *heldTrace) print(w io.Writer, now time.Time) error {
	if len(h.Calls) == 0 {
		fmt.Fprintf(w, "call %s, of which no state is kept\n", printable(h.LinkedID))
	}
	for i := range h.Calls {
		if h.Sharing > 1 {
			fmt.Fprintf(w, "Asterisk %s, call_uuid %s:\n", printable(cmp.Or(h.Calls[i].Asterisk(), "unknown")), h.Calls[i].UUID())
		}
		if err := printCallState(w, &h.Calls[i]); err != nil {
			return err
		}
	}
	if h.Sharing > 1 {
		fmt.Fprintf(w, "\n%d Asterisks have a call with this linkedid. The points of all of them follow: a point does not name its Asterisk.\n", h.Sharing)
	}
	t := trace{now: now, uuids: len(h.Calls) > 1}
	for i := range h.Points {
		t.point(&h.Points[i])
	}
	for i := range h.Deliveries {
		t.add(&h.Deliveries[i], h.Attempts[i])
	}
	if err := t.print(w); err != nil {
		return err
	}
	if len(h.Deliveries) == 0 {
		fmt.Fprintln(w, "\nNo hook wanted an event of this call: see events and when of each [[hook]].")
	}
	return h.printUndelivered(w)
}

// printUndelivered prints what was not delivered, and the command to retry it.
func (h *heldTrace) printUndelivered(w io.Writer) error {
	var lines strings.Builder
	mend := false
	for _, d := range h.Deliveries {
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
		Call       *browse.HeldCall       `json:"call,omitempty"`  // the latest
		Calls      []browse.HeldCall      `json:"calls,omitempty"` // of all Asterisks, if there are several
		Points     []dialplan.PointTrace  `json:"points"`
		Deliveries []*api.DeliveryDetails `json:"deliveries"`
	}{Points: h.Points}
	if n := len(h.Calls); n > 0 {
		report.Call = &h.Calls[n-1]
		if n > 1 {
			report.Calls = h.Calls
		}
	}
	for i := range h.Deliveries {
		report.Deliveries = append(report.Deliveries, api.ReportDetails(&h.Deliveries[i], h.Attempts[i], h.links))
	}
	return printJSON(w, report)
}

// maxTraced is more deliveries than a call has.
const maxTraced = 10_000
