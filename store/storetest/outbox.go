package storetest

import (
	"context"
	"fmt"
	"maps"
	"testing"
	"time"

	"ringhook/hooks"
)

// Outbox is an outbox under test.
type Outbox interface {
	hooks.Outbox
	// Accept commits an event with its routes.
	Accept(ctx context.Context, ev hooks.Event, routes []hooks.Route) error
}

// outboxTests are the tests of an outbox.
var outboxTests = []struct {
	name string
	run  func(t *testing.T, c *clock, o Outbox, reopen func() Outbox)
}{
	{"order", oneAfterTheOther},
	{"released", released},
	{"attempts count", attemptsCount},
	{"limit and the longest due first", longestDueFirst},
	{"under way", underWay},
	{"pending", pending},
	{"hook state", hookState},
	{"remembered values", remembered},
	{"values remembered together", rememberedTogether},
}

// RunOutbox checks what hooks.Outbox promises, with routes of the default order that stay within their hold. open and
// reopen are those of Run; reopen may return the same outbox if it keeps nothing on disk.
func RunOutbox(t *testing.T, open func(t *testing.T, now func() time.Time) (o Outbox, reopen func() Outbox)) {
	for _, test := range outboxTests {
		t.Run(test.name, func(t *testing.T) {
			c := newClock()
			o, reopen := open(t, c.now)
			test.run(t, c, o, reopen)
		})
	}
}

// accept commits an event for the hooks of these names.
func accept(t *testing.T, o Outbox, ev hooks.Event, names ...string) {
	t.Helper()
	if err := o.Accept(context.Background(), ev, Routes(ev.LinkedID, names...)); err != nil {
		t.Fatal(err)
	}
}

// Deliveries of one call and hook are due one after the other; other calls and hooks do not wait.
func oneAfterTheOther(t *testing.T, c *clock, o Outbox, reopen func() Outbox) {
	for seq := 1; seq <= 3; seq++ {
		accept(t, o, Event("1.1", seq), "a", "b")
	}
	accept(t, o, Event("1.2", 1), "a")
	list := expect(t, o, "a", c.now(), "msg_1.1_1", "msg_1.2_1")
	later := c.now().Add(time.Minute)
	Settle(t, o, list[0].ID, hooks.Pending, later)
	expect(t, o, "a", c.now(), "msg_1.2_1")
	expect(t, o, "b", c.now(), "msg_1.1_1")
	o = reopen()
	expect(t, o, "a", later, "msg_1.2_1", "msg_1.1_1")
	if next, err := o.Next("a"); err != nil || !next.Equal(c.now()) {
		t.Errorf("next: got %v, %v, want %v", next, err, c.now())
	}
	c.add(time.Minute)
	Settle(t, o, list[0].ID, hooks.Dead, time.Time{})
	list = expect(t, o, "a", c.now(), "msg_1.2_1", "msg_1.1_2")
	Settle(t, o, list[1].ID, hooks.Dropped, time.Time{})
	list = expect(t, o, "a", c.now(), "msg_1.2_1", "msg_1.1_3")
	Settle(t, o, list[0].ID, hooks.Delivered, time.Time{})
	Settle(t, o, list[1].ID, hooks.Delivered, time.Time{})
	expect(t, o, "a", c.now())
	if next, err := o.Next("a"); err != nil || !next.IsZero() {
		t.Errorf("next of nothing: got %v, %v", next, err)
	}
	accept(t, o, Event("1.1", 4), "a")
	expect(t, o, "a", c.now(), "msg_1.1_4")
}

func released(t *testing.T, c *clock, o Outbox, _ func() Outbox) {
	accept(t, o, Event("1.1", 1), "a")
	accept(t, o, Event("1.1", 2), "a")
	for _, want := range []bool{true, false} {
		_, list := Due(t, o, "a", c.now())
		released, err := o.Settle(context.Background(), []hooks.Result{{Delivery: list[0].ID, State: hooks.Delivered}})
		if err != nil || released != want {
			t.Errorf("released: got %v, %v, want %v", released, err, want)
		}
	}
}

func attemptsCount(t *testing.T, c *clock, o Outbox, reopen func() Outbox) {
	accept(t, o, Event("1.1", 1), "a")
	_, list := Due(t, o, "a", c.now())
	Settle(t, o, list[0].ID, hooks.Pending, c.now())
	Settle(t, o, list[0].ID, hooks.Pending, c.now())
	postponed := hooks.Result{Delivery: list[0].ID, State: hooks.Pending, Next: c.now()}
	if _, err := o.Settle(context.Background(), []hooks.Result{postponed}); err != nil {
		t.Fatal(err)
	}
	o = reopen()
	if _, list = Due(t, o, "a", c.now()); list[0].Attempts != 2 {
		t.Errorf("attempts: got %d, want 2", list[0].Attempts)
	}
}

func longestDueFirst(t *testing.T, c *clock, o Outbox, _ func() Outbox) {
	for i := range 5 {
		accept(t, o, Event(fmt.Sprintf("1.%d", i), 1), "a")
		c.add(time.Second)
	}
	list, err := o.Due("a", c.now(), 2)
	if err != nil || len(list) != 2 || list[0].Event.LinkedID != "1.0" || list[1].Event.LinkedID != "1.1" {
		t.Errorf("got %+v, %v", list, err)
	}
}

