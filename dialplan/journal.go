package dialplan

import (
	"context"
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
