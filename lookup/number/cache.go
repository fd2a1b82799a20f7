package number

import (
	"hash/maphash"
	"strings"
	"sync/atomic"
)

// readNumbers keeps numbers that were read recently: each point of a call
// has the same caller, and reading one takes longer than all the rest of a
// session. Of two numbers with one slot the later one has it.
type readNumbers struct {
	seed  maphash.Seed
	slots [1 << 15]atomic.Pointer[readNumber]
}

type readNumber struct {
	raw    string
	number Number
}

// get returns what raw was read as, or reads it.
func (r *readNumbers) get(raw string, read func(raw string) Number) Number {
	slot := &r.slots[maphash.String(r.seed, raw)%uint64(len(r.slots))]
	if known := slot.Load(); known != nil && known.raw == raw {
		return known.number
	}
	raw = strings.Clone(raw) // it may be a part of something large
	known := &readNumber{raw, read(raw)}
	slot.Store(known)
	return known.number
}
