package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"ringhook/hooks"
	"ringhook/store/browse"
)

// Operator is the part of a store that operators use, under test.
type Operator interface {
	List(f browse.Filter) ([]browse.Item, error)
	IDs(f browse.Filter) ([]int64, error)
	Changeable(f browse.Filter) ([]int64, error)
	Show(id int64) (browse.Item, []hooks.Attempt, error)
	Retry(ctx context.Context, ids ...int64) (int, error)
	Drop(ctx context.Context, ids ...int64) (int, error)
	Replay(ctx context.Context, r browse.Replay) (int, error)
	Replayable(r browse.Replay) (int, error)
	HookCounts() ([]browse.HookCounts, error)
	States() ([]hooks.HookState, error)
	Enable(ctx context.Context, hook string) (was bool, err error)
	Failing(hook string) (last hooks.Attempt, next time.Time, failing bool, err error)
}

// Operated is a store under test with the part for operators.
type Operated struct {
	Home
	Operator Operator
	// EnsureHooks adds counts for hooks that have none.
	EnsureHooks func(ctx context.Context, names []string) error
}

// operated are the tests of the part for operators.
var operated = []struct {
	name string
	run  func(t *testing.T, c *clock, s Operated)
}{
	{"browse", browsed},
	{"attempts are bounded", attemptsAreBounded},
	{"retry and drop keep the order", retryAndDropKeepOrder},
	{"numbers", chosenIDs},
	{"attempts over a retry", attemptsOverARetry},
	{"a retry ends a pause", retryEndsPause},
	{"a retry begins again", retryBeginsAnew},
	{"counts", counts},
	{"disabled hooks", disabledHooks},
	{"the last failure", lastFailure},
	{"replay", replayed},
	{"replay with new ids", replayedWithNewIDs},
	{"replay from another hook", replayedFromAnotherHook},
	{"replay in parts", replayedInParts},
	{"retry of replays", retriedReplays},
}

// RunOperator checks what a store promises operators. open returns an empty one that takes the time from now and is closed
// when the test ends.
func RunOperator(t *testing.T, open func(t *testing.T, now func() time.Time) Operated) {
	for _, test := range operated {
		t.Run(test.name, func(t *testing.T) {
			c := newClock()
			test.run(t, c, open(t, c.now))
		})
	}
}

func browsed(t *testing.T, c *clock, s Operated) {
	o := s.Home
	Keep(t, s.Home, Record("1.1", 1, "a", "b"))
	Keep(t, s.Home, Record("1.1", 2, "a"))
	c.add(time.Minute)
	middle := c.now()
	Keep(t, s.Home, Record("1.2", 1, "a"))
	_, list := Due(t, o, "a", c.now())
	Settle(t, o, list[0].ID, hooks.Dead, time.Time{})

	f := func(want string, filter browse.Filter) {
		t.Helper()
		list, err := s.Operator.List(filter)
		var got []string
		for _, d := range list {
			got = append(got, strings.TrimPrefix(d.Event.ID, "msg_")+d.Hook)
		}
		if err != nil || strings.Join(got, " ") != want {
			t.Errorf("%+v: got %v, %v, want %s", filter, got, err, want)
		}
	}
	f("1.2_1a 1.1_2a 1.1_1b 1.1_1a", browse.Filter{})
	f("1.2_1a 1.1_2a", browse.Filter{Limit: 2})
	f("1.1_1b", browse.Filter{Hook: "b"})
	f("1.1_1a", browse.Filter{States: []hooks.State{hooks.Dead}})
	f("1.1_2a 1.1_1b 1.1_1a", browse.Filter{Call: "1.1"})
	f("", browse.Filter{Call: "1c2a9d8e-5b6f-5a4b-8c3d-2e1f0a9b8c7d"})
	f("1.2_1a", browse.Filter{Since: middle})
	f("1.2_1a 1.1_2a", browse.Filter{Hook: "a", States: []hooks.State{hooks.Pending, hooks.Delivered}})

	item, attempts, err := s.Operator.Show(list[0].ID)
	if err != nil || item.State != hooks.Dead || !item.Finished.Equal(c.now()) || item.Class != "rejected" || item.Status != 404 ||
		item.Held || !item.Next.IsZero() || item.Attempts != 1 {
		t.Errorf("show: got %+v, %v", item, err)
	}
	if len(attempts) != 1 || attempts[0].Took != 1500*time.Microsecond || attempts[0].Excerpt != "no such page" || attempts[0].Started.IsZero() {
		t.Errorf("attempts: got %+v", attempts)
	}
	if _, _, err := s.Operator.Show(999); !errors.Is(err, browse.ErrNotFound) {
		t.Errorf("show of nothing: %v", err)
	}
}

