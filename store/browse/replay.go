package browse

import (
	"time"

	"ringhook/hooks"
)

// Replay chooses events to send again.
type Replay struct {
	Hook  string    // receives the events
	From  string    // the hook that got them before; Hook if empty
	Since time.Time // accepted then or later
	Until time.Time // accepted before
	NewID bool      // assign a new id to each event, for receivers that drop ids they know
	// Wants reports whether to send an event; nil sends all.
	Wants func(*hooks.Event) bool
}

// Filled reports whether another hook's events are sent.
func (r *Replay) Filled() bool { return r.From != "" && r.From != r.Hook }

// ReplayPace is the time after a replayed delivery before which the hook gets no further one.
const ReplayPace = 100 * time.Millisecond

// ReplayTime returns the shortest time in which n events are sent again: one by one, at a fixed pace, so that new events
// are not delayed.
func ReplayTime(n int) time.Duration { return time.Duration(max(n-1, 0)) * ReplayPace }
