// Package amitest plays Asterisk's manager interface for tests. It reads actions as Asterisk was
// measured to read them, and answers with bytes that the test provides, as they
// were recorded from Asterisk 16 and 22.
package amitest

import (
	"bufio"
	"crypto/md5"
	"encoding/hex"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// The account that a Server accepts unless it is changed.
const (
	Username = "ringhook"
	Secret   = "s3cret"
)

// Challenge is what Server asks the client to hash with its secret.
const Challenge = "123198172"

// Greetings of the two versions that the lab has.
const (
	Greeting16 = "Asterisk Call Manager/5.0.4"
	Greeting22 = "Asterisk Call Manager/11.0.0"
)

// Request is an action as Asterisk reads it.
type Request struct {
	Action string
	ID     string
	Fields [][2]string // keys and values, without Action and ActionID
}

// Get returns the first value of a field, or "".
func (r *Request) Get(key string) string {
	for _, f := range r.Fields {
		if strings.EqualFold(f[0], key) {
			return f[1]
		}
	}
	return ""
}

// Server plays one Asterisk. Its exported fields may be changed before the first session.
type Server struct {
	Greeting string // without CR LF
	Secret   string
	// NoBoot leaves out FullyBooted, as for an account without read=system.
	NoBoot bool

	mu       sync.Mutex // guards the rest
	answers  map[string]func(*Request) string
	requests []Request
	peers    map[*peer]struct{}
	listener net.Listener
	closed   bool
	frozen   bool
	running  sync.WaitGroup
}

// peer is one session.
type peer struct {
	net.Conn
	write  sync.Mutex
	events bool // gets events of calls and queues
}

// New returns a server that answers Ping, and every list with an empty one.
func New() *Server {
	s := &Server{Greeting: Greeting22, Secret: Secret, answers: map[string]func(*Request) string{}, peers: map[*peer]struct{}{}}
	s.Answer("Ping", "Response: Success\r\nActionID: {id}\r\nPing: Pong\r\nTimestamp: 1795719720.702036\r\n\r\n")
	for _, name := range []string{"QueueStatus", "CoreShowChannels", "ParkedCalls", "DeviceStateList"} {
		s.AnswerList(name)
	}
	return s
}

// Listen serves on a port of the loopback, and returns its address.
func (s *Server) Listen() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	s.listener = l
	s.running.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			s.running.Go(func() { s.Serve(conn) })
		}
	})
	return l.Addr().String(), nil
}

// Pipe returns the client's end of a new session in memory.
func (s *Server) Pipe() net.Conn {
	near, far := net.Pipe()
	s.running.Go(func() { s.Serve(far) })
	return near
}

// Close ends all sessions and waits for them.
func (s *Server) Close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	if s.listener != nil {
		s.listener.Close()
	}
	s.Drop()
	s.running.Wait()
}

// Drop ends all sessions, as a restart of Asterisk does.
func (s *Server) Drop() {
	for _, p := range s.sessions(false) {
		p.Close()
	}
}

// Freeze answers nothing from now on, as an Asterisk does that stands still.
func (s *Server) Freeze() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.frozen = true
}

// Answer sets the bytes that answer an action; {id} is replaced by its ActionID. An empty text
// leaves the action unanswered.
func (s *Server) Answer(action, text string) {
	s.AnswerFunc(action, func(*Request) string { return text })
}

// AnswerFunc sets the function that answers an action.
func (s *Server) AnswerFunc(action string, f func(*Request) string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answers[action] = f
}

// AnswerList sets the list that answers an action, from items made by Text.
func (s *Server) AnswerList(action string, items ...string) {
	s.Answer(action, List(action, items...))
}

// List returns a list as Asterisk sends it.
func List(action string, items ...string) string {
	var b strings.Builder
	b.WriteString("Response: Success\r\nActionID: {id}\r\nEventList: start\r\nMessage: List will follow\r\n\r\n")
	for _, item := range items {
		b.WriteString(strings.TrimSuffix(item, "\r\n") + "ActionID: {id}\r\n\r\n")
	}
	b.WriteString("Event: " + action + "Complete\r\nActionID: {id}\r\nEventList: Complete\r\nListItems: " + strconv.Itoa(len(items)) + "\r\n\r\n")
	return b.String()
}

