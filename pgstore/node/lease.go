package node

import (
	"context"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"ringhook/hooks"
)

// The names of leases that are not those of hooks, whose names have no blanks.
const (
	Upkeep    = " upkeep"     // of the tables
	IdleCalls = " idle calls" // of which nothing was heard for long
)

// OfHook reports whether a name is that of a hook.
func OfHook(name string) bool { return !strings.HasPrefix(name, " ") }

// Lease is the right to do some work alone.
type Lease struct {
	m       *Member
	name    string
	epoch   int64
	ctx     context.Context
	cancel  context.CancelFunc
	renewed atomic.Pointer[time.Time] // when the node asked for it; the zero time after it was lost
	woken   chan struct{}
}

// work is something for which a lease is wanted or held.
type work struct {
	ctx     context.Context  // of Acquire
	granted chan hooks.Lease // nil after the lease was granted
	lease   *Lease           // nil if another node has it
}

// Acquire implements hooks.Leases. The name is that of a hook, or one of those above.
func (m *Member) Acquire(ctx context.Context, name string) hooks.Lease {
	if ctx.Err() != nil {
		return nil
	}
	granted := make(chan hooks.Lease, 1)
	w := &work{ctx: ctx, granted: granted}
	m.mu.Lock()
	m.works[name] = w
	m.mu.Unlock()
	m.kick()
	select {
	case l := <-granted:
		return l
	case <-ctx.Done():
	}
	m.mu.Lock()
	if m.works[name] == w && w.lease == nil {
		delete(m.works, name)
	}
	m.mu.Unlock()
	m.kick()
	select {
	case l := <-granted:
		l.Release()
	default:
	}
	return nil
}

// grant hands a lease to what waits for it. The caller holds mu.
func (m *Member) grant(name string, epoch int64, at time.Time) {
	l := &Lease{m: m, name: name, epoch: epoch, woken: make(chan struct{}, 1)}
	w := m.works[name]
	if w == nil || w.granted == nil { // it was wanted when the engine was asked
		m.returned = append(m.returned, l)
		m.kick()
		return
	}
	l.ctx, l.cancel = context.WithCancel(w.ctx)
	l.renewed.Store(&at)
	w.lease = l
	w.granted <- l
	w.granted = nil
}

// Context implements hooks.Lease.
func (l *Lease) Context() context.Context { return l.ctx }

// Valid implements hooks.Lease. It is false while the node has not reached the engine for so long that the lease may end
// before something that begins now.
func (l *Lease) Valid() bool {
	return l.m.now().Sub(*l.renewed.Load()) < useFor
}

// Epoch implements hooks.Lease.
func (l *Lease) Epoch() int64 { return l.epoch }

// Woken implements hooks.Lease.
func (l *Lease) Woken() <-chan struct{} { return l.woken }

// Release implements hooks.Lease.
func (l *Lease) Release() {
	l.cancel()
	m := l.m
	m.mu.Lock()
	if w := m.works[l.name]; w != nil && w.lease == l {
		delete(m.works, l.name)
	} else if w != nil && w.lease == nil && w.granted == nil { // it was lost
		delete(m.works, l.name)
	}
	m.returned = append(m.returned, l)
	m.mu.Unlock()
	m.kick()
}

// Wake has the work for which this node has leases look for changes of others. Without names it wakes all.
func (m *Member) Wake(names ...string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(names) == 0 {
		for _, w := range m.works {
			w.wake()
		}
	}
	for _, name := range names {
		m.works[name].wake()
	}
}

func (w *work) wake() {
	if w == nil || w.lease == nil {
		return
	}
	select {
	case w.lease.woken <- struct{}{}:
	default:
	}
}

// Holds reports whether this node has a lease now.
func (m *Member) Holds(name string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	w := m.works[name]
	return w != nil && w.lease != nil && w.lease.Valid()
}

// Epoch returns that of a lease which this node has, -1 if it has none.
func (m *Member) Epoch(name string) int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	if w := m.works[name]; w != nil && w.lease != nil {
		return w.lease.epoch
	}
	return -1
}

// Held returns the names of this node's leases of hooks.
func (m *Member) Held() (names []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for name, w := range m.works {
		if w.lease != nil && OfHook(name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// assign returns which node is to have each lease that is wanted. holders are the nodes that have one now. A lease stays
// where it is unless another node has two fewer. All nodes come to the same result.
func assign(live []Node, holders map[string]string) map[string]string {
	wanting := map[string][]string{} // nodes by lease, in the order of their names
	count := map[string]int{}
	for i := range live {
		for _, name := range live[i].wants {
			wanting[name] = append(wanting[name], live[i].Name)
		}
	}
	names := make([]string, 0, len(wanting))
	for name := range wanting {
		names = append(names, name)
	}
	slices.Sort(names)
	to := make(map[string]string, len(names))
	for _, name := range names {
		if node := holders[name]; slices.Contains(wanting[name], node) {
			to[name] = node
			count[node]++
		}
	}
	least := func(name string) string {
		return slices.MinFunc(wanting[name], func(a, b string) int { return count[a] - count[b] })
	}
	for _, name := range names {
		if to[name] == "" {
			to[name] = least(name)
			count[to[name]]++
		}
	}
	for moved := true; moved; {
		moved = false
		for _, name := range names {
			if from, node := to[name], least(name); count[from]-count[node] >= 2 {
				to[name] = node
				count[from]--
				count[node]++
				moved = true
			}
		}
	}
	return to
}
