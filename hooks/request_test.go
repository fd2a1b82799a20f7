package hooks

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// live is a hook with a request of its own for two events.
func live(c *Config) {
	c.URL, c.Events = Addresses{"https://crm.example/rest/7/"}, []string{"agent-dial", "agent-hangup", "call-hangup"}
	c.Path, c.When = "calls", "direction == 'incoming'"
	c.Params = map[string]string{"id": "%linkedid%", "from": "%callerid:plus-less%"}
	c.Words = map[string]map[string]string{"status": {"answer": "ok", "*": "missed"}}
	c.On = map[string]Variant{
		"agent-dial": {Path: "pop?to=%agent_phone%", Method: "PUT", When: "agent_phone != ''", Params: map[string]string{"user[]": "%agent_phone%"}},
		"agent-hangup": {
			URL: "https://other.example/x", Format: "template", ContentType: "application/json",
			Body:  `{"q": "a.b?name=%callerid_name:escaped%&from=%callerid:escaped%", "status": "%status%", "id": %id%}`,
			Words: map[string]map[string]string{"status": {"answer": "talked"}},
		},
	}
}

// TestRequestPerEvent checks that events have requests of their own, laid over that of the hook.
func TestRequestPerEvent(t *testing.T) {
	h := testHook(t, live)
	for name, want := range map[string]string{
		"agent-dial":   "PUT https://crm.example/rest/7/pop?to=101\n",
		"agent-hangup": "POST https://other.example/x\n",
		"call-hangup":  "POST https://crm.example/rest/7/calls\n",
	} {
		ev := hangup()
		ev.Name, ev.Params["event"] = name, name
		golden(t, "request-"+name, h, ev)
		if got := written(t, h, ev); !strings.HasPrefix(got, want) {
			t.Errorf("%s: got %q", name, got)
		}
	}
}

// TestConditionPerEvent checks that the condition of the hook and that of the event must both hold.
func TestConditionPerEvent(t *testing.T) {
	d := &Dispatcher{subs: newSubscriptions([]*hook{testHook(t, live)})}
	f := func(name, direction, phone string, want bool) {
		t.Helper()
		ev := &Event{Name: name, Params: map[string]any{"direction": direction, "agent_phone": phone}}
		if got := d.Match(ev) != nil; got != want {
			t.Errorf("%s, %s, %q: %t", name, direction, phone, got)
		}
	}
	f("agent-dial", "incoming", "101", true)
	f("agent-dial", "incoming", "", false)
	f("agent-dial", "outgoing", "101", false)
	f("call-hangup", "incoming", "", true)
	f("call-hangup", "outgoing", "", false)
}

// TestOneOrderForAllRequests checks that every request of a hook is in the order of its call.
func TestOneOrderForAllRequests(t *testing.T) {
	d := &Dispatcher{subs: newSubscriptions([]*hook{testHook(t, live)})}
	for _, name := range []string{"agent-dial", "agent-hangup", "call-hangup"} {
		routes := d.Match(&Event{ID: "msg_" + name, Name: name, LinkedID: "1.1", Params: map[string]any{"direction": "incoming", "agent_phone": "101"}})
		if len(routes) != 1 || routes[0].Key != "1.1" || routes[0].Hook != "crm" {
			t.Errorf("%s: %+v", name, routes)
		}
	}
}

// TestOnlyOwnRequests checks a hook of which every event has a body of its own.
func TestOnlyOwnRequests(t *testing.T) {
	own := func(c *Config) {
		c.Events, c.Format, c.ContentType = []string{"agent-hangup"}, "template", "application/json"
		c.On = map[string]Variant{"agent-hangup": {Body: `{"from": "%callerid%"}`}}
	}
	h := testHook(t, own)
	if got := written(t, h, hangup()); !strings.HasSuffix(got, `{"from": "+79161234567"}`) {
		t.Errorf("got %q", got)
	}
	if _, err := h.request(&Event{Name: "call-dial"}, time.Now()); err == nil {
		t.Error("an event without a request has one")
	}
	c := sample()
	own(&c)
	c.Events = append(c.Events, "call-dial")
	if got := problems(c); !slices.Equal(got, []string{"body: " + bodyMissing}) {
		t.Errorf("an event without a body: %q", got)
	}
}

