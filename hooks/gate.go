package hooks

import (
	"math/rand/v2"
	"time"
)

const (
	// shutFor is how long a gate stays shut when it shuts first, and shutAtMost
	// how long while the receiver stays away.
	shutFor    = 30 * time.Second
	shutAtMost = 10 * time.Minute
	// rowToShut is how many attempts in a row without an answer shut the gate.
	rowToShut = 5
	// The gate shuts too when so many attempts of the last minutes failed.
	enoughToShut = 10
	shareToShut  = 0.7
	gateSlot     = 30 * time.Second
	gateSlots    = 10
)

// gate decides how many attempts may be under way to a hook's receiver. While
// it is shut, deliveries wait and use up no attempts; the one that goes
// through it first goes alone.
type gate struct {
	slots    [gateSlots]gateCount
	row      int       // attempts in a row without an answer
	shuts    int       // since the last success
	until    time.Time // nothing is sent before
	since    time.Time // of the first failure since the last success
	failures int       // since then, counted to enoughFailures
	class    string    // of the last failure
	probing  bool      // one is sent alone, to see whether the receiver is back
	ramp     int       // how many may be under way just after it came back; 0 is no limit
	// disabled is why nothing is sent until somebody wants it to be.
	disabled   string
	disabledAt time.Time
}

type gateCount struct {
	slot       int64
	ok, failed int
}

// room tells how many attempts may be under way, most at most.
func (g *gate) room(now time.Time, most int) int {
	switch {
	case g.disabled != "" || now.Before(g.until):
		return 0
	case g.probing:
		return 1
	case g.ramp > 0:
		return min(g.ramp, most)
	}
	return most
}

// record notes how an attempt ended, and tells whether the receiver is back
// with it. What a 4xx or a redirect says concerns the delivery, not the
// receiver's health.
func (g *gate) record(now time.Time, o *outcome) (back bool) {
	if o.overload && o.retryAfter > 0 {
		g.wait(now.Add(min(o.retryAfter, longestWait)))
	}
	switch o.class {
	case classDelivered:
		return g.succeeded(now)
	case classPoison, classGone:
	default:
		if g.since.IsZero() {
			g.since = now
		}
		g.class, g.failures = o.class, min(g.failures+1, enoughFailures)
	}
	if !receiverWide[o.class] {
		g.row = 0
		return false
	}
	if now.Before(g.until) {
		return false // it was under way when the gate shut
	}
	g.ramp = min(g.ramp, 1)
	g.count(now).failed++
	g.row++
	if o.class == classServer || o.class == classLimited {
		g.row = 0
	}
	if g.probing || g.row >= rowToShut || g.mostFailed(now) {
		g.shut(now)
	}
	return false
}

// receiverWide are the classes that would have met any delivery.
var receiverWide = map[string]bool{
	classLimited: true, classServer: true, classTimeout: true, classConnect: true, classDNS: true, classBlocked: true, classTLS: true, classProtocol: true,
}

func (g *gate) succeeded(now time.Time) (back bool) {
	g.row, g.shuts, g.since, g.failures = 0, 0, time.Time{}, 0
	g.count(now).ok++
	if now.Before(g.until) {
		return false
	}
	if g.probing {
		g.probing, g.ramp = false, 1
		back = true
	}
	if g.ramp > 0 {
		g.ramp *= 2
		if g.ramp > 64 {
			g.ramp = 0
		}
	}
	return back
}

// silent tells whether the receiver has taken nothing for so long that it is
// taken to be no more.
func (g *gate) silent(now time.Time) bool {
	return g.failures >= enoughFailures && now.Sub(g.since) >= silentFor
}

// shut shuts the gate, each time for twice as long.
func (g *gate) shut(now time.Time) {
	wait := min(shutFor<<min(g.shuts, 10), shutAtMost)
	g.wait(now.Add(time.Duration(float64(wait) * (0.8 + 0.4*rand.Float64()))))
	g.shuts++
	g.row, g.ramp, g.probing = 0, 0, true
	g.slots = [gateSlots]gateCount{}
}

// open lets one attempt through before its time. If it fails, the gate is shut for
// no longer than it was.
func (g *gate) open() {
	g.until, g.shuts, g.probing = time.Time{}, max(0, g.shuts-1), true
}

func (g *gate) wait(until time.Time) {
	if until.After(g.until) {
		g.until = until
	}
}

// count gives the counters of the present moment.
func (g *gate) count(now time.Time) *gateCount {
	slot := now.UnixNano() / int64(gateSlot)
	c := &g.slots[slot%gateSlots]
	if c.slot != slot {
		*c = gateCount{slot: slot}
	}
	return c
}

func (g *gate) mostFailed(now time.Time) bool {
	slot := now.UnixNano() / int64(gateSlot)
	ok, failed := 0, 0
	for _, c := range g.slots {
		if c.slot > slot-gateSlots {
			ok, failed = ok+c.ok, failed+c.failed
		}
	}
	return ok+failed >= enoughToShut && float64(failed) >= shareToShut*float64(ok+failed)
}
