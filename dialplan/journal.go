package dialplan

import (
	"context"
	"errors"
	"time"

	"ringhook/hooks"
)

// Record is the result of one point, stored in one commit.
type Record struct {
	Call    string // the call's key, see Identity
	State   []byte // of the call after the point
	Events  []Accepted
	Lineage *Lineage // nil if the record does not depend on others
	// Moved is called if KeepLater drops the record because another server changed the call. It must not
	// wait. Nil: nothing is called.
	Moved func()
}

// Accepted is an event with its route to each hook that wants it.
type Accepted struct {
	Event hooks.Event
	Hooks []hooks.Route
}

// Commit is a record that is queued.
type Commit interface {
	// Wait returns after the record is stored, or the reason why it is lost. The context ends
	// only the wait: the record may still be stored. due are the deliveries of the record that
	// may be attempted immediately.
	Wait(ctx context.Context) (due []hooks.Delivery, err error)
}

// Calls reads stored calls.
type Calls interface {
	// Call returns the last stored state of the call of a key, nil if it is not known, and the
	// version of that state, see Lineage. A key that is only a linkedid also finds the latest
	// call of that linkedid on any Asterisk. The deadline bounds the wait; zero: the journal's own limit does.
	Call(key string, deadline time.Time) (state []byte, version int64, err error)
	// IdleCalls returns up to limit calls whose last record was stored in a time span, the
	// longest idle first, and the others of the same time as the last one. The span excludes
	// its beginning and includes its end.
	IdleCalls(after, until time.Time, limit int) ([]IdleCall, error)
}

// Acceptor stores records in the order in which they are queued.
type Acceptor interface {
	// Queue queues a record and returns without waiting for its commit. The context
	// bounds the wait for room in the queue; an error means that the record is not
	// queued. An event whose id is already stored is left out. A record of a call that
	// another server has changed is refused: Wait returns a *Moved.
	Queue(ctx context.Context, r Record) (Commit, error)
	// KeepLater queues a record of which no session waits for the commit. A record
	// that is lost breaks no lineage, unless another server has changed the call.
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
	made   *transition
	again  step
}

// step applies a point to a newer state of its call. It may run after the session has ended, and has no effects outside
// the call.
type step func(*call) *transition

// queue queues the events and the state of the call, while the session holds the call's lock. It
// returns nil if there is nothing to wait for, because no hook wants the events. If another server has
// changed the call, again is applied to its newer state.
func (d *Dialplan) queue(ctx context.Context, deadline time.Time, cur *current, t *transition, e *entry, again step) (*pendingCommit, error) {
	if !t.quiet {
		d.metrics.emitted(t.recorded)
		cur.tell(t.events, t.call.Looked)
	}
	return d.record(ctx, deadline, cur, t, e, again)
}

// record queues what a transition changed, after its events were counted and passed to the audience.
func (d *Dialplan) record(ctx context.Context, deadline time.Time, cur *current, t *transition, e *entry, again step) (*pendingCommit, error) {
	if !cur.Hooks.Any() || t.quiet {
		return nil, nil
	}
	if !t.news && t.point != Lookup {
		// A repeat is answered OK only after the record that it repeats is stored.
		if last := e.last.Load(); last != nil {
			return &pendingCommit{commit: *last, made: t, again: again}, nil
		}
		if !e.lineage.foreign() {
			return nil, nil
		}
		// The commit of the server that stored it may still be unsafe. A write waits until it is safe.
		return d.enqueue(ctx, deadline, t, e, nil, again)
	}
	var events []Accepted
	for i := range t.events {
		routes := cur.Hooks.Match(&t.events[i])
		t.countHooks(t.events[i].Name, len(routes))
		if len(routes) > 0 {
			events = append(events, Accepted{Event: t.events[i], Hooks: routes})
		}
	}
	if len(events) == 0 {
		return nil, d.keepLater(e, func(c *call) { again(c) })
	}
	return d.enqueue(ctx, deadline, t, e, events, again)
}

// enqueue queues the state of a locked call with events.
func (d *Dialplan) enqueue(ctx context.Context, deadline time.Time, t *transition, e *entry, events []Accepted, again step) (*pendingCommit, error) {
	state, err := t.call.encode()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	c, err := d.journal.Queue(ctx, Record{Call: t.call.id().Key(), State: state, Lineage: e.lineage, Events: events})
	if err != nil {
		return nil, err
	}
	e.last.Store(&c)
	return &pendingCommit{commit: c, events: events, made: t, again: again}, nil
}

// await waits for a commit, and leaves the entry after its outcome is known. made is the transition that
// is stored; nil without a commit.
func (d *Dialplan) await(ctx context.Context, deadline time.Time, cur *current, e *entry, c *pendingCommit) (made *transition, err error) {
	if c == nil {
		d.calls.leave(e)
		return nil, nil
	}
	ctx, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	last, err := d.outcome(ctx, deadline, cur, e, c)
	if !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, context.Canceled) {
		d.settled(e, last)
		return last.made, err
	}
	d.late.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), maxLate)
		defer cancel()
		last, err := d.outcome(ctx, time.Now().Add(maxLate), cur, e, last)
		switch {
		case errors.Is(err, context.DeadlineExceeded):
			d.limited.Error("late commit", "outcome of a late commit is not known", "linkedid", e.id.LinkedID, "err", err)
		case errors.Is(err, errMovedAgain):
			d.limited.Error("late moved", "late event not stored", "linkedid", e.id.LinkedID, "err", err)
		}
		d.settled(e, last)
	})
	return last.made, err
}

// settled leaves an entry whose commit has ended.
func (d *Dialplan) settled(e *entry, c *pendingCommit) {
	e.ended(c.commit)
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
