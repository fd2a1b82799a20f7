package pgstore

import (
	"context"
	"fmt"
	"testing"
	"time"

	"ringhook/dialplan"
	"ringhook/hooks"
	"ringhook/store/storetest"
	"ringhook/test/wait"
)

// tasks returns tasks that store as many calls, each with two lanes, and a writer for them.
func tasks(t *testing.T, s *Store, dsn string, n int) (w *writer, list []*task) {
	t.Helper()
	for i := range n {
		id := dialplan.Identity{Asterisk: "pbx", LinkedID: fmt.Sprint("1.", i)}
		ev := storetest.Event(id.LinkedID, 1)
		ev.Params["call_uuid"] = id.UUID()
		rec, err := encode(dialplan.Record{Call: id.Key(), State: []byte("{}"), Events: []dialplan.Accepted{{
			Event: ev, Hooks: []hooks.Route{{Hook: "a", Key: id.UUID(), Hold: time.Minute}, {Hook: "b", Key: id.UUID(), Hold: time.Minute}},
		}}})
		if err != nil {
			t.Fatal(err)
		}
		if len(rec.lanes) != 2 {
			t.Fatalf("lanes %q, want that of the linkedid and that of the call", rec.lanes)
		}
		list = append(list, &task{rec: rec, lineage: dialplan.NewLineage(0), awaited: true, done: make(chan struct{})})
	}
	w = newWriter(wait.Context(t), Config{DSN: dsn}, s.clock, s.log, s.limit)
	t.Cleanup(func() {
		if w.conn != nil {
			_ = w.conn.Close(context.Background())
		}
	})
	return w, list
}

// TestLanesAreBounded checks that a transaction locks as many lanes as it may at most, and that the rest is committed after it.
func TestLanesAreBounded(t *testing.T) {
	dsn := database(t)
	s := openStore(t, dsn, time.Now)
	w, list := tasks(t, s, dsn, maxLanes)
	for rest := list; len(rest) > 0; {
		before := len(rest)
		rest = w.commitSome(rest)
		if 2*(before-len(rest)) > maxLanes {
			t.Errorf("%d records of two lanes each are committed together", before-len(rest))
		}
	}
	for n, task := range list {
		if task.err != nil {
			t.Errorf("record %d: %v", n, task.err)
		}
	}
	due, err := s.Outbox().Due("a", time.Now(), 2*maxLanes)
	if err != nil || len(due) != maxLanes {
		t.Fatalf("%d due, %v", len(due), err)
	}
	more, err := s.Outbox().Due("b", time.Now(), 2*maxLanes)
	if err != nil || len(more) != maxLanes {
		t.Fatalf("%d due, %v", len(more), err)
	}
	var results []hooks.Result
	for _, d := range append(due, more...) {
		results = append(results, hooks.Result{Delivery: d.ID, State: hooks.Delivered})
	}
	exec(t, dsn, `create function ringhook.count_locks() returns trigger language plpgsql as $$ begin
		if (select count(*) from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()) > `+fmt.Sprint(maxLanes)+` then
			raise exception 'too many locks';
		end if; return null; end $$;
		create trigger counted after update on ringhook.delivery for each statement execute function ringhook.count_locks()`)
	if _, err := s.Outbox().Settle(wait.Context(t), results); err != nil {
		t.Error(err)
	}
	if n := value[int](t, dsn, "select count(*)::integer from ringhook.delivery where state = 1"); n != 2*maxLanes {
		t.Errorf("%d delivered, want %d", n, 2*maxLanes)
	}
}

// TestNoRoomForLocks checks that an engine without memory for the locks of a transaction gets smaller ones.
func TestNoRoomForLocks(t *testing.T) {
	dsn := database(t)
	exec(t, dsn, `create function ringhook.refuse() returns trigger language plpgsql as $$ begin
		if (select count(*) from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()) > 2 then
			raise exception 'out of shared memory' using errcode = '53200';
		end if; return null; end $$;
		create trigger refused after insert or update on ringhook.delivery for each statement execute function ringhook.refuse()`)
	s := openStore(t, dsn, time.Now)
	w, list := tasks(t, s, dsn, 7)
	w.commit(list)
	for n, task := range list {
		if task.err != nil {
			t.Errorf("record %d: %v", n, task.err)
		}
	}
	_, due := storetest.Due(t, s.Outbox(), "a", time.Now())
	var results []hooks.Result
	for _, d := range due {
		results = append(results, hooks.Result{Delivery: d.ID, State: hooks.Delivered})
	}
	if _, err := s.Outbox().Settle(wait.Context(t), results); err != nil || len(results) != 7 {
		t.Errorf("%d results: %v", len(results), err)
	}
	if _, due := storetest.Due(t, s.Outbox(), "a", time.Now()); len(due) != 0 {
		t.Errorf("still due: %v", due)
	}
}

// TestOneResultAtFault checks that a result which the engine refuses keeps no other from being stored, and that its delivery
// ends or goes on all the same.
func TestOneResultAtFault(t *testing.T) {
	dsn := database(t)
	exec(t, dsn, `alter table ringhook.remembered add check (value <> 'bad'); alter table ringhook.attempt add check (excerpt <> 'bad');
		alter table ringhook.delivery add check (excerpt <> 'bad')`)
	s := openStore(t, dsn, time.Now)
	for n := range 7 {
		storetest.Keep(t, s.Journal(), storetest.Record(fmt.Sprint("1.", n), 1, "a"))
	}
	_, list := storetest.Due(t, s.Outbox(), "a", time.Now())
	next := time.Now().Add(time.Hour)
	var results []hooks.Result
	for n, d := range list {
		r := hooks.Result{
			Delivery: d.ID, State: hooks.Delivered, Call: fmt.Sprint("1.", n), Values: map[string]string{"x": "good"},
			Attempt: hooks.Attempt{Started: time.Now(), Class: "delivered", Excerpt: "good"},
		}
		switch n {
		case 1:
			r.Values = map[string]string{"x": "bad"}
		case 3:
			r.Attempt.Excerpt = "bad"
		case 5:
			r.State, r.Next, r.Values, r.Attempt = hooks.Pending, next, nil, hooks.Attempt{Started: time.Now(), Class: "rejected", Excerpt: "bad"}
		}
		results = append(results, r)
	}
	for range 2 { // the second time after a commit in doubt
		if _, err := s.Outbox().Settle(wait.Context(t), results); err != nil {
			t.Fatal(err)
		}
	}
	for n, d := range list {
		item, attempts, err := s.Operator().Show(d.ID)
		state, remembered := hooks.Delivered, "good"
		switch n {
		case 1:
			remembered = ""
		case 3:
			remembered = "" // stored without anything of the answer
		case 5:
			state, remembered = hooks.Pending, ""
			if item.Next.Sub(next).Abs() > time.Second {
				t.Errorf("due at %v, want %v", item.Next, next)
			}
		}
		if err != nil || item.State != state || item.Remembered["x"] != remembered || item.Attempts != 1 || len(attempts) != 1 {
			t.Errorf("delivery %d: %+v, %+v, %v", n, item, attempts, err)
		}
	}
}
