package dialplan

import (
	"strings"
	"testing"
	"unicode/utf8"
	"unsafe"

	"ringhook/hooks"
	"ringhook/lookup"
	"ringhook/lookup/number"
)

// TestQueueWithoutMember checks the four lines of README.md on a queue without setinterfacevar=yes:
// Asterisk does not report which member answered, and its other variables decide.
func TestQueueWithoutMember(t *testing.T) {
	for _, c := range []struct {
		name      string
		variables map[string]string
		end       Point
		want      []string
	}{
		{"answered", map[string]string{"ANSWEREDTIME": "3"}, QueueHangup,
			[]string{"queue-hangup queue_id=500 status=answer wait_time=7 talk_time=3"}},
		{"answered, call-hangup first", map[string]string{"ANSWEREDTIME": "3"}, CallHangup,
			[]string{"queue-hangup queue_id=500 status=answer wait_time=7 talk_time=3", "call-hangup queue_id=500 status=answer wait_time=7 talk_time=3 final"}},
		{"given up", map[string]string{"ABANDONED": "TRUE"}, CallHangup,
			[]string{"queue-hangup queue_id=500 status=cancel wait_time=10", "queue-abandon queue_id=500 status=cancel wait_time=10", "call-hangup queue_id=500 status=cancel wait_time=10 talk_time=0 final"}},
		{"given up after an answered dial", map[string]string{"ABANDONED": "TRUE", "ANSWEREDTIME": "30"}, QueueHangup,
			[]string{"queue-hangup queue_id=500 status=cancel wait_time=10", "queue-abandon queue_id=500 status=cancel wait_time=10"}},
		{"timeout", map[string]string{"QUEUESTATUS": "TIMEOUT", "ABANDONED": "TRUE"}, QueueHangup,
			[]string{"queue-hangup queue_id=500 status=noanswer wait_time=10", "queue-failover queue_id=500 status=noanswer wait_time=10"}},
		{"answered, on Asterisk 16", map[string]string{"CONNECTEDLINE(num)": "101"}, CallHangup,
			[]string{"queue-hangup queue_id=500 agent_phone=101 status=answer", "call-hangup queue_id=500 agent_phone=101 status=answer wait_time=10 talk_time=0 final"}},
		{"given up while a phone rang, on Asterisk 16", map[string]string{"CONNECTEDLINE(num)": "101", "ABANDONED": "TRUE"}, QueueHangup,
			[]string{"queue-hangup queue_id=500 status=cancel wait_time=10", "queue-abandon queue_id=500 status=cancel wait_time=10"}},
		{"no proof of anything", nil, CallHangup,
			[]string{"queue-hangup queue_id=500 status=other wait_time=10", "call-hangup queue_id=500 status=other wait_time=10 talk_time=0 final"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newPBX(t)
			defer p.done()
			p.at(0, "caller", QueueDial, "queue_id=500")
			for name, value := range c.variables {
				p.set("caller", name, value)
			}
			p.want(p.at(10, "caller", c.end), c.want...)
			p.want(p.at(10, "caller", c.end))
		})
	}
}

// TestAgentAnswerWithoutMember checks Queue(...,agi://.../agent-answer) on such a queue.
func TestAgentAnswerWithoutMember(t *testing.T) {
	t.Run("no phone is known", func(t *testing.T) {
		p := newPBX(t)
		defer p.done()
		p.at(0, "caller", QueueDial, "queue_id=500")
		p.want(p.at(4, "caller", AgentAnswer), "agent-answer queue_id=500 wait_time=4")
		p.want(p.at(4, "caller", AgentAnswer))
		p.want(p.at(9, "caller", CallHangup), "queue-hangup queue_id=500 status=answer wait_time=4 talk_time=5",
			"call-hangup queue_id=500 status=answer wait_time=4 talk_time=5 final")
	})
	t.Run("one of two phones, by its number", func(t *testing.T) {
		p := newPBX(t)
		defer p.done()
		p.at(0, "caller", QueueDial, "queue_id=500")
		for _, phone := range []string{"101", "102"} {
			p.dial("caller", "local"+phone)
			p.at(1, "local"+phone, AgentDial, "agent_phone="+phone)
		}
		p.set("caller", "CONNECTEDLINE(num)", "101")
		p.want(p.at(4, "caller", AgentAnswer), "agent-answer queue_id=500 agent_phone=101 wait_time=4 ring_time=3")
	})
	t.Run("one of two phones, unknown", func(t *testing.T) {
		p := newPBX(t)
		defer p.done()
		p.at(0, "caller", QueueDial, "queue_id=500")
		for _, phone := range []string{"101", "102"} {
			p.dial("caller", "local"+phone)
			p.at(1, "local"+phone, AgentDial, "agent_phone="+phone)
		}
		p.want(p.at(4, "caller", AgentAnswer), "agent-answer queue_id=500 wait_time=4")
	})
	t.Run("no queue", func(t *testing.T) {
		p := newPBX(t)
		defer p.done()
		p.want(p.at(4, "caller", AgentAnswer))
		if p.why == "" {
			t.Error("the trace has no reason")
		}
	})
}

