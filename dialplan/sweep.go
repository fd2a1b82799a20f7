package dialplan

import (
	"context"
	"log/slog"
	"time"

	"ringhook/fastagi"
)

// Unheard is a call of which nothing was heard since a moment.
type Unheard struct {
	LinkedID string
	Seen     time.Time
}

const (
	sweepEvery = time.Minute
	sweepRows  = 200
	sweepWait  = 10 * time.Second // for a call's turn, and for the disk
)

// Sweep closes, until ctx ends, the calls whose end was never told, because
// Asterisk died or nobody was there to listen: max_call after the last that was
// heard of them. Their call-hangup has status other, and presumed.
func (d *Dialplan) Sweep(ctx context.Context) {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	var swept time.Time
	for {
		swept = d.sweep(ctx, swept)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// sweep looks at each call once as it comes of age, and returns how far it came.
func (d *Dialplan) sweep(ctx context.Context, swept time.Time) time.Time {
	cur := d.current.Load()
	until := d.now().Add(-cur.maxCall)
	if until.Before(swept) {
		swept = time.Time{} // the clock was set back
	}
	for ctx.Err() == nil {
		list, err := d.journal.Unheard(swept, until, sweepRows)
		if err != nil {
			d.log.Error("calls whose end was never told cannot be listed", "err", err)
			return swept
		}
		for _, u := range list {
			if err := d.presumeEnded(ctx, cur, u.LinkedID); err != nil {
				d.log.Error("call whose end was never told cannot be closed", "linkedid", u.LinkedID, "err", err)
				return swept
			}
			swept = u.Seen
		}
		if len(list) < sweepRows {
			return until
		}
	}
	return swept
}

// presumeEnded ends a call in the way of its call-hangup, unless it has ended
// already.
func (d *Dialplan) presumeEnded(ctx context.Context, cur *current, linkedid string) error {
	now := d.now()
	sl, err := d.calls.take(linkedid, now, time.Now().Add(sweepWait))
	if sl == nil {
		return err
	}
	if err != nil || !sl.call.Ended.IsZero() {
		d.calls.give(sl, err == nil)
		return err
	}
	s := &step{
		request: &request{point: CallHangup, spec: specs[CallHangup], env: &fastagi.Env{UniqueID: linkedid}, args: map[string]string{}, event: string(CallHangup)},
		call:    sl.call, site: cur.site, now: now, numbers: cur.Numbers, presumed: true,
	}
	callHangup(s)
	err = d.keep(ctx, sweepWait, cur, s)
	d.end(sl, err)
	if err == nil {
		d.log.LogAttrs(ctx, slog.LevelWarn, "end of call was never told, presumed", slog.String("linkedid", linkedid), slog.Duration("after", cur.maxCall))
	}
	return err
}
