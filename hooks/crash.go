package hooks

import "time"

const (
	// crashesToGiveUp is the number of crashes after which a delivery is dead.
	crashesToGiveUp = 3
	// crashPause is the time from a crash to the next attempt. Other deliveries continue,
	// and ringhook does not reach the start limit of systemd.
	crashPause = time.Minute
)

// AfterCrash returns the result of an attempt at a time at, during which ringhook crashed, for a delivery with as many crashes
// before. After the third crash the delivery is dead with class Poison.
func AfterCrash(delivery int64, before int, at, now time.Time, why string) Result {
	r := Result{
		Delivery: delivery, State: Pending, Next: now.Add(crashPause),
		Attempt: Attempt{Started: at, Class: Crash, Excerpt: why},
	}
	if before+1 >= crashesToGiveUp {
		r.State, r.Attempt.Class = Dead, Poison
	}
	return r
}