// TestTrueEnd checks that a call that continues after it was closed by max_call reports its actual ends
// once, as corrections.
func TestTrueEnd(t *testing.T) {
	p := newPBX(t)
	p.at(0, "caller", QueueDial, "queue_id=500")
	p.dial("caller", "local1")
	p.at(1, "local1", AgentDial, "agent_phone=101")
	p.presumed = true
	p.want(p.at(100, "caller", CallHangup), "agent-cancel queue_id=500 agent_phone=101 status=cancel wait_time=100 ring_time=99",
		"queue-hangup queue_id=500 status=other wait_time=100", "call-hangup queue_id=500 status=other wait_time=100 talk_time=0 final")
	p.want(p.at(101, "caller", CallHangup))
	p.presumed = false
	p.set("local1", "DIALSTATUS", "ANSWER")
	p.set("local1", "ANSWEREDTIME", "150")
	p.want(p.at(200, "local1", AgentHangup), "agent-hangup queue_id=500 agent_phone=101 status=answer wait_time=50 ring_time=49 talk_time=150 correction=true")
	p.want(p.at(200, "local1", AgentHangup))
	p.set("caller", "MEMBERINTERFACE", "Local/101@agents/n")
	p.set("caller", "QEHOLDTIME", "50")
	p.want(p.at(200, "caller", CallHangup), "queue-hangup queue_id=500 agent_phone=101 status=answer wait_time=50 talk_time=150 correction=true",
		"call-hangup queue_id=500 agent_phone=101 status=answer wait_time=50 ring_time=49 talk_time=150 correction=true final")
	p.want(p.at(200, "caller", CallHangup))
	ids := map[string]bool{}
	for _, ev := range p.events {
		if ids[ev.ID] {
			t.Errorf("%s has the id of an earlier event: the outbox would drop it", ev.Name)
		}
		ids[ev.ID] = true
	}
}

// TestOneEndOfAnUnreportedRing checks that a ring without agent-dial has one end if the end of the call
// comes before that of the phone.
func TestOneEndOfAnUnreportedRing(t *testing.T) {
	p := newPBX(t)
	defer p.done()
	p.at(0, "caller", QueueDial, "queue_id=500")
	p.want(p.at(5, "phone1", AgentAnswer, "agent_phone=101"), "agent-answer queue_id=500 agent_phone=101 wait_time=5")
	p.want(p.at(9, "caller", CallHangup), "agent-hangup queue_id=500 agent_phone=101 status=answer wait_time=5 talk_time=4",
		"queue-hangup queue_id=500 agent_phone=101 status=answer wait_time=5 talk_time=4",
		"call-hangup queue_id=500 agent_phone=101 status=answer wait_time=5 talk_time=4 final")
	p.set("local1", "DIALSTATUS", "ANSWER")
	p.want(p.at(9, "local1", AgentHangup, "agent_phone=101"))
	p.want(p.at(9, "local1", AgentHangup, "agent_phone=101"))
}

