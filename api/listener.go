package api

import (
	"log/slog"
	"net"
	"net/netip"
	"sync"

	"ringhook/accept"
)

// fairListener limits the connections of one address to a share, so that a
// client that only holds connections does not lock others out. It outlives
// failed accepts. (fasthttp's own MaxConnsPerIP races with its Shutdown.)
type fairListener struct {
	net.Listener
	share int

	mu   sync.Mutex
	held map[netip.Prefix]int // guarded by mu
}

// cannotAccept is the message of a failed accept.
const cannotAccept = "cannot accept HTTP connections; trying again"

func newFairListener(l net.Listener, share int, log *slog.Logger) *fairListener {
	return &fairListener{Listener: accept.Patient(l, cannotAccept, log), share: share, held: make(map[netip.Prefix]int)}
}

// Accept returns the next connection of an address that has connections left, and
// closes others.
func (l *fairListener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		from := networkOf(c.RemoteAddr())
		if l.acquire(from) {
			return &fairConn{Conn: c, release: sync.OnceFunc(func() { l.release(from) })}, nil
		}
		c.Close()
	}
}

func (l *fairListener) acquire(from netip.Prefix) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.held[from] >= l.share {
		return false
	}
	l.held[from]++
	return true
}

func (l *fairListener) release(from netip.Prefix) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.held[from]--; l.held[from] == 0 {
		delete(l.held, from)
	}
}

// fairConn is a connection that counts against its address until it is closed.
type fairConn struct {
	net.Conn
	release func()
}

// Close closes the connection.
func (c *fairConn) Close() error {
	defer c.release()
	return c.Conn.Close()
}
