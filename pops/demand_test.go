package pops

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"ringhook/hooks"
)

// demandStage has a rule for the agent of a call, one for the members of its queue and one for agent 8 alone. Both agents
// have an open desk.
func demandStage(t *testing.T) (*stage, *screen) {
	page := func(name string, to ...string) Config {
		return testRule(func(c *Config) {
			c.Name, c.To, c.Found, c.NotFound, c.URL = name, to, "", "", "https://"+name+".example/?agent=%agent_id%&info=%agent_info%"
			c.Events = []string{"queue-dial"}
		})
	}
	s := newStage(t, page("only", "8"), page("crm", "agent"), page("team", "members"))
	show := s.withScreen(func(setup *Setup) { setup.Members = func(string) []string { return []string{"8"} } })
	show.all = true
	return s, show
}

// TestDemandOfOthers checks that an agent gets the page of a call only if the agent has, had or was rung for it, or if who
// asks sees the call, and only by a rule for the agent.
func TestDemandOfOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := demandStage(t)
		defer s.Close()
		s.say("1", "agent-dial", "101", "agent_info", "of Anna")
		s.say("1", "agent-dial", "102", "agent_info", "of Boris")
		s.say("1", "agent-answer", "102", "agent_info", "of Boris")
		s.say("2", "agent-dial", "102", "queue_id", "500")
		s.say("2", "agent-cancel", "102", "queue_id", "")
		s.say("3", "queue-dial", "", "queue_id", "600")
		supervises := func(queue string) bool { return queue == "500" }
		for _, c := range []struct {
			name string
			in   Demand
			want string
			err  error
		}{
			{name: "rung", in: Demand{Agent: "7", LinkedID: "1"}, want: "https://crm.example/?agent=7&info="},
			{name: "has", in: Demand{Agent: "8", LinkedID: "1"}, want: "https://only.example/?agent=8&info=of%20Boris"},
			{name: "of another", in: Demand{Agent: "7", LinkedID: "2"}, err: ErrNoCall},
			{name: "popped as a member", in: Demand{Agent: "8", LinkedID: "3"}, want: "https://only.example/?agent=8&info="},
			{name: "supervised", in: Demand{Agent: "7", LinkedID: "2", Sees: supervises}, want: "https://crm.example/?agent=7&info="},
			{name: "of no supervised queue", in: Demand{Agent: "7", LinkedID: "3", Sees: supervises}, err: ErrNoCall},
			{name: "by an administrator", in: Demand{Agent: "7", LinkedID: "3", Sees: func(string) bool { return true }}, want: "https://crm.example/?agent=7&info="},
			{name: "the origin of another's", in: Demand{Agent: "7", LinkedID: "1", URL: "https://only.example/x"}, err: ErrURL},
			{name: "the origin of a member", in: Demand{Agent: "8", LinkedID: "1", URL: "https://team.example/x"}, want: "https://team.example/x"},
		} {
			p, err := s.Demand(c.in)
			if p.URL != c.want || !errors.Is(err, c.err) {
				t.Errorf("%s: %q %v, want %q %v", c.name, p.URL, err, c.want, c.err)
			}
		}
	})
}

// TestDemandsAreBounded checks that demands do not pile up, neither of a call nor of numbers.
func TestDemandsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, show := demandStage(t)
		defer s.Close()
		s.say("1", "agent-dial", "101")
		for n := range 3 * maxDemanded {
			if _, err := s.Demand(Demand{Agent: "7", LinkedID: "1"}); err != nil {
				t.Fatal(err)
			}
			ev := &hooks.Event{ID: fmt.Sprint(n), LinkedID: fmt.Sprint("demand-", n), Params: map[string]any{}}
			if _, err := s.Demand(Demand{Agent: "7", Event: ev}); err != nil {
				t.Fatal(err)
			}
		}
		if len(s.calls) != 2 {
			t.Errorf("%d calls", len(s.calls))
		}
		for key, c := range s.calls {
			want := map[string]int{"1": 1}[key]
			if want == 0 {
				want = maxDemanded
			}
			if rules := c.popped["id\x007"]; len(c.pops) != want || len(rules) != 1 {
				t.Errorf("%q: %d pops are open, by %v", key, len(c.pops), rules)
			}
		}
		if want := 3*maxDemanded - 1 + 2*maxDemanded; show.closed != want {
			t.Errorf("%d pops were closed, want %d", show.closed, want)
		}
	})
}

// TestForgetDemanded checks that no screen shows a pop of a number alone once a number was erased, and that the trace does
// not get the number again. The pop of a call that goes on stays.
func TestForgetDemanded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, show := demandStage(t)
		defer s.Close()
		s.say("1", "agent-dial", "101")
		if _, err := s.Demand(Demand{Agent: "7", LinkedID: "1"}); err != nil {
			t.Fatal(err)
		}
		for n := range 2 {
			ev := &hooks.Event{ID: fmt.Sprint(n), LinkedID: fmt.Sprint("demand-", n), Params: map[string]any{"callerid": "+49309"}}
			if _, err := s.Demand(Demand{Agent: "7", Event: ev}); err != nil {
				t.Fatal(err)
			}
		}
		traced := len(s.notes.statuses())
		s.ForgetEnded()
		s.View("7", func(shown Snapshot) {
			if len(shown.Pops) != 1 || shown.Pops[0].Number != "+49301" {
				t.Errorf("pops: %+v", shown.Pops)
			}
		})
		if list := s.notes.statuses()[traced:]; show.closed != 2 || len(list) != 0 {
			t.Errorf("%d pops were closed, the trace got %v", show.closed, list)
		}
		ev := &hooks.Event{ID: "later", LinkedID: "demand-later", Params: map[string]any{"callerid": "+49308"}}
		if p, err := s.Demand(Demand{Agent: "7", Event: ev}); p.Number != "+49308" || err != nil {
			t.Errorf("a later demand: %+v, %v", p, err)
		}
	})
}

// TestSharedLinkedID checks that a linkedid that two calls of an agent have names neither of them.
func TestSharedLinkedID(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := demandStage(t)
		defer s.Close()
		ring := func(call, phone, event string) {
			ev := testEvent(map[string]any{"event": event, "agent_phone": phone, "agent_id": "", "call_uuid": call, "callerid": "+4930" + call})
			ev.ID, ev.LinkedID, ev.Time, ev.Final = "msg_"+call+event, "1.1", time.Now(), event == "call-hangup"
			s.Heard(ev, string(Found))
			synctest.Wait()
		}
		ring("1", "101", "agent-dial")
		ring("2", "103", "agent-dial")
		for range 20 { // the order of a map differs
			if _, err := s.Demand(Demand{Agent: "7", LinkedID: "1.1"}); err != nil {
				t.Fatal(err)
			}
			if number, call, err := s.Number("7", "1.1"); number != "+49301" || call != "1" || err != nil {
				t.Fatalf("got %s %s %v", number, call, err)
			}
			if _, err := s.Demand(Demand{Agent: "7", LinkedID: "1.1", Sees: func(string) bool { return true }}); !errors.Is(err, ErrUnclear) {
				t.Fatalf("of one who sees both: %v", err)
			}
		}
		ring("1", "", "call-hangup")
		ring("2", "101", "agent-dial")
		if _, _, err := s.Number("7", "1.1"); !errors.Is(err, ErrUnclear) {
			t.Errorf("the ended and the other: %v", err)
		}
		if _, _, err := s.Number("7", "9.9"); !errors.Is(err, ErrNoCall) {
			t.Errorf("no call: %v", err)
		}
	})
}
