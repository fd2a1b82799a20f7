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
	settleOne(t, s.Outbox(), list[0].ID, hooks.Delivered, time.Time{})

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
	if state, err := s.Journal().Call("1.1"); state != nil || err != nil {
		t.Errorf("call: %s, %v", state, err)
	}
	if got, _ := due(t, s.Outbox(), "a", c.now()); len(got) != 1 || got[0] != "msg_1.2_1" {
		t.Errorf("due: %v, want the delivery that waited", got)
	}
	for what, query := range map[string]string{
		"events": "select count(*) from event", "deliveries": "select count(*) from delivery", "calls": "select count(*) from call",
		"attempts": "select 2 + count(*) from attempt", "pending": "select pending from tally",
	} {
		var n int
		if _, err := sqlite.One(s.read, query, nil, &n); err != nil || n != 2 {
			t.Errorf("%d %s remain, %v, want 2", n, what, err)
		}
	}
}
