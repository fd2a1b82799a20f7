package hooks

import "time"

const (
	// clearBatch is the maximum number of deliveries that are given up unsent at once, and clearEvery the time between two
	// such searches.
	clearBatch = 200
	clearEvery = time.Minute
)

// waitForBreaker does what is to be done while nothing may be sent, and returns when to look again: it sees whether an
// operator wants an attempt, and gives up what cannot wait until the breaker closes. That is every delivery of a disabled
// hook, and otherwise those whose time is over.
func (s *sender) waitForBreaker(now time.Time) time.Duration {
	disabled := s.breaker.disabled
	switch {
	case disabled != "" && s.enabled(), disabled == "" && s.attemptWanted(now):
		return 0
	case disabled == "" && now.Before(s.cleared.Add(clearEvery)):
		return s.untilHalfOpen(now)
	}
	s.cleared = now
	until := now
	a := Attempt{Started: now, Class: s.breaker.class, Excerpt: "given up unsent: no success since " + s.breaker.since.UTC().Format(time.RFC3339)}
	if disabled != "" {
		until = now.Add(farFuture)
		a = Attempt{Started: now, Class: disabled, Excerpt: "given up unsent: the hook is disabled, " + Reasons[disabled]}
	}
	due, err := s.feed.due(until, clearBatch)
	if err != nil {
		s.failures.outbox(err)
		return pause
	}
	cleared := 0
	for _, d := range due {
		if disabled == "" && now.Before(d.Accepted.Add(s.hook.cfg.GiveUp)) {
			continue
		}
		s.feed.inFlight[d.ID] = d
		s.settle(&Result{Delivery: d.ID, State: Dead, Attempt: a})
		cleared++
	}
	if cleared > 0 {
		s.cleared = time.Time{} // there may be more
		return 0
	}
	return s.untilHalfOpen(now)
}

// untilHalfOpen returns when to look at the breaker again.
func (s *sender) untilHalfOpen(now time.Time) time.Duration {
	if s.breaker.disabled != "" {
		return lookAgain
	}
	return min(max(s.breaker.until.Sub(now), 0), pause)
}
