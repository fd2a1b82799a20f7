package store

// Order within a key (for example a hook's deliveries of one call) needs no search. Only
// the first pending delivery of a key has a due time. The transaction that settles it
// sets the due time of the next one. The first failure of a delivery sets the time from
// which later ones may pass it.

// turn returns the SQL for the due time of a delivery: want, but not before all earlier
// pending deliveries of its key may be passed, and null while that time is not known.
// Earlier ones have a smaller id; if id is empty, all pending ones of the key are earlier.
func turn(hook, okey, id, want string) string {
	before := " from delivery b indexed by delivery_order where b.state = 0 and b.hook = " + hook + " and b.okey = " + okey
	if id != "" {
		before += " and b.id < " + id
	}
	return "case when exists (select 1" + before + " and b.pass_ms is null) then null" +
		" else max(" + want + ", coalesce((select max(b.pass_ms)" + before + "), 0)) end"
}

// ownTurn returns the turn of the row that an update changes.
func ownTurn(want string) string { return turn("delivery.hook", "delivery.okey", "delivery.id", want) }

// newNumber is the SQL for the number of a new delivery: higher than any number that was
// ever used. An autoincrement would write one more page with each commit.
const newNumber = "(select max(last, coalesce((select max(id) from delivery), 0)) + 1 from number where id = 1)"

var (
	keepDelivery = "insert into delivery (id, event, hook, okey, hold_ms, next_ms) values (" + newNumber + ", ?1, ?2, ?3, ?4, " + turn("?2", "?3", "", "?5") +
		") returning id, coalesce(next_ms, 9223372036854775807) <= ?5"

	// A later delivery of the key stays held if an earlier one was retried while it was being attempted.
	settlePending = `update delivery set attempts = attempts + ?2, last_class = iif(?2, ?3, last_class), last_status = iif(?2, ?4, last_status),
		pass_ms = iif(?2, coalesce(pass_ms, ?6 + hold_ms), pass_ms), next_ms = ` + ownTurn("?5") + `
		where id = ?1 and state = 0 returning hook, okey, attempts`
	settleFinished = `update delivery set attempts = attempts + ?2, last_class = iif(?2, ?3, last_class), last_status = iif(?2, ?4, last_status),
		state = ?5, next_ms = null, finished_ms = ?6, started_ms = ?7, took_us = ?8, excerpt = ?9
		where id = ?1 and state = 0 returning hook, okey, attempts, exists (select 1 from delivery b indexed by delivery_order
			where b.state = 0 and b.hook = delivery.hook and b.okey = delivery.okey and b.id <> delivery.id)`
	// The next of a key is the first that has no due time, or one that was set only
	// because it may pass an earlier one.
	releaseNext = "update delivery set next_ms = " + ownTurn("?3") + ` where id =
		(select id from delivery indexed by delivery_order where state = 0 and hook = ?1 and okey = ?2
			and (next_ms is null or attempts = 0) order by id limit 1)`

	// Of the replays of one delivery only one may be pending.
	retriable = "not exists (select 1 from delivery x where x.replay_of = delivery.replay_of and x.state = 0 and x.id <> delivery.id)"

	// After a retry, the attempt that ended the delivery is one like the others.
	retryAttempt = `insert or replace into attempt (delivery, n, started_ms, took_us, class, status, excerpt)
		select id, attempts, started_ms, took_us, last_class, last_status, excerpt from delivery where id = ? and state in (2, 3) and started_ms is not null and ` + retriable
	retryFirst = "update delivery set begun_ms = iif(state = 0, begun_ms, ?2), state = 0, finished_ms = null, started_ms = null, excerpt = null, pass_ms = null, next_ms = " + ownTurn("?2") + `
		where id = ?1 and state in (0, 2, 3) and ` + retriable + ` returning hook, okey, next_ms`
)
