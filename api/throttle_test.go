package api

import (
	"fmt"
	"net"
	"testing"
	"time"
)

// T-API-02: ten wrong tokens a minute, then nothing for the rest of it.
func TestThrottle(t *testing.T) {
	now := time.Date(2026, 1, 15, 9, 30, 0, 0, time.UTC)
	th := newThrottle(func() time.Time { return now })
	from := func(addr string) net.Addr { return &net.TCPAddr{IP: net.ParseIP(addr), Port: 4711} }
	guess := func(addr string, want time.Duration) {
		t.Helper()
		if got := th.guess(from(addr)); got != want {
			t.Errorf("%s has to wait %v, want %v", addr, got, want)
		}
	}
	for range maxFailures - 1 {
		guess("192.0.2.1", 0)
	}
	now = now.Add(20 * time.Second)
	guess("::ffff:192.0.2.1", 0)
	for range 2 * maxFailures { // a refused guess prolongs nothing
		guess("192.0.2.1", 40*time.Second)
	}
	guess("192.0.2.2", 0)
	now = now.Add(40 * time.Second)
	guess("192.0.2.1", 0)

	for i := range maxFailures {
		guess(fmt.Sprintf("2001:db8::%d", i+1), 0)
	}
	guess("2001:db8::ffff", time.Minute)
	guess("2001:db8:1::1", 0)
}

// T-API-02: addresses without number cost no memory without bound, and slow
// one another down only while there are too many.
func TestThrottleBounded(t *testing.T) {
	now := time.Date(2026, 1, 15, 9, 30, 0, 0, time.UTC)
	th := newThrottle(func() time.Time { return now })
	from := func(i int) net.Addr { return &net.TCPAddr{IP: net.IPv4(10, byte(i>>16), byte(i>>8), byte(i))} }
	for i := range 10 * maxWatched {
		th.guess(from(i))
	}
	if len(th.seen) > maxWatched+1 {
		t.Errorf("%d addresses are watched, want %d at most", len(th.seen), maxWatched+1)
	}
	if th.guess(from(0)) != 0 || th.guess(from(10*maxWatched)) == 0 {
		t.Error("those watched share the others' failures, or the others have none")
	}
	now = now.Add(failureWindow)
	if th.guess(from(10*maxWatched)) != 0 {
		t.Error("the window does not end")
	}
	if len(th.seen) != 1 {
		t.Errorf("%d addresses are still watched", len(th.seen))
	}
}
