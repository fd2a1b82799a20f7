package store

import (
	"time"

	"ringhook/hooks"
	"ringhook/store/sqlite"
)

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