func attemptsAreBounded(t *testing.T, c *clock, s Operated) {
	Keep(t, s.Home, Record("1.1", 1, "a"))
	_, list := Due(t, s.Home, "a", time.Now())
	for i := range 30 {
		r := hooks.Result{Delivery: list[0].ID, Attempt: hooks.Attempt{Started: c.add(time.Second), Class: fmt.Sprint(i), Excerpt: strings.Repeat("ж", 3000)}}
		if _, err := s.Home.Settle(context.Background(), []hooks.Result{r}); err != nil {
			t.Fatal(err)
		}
	}
	item, attempts, err := s.Operator.Show(list[0].ID)
	if err != nil || item.Attempts != 30 || len(attempts) != 20 || attempts[19].Class != "29" || len(attempts[0].Excerpt) > 2048 {
		t.Errorf("got %d attempts, %d kept, %v", item.Attempts, len(attempts), err)
	}
}

// Deliveries stay in order when an operator drops and retries some of them.
func retryAndDropKeepOrder(t *testing.T, c *clock, s Operated) {
	o := s.Home
	expect := func(want ...string) []hooks.Delivery {
		t.Helper()
		got, list := Due(t, o, "a", c.now())
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
		Keep(t, s.Home, Record("1.1", seq, "a"))
	}
	one := expect("msg_1.1_1")[0].ID
	Settle(t, o, one, hooks.Dead, time.Time{})
	two := expect("msg_1.1_2")[0].ID
	change(s.Operator.Retry, 1, one)
	expect("msg_1.1_1")
	Settle(t, o, two, hooks.Pending, c.now()) // it was being attempted meanwhile
	expect("msg_1.1_1")
	change(s.Operator.Drop, 2, one, two)
	three := expect("msg_1.1_3")[0].ID
	Settle(t, o, three, hooks.Pending, c.now().Add(time.Hour))
	expect()
	change(s.Operator.Retry, 1, three)
	expect("msg_1.1_3")
	change(s.Operator.Retry, 1, two)
	expect("msg_1.1_2")
	Settle(t, o, two, hooks.Delivered, time.Time{})
	expect("msg_1.1_3")
	change(s.Operator.Retry, 0, two, 999) // delivered is delivered
	change(s.Operator.Drop, 0, two, 999)
	change(s.Operator.Drop, 1, three)
	expect("msg_1.1_4")
}

// A filter without a limit selects all matching deliveries, whatever their number.
func chosenIDs(t *testing.T, c *clock, s Operated) {
	const calls = 250
	for n := range calls {
		Keep(t, s.Home, Record(fmt.Sprintf("1.%d", n), 1, "a", "b"))
	}
	f := func(filter browse.Filter, want int, oldest int64) {
		t.Helper()
		ids, err := s.Operator.IDs(filter)
		if err != nil || len(ids) != want || want > 0 && ids[0] != oldest || !slices.IsSorted(ids) {
			t.Errorf("got %d deliveries, %v, %v, want %d, the oldest first", len(ids), ids, err, want)
		}
	}
	f(browse.Filter{}, 2*calls, 1)
	f(browse.Filter{Hook: "b", States: []hooks.State{hooks.Pending, hooks.Dead}}, calls, 2)
	f(browse.Filter{Hook: "b", Limit: 10}, 10, 2)
	f(browse.Filter{Call: "1.7"}, 2, 15)
	f(browse.Filter{States: []hooks.State{hooks.Dead}}, 0, 0)
}

