package dialplan

import (
	"context"
	"log/slog"
	"time"

	"ringhook/fastagi"
)

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
