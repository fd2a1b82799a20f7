// Package hooktest holds what tests of deliveries need: a receiver that plays a
// script over real HTTP, and an outbox in memory.
package hooktest

import (
	"container/heap"
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"ringhook/hooks"
)

// Outbox is a hooks.Outbox in memory. It outlives the dispatchers that use it,
// as a file would.
type Outbox struct {
	// Now is the clock, time.Now by default. It must not be changed in use.
	Now func() time.Time

	mu      sync.Mutex
	rows    map[int64]*Row
	last    int64
	pending int
	hooks   map[string]*queue
	stands  map[string]hooks.HookState
	memory  map[[2]string]map[string]string // by hook and call
	err     error
	hurry   bool
	done    chan struct{} // closed and renewed when results are stored
}

// Row is a delivery with what became of it.
type Row struct {
	hooks.Delivery
	State    hooks.State
	Next     time.Time
	Attempts []hooks.Attempt

	key string // the deliveries of one are sent in order
	at  int    // in the heap, where it is in one
}

// queue holds one hook's pending deliveries.
type queue struct {
	lanes map[string][]*Row // by key, in order of acceptance
	heads heads             // the first of each lane
}

// NewOutbox makes an empty outbox.
func NewOutbox() *Outbox {
	return &Outbox{Now: time.Now, rows: make(map[int64]*Row), hooks: make(map[string]*queue), stands: make(map[string]hooks.HookState), memory: make(map[[2]string]map[string]string), done: make(chan struct{})}
}

// Add accepts an event for hooks now, in the order of its call, and returns the ids of its deliveries.
func (o *Outbox) Add(ev hooks.Event, to ...string) (ids []int64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, hook := range to {
		ids = append(ids, o.add(ev, hooks.Route{Hook: hook, Key: ev.LinkedID}))
	}
	return ids
}

func (o *Outbox) add(ev hooks.Event, to hooks.Route) (id int64) {
	now := o.Now()
	o.last++
	row := &Row{Delivery: hooks.Delivery{ID: o.last, Hook: to.Hook, Event: ev, Accepted: now}, Next: now, key: to.Key}
	o.rows[row.ID] = row
	o.pending++
	q := o.hooks[to.Hook]
	if q == nil {
		q = &queue{lanes: make(map[string][]*Row)}
		o.hooks[to.Hook] = q
	}
	q.lanes[to.Key] = append(q.lanes[to.Key], row)
	if len(q.lanes[to.Key]) == 1 {
		heap.Push(&q.heads, row)
	}
	return row.ID
}

// Due implements hooks.Outbox.
func (o *Outbox) Due(hook string, now time.Time, limit int, underWay ...int64) ([]hooks.Delivery, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.err != nil {
		return nil, o.err
	}
	q := o.hooks[hook]
	if q == nil {
		return nil, nil
	}
	var taken []*Row
	var due []hooks.Delivery
	for len(due) < limit && len(q.heads) > 0 && !q.heads[0].Next.After(now) {
		row := heap.Pop(&q.heads).(*Row)
		taken = append(taken, row)
		if slices.Contains(underWay, row.ID) {
			continue
		}
		due = append(due, row.Delivery)
		due[len(due)-1].Attempts = len(row.Attempts)
	}
	for _, row := range taken {
		heap.Push(&q.heads, row)
	}
	return due, nil
}

// Next implements hooks.Outbox.
func (o *Outbox) Next(hook string) (time.Time, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	q := o.hooks[hook]
	if o.err != nil || q == nil || len(q.heads) == 0 {
		return time.Time{}, o.err
	}
	return q.heads[0].Next, nil
}

// IsPending implements hooks.Outbox.
func (o *Outbox) IsPending(id int64) (bool, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	row := o.rows[id]
	return row != nil && row.State == hooks.Pending, o.err
}

