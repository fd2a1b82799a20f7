package api

import (
	"net"
	"net/netip"
	"sync"
	"time"
)

const (
	// maxFailures is the number of wrong tokens that an address may send within
	// failureWindow. Further ones are refused until it ends.
	maxFailures   = 10
	failureWindow = time.Minute
	// maxWatched is the number of addresses that are counted separately; all
	// others are counted as one.
	maxWatched = 1024
)

// throttle slows down clients that guess tokens. Its memory is bounded.
type throttle struct {
	now func() time.Time

	mu   sync.Mutex
	seen map[netip.Prefix]failures
}

// failures are those of one address in a window.
type failures struct {
	count int
	until time.Time
}

func newThrottle(now func() time.Time) *throttle {
	return &throttle{now: now, seen: make(map[netip.Prefix]failures)}
}

// wait returns how long wrong tokens of an address are still refused.
func (t *throttle) wait(from net.Addr) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	f := t.seen[t.place(from)]
	if left := f.until.Sub(t.now()); f.count >= maxFailures && left > 0 {
		return left
	}
	return 0
}

// fail counts a wrong token.
func (t *throttle) fail(from net.Addr) {
	t.mu.Lock()
	defer t.mu.Unlock()
	place, now := t.place(from), t.now()
	f := t.seen[place]
	if !now.Before(f.until) {
		f = failures{until: now.Add(failureWindow)}
	}
	f.count++
	t.seen[place] = f
}

// networkOf returns the address itself, or the /64 network of an IPv6 address, which one subscriber has.
func networkOf(from net.Addr) netip.Prefix {
	tcp, ok := from.(*net.TCPAddr)
	if !ok {
		return netip.Prefix{}
	}
	addr := tcp.AddrPort().Addr().Unmap().WithZone("")
	bits := 32
	if addr.Is6() {
		bits = 64
	}
	network, _ := addr.Prefix(bits)
	return network
}

// place returns what an address is counted under: its network, or the zero prefix
// if too many are counted already.
func (t *throttle) place(from net.Addr) netip.Prefix {
	place := networkOf(from)
	if _, watched := t.seen[place]; watched {
		return place
	}
	if len(t.seen) >= maxWatched {
		now := t.now()
		for old, f := range t.seen {
			if !now.Before(f.until) {
				delete(t.seen, old)
			}
		}
	}
	if len(t.seen) >= maxWatched {
		return netip.Prefix{}
	}
	return place
}