// attemptsOverARetry checks that every attempt is listed in order, whether it ended
// the delivery or not, also after an operator retried the delivery.
func attemptsOverARetry(t *testing.T, c *clock, s Operated) {
	Keep(t, s.Home, Record("1.1", 1, "a"))
	o := s.Home
	var id int64
	classes := []string{"server", "timeout", "rejected", "server", "delivered"}
	for i, class := range classes {
		_, list := Due(t, o, "a", c.now())
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
		item, attempts, err := s.Operator.Show(id)
		if err != nil || item.State != r.State || item.Attempts != i+1 || len(attempts) != i+1 || attempts[i] != r.Attempt {
			t.Fatalf("after attempt %d: %+v, %+v, %v", i+1, item, attempts, err)
		}
		c.add(time.Minute)
		if class == "rejected" {
			if n, err := s.Operator.Retry(t.Context(), id); n != 1 || err != nil {
				t.Fatalf("retried %d, %v", n, err)
			}
		}
	}
	_, attempts, err := s.Operator.Show(id)
	for i, a := range attempts {
		if a.Class != classes[i] || a.Excerpt != classes[i] {
			t.Errorf("attempt %d is %+v, want %s", i+1, a, classes[i])
		}
	}
	if err != nil || len(attempts) != len(classes) {
		t.Errorf("%d attempts, %v", len(attempts), err)
	}
}

// retryEndsPause checks that an operator's retry makes an attempt possible now for the
// hooks of its deliveries and for no other. It does not enable a disabled hook.
func retryEndsPause(t *testing.T, c *clock, s Operated) {
	at := time.UnixMilli(c.now().UnixMilli())
	Keep(t, s.Home, Record("1.1", 1, "a", "b", "c"))
	left := hooks.HookState{Receiver: "r", Since: at, Failures: 7, Class: "timeout", Until: at.Add(10 * time.Minute), Opened: 6}
	off := left
	off.Disabled, off.DisabledAt = "gone", at
	var ids []int64
	for hook, st := range map[string]hooks.HookState{"a": left, "b": left, "c": off} {
		st.Hook = hook
		if err := s.Home.SetState(t.Context(), st, nil, nil); err != nil {
			t.Fatal(err)
		}
		if _, list := Due(t, s.Home, hook, at); hook != "b" {
			ids = append(ids, list[0].ID)
		}
	}
	if n, err := s.Operator.Retry(t.Context(), ids...); n != 2 || err != nil {
		t.Fatalf("got %d, %v", n, err)
	}
	for hook, want := range map[string]time.Time{"a": {}, "b": left.Until, "c": left.Until} {
		if st, err := s.Home.State(hook); err != nil || !st.Until.Equal(want) || st.Opened != left.Opened {
			t.Errorf("%s: got %+v, %v, want it paused until %v", hook, st, err, want)
		}
	}
}

// retryBeginsAnew wants a dead letter that is retried to have its full time
// again, and a pending one to keep what it has left.
func retryBeginsAnew(t *testing.T, c *clock, s Operated) {
	o := s.Home
	Keep(t, s.Home, Record("1.1", 1, "a", "b"))
	accepted := c.now()
	_, a := Due(t, o, "a", c.now())
	_, b := Due(t, o, "b", c.now())
	Settle(t, o, a[0].ID, hooks.Dead, time.Time{})
	later := c.add(25 * time.Hour)
	if n, err := s.Operator.Retry(context.Background(), a[0].ID, b[0].ID); n != 2 || err != nil {
		t.Fatalf("got %d, %v", n, err)
	}
	_, a = Due(t, o, "a", c.now())
	_, b = Due(t, o, "b", c.now())
	if !a[0].Accepted.Equal(later) || !b[0].Accepted.Equal(accepted) {
		t.Errorf("got %v and %v, want %v and %v", a[0].Accepted, b[0].Accepted, later, accepted)
	}
}