// Settle implements hooks.Outbox.
func (o *Outbox) Settle(ctx context.Context, results []hooks.Result) (released bool, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.err != nil {
		return false, o.err
	}
	if err := ctx.Err(); err != nil {
		return false, err
	}
	for _, r := range results {
		row := o.rows[r.Delivery]
		if row.State != hooks.Pending {
			continue // it was dropped meanwhile
		}
		if !r.Attempt.Started.IsZero() { // else it is only moved
			row.Attempts = append(row.Attempts, r.Attempt)
		}
		row.State = r.State
		if of := [2]string{row.Hook, r.Call}; len(r.Values) > 0 {
			if o.memory[of] == nil {
				o.memory[of] = make(map[string]string)
			}
			maps.Copy(o.memory[of], r.Values)
		}
		q := o.hooks[row.Hook]
		if r.State == hooks.Pending {
			row.Next = r.Next
			if o.hurry {
				row.Next = o.Now()
			}
			heap.Fix(&q.heads, row.at)
			continue
		}
		o.pending--
		heap.Remove(&q.heads, row.at)
		q.lanes[row.key] = q.lanes[row.key][1:]
		if lane := q.lanes[row.key]; len(lane) > 0 {
			next := lane[0]
			next.Next = o.Now()
			heap.Push(&q.heads, next)
			released = true
		} else {
			delete(q.lanes, row.key)
		}
	}
	close(o.done)
	o.done = make(chan struct{})
	return released, nil
}

// Remembered implements hooks.Outbox.
func (o *Outbox) Remembered(hook, call string) (map[string]string, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return maps.Clone(o.memory[[2]string{hook, call}]), o.err
}

// State implements hooks.Outbox.
func (o *Outbox) State(hook string) (hooks.HookState, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.stands[hook], o.err
}

// SetState implements hooks.Outbox.
func (o *Outbox) SetState(ctx context.Context, st hooks.HookState, notice *hooks.Event, routes []hooks.Route) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.err != nil {
		return o.err
	}
	o.stands[st.Hook] = st
	if notice != nil {
		for _, r := range routes {
			o.add(*notice, r)
		}
	}
	return ctx.Err()
}

// Drop drops a delivery, as an operator does.
func (o *Outbox) Drop(id int64) {
	if _, err := o.Settle(context.Background(), []hooks.Result{{Delivery: id, State: hooks.Dropped}}); err != nil {
		panic(err) // only after Fail
	}
}

// Enable forgets that a hook is disabled, as an operator does.
func (o *Outbox) Enable(hook string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.stands, hook)
}

// Open makes a paused hook be attempted, as an operator does.
func (o *Outbox) Open(hook string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	st := o.stands[hook]
	st.Until = time.Time{}
	o.stands[hook] = st
}

// Fail makes every operation fail with err from now on, until it is called
// with nil.
func (o *Outbox) Fail(err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.err = err
}

// Hurry makes failed deliveries due again at once from now on, whatever their
// results say.
func (o *Outbox) Hurry() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.hurry = true
}

// Row returns a copy of a delivery's row.
func (o *Outbox) Row(id int64) Row {
	o.mu.Lock()
	defer o.mu.Unlock()
	row := *o.rows[id]
	row.Attempts = slices.Clone(row.Attempts)
	return row
}

// Last returns the highest id of a delivery.
func (o *Outbox) Last() int64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.last
}

// Pending counts the deliveries that wait, those of every hook.
func (o *Outbox) Pending() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.pending
}

// WaitUntil returns when ok returns true. It calls ok again each time that results
// are stored.
func (o *Outbox) WaitUntil(ctx context.Context, ok func() bool) error {
	for {
		o.mu.Lock()
		done := o.done
		o.mu.Unlock()
		if ok() {
			return nil
		}
		select {
		case <-done:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// heads is a heap.Interface, the longest due first.
type heads []*Row

// Len implements heap.Interface.
func (h heads) Len() int { return len(h) }

// Less implements heap.Interface.
func (h heads) Less(i, j int) bool {
	if !h[i].Next.Equal(h[j].Next) {
		return h[i].Next.Before(h[j].Next)
	}
	return h[i].ID < h[j].ID
}

// Swap implements heap.Interface.
func (h heads) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].at, h[j].at = i, j
}

// Push implements heap.Interface.
func (h *heads) Push(x any) {
	row := x.(*Row)
	row.at = len(*h)
	*h = append(*h, row)
}

// Pop implements heap.Interface.
func (h *heads) Pop() any {
	old := *h
	row := old[len(old)-1]
	*h = old[:len(old)-1]
	return row
}
