package httpclient

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// maxBurst is the maximum of a burst.
const maxBurst = 10_000

// ratePattern is a number of requests in a second, a minute or an hour.
var ratePattern = regexp.MustCompile(`^([1-9][0-9]{0,5})/([smh])$`)

// ParseRate reads the keys rate and burst, such as 2/s, 100/m or 1000/h and 50. It returns nil if there is no limit, and
// reports what is wrong by the key. A burst of 0 is 1.
func ParseRate(text string, burst int, report func(key, problem string)) *rate.Limiter {
	m := ratePattern.FindStringSubmatch(text)
	switch {
	case text == "" && burst != 0:
		report("burst", "is for rate, which is missing")
	case burst < 0 || burst > maxBurst:
		report("burst", fmt.Sprintf("%d is out of range: 1 to %d", burst, maxBurst))
	case text != "" && m == nil:
		report("rate", fmt.Sprintf("%q is not a rate, such as 2/s, 100/m or 1000/h", text))
	}
	if m == nil {
		return nil
	}
	n, _ := strconv.Atoi(m[1]) // the pattern has digits only
	per := map[string]time.Duration{"s": time.Second, "m": time.Minute, "h": time.Hour}[m[2]]
	return rate.NewLimiter(rate.Limit(float64(n)/per.Seconds()), max(1, burst))
}

// Quota limits the requests of an account, and shares them among those that make them. Requests for which a call waits
// come first, but never two in succession while others wait; apart from that, the one that waits longest is next. A nil
// Quota is no limit. It may be used by many goroutines.
type Quota struct {
	rate, burst float64 // rate is in requests per second
	count       func(QuotaOutcome)

	mu       sync.Mutex
	free     float64   // the requests that could be made at once when refill was last called: a rate.Limiter takes none back
	refilled time.Time // when that was
	calls    []*Turn   // waiting requests of calls, in their order
	others   []*Turn   // waiting requests of others, in their order
	lastCall bool      // the last turn that was granted was that of a call
	timer    *time.Timer
}

// QuotaOutcome is what became of a request that could not be made at once.
type QuotaOutcome string

// The outcomes.
const (
	QuotaWaited QuotaOutcome = "waited"
	QuotaLate   QuotaOutcome = "late" // its turn comes after its deadline; it is not made
)

// QuotaOutcomes lists the outcomes, for metrics.
func QuotaOutcomes() []QuotaOutcome { return []QuotaOutcome{QuotaWaited, QuotaLate} }

// NewQuota returns a Quota with the rate of a limiter, nil for nil. count is called for every request that could not be
// made at once; it must not wait.
func NewQuota(limiter *rate.Limiter, count func(QuotaOutcome)) *Quota {
	if limiter == nil {
		return nil
	}
	burst := float64(limiter.Burst())
	return &Quota{rate: float64(limiter.Limit()), burst: burst, count: count, free: burst, refilled: time.Now()}
}

// Turn is a place in the queue of a Quota.
type Turn struct {
	quota   *Quota
	granted chan struct{}
}

// Granted returns a channel that is closed when the turn has come.
func (t *Turn) Granted() <-chan struct{} { return t.granted }

// Come reports whether the turn has come.
func (t *Turn) Come() bool {
	select {
	case <-t.granted:
		return true
	default:
		return false
	}
}

// Leave gives up the place, or the turn if it has come.
func (t *Turn) Leave() {
	q := t.quota
	q.mu.Lock()
	defer q.mu.Unlock()
	q.leave(t)
}

// Take takes up to n requests that may be made now. It takes none while others wait for theirs.
func (q *Quota) Take(n int) int {
	if q == nil {
		return n
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.calls)+len(q.others) > 0 {
		return 0
	}
	q.refill(time.Now())
	n = min(n, int(q.free))
	q.free -= float64(n)
	return n
}

