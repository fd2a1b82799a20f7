package dialplan

import (
	"context"
	"time"

	"ringhook/hooks"
)

// Record is what one point leaves behind, kept in one commit.
type Record struct {
	LinkedID string
	State    []byte // of the call, from now on
	Events   []Accepted
}

// Accepted is an event with its way to each hook that wants it.
type Accepted struct {
	Event hooks.Event
	Hooks []hooks.Route
}

// Journal keeps what is known of calls, and their events.
type Journal interface {
	// Call gives a call's state as last kept, nil where nothing is known.
	Call(linkedid string) ([]byte, error)
	// Keep commits a record and returns when it is safe. An event whose id is
	// already kept is left out. The context ends only the waiting: the record may be kept all the same.
	// due are the deliveries that may be attempted at once.
	Keep(ctx context.Context, r Record) (due []hooks.Delivery, err error)
	// KeepLater queues a record that nobody waits for: it is committed before any record given after it.
	KeepLater(r Record)
	// Barrier returns when every record given before it is kept or lost.
	Barrier(ctx context.Context) error
	// Trace keeps what happened at a point, which DecodeTrace reads, so that it can be
	// asked for later. It neither waits nor fails, and does not hold on to the record:
	// what cannot be kept is dropped.
	Trace(at time.Time, record []byte)
	// IdleCalls lists up to limit calls that were last heard of after one moment
	// and not after another, the longest unheard first.
	IdleCalls(after, until time.Time, limit int) ([]IdleCall, error)
}
