// Package spooled describes what a node has accepted on its own disk for another store.
package spooled

import (
	"time"

	"ringhook/hooks"
)

// Group is what is spooled of the calls of one linkedid.
type Group struct {
	LinkedID string
	Calls    []Call
	Events   []Event // in the order in which they were accepted
	Values   []Value
}

// Call is the state of a call.
type Call struct {
	Key     string // see dialplan.Identity
	State   []byte
	Version int64 // of the stored state that State replaces in the other store, see dialplan.Lineage
}

// Event is an event with its deliveries.
type Event struct {
	hooks.Event
	LinkedID   string // under which it is stored
	Row        int64  // of the spool
	Call       string // the key of the call whose state has it; empty if that is not spooled
	Accepted   time.Time
	Deliveries []Delivery
}

// Delivery is a delivery with what became of it.
type Delivery struct {
	Route    hooks.Route
	State    hooks.State
	Attempts int
	Begun    time.Time // from when on its time to be given up counts; zero: since the event was accepted
	Finished time.Time // zero if it is pending
	Last     hooks.Attempt
}

// Tried reports whether anything was attempted, or an end is known.
func (d *Delivery) Tried() bool { return d.State != hooks.Pending || d.Attempts > 0 }

// Value is a value of an answer, for later deliveries of the same hook and call.
type Value struct{ Hook, Call, Name, Text string }

// Received reports whether a receiver has the event.
func (e *Event) Received() bool {
	for i := range e.Deliveries {
		if e.Deliveries[i].State == hooks.Delivered {
			return true
		}
	}
	return false
}
