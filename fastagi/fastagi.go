// Package fastagi is the server's side of FastAGI, Asterisk's way to ask a
// program over TCP what to do with a call.
//
// It reads the environment under limits of time and size, hands the session to
// a handler, and answers with one batch of SET VARIABLE commands and a
// half-close, the only way to have Asterisk run them without a pause. Whatever
// the other side sends, slowly, endlessly or as rubbish, ends its own session
// and no other; whatever the handler does, the call goes on at the latest two
// seconds after its budget.
package fastagi

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"ringhook/loglimit"
)

// Server serves FastAGI sessions. Make one with New.
type Server struct {
	handler  Handler
	log      *slog.Logger
	limited  *loglimit.Limiter // for what a session causes
	refusals *refusals
	settings atomic.Pointer[settings]
	active   atomic.Int64 // sessions that a handler serves
	shedding atomic.Int64 // sessions that are being answered FAILURE for want of room

	running sync.WaitGroup // accept loops and sessions
	closing chan struct{}
	next    chan func()  // sessions for goroutines that wait for one
	idle    atomic.Int64 // goroutines that wait
	workers sync.WaitGroup
	mu      sync.Mutex
	closed  bool                      // guarded by mu
	listens map[net.Listener]struct{} // guarded by mu
	open    map[conn]struct{}         // guarded by mu
	peers   map[netip.Addr]int64      // sessions of each address; guarded by mu
}

// settings are what a reload may change.
type settings struct {
	allow       []netip.Prefix
	maxSessions int64
	maxShed     int64 // sessions that may be answered FAILURE at once
	share       int64 // of maxSessions for one address
	longest     time.Duration
}

// grace is the time after its budget at which a session is closed in any case.
const grace = 2 * time.Second

// New makes a server that hands every session to handler. It registers its
// metrics with reg, and returns an error when cfg does not pass its Check.
func New(cfg Config, handler Handler, log *slog.Logger, reg prometheus.Registerer) (*Server, error) {
	s := &Server{
		handler: handler,
		log:     log,
		limited: loglimit.New(log, time.Minute),
		closing: make(chan struct{}),
		next:    make(chan func()),
		listens: map[net.Listener]struct{}{},
		open:    map[conn]struct{}{},
		peers:   map[netip.Addr]int64{},
	}
	if err := s.Reconfigure(cfg); err != nil {
		return nil, err
	}
	s.refusals = newRefusals(log, reg)
	reg.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "ringhook_agi_sessions_active",
		Help: "FastAGI sessions being served.",
	}, func() float64 { return float64(s.active.Load()) }))
	return s, nil
}

// Reconfigure puts allow, budget and max_sessions of cfg in force for sessions
// to come; a change of listen has no effect. When cfg does not pass its Check
// nothing changes.
func (s *Server) Reconfigure(cfg Config) error {
	var err error
	cfg.Check(func(key, problem string) {
		err = errors.Join(err, fmt.Errorf("fastagi.%s: %s", key, problem))
	})
	if err != nil {
		return err
	}
	next := &settings{
		maxSessions: int64(cfg.MaxSessions), maxShed: int64(cfg.MaxConnections() - cfg.MaxSessions), longest: cfg.Budget + grace,
	}
	for _, text := range cfg.Allow {
		p, err := parsePrefix(text)
		if err != nil {
			return err
		}
		next.allow = append(next.allow, p)
	}
	// Where others may connect too, one that floods leaves them room.
	next.share = next.maxSessions
	if len(next.allow) > 1 || !next.allow[0].IsSingleIP() {
		next.share = (next.maxSessions + 1) / 2
	}
	s.settings.Store(next)
	return nil
}

// Serve accepts sessions from l, which Listen makes, until Shutdown is called,
// which makes it return nil, or the listener breaks. It closes l.
func (s *Server) Serve(l net.Listener) error {
	defer l.Close()
	if !s.enter(l) {
		return nil
	}
	defer s.leave(l)
	if err := setOptions(l); err != nil {
		s.log.Warn("cannot set socket options for agi; a peer that vanishes is noticed late", "err", err)
	}
	var pause time.Duration
	for {
		c, err := l.Accept()
		select {
		case <-s.closing:
			if err == nil {
				c.Close()
			}
			return nil
		default:
		}
		if err == nil {
			pause = 0
			s.accept(c)
			continue
		}
		if errors.Is(err, net.ErrClosed) {
			return fmt.Errorf("accept agi session: %w", err)
		}
		// Too many open files, most likely: sessions that end make room.
		pause = min(max(2*pause, 5*time.Millisecond), time.Second)
		s.refusals.acceptFailed(err)
		select {
		case <-s.closing:
		case <-time.After(pause):
		}
	}
}

func (s *Server) enter(l net.Listener) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.listens[l] = struct{}{}
	s.running.Add(1)
	return true
}

func (s *Server) leave(l net.Listener) {
	s.mu.Lock()
	delete(s.listens, l)
	s.mu.Unlock()
	s.running.Done()
}

// Shutdown stops accepting and waits for the sessions to end. When ctx is done
// it closes those that are left, waits for their handlers, and returns an
// error that says how many they were.
func (s *Server) Shutdown(ctx context.Context) error {
	defer s.limited.Close()
	s.mu.Lock()
	if !s.closed {
		s.closed = true
		close(s.closing)
	}
	for l := range s.listens {
		l.Close()
	}
	s.mu.Unlock()

	done := make(chan struct{})
	go func() {
		s.running.Wait()
		s.workers.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
	}
	s.mu.Lock()
	left := len(s.open)
	for c := range s.open {
		c.Close()
	}
	s.mu.Unlock()
	<-done
	if left == 0 {
		return nil
	}
	return fmt.Errorf("shut down agi: %d sessions cut off: %w", left, context.Cause(ctx))
}
