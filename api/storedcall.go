package api

import (
	"errors"
	"slices"
	"time"

	"ringhook/dialplan"
	"ringhook/dialplan/kept"
	"ringhook/hooks"
	"ringhook/pops"
	"ringhook/recordings"
	"ringhook/store/browse"
)

// StoredCall is everything stored about one call.
type StoredCall struct {
	LinkedID   string
	Sharing    int               // the number of calls that have the linkedid
	Calls      []browse.HeldCall // of all Asterisks unless one was asked for, the longest idle first; none if no state is stored
	Points     []dialplan.PointTrace
	Deliveries []browse.Item     // the first made first
	Attempts   [][]hooks.Attempt // of each delivery
}

// ReadCall returns what is stored about a call, by its linkedid or its call_uuid, with at most most deliveries. The points are
// those of the linkedid: they do not name their Asterisk.
func ReadCall(st browse.Store, call string, most int) (*StoredCall, error) {
	linkedid, err := st.LinkedIDOf(call)
	if err != nil {
		return nil, err
	}
	c := &StoredCall{LinkedID: linkedid}
	if c.Calls, err = st.Calls(linkedid); err != nil {
		return nil, err
	}
	if c.Points, err = st.CallPoints(linkedid, beginOf(c.Calls)); err != nil {
		return nil, err
	}
	if c.Sharing = len(c.Calls); call != linkedid {
		c.Calls = slices.DeleteFunc(c.Calls, func(h browse.HeldCall) bool { return h.UUID() != call })
	}
	if c.Deliveries, err = st.List(browse.Filter{Call: call, Limit: most}); err != nil {
		return nil, err
	}
	slices.Reverse(c.Deliveries)
	for _, d := range c.Deliveries {
		_, attempts, err := st.Show(d.ID)
		if err != nil && !errors.Is(err, browse.ErrNotFound) { // it was removed meanwhile
			return nil, err
		}
		c.Attempts = append(c.Attempts, attempts)
	}
	return c, nil
}

// beginOf returns a time before the first point of calls; zero if it is not known.
func beginOf(calls []browse.HeldCall) (first time.Time) {
	for i := range calls {
		c, err := kept.Decode(calls[i].State)
		if err != nil || c.Began.IsZero() {
			return time.Time{}
		}
		if began := c.Began.Add(-time.Minute); first.IsZero() || began.Before(first) {
			first = began
		}
	}
	return first
}

// None reports whether nothing is stored about the call.
func (c *StoredCall) None() bool { return len(c.Calls)+len(c.Points)+len(c.Deliveries) == 0 }

// eventReport is an event of a call that a hook wanted.
type eventReport struct {
	Event   string         `json:"event"`
	EventID string         `json:"event_id"`
	Seq     int            `json:"seq"`
	Time    time.Time      `json:"time"`
	Params  map[string]any `json:"params"`
}

// popReport is a decision about a screen pop, or what became of one.
type popReport struct {
	At    time.Time `json:"at"`
	Agent string    `json:"agent"`
	Rule  string    `json:"rule,omitempty"`
	// Event is that at which it was decided; empty for what became of a pop.
	Event   string   `json:"event,omitempty"`
	Outcome string   `json:"outcome"` // popped, why not, or what became of it
	Ways    []string `json:"ways,omitempty"`
	URL     string   `json:"url,omitempty"`
	Why     string   `json:"why,omitempty"`
}

// events returns the events of the deliveries, each once.
func (c *StoredCall) events(links *recordings.Shown) []eventReport {
	list, seen := []eventReport{}, map[string]bool{}
	for i := range c.Deliveries {
		if e := &c.Deliveries[i].Event; !seen[e.ID] {
			seen[e.ID] = true
			list = append(list, eventReport{e.Name, e.ID, e.Seq, e.Time, links.Params(e.Params)})
		}
	}
	return list
}

// deliveries returns the deliveries without the parameters of their events.
func (c *StoredCall) deliveries() []*DeliveryDetails {
	list := []*DeliveryDetails{}
	for i := range c.Deliveries {
		d := ReportDetails(&c.Deliveries[i], c.Attempts[i], nil)
		d.Params = nil
		list = append(list, d)
	}
	return list
}

// traced returns the points of the call, and apart from them what its trace has of screen pops.
func (c *StoredCall) traced() (points []dialplan.PointTrace, screen []popReport) {
	points, screen = []dialplan.PointTrace{}, []popReport{}
	for i := range c.Points {
		p := &c.Points[i]
		if p.Point != pops.TracePoint {
			points = append(points, *p)
			continue
		}
		values, ways := pops.Values(p)
		screen = append(screen, popReport{At: p.At, Agent: values["agent"], Rule: values["rule"], Event: values["event"], Outcome: p.Status, Ways: ways, URL: values["url"], Why: p.Why})
	}
	return points, screen
}
