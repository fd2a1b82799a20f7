package pgstore

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"ringhook/hooks"
)

// Crashed records that ringhook crashed during an attempt at a delivery, see hooks.AfterCrash. dead reports that the
// delivery is given up. A delivery that is not pending is not changed.
func (o *Outbox) Crashed(ctx context.Context, delivery int64, at time.Time, why string) (dead bool, err error) {
	var before int
	err = o.s.query(func(rows pgx.Rows) error { return rows.Scan(&before) },
		"select count(*) from ringhook.attempt where tenant = $1 and delivery = $2 and class = $3", o.s.tenant, delivery, hooks.Crash)
	if err != nil {
		return false, wrap("count the crashes of a delivery", err)
	}
	r := hooks.AfterCrash(delivery, before, at, o.s.clock.local(), why)
	_, err = o.Settle(ctx, []hooks.Result{r})
	return err == nil && r.State == hooks.Dead, err
}
