package dialplan

import (
	"context"
	"log/slog"
	"slices"
	"time"

	"ringhook/fastagi"
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

// IdleCall is a call without reports since a time.
type IdleCall struct {
	Call string // its key, see Identity
	Seen time.Time
}

const (
	idleInterval = time.Minute
	idleRows     = 200
	idleWait     = 10 * time.Second // for a call's lock, and for the disk
)

// CloseIdleCalls ends calls max_call after their last report, until ctx ends: Asterisk died, or no
// ringhook was running, and their end was not reported. Their call-hangup has status other, and
// presumed.
func (d *Dialplan) CloseIdleCalls(ctx context.Context) {
	tick := time.NewTicker(idleInterval)
	defer tick.Stop()
	var swept time.Time
	for {
		swept = d.closeIdleCalls(ctx, swept)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// closeIdleCalls ends the calls whose last report came after swept and at least max_call ago. It returns
// the time up to which the calls with earlier last reports are closed.
func (d *Dialplan) closeIdleCalls(ctx context.Context, swept time.Time) time.Time {
	cur := d.current.Load()
	until := d.now().Add(-cur.maxCall)
	if until.Before(swept) {
		swept = time.Time{} // the clock was set back
	}
	for ctx.Err() == nil {
		list, err := d.journal.IdleCalls(swept, until, idleRows)
		if err != nil {
			d.log.Error("cannot list idle calls", "err", err)
			return swept
		}
		for _, u := range list {
			if err := d.closeIdleCall(ctx, cur, IdentityOf(u.Call)); err != nil {
				d.log.Error("cannot close idle call", "linkedid", IdentityOf(u.Call).LinkedID, "err", err)
				return u.Seen.Add(-1) // others of the same time may be closed already
			}
			swept = u.Seen
		}
		if len(list) < idleRows {
			return until
		}
	}
	return swept
}

// closeIdleCall ends a call like its call-hangup, unless it has already ended.
func (d *Dialplan) closeIdleCall(ctx context.Context, cur *current, id Identity) error {
	now := d.now()
	e, err := d.calls.acquireExact(id, now, time.Now().Add(idleWait))
	if e == nil {
		return err
	}
	if err != nil || !e.call.Ended.IsZero() {
		d.calls.release(e, err == nil)
		return err
	}
	hangup := func(c *call) *transition {
		t := &transition{
			request: &request{point: CallHangup, spec: specs[CallHangup], env: &fastagi.Env{UniqueID: id.LinkedID}, args: map[string]string{}, event: string(CallHangup)},
			call:    c, settings: cur.settings, now: now, numbers: cur.Numbers, presumed: true,
		}
		if c.Ended.IsZero() {
			callHangup(t)
		}
		return t
	}
	deadline := time.Now().Add(idleWait)
	c, err := d.queue(ctx, deadline, cur, hangup(e.call), e, hangup)
	d.calls.unlock(e, err == nil)
	if err == nil {
		_, err = d.await(ctx, deadline, cur, e, c)
	} else {
		d.calls.leave(e)
	}
	if err == nil {
		d.log.LogAttrs(ctx, slog.LevelWarn, "end of call was not reported, presumed", slog.String("linkedid", id.LinkedID), slog.Duration("after", cur.maxCall))
	}
	return err
}
