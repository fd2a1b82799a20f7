package pgstore

import (
	"slices"
	"testing"
	"time"

	"ringhook/dialplan"
	"ringhook/hooks"
	"ringhook/store/spooled"
	"ringhook/store/storetest"
	"ringhook/test/wait"
)

// spooledEvent returns an event of a call that was accepted elsewhere an hour ago, with deliveries of these states.
func spooledEvent(call string, seq int, states ...hooks.State) spooled.Event {
	e := spooled.Event{Event: storetest.Event(call, seq), LinkedID: call, Call: call, Accepted: time.Now().Add(-time.Hour)}
	for i, state := range states {
		d := spooled.Delivery{Route: storetest.Routes(call, string(rune('a'+i)))[0], State: state}
		if state != hooks.Pending {
			d.Attempts, d.Finished = 1, time.Now().Add(-time.Minute)
			d.Last = hooks.Attempt{Started: time.Now().Add(-time.Minute), Took: time.Second, Class: "delivered", Status: 200, Excerpt: "thanks"}
		}
		e.Deliveries = append(e.Deliveries, d)
	}
	return e
}

// TestTake checks that what another store has accepted and delivered is taken over: with its age, in its order, and without
// another delivery. A second time nothing changes.
func TestTake(t *testing.T) {
	dsn := database(t)
	s := openStore(t, dsn, nil)
	j, ctx := s.Journal(), wait.Context(t)
	g := spooled.Group{
		LinkedID: "1.1", Calls: []spooled.Call{{Key: "1.1", State: []byte(`{"seq":3}`)}},
		Events: []spooled.Event{
			spooledEvent("1.1", 1, hooks.Delivered, hooks.Dead), spooledEvent("1.1", 2, hooks.Pending), spooledEvent("1.1", 3, hooks.Pending),
		},
		Values: []spooled.Value{{Hook: "a", Call: "1.1", Name: "first", Text: "7"}},
	}
	for n := range 2 {
		if moved, err := j.Take(ctx, []spooled.Group{g}); len(moved) > 0 || err != nil {
			t.Fatalf("take %d: moved %v, %v", n, moved, err)
		}
		if due, _ := storetest.Due(t, s.Outbox(), "a", time.Now()); !slices.Equal(due, []string{"msg_1.1_2"}) {
			t.Errorf("due are %v", due)
		}
		if due, _ := storetest.Due(t, s.Outbox(), "b", time.Now()); len(due) > 0 {
			t.Errorf("due are %v", due)
		}
		have, err := j.Have(ctx, []spooled.Group{g})
		if err != nil || len(have.Events) != 3 || have.Calls["1.1"] == nil || string(have.Calls["1.1"].State) != `{"seq":3}` {
			t.Fatalf("have %+v, %v", have, err)
		}
		g.Calls[0].Version = have.Calls["1.1"].Version
	}
	counts, err := s.Operator().HookCounts()
	if err != nil || len(counts) != 2 || counts[0].Pending != 2 || counts[0].Dead != 0 || counts[1].Pending != 0 || counts[1].Dead != 1 {
		t.Errorf("counts are %+v, %v", counts, err)
	}
	if age := time.Since(counts[0].Oldest); age < time.Hour-time.Minute || age > time.Hour+time.Minute {
		t.Errorf("the oldest is %v old, want an hour", age)
	}
	item, attempts, err := s.Operator().Show(1)
	if err != nil || item.State != hooks.Delivered || item.Attempts != 1 || len(attempts) != 1 || attempts[0].Excerpt != "thanks" || item.Remembered["first"] != "7" {
		t.Errorf("%+v, %+v, %v", item, attempts, err)
	}

	// A call that was changed here meanwhile is not stored.
	other := spooled.Group{LinkedID: "1.1", Calls: []spooled.Call{{Key: "1.1", State: []byte(`{"seq":4}`), Version: 1 << 40}}, Events: []spooled.Event{spooledEvent("1.1", 4, hooks.Pending)}}
	if moved, err := j.Take(ctx, []spooled.Group{other}); !slices.Equal(moved, []string{"1.1"}) || err != nil {
		t.Errorf("moved %v, %v", moved, err)
	}
	if n := rows(t, dsn, "event"); n != 3 {
		t.Errorf("%d events, want 3", n)
	}
}

