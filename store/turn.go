package store

// Order within a key (a hook's deliveries of one call, say) needs no search. Of
// the pending ones of a key only the first has a time at which it is due; it
// hands the turn on in the transaction that settles it. One that fails names,
// with its first failure, the moment from which on the next may pass it.

// turn is the SQL for the time at which a delivery is due: want, but not before
// everything that stands before it in its key may be passed, and null while
// that is not known. Before it stands what is pending there with a smaller id;
// all of it where id is empty.
func turn(hook, okey, id, want string) string {
	before := " from delivery b indexed by delivery_order where b.state = 0 and b.hook = " + hook + " and b.okey = " + okey
	if id != "" {
		before += " and b.id < " + id
	}
	return "case when exists (select 1" + before + " and b.pass_ms is null) then null" +
		" else max(" + want + ", coalesce((select max(b.pass_ms)" + before + "), 0)) end"
}

// ownTurn is the turn of the row that an update changes.
func ownTurn(want string) string { return turn("delivery.hook", "delivery.okey", "delivery.id", want) }

// newNumber is the SQL for the number of a new delivery: higher than that of any other
// that there is or ever was. An autoincrement would write to one page more with each commit.
const newNumber = "(select max(last, coalesce((select max(id) from delivery), 0)) + 1 from number where id = 1)"

var (
	keepDelivery = "insert into delivery (id, event, hook, okey, hold_ms, next_ms) values (" + newNumber + ", ?1, ?2, ?3, ?4, " + turn("?2", "?3", "", "?5") +
		") returning id, coalesce(next_ms, 9223372036854775807) <= ?5"

	// A later delivery of the key stays held where an earlier one was brought back while it was under way.
	settlePending = `update delivery set attempts = attempts + ?2, last_class = iif(?2, ?3, last_class), last_status = iif(?2, ?4, last_status),
		pass_ms = iif(?2, coalesce(pass_ms, ?6 + hold_ms), pass_ms), next_ms = ` + ownTurn("?5") + `
		where id = ?1 and state = 0 returning hook, okey, attempts`
	settleFinished = `update delivery set attempts = attempts + ?2, last_class = iif(?2, ?3, last_class), last_status = iif(?2, ?4, last_status),
		state = ?5, next_ms = null, finished_ms = ?6, started_ms = ?7, took_us = ?8, excerpt = ?9
		where id = ?1 and state = 0 returning hook, okey, attempts, exists (select 1 from delivery b indexed by delivery_order
			where b.state = 0 and b.hook = delivery.hook and b.okey = delivery.okey and b.id <> delivery.id)`
	// The next in a key is the first that waits for its turn, or has only a time
	// from which on it may pass.
	releaseNext = "update delivery set next_ms = " + ownTurn("?3") + ` where id =
		(select id from delivery indexed by delivery_order where state = 0 and hook = ?1 and okey = ?2
			and (next_ms is null or attempts = 0) order by id limit 1)`

	// What ended it is an attempt like the others once it goes on.
	retryAttempt = `insert or replace into attempt (delivery, n, started_ms, took_us, class, status, excerpt)
		select id, attempts, started_ms, took_us, last_class, last_status, excerpt from delivery where id = ? and state in (2, 3) and started_ms is not null`
	retryFirst = "update delivery set begun_ms = iif(state = 0, begun_ms, ?2), state = 0, finished_ms = null, started_ms = null, excerpt = null, pass_ms = null, next_ms = " + ownTurn("?2") + `
		where id = ?1 and state in (0, 2, 3) returning hook, okey, next_ms`
)
