package dialplan

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"ringhook/hooks"
)

// Record is the result of one point, stored in one commit.
type Record struct {
	Call    string // the call's key, see Identity
	State   []byte // of the call after the point
	Events  []Accepted
	Lineage *Lineage // nil if the record does not depend on others
}

// Accepted is an event with its route to each hook that wants it.
type Accepted struct {
	Event hooks.Event
	Hooks []hooks.Route
}

// Lineage joins the records of one call that were built on each other. A record
// whose Lineage is broken holds effects of a record that was lost, so the journal
// must refuse it.
type Lineage struct{ broken atomic.Bool }

// Break marks the lineage as broken. The journal calls it before it reports that a
// record of the lineage was lost.
func (l *Lineage) Break() {
	if l != nil {
		l.broken.Store(true)
	}
}

// Broken reports whether a record of the lineage was lost. A nil Lineage is never broken.
func (l *Lineage) Broken() bool { return l != nil && l.broken.Load() }

// Commit is a record that is queued.
type Commit interface {
	// Wait returns after the record is stored, or the reason why it is lost. The context ends
	// only the wait: the record may still be stored. due are the deliveries of the record that
	// may be attempted immediately.
	Wait(ctx context.Context) (due []hooks.Delivery, err error)
}

// Calls reads stored calls.
type Calls interface {
	// Call returns the last stored state of the call of a key, nil if it is not known. A key
	// that is only a linkedid also finds the latest call of that linkedid on any Asterisk.
	Call(key string) ([]byte, error)
	// IdleCalls returns up to limit calls whose last record was stored in a time span, the
	// longest idle first. The span excludes its beginning and includes its end.
	IdleCalls(after, until time.Time, limit int) ([]IdleCall, error)
}

// Acceptor stores records in the order in which they are queued.
type Acceptor interface {
	// Queue queues a record and returns without waiting for its commit. The context
	// bounds the wait for room in the queue; an error means that the record is not
	// queued. An event whose id is already stored is left out.
	Queue(ctx context.Context, r Record) (Commit, error)
	// KeepLater queues a record of which no session waits for the commit. A record
	// that is lost breaks no lineage.
	KeepLater(r Record)
	// Barrier returns after every record queued before it is stored or lost.
	Barrier(ctx context.Context) error
}

// Tracer stores traces of points.
type Tracer interface {
	// Trace stores the record of a point, in the format of DecodeTrace. It does not wait or
	// fail, and does not retain the slice. It drops records that cannot be stored.
	Trace(at time.Time, record []byte)
}

// Journal stores calls, their events and the trace of their points.
type Journal interface {
	Calls
	Acceptor
	Tracer
}

// maxCommitWait is the maximum time that a call waits for the disk. After it the point is answered
// without a RINGHOOK_STATUS. The event may still be stored.
const maxCommitWait = 250 * time.Millisecond

// maxLate is the maximum time for which the outcome of a commit is awaited in the background.
const maxLate = 10 * time.Second

// pendingCommit is a commit that a session has to wait for.
type pendingCommit struct {
	commit Commit
	events []Accepted // of this session's record; empty if the record is that of another session
}

// queue queues the events and the state of the call, while the session holds the call's lock. It
// returns nil if there is nothing to wait for, because no hook wants the events.
func (d *Dialplan) queue(ctx context.Context, deadline time.Time, cur *current, t *transition, e *entry) (*pendingCommit, error) {
	if !t.quiet {
		d.metrics.emitted(t.recorded)
		cur.tell(t)
	}
	if !cur.Hooks.Any() || t.quiet {
		return nil, nil
	}
	if !t.news && t.point != Lookup {
		// A repeat is answered OK only after the record that it repeats is stored.
		if last := e.last.Load(); last != nil {
			return &pendingCommit{commit: *last}, nil
		}
		return nil, nil
	}
	state, err := t.call.encode()
	if err != nil {
		return nil, err
	}
	r := Record{Call: t.call.id().Key(), State: state, Lineage: e.lineage}
	for i := range t.events {
		routes := cur.Hooks.Match(&t.events[i])
		t.countHooks(t.events[i].Name, len(routes))
		if len(routes) == 0 {
			continue
		}
		r.Events = append(r.Events, Accepted{Event: t.events[i], Hooks: routes})
	}
	if len(r.Events) == 0 {
		d.journal.KeepLater(r)
		return nil, nil
	}
	ctx, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	c, err := d.journal.Queue(ctx, r)
	if err != nil {
		return nil, err
	}
	e.last.Store(&c)
	return &pendingCommit{commit: c, events: r.Events}, nil
}

// await waits for a commit, and leaves the entry after its outcome is known.
func (d *Dialplan) await(ctx context.Context, deadline time.Time, cur *current, e *entry, c *pendingCommit) error {
	if c == nil {
		d.calls.leave(e)
		return nil
	}
	ctx, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	due, err := c.commit.Wait(ctx)
	notifyHooks(cur.Hooks, c.events, due)
	if !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, context.Canceled) {
		d.settled(e, c)
		return err
	}
	d.late.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), maxLate)
		defer cancel()
		if _, err := c.commit.Wait(ctx); errors.Is(err, context.DeadlineExceeded) {
			d.log.Error("outcome of a late commit is not known", "linkedid", e.id.LinkedID, "err", err)
		}
		d.settled(e, c)
	})
	return err
}

// settled leaves an entry whose commit has ended.
func (d *Dialplan) settled(e *entry, c *pendingCommit) {
	if last := e.last.Load(); last != nil && *last == c.commit {
		e.last.CompareAndSwap(last, nil)
	}
	d.calls.leave(e)
}

// notifyHooks passes the deliveries of a commit to the hooks.
func notifyHooks(d *hooks.Dispatcher, events []Accepted, due []hooks.Delivery) {
	var routes []hooks.Route
	for i := range events {
		routes = append(routes, events[i].Hooks...)
	}
	d.Committed(routes, due)
}

func (p *pointSession) commitWait() time.Duration {
	left := time.Until(p.session.Started().Add(p.budget))
	return min(max(left, p.minWait), p.maxWait)
}
