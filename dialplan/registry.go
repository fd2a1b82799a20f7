package dialplan

import (
	"container/list"
	"context"
	"errors"
	"hash/maphash"
	"slices"
	"strings"
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
	mu       sync.Mutex
	entries  map[string]*entry // by key; guarded by mu
	latest   map[string]*entry // of each linkedid, for points that do not know their Asterisk; guarded by mu
	expected *expected
	idle     *list.List // of entries without users, the longest unused first; guarded by mu
}

// entry is a call's place in the registry. Only the holder of the lock may use call and lineage.
type entry struct {
	id      Identity
	key     string
	call    *call    // nil until it is read from the journal
	lineage *Lineage // of the records built on call; nil until it is first read
	lock    chan struct{}
	last    atomic.Pointer[Commit] // of the latest record with events, until it is known to be kept or lost
	aside   bool                   // another call of the linkedid is the latest, so that this one leaves memory after its use; guarded by the registry's mu
	shared  bool                   // it became the latest instead of a call of another Asterisk; guarded by the registry's mu
	asked   []uint64               // hashes of the channels whose Asterisk was read; guarded by the registry's mu
	users   int                    // holders of the lock, and sessions that wait for it or for a commit; guarded by the registry's mu
	idle    *list.Element          // guarded by the registry's mu
}

func newRegistry(journal Journal) *registry {
	return &registry{journal: journal, entries: map[string]*entry{}, latest: map[string]*entry{}, expected: &expected{}, idle: list.New()}
}

// acquire locks the call, loading it from the journal if it is not in memory. If the journal
// cannot be read, the error comes with a locked entry that holds a new call; with
// any other error the entry is nil. An empty Asterisk is that of the latest call of the linkedid in memory,
// unless a call of an unknown Asterisk is there.
func (r *registry) acquire(id Identity, now, deadline time.Time) (*entry, error) {
	return r.lockEntry(r.enter(id, false), now, deadline)
}

// acquireExact is acquire for a whole identity: an empty Asterisk is not that of any call of the linkedid.
func (r *registry) acquireExact(id Identity, now, deadline time.Time) (*entry, error) {
	return r.lockEntry(r.enter(id, true), now, deadline)
}

// lockEntry locks the call of an entry, and loads it if necessary. Without the lock it leaves the entry.
func (r *registry) lockEntry(e *entry, now, deadline time.Time) (*entry, error) {
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
	if moved := e.lineage.Newer(); moved != nil {
		if c, err := decodeCall(moved.State); err == nil {
			e.call, e.lineage = c, NewLineage(moved.Version)
			return e, nil
		}
	}
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
	e.call = nil
	c, version, err := r.stored(e.id, deadline)
	e.lineage = NewLineage(version)
	if c == nil || err != nil {
		c = newCall(e.id, now)
		r.expected.meet(c)
	}
	e.call = c
	return e, err
}

// read returns the call of a key, nil if it is not known, and the version of its state.
func (r *registry) read(key string, deadline time.Time) (*call, int64, error) {
	state, version, err := r.journal.Call(key, deadline)
	if err != nil || state == nil {
		return nil, 0, err
	}
	c, err := decodeCall(state)
	return c, version, err
}

// unlock releases the lock. If the call's last change was not queued, the call is
// read again by the next point.
func (r *registry) unlock(e *entry, queued bool) {
	if !queued {
		e.call = nil
	}
	<-e.lock
}

// use adds a user to an entry that has one.
func (r *registry) use(e *entry) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e.users++
}

// ended forgets a commit as the entry's latest.
func (e *entry) ended(c Commit) {
	if last := e.last.Load(); last != nil && *last == c {
		e.last.CompareAndSwap(last, nil)
	}
}

// release unlocks the call and leaves its entry.
func (r *registry) release(e *entry, queued bool) {
	r.unlock(e, queued)
	r.leave(e)
}

// enter returns the entry of a call for one more user.
func (r *registry) enter(id Identity, exact bool) *entry {
	key := id.Key()
	r.mu.Lock()
	defer r.mu.Unlock()
	e := r.entries[key]
	latest := r.latest[id.LinkedID]
	if e == nil && id.Asterisk == "" && !exact {
		e = latest
	}
	if e == nil {
		// Points that do not know their Asterisk go on finding the latest call.
		aside := exact && id.Asterisk == "" && latest != nil
		e = &entry{id: id, key: key, lock: make(chan struct{}, 1), aside: aside}
		r.entries[key] = e
		// A twin is found through the call that it contradicted.
		if latest == nil || !aside && !strings.Contains(id.Asterisk, twinSeparator) {
			e.shared = latest != nil
			r.latest[id.LinkedID] = e
		}
	}
	if e.idle != nil {
		r.idle.Remove(e.idle)
		e.idle = nil
	}
	e.users++
	return e
}

// maxAsked is the maximum number of channels of a call that are remembered. The points of others read their Asterisk.
const maxAsked = 16

// channelSeed is that of the hashes of channels.
var channelSeed = maphash.MakeSeed()

// knows reports whether the latest call of a linkedid is that of a channel that does not name its Asterisk: the Asterisk of
// this very channel was read before, and no other Asterisk has a call of the linkedid. Callers without a number are not
// distinguished by it.
func (r *registry) knows(linkedid string, ch channel) bool {
	if ch.Caller == "" || ch.Caller == hiddenCaller {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	e := r.latest[linkedid]
	return e != nil && !e.shared && slices.Contains(e.asked, maphash.Comparable(channelSeed, ch))
}

// note remembers a channel whose Asterisk was read, see knows.
func (r *registry) note(e *entry, ch channel) {
	hash := maphash.Comparable(channelSeed, ch)
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(e.asked) < maxAsked && !slices.Contains(e.asked, hash) {
		e.asked = append(e.asked, hash)
	}
}

// knownAs returns the identity under which a call is in memory: without its Asterisk if no point of it knew that.
func (r *registry) knownAs(id Identity) Identity {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.entries[id.Key()] == nil {
		if e := r.latest[id.LinkedID]; e != nil && e.id.Asterisk == "" {
			return e.id
		}
	}
	return id
}

// has reports whether a call is in memory or stored.
func (r *registry) has(id Identity, deadline time.Time) (bool, error) {
	r.mu.Lock()
	e := r.entries[id.Key()]
	r.mu.Unlock()
	if e != nil {
		return true, nil
	}
	c, _, err := r.stored(id, deadline)
	return c != nil, err
}

// stored returns a call from the journal, nil if it is not known, and the version of its state.
func (r *registry) stored(id Identity, deadline time.Time) (*call, int64, error) {
	key := id.Key()
	c, version, err := r.read(key, deadline)
	if c == nil && err == nil && key != id.LinkedID && !strings.Contains(id.Asterisk, twinSeparator) {
		// The call began before an upgrade, or at a point that did not know its Asterisk.
		if c, version, err = r.read(id.LinkedID, deadline); c != nil && c.Asterisk != "" {
			c, version = nil, 0
		}
	}
	return c, version, err
}

// leave ends a session's use of an entry. An entry in use is never dropped, so that a
// call with a commit under way is not read from the journal too early.
func (r *registry) leave(e *entry) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if e.users--; e.users > 0 {
		return
	}
	if e.aside {
		delete(r.entries, e.key)
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
