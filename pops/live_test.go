package pops

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"ringhook/dialplan"
	"ringhook/hooks"
)

// notes collects the trace.
type notes struct {
	mu   sync.Mutex
	list []dialplan.PointTrace
}

func (n *notes) Trace(_ time.Time, record []byte) {
	p, err := dialplan.DecodeTrace(record)
	if err != nil {
		panic(err)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.list = append(n.list, p)
}

// statuses returns the reasons and fates so far.
func (n *notes) statuses() (list []string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, p := range n.list {
		list = append(list, p.Status)
	}
	return list
}

// polling returns a rule for a program that polls.
func polling(change func(*Config)) Config {
	c := DefaultConfig()
	c.Name, c.Events, c.Open = "cti", []string{"agent-dial"}, string(GetEvent)
	if change != nil {
		change(&c)
	}
	return c
}

type stage struct {
	*Live
	t     *testing.T
	notes *notes
	seq   int
}

func newStage(t *testing.T, cfgs ...Config) *stage {
	n := &notes{}
	l := NewLive(Setup{Rules: compileOne(t, cfgs...), Agents: []Agent{anna}, MaxCall: time.Hour}, n, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	return &stage{Live: l, t: t, notes: n}
}

// say reports an event of a call for a phone, and waits until it is decided.
func (s *stage) say(call, name, phone string, params ...string) {
	s.seq++
	ev := testEvent(map[string]any{"event": name, "agent_phone": phone, "agent_id": "", "call_uuid": call, "callerid": "+4930" + call})
	ev.ID, ev.LinkedID, ev.Time, ev.Final = fmt.Sprintf("msg_%d", s.seq), call, time.Now(), name == "call-hangup"
	result := Found
	for i := 0; i+1 < len(params); i += 2 {
		if params[i] == "result" {
			result = Result(params[i+1])
			continue
		}
		ev.Params[params[i]] = params[i+1]
	}
	s.Heard(ev, string(result))
	synctest.Wait()
}

func (s *stage) polls(phone, want string) {
	s.t.Helper()
	if got, rings := s.Poll(phone, 10*time.Second); got != want || rings != (want != "") {
		s.t.Errorf("phone %s: got %q %v, want %q", phone, got, rings, want)
	}
}

func TestPolledRing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, polling(nil))
		defer s.Close()
		s.polls("101", "")
		s.say("1", "agent-dial", "101")
		s.say("1", "agent-dial", "102") // an agent whom the configuration does not have
		s.polls("101", "+49301")
		s.polls("102", "+49301")
		s.polls("103", "")
		s.say("1", "agent-answer", "102")
		s.polls("102", "+49301")
		s.polls("101", "") // answered elsewhere
		time.Sleep(10 * time.Second)
		s.polls("102", "")
		want := []string{"popped", "popped", "shown", "shown", "elsewhere"}
		if got := s.notes.statuses(); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("got %v, want %v", got, want)
		}
	})
}

// TestPolledNewerRing checks that a newer call at the phone ends the report of the one before, also if it does not pop, or
// the older one moves to the program that polls later.
func TestPolledNewerRing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, polling(func(c *Config) { c.When = "queue_id == '500'" }))
		defer s.Close()
		s.say("1", "agent-dial", "101", "queue_id", "500")
		s.say("1", "agent-dial", "102", "queue_id", "500")
		s.say("1", "agent-cancel", "101", "status", "cancel")
		s.say("1", "call-hangup", "")
		s.polls("101", "+49301")
		s.say("2", "agent-dial", "101", "queue_id", "501")
		s.polls("101", "")
		s.polls("102", "+49301")
		s.say("2", "call-hangup", "")
		s.polls("101", "")
		time.Sleep(time.Second)
		s.say("3", "agent-dial", "101", "queue_id", "500")
		s.say("3", "agent-dial", "101", "queue_id", "500") // a second device of the phone
		s.polls("101", "+49303")
	})
}

// TestMovedAfterNewerRing checks that a pop that its hook refuses late does not hide a newer call at the phone.
func TestMovedAfterNewerRing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, polling(func(c *Config) { c.When, c.Open, c.Else = "queue_id == '500'", "hook:crm", []string{string(GetEvent)} }))
		refuse := make(chan struct{})
		s.setup.Hooks = func(string, *hooks.Event) error { <-refuse; return errors.New("refused") }
		defer s.Close()
		s.say("1", "agent-dial", "101", "queue_id", "500")
		s.say("1", "agent-dial", "102", "queue_id", "500")
		s.say("2", "agent-dial", "101", "queue_id", "501")
		close(refuse)
		synctest.Wait()
		s.polls("101", "")
		s.polls("102", "+49301")
	})
}