// Text returns a message of these lines.
func Text(lines ...string) string { return strings.Join(lines, "\r\n") + "\r\n\r\n" }

// Send writes bytes to every session that gets events, and returns when they were taken.
func (s *Server) Send(text string) {
	for _, p := range s.sessions(true) {
		p.send(text)
	}
}

// Requests returns the actions of a name that were received, in order; all if the name is "".
// Those of the log-in are not among them.
func (s *Server) Requests(action string) []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(s.requests), func(r Request) bool { return action != "" && r.Action != action })
}

func (s *Server) sessions(events bool) (list []*peer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for p := range s.peers {
		if p.events || !events {
			list = append(list, p)
		}
	}
	return list
}

// Serve plays one session until it ends.
func (s *Server) Serve(conn net.Conn) {
	p := &peer{Conn: conn}
	defer conn.Close()
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return
	}
	s.peers[p] = struct{}{}
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.peers, p)
	}()
	p.send(s.Greeting + "\r\n")
	in := bufio.NewReader(conn)
	loggedIn := false
	for {
		r, err := Read(in)
		if err != nil {
			return
		}
		switch {
		case r.Action == "Challenge":
			p.send(Text("Response: Success", "ActionID: "+r.ID, "Challenge: "+Challenge))
		case r.Action == "Login":
			key := md5.Sum([]byte(Challenge + s.Secret))
			if r.Get("Username") != Username || r.Get("Key") != hex.EncodeToString(key[:]) {
				p.send(Text("Response: Error", "ActionID: "+r.ID, "Message: Authentication failed"))
				return
			}
			s.mu.Lock()
			p.events, loggedIn = strings.Contains(r.Get("Events"), "call"), true
			s.mu.Unlock()
			p.send(Text("Response: Success", "ActionID: "+r.ID, "Message: Authentication accepted"))
			if !s.NoBoot {
				p.send(Text("Event: FullyBooted", "Privilege: system,all", "Uptime: 7", "LastReload: 7", "Status: Fully Booted"))
			}
		case !loggedIn:
			p.send(Text("Response: Error", "ActionID: "+r.ID, "Message: Permission denied"))
		default:
			p.send(s.answer(r))
		}
	}
}

func (s *Server) answer(r *Request) string {
	s.mu.Lock()
	s.requests = append(s.requests, *r)
	f, frozen := s.answers[r.Action], s.frozen
	s.mu.Unlock()
	if frozen {
		return ""
	}
	if f == nil {
		return Text("Response: Error", "ActionID: "+r.ID, "Message: Invalid/unknown command: "+r.Action+". Use Action: ListCommands to show available commands.")
	}
	return strings.ReplaceAll(f(r), "{id}", r.ID)
}

func (p *peer) send(text string) {
	p.write.Lock()
	defer p.write.Unlock()
	io.WriteString(p.Conn, text)
}

// Read reads an action as Asterisk does: a lone LF ends a line, a line without a colon is
// ignored, leading spaces of a value are removed, and of two Action or ActionID lines the first counts.
func Read(in *bufio.Reader) (*Request, error) {
	r := &Request{}
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return nil, err
		}
		line = strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r")
		if line == "" {
			return r, nil
		}
		key, value, ok := strings.Cut(line, ":")
		value, _, _ = strings.Cut(strings.TrimLeft(value, " "), "\x00")
		switch {
		case !ok:
		case strings.EqualFold(key, "Action"):
			if r.Action == "" {
				r.Action = value
			}
		case strings.EqualFold(key, "ActionID"):
			if r.ID == "" {
				r.ID = value
			}
		default:
			r.Fields = append(r.Fields, [2]string{key, value})
		}
	}
}
