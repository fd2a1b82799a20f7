package pops

import (
	"fmt"
	"slices"
	"time"
)

// Fate is the state of a pop.
type Fate string

// The fates. The last five are ends.
const (
	Sent       Fate = "sent"        // to a screen, which has not confirmed it
	Offered    Fate = "offered"     // a button is shown
	Shown      Fate = "shown"       // confirmed
	Taken      Fate = "taken"       // the agent opened an offer
	NoReceipt  Fate = "no-receipt"  // a screen did not confirm in time
	Blocked    Fate = "blocked"     // the browser refused to open it
	WindowLost Fate = "window-lost" // the window was closed
	Refused    Fate = "refused"     // the page allows no frame
	Moved      Fate = "moved"       // to another screen or way
	Replaced   Fate = "replaced"    // a newer pop took its place
	Elsewhere  Fate = "elsewhere"   // another agent answered
	Abandoned  Fate = "abandoned"   // the caller gave up
	Ended      Fate = "ended"       // the call ended
	ByAgent    Fate = "by-agent"    // the agent closed it
	Expired    Fate = "expired"     // no screen showed it in time
)

// ends are the fates after which none follows.
var ends = []Fate{Replaced, Elsewhere, Abandoned, Ended, ByAgent, Expired}

// follows lists the fates that may follow each one, beside the ends. No fate returns, but a pop that
// moved is sent again.
var follows = map[Fate][]Fate{
	"":         {Sent, Offered},
	Sent:       {Shown, Offered, NoReceipt, Blocked, WindowLost, Refused},
	Offered:    {Taken},
	Taken:      {Shown, NoReceipt, Blocked, WindowLost, Refused},
	NoReceipt:  {Moved, Shown}, // a slow screen confirms late
	Blocked:    {Moved, Shown}, // the agent opened it by hand
	WindowLost: {Moved, Shown},
	Refused:    {Moved},
	Moved:      {Sent, Offered},
	Shown:      {Refused}, // a frame fires load although the page refuses it
}

// Fates returns all fates.
func Fates() []Fate {
	return []Fate{Sent, Offered, Shown, Taken, NoReceipt, Blocked, WindowLost, Refused, Moved, Replaced, Elsewhere, Abandoned, Ended, ByAgent, Expired}
}

// Over reports whether no fate follows.
func (f Fate) Over() bool { return slices.Contains(ends, f) }

// Life is the life of one pop. The zero value is a pop that was decided and not sent yet.
type Life struct {
	Fate  Fate
	Since time.Time
	Moves int // number of times that it moved
}

// maxMoves bounds the number of screens and ways that are tried for one pop.
const maxMoves = 16

// Turn changes the fate, or returns why it cannot follow the present one.
func (l *Life) Turn(to Fate, now time.Time) error {
	switch {
	case l.Fate.Over():
		return fmt.Errorf("pop is over (%s)", l.Fate)
	case to == Moved && l.Moves >= maxMoves:
		return fmt.Errorf("pop moved %d times", l.Moves)
	case to.Over() && l.Fate != "":
	case !slices.Contains(follows[l.Fate], to):
		return fmt.Errorf("fate %s cannot follow %q", to, l.Fate)
	}
	if to == Moved {
		l.Moves++
	}
	l.Fate, l.Since = to, now
	return nil
}
