package hooks

import (
	"maps"
	"slices"
	"time"
)

const (
	// clearing is how many deliveries are given up at once unsent, and
	// clearEvery how often is looked for some.
	clearing   = 200
	clearEvery = time.Minute
)

// clear gives up, unsent, what cannot wait until the gate opens: every
// delivery of a hook that is disabled, else those whose time is over.
func (s *sender) clear(now time.Time) time.Duration {
	disabled := s.gate.disabled
	if disabled != "" && s.enabled() {
		return 0
	}
	if disabled == "" && s.wanted(now) {
		return 0
	}
	if now.Before(s.cleared.Add(clearEvery)) && disabled == "" {
		return s.untilGate(now)
	}
	s.cleared = now
	until, a := now, Attempt{Started: now, Class: s.gate.class, Excerpt: "given up unsent: no success since " + s.gate.since.UTC().Format(time.RFC3339)}
	if disabled != "" {
		until, a = now.Add(everAfter), Attempt{Started: now, Class: disabled, Excerpt: "given up unsent: the hook is disabled, " + Reasons[disabled]}
	}
	due, err := s.outbox.Due(s.hook.name, until, clearing, slices.Collect(maps.Keys(s.flying))...)
	if err != nil {
		s.trouble.outbox(s.log, err)
		return pause
	}
	cleared := 0
	for _, d := range due {
		over := disabled != "" || !now.Before(d.Accepted.Add(s.hook.cfg.GiveUp))
		if !over {
			continue
		}
		s.flying[d.ID] = d
		s.keep(&Result{Delivery: d.ID, State: Dead, Attempt: a})
		cleared++
	}
	if cleared > 0 {
		s.cleared = time.Time{} // there may be more
		return 0
	}
	return s.untilGate(now)
}

// untilGate tells when to look at the gate again.
func (s *sender) untilGate(now time.Time) time.Duration {
	if s.gate.disabled != "" {
		return lookAgain
	}
	return min(max(s.gate.until.Sub(now), 0), pause)
}
