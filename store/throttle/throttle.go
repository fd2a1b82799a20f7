// Package throttle spreads upkeep of a store over time.
package throttle

import "time"

const (
	// share is the pause after a step, as a multiple of the step's duration, and least its minimum when upkeep falls behind.
	share = 10
	least = 2
	// every is the interval at which the share is adjusted.
	every = 5 * time.Second
)

// Throttle is the share of the time that upkeep takes. The share grows while what falls due is more than what is
// removed: else due rows would wait longer and longer, and the store would grow without end. A 30 minute soak showed
// it.
type Throttle struct {
	share  time.Duration
	passed time.Duration // since the last adjustment
	behind time.Duration // at the last adjustment
}

// New returns the throttle of upkeep that is not behind.
func New() Throttle { return Throttle{share: share} }

// After returns the pause after a step of a duration that removed rows which had been due for as long as behind.
func (p *Throttle) After(took, behind time.Duration) time.Duration {
	wait := p.share * took
	if p.passed += took + wait; p.passed >= every {
		if p.behind > 0 && behind > p.behind && p.share > least {
			p.share--
		}
		p.passed, p.behind = 0, behind
	}
	return wait
}
