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
	Missing Outcome = "missing" // the source knows no customer with this number
	Stale   Outcome = "stale"   // from the cache, past its time, because the source failed or was late
	Timeout Outcome = "timeout"
	Failed  Outcome = "error"
)

// Question is one call's question who is calling.
type Question struct {
	Point  string
	Number string // E.164, or as it came if that is not known; it is %callerid%
	// Param returns the call's other parameters, for %name%. It is called
	// within Ask only.
	Param    func(name string) string
	Deadline time.Time // none if zero
}

// Var is a variable that a source answered, still as the source wrote it.
type Var = answer.Var

// Answer is what the sources know. If a source answered, its variables include
// match, which is exact, national, suffix, ambiguous or none, and match_count.
// Calls with equal questions share the variables, which must not be changed.
type Answer struct {
	Outcome Outcome
	Vars    []Var
	Source  string // name of the lookup whose answer it is
	Cached  bool
}

// Entry is a cached answer.
type Entry struct {
	Key     string // of the question: a digest of the lookup and its rendered request
	Lookup  string
	Number  string
	Missing bool
	Vars    []byte    // as encodeVars encodes them
	Asked   time.Time // when the source was asked
	Stored  time.Time // when the source answered
	Expires time.Time // after which it may not be used any more
}

// Cache keeps answers. It never makes a call fail: if it cannot read, it has
// nothing.
type Cache interface {
	// Get finds an entry; it does not wait for writers.
	Get(key string) (Entry, bool)
	// Put keeps an entry, later and in the background.
	Put(Entry)
}
