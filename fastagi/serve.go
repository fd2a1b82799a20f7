package fastagi

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"runtime/debug"
	"time"
)

// environmentTime is for the whole environment, which Asterisk sends at once.
const environmentTime = 2 * time.Second

// accept decides about a connection and starts its session.
func (s *Server) accept(accepted net.Conn) {
	a, ok := s.decide(accepted, time.Now())
	switch {
	case !ok:
		accepted.Close()
	case !s.remember(a.conn):
		a.leave(a.peer)
		accepted.Close()
	default:
		s.start(a)
	}
}

// admission is a connection that gets a session.
type admission struct {
	conn  conn
	peer  netip.Addr
	at    time.Time
	set   *settings
	serve func(c conn, peer netip.Addr, started time.Time, longest time.Duration) (rest func())
	leave func(peer netip.Addr) // frees its place
}

// decide reports whether a connection gets a session, and which. A peer that is not
// allowed is sent nothing. If the server is full a session is answered FAILURE, up to
// maxShed at once; further connections are closed, so that a flood costs nothing.
func (s *Server) decide(accepted net.Conn, now time.Time) (admission, bool) {
	c, ok := accepted.(conn)
	peer, known := peerOf(accepted)
	set := s.settings.Load()
	if !ok || !known || !set.allows(peer) {
		s.refusals.refuse(now, refusedPeer, peer, "", errors.New("not in fastagi.allow"))
		return admission{}, false
	}
	a := admission{conn: c, peer: peer, at: now, set: set, serve: s.serve, leave: s.quit}
	if err := s.take(peer, set); err != nil {
		s.refusals.refuse(now, refusedBusy, peer, "", err)
		a.serve, a.leave = s.shed, s.quitShedding
		if s.shedding.Add(1) > set.maxShed {
			a.leave(peer)
			return admission{}, false
		}
	}
	return a, true
}

// start runs a session on a goroutine that waits for one, or on a new one.
func (s *Server) start(a admission) {
	session := func() {
		rest := a.serve(a.conn, a.peer, a.at, a.set.longest)
		if rest == nil {
			s.end(a)
			return
		}
		s.workers.Go(func() {
			defer s.end(a)
			rest()
		})
	}
	select {
	case s.next <- session:
	default:
		s.workers.Go(func() { s.work(session) })
	}
}

func (s *Server) end(a admission) {
	s.forget(a.conn)
	a.leave(a.peer)
	s.running.Done()
}

// maxIdle is the maximum number of goroutines that wait for a session.
const maxIdle = 256

// work runs a session and then waits for the next one: a stack that has grown
// once need not be copied again. It ends with the server.
func (s *Server) work(session func()) {
	for {
		session()
		if s.idle.Add(1) > maxIdle {
			s.idle.Add(-1)
			return
		}
		select {
		case session = <-s.next:
			s.idle.Add(-1)
		case <-s.closing:
			return
		}
	}
}

// take takes a place for a session, or says why there is none.
func (s *Server) take(peer netip.Addr, set *settings) error {
	if s.active.Add(1) > set.maxSessions {
		s.active.Add(-1)
		return errors.New("fastagi.max_sessions reached")
	}
	if peer.IsLoopback() { // a process of this machine has many addresses
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.peers[peer] >= set.share {
		s.active.Add(-1)
		return errors.New("half of fastagi.max_sessions are this address's already")
	}
	s.peers[peer]++
	return nil
}

// quit returns a place back.
func (s *Server) quit(peer netip.Addr) {
	s.active.Add(-1)
	if peer.IsLoopback() {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.peers[peer]--; s.peers[peer] == 0 {
		delete(s.peers, peer)
	}
}

func (s *Server) quitShedding(netip.Addr) { s.shedding.Add(-1) }

func peerOf(c net.Conn) (netip.Addr, bool) {
	tcp, ok := c.RemoteAddr().(*net.TCPAddr)
	if !ok {
		return netip.Addr{}, false
	}
	return tcp.AddrPort().Addr().Unmap().WithZone(""), true
}

func (set *settings) allows(peer netip.Addr) bool {
	for _, p := range set.allow {
		if p.Contains(peer) {
			return true
		}
	}
	return false
}

// remember enters a connection for Shutdown to find, unless that has begun.
func (s *Server) remember(c conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.open[c] = struct{}{}
	s.running.Add(1)
	return true
}

func (s *Server) forget(c conn) {
	s.mu.Lock()
	delete(s.open, c)
	s.mu.Unlock()
	c.Close()
}

// serve runs one session from its environment to its end, or to where it has
// nothing to do but wait: then the rest is what is left of it.
func (s *Server) serve(c conn, peer netip.Addr, started time.Time, longest time.Duration) (rest func()) {
	ses := &Session{conn: c, peer: peer, started: started}
	ses.in.src = c
	s.protect(ses, func() { s.handle(ses, peer, longest) })
	if ses.rest == nil {
		ses.close()
		return nil
	}
	return func() {
		s.protect(ses, ses.rest)
		ses.close()
	}
}

// protect keeps a panic from the other sessions. What a panicking session
// holds is left to the garbage collector.
func (s *Server) protect(ses *Session, f func()) {
	defer func() {
		if v := recover(); v != nil {
			ses.rest = nil
			s.refusals.panics.Inc()
			s.limited.Error("panic", "agi session panicked", "point", ses.env.Point, "channel", ses.env.Channel, "err", v, "stack", string(debug.Stack()))
		}
	}()
	f()
}

// handle reads the environment and calls the handler.
func (s *Server) handle(ses *Session, peer netip.Addr, longest time.Duration) {
	if err := ses.begin(); errors.Is(err, errSilent) {
		s.log.Debug("agi connection closed without a word", "peer", peer)
		return
	} else if err != nil {
		s.refusals.refuse(time.Now(), refusedEnvironment, peer, ses.env.Channel, err)
		return
	}
	ses.guard = time.AfterFunc(time.Until(ses.started.Add(longest)), func() {
		ses.conn.Close()
		s.limited.Error("late", "agi session closed: its handler did not end in time", "point", ses.env.Point, "channel", ses.env.Channel)
	})
	s.handler(ses)
}

// errSilent says that a peer connected and closed, as a monitoring probe does.
var errSilent = errors.New("closed without a word")

// begin reads the environment. Of one that is refused only the channel's name
// is kept, for the log.
func (s *Session) begin() error {
	s.expire(s.started.Add(environmentTime))
	text, err := readEnvironment(&s.in)
	if err == nil {
		err = parseEnvironment(text, &s.env)
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, io.EOF) && len(text) == 0:
		return errSilent
	case errors.Is(err, os.ErrDeadlineExceeded):
		err = fmt.Errorf("not complete within %v", environmentTime)
	}
	s.env = Env{Channel: channelOf(text)}
	return fmt.Errorf("read environment: %w", err)
}

// shed reads the environment of a session that there is no room for, so that
// closing does not reset the connection before Asterisk has seen the FAILURE.
func (s *Server) shed(c conn, _ netip.Addr, started time.Time, _ time.Duration) (rest func()) {
	ses := &Session{conn: c, started: started}
	ses.in.src = c
	c.SetReadDeadline(started.Add(environmentTime))
	_, _ = readEnvironment(&ses.in)
	ses.close()
	return nil
}
