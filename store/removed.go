package store

import (
	"fmt"
	"slices"
	"time"

	"ringhook/hooks"
	"ringhook/store/browse"
	"ringhook/store/sqlite"
)

// KeepRemoved is the time for which deliveries wait for a hook that was removed from the configuration.
const KeepRemoved = browse.KeepRemoved

const (
	waitingHooks = "select hook, coalesce(removed_ms, 0) from tally where pending > 0"
	setRemoved   = "update tally set removed_ms = ?2 where hook = ?1"
	// The oldest deliveries, if they have waited that long themselves: one that an
	// operator retried waits for the full time again.
	overdueOf = `select d.id from (select id, event, begun_ms from delivery indexed by delivery_pending
			where state = 0 and hook = ?1 order by id limit ?3) d join event e on e.id = d.event
		where coalesce(d.begun_ms, e.accepted_ms) <= ?2`
)

// SetConfiguredHooks sets the hooks of the current configuration. Pending deliveries of
// other hooks become dead with class hooks.Removed after KeepRemoved. Before the first
// call of SetConfiguredHooks all deliveries wait.
func (o *Outbox) SetConfiguredHooks(names []string) {
	names = slices.Clone(names)
	o.configured.Store(&names)
}

// withoutHook records which hooks were removed. It marks up to upkeepRows deliveries that
// have waited for one too long as dead, and returns their number.
func (o *Outbox) withoutHook(c *sqlite.Conn, now time.Time) (dead int, err error) {
	names := o.configured.Load()
	if names == nil {
		return 0, nil
	}
	removed := map[string]time.Time{}
	err = c.All(waitingHooks, nil, func(scan func(...any) error) error {
		var hook string
		var ms int64
		err := scan(&hook, &ms)
		removed[hook] = sqlite.FromMS(ms)
		return err
	})
	for hook, since := range removed {
		if err != nil {
			return dead, err
		}
		configured := slices.Contains(*names, hook)
		switch {
		case configured && since.IsZero():
		case configured:
			_, err = c.Exec(setRemoved, hook, nil)
		case since.IsZero() || since.After(now):
			_, err = c.Exec(setRemoved, hook, now.UnixMilli())
		case now.Sub(since) >= KeepRemoved && dead == 0:
			dead, err = giveUpRemoved(c, hook, now)
		}
	}
	return dead, err
}

func giveUpRemoved(c *sqlite.Conn, hook string, now time.Time) (int, error) {
	var overdue []int64
	err := c.All(overdueOf, []any{hook, now.Add(-KeepRemoved).UnixMilli(), upkeepRows}, func(scan func(...any) error) error {
		var id int64
		err := scan(&id)
		overdue = append(overdue, id)
		return err
	})
	for _, id := range overdue {
		if err != nil {
			break
		}
		_, err = settle(c, &hooks.Result{Delivery: id, State: hooks.Dead, Attempt: hooks.Attempt{
			Started: now, Class: hooks.Removed,
			Excerpt: fmt.Sprintf("given up unsent: the configuration has had no hook of this name for %d days", KeepRemoved/(24*time.Hour)),
		}}, now.UnixMilli())
	}
	return len(overdue), err
}