// TestRefusedPopIsTraced checks that the trace of a pop that its hook does not take has the reason, and of no other fate.
func TestRefusedPopIsTraced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, polling(func(c *Config) { c.Open, c.Else = "hook:crm", []string{string(GetEvent)} }))
		s.setup.Hooks = func(string, *hooks.Event) error { return errors.New("paused") }
		defer s.Close()
		s.say("1", "agent-dial", "101")
		s.polls("101", "+49301")
		s.notes.mu.Lock()
		defer s.notes.mu.Unlock()
		var got []string
		for _, p := range s.notes.list {
			got = append(got, p.Status+"="+p.Why)
		}
		if want := "[popped= no-receipt=paused moved= shown=]"; fmt.Sprint(got) != want {
			t.Errorf("got %v, want %s", got, want)
		}
	})
}

// TestRefusedPopsAreLoggedSeldom checks that a hook that takes no pop fills no log.
func TestRefusedPopsAreLoggedSeldom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		n := &notes{}
		l := NewLive(Setup{
			Rules: compileOne(t, polling(func(c *Config) { c.Open = "hook:crm" })), Agents: []Agent{anna}, MaxCall: time.Hour,
			Hooks: func(string, *hooks.Event) error { return errors.New("refused") },
		}, n, slog.New(slog.NewTextHandler(&log, nil)), prometheus.NewRegistry())
		s := &stage{Live: l, t: t, notes: n}
		for i := range 20 {
			s.say(fmt.Sprint(i), "agent-dial", "101")
		}
		s.Close()
		if lines := strings.Count(log.String(), "hook did not take a pop"); lines != 2 || !strings.Contains(log.String(), "repeated=19") {
			t.Errorf("%d lines: %s", lines, log.String())
		}
	})
}

// TestForgetPolled checks that the number of an ended call is not reported once a number was erased.
func TestForgetPolled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, polling(nil))
		defer s.Close()
		s.say("1", "agent-dial", "101")
		s.say("1", "call-hangup", "")
		s.say("2", "agent-dial", "102")
		s.ForgetEnded()
		s.polls("101", "")
		s.polls("102", "+49302")
	})
}

// TestShortRingIsReported checks that a program that polls every 5 s learns of every ring, however short.
func TestShortRingIsReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, polling(nil))
		defer s.Close()
		start, seen := time.Now(), map[string]bool{}
		next := start.Add(3700 * time.Millisecond)
		poll := func(until time.Time) {
			for next.Before(until) {
				time.Sleep(time.Until(next))
				if number, rings := s.Poll("101", 10*time.Second); rings {
					seen[number] = true
				}
				next = next.Add(5 * time.Second)
			}
			time.Sleep(time.Until(until))
		}
		for n := 1; n <= 30; n++ {
			call := fmt.Sprint(n)
			s.say(call, "agent-dial", "101")
			poll(time.Now().Add(time.Duration(n) * time.Second))
			s.say(call, "agent-cancel", "101", "status", "cancel")
			s.say(call, "call-hangup", "")
			poll(time.Now().Add(11 * time.Second))
			if !seen["+4930"+call] {
				t.Errorf("ring of %d s was not reported", n)
			}
		}
	})
}

func TestBusyAgent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, polling(func(c *Config) { c.NotWhen = []string{"busy"} }))
		defer s.Close()
		s.say("1", "agent-dial", "101")
		s.say("1", "agent-answer", "101")
		time.Sleep(time.Minute)
		s.say("2", "agent-dial", "101")
		s.polls("101", "")
		s.say("2", "agent-cancel", "101")
		s.say("1", "agent-hangup", "101")
		s.say("3", "agent-dial", "101")
		s.polls("101", "+49303")
		s.say("4", "agent-custom", "102", "direction", "outgoing")
		s.say("5", "agent-dial", "102")
		s.polls("102", "")
		s.say("4", "call-hangup", "")
		s.say("6", "agent-dial", "102")
		s.polls("102", "+49306")
	})
}

// TestOnePop checks that a call pops once for an agent and a rule, whatever rings and repeats.
func TestOnePop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, polling(func(c *Config) { c.Events = []string{"agent-dial", "agent-answer"} }))
		defer s.Close()
		for range 3 {
			s.say("1", "agent-dial", "101")
			s.say("1", "agent-answer", "101")
			s.say("1", "agent-hangup", "101")
		}
		popped := 0
		for _, status := range s.notes.statuses() {
			if status == string(Popped) {
				popped++
			}
		}
		if popped != 1 {
			t.Errorf("%d pops: %v", popped, s.notes.statuses())
		}
	})
}

