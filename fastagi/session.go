package fastagi

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"time"
)

var (
	// ErrHangup says that the caller hung up while the session waited.
	ErrHangup = errors.New("caller hung up")
	// ErrDeadline says that what was awaited did not come in time.
	ErrDeadline = errors.New("deadline passed")

	errEnded = errors.New("the session has ended")
	errStep  = errors.New("out of step with asterisk")
)

// closeTimeout is the minimum time a session has after its batch is written, and half the
// maximum: for the write, the replies, and until Asterisk has closed.
const closeTimeout = time.Second

// Env is what Asterisk reports of the channel when a session begins
// (res/res_agi.c, setup_env). Asterisk's word "unknown" is empty here, and
// text that is not UTF-8 has U+FFFD in place of the bad bytes.
type Env struct {
	Point      string // path of the AGI URL, without slashes around it
	Query      string // query string of the AGI URL, still encoded
	Channel    string // name, such as PJSIP/trunk-00000001
	UniqueID   string
	Version    string // Asterisk's
	CallerNum  string
	CallerName string
	// RawCallerName is CallerName as it came, if that is not UTF-8; else it is empty.
	RawCallerName string
	DNID          string
	RDNIS         string
	CallingPres   int // presentation of the caller's number, as in Q.931: bits 0x60 are 0x20 if it is withheld
	Context       string
	Extension     string
	Priority      string
	AccountCode   string
	Args          []string
}

// Variable is a channel variable, or a dialplan function, to be set. An
// inherited one is given with the underscores in front of its name.
type Variable struct {
	Name  string
	Value string
}

// Handler serves one session. It runs on a goroutine that belongs to the session
// while it runs, and ends the session by Reply or Fail; one that does neither, nor
// leaves the rest for Continue, is failed.
type Handler func(s *Session)

// Session is one AGI() line that Asterisk waits in. Its methods belong to the
// goroutine of its handler; only the wake of Await may be called from others.
type Session struct {
	conn    conn
	in      stream
	env     Env
	peer    netip.Addr
	started time.Time
	replied time.Time
	expires time.Time // deadline of the connection
	guard   *time.Timer
	rest    func()
	hungup  bool
	ended   bool // a batch or FAILURE was written
	lost    bool // replies can no longer be matched to commands
	line    [len(hangupLine)]byte
}

// expire moves the connection's deadline, which is a timer of the runtime and
// so costs more than to leave one alone that is as good.
func (s *Session) expire(deadline time.Time) {
	s.expires = deadline
	s.conn.SetDeadline(deadline)
}

// Env returns the session's environment.
func (s *Session) Env() *Env { return &s.env }

// Peer returns the address from which Asterisk connected, the zero value if it is not known.
func (s *Session) Peer() netip.Addr { return s.peer }

// Started returns when the connection was accepted.
func (s *Session) Started() time.Time { return s.started }

// Replied returns when Reply had written its batch, which is when the call went
// on; zero before.
func (s *Session) Replied() time.Time { return s.replied }

// Hungup reports whether a HANGUP line has come so far.
func (s *Session) Hungup() bool { return s.hungup }

// Read asks the channel for every expression, each a variable's or a
// function's name without the ${}, in one GET FULL VARIABLE. Values come back
// in the order of the names. When no whole reply has come by the deadline the
// error is ErrDeadline; after any error but a bad name only Reply and Fail are
// of use.
func (s *Session) Read(deadline time.Time, names ...string) ([]string, error) {
	if s.ended {
		return nil, errEnded
	}
	if s.lost {
		return nil, errStep
	}
	frame := newFrame()
	buf := buffers.Get().(*[]byte)
	defer keepBuffer(buf)
	command, err := appendRead((*buf)[:0], frame, names)
	if err != nil {
		return nil, err
	}
	s.expire(deadline)
	if _, err = s.conn.Write(command); err == nil {
		var values []string
		if values, err = s.framed(frame, len(names)); err == nil {
			return values, nil
		}
	}
	s.lost = true
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = ErrDeadline
	}
	return nil, fmt.Errorf("read channel variables: %w", err)
}

// Reply sets the variables in one batch and half-closes, so that the dialplan
// goes on; then it collects the replies, all within two seconds. Cut names the
// variables whose value was shortened to fit a command. The error names the
// first variable that has no ValidName or that Asterisk refused; the others
// are set nevertheless.
func (s *Session) Reply(vars []Variable) (cut []string, err error) {
	if s.ended {
		return nil, errEnded
	}
	buf := buffers.Get().(*[]byte)
	batch := (*buf)[:0]
	for _, v := range vars {
		var short bool
		var bad error
		if batch, short, bad = AppendSet(batch, v.Name, v.Value); short {
			cut = append(cut, v.Name)
		} else if bad != nil && err == nil {
			err = bad
		}
	}
	werr := s.finish(batch)
	*buf = batch
	keepBuffer(buf)
	if werr != nil {
		return cut, fmt.Errorf("set variables: %w", werr)
	}
	s.replied = time.Now()
	if rerr := s.confirm(vars); err == nil {
		err = rerr
	}
	return cut, err
}

// Fail ends the session with a FAILURE line, which sets AGISTATUS. It does
// nothing after Reply.
func (s *Session) Fail() {
	if !s.ended {
		_ = s.finish([]byte(failure))
	}
}

// Continue runs rest after the handler has returned, on a goroutine of its own: what has to wait
// long waits there, on a small stack. A session of the dialplan that waits for a lookup takes 11 KiB this
// way, and 14 KiB otherwise (BenchmarkWaiting: 3.9 and 4.9 KB with a handler that does nothing else).
func (s *Session) Continue(rest func()) { s.rest = rest }

// close ends the session, whatever its handler has done.
func (s *Session) close() {
	s.Fail()
	s.in.drain()
	s.in.release()
	if s.guard != nil {
		s.guard.Stop()
	}
}

// finish writes the last bytes of our side. Asterisk handles one command each
// time its socket polls readable, and all of them only once it sees the end:
// so everything goes in one write, with the half-close after it.
func (s *Session) finish(batch []byte) error {
	s.ended = true
	if left := time.Until(s.expires); left < closeTimeout || left > 2*closeTimeout {
		s.expire(time.Now().Add(closeTimeout))
	}
	if len(batch) > 0 {
		if _, err := s.conn.Write(batch); err != nil {
			return err
		}
	}
	return s.conn.CloseWrite()
}
