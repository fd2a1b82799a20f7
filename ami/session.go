package ami

import (
	"bufio"
	"context"
	"crypto/md5"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Times of a session.
const (
	loginTime = 10 * time.Second
	// bootTime is the longest that FullyBooted is waited for; modules with much to
	// load need some seconds.
	bootTime  = 60 * time.Second
	writeTime = 5 * time.Second
	pingEvery = 15 * time.Second
	pingTime  = 10 * time.Second
)

// maxList bounds a list, in bytes: an entry has about 500, and the largest switchboards have
// some thousand channels.
const maxList = 64 << 20

// errRefused is returned if Asterisk does not accept the user name and secret.
var errRefused = errors.New("user name or secret not accepted")

// session is one logged-in connection.
type session struct {
	conn    net.Conn
	in      *reader
	version string
	prefix  string                    // of the ActionIDs
	event   func(m Message, size int) // nil ignores events; m is nil if one was too large; must not block
	done    chan struct{}             // closed by close
	write   sync.Mutex                // held while an action is written
	mu      sync.Mutex                // guards the rest
	waiting map[string]*request       // by ActionID
	last    uint64                    // number of the last ActionID
	err     error                     // why it was closed
}

// request is an action whose response is awaited.
type request struct {
	list     bool
	response Message
	items    []Message
	size     int // of the items' text
	err      error
	done     chan struct{}
}

// open connects, logs in and waits, at most so long, until Asterisk has started completely. Before
// that, actions of modules that are still loading are unknown to it.
func (c *Client) open(ctx context.Context, mask string, boot time.Duration) (*session, error) {
	conn, err := c.dial(ctx)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", c.cfg.Address, err)
	}
	id := make([]byte, 8)
	rand.Read(id)
	s := &session{
		conn: conn, prefix: hex.EncodeToString(id) + "-", waiting: map[string]*request{},
		done: make(chan struct{}),
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	err = s.login(&c.cfg, mask)
	if err == nil {
		err = s.awaitBoot(boot)
	}
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("log in at %s as %s: %w", c.cfg.Address, c.cfg.Username, err)
	}
	return s, nil
}

func (s *session) login(cfg *Config, mask string) error {
	s.conn.SetDeadline(time.Now().Add(loginTime))
	greeting := bufio.NewReaderSize(s.conn, 16<<10)
	line, err := greeting.ReadSlice('\n')
	if err != nil {
		return fmt.Errorf("read greeting: %w", err)
	}
	version, ok := strings.CutPrefix(strings.TrimSpace(string(line)), "Asterisk Call Manager/")
	if !ok {
		return errors.New("the other side is not Asterisk's manager interface")
	}
	s.version, s.in = version, &reader{src: greeting}

	// Login sends only a hash of the secret.
	challenge, err := s.ask(Action{"Challenge", []Field{{"AuthType", "MD5"}}})
	if err != nil {
		return err
	}
	key := md5.Sum([]byte(challenge.Get("Challenge") + cfg.Secret))
	_, err = s.ask(Action{"Login", []Field{
		{"AuthType", "MD5"}, {"Username", cfg.Username}, {"Key", hex.EncodeToString(key[:])}, {"Events", mask},
	}})
	if refused := new(RejectedError); errors.As(err, &refused) && strings.Contains(refused.Message, "Authentication failed") {
		return errRefused
	}
	if err != nil {
		return err
	}
	return nil
}

// awaitBoot waits until Asterisk has started completely.
func (s *session) awaitBoot(longest time.Duration) error {
	s.conn.SetDeadline(time.Now().Add(longest))
	for {
		m, _, err := s.in.next()
		if errors.Is(err, errTooLarge) {
			continue
		}
		if err != nil {
			return fmt.Errorf("no FullyBooted event, for which the account needs read=system: %w", err)
		}
		if m.Event() == "FullyBooted" {
			s.conn.SetDeadline(time.Time{})
			return nil
		}
	}
}

// ask sends an action and reads until its response. It is used before read runs.
func (s *session) ask(a Action) (Message, error) {
	s.last++
	id := s.prefix + strconv.FormatUint(s.last, 10)
	text, err := a.encode(id)
	if err != nil {
		return nil, err
	}
	if _, err := s.conn.Write(text); err != nil {
		return nil, err
	}
	for {
		m, _, err := s.in.next()
		if errors.Is(err, errTooLarge) {
			continue
		}
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = errors.New("connection closed by Asterisk")
			}
			return nil, fmt.Errorf("%s: %w", a.Name, err)
		}
		if m.Response() == "" || m.Get("ActionID") != id {
			continue
		}
		return m, rejected(a.Name, m)
	}
}

