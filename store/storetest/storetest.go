// Package storetest is the test suite of any store for calls, events and deliveries.
package storetest

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"ringhook/dialplan"
	"ringhook/hooks"
)

// Home is a store under test. Its parts share the committed records.
type Home interface {
	dialplan.Calls
	dialplan.Acceptor
	hooks.Outbox
}

// Run checks what dialplan.Calls, dialplan.Acceptor and hooks.Outbox promise. open returns an empty store that takes the
// time from now and is closed when the test ends. reopen closes it and opens it again with what it holds.
func Run(t *testing.T, open func(t *testing.T, now func() time.Time) (h Home, reopen func() Home)) {
	run := func(name string, f func(t *testing.T, c *clock, h Home, reopen func() Home)) {
		t.Run(name, func(t *testing.T) {
			c := newClock()
			h, reopen := open(t, c.now)
			f(t, c, h, reopen)
		})
	}

	run("state", func(t *testing.T, _ *clock, h Home, reopen func() Home) {
		if state, err := h.Call("1.1"); state != nil || err != nil {
			t.Fatalf("unknown call: got %q, %v", state, err)
		}
		Keep(t, h, dialplan.Record{Call: "1.1", State: []byte("one")})
		h.KeepLater(dialplan.Record{Call: "1.1", State: []byte("two")})
		Keep(t, h, dialplan.Record{Call: "1.2", State: []byte("other")})
		for range 2 {
			for linkedid, want := range map[string]string{"1.1": "two", "1.2": "other"} {
				if state, err := h.Call(linkedid); string(state) != want || err != nil {
					t.Errorf("call %s: got %q, %v, want %q", linkedid, state, err, want)
				}
			}
			h = reopen()
		}
	})
	run("records of one call in one commit", func(t *testing.T, c *clock, h Home, _ func() Home) {
		var queued []dialplan.Commit
		lineage := &dialplan.Lineage{}
		for seq := range 60 {
			r := Record("1.1", seq+1, "a")
			r.State, r.Lineage = fmt.Append(nil, seq), lineage
			q, err := h.Queue(context.Background(), r)
			if err != nil {
				t.Fatal(err)
			}
			queued = append(queued, q)
		}
		for _, q := range queued {
			if _, err := q.Wait(context.Background()); err != nil {
				t.Fatal(err)
			}
		}
		if state, err := h.Call("1.1"); string(state) != "59" || err != nil {
			t.Errorf("state %q, %v, want the last one", state, err)
		}
	})
	run("broken lineage", func(t *testing.T, c *clock, h Home, _ func() Home) {
		lineage := &dialplan.Lineage{}
		lineage.Break()
		r := Record("1.1", 1, "a")
		r.State, r.Lineage = []byte("one"), lineage
		if _, err := commit(context.Background(), h, r); err == nil {
			t.Error("a record of a broken lineage was kept")
		}
		h.KeepLater(r)
		Keep(t, h, Record("1.2", 1, "a"))
		if state, err := h.Call("1.1"); state != nil || err != nil {
			t.Errorf("state %q, %v, want none", state, err)
		}
	})
	run("event comes back as it was", func(t *testing.T, c *clock, h Home, reopen func() Home) {
		want := Event("1.1", 7)
		want.Final = true
		Keep(t, h, dialplan.Record{Call: "1.1", Events: []dialplan.Accepted{{Event: want, Hooks: Routes("1.1", "a")}}})
		h = reopen()
		list := expect(t, h, "a", c.now(), want.ID)
		got := list[0]
		if !reflect.DeepEqual(got.Event.Params, want.Params) {
			t.Errorf("parameters: got %#v, want %#v", got.Event.Params, want.Params)
		}
		if got.Event.Name != want.Name || got.Event.Seq != 7 || !got.Event.Final || !got.Event.Time.Equal(want.Time) ||
			got.Event.LinkedID != "1.1" || got.Hook != "a" || got.Attempts != 0 || !got.Accepted.Equal(c.now()) {
			t.Errorf("delivery: got %+v", got)
		}
	})
	// A point that is reported twice is one event.
	run("repeated event is left out", func(t *testing.T, c *clock, h Home, reopen func() Home) {
		Keep(t, h, Record("1.1", 1, "a"))
		Keep(t, h, Record("1.1", 1, "a", "b"))
		list := expect(t, h, "a", c.now(), "msg_1.1_1")
		expect(t, h, "b", c.now())
		Settle(t, h, list[0].ID, hooks.Delivered, time.Time{})
		h = reopen()
		Keep(t, h, Record("1.1", 1, "a"))
		expect(t, h, "a", c.now())
	})
	// A delivery that fails for longer than its hold lets later ones pass. Each of these holds up the ones after it in
	// the same way.
	run("order hold", func(t *testing.T, c *clock, h Home, reopen func() Home) {
		for seq := 1; seq <= 3; seq++ {
			Keep(t, h, Record("1.1", seq, "a"))
		}
		one := expect(t, h, "a", c.now(), "msg_1.1_1")[0].ID
		Settle(t, h, one, hooks.Pending, c.now().Add(5*time.Minute))
		expect(t, h, "a", c.add(4*time.Minute))
		expect(t, h, "a", c.add(time.Minute), "msg_1.1_1")
		Settle(t, h, one, hooks.Pending, c.now().Add(time.Hour))
		h = reopen()
		expect(t, h, "a", c.add(9*time.Minute))
		if next, err := h.Next("a"); err != nil || !next.Equal(c.now().Add(time.Minute)) {
			t.Errorf("next: got %v, %v, want in a minute", next, err)
		}
		// Due for a later time, as after an outage, returns the first of the key.
		expect(t, h, "a", c.now().Add(24*time.Hour), "msg_1.1_1")
		two := expect(t, h, "a", c.add(time.Minute), "msg_1.1_2")[0].ID
		Settle(t, h, two, hooks.Delivered, time.Time{})
		three := expect(t, h, "a", c.now(), "msg_1.1_3")[0].ID
		Settle(t, h, three, hooks.Pending, c.now().Add(20*time.Minute))
		Keep(t, h, Record("1.1", 4, "a"))
		expect(t, h, "a", c.now())
		four := expect(t, h, "a", c.add(15*time.Minute), "msg_1.1_4")[0].ID
		Settle(t, h, one, hooks.Delivered, time.Time{})
		expect(t, h, "a", c.now(), "msg_1.1_4")
		Settle(t, h, four, hooks.Delivered, time.Time{})
		Keep(t, h, Record("1.1", 5, "a")) // three still fails and may be passed
		expect(t, h, "a", c.add(time.Second), "msg_1.1_5")
		expect(t, h, "a", c.add(time.Hour), "msg_1.1_3")
		Settle(t, h, three, hooks.Dead, time.Time{})
		expect(t, h, "a", c.now(), "msg_1.1_5")
	})
	run("the first of a key is settled within its hold", func(t *testing.T, c *clock, h Home, _ func() Home) {
		Keep(t, h, Record("1.1", 1, "a"))
		Keep(t, h, Record("1.1", 2, "a"))
		one := expect(t, h, "a", c.now(), "msg_1.1_1")[0].ID
		Settle(t, h, one, hooks.Pending, c.now().Add(time.Second))
		c.add(time.Second)
		Settle(t, h, one, hooks.Delivered, time.Time{})
		expect(t, h, "a", c.now(), "msg_1.1_2")
	})
	// Wait returns the same deliveries as Due: none that waits for another.
	run("due at once", func(t *testing.T, c *clock, h Home, _ func() Home) {
		keepDue := func(r dialplan.Record, want ...string) {
			t.Helper()
			list, err := commit(context.Background(), h, r)
			var got []string
			for _, d := range list {
				got = append(got, d.Hook+" "+d.Event.ID)
			}
			if err != nil || !slices.Equal(got, want) {
				t.Fatalf("due at once: got %q, %v, want %q", got, err, want)
			}
			for _, d := range list {
				asked, err := h.Due(d.Hook, c.now(), 1000)
				same := func(o hooks.Delivery) bool {
					return o.ID == d.ID && o.Attempts == d.Attempts && o.Accepted.Equal(d.Accepted) && reflect.DeepEqual(o.Event.Params, d.Event.Params)
				}
				if err != nil || !slices.ContainsFunc(asked, same) {
					t.Errorf("kept %+v, but the outbox has %+v, %v", d, asked, err)
				}
			}
		}
		keepDue(Record("1.1", 1, "a", "b"), "a msg_1.1_1", "b msg_1.1_1")
		keepDue(Record("1.1", 2, "a"))
		keepDue(Record("1.1", 1, "a"))
		keepDue(Record("1.2", 1, "a"), "a msg_1.2_1")
	})
	run("orders", func(t *testing.T, c *clock, h Home, _ func() Home) {
		for n, key := range []string{"", "", "1", "2"} {
			ev := Event(fmt.Sprint("1.", n), 1)
			name := "strict"
			if key != "" {
				name = "none"
			}
			Keep(t, h, dialplan.Record{Call: ev.LinkedID, Events: []dialplan.Accepted{{Event: ev, Hooks: []hooks.Route{{Hook: name, Key: key, Hold: time.Minute}}}}})
		}
		expect(t, h, "none", c.now(), "msg_1.2_1", "msg_1.3_1")
		one := expect(t, h, "strict", c.now(), "msg_1.0_1")[0].ID
		Settle(t, h, one, hooks.Delivered, time.Time{})
		expect(t, h, "strict", c.now(), "msg_1.1_1")
	})
	run("a waiter that gave up", func(t *testing.T, c *clock, h Home, _ func() Home) {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_, err := commit(ctx, h, Record("1.1", 1, "a"))
		Keep(t, h, Record("1.2", 1, "a"))
		if got, _ := Due(t, h, "a", c.now()); err == nil && !slices.Contains(got, "msg_1.1_1") {
			t.Errorf("kept, but not there: %v", got)
		}
	})

	t.Run("outbox", func(t *testing.T) {
		RunOutbox(t, func(t *testing.T, now func() time.Time) (Outbox, func() Outbox) {
			h, reopen := open(t, now)
			return acceptor{h}, func() Outbox { return acceptor{reopen()} }
		})
	})
}

// acceptor accepts events in records of their own.
type acceptor struct{ Home }

// Accept implements Outbox.
func (a acceptor) Accept(ctx context.Context, ev hooks.Event, routes []hooks.Route) error {
	_, err := commit(ctx, a, dialplan.Record{Call: ev.LinkedID, State: []byte("{}"), Events: []dialplan.Accepted{{Event: ev, Hooks: routes}}})
	return err
}

// commit queues a record and waits for its commit.
func commit(ctx context.Context, a dialplan.Acceptor, r dialplan.Record) ([]hooks.Delivery, error) {
	c, err := a.Queue(ctx, r)
	if err != nil {
		return nil, err
	}
	return c.Wait(ctx)
}
