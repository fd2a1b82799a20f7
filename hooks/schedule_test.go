package hooks

import (
	"errors"
	"testing"
	"time"

	"ringhook/httpclient"
)

func testHook(t testing.TB, change func(*Config)) *hook {
	t.Helper()
	c := sample()
	if change != nil {
		change(&c)
	}
	return testBuild(t, &c)
}

// testBuild returns the hook of a valid configuration.
func testBuild(t testing.TB, c *Config) *hook {
	t.Helper()
	c.Check(func(key, problem string) { t.Errorf("%s: %s", key, problem) })
	h, err := build(c, 0)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// TestSchedule checks the delays of a schedule.
func TestSchedule(t *testing.T) {
	f := func(schedule string, giveUp time.Duration, o outcome, delays ...time.Duration) {
		t.Helper()
		h := testHook(t, func(c *Config) { c.Schedule, c.GiveUp = schedule, giveUp })
		start := time.Date(2026, 1, 15, 9, 30, 0, 0, time.UTC)
		now := start
		for i, want := range delays {
			next, ok := h.next(&Delivery{Accepted: start}, i+1, o, now)
			if !ok {
				t.Errorf("%s, attempt %d: given up", schedule, i+1)
				return
			}
			got := next.Sub(now)
			if least, most := want*8/10, want*12/10; got < least || got > most {
				t.Errorf("%s, attempt %d: got %v, want %v to %v", schedule, i+1, got, least, most)
			}
			if next.After(start.Add(giveUp)) {
				t.Errorf("%s, attempt %d: %v after acceptance", schedule, i+1, next.Sub(start))
			}
			now = now.Add(want)
		}
	}
	const s, m, h = time.Second, time.Minute, time.Hour
	f("standard", 720*h, outcome{}, 5*s, 5*m, 30*m, 2*h, 5*h, 10*h, 14*h, 20*h, 24*h, 24*h, 24*h)
	f("fast", 720*h, outcome{}, s, 5*s, 15*s, m, 5*m, 15*m, 15*m, 15*m)
	f("standard", 720*h, outcome{class: classLimited}, m, 5*m, 30*m)
	f("fast", 720*h, outcome{class: classLimited}, m, m, m, m, 5*m)
	now := time.Now()
	for _, status := range []int{500, 502, 503, 504} {
		f("fast", 720*h, outcomeOf(&httpclient.Response{Status: status}, nil, now), s, 5*s, 15*s, m)
		f("fast", 720*h, outcomeOf(&httpclient.Response{Status: status, RetryAfter: "600"}, nil, now), 10*m)
	}
	f("fast", 720*h, outcomeOf(&httpclient.Response{Status: 429}, nil, now), m, m)
	f("fast", 720*h, outcomeOf(nil, &httpclient.Error{Class: httpclient.ClassTimeout, Err: errors.New("deadline passed")}, now), s, 5*s, 15*s, m)
	// Retry-After lengthens a delay, and never shortens it.
	f("standard", 720*h, outcome{retryAfter: s}, 5*s, 5*m)
}

// TestScheduleEnds checks that the last attempt is at the end of give_up.
func TestScheduleEnds(t *testing.T) {
	h := testHook(t, func(c *Config) { c.GiveUp = time.Hour })
	start := time.Date(2026, 1, 15, 9, 30, 0, 0, time.UTC)
	d := &Delivery{Accepted: start}
	if next, ok := h.next(d, 4, outcome{}, start.Add(40*time.Minute)); !ok || !next.Equal(start.Add(time.Hour)) {
		t.Errorf("the last attempt is at %v, %v", next.Sub(start), ok)
	}
	for _, now := range []time.Time{start.Add(time.Hour), start.Add(2 * time.Hour)} {
		if next, ok := h.next(d, 5, outcome{}, now); ok {
			t.Errorf("%v after acceptance there is one more attempt at %v", now.Sub(start), next.Sub(start))
		}
	}
}

// TestRetryAfter checks the forms of Retry-After.
func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 1, 15, 9, 30, 0, 0, time.UTC)
	f := func(text string, want time.Duration) {
		t.Helper()
		if got := parseRetryAfter(text, now); got != want {
			t.Errorf("%q: got %v, want %v", text, got, want)
		}
	}
	f("120", 2*time.Minute)
	f(" 7 ", 7*time.Second)
	f("Thu, 15 Jan 2026 09:31:00 GMT", time.Minute)
	f("Thursday, 15-Jan-26 09:31:00 GMT", time.Minute)
	f("Thu, 15 Jan 2026 09:29:00 GMT", 0)
	f("", 0)
	f("soon", 0)
	f("-5", 0)
	f("1.5", 0)
	f("99999999999", 720*time.Hour)
	f("99999999999999999999999", 0)

	h := testHook(t, nil)
	d := &Delivery{Accepted: now}
	wait := func(attempts int, after time.Duration) time.Duration {
		next, _ := h.next(d, attempts, outcome{overload: true, retryAfter: after}, now)
		return next.Sub(now)
	}
	if got := wait(1, 10*time.Minute); got != 10*time.Minute {
		t.Errorf("10m requested: got %v", got)
	}
	if got := wait(1, 48*time.Hour); got != longestWait {
		t.Errorf("48h requested: got %v", got)
	}
	if got := wait(4, 48*time.Hour); got != 4*time.Hour {
		t.Errorf("48h requested, 2h planned: got %v", got)
	}
}

// FuzzRetryAfter checks that for any Retry-After the next attempt is after now, and not after give_up
// (T-RA-01).
func FuzzRetryAfter(f *testing.F) {
	for _, text := range []string{"", "1", "99999999999", "-1", "Thu, 15 Jan 2026 09:31:00 GMT", "Fri, 31 Dec 9999 23:59:59 GMT", "0x10"} {
		f.Add(text, 1)
	}
	h := testHook(f, nil)
	now := time.Date(2026, 1, 15, 9, 30, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, text string, attempts int) {
		after := parseRetryAfter(text, now)
		if after < 0 {
			t.Fatalf("%q: %v", text, after)
		}
		next, ok := h.next(&Delivery{Accepted: now}, max(attempts, 1), outcome{retryAfter: after}, now)
		if !ok || !next.After(now) || next.After(now.Add(h.cfg.GiveUp)) {
			t.Fatalf("%q: next attempt %v, %v", text, next.Sub(now), ok)
		}
	})
}
