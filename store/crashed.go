package store

import (
	"context"
	"time"

	"ringhook/hooks"
	"ringhook/store/sqlite"
)

// Crashed records that ringhook crashed during an attempt at a delivery, see hooks.AfterCrash. dead reports that the
// delivery is given up. A delivery that is not pending is not changed.
func (o *Outbox) Crashed(ctx context.Context, delivery int64, at time.Time, why string) (dead bool, err error) {
	now := o.s.now()
	err = o.s.w.do(ctx, result, 0, func(c *sqlite.Conn) error {
		var before int
		if _, err := c.One("select count(*) from attempt where delivery = ? and class = ?", []any{delivery, hooks.Crash}, &before); err != nil {
			return err
		}
		r := hooks.AfterCrash(delivery, before, at, now, why)
		dead = r.State == hooks.Dead
		_, err := settle(c, &r, now.UnixMilli())
		return err
	})
	if err != nil {
		return false, err
	}
	return dead, nil
}