func underWay(t *testing.T, c *clock, o Outbox, _ func() Outbox) {
	accept(t, o, Event("1.1", 1), "a")
	accept(t, o, Event("1.1", 2), "a")
	accept(t, o, Event("1.2", 1), "a")
	list := expect(t, o, "a", c.now(), "msg_1.1_1", "msg_1.2_1")
	got, err := o.Due("a", c.now(), 1, list[0].ID)
	if err != nil || len(got) != 1 || got[0].Event.ID != "msg_1.2_1" {
		t.Errorf("got %+v, %v, want the other call", got, err)
	}
}

func hookState(t *testing.T, c *clock, o Outbox, reopen func() Outbox) {
	state := func(hook string, want hooks.HookState) {
		t.Helper()
		if got, err := o.State(hook); err != nil || got != want {
			t.Errorf("%s: got %+v, %v, want %+v", hook, got, err, want)
		}
	}
	state("a", hooks.HookState{})
	at := time.UnixMilli(c.now().UnixMilli())
	notice := Event("", 0)
	for _, st := range []hooks.HookState{
		{Hook: "a", Receiver: "r", Since: at, Failures: 7, Class: "timeout", Until: at.Add(time.Minute), Opened: 2},
		{Hook: "a", Receiver: "r", Disabled: hooks.Gone, DisabledAt: at},
	} {
		var with *hooks.Event
		if st.Disabled != "" {
			with = &notice
		}
		if err := o.SetState(context.Background(), st, with, Routes("", "b", "c")); err != nil {
			t.Fatal(err)
		}
		state("a", st)
		o = reopen()
		state("a", st)
	}
	state("b", hooks.HookState{})
	expect(t, o, "a", c.now())
	expect(t, o, "b", c.now(), notice.ID)
	expect(t, o, "c", c.now(), notice.ID)
}

// What an answer leaves belongs to one hook and one call, is replaced by a later answer, and survives.
func remembered(t *testing.T, c *clock, o Outbox, reopen func() Outbox) {
	accept(t, o, Event("1.1", 1), "a", "b")
	accept(t, o, Event("1.1", 2), "a", "b")
	accept(t, o, Event("1.2", 1), "a")
	values := func(hook, call string, want map[string]string) {
		t.Helper()
		if got, err := o.Remembered(hook, call); err != nil || !maps.Equal(got, want) {
			t.Errorf("%s, %s: got %v, %v, want %v", hook, call, got, err, want)
		}
	}
	settle := func(hook, call string, state hooks.State, left map[string]string) {
		t.Helper()
		_, list := Due(t, o, hook, c.now())
		for _, d := range list {
			if d.Event.LinkedID != call {
				continue
			}
			r := hooks.Result{Delivery: d.ID, State: state, Call: call, Values: left, Attempt: hooks.Attempt{Started: c.now(), Class: "delivered"}}
			if _, err := o.Settle(context.Background(), []hooks.Result{r}); err != nil {
				t.Fatal(err)
			}
		}
	}
	values("a", "1.1", nil)
	settle("a", "1.1", hooks.Delivered, map[string]string{"crm_call": "one", "deal": "d"})
	settle("b", "1.1", hooks.Delivered, nil)
	for range 2 {
		values("a", "1.1", map[string]string{"crm_call": "one", "deal": "d"})
		values("b", "1.1", nil)
		values("a", "1.2", nil)
		o = reopen()
	}
	settle("a", "1.1", hooks.Delivered, map[string]string{"crm_call": "two"})
	values("a", "1.1", map[string]string{"crm_call": "two", "deal": "d"})
}

// Deliveries of one call without an order may be settled together. Of values with the same name the last one is kept.
func rememberedTogether(t *testing.T, c *clock, o Outbox, _ func() Outbox) {
	for seq := range 3 {
		ev := Event("1.1", seq+1)
		if err := o.Accept(context.Background(), ev, []hooks.Route{{Hook: "a", Key: ev.ID}}); err != nil {
			t.Fatal(err)
		}
	}
	_, list := Due(t, o, "a", c.now())
	var results []hooks.Result
	for i, d := range list {
		results = append(results, hooks.Result{
			Delivery: d.ID, State: hooks.Delivered, Call: "1.1", Values: map[string]string{"crm_call": fmt.Sprint(i)},
			Attempt: hooks.Attempt{Started: c.now(), Class: "delivered"},
		})
	}
	if _, err := o.Settle(context.Background(), results); err != nil {
		t.Fatal(err)
	}
	if got, err := o.Remembered("a", "1.1"); err != nil || !maps.Equal(got, map[string]string{"crm_call": "2"}) {
		t.Errorf("got %v, %v", got, err)
	}
}

func pending(t *testing.T, c *clock, o Outbox, reopen func() Outbox) {
	accept(t, o, Event("1.1", 1), "a")
	accept(t, o, Event("1.2", 1), "a")
	accept(t, o, Event("1.3", 1), "a")
	list := expect(t, o, "a", c.now(), "msg_1.1_1", "msg_1.2_1", "msg_1.3_1")
	Settle(t, o, list[1].ID, hooks.Dropped, time.Time{})
	Settle(t, o, list[2].ID, hooks.Pending, c.now().Add(time.Hour))
	o = reopen()
	for id, want := range map[int64]bool{list[0].ID: true, list[1].ID: false, list[2].ID: true, list[2].ID + 1000: false} {
		if got, err := o.IsPending(id); err != nil || got != want {
			t.Errorf("delivery %d: got %t, %v", id, got, err)
		}
	}
}
