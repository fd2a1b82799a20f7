package pops

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"ringhook/hooks"
)

var at = time.Date(2026, 1, 15, 9, 30, 0, 0, time.UTC)

// testRule returns a rule that pops a page at ring and answer, changed by change.
func testRule(change func(*Config)) Config {
	c := DefaultConfig()
	c.Name, c.Events, c.Open = "crm", []string{"agent-dial", "agent-answer"}, string(Frame)
	c.Found, c.NotFound = "https://crm.example/card/%customer_id%", "https://crm.example/new?phone=%callerid%"
	c.Title, c.TitleNotFound = "%customer_id%", "new customer"
	if change != nil {
		change(&c)
	}
	return c
}

func testEvent(params map[string]any) *hooks.Event {
	p := map[string]any{
		"direction": "incoming", "callerid": "+4930123456", "callerid_raw": "030123456", "customer_id": "4711", "agent_id": "7", "agent_phone": "101",
		"queue_id": "500", "match": "exact", "call_uuid": "u1", "uniqueid": "1.1",
	}
	maps.Copy(p, params)
	name, ok := p["event"].(string)
	if !ok {
		name = "agent-dial"
	}
	return &hooks.Event{ID: "msg_" + name, Name: name, LinkedID: "1.1", Time: at, Params: p}
}

var anna = Agent{ID: "7", Phone: "101", Name: "Anna"}

