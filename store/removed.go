package store

import (
	"fmt"
	"slices"
	"time"

	"ringhook/hooks"
	"ringhook/store/sqlite"
)

// KeepRemoved is how long deliveries wait for a hook that was taken out of the
// configuration: until then a mistake costs nothing.
const KeepRemoved = 7 * 24 * time.Hour

// GivenUpAt is when what waits for a hook that is not in the configuration is dead.
func (t *HookCounts) GivenUpAt(now time.Time) time.Time {
	if t.Removed.IsZero() {
		return now.Add(KeepRemoved)
	}
	return t.Removed.Add(KeepRemoved)
}

const (
	waitingHooks = "select hook, coalesce(removed_ms, 0) from tally where pending > 0"
	setRemoved   = "update tally set removed_ms = ?2 where hook = ?1"
	// Of the oldest those that have waited for so long themselves: one that an
	// operator brought back has its time too.
	overdueOf = `select d.id from (select id, event, begun_ms from delivery indexed by delivery_pending
			where state = 0 and hook = ?1 order by id limit ?3) d join event e on e.id = d.event
		where coalesce(d.begun_ms, e.accepted_ms) <= ?2`
)

// SetConfiguredHooks tells which hooks the configuration in force has. What is pending for
// another is dead, as hooks.Removed, when it has been without its hook for
// KeepRemoved. As long as nobody has told, everything waits.
func (o *Outbox) SetConfiguredHooks(names []string) {
	names = slices.Clone(names)
	o.configured.Store(&names)
}

// withoutHook notes which hooks are gone, and gives up a step's worth of what has
// waited for one for too long. It tells how many those are.
func (o *Outbox) withoutHook(c *sqlite.Conn, now time.Time) (given int, err error) {
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
			return given, err
		}
		configured := slices.Contains(*names, hook)
		switch {
		case configured && since.IsZero():
		case configured:
			_, err = c.Exec(setRemoved, hook, nil)
		case since.IsZero() || since.After(now):
			_, err = c.Exec(setRemoved, hook, now.UnixMilli())
		case now.Sub(since) >= KeepRemoved && given == 0:
			given, err = giveUpRemoved(c, hook, now)
		}
	}
	return given, err
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
