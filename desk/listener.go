package desk

import (
	"net"
	"sync"
	"sync/atomic"
)

// limitedListener closes connections beyond a maximum as soon as they are accepted, so that browsers cannot use up the
// files that calls need.
type limitedListener struct {
	net.Listener
	most func() int
	open atomic.Int64
}

// Accept returns the next connection that there is room for.
func (l *limitedListener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if l.open.Add(1) > int64(l.most()) {
			l.open.Add(-1)
			_ = c.Close()
			continue
		}
		return &limitedConn{Conn: c, done: sync.OnceFunc(func() { l.open.Add(-1) })}, nil
	}
}

// limitedConn counts until it is closed.
type limitedConn struct {
	net.Conn
	done func()
}

// Close closes the connection.
func (c *limitedConn) Close() error {
	defer c.done()
	return c.Conn.Close()
}