func compileOne(t testing.TB, cfgs ...Config) *Rules {
	t.Helper()
	r, err := Compile(cfgs)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func desk(s Situation) Situation {
	s.Now, s.Desks = at.Add(time.Second), 1
	if s.Result == "" {
		s.Result = Found
	}
	return s
}

// TestReasons has a case for each reason, and one beside it that pops.
func TestReasons(t *testing.T) {
	agentMay := func(names ...string) func(*Config) { return func(c *Config) { c.AgentMay = names } }
	with := func(choices Choices) Agent { a := anna; a.Choices = choices; return a }
	now := at.Add(time.Second)
	cases := []struct {
		name   string
		change func(*Config)
		params map[string]any
		agent  Agent
		s      Situation
		want   Reason
	}{
		{name: "pops", agent: anna, want: Popped},
		{name: "another event", params: map[string]any{"event": "agent-hangup"}, agent: anna, want: NoRule},
		{name: "condition", change: func(c *Config) { c.When = "queue_id == '600'" }, agent: anna, want: NoRule},
		{name: "condition holds", change: func(c *Config) { c.When = "queue_id == '500'" }, agent: anna, want: Popped},
		{name: "another agent", agent: Agent{ID: "8", Phone: "102"}, want: NoRule},
		{name: "internal", params: map[string]any{"direction": "internal"}, agent: anna, want: Internal},
		{name: "internal wanted", change: func(c *Config) { c.Internal = true }, params: map[string]any{"direction": "internal"}, agent: anna, want: Popped},
		{name: "late", agent: anna, s: Situation{Now: at.Add(Fresh + time.Second), Desks: 1, Result: Found}, want: Late},
		{name: "just in time", agent: anna, s: Situation{Now: at.Add(Fresh), Desks: 1, Result: Found}, want: Popped},
		{name: "correction", params: map[string]any{"correction": true}, agent: anna, want: Late},
		{name: "moment", change: func(c *Config) { c.Moment = momentChoose; c.AgentMay = []string{"moment"} }, agent: with(Choices{Moment: "agent-answer"}), want: Moment},
		{name: "moment not allowed", change: func(c *Config) { c.Moment = momentChoose }, agent: with(Choices{Moment: "agent-answer"}), want: Popped},
		{name: "moment of the rule", change: func(c *Config) { c.Moment = momentChoose }, params: map[string]any{"event": "agent-answer"}, agent: anna, want: Moment},
		{name: "repeat", agent: anna, s: Situation{Popped: []string{"crm"}}, want: Repeat},
		{name: "another rule popped", agent: anna, s: Situation{Popped: []string{"other"}}, want: Popped},
		{name: "off", agent: with(Choices{Off: now.Add(time.Minute)}), want: Off},
		{name: "off is over", agent: with(Choices{Off: now}), want: Popped},
		{name: "withheld", change: func(c *Config) { c.NotWhen = []string{"anonymous"} }, params: map[string]any{"callerid": "", "callerid_withheld": true}, agent: anna, want: Anonymous},
		{name: "withheld is no matter", params: map[string]any{"callerid": ""}, agent: anna, want: Popped},
		{name: "withheld with a length", change: func(c *Config) { c.MinLength = 7 }, params: map[string]any{"callerid": ""}, agent: anna, want: Anonymous},
		{name: "short", change: func(c *Config) { c.MinLength = 7 }, params: map[string]any{"callerid": "102"}, agent: anna, want: Short},
		{name: "long enough", change: func(c *Config) { c.MinLength = 10 }, agent: anna, want: Popped},
		{name: "short by choice", change: agentMay("min_length"), agent: with(Choices{MinLength: 11}), want: Short},
		{name: "exception", change: func(c *Config) { c.Except = []string{"+49 30 123456"} }, agent: anna, want: Exception},
		{name: "exception by prefix", change: func(c *Config) { c.Except = []string{"+4930*"} }, agent: anna, want: Exception},
		{name: "exception as the trunk writes it", change: func(c *Config) { c.Except = []string{"030/12 34 56"} }, agent: anna, want: Exception},
		{name: "another exception", change: func(c *Config) { c.Except = []string{"+493012345"} }, agent: anna, want: Popped},
		{name: "own exception", agent: anna, s: Situation{Exception: "+4930*"}, want: Exception},
		{name: "busy", change: func(c *Config) { c.NotWhen = []string{"busy"} }, agent: anna, s: Situation{Busy: true}, want: Busy},
		{name: "busy is no matter", agent: anna, s: Situation{Busy: true}, want: Popped},
		{name: "busy by choice", change: agentMay("busy"), agent: with(Choices{NotBusy: true}), s: Situation{Busy: true}, want: Busy},
		{name: "busy without the right to choose", agent: with(Choices{NotBusy: true}), s: Situation{Busy: true}, want: Popped},
		{name: "pending", change: func(c *Config) { c.Wait = 1500 * time.Millisecond }, agent: anna, s: Situation{Result: Pending}, want: Waiting},
		{name: "pending long enough", change: func(c *Config) { c.Wait = time.Second }, agent: anna, s: Situation{Result: Pending}, want: Popped},
		{name: "not found", change: func(c *Config) { c.NotWhen = []string{"not-found"} }, agent: anna, s: Situation{Result: NotFound}, want: Unknown},
		{name: "lookup failed", change: func(c *Config) { c.NotWhen = []string{"not-found"} }, agent: anna, s: Situation{Result: Failed}, want: Unknown},
		{name: "several found", change: func(c *Config) { c.NotWhen = []string{"not-found"} }, agent: anna, s: Situation{Result: Several}, want: Popped},
		{name: "no page for unknown callers", change: func(c *Config) { c.NotFound = "" }, agent: anna, s: Situation{Result: NotFound}, want: Unknown},
		{name: "not found by choice", change: agentMay("not-found"), agent: with(Choices{NotFound: true}), s: Situation{Result: NotFound}, want: Unknown},
		{name: "weak", change: func(c *Config) { c.Weak = "none" }, params: map[string]any{"match": "suffix"}, agent: anna, want: Weak},
		{name: "weak is enough", params: map[string]any{"match": "suffix"}, agent: anna, want: Popped},
		{name: "long URL", params: map[string]any{"customer_id": strings.Repeat("4", 2000)}, agent: anna, want: BadURL},
		{name: "dots", params: map[string]any{"customer_id": ".."}, agent: anna, want: BadURL},
		{name: "signed out", agent: anna, s: Situation{Now: now, Result: Found}, want: SignedOut},
		{name: "polled", change: func(c *Config) { c.Open = string(GetEvent) }, agent: anna, s: Situation{Now: now, Result: Found}, want: Popped},
	}
	seen := map[Reason]bool{}
	for _, c := range cases {
		s := c.s
		if s.Now.IsZero() {
			s = desk(s)
		}
		d := compileOne(t, testRule(c.change)).Decide(testEvent(c.params), &c.agent, s)
		if d.Reason != c.want || d.Pops() != (c.want == Popped) {
			t.Errorf("%s: got %s (%s), want %s", c.name, d.Reason, d.Note, c.want)
		}
		seen[d.Reason] = true
	}
	for _, r := range Reasons() {
		if !seen[r] {
			t.Errorf("no case has the reason %s", r)
		}
	}
}

// TestOrderOfReasons checks that the reasons are checked in the order in which they are listed.
func TestOrderOfReasons(t *testing.T) {
	list := Reasons()
	if len(checks) != len(list)-2 {
		t.Fatalf("%d checks, %d reasons", len(checks), len(list))
	}
	for i, c := range checks {
		if c.reason != list[i+1] {
			t.Errorf("check %d is %s, want %s", i, c.reason, list[i+1])
		}
	}
}

func TestPages(t *testing.T) {
	f := func(name string, change func(*Config), result Result, params map[string]any, url, title string) {
		t.Helper()
		d := compileOne(t, testRule(change)).Decide(testEvent(params), &anna, desk(Situation{Result: result}))
		if d.URL != url || d.Title != title {
			t.Errorf("%s: got %q %q (%s %s), want %q %q", name, d.URL, d.Title, d.Reason, d.Note, url, title)
		}
	}
	f("found", nil, Found, nil, "https://crm.example/card/4711", "4711")
	f("not found", nil, NotFound, nil, "https://crm.example/new?phone=%2B4930123456", "new customer")
	f("several without a page", nil, Several, nil, "https://crm.example/new?phone=%2B4930123456", "4711")
	f("several", func(c *Config) { c.Several = "https://crm.example/search#q=%callerid%" }, Several, nil, "https://crm.example/search#q=%2B4930123456", "4711")
	f("one page", func(c *Config) { c.Found, c.NotFound, c.URL = "", "", "https://crm.example/?p=%callerid%" }, Failed, nil, "https://crm.example/?p=%2B4930123456", "new customer")
	f("markup", nil, Found, map[string]any{"customer_id": "<img src=x>&a=b#\r\n/"}, "https://crm.example/card/%3Cimg%20src%3Dx%3E%26a%3Db%23%2F", "<img src=x>&a=b# /")
	f("bidi", nil, Found, map[string]any{"customer_id": "a\u202eb"}, "https://crm.example/card/a%E2%80%AEb", "ab")
	f("params", func(c *Config) {
		c.Params = map[string]string{"Did": "%directid%", "Callerid": "%callerid%"}
		c.Found = "https://crm.example/?a=1#top"
	}, Found, map[string]any{"directid": "49 30"}, "https://crm.example/?a=1&Callerid=%2B4930123456&Did=49%2030#top", "4711")
	f("settings", func(c *Config) {
		c.Settings = map[string]string{"site": "north"}
		c.Found = "https://crm.example/%site%/%customer_id%"
	}, Found, nil, "https://crm.example/north/4711", "4711")
	f("a program's own scheme", func(c *Config) { c.Open, c.Found, c.NotFound = string(Scheme), "ctidivalto:%callerid%", "" }, Found, nil, "ctidivalto:%2B4930123456", "4711")
}

func TestAddressRefused(t *testing.T) {
	for source, open := range map[string]Way{
		"javascript:alert(1)": Frame, "//crm.example/": Frame, "crm.example/x": Frame, "https://%callerid%/": Frame, "https://crm.%callerid%.example/": Frame,
		"https://a:b@crm.example/": Frame, "https:///x": Frame, "https://crm.example/../x": Frame, "https://crm.example/%2e%2e/x": Frame, "ftp://crm.example/": Frame,
		"https://crm.example\\@evil.example/": Frame, "https:crm.example": Frame, "": Frame,
		"javascript:%callerid%": Scheme, "DATA:text/html,%callerid%": Scheme, "file:///etc/passwd": Scheme, "https://crm.example/": Scheme, "%callerid%:x": Scheme, "vbscript:x": Scheme,
	} {
		text, err := hooks.ParseText(source, nil)
		if err != nil {
			t.Fatal(err)
		}
		if a, err := parseAddress(source, text, open == Scheme); err == nil {
			t.Errorf("%s as %s: accepted as %+v", source, open, a)
		}
	}
}

func TestWeakMatchIsOffered(t *testing.T) {
	r := compileOne(t, testRule(func(c *Config) { c.Weak = "offer" }))
	if d := r.Decide(testEvent(map[string]any{"match": "suffix"}), &anna, desk(Situation{})); d.Action != Offer {
		t.Errorf("got %s", d.Action)
	}
	if d := r.Decide(testEvent(nil), &anna, desk(Situation{})); d.Action != Force {
		t.Errorf("exact: got %s", d.Action)
	}
}

func TestWays(t *testing.T) {
	a := anna
	a.Choices = Choices{Open: Window, Mode: Offer}
	rule := testRule(func(c *Config) { c.Else = []string{"window", "notice"} })
	d := compileOne(t, rule).Decide(testEvent(nil), &a, desk(Situation{}))
	if want := []Way{Frame, Window, Notice}; !slices.Equal(d.Ways, want) || d.Action != Force {
		t.Errorf("without the right to choose: %v %s", d.Ways, d.Action)
	}
	rule.AgentMay = []string{"open", "mode"}
	d = compileOne(t, rule).Decide(testEvent(nil), &a, desk(Situation{}))
	if want := []Way{Window, Frame, Notice}; !slices.Equal(d.Ways, want) || d.Action != Offer {
		t.Errorf("chosen: %v %s", d.Ways, d.Action)
	}
	rule.Else = []string{"getevent"}
	d = compileOne(t, rule).Decide(testEvent(nil), &a, Situation{Now: at, Result: Found})
	if want := []Way{GetEvent}; !slices.Equal(d.Ways, want) {
		t.Errorf("signed out: %v", d.Ways)
	}
}

func TestFirstRuleDecides(t *testing.T) {
	sales := testRule(func(c *Config) { c.Name, c.When, c.Found = "sales", "queue_id == '500'", "https://sales.example/" })
	r := compileOne(t, sales, testRule(nil))
	if d := r.Decide(testEvent(nil), &anna, desk(Situation{})); d.Rule != "sales" {
		t.Errorf("got %q", d.Rule)
	}
	if d := r.Decide(testEvent(map[string]any{"queue_id": "600"}), &anna, desk(Situation{})); d.Rule != "crm" {
		t.Errorf("got %q", d.Rule)
	}
}

func TestAddressees(t *testing.T) {
	agents := []Agent{anna, {ID: "8", Phone: "102", Queues: []string{"500"}}, {ID: "9", Supervisor: true}, {ID: "10", Phone: "103", Queues: []string{"600"}}}
	f := func(to []string, params map[string]any, want ...string) {
		t.Helper()
		r := compileOne(t, testRule(func(c *Config) { c.To = to }))
		var got []string
		for _, a := range r.Addressees(testEvent(params), agents) {
			got = append(got, a.String())
			if d := r.Decide(testEvent(params), &a, desk(Situation{})); d.Reason == NoRule {
				t.Errorf("to %v: %s is an addressee without a rule", to, a.String())
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("to %v: got %q, want %q", to, got, want)
		}
	}
	f([]string{"agent"}, nil, "7 (Anna)")
	f([]string{"agent"}, map[string]any{"agent_phone": "199", "agent_id": ""}, "phone 199")
	f([]string{"agent"}, map[string]any{"agent_phone": "", "agent_id": ""})
	f([]string{"members"}, nil, "8")
	f([]string{"supervisors", "10"}, nil, "9", "10")
	f([]string{"agent", "members", "8", "7"}, nil, "7 (Anna)", "8")
	f([]string{"members"}, map[string]any{"queue_id": ""})
}

func TestClean(t *testing.T) {
	for in, want := range map[string]string{
		"  Zoë\r\n\tMüller ": "Zoë Müller", "a\u202e\u2066b\u200f": "ab", "\xff\xfea": "a", "": "", "\x00": "", "שלום": "שלום", "a\u00adb": "ab",
		strings.Repeat("я", 200): strings.Repeat("я", maxTitle), strings.Repeat("0", maxTitle) + " 0": strings.Repeat("0", maxTitle),
		strings.Repeat("0", maxTitle-1) + " 0": strings.Repeat("0", maxTitle-1),
	} {
		if got := Clean(in, maxTitle); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}
