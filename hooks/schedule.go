package hooks

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"golang.org/x/time/rate"
)

// schedules are the delays after each failed attempt. The last one repeats until
// the delivery is given up.
var schedules = map[string][]time.Duration{
	"standard": {
		5 * time.Second, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 5 * time.Hour,
		10 * time.Hour, 14 * time.Hour, 20 * time.Hour, 24 * time.Hour,
	},
	"fast": {time.Second, 5 * time.Second, 15 * time.Second, time.Minute, 5 * time.Minute, 15 * time.Minute},
}

const (
	// minLimitedDelay is the minimum delay after 429, which asks for fewer requests.
	minLimitedDelay = time.Minute
	// longestWait is the maximum to which Retry-After extends a short delay.
	longestWait = time.Hour
)

// ratePattern is a number of attempts in a second, a minute or an hour.
var ratePattern = regexp.MustCompile(`^([1-9][0-9]{0,5})/([smh])$`)

// compileRate makes the limiter of the hook's attempts, nil if there is no limit.
func (b *builder) compileRate() *rate.Limiter {
	c := b.hook.cfg
	m := ratePattern.FindStringSubmatch(c.Rate)
	switch {
	case c.Rate == "" && c.Burst != 0:
		b.report("burst", "is for rate, which is missing")
	case c.Burst < 0 || c.Burst > 10_000:
		b.report("burst", fmt.Sprintf("%d is out of range: 1 to 10000", c.Burst))
	case c.Rate != "" && m == nil:
		b.report("rate", fmt.Sprintf("%q is not a rate, such as 2/s, 100/m or 1000/h", c.Rate))
	}
	if m == nil {
		return nil
	}
	n, _ := strconv.Atoi(m[1]) // the pattern has digits only
	per := map[string]time.Duration{"s": time.Second, "m": time.Minute, "h": time.Hour}[m[2]]
	return rate.NewLimiter(rate.Limit(float64(n)/per.Seconds()), max(1, c.Burst))
}

// next returns when a delivery is attempted again after the given number of
// failures, and false if its time is over. A last attempt is made at the end of
// that time.
func (h *hook) next(d *Delivery, attempts int, o outcome, now time.Time) (time.Time, bool) {
	end := d.Accepted.Add(h.cfg.GiveUp)
	if !now.Before(end) {
		return time.Time{}, false
	}
	delay := h.delays[min(attempts, len(h.delays))-1]
	if o.class == classLimited {
		delay = max(delay, minLimitedDelay)
	}
	limit := longestWait
	if delay >= time.Minute {
		limit = max(2*delay, limit)
	}
	// Up to a fifth more or less, so that what failed together is not retried together.
	wait := time.Duration(float64(delay) * (0.8 + 0.4*rand.Float64()))
	if o.retryAfter > 0 {
		wait = max(wait, min(o.retryAfter, limit))
	}
	at := now.Add(wait)
	if at.After(end) {
		at = end
	}
	return at, true
}

// parseRetryAfter reads a Retry-After: seconds or a date. It returns zero for a
// value that is invalid or in the past.
func parseRetryAfter(text string, now time.Time) time.Duration {
	text = strings.TrimSpace(text)
	if n, err := strconv.ParseUint(text, 10, 64); err == nil {
		return time.Duration(min(n, uint64(30*24*time.Hour/time.Second))) * time.Second
	}
	at, err := http.ParseTime(text)
	if err != nil {
		return 0
	}
	return max(at.Sub(now), 0)
}
