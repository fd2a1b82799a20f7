package pgstore

import (
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"ringhook/hooks"
)

const (
	selectHookStates = `select hook, receiver, since, failures, last_class, until, opened, disabled_reason, disabled_at
		from ringhook.hook_state where tenant = $1`
	setHookState = `insert into ringhook.hook_state
		(tenant, hook, receiver, since, failures, last_class, until, opened, disabled_reason, disabled_at) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
		on conflict (tenant, hook) do update set receiver = excluded.receiver, since = excluded.since, failures = excluded.failures,
			last_class = excluded.last_class, until = excluded.until, opened = excluded.opened,
			disabled_reason = excluded.disabled_reason, disabled_at = excluded.disabled_at`
)

func scanHookState(rows pgx.Rows) (hooks.HookState, error) {
	var st hooks.HookState
	var since, until, disabled *time.Time
	err := rows.Scan(&st.Hook, &st.Receiver, &since, &st.Failures, &st.Class, &until, &st.Opened, &st.Disabled, &disabled)
	st.Since, st.Until, st.DisabledAt = timeOf(since), timeOf(until), timeOf(disabled)
	return st, err
}

// State implements hooks.States. The times are those of the node's clock: a sender compares them with what it has stored, and the
// offset of the clocks is never the same twice.
func (o *Outbox) State(hook string) (st hooks.HookState, err error) {
	err = o.s.query(func(rows pgx.Rows) error {
		st, err = scanHookState(rows)
		return err
	}, selectHookStates+" and hook = $2", o.s.tenant, hook)
	return st, wrap("read the state of a hook", err)
}

// SetState implements hooks.States.
func (o *Outbox) SetState(ctx context.Context, st hooks.HookState, notice *hooks.Event, routes []hooks.Route) error {
	b := &pgx.Batch{}
	a := &acceptance{tenant: o.s.tenant, now: o.s.now()}
	if notice != nil && len(routes) > 0 {
		rec := &record{}
		if err := rec.add(notice, notice.LinkedID, routes); err != nil {
			return err
		}
		a.add(rec, 0, false, nil)
		queueLock(b, o.s.tenant, a.lanes) // before any row, as in every transaction
	}
	if st == (hooks.HookState{Hook: st.Hook}) {
		b.Queue("delete from ringhook.hook_state where tenant = $1 and hook = $2", o.s.tenant, st.Hook)
	} else {
		b.Queue(setHookState, o.s.tenant, st.Hook, st.Receiver, orNull(st.Since), st.Failures, st.Class, orNull(st.Until), st.Opened, st.Disabled, orNull(st.DisabledAt))
	}
	if len(a.ids) > 0 {
		b.Queue(accept, a.args()...)
	}
	err := o.s.write(ctx, b, nil)
	if err == nil {
		o.s.w.notify(slices.Compact(slices.Sorted(slices.Values(a.hooks))))
	}
	return wrap("store the state of a hook", err)
}

// orNull returns a time for a column that is null for the zero time.
func orNull(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

func timeOf(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return *t
}
