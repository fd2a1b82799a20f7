package pgstore

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"ringhook/hooks"
	"ringhook/store/browse"
)

const (
	waitingHooks = `select hook, max(removed_at) from (
			select hook, pending, removed_at from ringhook.tally where tenant = $1
			union all select hook, pending, null from ringhook.tally_change where tenant = $1) c
		group by hook having sum(pending) > 0 order by hook`
	setRemoved = `insert into ringhook.tally (tenant, hook, removed_at) values ($1, $2, $3)
		on conflict (tenant, hook) do update set removed_at = excluded.removed_at`
	// The oldest deliveries, if they have waited that long themselves: one that an operator retried waits for the full time
	// again.
	overdueOf = `select d.id from (select id, event, begun_at from ringhook.delivery where tenant = $1 and state = 0 and id > 0 and hook = $2 order by id limit $4) d
		join ringhook.event e on e.tenant = $1 and e.id = d.event where coalesce(d.begun_at, e.accepted) <= $3`
)

// SetConfiguredHooks sets the hooks of the current configuration. Pending deliveries of other hooks become dead with class
// hooks.Removed after browse.KeepRemoved. Before the first call of SetConfiguredHooks all deliveries wait. A hook that any live
// node has is not removed.
func (o *Outbox) SetConfiguredHooks(names []string) {
	names = slices.Clone(names)
	o.s.configured.Store(&names)
	if o.s.member != nil {
		o.s.member.SetHooks(names)
	}
}

// hasHook reports whether the configuration of a live node has a hook. It is called after SetConfiguredHooks.
func (s *Store) hasHook(name string) bool {
	return slices.Contains(*s.configured.Load(), name) || s.member != nil && s.member.Configured(name)
}

// withoutHook records which hooks were removed. It marks up to upkeepRows deliveries that have waited for one too long as
// dead, and returns their number.
func (m *maintenance) withoutHook(ctx context.Context) (dead int, err error) {
	if m.s.configured.Load() == nil {
		return 0, nil
	}
	removed := map[string]time.Time{}
	err = m.s.query(func(rows pgx.Rows) error {
		var hook string
		var since *time.Time
		err := rows.Scan(&hook, &since)
		removed[hook] = timeOf(since)
		return err
	}, waitingHooks, m.s.tenant)
	for hook, since := range removed {
		if err != nil {
			break
		}
		configured := m.s.hasHook(hook)
		switch {
		case configured && since.IsZero():
		case configured:
			err = m.setRemoved(ctx, hook, time.Time{})
		case since.IsZero() || since.After(m.now):
			err = m.setRemoved(ctx, hook, m.now)
		case m.now.Sub(since) >= browse.KeepRemoved && dead == 0:
			dead, err = m.giveUp(ctx, hook)
		}
	}
	return dead, wrap("give deliveries of removed hooks up", err)
}

func (m *maintenance) setRemoved(ctx context.Context, hook string, since time.Time) error {
	b := &pgx.Batch{}
	b.Queue(setRemoved, m.s.tenant, hook, orNull(since))
	return m.s.write(ctx, b, nil)
}

func (m *maintenance) giveUp(ctx context.Context, hook string) (int, error) {
	var overdue []hooks.Result
	err := m.s.query(func(rows pgx.Rows) error {
		r := hooks.Result{State: hooks.Dead, Attempt: hooks.Attempt{
			Started: m.now, Class: hooks.Removed,
			Excerpt: fmt.Sprintf("given up unsent: the configuration has had no hook of this name for %d days", browse.KeepRemoved/(24*time.Hour)),
		}}
		err := rows.Scan(&r.Delivery)
		overdue = append(overdue, r)
		return err
	}, overdueOf, m.s.tenant, hook, m.now.Add(-browse.KeepRemoved), upkeepRows)
	if err == nil && len(overdue) > 0 {
		_, err = m.s.Outbox().Settle(ctx, overdue)
	}
	return len(overdue), err
}
