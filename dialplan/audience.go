package dialplan

import (
	"ringhook/hooks"
	"ringhook/lookup"
)

// Audience hears of events when they are made, before they are stored: screen pops cannot wait for a
// disk.
type Audience interface {
	// Heard is called while the call is locked, in the order of the call's events, so it must not
	// wait. Looked is what the lookups of the call found until then: found, several, not-found, error,
	// pending (no answer in time), or empty if none was asked. The event must not be changed. If another
	// server has changed the call meanwhile, the event may turn out to be a different one, which is heard too.
	Heard(ev *hooks.Event, looked string)
}

// What the lookups of a call found.
const (
	lookedFound    = "found"
	lookedSeveral  = "several"
	lookedNotFound = "not-found"
	lookedError    = "error"
	lookedPending  = "pending"
)

var lookedBy = map[lookup.Outcome]string{
	lookup.Found: lookedFound, lookup.Stale: lookedFound, lookup.Missing: lookedNotFound, lookup.Failed: lookedError, lookup.Timeout: lookedPending,
}

// Looked returns what an outcome means for an Audience, with the number of customers that were found.
func Looked(o lookup.Outcome, matches int64) string {
	if looked := lookedBy[o]; looked != lookedFound || matches < 2 {
		return looked
	}
	return lookedSeveral
}

// look records what a lookup found. A customer who was found stays found, and a lookup that failed or has
// not answered changes nothing that is known.
func (c *call) look(o lookup.Outcome) {
	matches, _ := c.Known["match_count"].(int64)
	looked := Looked(o, matches)
	known := c.Looked == lookedFound || c.Looked == lookedSeveral
	if c.Looked == "" || looked == lookedFound || looked == lookedSeveral || looked == lookedNotFound && !known {
		c.Looked = looked
	}
}

// tell passes events of a call to the audience.
func (c *current) tell(events []hooks.Event, looked string) {
	if c.Audience == nil {
		return
	}
	for i := range events {
		c.Audience.Heard(&events[i], looked)
	}
}

// wanted returns the function that reports whether an event is worth making; nil if every one is.
func (c *current) wanted() func(event string) bool {
	if c.Audience != nil {
		return nil
	}
	return c.Hooks.Wants
}