// TestLateResult checks that a decision that waits for a lookup takes what has been found meanwhile.
func TestLateResult(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		wait := func(c *Config) { c.Wait, c.NotWhen = time.Second, []string{"not-found"} }
		s := newStage(t, polling(wait))
		defer s.Close()
		s.say("1", "agent-dial", "101", "result", "pending")
		s.polls("101", "")
		s.say("1", "queue-dial", "", "result", "found")
		time.Sleep(2 * time.Second)
		synctest.Wait()
		s.polls("101", "+49301")
		s.say("2", "agent-dial", "102", "result", "pending")
		time.Sleep(2 * time.Second)
		synctest.Wait()
		s.polls("102", "")
	})
}

// TestMemoryIsBounded checks that calls whose ends are never reported are forgotten.
func TestMemoryIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, polling(nil))
		defer s.Close()
		for n := range 100 {
			s.say(fmt.Sprint(n), "agent-dial", fmt.Sprint(n))
			s.say(fmt.Sprint(n), "agent-answer", fmt.Sprint(n))
		}
		time.Sleep(2 * time.Hour)
		s.say("last", "agent-dial", "101")
		if len(s.calls) != 1 || len(s.talks) != 0 || len(s.polled) != 1 {
			t.Errorf("%d calls, %d talking, %d polled", len(s.calls), len(s.talks), len(s.polled))
		}
	})
}

// fill has a stage hear of as many calls as are followed at most, none of which ends.
func (s *stage) fill() {
	for n := range maxLive {
		s.hear(heard{hooks.Event{Name: "queue-dial", LinkedID: fmt.Sprint(n)}, Found})
	}
}

// TestLongestIdleIsDropped checks which call is forgotten when there are too many, and that nothing of it is left.
func TestLongestIdleIsDropped(t *testing.T) {
	s := newStage(t, polling(nil))
	defer s.Close()
	s.fill()
	s.hear(heard{hooks.Event{Name: "queue-dial", LinkedID: "0"}, Found}) // it is the latest now
	s.hear(heard{hooks.Event{ID: "msg_1", Name: "agent-dial", LinkedID: "new", Time: time.Now(), Params: map[string]any{"agent_phone": "101", "callerid": "+49301"}}, Found})
	for key, want := range map[string]bool{"0": true, "1": false, "2": true, "new": true} {
		if got := s.calls[key] != nil; got != want {
			t.Errorf("call %s: kept %v, want %v", key, got, want)
		}
	}
	s.polls("101", "+49301")
	if c := s.calls["new"]; !s.screens[anna.ID][c] {
		t.Error("the screen of the agent does not have the call")
	}
	s.fill()
	if len(s.calls) != maxLive || s.idle.Len() != maxLive || len(s.screens) != 0 {
		t.Errorf("%d calls, %d idle, %d screens", len(s.calls), s.idle.Len(), len(s.screens))
	}
}

// BenchmarkFull hears of new calls while as many are followed as may be: each drops another one.
// A receipt looks for its pop among them.
func BenchmarkFull(b *testing.B) {
	full := func(b *testing.B) *stage {
		rules, err := Compile([]Config{polling(nil)})
		if err != nil {
			b.Fatal(err)
		}
		l := NewLive(Setup{Rules: rules, Agents: []Agent{anna}, MaxCall: time.Hour}, &notes{}, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
		s := &stage{Live: l}
		s.fill()
		return s
	}
	b.Run("event", func(b *testing.B) {
		s := full(b)
		defer s.Close()
		for n := 0; b.Loop(); n++ {
			s.hear(heard{hooks.Event{Name: "queue-dial", LinkedID: fmt.Sprint("new", n)}, Found})
		}
	})
	b.Run("receipt", func(b *testing.B) {
		s := full(b)
		defer s.Close()
		s.hear(heard{hooks.Event{ID: "msg_1", Name: "agent-dial", LinkedID: "pops", Time: time.Now(), Params: map[string]any{"agent_phone": "101", "callerid": "+49301"}}, Found})
		id := s.calls["pops"].pops[0].ID
		for b.Loop() {
			if err := s.Receipt(anna.ID, id, Shown); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// TestHeardNeverWaits checks that a call does not wait for decisions.
func TestHeardNeverWaits(t *testing.T) {
	s := newStage(t, polling(nil))
	s.mu.Lock() // the decisions stand still
	for range 2 * maxHeard {
		s.Heard(&hooks.Event{Name: "agent-dial"}, "")
	}
	s.mu.Unlock()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// TestMembers checks that a rule for the members of a queue pops for those who are logged in to it.
func TestMembers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, polling(func(c *Config) { c.Events, c.To = []string{"queue-dial"}, []string{"members"} }))
		defer s.Close()
		setup := s.setup
		setup.Agents = []Agent{anna, {ID: "8", Phone: "102"}}
		setup.Members = func(queue string) []string {
			if queue != "500" {
				t.Errorf("asked for queue %q", queue)
			}
			return []string{"8"}
		}
		s.Exchange(setup)
		s.say("1", "queue-dial", "")
		s.polls("101", "")
		s.polls("102", "+49301")
	})
}
