package dialplan

import (
	"context"
	"sync/atomic"
	"time"

	"ringhook/hooks"
)

// Record is the result of one point, kept in one commit.
type Record struct {
	Call    string // the call's key, see Identity
	State   []byte // of the call, from now on
	Events  []Accepted
	Lineage *Lineage // may be nil: then the record stands alone
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
	// Wait returns when the record is safe, or with the reason why it is lost. The
	// context ends only the waiting: the record may be kept all the same. due are the
	// deliveries of the record that may be attempted at once.
	Wait(ctx context.Context) (due []hooks.Delivery, err error)
}

// Calls returns what was kept of calls.
type Calls interface {
	// Call returns the state of the call of that key as last kept, nil if it is not
	// known. A key that is a linkedid alone also finds the latest call of that linkedid
	// on any Asterisk.
	Call(key string) ([]byte, error)
	// IdleCalls lists up to limit calls whose last record was kept after one moment
	// and not after another, the longest idle first.
	IdleCalls(after, until time.Time, limit int) ([]IdleCall, error)
}

// Acceptor keeps records in the order in which they were given to it.
type Acceptor interface {
	// Queue queues a record and returns without waiting for its commit. The context
	// bounds the wait for room in the queue; an error means that the record is not
	// queued. An event whose id is already kept is left out.
	Queue(ctx context.Context, r Record) (Commit, error)
	// KeepLater queues a record of which no session waits for the commit. A record
	// that is lost breaks no lineage.
	KeepLater(r Record)
	// Barrier returns when every record given before it is kept or lost.
	Barrier(ctx context.Context) error
}

// Tracer keeps records of points.
type Tracer interface {
	// Trace keeps what happened at a point, as DecodeTrace reads it. It neither waits
	// nor fails, and does not retain the record: what cannot be kept is dropped.
	Trace(at time.Time, record []byte)
}

// Journal keeps calls, their events and the trace of their points.
type Journal interface {
	Calls
	Acceptor
	Tracer
}
