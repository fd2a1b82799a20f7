package fastagi_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"ringhook/fastagi"
	"ringhook/fastagi/agitest"
	"ringhook/fastagi/asterisk"
	"ringhook/test/wait"
)

func soon() time.Time { return time.Now().Add(wait.Limit) }

// TestHangupAtEachPosition sends HANGUP at each place of a session that reads, waits and answers: in a write of
// its own, together with the following text, and in two pieces (F18).
func TestHangupAtEachPosition(t *testing.T) {
	t.Parallel()
	text := environment(t)
	for place := range 7 {
		for _, style := range []string{"alone", "joined", "split"} {
			t.Run(fmt.Sprint(place, style), func(t *testing.T) {
				t.Parallel()
				hangupAt(t, text, place, style)
			})
		}
	}
}

// what the handler of hangupAt has seen.
type seen struct {
	values []string
	read   error
	await  error
	reply  error
	hungup bool
}

func hangupAt(t *testing.T, text string, place int, style string) {
	wakes, result := make(chan func(), 1), make(chan seen, 1)
	addr := agitest.Serve(t, func(s *fastagi.Session) {
		var got seen
		got.values, got.read = s.Read(soon(), "A", "B")
		got.await = s.Await(soon(), func(wake func()) { wakes <- wake })
		_, got.reply = s.Reply([]fastagi.Variable{{Name: "X", Value: "1"}, {Name: "Y", Value: "2"}})
		got.hungup = s.Hungup()
		result <- got
	})
	p := agitest.Dial(t, addr)
	// say sends what belongs to a place, with the HANGUP in front of it there.
	say := func(here int, what string) {
		switch {
		case here != place:
			p.Send(what)
		case style == "joined":
			p.Send("HANGUP\n" + what)
		case style == "split":
			p.Send("HAN")
			p.Send("GUP\n" + what)
		default:
			p.Send("HANGUP\n")
			p.Send(what)
		}
	}
	p.Send(text)
	if place == 0 {
		say(0, "")
	}
	command := ""
	for !strings.HasSuffix(command, "\n") {
		b := make([]byte, 1)
		if _, err := p.Read(b); err != nil {
			t.Fatal(err)
		}
		command += string(b)
	}
	frame := command[strings.Index(command, "}")+1:][:16]
	say(1, "200 result=1 (a"+frame)
	say(9, "b\nc"+frame+")\n")
	if place == 2 {
		say(2, "")
	}
	wake := <-wakes
	if place == 3 {
		say(3, "")
	}
	if place > 3 {
		wake()
	}
	p.Expect("SET VARIABLE X \"1\"\nSET VARIABLE Y \"2\"\n")
	wake()
	say(4, "200 result=1\n")
	say(5, "200 result=1\n")
	say(6, "")
	p.CloseWrite()
	got := <-result
	if got.read != nil || !slices.Equal(got.values, []string{"a", "b\nc"}) {
		t.Errorf("read returns %q, %v", got.values, got.read)
	}
	if want := place <= 3; errors.Is(got.await, fastagi.ErrHangup) != want || !want && got.await != nil {
		t.Errorf("await returns %v", got.await)
	}
	if got.reply != nil || got.hungup != (place < 6) {
		t.Errorf("reply returns %v, hungup %v", got.reply, got.hungup)
	}
	p.Rest()
}

// TestWakes checks early, late, repeated and crossing wakes: each wait ends by its own wake, and no other wait is
// affected.
func TestWakes(t *testing.T) {
	t.Parallel()
	addr := agitest.Serve(t, func(s *fastagi.Session) {
		var late func()
		if err := s.Await(soon(), func(wake func()) { wake(); wake(); late = wake }); err != nil {
			t.Errorf("woken before the wait: %v", err)
		}
		stop := make(chan struct{})
		var hammer sync.WaitGroup
		hammer.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					late()
				}
			}
		})
		if _, err := s.Read(soon(), "CHANNEL(linkedid)"); err != nil {
			t.Errorf("read beside late wakes: %v", err)
		}
		for range 10 {
			var wakers sync.WaitGroup
			if err := s.Await(soon(), func(wake func()) {
				wakers.Go(wake)
				wakers.Go(wake)
			}); err != nil {
				t.Errorf("woken from elsewhere: %v", err)
			}
			wakers.Wait()
		}
		answer(s)
		late()
		close(stop)
		hammer.Wait()
	})
	for range 50 {
		call(t, addr)
	}
}

func TestAwaitDeadline(t *testing.T) {
	t.Parallel()
	addr := agitest.Serve(t, func(s *fastagi.Session) {
		for _, deadline := range []time.Time{time.Now().Add(20 * time.Millisecond), time.Now(), time.Unix(1, 0)} {
			if err := s.Await(deadline, func(func()) {}); !errors.Is(err, fastagi.ErrDeadline) {
				t.Errorf("await returns %v", err)
			}
		}
		answer(s)
	})
	call(t, addr)
}

