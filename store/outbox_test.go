package store

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"ringhook/dialplan"
	"ringhook/hooks"
	"ringhook/store/eventbody"
	"ringhook/store/sqlite"
)

func TestTallies(t *testing.T) {
	c := newClock()
	cfg := testConfig(t)
	reg := prometheus.NewRegistry()
	s, err := open(cfg, quiet, reg, c.now)
	if err != nil {
		t.Fatal(err)
	}
	defer mustClose(t, s)
	first := c.now()
	keep(t, s.Journal(), testRecord("1.1", 1, "a"))
	c.add(time.Minute)
	for seq := 2; seq <= 4; seq++ {
		keep(t, s.Journal(), testRecord("1.1", seq, "a"))
	}
	if err := s.Outbox().EnsureHooks(context.Background(), []string{"a", "z"}); err != nil {
		t.Fatal(err)
	}
	expect := func(want ...HookCounts) {
		t.Helper()
		got, err := s.Operator().HookCounts()
		for i := range got {
			got[i].Oldest = got[i].Oldest.UTC()
		}
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("got %+v, %v, want %+v", got, err, want)
		}
	}
	expect(HookCounts{Hook: "a", Pending: 4, Dead: 0, Oldest: first}, HookCounts{Hook: "z"})
	_, list := due(t, s.Outbox(), "a", c.now())
	settleOne(t, s.Outbox(), list[0].ID, hooks.Dead, time.Time{})
	expect(HookCounts{Hook: "a", Pending: 3, Dead: 1, Oldest: first.Add(time.Minute)}, HookCounts{Hook: "z"})
	if _, err := s.Operator().Retry(context.Background(), list[0].ID); err != nil {
		t.Fatal(err)
	}
	expect(HookCounts{Hook: "a", Pending: 4, Dead: 0, Oldest: first}, HookCounts{Hook: "z"})
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, f := range families {
		for _, m := range f.Metric {
			if m.Gauge != nil {
				name := f.GetName()
				for _, l := range m.Label {
					name += " " + l.GetValue()
				}
				got[name] = m.Gauge.GetValue()
			}
		}
	}
	for name, want := range map[string]float64{
		"ringhook_hook_pending a": 4, "ringhook_hook_pending z": 0, "ringhook_hook_oldest_pending_seconds a": 60,
		"ringhook_hook_dead a": 0, "ringhook_store_damaged": 0, "ringhook_cache_entries": 0,
	} {
		if v, ok := got[name]; !ok || v != want {
			t.Errorf("%s: got %v, %v, want %v", name, v, ok, want)
		}
	}
	if got["ringhook_store_size_bytes outbox.db"] == 0 {
		t.Error("no size")
	}
}

// The statements of calls and deliveries do not scan tables, so their cost does not grow
// with the number of pending deliveries.
func TestNoScans(t *testing.T) {
	s := testStore(t, time.Now)
	for _, query := range []string{
		keepCall, keepEvent, keepDelivery, settlePending, settleFinished, releaseNext, trimAttempt, dueDeliveries,
		retryFirst, retryAttempt, holdLater, dropOne, replayOne, remember, items + " where d.id = ?", "select state from call where linkedid = ?",
	} {
		err := s.w.do(context.Background(), upkeep, 0, func(c *sqlite.Conn) error {
			args := make([]any, 9)
			return c.All("explain query plan "+query, args[:parameterCount(query)], func(scan func(...any) error) error {
				var id, parent, unused int
				var detail string
				err := scan(&id, &parent, &unused, &detail)
				if strings.HasPrefix(detail, "SCAN") && !strings.HasPrefix(detail, "SCAN json_each") || strings.Contains(detail, "TEMP B-TREE") {
					t.Errorf("%s\n%s", query, detail)
				}
				return err
			})
		})
		if err != nil {
			t.Errorf("%s\n%v", query, err)
		}
	}
}

func parameterCount(query string) int {
	n := strings.Count(query, "?")
	for i := 9; i > 0; i-- {
		if strings.Contains(query, fmt.Sprint("?", i)) {
			return i
		}
	}
	return n
}

// Old rows are removed in steps, needed ones stay, and the file does not grow.
func TestRetention(t *testing.T) {
	t.Parallel()
	c := newClock()
	s := testStore(t, c.now)
	stopUpkeep(s) // upkeep is the test's own
	day0 := func(d int) {
		for i := range 250 {
			linkedid := fmt.Sprintf("%d.%d", d, i)
			keep(t, s.Journal(), testRecord(linkedid, 1, "a", "b"))
		}
		_, list := due(t, s.Outbox(), "a", c.now())
		var results []hooks.Result
		for i, d := range list {
			state := hooks.Delivered
			if i%50 == 0 {
				state = hooks.Dead
			}
			results = append(results, hooks.Result{Delivery: d.ID, State: state, Attempt: hooks.Attempt{Started: c.now(), Class: "x"}})
		}
		_, list = due(t, s.Outbox(), "b", c.now())
		for _, d := range list {
			results = append(results, hooks.Result{Delivery: d.ID, State: hooks.Delivered})
		}
		if _, err := s.Outbox().Settle(context.Background(), results); err != nil {
			t.Fatal(err)
		}
		c.add(day)
		for more := true; more; {
			var err error
			if more, err = s.maintainOnce(context.Background()); err != nil {
				t.Fatal(err)
			}
		}
	}
	count := func(table string) (n int) {
		if _, err := sqlite.One(s.read, "select count(*) from "+table, nil, &n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	var settled int64
	for d := range 40 {
		day0(d)
		var size int64
		if _, err := sqlite.One(s.read, "pragma page_count", nil, &size); err != nil {
			t.Fatal(err)
		}
		if d == 20 {
			settled = size
		}
		if d > 20 && size > settled*5/4 {
			t.Fatalf("day %d: %d pages, it was %d on day 20", d, size, settled)
		}
	}
	// Kept: seven days of deliveries, thirty of dead ones, one of calls.
	if n := count("delivery where state = 1"); n < 7*490 || n > 8*500 {
		t.Errorf("%d delivered remain", n)
	}
	if n := count("delivery where state = 2"); n < 30*5 || n > 31*5 {
		t.Errorf("%d dead remain", n)
	}
	if n := count("call"); n > 250 {
		t.Errorf("%d calls remain", n)
	}
	if lost := count("event where not exists (select 1 from delivery where event = event.id)"); lost != 0 {
		t.Errorf("%d events without a delivery", lost)
	}
	if state, _, err := s.Journal().Call("1.1", time.Time{}); state != nil || err != nil {
		t.Errorf("forgotten call: %q, %v", state, err)
	}
	if n := s.journal.calls.size(); n != count("call") {
		t.Errorf("%d calls in memory, %d in the file", n, count("call"))
	}
}

func TestOversizedEventIsRefused(t *testing.T) {
	s := testStore(t, time.Now)
	e := testEvent("1.1", 1)
	e.Params["note"] = strings.Repeat("x", eventbody.Max)
	_, err := s.Journal().Keep(context.Background(), dialplan.Record{Call: "1.1", Events: []dialplan.Accepted{{Event: e, Hooks: testRoutes("1.1", "a")}}})
	if err == nil || !strings.Contains(err.Error(), "more than the outbox takes") {
		t.Errorf("got %v", err)
	}
}
