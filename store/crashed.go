package store

import (
	"context"
	"time"

	"ringhook/hooks"
	"ringhook/store/sqlite"
)

const (
	// crashesToGiveUp is how often a delivery may crash ringhook.
	crashesToGiveUp = 3
	// crashPause is how long it is left alone after that: others go on, and
	// systemd, which gives up on what ends too often, does not.
	crashPause = time.Minute
)

// Crashed notes that ringhook itself crashed in an attempt at a delivery. It counts as an
// attempt; with the third the delivery is dead as hooks.Poison. One
// that is no longer pending is left as it is.
func (o *Outbox) Crashed(ctx context.Context, delivery int64, at time.Time, why string) (dead bool, err error) {
	now := o.s.now()
	err = o.s.w.do(ctx, result, 0, func(c *sqlite.Conn) error {
		var before int
		if _, err := c.One("select count(*) from attempt where delivery = ? and class = ?", []any{delivery, hooks.Crash}, &before); err != nil {
			return err
		}
		r := hooks.Result{
			Delivery: delivery, State: hooks.Pending, Next: now.Add(crashPause),
			Attempt: hooks.Attempt{Started: at, Class: hooks.Crash, Excerpt: why},
		}
		if dead = before+1 >= crashesToGiveUp; dead {
			r.State, r.Attempt.Class = hooks.Dead, hooks.Poison
		}
		_, err := settle(c, &r, now.UnixMilli())
		return err
	})
	if err != nil {
		return false, err
	}
	return dead, nil
}
