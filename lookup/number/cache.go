package number

import (
	"hash/maphash"
	"strings"
	"sync/atomic"
)

// readNumbers remembers numbers that were read lately: each point of a call
// has the same caller, and to read one takes longer than all the rest of a
// session. Where two numbers share a slot the later one has it.
type readNumbers struct {
	seed  maphash.Seed
	slots [1 << 15]atomic.Pointer[readNumber]
}

type readNumber struct {
	raw    string
	number Number
}

// get gives what raw was read as, or has it read.
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
