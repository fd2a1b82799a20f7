package fastagi_test

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"ringhook/fastagi"
	"ringhook/fastagi/asterisk"
)

// fake is Asterisk at the other end of a session, without a socket: it answers
// what is written to it, and returns its answers in pieces of any size.
type fake struct {
	net.Conn // nil; what a session does not use panics
	ch       *asterisk.Channel
	rng      *rand.Rand
	hangups  bool               // HANGUP lines come between replies
	reply    func(i int) string // replaces the reply to command i, where not nil
	answers  bytes.Buffer
	commands []string
	hungup   bool
	closed   bool
}

func (f *fake) Write(p []byte) (int, error) {
	for command := range strings.Lines(string(p)) {
		for f.hangups && f.rng.IntN(3) == 0 {
			f.hungup = true
			f.answers.WriteString(fastagi.HangupLine)
		}
		f.commands = append(f.commands, strings.TrimSuffix(command, "\n"))
		answer := f.ch.Execute(f.commands[len(f.commands)-1])
		if f.reply != nil {
			answer = f.reply(len(f.commands) - 1)
		}
		f.answers.WriteString(answer)
	}
	return len(p), nil
}

func (f *fake) Read(p []byte) (int, error) {
	if f.answers.Len() == 0 && !f.closed {
		return 0, os.ErrDeadlineExceeded
	}
	return f.answers.Read(p[:1+f.rng.IntN(len(p))])
}

func (f *fake) CloseWrite() error                { f.closed = true; return nil }
func (f *fake) SetDeadline(time.Time) error      { return nil }
func (f *fake) SetReadDeadline(time.Time) error  { return nil }
func (f *fake) SetWriteDeadline(time.Time) error { return nil }

// fakeSession is a session whose environment has been read.
func fakeSession(variables map[string]string) (*fastagi.Session, *fake) {
	f := &fake{ch: asterisk.NewChannel(&asterisk.CallRequest{Variables: variables}), rng: rand.New(rand.NewPCG(3, 4))}
	return fastagi.NewSession(f), f
}

// T-RPL-02, T-RPL-03: values that hold everything which could end a reply.
func TestReadHostileValues(t *testing.T) {
	want := []string{"a\nHANGUP\nb", "x)\n", "200 result=1 (x)\n", "", "a)\n520 End\n", "U\uFFFDX"}
	s, _ := fakeSession(map[string]string{"A": want[0], "B": want[1], "C": want[2], "E": want[4], "F": "U\xffX"})
	got, err := s.Read(time.Time{}, "A", "B", "C", "D", "E", "F")
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
	if s.Hungup() {
		t.Error("a value was taken for HANGUP")
	}
	s, _ = fakeSession(map[string]string{"B": ")\n"})
	if got, err := s.Read(time.Time{}, "A", "B"); err == nil {
		t.Errorf("a value that looks like the end of a reply passes: %q", got)
	}
}

// T-RPL-04: what is no whole reply is an error, and the session then reads no
// more replies.
func TestReadErrors(t *testing.T) {
	for _, c := range []struct{ reply, want string }{
		{"200 result=0\n", "reply without a value"},
		{"200 result=1 (a)\n", "deadline passed"},
		{"200 result=1 (FRAME)\n", "1 values for 2 names"},
		{"200 result=1 (aFRAMEbFRAMEcFRAME)\n", "3 values for 2 names"},
		{"200 result=1 (aFRAMEbFRAME", "deadline passed"},
		{"510 Invalid or unknown command\n", "reply 510"},
		{"511 Command Not Permitted on a dead channel\n", "caller hung up"},
		{"520-Invalid command syntax.\nUsage: x\nHANGUP\n520 End of proper usage.\n", "reply 520"},
		{"520 Invalid command syntax.  Proper usage not available.\n", "reply 520"},
		{"rubbish\n", "out of step"},
		{"2x0 result=1\n", "out of step"},
		{"200 done\n", "out of step"},
		{"200 result=1 (a\n", "deadline passed"},
		{"agi_callingpres: 0\n", "out of step"},
		{"200 result=1 (" + strings.Repeat("x", fastagi.MaxReply), "too long"},
		{strings.Repeat("x", fastagi.MaxReply+1), "too long"},
	} {
		s, f := fakeSession(nil)
		f.reply = func(int) string {
			frame := strings.TrimPrefix(asterisk.SplitCommand(f.commands[0])[3], "${A}")[:16]
			return strings.ReplaceAll(c.reply, "FRAME", frame)
		}
		values, err := s.Read(time.Time{}, "A", "B")
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%.60q: got %q, error %v, want %q", c.reply, values, err, c.want)
		}
		if _, err := s.Read(time.Time{}, "A"); !errors.Is(err, fastagi.ErrStep) {
			t.Errorf("%.60q: a second read returns %v", c.reply, err)
		}
		if _, err := s.Reply([]fastagi.Variable{{Name: "X", Value: "1"}}); !errors.Is(err, fastagi.ErrStep) || !f.closed {
			t.Errorf("%.60q: reply returns %v, closed %v", c.reply, err, f.closed)
		}
	}
}

