// Package figures computes the figures of the day, per queue and agent, from the calls that are kept.
//
// A Book reads only the calls that changed since it last read, and holds a few bytes of each call of the
// day, so that a change of a call replaces what was counted of it.
package figures

import (
	"cmp"
	"fmt"
	"hash/maphash"
	"log/slog"
	"slices"
	"sync"
	"time"

	"ringhook/dialplan/kept"
	"ringhook/store/browse"
)

const (
	// Step is the width of a bar of the plots.
	Step = 15 * time.Minute
	// Bars is the number of bars, the last one not over yet.
	Bars = 32
	// overlap is the time span that is read again, because a commit can be later than the time it notes.
	overlap = 30 * time.Second
	// maxCalls is the maximum number of calls whose changes are followed. What was counted of older ones stays.
	maxCalls = 200_000
	// maxOpen is the maximum number of calls that go on.
	maxOpen = 20_000
	// maxNames is the maximum number of queues, and of phones.
	maxNames = 10_000
)

// Source reads the calls that are kept.
type Source interface {
	// CallsSince calls f with every call that has a record since a time, until f returns false.
	CallsSince(since time.Time, f func(browse.HeldCall) (more bool)) error
}

// Book holds the figures of the day. Its methods may be called concurrently.
type Book struct {
	source Source
	log    *slog.Logger
	now    func() time.Time
	seed   maphash.Seed
	most   int // maxCalls, but in a test

	mu      sync.Mutex
	level   time.Duration // of the service level
	read    time.Time     // the calls are read until then; zero if none were
	start   time.Time     // what began earlier is not counted
	calls   map[uint64]entry
	order   []uint64  // keys of calls, the longest known first
	dropped time.Time // calls that began until then, and are not in calls, are not followed any more
	open    map[uint64]*Open
	queues  names
	phones  names
	cells   map[cellKey]*counts
	agents  map[agentKey]*AgentCounts
	talked  map[talkKey]int64 // seconds
	broken  int               // calls that cannot be read
}

// entry is what was counted of a call.
type entry struct {
	seen  time.Time
	parts []part
}

// Open is a call that goes on.
type Open struct {
	kept.Call
	Seen time.Time
}

// cellKey is a queue in a bar of the plots.
type cellKey struct {
	queue uint16
	bar   int32 // Steps since 1970
}

// agentKey is a phone in a queue on a day.
type agentKey struct {
	phone, queue uint16
	day          int32 // local days since 1970
}

// talkKey is a phone in a queue on a day, on which a talk may have lasted since the day before.
type talkKey struct {
	phone, queue uint16
	day          int32
}

// New returns an empty book.
func New(source Source, level time.Duration, log *slog.Logger) *Book {
	b := &Book{source: source, log: log, now: time.Now, seed: maphash.MakeSeed(), most: maxCalls, level: level}
	b.reset()
	return b
}

func (b *Book) reset() {
	b.read, b.start, b.dropped = time.Time{}, time.Time{}, time.Time{}
	b.calls, b.open, b.order = map[uint64]entry{}, map[uint64]*Open{}, nil
	b.cells, b.agents, b.talked = map[cellKey]*counts{}, map[agentKey]*AgentCounts{}, map[talkKey]int64{}
	b.queues, b.phones, b.broken = newNames(), newNames(), 0
}

// SetLevel sets the time within which a call is to be answered. A change reads all calls of the day again.
func (b *Book) SetLevel(level time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if level != b.level {
		b.level = level
		b.reset()
	}
}

// startOfDay returns the last midnight.
func startOfDay(t time.Time) time.Time {
	t = t.Local()
	return time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, time.Local)
}

// dayOf numbers local days.
func dayOf(t time.Time) int32 {
	t = t.Local()
	return int32(time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, time.UTC).Unix() / 86400)
}

func barOf(t time.Time) int32 { return int32(t.Unix() / int64(Step/time.Second)) }

