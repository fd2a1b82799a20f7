package pgstore

import (
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"ringhook/dialplan"
	"ringhook/store/browse"
)

// Order within a key (for example a hook's deliveries of one call) needs no search. Only
// the first pending delivery of a key has a due time. The transaction that settles it
// sets the due time of the next one. The first failure of a delivery sets the time from
// which later ones may pass it.
//
// A new delivery decides by the earlier ones whether it has a due time, and settling one
// decides by the later ones which of them gets one. If both ran at the same time, neither would see
// the other, and the new delivery would wait forever. So each transaction that adds or changes
// pending deliveries first locks their lanes, in a statement of its own: the snapshot of the next
// statement then has everything that others did to these lanes. A lane is what deliveries of an order
// share: the key, or the hook if its order spans calls. The call's own record has that of its linkedid.

// lane is the SQL for the lane of a delivery.
const lane = `case when okey = '' then ' hook ' || hook else okey end`

// maxLanes is the maximum number of lanes that a transaction locks. The engine has room for some max_locks_per_transaction
// (64) times max_connections (100) locks of all transactions together, and refuses more with the class Crowded.
const maxLanes = 256

// callLane returns the lane of a call's record, which is one of the lanes of its deliveries.
func callLane(key string) string { return dialplan.IdentityOf(key).LinkedID }

// callLanes returns the lanes of calls.
func callLanes(keys []string) []string {
	lanes := make([]string, len(keys))
	for i, key := range keys {
		lanes[i] = callLane(key)
	}
	return lanes
}

// laneOf returns the lane of a delivery. No key begins with a blank but replayLane, which is one lane
// for all hooks.
func laneOf(hook, okey string) string {
	if okey == "" {
		return " hook " + hook
	}
	return okey
}

// lockLanes locks lanes until the end of the transaction. The locks are taken in the order of their
// numbers, so that two transactions do not wait for each other. A lock of the call's row would not do: the
// row may be removed while deliveries of the call wait.
const lockLanes = `select pg_advisory_xact_lock(n) from
	(select distinct hashtextextended(lane, $1::integer) as n from unnest($2::text[]) as lane order by n) lanes`

// lockLanesOf locks the lanes of deliveries and others, in one statement for the sake of the order.
var (
	lockLanesOf = lockLanesWhere("id = any ($2::bigint[])")
	// lockLanesOfEvents locks the lanes of the deliveries of events and others.
	lockLanesOfEvents = lockLanesWhere("event = any ($2::bigint[])")
)

func lockLanesWhere(chosen string) string {
	return `select pg_advisory_xact_lock(n) from (select distinct hashtextextended(lane, $1::integer) as n from (
		select ` + lane + ` as lane from ringhook.delivery where tenant = $1 and ` + chosen + `
		union all select unnest($3::text[])) l order by n) lanes`
}

// turn returns the SQL for the due time of a delivery: want, but not before all earlier pending
// deliveries of its key may be passed, and null while that time is not known. Earlier ones have a smaller
// id; if id is empty, all pending ones of the key are earlier.
func turn(hook, okey, id, want string) string {
	before := " from ringhook.delivery b where b.tenant = $1 and b.state = 0 and b.hook = " + hook + " and b.okey = " + okey
	if id != "" {
		before += " and b.id < " + id
	}
	return "case when exists (select" + before + " and b.pass_at is null) then null" +
		" else greatest(" + want + ", (select max(b.pass_at)" + before + ")) end"
}

// ownTurn returns the turn of the row that an update changes.
func ownTurn(want string) string { return turn("d.hook", "d.okey", "d.id", want) }

// releaseNext sets the due time of the next delivery of each key of the deliveries in the CTE freed (hook, okey). The next
// of a key is the first that has no due time, or one that was set only because it may pass an earlier one. $2 is now. pause
// is the SQL of the pause before it.
func releaseNext(freed, pause string) string {
	return "with freed as (" + freed + `), next as (
		select n.id from (select distinct hook, okey from freed) k cross join lateral (
			select b.id from ringhook.delivery b where b.tenant = $1 and b.state = 0 and b.hook = k.hook and b.okey = k.okey
				and (b.next_at is null or b.attempts = 0) order by b.id limit 1) n)
		update ringhook.delivery d set next_at = ` +
		ownTurn("$2::timestamptz + "+pause) +
		" from next where d.tenant = $1 and d.id = next.id"
}

// replayLane is the key of all replayed deliveries: a hook gets one at a time, and the next at least browse.ReplayPace
// later. So new deliveries go first, however many are replayed.
const replayLane = " replay"

// pace is the SQL of the pause before the next delivery of a key.
var pace = fmt.Sprintf("case when d.okey = '%s' then interval '%d us' else interval '0' end", replayLane, browse.ReplayPace.Microseconds())

// printable returns a text as the engine takes it: without NUL, and in UTF-8.
func printable(text string) string {
	return strings.ToValidUTF8(strings.ReplaceAll(text, "\x00", "\uFFFD"), "\uFFFD")
}

// queueLock adds the locks of lanes to a batch.
func queueLock(b *pgx.Batch, tenant int, lanes []string) { b.Queue(lockLanes, tenant, lanes) }
