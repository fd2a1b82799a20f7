// Package lookup finds out who is calling: it asks the configured sources
// under the call's deadline, and keeps their answers in a cache.
//
// It guarantees that no question outlives its caller's deadline, whatever a
// source does; that equal questions at one moment are one request; that an
// answer which comes too late still fills the cache; and that the requests
// under way to a source are bounded.
package lookup

import (
	"time"

	"ringhook/lookup/answer"
)

// Outcome is how a question ended.
type Outcome string

// The outcomes, which are RINGHOOK_STATUS in capitals.
const (
	Found   Outcome = "found"
	Missing Outcome = "missing" // the source knows nobody by this number
	Stale   Outcome = "stale"   // from the cache, past its time, because the source failed or was late
	Timeout Outcome = "timeout"
	Failed  Outcome = "error"
)

// Question is one call's wish to know its caller.
type Question struct {
	Point  string
	Number string // E.164, or as it came where it cannot be told; it is %callerid%
	// Param gives the call's other parameters, for %name%. It is called
	// within Ask only.
	Param    func(name string) string
	Deadline time.Time // none when zero
}

// Var is a variable that a source answered, still as the source wrote it.
type Var = answer.Var

// Answer is what the sources knew. Among its variables are always match, which
// is exact, national, suffix, ambiguous or none, and match_count, where a source
// answered at all. Callers with equal questions share the variables, which
// must not be changed.
type Answer struct {
	Outcome Outcome
	Vars    []Var
	Source  string // name of the lookup that gave it
	Cached  bool
}

// Entry is a cached answer.
type Entry struct {
	Key     string // of the question: a digest of the lookup and its rendered request
	Lookup  string
	Number  string
	Missing bool
	Vars    []byte    // as the room encodes them
	Asked   time.Time // when the source was asked
	Stored  time.Time // when the source gave it
	Expires time.Time // after which nobody may use it any more
}

// Cache keeps answers. It never makes a call fail: where it cannot read, it
// says that it has nothing.
type Cache interface {
	// Get finds an entry; it does not wait for writers.
	Get(key string) (Entry, bool)
	// Put keeps an entry, later and in the background.
	Put(Entry)
}
