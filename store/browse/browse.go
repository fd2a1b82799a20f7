// Package browse is what operators choose and see of the deliveries that a store has.
package browse

import (
	"errors"
	"regexp"
	"time"

	"ringhook/hooks"
)

// ErrNotFound says that there is no delivery of that number.
var ErrNotFound = errors.New("no such delivery")

// ErrAway says that the engine of a store cannot be used now.
var ErrAway = errors.New("PostgreSQL cannot be used now")

// callUUID matches a call_uuid. A linkedid that a program chose may look like one.
var callUUID = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)

// EncodedCall returns what the stored text of each event of a call has, and no other: quotes within a value are escaped. It is
// empty if call cannot be a call_uuid.
func EncodedCall(call string) string {
	if !callUUID.MatchString(call) {
		return ""
	}
	return `"call_uuid":"` + call + `"`
}

// Filter selects deliveries: those that match every field that is set.
type Filter struct {
	Hook   string
	States []hooks.State
	Call   string    // a linkedid, which several Asterisks may have, or a call_uuid
	Since  time.Time // accepted then or later
	Until  time.Time // accepted before
	Limit  int       // maximum number; List returns at most 100 if it is 0, IDs all
}

// Item is a delivery as an operator sees it.
type Item struct {
	hooks.Delivery
	State    hooks.State
	Next     time.Time // of the next attempt; zero if none is planned
	Held     bool      // pending, and waiting for an earlier delivery of its key
	Finished time.Time // when it was delivered, dropped or became dead
	Class    string    // of the last attempt
	Status   int       // of HTTP, of the last attempt
	ReplayOf int64     // the delivery that this one repeats, 0 if it repeats none
	// Remembered are the values that answers left for the hook's deliveries of the call, by name. Only Show sets it.
	Remembered map[string]string
}

// HookCounts holds the numbers of a hook's deliveries.
type HookCounts struct {
	Hook    string
	Pending int
	Dead    int
	Oldest  time.Time // when the oldest pending delivery was accepted
	Removed time.Time // when the hook was first missing from the configuration; zero if it is there or was not checked yet
}

// KeepRemoved is the time for which deliveries wait for a hook that was removed from the
// configuration, so that a mistake can be corrected.
const KeepRemoved = 7 * 24 * time.Hour

// GivenUpAt returns when the pending deliveries of a removed hook become dead.
func (t *HookCounts) GivenUpAt(now time.Time) time.Time {
	if t.Removed.IsZero() {
		return now.Add(KeepRemoved)
	}
	return t.Removed.Add(KeepRemoved)
}
