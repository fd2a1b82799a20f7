package pgstore

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"ringhook/hooks"
	"ringhook/store/storetest"
	"ringhook/test/wait"
)

// fill adds pending deliveries of as many calls, from a first one on.
func fill(t *testing.T, dsn string, first, n int) {
	t.Helper()
	exec(t, dsn, `insert into ringhook.event (tenant, linkedid, event_id, accepted, body)
		select 0, '9.' || n, 'msg_' || n, now(), '{"name":"queue-dial","time":"2026-01-15T09:30:00Z","params":{}}' from generate_series($1::integer, $2::integer) n`, first, first+n-1)
	exec(t, dsn, `insert into ringhook.delivery (tenant, event, hook, okey, hold, next_at)
		select 0, id, 'a', linkedid, interval '15 min', accepted from ringhook.event where id >= $1`, first)
}

// plan returns the plan of a statement.
func plan(t *testing.T, dsn, sql string, args ...any) string {
	t.Helper()
	conn, err := connect(wait.Context(t), dsn, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(wait.Context(t))
	rows, err := conn.Query(wait.Context(t), "explain (costs off) "+sql, args...)
	if err != nil {
		t.Fatal(err)
	}
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatalf("%v: %s", err, sql)
	}
	return strings.Join(lines, "\n")
}

// TestPlans checks that no statement which a call or a delivery waits for reads a whole table or sorts what is pending, in
// tables that have grown since the planner last looked at them.
func TestPlans(t *testing.T) {
	dsn := database(t)
	exec(t, dsn, "analyze") // of empty tables
	for _, table := range []string{"call", "event", "delivery", "remembered"} {
		exec(t, dsn, "alter table ringhook."+table+" set (autovacuum_enabled = false)")
	}
	fill(t, dsn, 1, 20_000)
	exec(t, dsn, "insert into ringhook.call select 0, linkedid, '{}', 1, accepted from ringhook.event")
	exec(t, dsn, "insert into ringhook.remembered select 0, 'a', linkedid, 'x', '1', linkedid from ringhook.event")
	a := &acceptance{now: time.Now()}
	for n := range 20 {
		rec, err := encode(storetest.Record(fmt.Sprint("9.", n), 1, "a", "b"))
		if err != nil {
			t.Fatal(err)
		}
		a.add(rec, 0, true, nil)
	}
	fill(t, dsn, 20_001, 10_000)
	exec(t, dsn, "update ringhook.delivery set state = 1, next_at = null, finished_at = now() where id > 20000")
	var ids, ended []int64
	for n := range int64(100) {
		ids, ended = append(ids, n+1), append(ended, n+20_001)
	}
	results := &settlement{now: time.Now()}
	for _, id := range ids {
		results.add(resultOf(id))
	}
	plans := map[string]string{
		"due":              plan(t, dsn, dueDeliveries, 0, "a", time.Now(), 128, ids),
		"accept":           plan(t, dsn, accept, a.args()...),
		"lanes":            plan(t, dsn, lockLanesOf, 0, ids, []string{replayLane}),
		"call":             plan(t, dsn, selectCall, 0, "9.1"),
		"ended":            plan(t, dsn, endedBefore, 0, 1, time.Now(), upkeepRows),
		"remove":           plan(t, dsn, removeDeliveries, 0, ended, 1, time.Now()),
		"seen":             plan(t, dsn, seenBefore, 0, time.Now(), upkeepRows),
		"remove calls":     plan(t, dsn, removeCalls, 0, []string{"9.1", "9.2"}, time.Now()),
		"due after":        plan(t, dsn, dueAfter, 0, time.Now(), upkeepRows),
		"due earlier":      plan(t, dsn, dueEarlier, 0, ids, time.Now()),
		"overdue":          plan(t, dsn, overdueOf, 0, "a", time.Now(), upkeepRows),
		"lanes of events":  plan(t, dsn, lockLanesOfEvents, 0, ids, []string{replayLane}),
		"count of events":  plan(t, dsn, countDeliveries, 0, ids),
		"erase states":     plan(t, dsn, eraseStates, 0, time.Now(), ids),
		"erase release":    plan(t, dsn, eraseRelease, 0, time.Now(), ids),
		"erase events":     plan(t, dsn, eraseEvents, 0, ids),
		"erase calls":      plan(t, dsn, eraseCalls, 0, []string{"9.1", "9.2"}),
		"erase remembered": plan(t, dsn, eraseRemembered, 0, []string{"9.1"}, []string{"9.1"}, []bool{true}),
		"latest":           plan(t, dsn, latestOf, 0, "9.1"),
	}
	for n, q := range results.batch(0).QueuedQueries {
		if n > 0 {
			plans["settle "+string(rune('0'+n))] = plan(t, dsn, q.SQL, q.Arguments...)
		}
	}
	for name, p := range plans {
		for _, table := range []string{"delivery", "event", "call", "remembered"} {
			if strings.Contains(p, "Seq Scan on "+table) {
				t.Errorf("%s reads the whole table %s:\n%s", name, table, p)
			}
		}
	}
	if !strings.Contains(plans["due"], "delivery_due") || strings.Contains(plans["due"], "Sort") {
		t.Errorf("what is due is sorted:\n%s", plans["due"])
	}
	// Days later, when there is something to remove, the planner knows the tables.
	exec(t, dsn, "analyze")
	for name, p := range map[string]string{
		"remove": plan(t, dsn, removeDeliveries, 0, ended, 1, time.Now()),
		"erase":  plan(t, dsn, eraseEvents, 0, ids),
	} {
		old, _, _ := strings.Cut(p, "CTE gone")
		if !strings.Contains(old, "id = ANY") && !strings.Contains(old, "event = ANY") || strings.Contains(old, "Filter: (id") || strings.Contains(old, "delivery_finished") {
			t.Errorf("%s does not find the deliveries by their numbers:\n%s", name, p)
		}
	}
}

// resultOf returns the result of a failed attempt for every other delivery, and of a good one for the others.
func resultOf(id int64) *hooks.Result {
	r := &hooks.Result{Delivery: id, State: hooks.Delivered, Attempt: hooks.Attempt{Started: time.Now(), Class: "delivered", Status: 200}}
	if id%2 == 0 {
		r.State, r.Next, r.Values, r.Call = hooks.Pending, time.Now().Add(time.Minute), map[string]string{"crm_call": "1"}, "9.1"
	}
	return r
}
