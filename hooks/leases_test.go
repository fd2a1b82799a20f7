package hooks_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"

	"ringhook/hooks"
	"ringhook/hooks/hooktest"
)

// leases grants one lease at a time, when the test says so.
type leases struct {
	grants   chan *lease
	released chan int64 // epochs
}

type lease struct {
	epoch  int64
	ctx    context.Context
	end    context.CancelFunc
	broken atomic.Bool
	woken  chan struct{}
	of     *leases
}

func newLeases() *leases {
	return &leases{grants: make(chan *lease), released: make(chan int64, 1)}
}

func (l *leases) grant(epoch int64) *lease {
	g := &lease{epoch: epoch, woken: make(chan struct{}, 1), of: l}
	g.ctx, g.end = context.WithCancel(context.Background())
	l.grants <- g
	return g
}

func (l *leases) Acquire(ctx context.Context, _ string) hooks.Lease {
	select {
	case g := <-l.grants:
		context.AfterFunc(ctx, g.end)
		return g
	case <-ctx.Done():
		return nil
	}
}

func (g *lease) Context() context.Context { return g.ctx }
func (g *lease) Valid() bool              { return !g.broken.Load() }
func (g *lease) Epoch() int64             { return g.epoch }
func (g *lease) Woken() <-chan struct{}   { return g.woken }
func (g *lease) Release()                 { g.of.released <- g.epoch }

// epochs is an outbox that records the epochs of results.
type epochs struct {
	*hooktest.Outbox
	mu   sync.Mutex
	seen map[int64]int64 // by delivery
}

func (e *epochs) Settle(ctx context.Context, results []hooks.Result) (bool, error) {
	e.mu.Lock()
	for _, r := range results {
		e.seen[r.Delivery] = r.Epoch
	}
	e.mu.Unlock()
	return e.Outbox.Settle(ctx, results)
}

func (e *epochs) of(id int64) int64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.seen[id]
}

// TestLease checks that a hook delivers only while this server has its lease: what is in progress when the lease ends is
// finished and stored under its epoch before the lease is released, and what was not begun waits for the next lease.
func TestLease(t *testing.T) {
	receiver, outbox, rights := hooktest.NewReceiver(t), &epochs{Outbox: hooktest.NewOutbox(), seen: map[int64]int64{}}, newLeases()
	answer := make(chan struct{})
	receiver.Play(hooktest.Step{Wait: answer})
	hook := hookTo("crm", receiver.URL())
	hook.Concurrency, hook.Timeout = 1, 60e9
	var ids []int64
	for _, call := range []string{"1.1", "2.1", "3.1"} {
		ids = append(ids, outbox.Add(event(call, 1), "crm")...)
	}
	d := startShared(t, outbox, hooks.Shared{Leases: rights}, hook)
	d.Offer(&hooks.Delivery{ID: ids[0], Hook: "crm", Event: event("1.1", 1)}) // without a lease it stays in the outbox
	first := rights.grant(7)
	arrived(t, receiver, 1)
	first.end()
	close(answer)
	if epoch := <-rights.released; epoch != 7 {
		t.Errorf("the lease %d is released", epoch)
	}
	if n := outbox.Pending(); n != 2 || len(receiver.Requests()) != 1 || outbox.of(ids[0]) != 7 {
		t.Errorf("%d pending, %d requests, epoch %d: the attempt in progress and no other was to be finished", n, len(receiver.Requests()), outbox.of(ids[0]))
	}

	second := rights.grant(8)
	waitUntil(t, outbox.Outbox, func() bool { return outbox.Pending() == 0 })
	if outbox.of(ids[1]) != 8 || outbox.of(ids[2]) != 8 {
		t.Errorf("the epochs are %v", outbox.seen)
	}
	second.broken.Store(true)
	outbox.Add(event("4.1", 1), "crm")
	second.woken <- struct{}{}
	second.woken <- struct{}{} // the first one was taken: the hook has looked
	second.woken <- struct{}{}
	if n := outbox.Pending(); n != 1 {
		t.Errorf("%d pending: an attempt was made under a lease that may have ended", n)
	}
	second.broken.Store(false)
	waitUntil(t, outbox.Outbox, func() bool { return outbox.Pending() == 0 })
}
