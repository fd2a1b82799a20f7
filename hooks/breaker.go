package hooks

import (
	"math/rand/v2"
	"time"
)

const (
	// openFor is the duration for which the breaker opens the first time, and maxOpen the limit to which that doubles while the
	// receiver keeps failing.
	openFor = 30 * time.Second
	maxOpen = 10 * time.Minute
	// failuresToOpen is the number of consecutive attempts without an answer that opens the breaker.
	failuresToOpen = 5
	// The breaker opens too if this share of at least minAttempts attempts of the last countSlots*countSlot failed.
	minAttempts = 10
	failedShare = 0.7
	countSlot   = 30 * time.Second
	countSlots  = 10
	// slowStartEnd is the number of attempts at once from which on there is no limit after a failure.
	slowStartEnd = 64
)

// breaker is the circuit breaker of a hook: it decides how many attempts may be in progress. While it is open, deliveries
// wait and use up no attempts. When the time is over it is half-open: one attempt is made alone, and decides.
type breaker struct {
	slots       [countSlots]attemptCount
	consecutive int       // attempts without an answer, up to now
	opens       int       // since the last success
	until       time.Time // nothing is sent before
	since       time.Time // of the first failure after the last success
	failures    int       // since then, counted to minSilentFailures
	class       string    // of the last failure
	halfOpen    bool
	slowStart   int // limit of attempts at once just after the receiver is back; 0 is none
	// disabled is why nothing is sent until an operator enables the hook.
	disabled   string
	disabledAt time.Time
}

// attemptCount counts the attempts of one countSlot.
type attemptCount struct {
	slot       int64
	ok, failed int
}

// room returns how many attempts may be in progress, up to most.
func (b *breaker) room(now time.Time, most int) int {
	switch {
	case b.disabled != "" || now.Before(b.until):
		return 0
	case b.halfOpen:
		return 1
	case b.slowStart > 0:
		return min(b.slowStart, most)
	}
	return most
}

// record notes how an attempt ended, and reports whether it shows that the receiver is back. A 4xx or a redirect concerns
// the delivery, not the receiver.
func (b *breaker) record(now time.Time, o *outcome) (back bool) {
	if o.overload && o.retryAfter > 0 {
		b.wait(now.Add(min(o.retryAfter, longestWait)))
	}
	switch o.class {
	case classDelivered:
		return b.succeeded(now)
	case classPoison, classGone:
	default:
		if b.since.IsZero() {
			b.since = now
		}
		b.class, b.failures = o.class, min(b.failures+1, minSilentFailures)
	}
	if !receiverWide[o.class] {
		b.consecutive = 0
		return false
	}
	if now.Before(b.until) {
		return false // it was in progress when the breaker opened
	}
	b.slowStart = min(b.slowStart, 1)
	b.count(now).failed++
	b.consecutive++
	if o.class == classServer || o.class == classLimited {
		b.consecutive = 0
	}
	if b.halfOpen || b.consecutive >= failuresToOpen || b.mostFailed(now) {
		b.open(now)
	}
	return false
}

// receiverWide are the classes that any delivery would have met.
var receiverWide = map[string]bool{
	classLimited: true, classServer: true, classTimeout: true, classConnect: true, classDNS: true, classBlocked: true, classTLS: true, classProtocol: true,
}

func (b *breaker) succeeded(now time.Time) (back bool) {
	b.consecutive, b.opens, b.since, b.failures = 0, 0, time.Time{}, 0
	b.count(now).ok++
	if now.Before(b.until) {
		return false
	}
	if b.halfOpen {
		b.halfOpen, b.slowStart = false, 1
		back = true
	}
	if b.slowStart > 0 {
		b.slowStart *= 2
		if b.slowStart > slowStartEnd {
			b.slowStart = 0
		}
	}
	return back
}

// silent reports whether the receiver has accepted nothing for so long that it is taken to be gone.
func (b *breaker) silent(now time.Time) bool {
	return b.failures >= minSilentFailures && now.Sub(b.since) >= silentFor
}

// open opens the breaker, each time for twice as long.
func (b *breaker) open(now time.Time) {
	wait := min(openFor<<min(b.opens, 10), maxOpen)
	b.wait(now.Add(time.Duration(float64(wait) * (0.8 + 0.4*rand.Float64()))))
	b.opens++
	b.consecutive, b.slowStart, b.halfOpen = 0, 0, true
	b.slots = [countSlots]attemptCount{}
}

// tryNow makes the breaker half-open before its time. If the attempt fails, it opens for no longer than before.
func (b *breaker) tryNow() {
	b.until, b.opens, b.halfOpen = time.Time{}, max(0, b.opens-1), true
}

func (b *breaker) wait(until time.Time) {
	if until.After(b.until) {
		b.until = until
	}
}

// count returns the counters of the present slot.
func (b *breaker) count(now time.Time) *attemptCount {
	slot := now.UnixNano() / int64(countSlot)
	c := &b.slots[slot%countSlots]
	if c.slot != slot {
		*c = attemptCount{slot: slot}
	}
	return c
}

func (b *breaker) mostFailed(now time.Time) bool {
	slot := now.UnixNano() / int64(countSlot)
	ok, failed := 0, 0
	for _, c := range b.slots {
		if c.slot > slot-countSlots {
			ok, failed = ok+c.ok, failed+c.failed
		}
	}
	return ok+failed >= minAttempts && float64(failed) >= failedShare*float64(ok+failed)
}

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
