package dialplan

import (
	"container/list"
	"errors"
	"sync"
	"time"
)

// maxLive is how many calls are kept at hand. The others are read from the
// journal again when they are heard of.
const maxLive = 4096

// errCallBusy says that other points of the same call took too long.
var errCallBusy = errors.New("the call's other points are not done in time")

// registry keeps the calls at hand and lets one point of a call at a time
// have its turn, until what it did is committed: so a call's events have one
// order, and a report that overlaps with another sees what that one told.
type registry struct {
	journal Journal
	mu      sync.Mutex
	entries map[string]*entry // guarded by mu
	idle    *list.List        // of entries nobody uses, the longest unused first; guarded by mu
}

// entry is a call's place in the registry. Its holder alone may touch call,
// which is nil until it is read from the journal.
type entry struct {
	linkedid string
	call     *call
	lock     chan struct{}
	users    int           // holders and those who wait; guarded by the registry's mu
	idle     *list.Element // guarded by the registry's mu
}

func newRegistry(journal Journal) *registry {
	return &registry{journal: journal, entries: map[string]*entry{}, idle: list.New()}
}

// acquire waits for the call's turn, and reads the call where it is not at hand.
// An error other than errCallBusy comes with a new call in the entry: the journal
// cannot be read.
func (r *registry) acquire(linkedid string, now, deadline time.Time) (*entry, error) {
	e := r.enter(linkedid)
	select {
	case e.lock <- struct{}{}:
	default:
		timer := time.NewTimer(time.Until(deadline))
		defer timer.Stop()
		select {
		case e.lock <- struct{}{}:
		case <-timer.C:
			r.leave(e)
			return nil, errCallBusy
		}
	}
	if e.call != nil {
		return e, nil
	}
	state, err := r.journal.Call(linkedid)
	if err == nil && state != nil {
		e.call, err = decodeCall(state)
	}
	if e.call == nil || err != nil {
		e.call = newCall(linkedid, now)
	}
	return e, err
}

// release ends a turn. A call whose step was not kept is forgotten, so that the
// next turn begins from what was.
func (r *registry) release(e *entry, kept bool) {
	if !kept {
		e.call = nil
	}
	<-e.lock
	r.leave(e)
}

func (r *registry) enter(linkedid string) *entry {
	r.mu.Lock()
	defer r.mu.Unlock()
	e := r.entries[linkedid]
	if e == nil {
		e = &entry{linkedid: linkedid, lock: make(chan struct{}, 1)}
		r.entries[linkedid] = e
	}
	if e.idle != nil {
		r.idle.Remove(e.idle)
		e.idle = nil
	}
	e.users++
	return e
}

func (r *registry) leave(e *entry) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if e.users--; e.users > 0 {
		return
	}
	e.idle = r.idle.PushBack(e)
	for r.idle.Len() > maxLive {
		oldest := r.idle.Remove(r.idle.Front()).(*entry)
		delete(r.entries, oldest.linkedid)
	}
}
