package command

import (
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
	Linkedid string     `arg:"" optional:"" help:"The call's linkedid, which is the uniqueid of its first channel; without one calls are listed."`
	Since    api.Moment `default:"1h" placeholder:"TIME" help:"List the calls from then on: 2h for the last two hours, 10:42, or \"2006-01-02 15:04\"."`
	Until    api.Moment `default:"0s" placeholder:"TIME" help:"List the calls that began before then."`
	Limit    int        `default:"100" help:"List at most this many."`
	JSON     bool       `name:"json" help:"Print everything of the call as JSON."`
}

// Run prints everything stored about a call, or lists calls.
func (c *traceCmd) Run(s *streams) (err error) {
	st, _, err := openStore(s)
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

// heldTrace is everything stored about one call.
type heldTrace struct {
	linkedid   string
	call       *store.HeldCall // nil if its state is not stored
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
	if h.deliveries, err = st.Operator().List(store.Filter{LinkedID: linkedid, Limit: maxTraced}); err != nil {
		return nil, err
	}
	slices.Reverse(h.deliveries) // the first made first
	if !known && len(h.points)+len(h.deliveries) == 0 {
		return nil, fmt.Errorf("nothing is known of call %s: no point was asked with this linkedid, or it is longer ago than [store] keeps it; ringhook trace --since 1h lists the calls of the last hour", linkedid)
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
		fmt.Fprintf(w, "Once the receiver is well: ringhook outbox retry --call %s\n", printable(h.linkedid))
	}
	return nil
}

func (h *heldTrace) printJSON(w io.Writer) error {
	report := struct {
		Call       *store.HeldCall        `json:"call,omitempty"`
		Points     []dialplan.PointTrace  `json:"points"`
		Deliveries []*api.DeliveryDetails `json:"deliveries"`
	}{Call: h.call, Points: h.points}
	for i := range h.deliveries {
		report.Deliveries = append(report.Deliveries, api.ReportDetails(&h.deliveries[i], h.attempts[i]))
	}
	return printJSON(w, report)
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