// TestAwaitAfterHangup checks that a lookup is started also if the caller has hung up before.
func TestAwaitAfterHangup(t *testing.T) {
	t.Parallel()
	started := make(chan bool, 2)
	addr := agitest.Serve(t, func(s *fastagi.Session) {
		for range 2 {
			if err := s.Await(soon(), func(func()) { started <- true }); !errors.Is(err, fastagi.ErrHangup) {
				t.Errorf("await returns %v", err)
			}
		}
		answer(s)
	})
	p := agitest.Dial(t, addr)
	p.Send(environment(t) + "HANGUP\n")
	p.Expect(answered)
	p.Send("200 result=1\n")
	p.Close()
	if len(started) != 2 {
		t.Errorf("started %d times, want 2", len(started))
	}
}

// TestHangupAcrossWake sends a part of a HANGUP line while the session waits, and the rest afterwards.
func TestHangupAcrossWake(t *testing.T) {
	t.Parallel()
	wakes, hungup := make(chan func(), 1), make(chan bool, 1)
	addr := agitest.Serve(t, func(s *fastagi.Session) {
		for {
			err := s.Await(soon(), func(wake func()) { wakes <- wake })
			if errors.Is(err, fastagi.ErrHangup) {
				break
			}
			if err != nil {
				t.Errorf("await returns %v", err)
				break
			}
		}
		answer(s)
		hungup <- s.Hungup()
	})
	p := agitest.Dial(t, addr)
	p.Send(environment(t))
	for _, piece := range []string{"H", "ANGU", "P"} {
		wake := <-wakes
		p.Send(piece)
		wake()
	}
	<-wakes
	p.Send("\n")
	p.Expect(answered)
	p.Send("200 result=1\n")
	p.CloseWrite()
	if !<-hungup {
		t.Error("HANGUP was lost")
	}
}

func TestAwaitRubbishAndEnd(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"200 result=1\n", "HANGUX\n", "hangup\n", "agi_callingpres: 0\n", ""} {
		waiting, result := make(chan struct{}), make(chan error, 1)
		addr := agitest.Serve(t, func(s *fastagi.Session) {
			result <- s.Await(soon(), func(func()) { close(waiting) })
		})
		p := agitest.Dial(t, addr)
		p.Send(environment(t))
		<-waiting
		p.Send(text)
		p.CloseWrite()
		err := <-result
		if err == nil || errors.Is(err, fastagi.ErrHangup) || errors.Is(err, fastagi.ErrDeadline) {
			t.Errorf("%q: await returns %v", text, err)
		}
		if got := p.Rest(); got != "FAILURE\n" {
			t.Errorf("%q: got %q", text, got)
		}
	}
}

func TestReadDeadline(t *testing.T) {
	t.Parallel()
	result := make(chan error, 1)
	addr := agitest.Serve(t, func(s *fastagi.Session) {
		_, err := s.Read(time.Now().Add(20*time.Millisecond), "A")
		result <- err
		answer(s)
	})
	p := agitest.Dial(t, addr)
	p.Send(environment(t))
	if err := <-result; !errors.Is(err, fastagi.ErrDeadline) || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("read returns %v", err)
	}
	if got := p.Rest(); !strings.HasSuffix(got, answered) {
		t.Errorf("got %q", got)
	}
}

func TestCallHangup(t *testing.T) {
	t.Parallel()
	hangup := make(chan struct{})
	addr := agitest.Serve(t, func(s *fastagi.Session) {
		if err := s.Await(soon(), func(func()) { close(hangup) }); !errors.Is(err, fastagi.ErrHangup) {
			t.Errorf("await returns %v", err)
		}
		answer(s)
	})
	got, err := asterisk.Call(context.Background(), addr, asterisk.CallRequest{Env: fastagi.Env{Point: "x"}, Hangup: hangup})
	if err != nil || got.Status != "HANGUP" || len(got.Set) != 1 {
		t.Errorf("got %+v, %v", got, err)
	}
}

// TestFlood checks a peer that sends HANGUP lines or other text without end while a session waits, answers and
// ends: it is read at most until the session's deadline, and the next session is served.
func TestFlood(t *testing.T) {
	t.Parallel()
	for _, flood := range []string{"HANGUP\n", "200 result=1\n", "520-x\n", "x"} {
		t.Run(fmt.Sprintf("%q", flood), func(t *testing.T) {
			t.Parallel()
			addr := agitest.Serve(t, func(s *fastagi.Session) {
				s.Await(time.Now().Add(50*time.Millisecond), func(func()) {})
				answer(s)
			})
			p := agitest.Dial(t, addr)
			p.Send(environment(t))
			text := []byte(strings.Repeat(flood, 10000))
			for {
				if _, err := p.Write(text); err != nil {
					if errors.Is(err, os.ErrDeadlineExceeded) {
						t.Error("the session does not end")
					}
					break
				}
			}
			call(t, addr)
		})
	}
}
