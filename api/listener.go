package api

import (
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"
)

// maxAcceptPause is the longest pause after a failed accept.
const maxAcceptPause = time.Second

// fairListener limits the connections of one address to a share, so that a
// client that only holds connections does not lock others out. It outlives
// failed accepts. (fasthttp's own MaxConnsPerIP races with its Shutdown.)
type fairListener struct {
	net.Listener
	share  int
	log    *slog.Logger
	closed chan struct{}
	close  func() error

	mu   sync.Mutex
	held map[netip.Prefix]int // guarded by mu
}

func newFairListener(l net.Listener, share int, log *slog.Logger) *fairListener {
	f := &fairListener{Listener: l, share: share, log: log, closed: make(chan struct{}), held: make(map[netip.Prefix]int)}
	f.close = sync.OnceValue(func() error {
		close(f.closed)
		return l.Close()
	})
	return f
}

// Close ends a pending Accept.
func (l *fairListener) Close() error { return l.close() }

// Accept returns the next connection of an address that has connections left, and
// closes others. If accepting fails, too many open files for example, it waits and
// tries again: an error would end the server. It fails only after Close.
func (l *fairListener) Accept() (net.Conn, error) {
	var pause time.Duration
	for {
		c, err := l.Listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return nil, err
		}
		if err != nil {
			if pause == 0 {
				l.log.Error("cannot accept HTTP connections; trying again", "err", err)
			}
			pause = min(max(2*pause, 5*time.Millisecond), maxAcceptPause)
			select {
			case <-l.closed:
				return nil, net.ErrClosed
			case <-time.After(pause):
			}
			continue
		}
		pause = 0
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
