package pops

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"ringhook/hooks"
)

// TestExceptions is row D27 and D28: numbers and beginnings of numbers, for all agents or for one.
func TestExceptions(t *testing.T) {
	on := time.Date(2026, 1, 12, 0, 0, 0, 0, time.UTC)
	p := NewPersonal(nil, []ListedException{
		{Number: "+4930123456", Who: "Anna", Created: on}, {Number: "+4989*"}, {Number: "+4940 99-1", Agent: "7"}, {Number: "+43*", Agent: "8"}, {Number: "101"},
	})
	f := func(agent, want string, spellings ...string) {
		t.Helper()
		if got := p.find(agent, spellings...); got != want {
			t.Errorf("%q for %s: got %q, want %q", spellings, agent, got, want)
		}
	}
	f("7", "+4930123456, for all agents, by Anna on 2026-01-12", "+49 30 123456")
	f("9", "+4930123456, for all agents, by Anna on 2026-01-12", "+4930123456", "030123456")
	f("7", "", "+49301234567")
	f("7", "", "+493012345")
	f("7", "+4989*, for all agents", "+49891")
	f("7", "", "+49")
	f("7", "+4940 99-1, of the agent", "+4940991")
	f("8", "", "+4940991")
	f("8", "+43*, of the agent", "+43123")
	f("7", "", "+43123")
	f("7", "101, for all agents", "", "101")
	f("7", "", "")
	f("7", "")
	if got := (*Personal)(nil).find("7", "101"); got != "" {
		t.Errorf("without a list: %q", got)
	}
}

func TestChoices(t *testing.T) {
	got := ChoicesOf(map[string]string{
		"moment": "agent-answer", "mode": "offer", "open": "tab", "busy": "true", "not-found": "true", "min_length": "7", "off": "2026-01-15T10:00:00Z", "language": "he",
	})
	want := Choices{Moment: "agent-answer", Mode: Offer, Open: Tab, NotBusy: true, NotFound: true, MinLength: 7, Off: time.Date(2026, 1, 15, 10, 0, 0, 0, time.UTC)}
	if got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if got := ChoicesOf(map[string]string{"mode": "x", "open": "scheme", "busy": "1", "min_length": "99", "off": "soon"}); got != (Choices{}) {
		t.Errorf("of wrong values: %+v", got)
	}
	for _, one := range [][2]string{{"mode", "none"}, {"open", "scheme"}, {"open", "hook:x"}, {"busy", "yes"}, {"min_length", "-1"}, {"min_length", "16"}, {"min_length", "07"}, {"off", "tomorrow"}, {"moment", "Agent Dial"}} {
		if problem, known := CheckSetting(one[0], one[1]); problem == "" || !known {
			t.Errorf("%s = %q is accepted", one[0], one[1])
		}
	}
	for _, one := range [][2]string{{"mode", "force"}, {"open", "frame"}, {"busy", "true"}, {"busy", ""}, {"off", ""}, {"off", "2026-01-15T10:00:00+02:00"}, {"moment", "agent-dial"}} {
		if problem, known := CheckSetting(one[0], one[1]); problem != "" || !known {
			t.Errorf("%s = %q: %s %v", one[0], one[1], problem, known)
		}
	}
	if _, known := CheckSetting("language", "he"); known {
		t.Error("language concerns pops")
	}
}

// TestPersonalIsInForce checks that settings and exceptions of agents decide, and that a setting needs agent_may.
func TestPersonalIsInForce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, polling(func(c *Config) { c.AgentMay = []string{"min_length"} }))
		defer s.Close()
		s.SetPersonal(NewPersonal(map[string]map[string]string{"7": {"min_length": "8", "busy": "true"}}, []ListedException{{Number: "+493055*"}}))
		s.say("1", "agent-dial", "101")
		s.say("55123", "agent-dial", "101")
		s.say("66123", "agent-dial", "101")
		s.SetPersonal(NewPersonal(map[string]map[string]string{"7": {"off": time.Now().Add(time.Hour).Format(time.RFC3339)}}, nil))
		s.say("77123", "agent-dial", "101")
		if got, want := s.notes.statuses(), []string{"short", "exception", "popped", "off"}; !slices.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
	})
}

