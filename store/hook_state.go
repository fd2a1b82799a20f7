package store

import (
	"context"
	"time"

	"ringhook/hooks"
	"ringhook/store/eventbody"
	"ringhook/store/sqlite"
)

const (
	selectHookStates = `select hook, receiver, first_fail_ms, failures, last_class, until_ms, trips, disabled_reason, disabled_ms from hook_state`

	setHookState = `insert or replace into hook_state
		(hook, receiver, first_fail_ms, failures, last_class, until_ms, trips, disabled_reason, disabled_ms) values (?, ?, ?, ?, ?, ?, ?, ?, ?)`
)

func scanHookState(scan func(...any) error) (hooks.HookState, error) {
	var st hooks.HookState
	var sinceMS, untilMS, disabledMS int64
	err := scan(&st.Hook, &st.Receiver, &sinceMS, &st.Failures, &st.Class, &untilMS, &st.Opened, &st.Disabled, &disabledMS)
	st.Since, st.Until, st.DisabledAt = sqlite.FromMS(sinceMS), sqlite.FromMS(untilMS), sqlite.FromMS(disabledMS)
	return st, err
}

// State returns the stored state of a hook; zero if nothing is wrong.
func (o *Outbox) State(hook string) (st hooks.HookState, err error) {
	rows, err := o.s.read.Query(selectHookStates+" where hook = ?", hook)
	err = sqlite.Each(rows, err, func(scan func(...any) error) error {
		st, err = scanHookState(scan)
		return err
	})
	return st, sqlite.Wrap("read the state of a hook", err)
}

// States lists the states of the hooks that fail or are disabled.
func (o *Operator) States() (list []hooks.HookState, err error) {
	rows, err := o.s.read.Query(selectHookStates + " order by hook")
	err = sqlite.Each(rows, err, func(scan func(...any) error) error {
		st, err := scanHookState(scan)
		list = append(list, st)
		return err
	})
	return list, sqlite.Wrap("read the states of hooks", err)
}

// SetState stores the state of a hook. If notice is not nil, it commits with it an event
// about the hook for the hooks of the routes.
func (o *Outbox) SetState(ctx context.Context, st hooks.HookState, notice *hooks.Event, routes []hooks.Route) error {
	nowMS := o.s.now().UnixMilli()
	r := &record{nowMS: nowMS, journal: o.s.journal}
	if notice != nil && len(routes) > 0 {
		body, err := eventbody.Encode(notice)
		if err != nil {
			return err
		}
		r.events = []event{{Event: notice, linkedid: notice.LinkedID, body: body, routes: routes}}
	}
	return o.s.w.do(ctx, result, 0, func(c *sqlite.Conn) error {
		var err error
		if st == (hooks.HookState{Hook: st.Hook}) {
			_, err = c.Exec("delete from hook_state where hook = ?", st.Hook)
		} else {
			_, err = c.Exec(setHookState, st.Hook, st.Receiver, sqlite.ToMS(st.Since), st.Failures, st.Class, sqlite.ToMS(st.Until), st.Opened, st.Disabled, sqlite.ToMS(st.DisabledAt))
		}
		if err != nil {
			return err
		}
		return r.apply(c)
	})
}

// Enable enables a disabled hook, and reports whether it was disabled. Dead deliveries
// stay dead. A running server notices it within seconds.
func (o *Operator) Enable(ctx context.Context, hook string) (was bool, err error) {
	n := 0
	err = o.s.w.do(ctx, result, 0, func(c *sqlite.Conn) error {
		var err error
		n, err = c.Changes("delete from hook_state where hook = ? and disabled_reason <> ''", hook)
		return err
	})
	return err == nil && n > 0, err
}

// Of many pending deliveries those that are due last are looked at: they are the ones that have been attempted.
const lastFailure = `select a.started_ms, a.took_us, a.class, a.status, a.excerpt, d.next_ms from
	(select id, next_ms from delivery where state = 0 and hook = ? and next_ms is not null order by next_ms desc limit 100) d
	join attempt a on a.delivery = d.id order by a.started_ms desc, a.n desc limit 1`

// Failing returns the last attempt of a hook's pending deliveries and when that delivery is attempted again. failing is
// false if no pending delivery has been attempted.
func (o *Operator) Failing(hook string) (last hooks.Attempt, next time.Time, failing bool, err error) {
	var startedMS, tookUS, nextMS int64
	failing, err = sqlite.One(o.s.read, lastFailure, []any{hook}, &startedMS, &tookUS, &last.Class, &last.Status, &last.Excerpt, &nextMS)
	last.Started, last.Took = sqlite.FromMS(startedMS), time.Duration(tookUS)*time.Microsecond
	return last, sqlite.FromMS(nextMS), failing, o.s.reading("find the last failure", err)
}
