package pops

import (
	"slices"
	"testing"
	"time"
)

// TestSeedRows has a case for each row of the seed documents that is a rule of screen pops. The name of a case begins with
// its rows.
func TestSeedRows(t *testing.T) {
	choose := func(c *Config) { c.Moment, c.AgentMay = momentChoose, []string{"moment", "mode"} }
	atAnswer := anna
	atAnswer.Choices = Choices{Moment: "agent-answer", Mode: Offer}
	supervisor := Agent{ID: "9", Supervisor: true}
	member := Agent{ID: "7", Phone: "101", Queues: []string{"500"}}
	for name, c := range map[string]struct {
		change func(*Config)
		params map[string]any
		agent  Agent
		s      Situation
		reason Reason
		action Action
		url    string
		title  string
	}{
		"L4 V1b: the form opens at the answer": {change: func(c *Config) { c.Events = []string{"agent-answer"} }, params: map[string]any{"event": "agent-answer"}, agent: anna, reason: Popped, action: Force, url: "https://crm.example/card/4711"},
		"L5: in a frame":                       {agent: anna, reason: Popped, action: Force},
		"L7: parameters by GET":                {change: func(c *Config) { c.Found = "https://crm.example/form?tel=%callerid%&q=%queue_id%" }, agent: anna, reason: Popped, action: Force, url: "https://crm.example/form?tel=%2B4930123456&q=500"},
		"V1a: at the ring":                     {params: map[string]any{"event": "agent-dial"}, agent: anna, reason: Popped, action: Force},
		"V1c D2: the agent chose the answer":   {change: choose, params: map[string]any{"event": "agent-dial"}, agent: atAnswer, reason: Moment, action: None},
		"V1c D11: and an offer":                {change: choose, params: map[string]any{"event": "agent-answer"}, agent: atAnswer, reason: Popped, action: Offer},
		"V7: a caller enters the queue":        {change: func(c *Config) { c.Events, c.To, c.Mode = []string{"queue-dial"}, []string{"members"}, "offer" }, params: map[string]any{"event": "queue-dial", "agent_phone": "", "agent_id": ""}, agent: member, reason: Popped, action: Offer},
		"V9: a caller leaves it unanswered":    {change: func(c *Config) { c.Events, c.To = []string{"queue-failover"}, []string{"supervisors"} }, params: map[string]any{"event": "queue-failover", "agent_phone": "", "agent_id": ""}, agent: supervisor, reason: Popped, action: Force},
		"V14: an outgoing call is answered": {change: func(c *Config) {
			c.Events, c.Found = []string{"agent-dialout-answer"}, "https://crm.example/out?src=%agent_phone%&dst=%dialed%&waittime=%ring_time%"
		}, params: map[string]any{"event": "agent-dialout-answer", "direction": "outgoing", "dialed": "+43123", "ring_time": int64(7)}, agent: anna, reason: Popped, action: Force, url: "https://crm.example/out?src=101&dst=%2B43123&waittime=7"},
		"V15 V16: a known customer's card":  {agent: anna, reason: Popped, action: Force, url: "https://crm.example/card/4711", title: "4711"},
		"V17 V18: the form of a new caller": {agent: anna, s: Situation{Result: NotFound}, reason: Popped, action: Force, url: "https://crm.example/new?phone=%2B4930123456", title: "new customer"},
		"D12: forced":                       {change: func(c *Config) { c.Mode = "force" }, agent: anna, reason: Popped, action: Force},
		"D22: a program's own scheme":       {change: func(c *Config) { c.Open, c.Found, c.NotFound = "scheme", "ctidivalto:%callerid%", "" }, agent: anna, reason: Popped, action: Force, url: "ctidivalto:%2B4930123456"},
		"D23: not for unknown callers":      {change: func(c *Config) { c.NotWhen = []string{"not-found"} }, agent: anna, s: Situation{Result: NotFound}, reason: Unknown, action: None},
		"D24: not during a call":            {change: func(c *Config) { c.NotWhen = []string{"busy"} }, agent: anna, s: Situation{Busy: true}, reason: Busy, action: None},
		"D25: not for short numbers":        {change: func(c *Config) { c.MinLength = 12 }, agent: anna, reason: Short, action: None},
		"D26: the rule's options hold":      {change: func(c *Config) { c.NotWhen = nil }, agent: Agent{ID: "7", Phone: "101", Choices: Choices{NotBusy: true}}, s: Situation{Busy: true}, reason: Popped, action: Force},
		"D27 D28: not for exceptions":       {agent: anna, s: Situation{Exception: "+4930*, of the agent"}, reason: Exception, action: None},
	} {
		t.Run(name, func(t *testing.T) {
			d := compileOne(t, testRule(c.change)).Decide(testEvent(c.params), &c.agent, desk(c.s))
			if d.Reason != c.reason || d.Action != c.action || c.url != "" && d.URL != c.url || c.title != "" && d.Title != c.title {
				t.Errorf("got %+v", d)
			}
		})
	}
}

// TestProgramsRow is row D1: an incoming call reaches a program by a hook, by its own scheme, or because it asks.
func TestProgramsRow(t *testing.T) {
	for way, needs := range map[string]bool{"hook:cti": false, "getevent": false, "scheme": true} {
		r := compileOne(t, testRule(func(c *Config) {
			c.Open, c.Found, c.NotFound, c.URL = way, "", "", ""
			if way == "scheme" {
				c.URL = "cti:%callerid%"
			}
		}))
		d := r.Decide(testEvent(nil), &anna, Situation{Now: at.Add(time.Second), Result: Found})
		if d.Pops() == needs {
			t.Errorf("%s without a desk: %+v", way, d)
		}
		if !needs && !slices.Equal(d.Ways, []Way{Way(way)}) {
			t.Errorf("%s: %v", way, d.Ways)
		}
	}
}
