package api

import (
	"net"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"github.com/valyala/fasthttp"
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

// guess counts a wrong token of an address and returns 0. If the address has sent too many, it returns how long further ones
// are refused, and does not count this one.
func (t *throttle) guess(from net.Addr) (wait time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	place, now := t.place(from), t.now()
	f := t.seen[place]
	switch left := f.until.Sub(now); {
	case left <= 0:
		f = failures{until: now.Add(failureWindow)}
	case f.count >= maxFailures:
		return left
	}
	f.count++
	t.seen[place] = f
	return 0
}

// refusesGuess counts a wrong token or secret of a request. It returns true if the address has sent too many: then the
// request is answered. what names them, such as "tokens".
func (a *API) refusesGuess(r *fasthttp.RequestCtx, what string) bool {
	wait := a.throttle.guess(r.RemoteAddr())
	if wait == 0 {
		return false
	}
	r.Error("too many wrong "+what+" from this address\n", fasthttp.StatusTooManyRequests) // resets the headers
	retryAfter(r, wait)
	return true
}

// retryAfter sets the header that says when a request may be sent again.
func retryAfter(r *fasthttp.RequestCtx, wait time.Duration) {
	r.Response.Header.Set(fasthttp.HeaderRetryAfter, strconv.Itoa(int(wait/time.Second)+1))
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
