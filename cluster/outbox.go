package cluster

import (
	"context"
	"slices"
	"sync/atomic"
	"time"

	"ringhook/hooks"
)

// Queue is a queue of the engine that makes no delivery before the engine knows what this machine has delivered itself.
type Queue struct {
	hooks.Queue
	Cluster *Cluster
}

// Due implements hooks.Queue. What was asked before the latch was closed may be answered when it is open again: it is left out.
func (q Queue) Due(hook string, now time.Time, limit int, underWay ...int64) ([]hooks.Delivery, error) {
	before := q.Cluster.latch.n.Load()
	if before%2 == 0 {
		return nil, nil
	}
	due, err := q.Queue.Due(hook, now, limit, underWay...)
	if q.Cluster.latch.n.Load() != before {
		return nil, err
	}
	return due, err
}

// latch is open while the engine knows what became of the deliveries of the spool. The zero value is closed.
type latch struct{ n atomic.Int64 } // rises with each change; odd: it is open

func (g *latch) opened() bool { return g.n.Load()%2 == 1 }

// open and close change the latch. They are called by one goroutine.
func (g *latch) open() {
	if !g.opened() {
		g.n.Add(1)
	}
}

func (g *latch) close() {
	if g.opened() {
		g.n.Add(1)
	}
}

// Local is added to the numbers of deliveries that the local dispatcher makes, so that a crash is not blamed on a delivery of
// the engine with the same number.
const Local int64 = 1e15

// localOutbox is the outbox of the local store with these numbers.
type localOutbox struct{ hooks.Outbox }

// numbered adds Local to the numbers of deliveries.
func numbered(due []hooks.Delivery) []hooks.Delivery {
	due = slices.Clone(due)
	for i := range due {
		due[i].ID += Local
	}
	return due
}

// Due implements hooks.Queue.
func (o localOutbox) Due(hook string, now time.Time, limit int, underWay ...int64) ([]hooks.Delivery, error) {
	underWay = slices.Clone(underWay)
	for i := range underWay {
		underWay[i] -= Local
	}
	due, err := o.Outbox.Due(hook, now, limit, underWay...)
	return numbered(due), err
}

// IsPending implements hooks.Queue.
func (o localOutbox) IsPending(id int64) (bool, error) { return o.Outbox.IsPending(id - Local) }

// Settle implements hooks.Queue.
func (o localOutbox) Settle(ctx context.Context, results []hooks.Result) (released bool, err error) {
	results = slices.Clone(results)
	for i := range results {
		results[i].Delivery -= Local
	}
	return o.Outbox.Settle(ctx, results)
}
