package store

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

// home is what any place for calls and deliveries has to offer.
type home interface {
	dialplan.Journal
	hooks.Outbox
	// Keep queues a record and waits for its commit.
	Keep(ctx context.Context, r dialplan.Record) ([]hooks.Delivery, error)
}

// testHome is what any home has to keep to. open gives an empty one on a clock,
// reopen ends it and gives the same again.
func testHome(t *testing.T, open func(t *testing.T, now func() time.Time) (h home, reopen func() home)) {
	run := func(name string, f func(t *testing.T, c *clock, h home, reopen func() home)) {
		t.Run(name, func(t *testing.T) {
			c := newClock()
			h, reopen := open(t, c.now)
			f(t, c, h, reopen)
		})
	}
	expect := func(t *testing.T, h home, hook string, now time.Time, want ...string) []hooks.Delivery {
		t.Helper()
		got, list := due(t, h, hook, now)
		if !slices.Equal(got, want) {
			t.Fatalf("due for %s: got %v, want %v", hook, got, want)
		}
		return list
	}

	run("state", func(t *testing.T, _ *clock, h home, reopen func() home) {
		if state, err := h.Call("1.1"); state != nil || err != nil {
			t.Fatalf("unknown call: got %q, %v", state, err)
		}
		keep(t, h, dialplan.Record{Call: "1.1", State: []byte("one")})
		h.KeepLater(dialplan.Record{Call: "1.1", State: []byte("two")})
		keep(t, h, dialplan.Record{Call: "1.2", State: []byte("other")})
		for range 2 {
			for linkedid, want := range map[string]string{"1.1": "two", "1.2": "other"} {
				if state, err := h.Call(linkedid); string(state) != want || err != nil {
					t.Errorf("call %s: got %q, %v, want %q", linkedid, state, err, want)
				}
			}
			h = reopen()
		}
	})
	run("records of one call in one commit", func(t *testing.T, c *clock, h home, _ func() home) {
		var queued []dialplan.Commit
		lineage := &dialplan.Lineage{}
		for seq := range 60 {
			r := testRecord("1.1", seq+1, "a")
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
	run("broken lineage", func(t *testing.T, c *clock, h home, _ func() home) {
		lineage := &dialplan.Lineage{}
		lineage.Break()
		r := testRecord("1.1", 1, "a")
		r.State, r.Lineage = []byte("one"), lineage
		if _, err := h.Keep(context.Background(), r); err == nil {
			t.Error("a record was kept that holds effects of a lost one")
		}
		h.KeepLater(r)
		keep(t, h, testRecord("1.2", 1, "a"))
		if state, err := h.Call("1.1"); state != nil || err != nil {
			t.Errorf("state %q, %v, want none", state, err)
		}
	})
	run("event comes back as it was", func(t *testing.T, c *clock, h home, reopen func() home) {
		want := testEvent("1.1", 7)
		want.Final = true
		keep(t, h, dialplan.Record{Call: "1.1", Events: []dialplan.Accepted{{Event: want, Hooks: testRoutes("1.1", "a")}}})
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
	// T-DUP, F26: the same point told twice is one event.
	run("repeated event is left out", func(t *testing.T, c *clock, h home, reopen func() home) {
		keep(t, h, testRecord("1.1", 1, "a"))
		keep(t, h, testRecord("1.1", 1, "a", "b"))
		list := expect(t, h, "a", c.now(), "msg_1.1_1")
		expect(t, h, "b", c.now())
		settleOne(t, h, list[0].ID, hooks.Delivered, time.Time{})
		h = reopen()
		keep(t, h, testRecord("1.1", 1, "a"))
		expect(t, h, "a", c.now())
	})
	// F27: within a call and hook one after the other, other calls and hooks beside it.
	run("order", func(t *testing.T, c *clock, h home, reopen func() home) {
		for seq := 1; seq <= 3; seq++ {
			keep(t, h, testRecord("1.1", seq, "a", "b"))
		}
		keep(t, h, testRecord("1.2", 1, "a"))
		list := expect(t, h, "a", c.now(), "msg_1.1_1", "msg_1.2_1")
		later := c.now().Add(time.Minute)
		settleOne(t, h, list[0].ID, hooks.Pending, later)
		expect(t, h, "a", c.now(), "msg_1.2_1")
		expect(t, h, "b", c.now(), "msg_1.1_1")
		h = reopen()
		expect(t, h, "a", later, "msg_1.2_1", "msg_1.1_1")
		if next, err := h.Next("a"); err != nil || !next.Equal(c.now()) {
			t.Errorf("next: got %v, %v, want %v", next, err, c.now())
		}
		c.add(time.Minute)
		settleOne(t, h, list[0].ID, hooks.Dead, time.Time{})
		list = expect(t, h, "a", c.now(), "msg_1.2_1", "msg_1.1_2")
		settleOne(t, h, list[1].ID, hooks.Dropped, time.Time{})
		list = expect(t, h, "a", c.now(), "msg_1.2_1", "msg_1.1_3")
		settleOne(t, h, list[0].ID, hooks.Delivered, time.Time{})
		settleOne(t, h, list[1].ID, hooks.Delivered, time.Time{})
		expect(t, h, "a", c.now())
		if next, err := h.Next("a"); err != nil || !next.IsZero() {
			t.Errorf("next of nothing: got %v, %v", next, err)
		}
		keep(t, h, testRecord("1.1", 4, "a"))
		expect(t, h, "a", c.now(), "msg_1.1_4")
	})
	// What fails for longer than its hold lets later ones pass, each of which holds
	// up those behind it in the same way.
	run("order hold", func(t *testing.T, c *clock, h home, reopen func() home) {
		for seq := 1; seq <= 3; seq++ {
			keep(t, h, testRecord("1.1", seq, "a"))
		}
		one := expect(t, h, "a", c.now(), "msg_1.1_1")[0].ID
		settleOne(t, h, one, hooks.Pending, c.now().Add(5*time.Minute))
		expect(t, h, "a", c.add(4*time.Minute))
		expect(t, h, "a", c.add(time.Minute), "msg_1.1_1")
		settleOne(t, h, one, hooks.Pending, c.now().Add(time.Hour))
		h = reopen()
		expect(t, h, "a", c.add(9*time.Minute))
		if next, err := h.Next("a"); err != nil || !next.Equal(c.now().Add(time.Minute)) {
			t.Errorf("next: got %v, %v, want in a minute", next, err)
		}
		// Who asks for what is planned, because the receiver is back, gets the first.
		expect(t, h, "a", c.now().Add(24*time.Hour), "msg_1.1_1")
		two := expect(t, h, "a", c.add(time.Minute), "msg_1.1_2")[0].ID
		settleOne(t, h, two, hooks.Delivered, time.Time{})
		three := expect(t, h, "a", c.now(), "msg_1.1_3")[0].ID
		settleOne(t, h, three, hooks.Pending, c.now().Add(20*time.Minute))
		keep(t, h, testRecord("1.1", 4, "a"))
		expect(t, h, "a", c.now())
		four := expect(t, h, "a", c.add(15*time.Minute), "msg_1.1_4")[0].ID
		settleOne(t, h, one, hooks.Delivered, time.Time{})
		expect(t, h, "a", c.now(), "msg_1.1_4")
		settleOne(t, h, four, hooks.Delivered, time.Time{})
		keep(t, h, testRecord("1.1", 5, "a")) // three still fails, and may be passed
		expect(t, h, "a", c.add(time.Second), "msg_1.1_5")
		expect(t, h, "a", c.add(time.Hour), "msg_1.1_3")
		settleOne(t, h, three, hooks.Dead, time.Time{})
		expect(t, h, "a", c.now(), "msg_1.1_5")
	})
	run("what waits for the hold goes when the first is done", func(t *testing.T, c *clock, h home, _ func() home) {
		keep(t, h, testRecord("1.1", 1, "a"))
		keep(t, h, testRecord("1.1", 2, "a"))
		one := expect(t, h, "a", c.now(), "msg_1.1_1")[0].ID
		settleOne(t, h, one, hooks.Pending, c.now().Add(time.Second))
		c.add(time.Second)
		settleOne(t, h, one, hooks.Delivered, time.Time{})
		expect(t, h, "a", c.now(), "msg_1.1_2")
	})
	// What Keep gives is what Due would: a delivery that waits for another is not among it.
	run("due at once", func(t *testing.T, c *clock, h home, _ func() home) {
		keepDue := func(r dialplan.Record, want ...string) {
			t.Helper()
			list, err := h.Keep(context.Background(), r)
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
		keepDue(testRecord("1.1", 1, "a", "b"), "a msg_1.1_1", "b msg_1.1_1")
		keepDue(testRecord("1.1", 2, "a"))
		keepDue(testRecord("1.1", 1, "a"))
		keepDue(testRecord("1.2", 1, "a"), "a msg_1.2_1")
	})
	run("released", func(t *testing.T, c *clock, h home, _ func() home) {
		keep(t, h, testRecord("1.1", 1, "a"))
		keep(t, h, testRecord("1.1", 2, "a"))
		for _, want := range []bool{true, false} {
			_, list := due(t, h, "a", c.now())
			released, err := h.Settle(context.Background(), []hooks.Result{{Delivery: list[0].ID, State: hooks.Delivered}})
			if err != nil || released != want {
				t.Errorf("released: got %v, %v, want %v", released, err, want)
			}
		}
	})
	run("orders", func(t *testing.T, c *clock, h home, _ func() home) {
		for n, key := range []string{"", "", "1", "2"} {
			ev := testEvent(fmt.Sprint("1.", n), 1)
			name := "strict"
			if key != "" {
				name = "none"
			}
			keep(t, h, dialplan.Record{Call: ev.LinkedID, Events: []dialplan.Accepted{{Event: ev, Hooks: []hooks.Route{{Hook: name, Key: key, Hold: time.Minute}}}}})
		}
		expect(t, h, "none", c.now(), "msg_1.2_1", "msg_1.3_1")
		one := expect(t, h, "strict", c.now(), "msg_1.0_1")[0].ID
		settleOne(t, h, one, hooks.Delivered, time.Time{})
		expect(t, h, "strict", c.now(), "msg_1.1_1")
	})
	run("attempts count", func(t *testing.T, c *clock, h home, reopen func() home) {
		keep(t, h, testRecord("1.1", 1, "a"))
		_, list := due(t, h, "a", c.now())
		settleOne(t, h, list[0].ID, hooks.Pending, c.now())
		settleOne(t, h, list[0].ID, hooks.Pending, c.now())
		postponed := hooks.Result{Delivery: list[0].ID, State: hooks.Pending, Next: c.now()}
		if _, err := h.Settle(context.Background(), []hooks.Result{postponed}); err != nil {
			t.Fatal(err)
		}
		h = reopen()
		if _, list = due(t, h, "a", c.now()); list[0].Attempts != 2 {
			t.Errorf("attempts: got %d, want 2", list[0].Attempts)
		}
	})
	run("limit and the longest due first", func(t *testing.T, c *clock, h home, _ func() home) {
		for i := range 5 {
			keep(t, h, testRecord(fmt.Sprintf("1.%d", i), 1, "a"))
			c.add(time.Second)
		}
		list, err := h.Due("a", c.now(), 2)
		if err != nil || len(list) != 2 || list[0].Event.LinkedID != "1.0" || list[1].Event.LinkedID != "1.1" {
			t.Errorf("got %+v, %v", list, err)
		}
	})
	run("a waiter that gave up", func(t *testing.T, c *clock, h home, _ func() home) {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_, err := h.Keep(ctx, testRecord("1.1", 1, "a"))
		keep(t, h, testRecord("1.2", 1, "a"))
		if got, _ := due(t, h, "a", c.now()); err == nil && !slices.Contains(got, "msg_1.1_1") {
			t.Errorf("kept, but not there: %v", got)
		}
	})
}

type sqliteHome struct {
	*Journal
	*Outbox
}

func TestHome(t *testing.T) {
	testHome(t, func(t *testing.T, now func() time.Time) (home, func() home) {
		cfg := testConfig(t)
		s := mustOpen(t, cfg, now)
		t.Cleanup(func() { mustClose(t, s) })
		return sqliteHome{s.Journal(), s.Outbox()}, func() home {
			mustClose(t, s)
			s = mustOpen(t, cfg, now)
			return sqliteHome{s.Journal(), s.Outbox()}
		}
	})
}
