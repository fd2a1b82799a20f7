package dialplan

import (
	"container/list"
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// maxLive is the number of calls kept in memory. Others are read from the journal
// when one of their points asks.
const maxLive = 4096

// errCallBusy reports that the call's other points did not release its lock in time.
var errCallBusy = errors.New("the call's other points are not done in time")

// registry holds the calls in memory, with a lock for each. A point holds the lock until its change is
// queued for the journal, which stores records in that order. So the events of a call are ordered,
// and concurrent points of a call share a commit.
type registry struct {
	journal interface {
		Calls
		Acceptor
	}
	mu      sync.Mutex
	entries map[string]*entry // by key; guarded by mu
	latest  map[string]*entry // of each linkedid, for points that do not know their Asterisk; guarded by mu
	idle    *list.List        // of entries without users, the longest unused first; guarded by mu
}

// entry is a call's place in the registry. Only the holder of the lock may use call and lineage.
type entry struct {
	id      Identity
	key     string
	call    *call    // nil until it is read from the journal
	lineage *Lineage // of the records built on call; nil until it is first read
	lock    chan struct{}
	last    atomic.Pointer[Commit] // of the latest record with events, until it is known to be kept or lost
	users   int                    // holders of the lock, and sessions that wait for it or for a commit; guarded by the registry's mu
	idle    *list.Element          // guarded by the registry's mu
}

func newRegistry(journal Journal) *registry {
	return &registry{journal: journal, entries: map[string]*entry{}, latest: map[string]*entry{}, idle: list.New()}
}

// acquire locks the call, loading it from the journal if it is not in memory. If the journal
// cannot be read, the error comes with a locked entry that holds a new call; with
// any other error the entry is nil.
func (r *registry) acquire(id Identity, now, deadline time.Time) (*entry, error) {
	e := r.enter(id)
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
	if e.call != nil && !e.lineage.Broken() {
		return e, nil
	}
	return r.load(e, now, deadline)
}

// load reads a locked call from the journal.
func (r *registry) load(e *entry, now, deadline time.Time) (*entry, error) {
	if e.lineage != nil {
		// Records queued before may change the call that is read.
		ctx, cancel := context.WithDeadline(context.Background(), deadline)
		defer cancel()
		if err := r.journal.Barrier(ctx); err != nil {
			r.unlock(e, false)
			r.leave(e)
			return nil, err
		}
	}
	e.call, e.lineage = nil, &Lineage{}
	c, err := r.read(e.key)
	if c == nil && err == nil && e.key != e.id.LinkedID {
		// The call began before an upgrade, or at a point that did not know its Asterisk.
		if c, err = r.read(e.id.LinkedID); c != nil && c.Asterisk != "" {
			c = nil
		}
	}
	if c == nil || err != nil {
		c = newCall(e.id, now)
	}
	e.call = c
	return e, err
}

// read returns the call of a key, nil if it is not known.
func (r *registry) read(key string) (*call, error) {
	state, err := r.journal.Call(key)
	if err != nil || state == nil {
		return nil, err
	}
	return decodeCall(state)
}

// unlock releases the lock. If the call's last change was not queued, the call is
// read again by the next point.
func (r *registry) unlock(e *entry, queued bool) {
	if !queued {
		e.call = nil
	}
	<-e.lock
}

// release unlocks the call and leaves its entry.
func (r *registry) release(e *entry, queued bool) {
	r.unlock(e, queued)
	r.leave(e)
}

func (r *registry) enter(id Identity) *entry {
	key := id.Key()
	r.mu.Lock()
	defer r.mu.Unlock()
	e := r.entries[key]
	if e == nil && id.Asterisk == "" {
		e = r.latest[id.LinkedID]
	}
	if e == nil {
		e = &entry{id: id, key: key, lock: make(chan struct{}, 1)}
		r.entries[key], r.latest[id.LinkedID] = e, e
	}
	if e.idle != nil {
		r.idle.Remove(e.idle)
		e.idle = nil
	}
	e.users++
	return e
}

// knows reports whether a call of a linkedid is in memory.
func (r *registry) knows(linkedid string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.latest[linkedid] != nil
}

// leave ends a session's use of an entry. An entry in use is never dropped, so that a
// call with a commit under way is not read from the journal too early.
func (r *registry) leave(e *entry) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if e.users--; e.users > 0 {
		return
	}
	e.idle = r.idle.PushBack(e)
	for r.idle.Len() > maxLive {
		oldest := r.idle.Remove(r.idle.Front()).(*entry)
		delete(r.entries, oldest.key)
		if r.latest[oldest.id.LinkedID] == oldest {
			delete(r.latest, oldest.id.LinkedID)
		}
	}
}
