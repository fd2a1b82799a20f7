package storetest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"ringhook/dialplan"
	"ringhook/hooks"
	"ringhook/store/browse"
)

// Personal is a store under test that shows and erases what it has of the holder of a number.
type Personal struct {
	Operated
	Person func(numbers ...string) (browse.Person, error)
	Erase  func(ctx context.Context, numbers ...string) (browse.Erased, error)
	// Count returns the number of rows of a table.
	Count func(table string) (int, error)
	// Trace stores the record of a point; nil if the store has none.
	Trace func(at time.Time, record []byte)
}

// RunPerson checks what a store shows and erases of the holder of a number. open returns an empty one that takes the time from
// now and is closed when the test ends.
func RunPerson(t *testing.T, open func(t *testing.T, now func() time.Time) Personal) {
	for name, run := range map[string]func(*testing.T, *clock, Personal){"erase": erased, "another call of the linkedid": otherSpared} {
		t.Run(name, func(t *testing.T) {
			c := newClock()
			run(t, c, open(t, c.now))
		})
	}
}

// What mentions a number in one of its spellings is shown and erased with all that belongs to it, and nothing else. What
// waited for it continues.
func erased(t *testing.T, c *clock, p Personal) {
	add := func(linkedid, number string, seq int) {
		ev := Event(linkedid, seq)
		ev.Params["callerid"] = number
		Keep(t, p, dialplan.Record{Call: linkedid, State: fmt.Appendf(nil, `{"known":{"callerid":%q}}`, number),
			Events: []dialplan.Accepted{{Event: ev, Hooks: []hooks.Route{{Hook: "a", Key: "", Hold: time.Minute}}}}})
	}
	const wanted, longer, other = "+442079460142", "+4420794601420", "+442079460500"
	for seq := 1; seq <= 3; seq++ {
		add("1.1", wanted, seq)
	}
	add("1.2", longer, 1)
	add("1.3", other, 1)
	add("1.4", "02079460142", 1)
	_, list := Due(t, p, "a", c.now())
	Settle(t, p, list[0].ID, hooks.Pending, c.now())
	left := hooks.Result{Delivery: list[0].ID, State: hooks.Delivered, Call: "1.1", Values: map[string]string{"crm_call": "7"}, Attempt: hooks.Attempt{Started: c.now()}}
	if _, err := p.Settle(context.Background(), []hooks.Result{left}); err != nil {
		t.Fatal(err)
	}
	if item, _, err := p.Operator.Show(list[0].ID); err != nil || item.Remembered["crm_call"] != "7" {
		t.Errorf("shown: %+v, %v", item, err)
	}

	held, err := p.Person(wanted, "02079460142")
	if err != nil || len(held.Calls) != 2 || len(held.Deliveries) != 4 || held.Calls[0].LinkedID != "1.1" || !held.Calls[0].Seen.Equal(c.now()) || len(held.Calls[0].State) == 0 {
		t.Errorf("got %+v, %v", held, err)
	}
	e, err := p.Erase(context.Background(), wanted, "02079460142")
	if err != nil || e != (browse.Erased{Calls: 2, Events: 4, Deliveries: 4, Pending: 3}) {
		t.Errorf("got %+v, %v", e, err)
	}
	if held, err = p.Person(wanted, "02079460142"); err != nil || len(held.Calls)+len(held.Deliveries) != 0 {
		t.Errorf("still held: %+v, %v", held, err)
	}
	if state, _, err := p.Call("1.1", time.Time{}); state != nil || err != nil {
		t.Errorf("call: %s, %v", state, err)
	}
	if got, _ := Due(t, p, "a", c.now()); len(got) != 1 || got[0] != "msg_1.2_1" {
		t.Errorf("due: %v, want the delivery that waited", got)
	}
	for table, want := range map[string]int{"event": 2, "delivery": 2, "call": 2, "attempt": 0, "remembered": 0} {
		if n, err := p.Count(table); n != want || err != nil {
			t.Errorf("%d rows of %s remain, %v, want %d", n, table, err, want)
		}
	}
	if n := countsOf(t, p.Operated, "a"); n.Pending != 2 || n.Dead != 0 {
		t.Errorf("counts: %+v, want 2 pending", n)
	}
	if e, err := p.Erase(context.Background(), wanted); err != nil || e != (browse.Erased{}) {
		t.Errorf("erased again: %+v, %v", e, err)
	}
}

// What is stored of another Asterisk's call with the same linkedid is neither returned nor erased.
func otherSpared(t *testing.T, c *clock, p Personal) {
	const linkedid, hers, his = "1.1", "+442079460142", "+442079460500"
	for n, number := range []string{hers, his} {
		id := dialplan.Identity{Asterisk: fmt.Sprint("pbx", n), LinkedID: linkedid}
		ev := Event(linkedid, n+1)
		ev.Params["callerid"], ev.Params["call_uuid"] = number, id.UUID()
		Keep(t, p, dialplan.Record{Call: id.Key(), State: fmt.Appendf(nil, `{"known":{"callerid":%q}}`, number),
			Events: []dialplan.Accepted{{Event: ev, Hooks: []hooks.Route{{Hook: "a", Key: id.UUID(), Hold: time.Minute}}}}})
		for _, caller := range []string{number, ""} {
			if p.Trace != nil {
				p.Trace(c.now(), dialplan.EncodeTrace(&dialplan.PointTrace{At: c.now(), Point: "call-dial", LinkedID: linkedid, Caller: caller}))
			}
		}
	}
	erasedPoints, leftPoints := 0, 0
	if p.Trace != nil {
		erasedPoints, leftPoints = 1, 3
	}
	_, list := Due(t, p, "a", c.now())
	var left []hooks.Result
	for _, d := range list {
		left = append(left, hooks.Result{Delivery: d.ID, State: hooks.Delivered, Call: d.Event.Call(), Values: map[string]string{"crm_call": "7"}, Attempt: hooks.Attempt{Started: c.now()}})
	}
	if _, err := p.Settle(context.Background(), left); err != nil || len(left) != 2 {
		t.Fatal(len(left), err)
	}
	if e, err := p.Erase(context.Background(), hers); err != nil || e != (browse.Erased{Calls: 1, Events: 1, Deliveries: 1, Points: erasedPoints}) {
		t.Errorf("erased %+v, %v", e, err)
	}
	held, err := p.Person(his)
	if err != nil || len(held.Calls) != 1 || len(held.Deliveries) != 1 || len(held.Points) != leftPoints {
		t.Errorf("held of the other: %+v, %v", held, err)
	}
	if kept, err := p.Remembered("a", dialplan.Identity{Asterisk: "pbx1", LinkedID: linkedid}.UUID()); err != nil || kept["crm_call"] != "7" {
		t.Errorf("remembered of the other: %v, %v", kept, err)
	}
	if gone, err := p.Remembered("a", dialplan.Identity{Asterisk: "pbx0", LinkedID: linkedid}.UUID()); err != nil || len(gone) > 0 {
		t.Errorf("remembered: %v, %v", gone, err)
	}
}
