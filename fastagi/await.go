package fastagi

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"
)

// aLongTimeAgo is a deadline that has always passed: it wakes a read.
var aLongTimeAgo = time.Unix(1, 0)

// Await blocks until wake is called, the caller hangs up (ErrHangup) or the
// deadline passes (ErrDeadline); any other error means that Asterisk is gone
// or out of step. start is called once with wake, which may be called from any
// goroutine, early, late and repeatedly. When the caller has hung up before,
// start is called all the same. While it blocks the session has no buffer, and
// no goroutine but its own, which reads.
func (s *Session) Await(deadline time.Time, start func(wake func())) error {
	if s.ended {
		return errEnded
	}
	w := &waiter{conn: s.conn}
	s.expires = time.Time{}
	s.conn.SetReadDeadline(deadline)
	start(w.wake)
	err := s.hangup()
	woken := w.stop()
	switch {
	case err == nil:
		s.hungup = true
		return ErrHangup
	case errors.Is(err, os.ErrDeadlineExceeded) && woken:
		return nil
	case errors.Is(err, os.ErrDeadlineExceeded):
		return ErrDeadline
	}
	s.lost = true
	return fmt.Errorf("wait for an answer: %w", err)
}

// hangup reads until a whole HANGUP line has come, the one thing that
// Asterisk says unasked. What has come of it when the read ends stays.
func (s *Session) hangup() error {
	if s.hungup {
		return nil
	}
	n := copy(s.line[:], s.in.bytes())
	s.in.take(n)
	if len(s.in.bytes()) == 0 {
		s.in.release()
	}
	for {
		if !strings.HasPrefix(hangupLine, string(s.line[:n])) {
			return errStep
		}
		if n == len(hangupLine) {
			return nil
		}
		m, err := s.conn.Read(s.line[n:])
		n += m
		if err != nil {
			s.in.hold(s.line[:n])
			return err
		}
	}
}

// waiter turns wake into a read deadline in the past, as long as the session
// waits: a late wake must not end a later read.
type waiter struct {
	mu    sync.Mutex
	conn  conn // nil when the wait is over
	woken bool
}

func (w *waiter) wake() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.conn != nil && !w.woken {
		w.woken = true
		w.conn.SetReadDeadline(aLongTimeAgo)
	}
}

func (w *waiter) stop() (woken bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.conn = nil
	return w.woken
}