// screen is the desk of one agent, or of all, that remembers what it was shown.
type screen struct {
	all    bool
	mu     sync.Mutex
	shown  []Pop
	closed int
}

func (s *screen) Desks(agent string) int {
	if s.all || agent == "7" {
		return 1
	}
	return 0
}
func (s *screen) Call(string, CallView) {}
func (s *screen) Closed(Pop) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed++
}
func (s *screen) Show(p Pop) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.shown = append(s.shown, p)
}

// withScreen adds a screen and agents to a stage.
func (s *stage) withScreen(change func(*Setup)) *screen {
	show := &screen{}
	setup := s.setup
	setup.Screen, setup.Agents = show, []Agent{anna, {ID: "8", Phone: "102"}}
	if change != nil {
		change(&setup)
	}
	s.Exchange(setup)
	return show
}

// TestDemand is row D2 on demand and D15: a person or a program asks for a pop, of a call that goes on or of a number.
func TestDemand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		unknown := testRule(func(c *Config) { c.NotWhen, c.NotFound = []string{"not-found"}, "" })
		s := newStage(t, unknown, testRule(func(c *Config) {
			c.Name, c.Events, c.URL, c.Found, c.NotFound = "asked", []string{OnDemand}, "https://crm.example/ask?phone=%callerid%", "", ""
			c.When = "queue_id == '500'"
		}))
		defer s.Close()
		show := s.withScreen(nil)
		s.say("1", "agent-dial", "101", "result", "not-found")
		if got := s.notes.statuses(); !slices.Equal(got, []string{"not-found"}) {
			t.Fatalf("the call pops by itself: %v", got)
		}
		s.say("1", "agent-dial", "102", "result", "not-found")
		p, err := s.Demand(Demand{Agent: "7", LinkedID: "1", Mode: Force})
		if err != nil || p.Rule != "asked" || p.URL != "https://crm.example/ask?phone=%2B49301" || p.Action != Force {
			t.Errorf("of the call: %+v %v", p, err)
		}
		again, err := s.Demand(Demand{Agent: "7", LinkedID: "1"})
		if err != nil || again.ID == p.ID {
			t.Errorf("a second demand: %v %v", again.ID, err)
		}
		p, err = s.Demand(Demand{Agent: "7", LinkedID: "1", URL: "https://crm.example/other?x=1"})
		if err != nil || p.URL != "https://crm.example/other?x=1" {
			t.Errorf("with a URL: %+v %v", p, err)
		}
		for _, url := range []string{"https://evil.example/", "javascript:alert(1)", "https://crm.example.evil.example/", "https://crm.example/../x", "http://crm.example/", "https://a@crm.example/"} {
			if _, err := s.Demand(Demand{Agent: "7", LinkedID: "1", URL: url}); !errors.Is(err, ErrURL) {
				t.Errorf("%s: %v", url, err)
			}
		}
		ev := &hooks.Event{ID: "m", LinkedID: "demand-1", Params: map[string]any{"callerid": "+43123", "queue_id": "600", "customer_id": "9", "direction": "incoming"}}
		p, err = s.Demand(Demand{Agent: "7", Event: ev, Result: Found})
		if err != nil || p.Rule != "crm" || p.URL != "https://crm.example/card/9" {
			t.Errorf("of a number: %+v %v", p, err)
		}
		for _, c := range []struct {
			in   Demand
			want error
		}{
			{Demand{Agent: "9", LinkedID: "1"}, ErrNoAgent}, {Demand{LinkedID: "1"}, ErrNoAgent}, {Demand{Agent: "7", LinkedID: "2"}, ErrNoCall}, {Demand{Agent: "8", LinkedID: "1"}, ErrNoDesk},
			{Demand{Agent: "7", Event: ev, Result: NotFound}, ErrNoPage},
		} {
			if _, err := s.Demand(c.in); !errors.Is(err, c.want) {
				t.Errorf("%+v: got %v, want %v", c.in, err, c.want)
			}
		}
		if len(show.shown) != 4 {
			t.Errorf("%d pops were shown", len(show.shown))
		}
		if _, _, found := s.Find(p.ID); !found {
			t.Error("the pop is not open")
		}
	})
}