func counts(t *testing.T, c *clock, s Operated) {
	first := c.now()
	Keep(t, s.Home, Record("1.1", 1, "a"))
	c.add(time.Minute)
	for seq := 2; seq <= 4; seq++ {
		Keep(t, s.Home, Record("1.1", seq, "a"))
	}
	good(t, s.EnsureHooks(t.Context(), []string{"a", "z"}))
	expect := func(pending, dead int, oldest time.Time) {
		t.Helper()
		got, err := s.Operator.HookCounts()
		for i := range got {
			got[i].Oldest = got[i].Oldest.UTC()
		}
		want := []browse.HookCounts{{Hook: "a", Pending: pending, Dead: dead, Oldest: oldest}, {Hook: "z"}}
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("got %+v, %v, want %+v", got, err, want)
		}
	}
	expect(4, 0, first)
	_, list := Due(t, s.Home, "a", c.now())
	id := list[0].ID
	Settle(t, s.Home, id, hooks.Dead, time.Time{})
	expect(3, 1, first.Add(time.Minute))
	_, err := s.Operator.Retry(t.Context(), id)
	good(t, err)
	expect(4, 0, first)
	Settle(t, s.Home, id, hooks.Dead, time.Time{})
	ids, err := s.Operator.Changeable(browse.Filter{Hook: "a"})
	good(t, err)
	n, err := s.Operator.Drop(t.Context(), ids...)
	good(t, err)
	if n != 4 {
		t.Errorf("%d dropped, want all 4", n)
	}
	expect(0, 0, time.Time{})
	_, err = s.Operator.Retry(t.Context(), id)
	good(t, err)
	expect(1, 0, first)
}

func disabledHooks(t *testing.T, c *clock, s Operated) {
	at := time.UnixMilli(c.now().UnixMilli())
	failing := hooks.HookState{Hook: "a", Receiver: "r", Since: at, Failures: 7, Class: "timeout", Until: at.Add(time.Minute), Opened: 2}
	gone := hooks.HookState{Hook: "a", Receiver: "r", Disabled: hooks.Gone, DisabledAt: at}
	set := func(st hooks.HookState, want ...hooks.HookState) {
		t.Helper()
		good(t, s.SetState(t.Context(), st, nil, nil))
		if list, err := s.Operator.States(); err != nil || !slices.Equal(list, want) {
			t.Errorf("got %+v, %v, want %+v", list, err, want)
		}
	}
	enable := func(want bool) {
		t.Helper()
		if was, err := s.Operator.Enable(t.Context(), "a"); was != want || err != nil {
			t.Errorf("enable: got %v, %v, want %v", was, err, want)
		}
	}
	set(gone, gone)
	enable(true)
	enable(false)
	set(failing, failing)
	enable(false) // it fails, and is not disabled
	set(hooks.HookState{Hook: "a"})
}

func lastFailure(t *testing.T, c *clock, s Operated) {
	Keep(t, s.Home, Record("1.1", 1, "a"))
	if _, _, failing, err := s.Operator.Failing("a"); failing || err != nil {
		t.Errorf("before an attempt: %v, %v", failing, err)
	}
	_, list := Due(t, s.Home, "a", c.now())
	again := c.now().Add(time.Minute)
	Settle(t, s.Home, list[0].ID, hooks.Pending, again)
	last, next, failing, err := s.Operator.Failing("a")
	if err != nil || !failing || last.Class != "rejected" || last.Status != 404 || last.Excerpt != "no such page" || !next.Equal(again) {
		t.Errorf("got %+v, %v, %v, %v", last, next, failing, err)
	}
}