// TestWithheld checks lookups and events for a caller who withholds the number.
func TestWithheld(t *testing.T) {
	for _, c := range []struct {
		lookup, events bool
		asked          string
	}{{false, false, ""}, {true, false, "+442079460142"}, {false, true, ""}, {true, true, "+442079460142"}} {
		p := newPBX(t)
		p.settings.withheldLookup, p.settings.withheldEvents = c.lookup, c.events
		p.pres = 32
		p.at(0, "caller", QueueDial, "queue_id=500", "callerid=+442079460142", "callerid_name=Anna")
		if got := p.asked; got.Number != c.asked || c.asked == "" && got.Param("callerid")+got.Param("callerid_raw")+got.Param("callerid_name") != "" {
			t.Errorf("%+v: the lookup is asked for %q", c, got.Number)
		}
		p.pres = 0
		p.set("phone1", "CONNECTEDLINE(num)", "02079460142")
		p.at(1, "phone1", AgentAnswer, "agent_phone=101")
		p.at(2, "caller", CallHangup)
		for _, ev := range p.events {
			_, shown := ev.Params["callerid"]
			_, raw := ev.Params["callerid_raw"]
			_, name := ev.Params["callerid_name"]
			if ev.Params["callerid_withheld"] != true || shown != c.events || raw != c.events || name != c.events {
				t.Errorf("%+v: %s has %v", c, ev.Name, ev.Params)
			}
		}
	}
	p := newPBX(t)
	p.set("phone1", "CONNECTEDLINE(num)", "02079460142")
	p.set("phone1", "CONNECTEDLINE(num-pres)", "prohib_passed_screen")
	p.at(0, "phone1", AgentAnswer, "agent_phone=101")
	if ev := last(p); ev.Params["callerid"] != nil || ev.Params["callerid_withheld"] != true {
		t.Errorf("connected line: %v", ev.Params)
	}
	p = newPBX(t)
	p.pres = 67 // not available is different from withheld
	p.at(0, "caller", QueueDial, "queue_id=500")
	if ev := last(p); ev.Params["callerid_withheld"] != nil || ev.Params["callerid"] == nil {
		t.Errorf("not available: %v", ev.Params)
	}
}

func last(p *pbx) hooks.Event { return p.events[len(p.events)-1] }

// TestAgentIsExtension checks an agent's phone whose number has another meaning in the country: 112 is an
// emergency number in Great Britain.
func TestAgentIsExtension(t *testing.T) {
	p := newPBX(t)
	p.settings.agents["112"] = Agent{Phone: "112"}
	p.caller = "112"
	p.at(0, "caller", AgentCustom, "dialed=02079460777")
	if ev := last(p); ev.Params["callerid_kind"] != "short" || ev.Params["callerid"] != "112" {
		t.Errorf("got %v", ev.Params)
	}
}

// TestCustomEventArguments checks that an event of /event has every argument, and that a repeat differs
// from a second event.
func TestCustomEventArguments(t *testing.T) {
	p := newPBX(t)
	survey := func(args ...string) int {
		return len(p.at(1, "caller", CustomEvent, append([]string{"name=survey"}, args...)...))
	}
	for _, c := range []struct {
		args []string
		want int
	}{
		{[]string{"status=4"}, 1},
		{[]string{"status=5"}, 1},
		{[]string{"status=5"}, 0},
		{[]string{"status=5", "key=second"}, 1},
		{[]string{"status=6", "key=second"}, 0},
		// What differs beyond what is kept of a value is not the same, nor what is no UTF-8.
		{[]string{"text=" + strings.Repeat("a", maxValue) + "x"}, 1},
		{[]string{"text=" + strings.Repeat("a", maxValue) + "y"}, 1},
		{[]string{"text=" + strings.Repeat("a", maxValue) + "y"}, 0},
		{[]string{"text=" + strings.Repeat("a", maxValue)}, 1},
		{[]string{"answer=\xc4\xe0"}, 1}, // windows-1251
		{[]string{"answer=\xcd\xe5"}, 1},
		{[]string{"answer=\xcd\xe5"}, 0},
		{[]string{"key=" + strings.Repeat("k", maxValue) + "x"}, 1},
		{[]string{"key=" + strings.Repeat("k", maxValue) + "y"}, 1},
		{[]string{"queue_id=500", "agent_phone=101", "cause=16", "billsec=7", "recording_file=a.wav", "visit=x", "wait_time=3"}, 1},
	} {
		if got := survey(c.args...); got != c.want {
			t.Errorf("%v: %d events, want %d", c.args, got, c.want)
		}
	}
	ev := last(p)
	for name, want := range map[string]any{
		"queue_id": "500", "agent_phone": "101", "cause": int64(16), "billsec": int64(7), "recording_file": "a.wav", "visit": "x", "wait_time": int64(3),
	} {
		if ev.Params[name] != want {
			t.Errorf("%s is %v, want %v", name, ev.Params[name], want)
		}
	}
}

// TestDirectionOfCustomEvent checks that an event of /event has the direction that its point names, and the call keeps its own.
func TestDirectionOfCustomEvent(t *testing.T) {
	p := newPBX(t)
	p.at(0, "caller", CallDial)
	for args, want := range map[string]string{"direction=outgoing": outgoing, "answer=yes": incoming} {
		p.at(1, "caller", CustomEvent, "name=survey", args)
		if got := last(p).Params["direction"]; got != want {
			t.Errorf("%s: direction %v, want %s", args, got, want)
		}
	}
}