// Return takes back requests that were taken and not made. Beyond the burst they are lost.
func (q *Quota) Return(n int) {
	if q == nil || n == 0 {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.takeBack(n)
	q.grant()
}

// Join returns a place at the end of the queue of requests for which no call waits.
func (q *Quota) Join() *Turn {
	q.mu.Lock()
	defer q.mu.Unlock()
	t := &Turn{quota: q, granted: make(chan struct{})}
	q.others = append(q.others, t)
	q.grant()
	return t
}

// Used counts a request that waited in the queue and is made now.
func (q *Quota) Used() { q.count(QuotaWaited) }

// Wait waits for the turn of a request for which no call waits, until ctx ends.
func (q *Quota) Wait(ctx context.Context) error {
	if q.Take(1) == 1 {
		return nil
	}
	t := q.Join()
	select {
	case <-t.granted:
		q.count(QuotaWaited)
		return nil
	case <-ctx.Done():
		t.Leave()
		return ctx.Err()
	}
}

// WaitForCall waits for the turn of a request for which a call waits. It does not wait if the turn comes after the
// deadline. The error is an *Error of ClassRate.
func (q *Quota) WaitForCall(deadline time.Time) error {
	if q.Take(1) == 1 {
		return nil
	}
	t := q.joinForCall(deadline)
	if t != nil {
		timer := time.NewTimer(time.Until(deadline))
		defer timer.Stop()
		select {
		case <-t.granted:
			q.count(QuotaWaited)
			return nil
		case <-timer.C:
			t.Leave()
		}
	}
	q.count(QuotaLate)
	return &Error{Class: ClassRate, Err: errRate}
}

// joinForCall returns a place in the queue of requests for which calls wait, nil if its turn comes after the deadline.
func (q *Quota) joinForCall(deadline time.Time) *Turn {
	q.mu.Lock()
	defer q.mu.Unlock()
	before := len(q.calls) // and after each of them one of the others
	if q.lastCall {
		before++
	}
	before = len(q.calls) + min(len(q.others), before)
	if now := time.Now(); now.Add(q.until(now, before+1)).After(deadline) {
		return nil
	}
	t := &Turn{quota: q, granted: make(chan struct{})}
	q.calls = append(q.calls, t)
	q.grant()
	return t
}

// refill adds the requests that the rate allows since the last time, up to the burst. The caller holds mu.
func (q *Quota) refill(now time.Time) {
	q.free = min(q.burst, q.free+now.Sub(q.refilled).Seconds()*q.rate)
	q.refilled = now
}

// until returns the time until the nth request from now on may be made. The caller holds mu.
func (q *Quota) until(now time.Time, n int) time.Duration {
	q.refill(now)
	return max(0, time.Duration((float64(n)-q.free)/q.rate*float64(time.Second)))
}

// takeBack counts requests as not made. The caller holds mu.
func (q *Quota) takeBack(n int) {
	q.refill(time.Now())
	q.free = min(q.burst, q.free+float64(n))
}

// grant grants the turns that have come, and sets the timer for the next one. The caller holds mu.
func (q *Quota) grant() {
	now := time.Now()
	q.refill(now)
	for len(q.calls)+len(q.others) > 0 && q.free >= 1 {
		q.free--
		line := &q.others
		if len(q.others) == 0 || len(q.calls) > 0 && !q.lastCall {
			line = &q.calls
		}
		q.lastCall = line == &q.calls
		close((*line)[0].granted)
		*line = slices.Delete(*line, 0, 1)
	}
	switch {
	case len(q.calls)+len(q.others) > 0:
		wait := max(q.until(now, 1), time.Millisecond) // a request may be missing by a rounding
		if q.timer == nil {
			q.timer = time.AfterFunc(wait, q.tick)
		} else {
			q.timer.Reset(wait)
		}
	case q.timer != nil:
		q.timer.Stop()
	}
}

func (q *Quota) tick() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.grant()
}

// leave removes a turn from the queue, or takes it back. The caller holds mu.
func (q *Quota) leave(t *Turn) {
	if t.Come() {
		q.takeBack(1)
	}
	q.calls = slices.DeleteFunc(q.calls, func(other *Turn) bool { return other == t })
	q.others = slices.DeleteFunc(q.others, func(other *Turn) bool { return other == t })
	q.grant()
}
