package storetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"ringhook/dialplan"
	"ringhook/hooks"
	"ringhook/test/wait"
)

// shared are the tests of a store that several servers write to. a and b are the same store at two of them.
var shared = []struct {
	name string
	run  func(t *testing.T, c *clock, a, b Home)
}{
	{"a call that another server changed", movedCall},
	{"a change of which no session waits", movedLater},
	{"a new call at both servers", newAtBoth},
	{"the same event at both servers", sameAtBoth},
	{"keep while others settle", keepBesideSettle},
}

// RunShared checks what a store promises that several servers write to. open returns an empty one as two servers have it,
// which is closed when the test ends.
func RunShared(t *testing.T, open func(t *testing.T, now func() time.Time) (a, b Home)) {
	for _, test := range shared {
		t.Run(test.name, func(t *testing.T) {
			c := newClock()
			a, b := open(t, c.now)
			test.run(t, c, a, b)
		})
	}
}

// built returns a record that was built on the state that a store has.
func built(t *testing.T, h Home, seq int) dialplan.Record {
	t.Helper()
	_, version, err := h.Call("1.1", time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	r := Record("1.1", seq, "a")
	r.Lineage = dialplan.NewLineage(version)
	return r
}

// refused checks that a record is refused with the state of another one, and its event left out.
func refused(t *testing.T, h Home, r dialplan.Record, newer string, version int64) {
	t.Helper()
	_, err := commit(context.Background(), h, r)
	moved := (*dialplan.Moved)(nil)
	if !errors.As(err, &moved) || string(moved.State) != newer || moved.Version != version {
		t.Errorf("got %+v, %v, want version %d of %s", moved, err, version, newer)
	}
	if !r.Lineage.Broken() || r.Lineage.Newer() != moved {
		t.Error("the lineage does not have the newer state")
	}
}

func movedCall(t *testing.T, c *clock, a, b Home) {
	first := built(t, a, 1)
	Keep(t, a, first)
	one := first.Lineage.Version()
	second := built(t, b, 2)
	Keep(t, b, second)
	two := second.Lineage.Version()
	if one < 1 || two <= one {
		t.Errorf("versions %d and then %d", one, two)
	}
	third := Record("1.1", 3, "a")
	third.Lineage = first.Lineage
	refused(t, a, third, `{"seq":2}`, two)
	refused(t, a, third, `{"seq":2}`, two) // a later record of the lineage
	expect(t, a, "a", c.now(), "msg_1.1_1")
	again := built(t, a, 3)
	Keep(t, a, again)
	if state, version, err := b.Call("1.1", time.Time{}); string(state) != `{"seq":3}` || version <= two || version != again.Lineage.Version() || err != nil {
		t.Errorf("state %s, version %d, %v", state, version, err)
	}
	fourth := Record("1.1", 4, "a")
	fourth.Lineage = again.Lineage
	Keep(t, a, fourth) // builds on its own
}

func movedLater(t *testing.T, _ *clock, a, b Home) {
	r := built(t, a, 1)
	Keep(t, b, built(t, b, 2))
	moved := false
	r.Moved = func() { moved = true }
	a.KeepLater(r)
	if err := a.Barrier(context.Background()); err != nil {
		t.Fatal(err)
	}
	if !moved || r.Lineage.Newer() == nil {
		t.Errorf("moved %v, %v, want the newer state", moved, r.Lineage.Newer())
	}
}

func newAtBoth(t *testing.T, _ *clock, a, b Home) {
	ra, rb := built(t, a, 1), built(t, b, 2)
	Keep(t, a, ra)
	refused(t, b, rb, `{"seq":1}`, ra.Lineage.Version())
}

// A point that is asked at two servers at the same moment is one event.
func sameAtBoth(t *testing.T, c *clock, a, b Home) {
	const calls = 50
	var all sync.WaitGroup
	for n := range calls {
		for _, h := range []Home{a, b} {
			all.Go(func() {
				if _, err := commit(context.Background(), h, Record(fmt.Sprint("1.", n), 1, "a")); err != nil {
					t.Error(err)
				}
			})
		}
	}
	all.Wait()
	if got, _ := Due(t, a, "a", c.now()); len(got) != calls {
		t.Errorf("%d deliveries, want one of each of %d events", len(got), calls)
	}
}

// A delivery that is queued while an earlier one of its key is settled at another server is not held up forever.
func keepBesideSettle(t *testing.T, c *clock, a, b Home) {
	const keys, each = 4, 60
	var kept sync.WaitGroup
	for key := range keys {
		kept.Go(func() {
			for seq := range each {
				r := Record(fmt.Sprint("1.", key), seq+1, "a", "strict")
				r.Events[0].Hooks[1].Key = "" // one order for all calls
				if _, err := commit(context.Background(), a, r); err != nil {
					t.Error(err)
				}
			}
		})
	}
	done := make(chan struct{})
	go func() {
		kept.Wait()
		close(done)
	}()
	settled := 0
	for all := false; !all; {
		select {
		case <-done:
			all = true
		default:
		}
		for n := -1; n != 0; { // what is due after the last record, too
			n = settleDue(t, b, "a", c.now()) + settleDue(t, b, "strict", c.now())
			settled += n
		}
	}
	if settled != 2*keys*each {
		t.Errorf("%d of %d deliveries were due: the others wait for none", settled, 2*keys*each)
	}
}

// settleDue settles what is due and returns the number.
func settleDue(t *testing.T, h Home, hook string, now time.Time) int {
	t.Helper()
	_, list := Due(t, h, hook, now)
	var results []hooks.Result
	for _, d := range list {
		results = append(results, hooks.Result{Delivery: d.ID, State: hooks.Delivered, Attempt: hooks.Attempt{Started: now, Class: "delivered", Status: 200}})
	}
	if len(results) > 0 {
		if _, err := h.Settle(wait.Context(t), results); err != nil {
			t.Fatal(err)
		}
	}
	return len(results)
}