// TestHookWay checks that a pop goes to a hook as an event, once, and by the next way if the hook does not take it.
func TestHookWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, testRule(func(c *Config) { c.Open, c.Else = "hook:crm", []string{"notice"} }))
		defer s.Close()
		var got []*hooks.Event
		var answer error
		show := s.withScreen(func(setup *Setup) {
			setup.Hooks = func(hook string, ev *hooks.Event) error {
				got = append(got, ev)
				if hook != "crm" {
					t.Errorf("hook %q", hook)
				}
				return answer
			}
		})
		s.say("1", "agent-dial", "102") // no desk of this agent is open
		if len(got) != 1 || got[0].Name != PopEvent || got[0].Params["pop_url"] != "https://crm.example/card/4711" || got[0].Params["agent_phone"] != "102" || got[0].Params["callerid"] != "+49301" {
			t.Fatalf("got %+v", got)
		}
		if statuses := s.notes.statuses(); !slices.Equal(statuses, []string{"popped", "shown"}) || len(show.shown) != 0 {
			t.Errorf("%v, shown %v", statuses, show.shown)
		}
		answer = errors.New("503")
		s.say("2", "agent-dial", "101")
		if len(show.shown) != 1 || show.shown[0].Way != Notice {
			t.Errorf("after a failure: %+v, %v", show.shown, s.notes.statuses())
		}
	})
}

// TestShowVars is row L22: the page of the desk stands for the CRM's.
func TestShowVars(t *testing.T) {
	r := compileOne(t, testRule(func(c *Config) { c.Found, c.NotFound, c.URL = "", "", "show_vars?aon=%callerid%&a=%customer_id%" }))
	d := r.Decide(testEvent(map[string]any{"customer_id": "<b>&x=1"}), &anna, desk(Situation{}))
	if want := "/desk/show_vars?aon=%2B4930123456&a=%3Cb%3E%26x%3D1"; d.URL != want {
		t.Errorf("got %q, want %q", d.URL, want)
	}
	if got := r.Frames(); !slices.Equal(got, []string{"'self'"}) {
		t.Errorf("frames: %v", got)
	}
	for _, bad := range []string{"show_varsx", "show_vars/../x", "/show_vars"} {
		c := testRule(func(c *Config) { c.Found, c.NotFound, c.URL = "", "", bad })
		wrong := 0
		c.Check(func(string, string) { wrong++ })
		if wrong == 0 {
			t.Errorf("%s is accepted", bad)
		}
	}
	pages, found := r.Pages("crm", testEvent(nil))
	if !found || len(pages) != 2 || !strings.HasPrefix(pages[0].URL, "/desk/show_vars?aon=") {
		t.Errorf("pages: %+v", pages)
	}
	if _, found := r.Pages("other", testEvent(nil)); found {
		t.Error("a rule that there is not")
	}
}

// TestExceptOfOneNumber checks that two numbers in one are no exception: their digits are the number of a third.
func TestExceptOfOneNumber(t *testing.T) {
	for text, want := range map[string]string{
		"030 23456701/02": "except", "+49 30 23456701 (02)*": "except", "030 12345 030 67890": "except", "030/12 34 56": "", "+4930*": "", "+*": "", "101": "", "anna": "except", "1700000001.17": "except", "1700000001.0": "",
	} {
		c := testRule(func(c *Config) { c.Except = []string{text} })
		got := ""
		c.Check(func(key, _ string) { got = key })
		if got != want || ExceptionPattern(text) != (want == "") {
			t.Errorf("%s: the problem is at %q, want %q", text, got, want)
		}
	}
}

// TestClose checks that the fates at which a page is taken away are those of the rule.
func TestClose(t *testing.T) {
	for name, list := range map[string][]string{"close": {"later"}, "moment": nil, "agent_may": nil} {
		c := testRule(func(c *Config) {
			c.Close = list
			if name == "moment" {
				c.Moment = "last"
			}
			if name == "agent_may" {
				c.AgentMay = []string{"url"}
			}
		})
		got := ""
		c.Check(func(key, _ string) { got = key })
		if got != name {
			t.Errorf("%s: the problem is at %q", name, got)
		}
	}
	r := compileOne(t, testRule(func(c *Config) { c.Close = []string{"ended"} }))
	if d := r.Decide(testEvent(nil), &anna, desk(Situation{})); !slices.Equal(d.Close, []string{"ended"}) {
		t.Errorf("got %v", d.Close)
	}
}
