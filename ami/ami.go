// Package ami is a client of the Asterisk Manager Interface.
//
// It logs in, sends actions, collects lists, and delivers events in order. It
// guarantees that an action is sent whole or not at all and cannot carry a
// second one, that data inside a message is never read as a message, that
// memory is bounded whatever Asterisk sends, and that a slow user of events
// never slows down the reader: events that find no room are dropped, counted,
// and followed by a request to read the state again.
package ami

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"ringhook/loglimit"
)

// ErrAway is returned while there is no session with Asterisk.
var ErrAway = errors.New("not connected to Asterisk's manager interface")

// ErrLost is returned if the connection ended after an action was sent: whether Asterisk
// ran it is not known.
var ErrLost = errors.New("connection to Asterisk's manager interface lost")

// MayHaveRun reports whether Asterisk may have carried an action out that failed with err: it was sent, and no answer
// arrived.
func MayHaveRun(err error) bool {
	return errors.Is(err, ErrLost) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)
}

// Watcher is the user of events. Its methods are called one at a time, on one goroutine.
type Watcher interface {
	// Connected is called after each connect, and after events were dropped: what
	// is known must be read again, by lists. Events that arrive meanwhile wait.
	// ctx ends with the connection. After an error the client connects again.
	Connected(ctx context.Context) error
	// Event is called for each event that the client delivers.
	Event(ctx context.Context, m Message)
	// Tick is called every ten seconds while connected, and after Wake.
	Tick(ctx context.Context)
	// Disconnected is called when the connection is lost.
	Disconnected()
}

// Client is a connection to one Asterisk: one session for events, and one for
// actions and lists, because a session runs one action at a time and its events
// wait until that is done. Make one with New.
type Client struct {
	cfg     Config
	tls     *tls.Config
	log     *slog.Logger
	limited *loglimit.Limiter // nil before Start
	metrics *metrics
	known   map[string]bool // events that are delivered
	dial    func(ctx context.Context) (net.Conn, error)
	actions atomic.Pointer[session] // nil while not connected
	wake    chan struct{}           // has deliver call Tick
	watches watches
}

// Timing of a connection.
const (
	firstPause = 500 * time.Millisecond
	longPause  = 30 * time.Second
	// refusedPause follows a wrong secret. Tools such as fail2ban block an address
	// that repeats one quickly.
	refusedPause = time.Minute
	// stableAfter is the duration after which a connection counts as good, so that the next
	// pause is short again.
	stableAfter = time.Minute
	tickEvery   = 10 * time.Second
	// actionTime is the longest that a response or list is waited for; most take under 1 ms.
	actionTime = 10 * time.Second
)

// New returns a client that delivers the named events. It returns an error if the CA
// file cannot be read.
func New(cfg Config, events []string, log *slog.Logger, m *Metrics) (*Client, error) {
	c := &Client{cfg: cfg, log: log.With("server", cfg.Name), known: make(map[string]bool, len(events)), metrics: &metrics{Metrics: m}}
	var err error
	if c.tls, err = cfg.tlsConfig(); err != nil {
		return nil, err
	}
	for _, name := range events {
		c.known[name] = true
	}
	c.dial, c.wake = c.dialTCP, make(chan struct{}, 1)
	return c, nil
}

// Name returns the name that the configuration has for this Asterisk.
func (c *Client) Name() string { return c.cfg.Name }

func (c *Client) dialTCP(ctx context.Context) (net.Conn, error) {
	d := net.Dialer{Timeout: 5 * time.Second}
	if c.tls == nil {
		return d.DialContext(ctx, "tcp", c.cfg.Address)
	}
	secure := tls.Dialer{NetDialer: &d, Config: c.tls}
	return secure.DialContext(ctx, "tcp", c.cfg.Address)
}

// Start keeps the client connected in the background until ctx ends, and delivers events to w. It closes
// done after its last call of w.
func (c *Client) Start(ctx context.Context, w Watcher) (done <-chan struct{}) {
	c.metrics.connecting(c.cfg.Name, c.known)
	c.limited = loglimit.New(c.log, time.Minute)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		defer c.limited.Close()
		c.run(ctx, w)
	}()
	return ended
}