// TestTakeNotifies checks that the nodes that deliver for the hooks are notified of what is taken over, and of a notice of a
// hook's state.
func TestTakeNotifies(t *testing.T) {
	s := openStore(t, database(t), nil)
	var notified []string
	s.w.added = func(hooks []string) { notified = append(notified, hooks...) }
	g := spooled.Group{
		LinkedID: "1.1", Calls: []spooled.Call{{Key: "1.1", State: []byte("{}")}},
		Events: []spooled.Event{spooledEvent("1.1", 1, hooks.Pending, hooks.Pending), spooledEvent("1.1", 2, hooks.Pending)},
	}
	if _, err := s.Journal().Take(wait.Context(t), []spooled.Group{g}); err != nil || !slices.Equal(notified, []string{"a", "b"}) {
		t.Errorf("notified %v, %v", notified, err)
	}
	notified = nil
	notice := storetest.Event("", 0)
	if err := s.Outbox().SetState(wait.Context(t), hooks.HookState{Hook: "a", Failures: 1}, &notice, storetest.Routes("", "c")); err != nil || !slices.Equal(notified, []string{"c"}) {
		t.Errorf("notified %v, %v", notified, err)
	}
}

// TestTakeWhatIsHere checks a record that is in doubt: it is stored here, and was delivered elsewhere. Its delivery ends
// here, and the next one of the call is due, also if only the results are taken over. A later result is not replaced.
func TestTakeWhatIsHere(t *testing.T) {
	for name, take := range map[string]func(j *Journal, e spooled.Event, version int64) error{
		"results": func(j *Journal, e spooled.Event, _ int64) error {
			return j.TakeResults(t.Context(), []spooled.Event{e})
		},
		"groups": func(j *Journal, e spooled.Event, version int64) error {
			_, err := j.Take(t.Context(), []spooled.Group{{
				LinkedID: "1.1", Calls: []spooled.Call{{Key: "1.1", State: []byte("{}"), Version: version}}, Events: []spooled.Event{e},
			}})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := openStore(t, database(t), nil)
			r := storetest.Record("1.1", 1, "a")
			r.Lineage = dialplan.NewLineage(0)
			storetest.Keep(t, s.Journal(), r)
			more := storetest.Record("1.1", 2, "a")
			more.Lineage = r.Lineage
			storetest.Keep(t, s.Journal(), more)
			elsewhere := spooledEvent("1.1", 1, hooks.Delivered)
			for range 2 {
				if err := take(s.Journal(), elsewhere, r.Lineage.Version()); err != nil {
					t.Fatal(err)
				}
				if due, _ := storetest.Due(t, s.Outbox(), "a", time.Now()); !slices.Equal(due, []string{"msg_1.1_2"}) {
					t.Errorf("due are %v", due)
				}
				elsewhere.Deliveries[0].State = hooks.Dead
				r.Lineage = dialplan.NewLineage(versionOf(t, s))
			}
			if item, _, err := s.Operator().Show(1); err != nil || item.State != hooks.Delivered || item.Attempts != 1 {
				t.Errorf("%+v, %v", item, err)
			}
			if err := s.Journal().TakeResults(wait.Context(t), []spooled.Event{spooledEvent("9.9", 1, hooks.Delivered)}); err != nil {
				t.Errorf("an event that is not here: %v", err)
			}
		})
	}
}

func versionOf(t *testing.T, s *Store) int64 {
	t.Helper()
	_, version, err := s.Journal().Call("1.1", time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	return version
}

// TestTryCommit checks that a commit that is tried reports what is wrong, and leaves nothing.
func TestTryCommit(t *testing.T) {
	dsn := database(t)
	s := openStore(t, dsn, nil)
	if err := s.Journal().TryCommit(wait.Context(t)); err != nil {
		t.Error(err)
	}
	exec(t, dsn, "alter table ringhook.call rename to elsewhere")
	if err := s.Journal().TryCommit(wait.Context(t)); ClassOf(err) != Other {
		t.Errorf("got %v", err)
	}
	exec(t, dsn, "alter table ringhook.elsewhere rename to call")
	if n := rows(t, dsn, "call"); n != 0 {
		t.Errorf("%d calls are left", n)
	}
}
