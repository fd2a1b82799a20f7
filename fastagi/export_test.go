package fastagi

// What the tests that play Asterisk at the other end need of a session.
// They stand outside the package, for asterisk imports it.
var (
	AppendRead = appendRead
	NewFrame   = newFrame
	Unsendable = unsendable
	ErrStep    = errStep
	ErrEnded   = errEnded
	ErrCut     = errCut
	ErrTooLong = errTooLong
)

const (
	HangupLine = hangupLine
	MaxReply   = maxReply
)

// NewSession makes a session whose environment has been read.
func NewSession(c conn) *Session {
	s := &Session{conn: c}
	s.in.src = c
	return s
}

func (s *Session) Held() []byte { return s.in.bytes() }

func (s *Session) Release() { s.in.release() }

func (s *Session) Framed(frame string, fields int) ([]string, error) { return s.framed(frame, fields) }