func (c *Client) run(ctx context.Context, w Watcher) {
	pause, said := firstPause, ""
	for {
		began := time.Now()
		err := c.connection(ctx, w)
		if ctx.Err() != nil {
			return
		}
		if time.Since(began) > stableAfter {
			pause, said = firstPause, ""
		}
		wait := pause/2 + rand.N(pause)
		if errors.Is(err, errRefused) {
			wait = refusedPause
		}
		// An Asterisk that stays away is logged once, until the reason changes.
		if text := reason(err); text != said {
			said = text
			c.log.Warn("no connection to the manager interface", "err", err, "retry_in", wait.Round(time.Millisecond), "hint", "ringhook ami check "+c.cfg.Name)
		}
		pause = min(2*pause, longPause)
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}

// reason returns the text of an error without the port of this side, which differs in each attempt.
func reason(err error) string {
	var failed *net.OpError
	if errors.As(err, &failed) {
		return failed.Op + ": " + failed.Err.Error()
	}
	return err.Error()
}

// connection connects both sessions, and serves until one of them ends.
func (c *Client) connection(ctx context.Context, w Watcher) (err error) {
	// A mask that names system is what FullyBooted needs; the other two are the
	// events of calls and queues. VarSet and Newexten would triple the volume.
	events, err := c.open(ctx, "system,call,agent", bootTime)
	if err != nil {
		return err
	}
	defer events.close(nil)
	actions, err := c.open(ctx, "system", bootTime)
	if err != nil {
		return err
	}
	defer actions.close(nil)

	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	q := newQueue()
	events.event = func(m Message, size int) { c.receive(q, m, size) }
	var running sync.WaitGroup
	for _, s := range []*session{events, actions} {
		running.Go(func() {
			cancel(s.read())
		})
		running.Go(func() { s.keepAlive(ctx) })
	}
	c.actions.Store(actions)
	c.metrics.connected.Set(1)
	c.log.Info("connected to the manager interface", "version", actions.version)
	running.Go(func() { cancel(c.deliver(ctx, q, w)) })

	<-ctx.Done()
	c.actions.Store(nil)
	c.metrics.connected.Set(0)
	events.close(nil)
	actions.close(nil)
	running.Wait()
	c.watches.lose()
	return context.Cause(ctx)
}

// receive queues an event. The reader calls it, so it must not block. A nil message stands for
// one that was too large to read.
func (c *Client) receive(q *queue, m Message, size int) {
	if m == nil {
		c.metrics.dropped.Inc()
		q.lose()
		c.watches.lose()
		return
	}
	c.watches.deliver(m)
	name := m.Event()
	if !c.known[name] {
		return
	}
	c.metrics.events[name].Inc()
	if !q.put(m, size) {
		c.metrics.dropped.Inc()
	}
}

// deliver hands the events to the watcher until ctx ends.
func (c *Client) deliver(ctx context.Context, q *queue, w Watcher) (err error) {
	defer c.guard(ctx, q, w.Disconnected)
	tick := time.NewTicker(tickEvery)
	defer tick.Stop()
	q.lose() // nothing is known yet
	known := false
	for err == nil && ctx.Err() == nil {
		if q.lost.Load() {
			if dropped := q.clear(); known { // what came before the first lists is in them
				c.metrics.dropped.Add(float64(dropped))
			}
			known = true
			c.guard(ctx, q, func() { err = w.Connected(ctx) })
			continue
		}
		select {
		case <-ctx.Done():
		case <-q.overflow:
		case <-tick.C:
			c.guard(ctx, q, func() { w.Tick(ctx) })
		case <-c.wake:
			c.guard(ctx, q, func() { w.Tick(ctx) })
		case e := <-q.events:
			q.bytes.Add(-int64(e.size))
			c.guard(ctx, q, func() { w.Event(ctx, e.message) })
		}
	}
	return err
}

// panicPause keeps an event that makes the watcher panic again and again from
// becoming a busy loop.
const panicPause = time.Second

// guard keeps a panic over one event from ending the program. What the watcher
// knows is then doubtful, so it must read the state again.
func (c *Client) guard(ctx context.Context, q *queue, f func()) {
	defer func() {
		if v := recover(); v != nil {
			c.limited.Error("panic", "manager event panicked", "err", v, "stack", string(debug.Stack()))
			q.lose()
			select {
			case <-ctx.Done():
			case <-time.After(panicPause):
			}
		}
	}()
	f()
}

// Do sends an action and returns its response. The error is ErrAway, ErrLost, ErrInvalid, a
// *RejectedError or ctx's; each can be wrapped.
func (c *Client) Do(ctx context.Context, a Action) (Message, error) {
	response, _, err := c.send(ctx, a, false)
	return response, err
}

// List sends an action that answers with a list, and returns the list's
// messages without the closing one. The errors are those of Do.
func (c *Client) List(ctx context.Context, a Action) ([]Message, error) {
	_, items, err := c.send(ctx, a, true)
	return items, err
}

// Wake has the watcher's Tick called soon.
func (c *Client) Wake() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// Connected reports whether actions can be sent.
func (c *Client) Connected() bool { return c.actions.Load() != nil }

// aliveTime is the longest that Alive waits for Asterisk. A Ping takes 23 us.
const aliveTime = 700 * time.Millisecond

// Alive returns nil if Asterisk answers actions now, else ErrAway or ctx's error. A connection whose other end has gone or
// stands still is found by keepAlive only after some seconds; an action that is sent meanwhile may or may not be carried
// out. That there was a message a moment ago does not show it.
func (c *Client) Alive(ctx context.Context) error {
	s := c.actions.Load()
	if s == nil {
		return fmt.Errorf("%s: %w", c.cfg.Name, ErrAway)
	}
	soon, cancel := context.WithTimeout(ctx, aliveTime)
	defer cancel()
	if _, _, err := s.do(soon, Action{Name: "Ping"}, false); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return fmt.Errorf("%s does not answer: %w", c.cfg.Name, ErrAway)
	}
	return nil
}

func (c *Client) send(ctx context.Context, a Action, list bool) (response Message, items []Message, err error) {
	ctx, cancel := context.WithTimeout(ctx, actionTime)
	defer cancel()
	began := time.Now()
	if s := c.actions.Load(); s == nil {
		err = ErrAway
	} else {
		response, items, err = s.do(ctx, a, list)
	}
	c.metrics.action(a.Name, err, time.Since(began))
	if err != nil {
		return nil, nil, fmt.Errorf("%s on %s: %w", a.Name, c.cfg.Name, err)
	}
	return response, items, nil
}

// Once connects the session for actions alone, calls f, and ends the session. It is for
// commands; a client that runs is already connected.
func (c *Client) Once(ctx context.Context, f func(ctx context.Context) error) error {
	s, err := c.open(ctx, "system", loginTime)
	if err != nil {
		return err
	}
	var reading sync.WaitGroup
	reading.Go(func() { _ = s.read() })
	defer reading.Wait()
	defer s.close(nil)
	c.actions.Store(s)
	defer c.actions.Store(nil)
	return f(ctx)
}
