package store

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"ringhook/dialplan"
	"ringhook/hooks"
	"ringhook/store/spooled"
	"ringhook/store/storetest"
	"ringhook/test/wait"
)

// TestSpool checks that what is stored of a call is read for another store with what became of its deliveries, and is
// removed then, but not what came since.
func TestSpool(t *testing.T) {
	c := newClock()
	s := testStore(t, c.now)
	stopUpkeep(s)
	id := dialplan.Identity{LinkedID: "1.1", Asterisk: "pbx"}
	record := func(seq int) dialplan.Record {
		r := testRecord(id.LinkedID, seq, "a", "b")
		r.Call = id.Key()
		r.Events[0].Event.Params["call_uuid"] = id.UUID()
		for i := range r.Events[0].Hooks {
			r.Events[0].Hooks[i].Key = id.UUID()
		}
		return r
	}
	keep(t, s.Journal(), testRecord("1.2", 1))
	accepted := c.now()
	keep(t, s.Journal(), record(1))
	keep(t, s.Journal(), record(2))
	_, due := storetest.Due(t, s.Outbox(), "a", c.now())
	finished := c.add(time.Minute)
	attempt := hooks.Attempt{Started: finished, Took: time.Second, Class: "delivered", Status: 200, Excerpt: "thanks"}
	if _, err := s.Outbox().Settle(wait.Context(t), []hooks.Result{{Delivery: due[0].ID, State: hooks.Delivered, Attempt: attempt, Call: id.UUID(), Values: map[string]string{"first": "7"}}}); err != nil {
		t.Fatal(err)
	}

	p := s.Spool()
	if n, oldest, err := p.Waiting(); n != 2 || !oldest.Equal(accepted) || err != nil {
		t.Errorf("%d events wait, the oldest since %v, %v", n, oldest, err)
	}
	list := func() (all []string) {
		for place := (Place{}); ; {
			some, next, err := p.Next(place)
			if err != nil {
				t.Fatal(err)
			}
			if len(some) == 0 {
				return all
			}
			all, place = append(all, some...), next
		}
	}
	if got := list(); !slices.Equal(got, []string{"1.1", "1.1", "1.2", "1.1"}) {
		t.Errorf("what waits is of %v, want the call with deliveries, that of events, and those of calls", got)
	}
	g, err := p.Read(wait.Context(t), "1.1")
	if err != nil {
		t.Fatal(err)
	}
	if len(g.Calls) != 1 || g.Calls[0].Key != id.Key() || string(g.Calls[0].State) != `{"seq":2}` || len(g.Events) != 2 {
		t.Fatalf("read %+v", g)
	}
	if want := []spooled.Value{{Hook: "a", Call: id.UUID(), Name: "first", Text: "7"}}; !slices.Equal(g.Values, want) {
		t.Errorf("values are %v", g.Values)
	}
	for i, e := range g.Events {
		if e.ID != fmt.Sprint("msg_1.1_", i+1) || e.Call != id.Key() || !e.Accepted.Equal(accepted) || len(e.Deliveries) != 2 || e.Params["talk_time"] != int64(42) {
			t.Errorf("event %d is %+v", i+1, e)
		}
	}
	d := g.Events[0].Deliveries[0]
	if d.Route != (hooks.Route{Hook: "a", Key: id.UUID(), Hold: 15 * time.Minute}) || d.State != hooks.Delivered || d.Attempts != 1 || !d.Finished.Equal(finished) ||
		!d.Last.Started.Equal(finished) || d.Last.Took != time.Second || d.Last.Status != 200 || d.Last.Excerpt != "thanks" {
		t.Errorf("delivery %+v", d)
	}
	if d := g.Events[0].Deliveries[1]; d.Tried() || d.Route.Hook != "b" || !g.Events[0].Received() || g.Events[1].Received() {
		t.Errorf("delivery %+v", d)
	}
	ended, next, err := p.Ended(wait.Context(t), 0, 10)
	if err != nil || len(ended) != 1 || ended[0].ID != "msg_1.1_1" || ended[0].LinkedID != "1.1" || ended[0].Deliveries[0].State != hooks.Delivered {
		t.Errorf("ended: %+v, %v", ended, err)
	}
	if more, _, err := p.Ended(wait.Context(t), next, 10); len(more) != 0 || err != nil {
		t.Errorf("after these: %v, %v", more, err)
	}

	keep(t, s.Journal(), record(3))
	if err := p.Remove(wait.Context(t), []spooled.Group{g}); err != nil {
		t.Fatal(err)
	}
	if g, err = p.Read(wait.Context(t), "1.1"); err != nil || len(g.Events) != 1 || g.Events[0].ID != "msg_1.1_3" || len(g.Calls) != 1 || !p.Has("1.1") {
		t.Errorf("left are %+v, %v, want what came since", g, err)
	}
	if err := p.Remove(wait.Context(t), []spooled.Group{g}); err != nil {
		t.Fatal(err)
	}
	if state, _, err := s.Journal().Call(id.Key(), time.Time{}); state != nil || err != nil || p.Has("1.1") {
		t.Errorf("the call is still there: %s, %v", state, err)
	}
	if got := list(); !slices.Equal(got, []string{"1.2"}) {
		t.Errorf("left are %v", got)
	}
	for _, table := range []string{"delivery", "event", "attempt", "remembered"} {
		n := 0
		if err := s.read.QueryRow("select count(*) from " + table).Scan(&n); n != 0 || err != nil {
			t.Errorf("%d rows are left in %s, %v", n, table, err)
		}
	}
	if counts, err := s.Operator().HookCounts(); err != nil || counts[0].Pending != 0 {
		t.Errorf("counts are %+v, %v", counts, err)
	}
}
