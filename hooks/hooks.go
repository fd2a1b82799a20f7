// Package hooks tells every system that wants to know about a call: it
// matches events with subscriptions, renders them and delivers them at least
// once, in order within a call, from an outbox that survives a restart.
//
// What a receiver can rely on: every event that was accepted comes, or is kept
// as dead when its time is over. It may come more than once, and then with the
// same webhook-id, which is its event_id. An event of a call is sent only when
// the one before it has been delivered or given up, or has failed for longer
// than order_hold; between calls there is no order, unless the hook says so. Any 2xx takes an event; 410 ends the subscription; a Retry-After is
// heard; a redirect is never followed. What is signed is the body, as it is
// sent: the query of a GET is not covered.
package hooks

import (
	"context"
	"slices"
	"strconv"
	"time"
)

// Event is what happened at a point, with the call's parameters as they
// stood.
type Event struct {
	ID       string // the same for the same point of the same call, always
	Name     string
	LinkedID string
	Seq      int
	Final    bool
	Time     time.Time
	// Params holds every parameter that has a value, those above among them, by its name in the contract; the values are
	// string, int64 or bool.
	Params map[string]any
}

// Route says that a hook wants an event, and in which order it gets it.
type Route struct {
	Hook string
	// Key is what order is kept within: a delivery waits for those of the same hook
	// and key that were accepted before it.
	Key string
	// Hold is how long one that fails holds up those behind it.
	Hold time.Duration
}

// Delivery is one event for one hook, as the outbox holds it.
type Delivery struct {
	ID       int64
	Hook     string
	Event    Event
	Attempts int       // made so far
	Accepted time.Time // when the event was committed, or the delivery brought back to be tried anew
}

// Result is the outcome of one attempt, and what becomes of the delivery.
type Result struct {
	Delivery int64
	State    State
	Next     time.Time // of the next attempt, where State is Pending
	Attempt  Attempt
}

// State is where a delivery stands.
type State int

// The states, as they are stored.
const (
	Pending   State = 0
	Delivered State = 1
	Dead      State = 2
	Dropped   State = 3
)

var stateNames = []string{Pending: "pending", Delivered: "delivered", Dead: "dead", Dropped: "dropped"}

// String is the state's name, as commands and the API show it.
func (s State) String() string {
	if s < 0 || int(s) >= len(stateNames) {
		return "state " + strconv.Itoa(int(s))
	}
	return stateNames[s]
}

// StateNamed gives the state of a name.
func StateNamed(name string) (s State, ok bool) {
	n := slices.Index(stateNames, name)
	return State(n), n >= 0
}

// Attempt is one request to one hook.
type Attempt struct {
	Started time.Time
	Took    time.Duration
	Class   string // delivered, rejected, failed, timeout ...
	Status  int    // of HTTP, 0 where there was none
	Excerpt string // beginning of the answer, or the error
}

// Outbox holds deliveries until they are delivered or dead, and the state of each hook.
type Outbox interface {
	Queue
	States
}

// Queue holds the deliveries of hooks.
type Queue interface {
	// Due lists up to limit pending deliveries of a hook that may be attempted at now, the longest due first: never two of
	// one key, never one that an earlier pending delivery of its key holds back, and none of those in underWay.
	Due(hook string, now time.Time, limit int, underWay ...int64) ([]Delivery, error)
	// Next returns when the hook's next delivery becomes due; zero if none is pending.
	Next(hook string) (time.Time, error)
	// Settle stores the results of attempts and returns after the commit. released reports whether other deliveries of
	// a key may be attempted, now or later, because one before them is settled.
	Settle(ctx context.Context, results []Result) (released bool, err error)
}

// States holds what is known of each hook's receiver.
type States interface {
	// State returns the state of a hook as SetState stored it; zero if nothing is stored. An Until earlier than the
	// stored one means that an operator wants an attempt now.
	State(hook string) (HookState, error)
	// SetState stores the state of a hook and, if notice is not nil, commits with it an event about the hook for the
	// hooks of the routes.
	SetState(ctx context.Context, st HookState, notice *Event, routes []Route) error
}
