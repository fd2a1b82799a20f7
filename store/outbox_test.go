package store

import (
	"context"
	"errors"
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

func TestBrowse(t *testing.T) {
	c := newClock()
	s := testStore(t, c.now)
	o := s.Outbox()
	keep(t, s.Journal(), testRecord("1.1", 1, "a", "b"))
	keep(t, s.Journal(), testRecord("1.1", 2, "a"))
	c.add(time.Minute)
	middle := c.now()
	keep(t, s.Journal(), testRecord("1.2", 1, "a"))
	_, list := due(t, o, "a", c.now())
	settleOne(t, o, list[0].ID, hooks.Dead, time.Time{})

	f := func(want string, filter Filter) {
		t.Helper()
		list, err := s.Operator().List(filter)
		var got []string
		for _, d := range list {
			got = append(got, strings.TrimPrefix(d.Event.ID, "msg_")+d.Hook)
		}
		if err != nil || strings.Join(got, " ") != want {
			t.Errorf("%+v: got %v, %v, want %s", filter, got, err, want)
		}
	}
	f("1.2_1a 1.1_2a 1.1_1b 1.1_1a", Filter{})
	f("1.2_1a 1.1_2a", Filter{Limit: 2})
	f("1.1_1b", Filter{Hook: "b"})
	f("1.1_1a", Filter{States: []hooks.State{hooks.Dead}})
	f("1.1_2a 1.1_1b 1.1_1a", Filter{LinkedID: "1.1"})
	f("1.2_1a", Filter{Since: middle})
	f("1.2_1a 1.1_2a", Filter{Hook: "a", States: []hooks.State{hooks.Pending, hooks.Delivered}})

	item, attempts, err := s.Operator().Show(list[0].ID)
	if err != nil || item.State != hooks.Dead || !item.Finished.Equal(c.now()) || item.Class != "rejected" || item.Status != 404 ||
		item.Held || !item.Next.IsZero() || item.Attempts != 1 {
		t.Errorf("show: got %+v, %v", item, err)
	}
	if len(attempts) != 1 || attempts[0].Took != 1500*time.Microsecond || attempts[0].Excerpt != "no such page" || attempts[0].Started.IsZero() {
		t.Errorf("attempts: got %+v", attempts)
	}
	if _, _, err := s.Operator().Show(999); !errors.Is(err, ErrNotFound) {
		t.Errorf("show of nothing: %v", err)
	}
}

func TestAttemptsAreBounded(t *testing.T) {
	s := testStore(t, time.Now)
	keep(t, s.Journal(), testRecord("1.1", 1, "a"))
	_, list := due(t, s.Outbox(), "a", time.Now())
	for i := range 30 {
		r := hooks.Result{Delivery: list[0].ID, Attempt: hooks.Attempt{Started: time.Now(), Class: fmt.Sprint(i), Excerpt: strings.Repeat("ж", 3000)}}
		if _, err := s.Outbox().Settle(context.Background(), []hooks.Result{r}); err != nil {
			t.Fatal(err)
		}
	}
	item, attempts, err := s.Operator().Show(list[0].ID)
	if err != nil || item.Attempts != 30 || len(attempts) != maxAttempts || attempts[19].Class != "29" || len(attempts[0].Excerpt) > maxExcerpt {
		t.Errorf("got %d attempts, %d kept, %v", item.Attempts, len(attempts), err)
	}
}

// Deliveries stay in order when an operator drops and retries some of them.
func TestRetryAndDropKeepOrder(t *testing.T) {
	c := newClock()
	s := testStore(t, c.now)
	o := s.Outbox()
	expect := func(want ...string) []hooks.Delivery {
		t.Helper()
		got, list := due(t, o, "a", c.now())
		if !slices.Equal(got, want) {
			t.Fatalf("due: got %v, want %v", got, want)
		}
		return list
	}
	change := func(what func(context.Context, ...int64) (int, error), want int, ids ...int64) {
		t.Helper()
		if n, err := what(context.Background(), ids...); n != want || err != nil {
			t.Fatalf("got %d, %v, want %d", n, err, want)
		}
	}
	for seq := 1; seq <= 4; seq++ {
		keep(t, s.Journal(), testRecord("1.1", seq, "a"))
	}
	one := expect("msg_1.1_1")[0].ID
	settleOne(t, o, one, hooks.Dead, time.Time{})
	two := expect("msg_1.1_2")[0].ID
	change(s.Operator().Retry, 1, one)
	expect("msg_1.1_1")
	settleOne(t, o, two, hooks.Pending, c.now()) // it was being attempted meanwhile
	expect("msg_1.1_1")
	change(s.Operator().Drop, 2, one, two)
	three := expect("msg_1.1_3")[0].ID
	settleOne(t, o, three, hooks.Pending, c.now().Add(time.Hour))
	expect()
	change(s.Operator().Retry, 1, three)
	expect("msg_1.1_3")
	change(s.Operator().Retry, 1, two)
	expect("msg_1.1_2")
	settleOne(t, o, two, hooks.Delivered, time.Time{})
	expect("msg_1.1_3")
	change(s.Operator().Retry, 0, two, 999) // delivered is delivered
	change(s.Operator().Drop, 0, two, 999)
	change(s.Operator().Drop, 1, three)
	expect("msg_1.1_4")
}

// A filter without a limit selects all matching deliveries, whatever their number.
func TestIDs(t *testing.T) {
	s := testStore(t, newClock().now)
	const calls = 250
	for n := range calls {
		keep(t, s.Journal(), testRecord(fmt.Sprintf("1.%d", n), 1, "a", "b"))
	}
	f := func(filter Filter, want int, oldest int64) {
		t.Helper()
		ids, err := s.Operator().IDs(filter)
		if err != nil || len(ids) != want || want > 0 && ids[0] != oldest || !slices.IsSorted(ids) {
			t.Errorf("got %d deliveries, %v, %v, want %d, the oldest first", len(ids), ids, err, want)
		}
	}
	f(Filter{}, 2*calls, 1)
	f(Filter{Hook: "b", States: []hooks.State{hooks.Pending, hooks.Dead}}, calls, 2)
	f(Filter{Hook: "b", Limit: 10}, 10, 2)
	f(Filter{LinkedID: "1.7"}, 2, 15)
	f(Filter{States: []hooks.State{hooks.Dead}}, 0, 0)
}

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

// TestAttemptsOverARetry checks that every attempt is listed in order, whether it ended
// the delivery or not, also after an operator retried the delivery.
func TestAttemptsOverARetry(t *testing.T) {
	c := newClock()
	s := testStore(t, c.now)
	keep(t, s.Journal(), testRecord("1.1", 1, "a"))
	o := s.Outbox()
	var id int64
	classes := []string{"server", "timeout", "rejected", "server", "delivered"}
	for i, class := range classes {
		_, list := due(t, o, "a", c.now())
		if len(list) != 1 || list[0].Attempts != i {
			t.Fatalf("before attempt %d: due %+v", i+1, list)
		}
		id = list[0].ID
		r := hooks.Result{Delivery: id, Next: c.now(), Attempt: hooks.Attempt{
			Started: time.UnixMilli(c.now().UnixMilli()), Took: time.Duration(i) * time.Millisecond, Class: class, Status: 200 + i, Excerpt: class,
		}}
		switch class {
		case "rejected":
			r.State = hooks.Dead
		case "delivered":
			r.State = hooks.Delivered
		}
		if _, err := o.Settle(t.Context(), []hooks.Result{r}); err != nil {
			t.Fatal(err)
		}
		item, attempts, err := s.Operator().Show(id)
		if err != nil || item.State != r.State || item.Attempts != i+1 || len(attempts) != i+1 || attempts[i] != r.Attempt {
			t.Fatalf("after attempt %d: %+v, %+v, %v", i+1, item, attempts, err)
		}
		c.add(time.Minute)
		if class == "rejected" {
			if n, err := s.Operator().Retry(t.Context(), id); n != 1 || err != nil {
				t.Fatalf("retried %d, %v", n, err)
			}
		}
	}
	_, attempts, err := s.Operator().Show(id)
	for i, a := range attempts {
		if a.Class != classes[i] || a.Excerpt != classes[i] {
			t.Errorf("attempt %d is %+v, want %s", i+1, a, classes[i])
		}
	}
	if err != nil || len(attempts) != len(classes) {
		t.Errorf("%d attempts, %v", len(attempts), err)
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
	if state, _, err := s.Journal().Call("1.1"); state != nil || err != nil {
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