func rejected(action string, m Message) error {
	if m.Response() != "Error" {
		return nil
	}
	return &RejectedError{action, m.Get("Message")}
}

// read distributes what Asterisk sends until the session ends, and returns why it did.
func (s *session) read() error {
	for {
		m, size, err := s.in.next()
		switch {
		case errors.Is(err, errTooLarge):
			if s.event != nil {
				s.event(nil, 0)
			}
			continue
		case err != nil:
			s.close(fmt.Errorf("%w: %w", ErrLost, err))
			return s.reason()
		}
		if !s.answers(m, size) && s.event != nil && m.Event() != "" {
			s.event(m, size)
		}
	}
}

// answers hands a message to the action that waits for it, if there is one.
func (s *session) answers(m Message, size int) bool {
	id := m.Get("ActionID")
	if !strings.HasPrefix(id, s.prefix) {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.waiting[id]
	if r == nil {
		return m.Response() != ""
	}
	switch {
	case m.Response() != "":
		if r.response != nil {
			return true // only the first counts
		}
		r.response = m
		if !r.list || m.Response() == "Error" {
			s.finish(id, r)
		}
		return true
	case !r.list || r.response == nil:
		return false // a live event that the action caused
	case m.Get("EventList") == "Complete":
		if n := m.Get("ListItems"); n != strconv.Itoa(len(r.items)) {
			r.err = fmt.Errorf("list of %d instead of %s entries", len(r.items), n)
		}
		s.finish(id, r)
	case m.Get("EventList") == "Cancelled":
		r.err = errors.New("list cancelled")
		s.finish(id, r)
	case r.size+size > maxList:
		r.err = fmt.Errorf("list of more than %d bytes", maxList)
		s.finish(id, r)
	default:
		r.items = append(r.items, m)
		r.size += size
	}
	return true
}

// finish wakes the action's caller. mu is held.
func (s *session) finish(id string, r *request) {
	delete(s.waiting, id)
	close(r.done)
}

// do sends an action and waits for its response, and its list.
func (s *session) do(ctx context.Context, a Action, list bool) (Message, []Message, error) {
	r := &request{list: list, done: make(chan struct{})}
	s.mu.Lock()
	s.last++
	id := s.prefix + strconv.FormatUint(s.last, 10)
	text, err := a.encode(id)
	if err != nil {
		s.mu.Unlock()
		return nil, nil, err
	}
	s.waiting[id] = r
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.waiting, id)
	}()

	if err := s.send(text); err != nil {
		return nil, nil, err
	}
	select {
	case <-r.done:
	case <-s.done:
		return nil, nil, ErrLost
	case <-ctx.Done():
		return nil, nil, ctx.Err()
	}
	if r.err == nil {
		r.err = rejected(a.Name, r.response)
	}
	return r.response, r.items, r.err
}

// send writes an action whole. After a write that failed, where the next line would
// begin is not known, so the session ends.
func (s *session) send(text []byte) error {
	s.write.Lock()
	defer s.write.Unlock()
	s.conn.SetWriteDeadline(time.Now().Add(writeTime))
	if _, err := s.conn.Write(text); err != nil {
		s.close(fmt.Errorf("%w: %w", ErrLost, err))
		return ErrLost
	}
	return nil
}

// keepAlive sends a Ping at intervals, and ends the session if there is no response.
func (s *session) keepAlive(ctx context.Context) {
	every := time.NewTicker(pingEvery)
	defer every.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.done:
			return
		case <-every.C:
		}
		ping, cancel := context.WithTimeout(ctx, pingTime)
		_, _, err := s.do(ping, Action{Name: "Ping"}, false)
		cancel()
		if err != nil && ctx.Err() == nil {
			s.close(fmt.Errorf("%w: no response to a Ping within %v", ErrLost, pingTime))
			return
		}
	}
}

// close ends the session. The first reason is kept.
func (s *session) close(why error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-s.done:
		return
	default:
	}
	s.err = why
	close(s.done)
	s.conn.Close()
}

func (s *session) reason() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		return ErrLost
	}
	return s.err
}