// Update reads the calls that changed since the last Update.
func (b *Book) Update() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.now()
	start := startOfDay(now)
	if plots := now.Add(-(Bars - 1) * Step).Truncate(Step); plots.Before(start) {
		start = plots
	}
	if now.Before(b.read.Add(-overlap)) {
		b.reset() // the clock was set back
	}
	if b.start.After(start) {
		b.reset() // at midnight in a zone that changes its clock
	}
	b.start = start
	b.forget(now)
	from := b.read.Add(-overlap)
	if from.Before(start) {
		from = start
	}
	if err := b.source.CallsSince(from, func(c browse.HeldCall) bool {
		b.take(&c)
		return true
	}); err != nil {
		return fmt.Errorf("read the calls of the day: %w", err)
	}
	b.read = now
	return nil
}

// forget removes what is older than the figures reach.
func (b *Book) forget(now time.Time) {
	first, today := barOf(b.start), dayOf(now)
	for k := range b.cells {
		if k.bar < first {
			delete(b.cells, k)
		}
	}
	for k := range b.agents {
		if k.day < today {
			delete(b.agents, k)
		}
	}
	for k := range b.talked {
		if k.day < today {
			delete(b.talked, k)
		}
	}
	for id, o := range b.open {
		if o.Seen.Before(b.start) {
			delete(b.open, id)
		}
	}
	for len(b.order) > 0 {
		e, have := b.calls[b.order[0]]
		if have && !e.seen.Before(b.start) {
			break
		}
		delete(b.calls, b.order[0])
		b.order = b.order[1:]
	}
}

// take counts a call in place of what was counted of it before.
func (b *Book) take(held *browse.HeldCall) {
	id := maphash.String(b.seed, held.Key)
	before, have := b.calls[id]
	if have && before.seen.Equal(held.Seen) {
		return
	}
	c, err := kept.DecodeTimes(held.State)
	if err == nil && c.Ended.IsZero() {
		c, err = kept.Decode(held.State) // the live page shows who calls
	}
	if err != nil {
		b.broken++
		return
	}
	if !have && !b.read.IsZero() && !c.Began.After(b.dropped) {
		return
	}
	b.count(before.parts, -1)
	e := entry{seen: held.Seen, parts: b.partsOf(c)}
	b.count(e.parts, +1)
	b.calls[id] = e
	if !have {
		b.order = append(b.order, id)
		for len(b.order) > b.most {
			b.drop(b.order[0])
			b.order = b.order[1:]
		}
	}
	switch {
	case !c.Ended.IsZero():
		delete(b.open, id)
	case len(b.open) < maxOpen || b.open[id] != nil:
		b.open[id] = &Open{*c, held.Seen}
	}
}

// drop stops following a call.
func (b *Book) drop(id uint64) {
	if e := b.calls[id]; e.seen.After(b.dropped) {
		b.dropped = e.seen
	}
	delete(b.calls, id)
	delete(b.open, id)
}

// names numbers names.
type names struct {
	list []string
	at   map[string]uint16
}

func newNames() names { return names{at: map[string]uint16{}} }

// of returns the number of a name; false if there are too many.
func (n *names) of(name string) (uint16, bool) {
	if i, ok := n.at[name]; ok {
		return i, true
	}
	if len(n.list) >= maxNames || len(name) > 128 {
		return 0, false
	}
	i := uint16(len(n.list))
	n.list = append(n.list, name)
	n.at[name] = i
	return i, true
}

// OpenCalls returns the calls that go on, the earliest first. They must not be changed.
func (b *Book) OpenCalls() []*Open {
	b.mu.Lock()
	defer b.mu.Unlock()
	list := make([]*Open, 0, len(b.open))
	for _, o := range b.open {
		list = append(list, o)
	}
	slices.SortFunc(list, func(x, y *Open) int { return cmp.Or(x.Began.Compare(y.Began), cmp.Compare(x.LinkedID, y.LinkedID)) })
	return list
}
