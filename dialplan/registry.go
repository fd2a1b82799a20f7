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

// errTurn says that other points of the same call took too long.
var errTurn = errors.New("the call's other points are not done in time")

// registry keeps the calls at hand and lets one point of a call at a time
// have its turn, until what it did is committed: so a call's events have one
// order, and a report that overlaps with another sees what that one told.
type registry struct {
	journal Journal
	mu      sync.Mutex
	slots   map[string]*slot // guarded by mu
	idle    *list.List       // of slots nobody uses, the longest unused first; guarded by mu
}

// slot is a call's place in the registry. Its holder alone may touch call,
// which is nil until it is read from the journal.
type slot struct {
	linkedid string
	call     *call
	turn     chan struct{}
	users    int           // holders and those who wait; guarded by the registry's mu
	idle     *list.Element // guarded by the registry's mu
}

func newRegistry(journal Journal) *registry {
	return &registry{journal: journal, slots: map[string]*slot{}, idle: list.New()}
}

// take waits for the call's turn, and reads the call where it is not at hand.
// An error other than errTurn comes with a new call in the slot: the journal
// cannot be read.
func (r *registry) take(linkedid string, now, deadline time.Time) (*slot, error) {
	sl := r.enter(linkedid)
	select {
	case sl.turn <- struct{}{}:
	default:
		timer := time.NewTimer(time.Until(deadline))
		defer timer.Stop()
		select {
		case sl.turn <- struct{}{}:
		case <-timer.C:
			r.leave(sl)
			return nil, errTurn
		}
	}
	if sl.call != nil {
		return sl, nil
	}
	state, err := r.journal.Call(linkedid)
	if err == nil && state != nil {
		sl.call, err = decodeCall(state)
	}
	if sl.call == nil || err != nil {
		sl.call = newCall(linkedid, now)
	}
	return sl, err
}

// give ends a turn. A call whose step was not kept is forgotten, so that the
// next turn begins from what was.
func (r *registry) give(sl *slot, kept bool) {
	if !kept {
		sl.call = nil
	}
	<-sl.turn
	r.leave(sl)
}

func (r *registry) enter(linkedid string) *slot {
	r.mu.Lock()
	defer r.mu.Unlock()
	sl := r.slots[linkedid]
	if sl == nil {
		sl = &slot{linkedid: linkedid, turn: make(chan struct{}, 1)}
		r.slots[linkedid] = sl
	}
	if sl.idle != nil {
		r.idle.Remove(sl.idle)
		sl.idle = nil
	}
	sl.users++
	return sl
}

func (r *registry) leave(sl *slot) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if sl.users--; sl.users > 0 {
		return
	}
	sl.idle = r.idle.PushBack(sl)
	for r.idle.Len() > maxLive {
		oldest := r.idle.Remove(r.idle.Front()).(*slot)
		delete(r.slots, oldest.linkedid)
	}
}
