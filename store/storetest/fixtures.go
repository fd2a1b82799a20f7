package storetest

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"ringhook/dialplan"
	"ringhook/hooks"
)

// clock is set by the test.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func newClock() *clock { return &clock{t: time.Date(2026, 1, 15, 9, 30, 0, 0, time.UTC)} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) add(d time.Duration) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
	return c.t
}

// Event returns an event of a call with a parameter of each type, and text that has to be escaped.
func Event(linkedid string, seq int) hooks.Event {
	return hooks.Event{
		ID: fmt.Sprintf("msg_%s_%d", linkedid, seq), Name: "agent-answer", LinkedID: linkedid, Seq: seq,
		Time: time.Date(2026, 1, 15, 9, 30, seq%60, 123_000_000, time.UTC),
		Params: map[string]any{
			"callerid": "+74950000001", "callerid_name": "Zoë <\"&\u200e>", "talk_time": int64(42), "final": false,
			"seq": int64(seq), "linkedid": linkedid,
		},
	}
}

// Record returns the record of a point with one event for the hooks of these names.
func Record(linkedid string, seq int, names ...string) dialplan.Record {
	return dialplan.Record{
		Call: linkedid, State: fmt.Appendf(nil, `{"seq":%d}`, seq),
		Events: []dialplan.Accepted{{Event: Event(linkedid, seq), Hooks: Routes(linkedid, names...)}},
	}
}

// Routes returns routes to hooks with the default order: by call, with a hold of 15 minutes.
func Routes(linkedid string, names ...string) (routes []hooks.Route) {
	for _, name := range names {
		routes = append(routes, hooks.Route{Hook: name, Key: linkedid, Hold: 15 * time.Minute})
	}
	return routes
}

// Keep queues a record and waits for its commit.
func Keep(t testing.TB, a dialplan.Acceptor, r dialplan.Record) {
	t.Helper()
	if _, err := commit(context.Background(), a, r); err != nil {
		t.Fatal(err)
	}
}

// settled is the number of results of Settle: no two attempts begin at the same moment.
var settled atomic.Int64

// Settle stores the result of one attempt.
func Settle(t testing.TB, o hooks.Queue, id int64, state hooks.State, next time.Time) {
	t.Helper()
	r := hooks.Result{Delivery: id, State: state, Next: next, Attempt: hooks.Attempt{
		Started: time.Date(2026, 1, 15, 9, 31, 0, 0, time.UTC).Add(time.Duration(settled.Add(1)) * time.Millisecond), Took: 1500 * time.Microsecond,
		Class: "rejected", Status: 404, Excerpt: "no such page",
	}}
	if _, err := o.Settle(context.Background(), []hooks.Result{r}); err != nil {
		t.Fatal(err)
	}
}

// Due returns the deliveries of a hook that are due, and the ids of their events.
func Due(t testing.TB, o hooks.Queue, hook string, now time.Time) (events []string, deliveries []hooks.Delivery) {
	t.Helper()
	deliveries, err := o.Due(hook, now, 1000)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range deliveries {
		events = append(events, d.Event.ID)
	}
	return events, deliveries
}

// expect checks which events are due for a hook, in order, and returns their deliveries.
func expect(t *testing.T, o hooks.Queue, hook string, now time.Time, want ...string) []hooks.Delivery {
	t.Helper()
	got, list := Due(t, o, hook, now)
	if !slices.Equal(got, want) {
		t.Fatalf("due for %s: got %v, want %v", hook, got, want)
	}
	return list
}
