package store

import (
	"context"
	"time"

	"ringhook/hooks"
	"ringhook/store/sqlite"
)

const (
	// crashesToGiveUp is the number of crashes after which a delivery is dead.
	crashesToGiveUp = 3
	// crashPause is the time from a crash to the next attempt. Other deliveries continue,
	// and ringhook does not reach the start limit of systemd.
	crashPause = time.Minute
)

// Crashed records that ringhook crashed during an attempt at a delivery. It counts as an
// attempt. After the third crash the delivery is dead with class hooks.Poison, and dead
// is true. A delivery that is not pending is not changed.
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