func TestReplyRefused(t *testing.T) {
	s, f := fakeSession(nil)
	replies := []string{"200 result=1\n", "520-Invalid command syntax.  Proper usage follows:\n200 result=1\n Usage\n520 End of proper usage.\n", "510 Invalid or unknown command\n", "200 result=1\n"}
	f.reply = func(i int) string { return replies[i] }
	cut, err := s.Reply([]fastagi.Variable{{Name: "A", Value: "secret"}, {Name: "B", Value: "secret"}, {Name: "C", Value: "secret"}, {Name: "D", Value: "secret"}})
	if err == nil || err.Error() != "set variable B: reply 520" || cut != nil {
		t.Errorf("got %v, cut %v", err, cut)
	}
	if f.answers.Len() > 0 || len(s.Held()) > 0 {
		t.Error("a reply was not read")
	}
	if _, err := s.Reply(nil); !errors.Is(err, fastagi.ErrEnded) {
		t.Errorf("second reply: %v", err)
	}
	if _, err := s.Read(time.Time{}, "A"); !errors.Is(err, fastagi.ErrEnded) {
		t.Errorf("read after reply: %v", err)
	}
	if err := s.Await(time.Time{}, func(func()) { t.Error("started") }); !errors.Is(err, fastagi.ErrEnded) {
		t.Errorf("await after reply: %v", err)
	}
}

func TestReplyBadNameAndCut(t *testing.T) {
	s, f := fakeSession(nil)
	cut, err := s.Reply([]fastagi.Variable{{Name: "A", Value: "1"}, {"B C", "2"}, {Name: "LONG", Value: strings.Repeat("x", 3000)}, {Name: "D", Value: "4"}})
	if err == nil || !strings.Contains(err.Error(), "B C") || !slices.Equal(cut, []string{"LONG"}) {
		t.Errorf("cut %q, error %v", cut, err)
	}
	if len(f.ch.Set) != 3 || f.ch.Set[2] != (fastagi.Variable{Name: "D", Value: "4"}) || s.Replied().IsZero() {
		t.Errorf("set %.60q", f.ch.Set)
	}
}

func TestReplyCutShort(t *testing.T) {
	s, f := fakeSession(nil)
	f.reply = func(i int) string { return []string{"200 result=1\n", ""}[i] }
	if _, err := s.Reply([]fastagi.Variable{{Name: "A", Value: "1"}, {Name: "B", Value: "2"}}); !errors.Is(err, fastagi.ErrCut) {
		t.Errorf("got %v", err)
	}
	s, f = fakeSession(nil)
	f.reply = func(int) string { return "520-" + strings.Repeat("usage\n", fastagi.MaxReply) }
	if _, err := s.Reply([]fastagi.Variable{{Name: "A", Value: "1"}}); !errors.Is(err, fastagi.ErrTooLong) {
		t.Errorf("endless usage: %v", err)
	}
}

