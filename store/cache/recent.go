package cache

import (
	"bytes"
	"strings"
	"sync/atomic"
	"time"

	"ringhook/lookup"
)

const (
	// recentFor is the time for which an answer is returned again without reading the
	// file. An answer that another process removed is gone after that.
	recentFor = 2 * time.Second
	// recentSlots is the maximum number of answers in memory, recentBytes of their bytes,
	// and recentEntryBytes of those of one.
	recentSlots      = 8192
	recentBytes      = 16 << 20
	recentEntryBytes = 8 << 10
)

// recent holds the answers that were read or stored last: a queue that rings its
// agents asks the same for each of them within a moment. If two answers share a
// slot, the later one has it. Sweep must be called now and then.
type recent struct {
	slots [recentSlots]atomic.Pointer[recentEntry]
	bytes atomic.Int64
}

type recentEntry struct {
	entry lookup.Entry
	until time.Time
}

func (e *recentEntry) size() int64 {
	if e == nil {
		return 0
	}
	return int64(len(e.entry.Key) + len(e.entry.Lookup) + len(e.entry.Number) + len(e.entry.Vars))
}

// answers reports whether an entry, which may be nil, answers for key now.
func (e *recentEntry) answers(key string, now time.Time) bool {
	return e != nil && e.entry.Key == key && now.Before(e.until) && now.Before(e.entry.Expires)
}

func (r *recent) slot(id int64) *atomic.Pointer[recentEntry] { return &r.slots[uint64(id)%recentSlots] }

// swap puts an entry in place of before, unless the slot has another by now. An entry
// that is too large, or for which there is no room, leaves the slot empty.
func (r *recent) swap(slot *atomic.Pointer[recentEntry], before *recentEntry, e lookup.Entry, until time.Time) {
	after := &recentEntry{e, until}
	if size := after.size(); size > recentEntryBytes || r.bytes.Load()+size > recentBytes {
		after = nil
	}
	if slot.CompareAndSwap(before, after) {
		r.bytes.Add(after.size() - before.size())
	}
}

// sweep drops expired answers.
func (r *recent) sweep(now time.Time) {
	for i := range r.slots {
		if e := r.slots[i].Load(); e != nil && !e.answers(e.entry.Key, now) && r.slots[i].CompareAndSwap(e, nil) {
			r.bytes.Add(-e.size())
		}
	}
}

// clear drops everything.
func (r *recent) clear() {
	for i := range r.slots {
		r.bytes.Add(-r.slots[i].Swap(nil).size())
	}
}

// owned returns an entry that shares no memory with another: a value that was cut
// out of an answer must not keep all of the answer in memory.
func owned(e lookup.Entry) lookup.Entry {
	e.Key, e.Lookup, e.Number = strings.Clone(e.Key), strings.Clone(e.Lookup), strings.Clone(e.Number)
	e.Vars = bytes.Clone(e.Vars)
	return e
}
