// Package accept keeps a failed accept, too many open files for example, from ending a server: net/http and
// fasthttp give up at most of these errors.
package accept

import (
	"errors"
	"log/slog"
	"net"
	"sync"
	"time"

	"ringhook/loglimit"
)

// maxPause is the longest pause after a failed accept.
const maxPause = time.Second

// Listener is a listener whose Accept fails only after Close.
type Listener struct {
	net.Listener
	message string
	limited *loglimit.Limiter
	closed  chan struct{}
	close   func() error
}

// Patient returns a listener that waits and tries again if accepting fails, and then logs a message such as
// "cannot accept HTTP connections; trying again".
func Patient(l net.Listener, message string, log *slog.Logger) *Listener {
	p := &Listener{Listener: l, message: message, limited: loglimit.New(log, time.Minute), closed: make(chan struct{})}
	p.close = sync.OnceValue(func() error {
		close(p.closed)
		p.limited.Close()
		return l.Close()
	})
	return p
}

// Close ends a pending Accept.
func (l *Listener) Close() error { return l.close() }

// Accept returns the next connection. The error is a net.ErrClosed.
func (l *Listener) Accept() (net.Conn, error) {
	var pause time.Duration
	for {
		c, err := l.Listener.Accept()
		if err == nil || errors.Is(err, net.ErrClosed) {
			return c, err
		}
		if pause == 0 {
			l.limited.Error("accept", l.message, "err", err)
		}
		pause = min(max(2*pause, 5*time.Millisecond), maxPause)
		select {
		case <-l.closed:
			return nil, net.ErrClosed
		case <-time.After(pause):
		}
	}
}