// T-RPL-01: HANGUP lines anywhere between replies never shift one.
func TestHangupInterleaved(t *testing.T) {
	names := []string{"A", "B", "C", "D", "E"}
	values := map[string]string{"A": "a\nHANGUP\n", "B": "", "C": "HANGUP", "D": "(d)", "E": "200 result=1"}
	for seed := range uint64(10000) {
		s, f := fakeSession(values)
		f.rng, f.hangups = rand.New(rand.NewPCG(seed, 5)), true
		for range f.rng.IntN(3) {
			asked := names[:1+f.rng.IntN(len(names))]
			got, err := s.Read(time.Time{}, asked...)
			if err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
			for i, name := range asked {
				if got[i] != values[name] {
					t.Fatalf("seed %d: %s is %q, want %q", seed, name, got[i], values[name])
				}
			}
		}
		refused := f.rng.IntN(len(names))
		first := len(f.commands)
		f.reply = func(i int) string {
			if i-first == refused {
				return "520-Invalid command syntax.\nHANGUP\n520 End of proper usage.\n"
			}
			return "200 result=1\n"
		}
		vars := make([]fastagi.Variable, len(names))
		for i, name := range names {
			vars[i] = fastagi.Variable{Name: name, Value: "x"}
		}
		_, err := s.Reply(vars)
		if want := "set variable " + names[refused] + ": reply 520"; err == nil || err.Error() != want {
			t.Fatalf("seed %d: got %v, want %s", seed, err, want)
		}
		if s.Hungup() != f.hungup || len(s.Held()) > 0 {
			t.Fatalf("seed %d: hungup %v, want %v; %q is left", seed, s.Hungup(), f.hungup, s.Held())
		}
		s.Release()
	}
}

// given replays bytes, then says that the other side has closed.
type given struct {
	*fake
	io.Reader
}

func (g given) Read(p []byte) (int, error)  { return g.Reader.Read(p) }
func (g given) Write(p []byte) (int, error) { return len(p), nil }

func FuzzReplies(f *testing.F) {
	for _, text := range []string{
		"200 result=1\n200 result=1\n", "HANGUP\n200 result=1\nHANGUP\n510 Invalid or unknown command\n",
		"520-Invalid command syntax.\nUsage\n520 End of proper usage.\n200 result=1\n",
		"200 result=1 (aFRAMEbFRAME)\n", "200 result=1 (a\nbFRAMEHANGUP\nFRAME)\n200 result=1\n", "511 dead\n", "HANG", "200 result=1 (",
	} {
		f.Add(text, true)
		f.Add(text, false)
	}
	f.Fuzz(func(t *testing.T, text string, framed bool) {
		_, peer := fakeSession(nil)
		s := fastagi.NewSession(given{peer, strings.NewReader(text)})
		if framed {
			values, err := s.Framed("FRAME", 2)
			if err == nil && (len(values) != 2 || strings.Contains(strings.Join(values, " "), "FRAME")) {
				t.Fatalf("values %q", values)
			}
		}
		_, err := s.Reply([]fastagi.Variable{{Name: "A", Value: "1"}, {Name: "B", Value: "2"}})
		if err == nil && strings.Count(text, "200 result=") < 2 {
			t.Fatalf("two commands were confirmed by %q", text)
		}
		s.Release()
	})
}

// script is a connection on which every answer is known beforehand.
type script struct {
	net.Conn // nil; what a session does not use panics
	answers  bytes.Reader
}

func (s *script) Write(p []byte) (int, error)     { return len(p), nil }
func (s *script) Read(p []byte) (int, error)      { return s.answers.Read(p) }
func (s *script) CloseWrite() error               { return nil }
func (s *script) SetDeadline(time.Time) error     { return nil }
func (s *script) SetReadDeadline(time.Time) error { return nil }

// BenchmarkReply is a batch of commands written and its replies taken, without
// a socket.
func BenchmarkReply(b *testing.B) {
	vars := []fastagi.Variable{
		{Name: "CALLERID(name)", Value: "Muster GmbH"}, {Name: "QUEUE_PRIO", Value: "10"}, {Name: "__call_info", Value: "customer 4711, contract gold"}, {Name: "RINGHOOK_STATUS", Value: "FOUND"},
	}
	replies := []byte(strings.Repeat("200 result=1\n", len(vars)))
	c := new(script)
	b.ReportAllocs()
	for b.Loop() {
		c.answers.Reset(replies)
		s := fastagi.NewSession(c)
		if cut, err := s.Reply(vars); err != nil || len(cut) > 0 {
			b.Fatal(cut, err)
		}
		s.Release()
	}
}