// TestReservedNames checks that only ringhook can set the reserved names.
func TestReservedNames(t *testing.T) {
	s := newSettings(Settings{Dialplan: Config{Variables: map[string]any{"reason": "text"}}})
	for _, name := range []string{"event", "event_id", "seq", "final", "time", "linkedid", "correction", "presumed", "hook", "reason", "type", "test", "ended_by", "call_uuid", "started", "answered", "ended"} {
		c := newCall(Identity{LinkedID: "1.1"}, oneDay)
		if _, refused := s.filterAnswer(c, []lookup.Var{{Name: name, Value: "1"}}); len(refused) != 1 || len(c.Known) > 0 {
			t.Errorf("a lookup sets %s: %v", name, c.Known)
		}
		if name != "linkedid" && (CustomEvent.Takes(name) || QueueDial.Takes(name)) {
			t.Errorf("%s is accepted as an argument", name)
		}
		if (&Config{}).CheckName(name) == "" {
			t.Errorf("CheckName does not refuse %s", name)
		}
	}
}

// TestMarkerOfSlashes checks markers with a slash in the system name, and of a queue named end.
func TestMarkerOfSlashes(t *testing.T) {
	for _, m := range []marker{{"pbx/1-1768469400.1", 2, "500"}, {"a/b/c-1.1", 1, ">1_2"}, {"1.1", 1, "end"}, {"1.1", 1, ""}, {"pbx/1-1.1", 1, "sales/eu"}, {"1.1", 2, "50%/end"}, {"1.1", 1, "%2F%252F"}} {
		for _, end := range []string{"", markerEnd} {
			got, ended, ok := parseMarker(m.String() + end)
			if !ok || got != m || ended != (end != "") {
				t.Errorf("%s%s is read as %+v, %v, %v", m, end, got, ended, ok)
			}
		}
	}
	p := newPBX(t)
	const channel = "pbx/1-1768469400.1"
	p.at(0, channel, QueueDial, "queue_id=500")
	p.set(channel, "QUEUESTATUS", "TIMEOUT")
	p.at(9, channel, QueueHangup)
	p.want(p.at(10, channel, QueueDial, "queue_id=500"), "queue-dial queue_id=500")
}

// TestQueueOfSlashes checks that a queue with a slash in its name has its name and its agents, also after a restart.
func TestQueueOfSlashes(t *testing.T) {
	p := newPBX(t)
	p.settings.queues["sales/eu"] = Queue{ID: "sales/eu", Name: "Sales Europe"}
	p.at(0, "caller", QueueDial, "queue_id=sales/eu")
	if ev := last(p); ev.Params["queue_id"] != "sales/eu" || ev.Params["queue_name"] != "Sales Europe" {
		t.Errorf("got %v", ev.Params)
	}
	p.want(p.at(0, "caller", QueueDial, "queue_id=sales/eu")) // a repeat
	p.want(p.at(5, "phone1", AgentAnswer, "agent_phone=101"), "agent-answer queue_id=sales/eu agent_phone=101 wait_time=5")
	p.set("caller", "QUEUESTATUS", "TIMEOUT")
	p.want(p.at(9, "caller", QueueHangup, "queue_id=sales/eu"), "queue-hangup queue_id=sales/eu agent_phone=101 status=answer wait_time=5 talk_time=4")
}

// TestPhoneOfTwoNames checks that a phone behind a gateway is that of the agent who has it.
func TestPhoneOfTwoNames(t *testing.T) {
	p := newPBX(t)
	p.at(0, "caller", AgentDial, "agent_phone=SIP/gateway/101")
	if ev := last(p); ev.Params["agent_phone"] != "101" || ev.Params["agent_id"] != "7" {
		t.Errorf("got %v", ev.Params)
	}
	p.want(p.at(0, "caller", AgentDial, "agent_phone=PJSIP/101/sip:101@host")) // a repeat
}

// TestBlanks checks an argument with blanks around its value.
func TestBlanks(t *testing.T) {
	p := newPBX(t)
	p.want(p.at(0, "caller", QueueDial, "queue_id= 500 "), "queue-dial queue_id=500")
}

