package hooks

import (
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"time"

	"golang.org/x/time/rate"

	"ringhook/httpclient"
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

// compileRate makes the limiter of the hook's attempts, nil if there is no limit.
func (b *builder) compileRate() *rate.Limiter {
	return httpclient.ParseRate(b.hook.cfg.Rate, b.hook.cfg.Burst, b.report)
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
