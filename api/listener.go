package api

import (
	"net"
	"net/netip"
	"sync"
)

// fairListener gives one address no more than a share of the connections, so
// that one that only holds them does not keep the others from seeing how
// ringhook is. (fasthttp's own MaxConnsPerIP races with its Shutdown.)
type fairListener struct {
	net.Listener
	share int

	mu   sync.Mutex
	held map[netip.Prefix]int // guarded by mu
}

func newFairListener(l net.Listener, share int) *fairListener {
	return &fairListener{Listener: l, share: share, held: make(map[netip.Prefix]int)}
}

// Accept gives the next connection of an address that has room; others are
// closed.
func (l *fairListener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		from := networkOf(c.RemoteAddr())
		if l.take(from) {
			return &fairConn{Conn: c, leave: sync.OnceFunc(func() { l.leave(from) })}, nil
		}
		c.Close()
	}
}

func (l *fairListener) take(from netip.Prefix) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.held[from] >= l.share {
		return false
	}
	l.held[from]++
	return true
}

func (l *fairListener) leave(from netip.Prefix) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.held[from]--; l.held[from] == 0 {
		delete(l.held, from)
	}
}

// fairConn gives its place back when it is closed.
type fairConn struct {
	net.Conn
	leave func()
}

// Close closes the connection.
func (c *fairConn) Close() error {
	defer c.leave()
	return c.Conn.Close()
}
