package cache

import (
	"sync/atomic"
	"time"

	"ringhook/lookup"
)

const (
	// recentFor is how long an answer is given again without a look at the
	// file: so long it lasts until an answer that a tool has removed is gone.
	recentFor = 2 * time.Second
	// recentSlots is how many answers are at hand.
	recentSlots = 8192
)

// recent holds the answers that were read or given just now: a queue that rings its
// agents asks the same for each of them within a moment. Where two answers
// share a slot the later one has it.
type recent [recentSlots]atomic.Pointer[recentEntry]

type recentEntry struct {
	entry lookup.Entry
	until time.Time
}

func (r *recent) slot(id int64) *atomic.Pointer[recentEntry] {
	return &r[uint64(id)%recentSlots]
}

// holds tells whether a slot, which may be empty, answers for key now.
func (e *recentEntry) holds(key string, now time.Time) bool {
	return e != nil && e.entry.Key == key && now.Before(e.until) && now.Before(e.entry.Expires)
}

// clear forgets all of them.
func (r *recent) clear() {
	for i := range r {
		r[i].Store(nil)
	}
}
