package store

import (
	"testing"
	"time"

	"ringhook/hooks"
)

// TestFailing wants the last failure of what is pending, with the time of the next attempt, also before the hook's stored
// state says anything, and nothing after it is delivered.
func TestFailing(t *testing.T) {
	c := newClock()
	s := testStore(t, c.now)
	for _, call := range []string{"1.1", "1.2", "1.3"} {
		keep(t, s.Journal(), testRecord(call, 1, "crm"))
	}
	_, due := due(t, s.Outbox(), "crm", c.now())
	if len(due) != 3 {
		t.Fatalf("due: %+v", due)
	}
	if _, _, failing, err := s.Operator().Failing("crm"); err != nil || failing {
		t.Errorf("without an attempt: failing %v, %v", failing, err)
	}
	at := c.now().Truncate(time.Millisecond)
	next := at.Add(5 * time.Minute)
	settle := func(id int64, state hooks.State, started time.Time, excerpt string) {
		t.Helper()
		if _, err := s.Outbox().Settle(t.Context(), []hooks.Result{{Delivery: id, State: state, Next: next, Attempt: hooks.Attempt{
			Started: started, Class: "connect", Excerpt: excerpt,
		}}}); err != nil {
			t.Fatal(err)
		}
	}
	settle(due[0].ID, hooks.Pending, at.Add(-time.Second), "crm.example: connect: dial tcp 127.0.0.1:1: connect: no route to host")
	settle(due[1].ID, hooks.Pending, at, "crm.example: connect: dial tcp 127.0.0.1:1: connect: connection refused")
	last, again, failing, err := s.Operator().Failing("crm")
	if err != nil || !failing || last.Cause() != "connection refused" || !last.Started.Equal(at) || !again.Equal(next) {
		t.Errorf("last %+v, next %v, failing %v, %v", last, again, failing, err)
	}
	settle(due[0].ID, hooks.Delivered, at, "")
	settle(due[1].ID, hooks.Delivered, at, "")
	if _, _, failing, err := s.Operator().Failing("crm"); err != nil || failing {
		t.Errorf("after a success: failing %v, %v", failing, err)
	}
}
