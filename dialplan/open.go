package dialplan

import (
	"context"
	"slices"
	"time"
)

// OpenCall is a call that has not ended, as far as its points were reported.
type OpenCall struct {
	Call   Identity
	Visits []OpenVisit
	Rings  []OpenRing
}

// OpenVisit is a stay in a queue whose end was not reported.
type OpenVisit struct {
	Stay
	Answered bool
}

// OpenRing is a ring whose end was not reported.
type OpenRing struct {
	Channel  string // uniqueid of the channel that dials, or of the phone's
	Leg      string // uniqueid of the phone's channel; empty if it is not known
	Phone    string
	Outgoing bool
	Answered bool
	Stay     *Stay
}

// OpenCalls calls f for each call that has not ended, of an Asterisk with one of these names, and whose last record
// was stored before until, the longest idle first. Calls without a record within [dialplan] max_call are left out: they are
// closed already.
func (d *Dialplan) OpenCalls(ctx context.Context, asterisks []string, until time.Time, f func(OpenCall)) error {
	from := until.Add(-d.current.Load().maxCall)
	for ctx.Err() == nil {
		list, err := d.journal.IdleCalls(from, until, idleRows)
		if err != nil {
			return err
		}
		for _, u := range list {
			from = u.Seen
			id := IdentityOf(u.Call)
			if !slices.Contains(asterisks, id.Asterisk) {
				continue
			}
			// Not by the registry: the calls of a whole day would push those in progress out of it.
			c, _, err := d.calls.stored(id, time.Time{})
			if err != nil {
				return err
			}
			if c != nil && c.Ended.IsZero() {
				f(c.open())
			}
		}
		if len(list) < idleRows {
			return nil
		}
	}
	return ctx.Err()
}

func (c *call) open() OpenCall {
	o := OpenCall{Call: c.id()}
	for _, v := range c.Visits {
		if v.Ended.IsZero() {
			o.Visits = append(o.Visits, OpenVisit{Stay: v.stay(), Answered: !v.Answered.IsZero()})
		}
	}
	for _, r := range c.Rings {
		if !r.Ended.IsZero() {
			continue
		}
		open := OpenRing{Channel: r.Marker.UniqueID, Leg: r.Leg, Phone: r.Phone, Outgoing: r.Outgoing, Answered: !r.Answered.IsZero()}
		if v := c.visitOf(r.Visit); v != nil {
			stay := v.stay()
			open.Stay = &stay
		}
		o.Rings = append(o.Rings, open)
	}
	return o
}

// stay returns what reports name the visit by.
func (v *visit) stay() Stay {
	return Stay{Channel: v.Marker.UniqueID, Queue: v.Marker.What, Joined: v.Began}
}
