package hooks

import "testing"

// ending is an outbox and a lease, which ends while the outbox is asked for a delivery.
type ending struct {
	Outbox
	only
	ended bool
}

// IsPending implements Queue.
func (e *ending) IsPending(int64) (bool, error) {
	e.ended = true
	return true, nil
}

// Valid implements Lease.
func (e *ending) Valid() bool { return !e.ended }

// TestLeaseEndsBeforeAttempt checks that a delivery that waited for a worker is not attempted if the lease has ended while
// the outbox was asked whether it is still pending.
func TestLeaseEndsBeforeAttempt(t *testing.T) {
	e := &ending{}
	s := &sender{outbox: e, lease: e, results: make(chan finished, 1), feed: feed{jobs: make(chan job, 1)}}
	s.feed.jobs <- job{Delivery: Delivery{ID: 7}}
	close(s.feed.jobs)
	s.work(t.Context())
	if f := <-s.results; !f.unsent || f.result.Delivery != 7 {
		t.Errorf("%+v, want a delivery that was not sent", f)
	}
}