// TestCheckRequests checks the problems of requests of single events, each at its key.
func TestCheckRequests(t *testing.T) {
	f := func(change func(*Config), want string) {
		t.Helper()
		c := sample()
		live(&c)
		change(&c)
		if got := problems(c); len(got) != 1 || !strings.HasPrefix(got[0], want) {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	on := func(event string, change func(*Variant)) func(*Config) {
		return func(c *Config) {
			own := c.On[event]
			change(&own)
			c.On[event] = own
		}
	}
	f(on("agent-dial", func(v *Variant) { v.When = "talk_time <" }), "on.agent-dial.when: ")
	f(on("agent-dial", func(v *Variant) { v.Path = "a#b" }), "on.agent-dial.path: URL has a fragment")
	f(on("agent-dial", func(v *Variant) { v.URL, v.Path = "crm.example", "" }), "on.agent-dial.url: ")
	f(on("agent-dial", func(v *Variant) { v.Method = "DELETE" }), "on.agent-dial.method: ")
	f(on("agent-dial", func(v *Variant) { v.Format = "yaml" }), "on.agent-dial.format: ")
	f(on("agent-dial", func(v *Variant) { v.Body = "x" }), "on.agent-dial.body: ")
	f(on("agent-dial", func(v *Variant) { v.ContentType = "text/plain" }), "on.agent-dial.content_type: ")
	f(on("agent-dial", func(v *Variant) { v.Params = map[string]string{"a": "%talk_time:2006%"} }), "on.agent-dial.params.a: ")
	f(on("agent-dial", func(v *Variant) { v.Remember = map[string]string{"x": ".["} }), "on.agent-dial.remember.x: ")
	f(on("agent-dial", func(v *Variant) { v.Needs = []string{"No"} }), "on.agent-dial.needs: ")
	f(on("agent-dial", func(v *Variant) { v.Without = "wait" }), "on.agent-dial.without: ")
	f(func(c *Config) { c.URL = append(c.URL, "https://crm2.example/") }, "on.agent-hangup.url: the hook has several URLs")
	f(func(c *Config) { c.URL = Addresses{"https://crm.example/?a=b"} }, "path: cannot be appended")
	f(func(c *Config) { c.Params["a"] = "%callerid:upside-down%" }, "params.a: ")
	f(func(c *Config) { c.Params["a[b"] = "1" }, "params: ")
	f(func(c *Config) { c.Taken = ".[" }, "taken: ")
	f(func(c *Config) { c.Refused = []string{""} }, "refused: has an empty text")
	f(func(c *Config) { c.Known = map[string]string{"200": "x"} }, "known: ")
	f(func(c *Config) { c.Known = map[string]string{"410": "x"} }, "known: 410 ")
	f(func(c *Config) { c.Known = map[string]string{"429": "x"} }, "known: 429 ")
	f(func(c *Config) { c.Known = map[string]string{"503": "x"} }, "known: 503 ")
	f(func(c *Config) { c.Known = map[string]string{"500": ""} }, "known: 500 needs a text")
	f(func(c *Config) { c.Final = []int{429} }, "final: 429 ")
	f(func(c *Config) { c.Final = []int{500} }, "final: 500 ")
	f(func(c *Config) { c.Rate = "2 per second" }, "rate: ")
	f(func(c *Config) { c.Burst = 5 }, "burst: ")
	f(func(c *Config) { c.Rate, c.Burst = "2/s", -1 }, "burst: ")
	f(func(c *Config) { c.Order, c.Needs = "none", []string{"x"} }, "needs: ")
	f(func(c *Config) { c.Settings = map[string]string{"user": "(required)"} }, "settings.user: ")
	f(func(c *Config) {
		c.On["agent-hangup"] = Variant{Format: "xml", Params: map[string]string{"user[]": "1"}}
	}, "on.agent-hangup.params.user[]: ")
}

// TestPlaceholders checks spellings, units, nested escapes and the word for no value.
func TestPlaceholders(t *testing.T) {
	ev := &Event{ID: "msg_1", Name: "call-hangup", Params: map[string]any{
		"callerid": "+493012345678", "directid": "030999", "talk_time": int64(61), "callerid_name": `A "B" & <c>+d`, "agent_phone": "101",
	}}
	f := func(text string, want any) {
		t.Helper()
		h := testHook(t, func(c *Config) {
			c.Params, c.Settings = map[string]string{"x": text}, map[string]string{"own": "a b"}
			c.Words = map[string]map[string]string{"agent_id": {"": "1"}, "agent_phone": {"101": "7"}, "queue_id": {"": "%own%!"}}
		})
		if got := (view{h.of(ev.Name), ev}).fields(); len(got) != 1 || got[0].value != want {
			t.Errorf("%s is %#v, want %#v", text, got, want)
		}
	}
	f("%callerid:plus-less%", "493012345678")
	f("%callerid:national%", "03012345678")
	f("%callerid:last:10%", "3012345678")
	f("%callerid:00%", "00493012345678")
	f("%callerid:international-formatted%", "+49 30 12345678")
	f("%callerid:national-formatted%", "030 12345678")
	f("%directid:plus-less%", "030999")
	f("%dialed:plus-less%", nil)
	f("%talk_time:ms%", int64(61000))
	f("%talk_time:min%", int64(2))
	f("%talk_time:mm:ss%", "01:01")
	f("%ring_time:min%", int64(0))
	f("%agent_id%", "1")
	f("%agent_phone%", "7")
	f("%queue_id%", "a b!")
	f("%callerid:escaped%", "%2B493012345678")
	f("%callerid:plus-less:escaped%", "493012345678")
	f("%callerid_name:escaped%", "A%20%22B%22%20%26%20%3Cc%3E%2Bd")
	f("%callerid_name:json%", `A \"B\" & <c>+d`)
	f("%callerid_name:html%", "A &#34;B&#34; &amp; &lt;c&gt;+d")
	f("%own:escaped%", "a%20b")
	f("%talk_time:ms:json%", "61000")
}

// TestRate checks the limits that a configuration makes.
func TestRate(t *testing.T) {
	for text, want := range map[string]float64{"2/s": 2, "120/m": 2, "1800/h": 0.5} {
		h := testHook(t, func(c *Config) { c.Rate, c.Burst = text, 7 })
		if got := float64(h.limiter.Limit()); got != want || h.limiter.Burst() != 7 {
			t.Errorf("%s: %v a second, %d at once", text, got, h.limiter.Burst())
		}
	}
	if h := testHook(t, nil); h.limiter != nil {
		t.Error("a limit without a rate")
	}
}