// TestHungUpBeforeQueue checks a caller who hangs up while queue-dial asks the CRM: Queue() does not run,
// so Asterisk reports nothing about the visit.
func TestHungUpBeforeQueue(t *testing.T) {
	p := newPBX(t)
	defer p.done()
	p.hungup = true
	p.at(0, "caller", QueueDial, "queue_id=500")
	p.want(p.at(1, "caller", QueueHangup), "queue-hangup queue_id=500 status=cancel wait_time=1", "queue-abandon queue_id=500 status=cancel wait_time=1")
}

// TestUnreportedSecondVisit checks that a second visit on one channel without queue-dial has an end, and
// that a repeat of the first end remains a repeat.
func TestUnreportedSecondVisit(t *testing.T) {
	p := newPBX(t)
	defer p.done()
	p.at(0, "caller", QueueDial, "queue_id=500")
	p.set("caller", "QUEUESTATUS", "TIMEOUT")
	p.set("caller", "QEHOLDTIME", "0")
	p.at(20, "caller", QueueHangup)
	p.want(p.at(21, "caller", QueueHangup))
	p.set("caller", "MEMBERINTERFACE", "PJSIP/101")
	p.set("caller", "QEHOLDTIME", "7")
	p.set("caller", "QUEUESTATUS", "")
	p.want(p.at(39, "caller", QueueHangup, "agent_phone=101"))
	p.want(p.at(40, "caller", QueueHangup), "queue-hangup queue_id=500 agent_phone=101 status=answer wait_time=7 talk_time=0")
	p.want(p.at(40, "caller", QueueHangup))
}

// TestLineBreaks checks that the words on both sides of a line break in an argument stay apart.
func TestLineBreaks(t *testing.T) {
	for value, want := range map[string]string{
		"ACME Corp.\r\nDoe": "ACME Corp. Doe", "a\tb": "a b", "a \x00\x1b b": "a b", "\n": "", "a\u2028b\u0085c": "a b c", " plain ": " plain ",
	} {
		if got := clean(value); got != want {
			t.Errorf("%q: got %q, want %q", value, got, want)
		}
	}
}

// TestCutKeepsNothingElse checks that a value that was cut does not keep the rest in memory, as a call keeps it.
func TestCutKeepsNothingElse(t *testing.T) {
	long := strings.Repeat("é", 1<<19)
	for _, got := range []string{cut(long, 101), clean(long)} {
		if got == "" || unsafe.StringData(got) == unsafe.StringData(long) || !utf8.ValidString(got) {
			t.Errorf("%d bytes share the memory of %d", len(got), len(long))
		}
	}
}

// TestCharsetOfNames checks names in the charset of [number].
func TestCharsetOfNames(t *testing.T) {
	p := newPBX(t)
	p.numbers = number.NewReader(number.Config{Country: "RU", Language: "en", Charset: "windows-1251"})
	p.name = "\xc0\xed\xed\xe0"
	p.at(0, "caller", CallDial)
	if got := last(p).Params["callerid_name"]; got != "Анна" {
		t.Errorf("callerid_name is %q", got)
	}
}

// TestCharsetOfTrunk checks that a point's argument overrides the charset of [number].
func TestCharsetOfTrunk(t *testing.T) {
	for argument, want := range map[string]string{"windows-1255": "חנה", "": "зрд"} {
		p := newPBX(t)
		p.numbers = number.NewReader(number.Config{Country: "IL", Language: "en", Charset: "windows-1251"})
		p.name = "\xe7\xf0\xe4"
		p.at(0, "caller", CallDial, "charset="+argument)
		if got := last(p).Params["callerid_name"]; got != want || last(p).Params["charset"] != nil {
			t.Errorf("charset=%s: callerid_name is %q, want %q; all: %v", argument, got, want, last(p).Params)
		}
	}
}

// TestSecondQueue checks a visit after one that timed out on the same channel: the variables of the first
// prove nothing about the second.
func TestSecondQueue(t *testing.T) {
	p := newPBX(t)
	defer p.done()
	p.at(0, "caller", QueueDial, "queue_id=500")
	p.set("caller", "QUEUESTATUS", "TIMEOUT")
	p.set("caller", "ABANDONED", "TRUE")
	p.at(20, "caller", QueueHangup)
	p.at(21, "caller", QueueDial, "queue_id=600")
	p.set("caller", "ANSWEREDTIME", "4")
	p.want(p.at(30, "caller", QueueHangup), "queue-hangup queue_id=600 status=answer wait_time=5 talk_time=4")
}
