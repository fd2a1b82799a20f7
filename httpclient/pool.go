package httpclient

import (
	"errors"
	"slices"
	"sync"
	"time"
)

// errBusy says that every connection to a host stayed in use.
var errBusy = errors.New("every connection to the host is in use")

// pool holds the connections to one host.
type pool struct {
	dialer *dialer
	slots  chan struct{} // one for each request in progress

	mu     sync.Mutex
	idle   []*conn // the one used last is at the end
	closed bool
}

func newPool(d *dialer, size int) *pool {
	return &pool{dialer: d, slots: make(chan struct{}, size)}
}

// acquire takes a slot and returns an idle connection on which nothing has come, or a new one. It is followed by release
// or discard, unless it fails.
func (p *pool) acquire(deadline time.Time) (*conn, error) {
	if err := p.wait(deadline); err != nil {
		return nil, err
	}
	for c := p.pop(); c != nil; c = p.pop() {
		if c.quiet() {
			return c, nil
		}
		c.Close()
	}
	c, err := p.dialer.dial(deadline)
	if err != nil {
		<-p.slots
		return nil, err
	}
	return newConn(c), nil
}

// wait takes a slot, at once or within connWait.
func (p *pool) wait(deadline time.Time) error {
	select {
	case p.slots <- struct{}{}:
		return nil
	default:
	}
	timer := time.NewTimer(min(connWait, time.Until(deadline)))
	defer timer.Stop()
	select {
	case p.slots <- struct{}{}:
		return nil
	case <-timer.C:
		return errBusy
	}
}

func (p *pool) pop() *conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := len(p.idle)
	if n == 0 {
		return nil
	}
	c := p.idle[n-1]
	p.idle = slices.Delete(p.idle, n-1, n)
	c.expiry.Stop()
	return c
}

// release puts a connection back for the next request.
func (p *pool) release(c *conn) {
	defer func() { <-p.slots }()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		c.Close()
		return
	}
	if c.expiry == nil {
		c.expiry = time.AfterFunc(idle, func() { p.expire(c) })
	} else {
		c.expiry.Reset(idle)
	}
	p.idle = append(p.idle, c)
}

// discard closes a connection that cannot be used again.
func (p *pool) discard(c *conn) {
	c.Close()
	<-p.slots
}

// expire closes a connection that is still idle.
func (p *pool) expire(c *conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if i := slices.Index(p.idle, c); i >= 0 {
		p.idle = slices.Delete(p.idle, i, i+1)
		c.Close()
	}
}

// closeIdle closes the idle connections.
func (p *pool) closeIdle() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.idle {
		c.expiry.Stop()
		c.Close()
	}
	p.idle = nil
}

// close closes the idle connections now, and the others after their response.
func (p *pool) close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.closeIdle()
}
