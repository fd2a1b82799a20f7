package store

import (
	"context"
	"fmt"
	"testing"
	"time"

	"ringhook/dialplan"
	"ringhook/hooks"
	"ringhook/store/sqlite"
)

func TestErase(t *testing.T) {
	c := newClock()
	s := testStore(t, c.now)
	add := func(linkedid, number string, seq int) {
		ev := testEvent(linkedid, seq)
		ev.Params["callerid"] = number
		keep(t, s.Journal(), dialplan.Record{Call: linkedid, State: fmt.Appendf(nil, `{"known":{"callerid":%q}}`, number),
			Events: []dialplan.Accepted{{Event: ev, Hooks: []hooks.Route{{Hook: "a", Key: "", Hold: time.Minute}}}}})
	}
	const wanted, longer, other = "+442079460142", "+4420794601420", "+442079460500"
	for seq := 1; seq <= 3; seq++ {
		add("1.1", wanted, seq)
	}
	add("1.2", longer, 1)
	add("1.3", other, 1)
	add("1.4", "02079460142", 1)
	_, list := due(t, s.Outbox(), "a", c.now())
	left := hooks.Result{Delivery: list[0].ID, State: hooks.Delivered, Call: "1.1", Values: map[string]string{"crm_call": "7"}, Attempt: hooks.Attempt{Started: c.now()}}
	if _, err := s.Outbox().Settle(context.Background(), []hooks.Result{left}); err != nil {
		t.Fatal(err)
	}
	if item, _, err := s.Operator().Show(list[0].ID); err != nil || item.Remembered["crm_call"] != "7" {
		t.Errorf("shown: %+v, %v", item, err)
	}

	p, err := s.Person(wanted, "02079460142")
	if err != nil || len(p.Calls) != 2 || len(p.Deliveries) != 4 || p.Calls[0].LinkedID != "1.1" || !p.Calls[0].Seen.Equal(c.now()) || len(p.Calls[0].State) == 0 {
		t.Errorf("got %+v, %v", p, err)
	}
	e, err := s.Erase(context.Background(), wanted, "02079460142")
	if err != nil || e != (Erased{Calls: 2, Events: 4, Deliveries: 4, Pending: 3}) {
		t.Errorf("got %+v, %v", e, err)
	}
	if p, err = s.Person(wanted, "02079460142"); err != nil || len(p.Calls)+len(p.Deliveries) != 0 {
		t.Errorf("still held: %+v, %v", p, err)
	}
	if state, _, err := s.Journal().Call("1.1"); state != nil || err != nil {
		t.Errorf("call: %s, %v", state, err)
	}
	if got, _ := due(t, s.Outbox(), "a", c.now()); len(got) != 1 || got[0] != "msg_1.2_1" {
		t.Errorf("due: %v, want the delivery that waited", got)
	}
	for what, query := range map[string]string{
		"events": "select count(*) from event", "deliveries": "select count(*) from delivery", "calls": "select count(*) from call",
		"attempts": "select 2 + count(*) from attempt", "remembered values": "select 2 + count(*) from remembered", "pending": "select pending from tally",
	} {
		var n int
		if _, err := sqlite.One(s.read, query, nil, &n); err != nil || n != 2 {
			t.Errorf("%d %s remain, %v, want 2", n, what, err)
		}
	}
}

// TestEraseSparesTheOther checks that what is stored of another Asterisk's call with the same linkedid is neither returned
// nor erased.
func TestEraseSparesTheOther(t *testing.T) {
	s := testStore(t, newClock().now)
	const linkedid, hers, his = "1.1", "+442079460142", "+442079460500"
	for n, number := range []string{hers, his} {
		id := dialplan.Identity{Asterisk: fmt.Sprint("pbx", n), LinkedID: linkedid}
		ev := testEvent(linkedid, n+1)
		ev.Params["callerid"], ev.Params["call_uuid"] = number, id.UUID()
		keep(t, s.Journal(), dialplan.Record{Call: id.Key(), State: fmt.Appendf(nil, `{"known":{"callerid":%q}}`, number),
			Events: []dialplan.Accepted{{Event: ev, Hooks: []hooks.Route{{Hook: "a", Key: id.UUID(), Hold: time.Minute}}}}})
		for _, caller := range []string{number, ""} {
			s.Journal().Trace(s.now(), dialplan.EncodeTrace(&dialplan.PointTrace{At: s.now(), Point: "call-dial", LinkedID: linkedid, Caller: caller}))
		}
	}
	_, list := due(t, s.Outbox(), "a", s.now())
	var left []hooks.Result
	for _, d := range list {
		left = append(left, hooks.Result{Delivery: d.ID, State: hooks.Delivered, Call: d.Event.Call(), Values: map[string]string{"crm_call": "7"}, Attempt: hooks.Attempt{Started: s.now()}})
	}
	if _, err := s.Outbox().Settle(context.Background(), left); err != nil || len(left) != 2 {
		t.Fatal(len(left), err)
	}
	if e, err := s.Erase(context.Background(), hers); err != nil || e != (Erased{Calls: 1, Events: 1, Deliveries: 1, Points: 1}) {
		t.Errorf("erased %+v, %v", e, err)
	}
	p, err := s.Person(his)
	if err != nil || len(p.Calls) != 1 || len(p.Deliveries) != 1 || len(p.Points) != 3 {
		t.Errorf("held of the other: %+v, %v", p, err)
	}
	if kept, err := s.Outbox().Remembered("a", dialplan.Identity{Asterisk: "pbx1", LinkedID: linkedid}.UUID()); err != nil || kept["crm_call"] != "7" {
		t.Errorf("remembered of the other: %v, %v", kept, err)
	}
	if gone, err := s.Outbox().Remembered("a", dialplan.Identity{Asterisk: "pbx0", LinkedID: linkedid}.UUID()); err != nil || len(gone) > 0 {
		t.Errorf("remembered: %v, %v", gone, err)
	}
}
