package dialplan

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"ringhook/fastagi"
	"ringhook/hooks"
	"ringhook/lookup"
	"ringhook/lookup/number"
)

// pbx plays Asterisk: channels with variables, and a clock. Between two points the call is encoded and
// decoded, as in a restart.
type pbx struct {
	t        *testing.T
	settings *settings
	numbers  *number.Reader
	kept     []byte
	began    time.Time
	channels map[string]map[string]string
	caller   string // number; empty for the usual one
	name     string // as received, if it is not UTF-8
	pres     int    // presentation of the number
	presumed bool   // the call is closed by max_call
	hungup   bool   // the caller has hung up
	why      string // the reason why the last point made no event
	asked    lookup.Question
	events   []hooks.Event
}

func newPBX(t *testing.T) *pbx {
	t.Helper()
	return &pbx{
		t: t, began: time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC), channels: map[string]map[string]string{},
		numbers: number.NewReader(number.Config{Country: "GB", Language: "en"}),
		settings: newSettings(Settings{
			Queues: []Queue{{ID: "500", Name: "Sales"}, {ID: "600", Name: "Service"}},
			Agents: []Agent{{ID: "7", Phone: "101", Name: "Anna", Info: "anna@crm.example"}, {ID: "8", Phone: "102", Name: "Boris"}},
		}),
	}
}

// set sets a variable of a channel, like Asterisk's applications.
func (p *pbx) set(channel, name, value string) { p.on(channel)[name] = value }

func (p *pbx) on(channel string) map[string]string {
	if p.channels[channel] == nil {
		p.channels[channel] = map[string]string{}
	}
	return p.channels[channel]
}

// dial creates a channel that inherits the variables of another.
func (p *pbx) dial(from, channel string) {
	for name, value := range p.on(from) {
		if strings.HasPrefix(name, "__") {
			p.set(channel, name, value)
		}
	}
}

// at asks a point at a second of the call and returns a summary of its events.
func (p *pbx) at(second float64, channel string, point Point, args ...string) []string {
	p.t.Helper()
	env := &fastagi.Env{Point: string(point), Channel: channel, UniqueID: channel, CallerNum: cmp.Or(p.caller, "02079460142"), CallingPres: p.pres, RawCallerName: p.name, DNID: "02079460500", Extension: "500", Args: args}
	r, err := parseRequest(env, p.settings.variables)
	if err != nil {
		p.t.Fatalf("%s: %v", point, err)
	}
	for _, name := range r.spec.reads {
		if _, given := r.args[name]; given {
			continue
		}
		r.asked = append(r.asked, name)
		v := p.on(channel)[channelReads[name]]
		if inherited := p.on(channel)["__"+channelReads[name]]; v == "" {
			v = inherited
		}
		if name == "linkedid" {
			v = "call-1"
		}
		if v != "" {
			r.args[name] = v
		}
	}
	now := p.began.Add(time.Duration(second * float64(time.Second)))
	c := newCall(Identity{LinkedID: "call-1"}, now)
	if p.kept != nil {
		if c, err = decodeCall(p.kept); err != nil {
			p.t.Fatal(err)
		}
	}
	s := &transition{request: r, call: c, settings: p.settings, now: now, numbers: p.numbers, presumed: p.presumed, hungup: p.hungup}
	s.mergeChannel()
	p.asked = s.question()
	r.spec.step(s)
	p.why = s.why
	if p.kept, err = c.encode(); err != nil {
		p.t.Fatal(err)
	}
	for _, v := range s.vars {
		plain := strings.TrimLeft(v.Name, "_")
		delete(p.on(channel), plain)
		delete(p.on(channel), "__"+plain)
		p.set(channel, v.Name, v.Value)
	}
	p.events = append(p.events, s.events...)
	var short []string
	for _, ev := range s.events {
		short = append(short, inShort(ev))
		for name, v := range ev.Params {
			if v == nil || v == "" { // receivers get only parameters with a value
				p.t.Errorf("%s has the parameter %s without a value", ev.Name, name)
			}
		}
	}
	return short
}

// shown are the parameters in the summary of an event.
var shown = []string{"queue_id", "agent_phone", "dialed", "status", "wait_time", "ring_time", "talk_time", "transfer_uniqueid", "correction"}

func inShort(ev hooks.Event) string {
	var b strings.Builder
	b.WriteString(ev.Name)
	for _, name := range shown {
		if v, ok := ev.Params[name]; ok {
			fmt.Fprintf(&b, " %s=%v", strings.TrimSuffix(name, "_uniqueid"), v)
		}
	}
	if ev.Final {
		b.WriteString(" final")
	}
	return b.String()
}

func (p *pbx) want(got []string, want ...string) {
	p.t.Helper()
	if !slices.Equal(got, want) {
		p.t.Errorf("got:\n  %s\nwant:\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

// done checks that the ids are unique and seq counts from 1.
func (p *pbx) done() {
	p.t.Helper()
	ids := map[string]string{}
	for i, ev := range p.events {
		if before, twice := ids[ev.ID]; twice {
			p.t.Errorf("%s has the id of %s", ev.Name, before)
		}
		ids[ev.ID] = ev.Name
		if ev.Seq != i+1 {
			p.t.Errorf("%s has seq %d, want %d", ev.Name, ev.Seq, i+1)
		}
	}
}

// TestAnswered checks a queue call that the second agent answers, with every report made twice, as in a
// dialplan with overlapping places.
func TestAnswered(t *testing.T) {
	p := newPBX(t)
	defer p.done()
	p.want(p.at(0, "caller", CallDial), "call-dial")
	p.want(p.at(0, "caller", CallDial))
	p.want(p.at(1, "caller", QueueDial, "queue_id=500"), "queue-dial queue_id=500")
	p.want(p.at(1, "caller", QueueDial, "queue_id=500"))
	p.dial("caller", "local1")
	p.want(p.at(2, "local1", AgentDial, "agent_phone=101"), "agent-dial queue_id=500 agent_phone=101")
	p.want(p.at(2, "local1", AgentDial, "agent_phone=101"))
	p.set("local1", "DIALSTATUS", "BUSY")
	p.want(p.at(3, "local1", AgentHangup), "agent-cancel queue_id=500 agent_phone=101 status=busy wait_time=2 ring_time=1")
	p.dial("caller", "local2")
	p.want(p.at(4, "local2", AgentDial, "agent_phone=102"), "agent-dial queue_id=500 agent_phone=102")
	p.want(p.at(4, "local1", AgentHangup)) // the h of the first comes late
	p.dial("local2", "phone2")
	p.want(p.at(9, "phone2", AgentAnswer, "agent_phone=PJSIP/102"), "agent-answer queue_id=500 agent_phone=102 wait_time=8 ring_time=5")
	p.set("caller", "MEMBERINTERFACE", "Local/102@agents/n")
	p.want(p.at(9, "caller", AgentAnswer)) // the AGI argument of Queue() reports it again
	p.set("local2", "DIALSTATUS", "ANSWER")
	p.want(p.at(69, "local2", AgentHangup), "agent-hangup queue_id=500 agent_phone=102 status=answer wait_time=8 ring_time=5 talk_time=60")
	p.want(p.at(69, "caller", QueueHangup), "queue-hangup queue_id=500 agent_phone=102 status=answer wait_time=8 talk_time=60")
	p.want(p.at(69, "caller", QueueHangup))
	p.want(p.at(69, "caller", CallHangup), "call-hangup queue_id=500 agent_phone=102 status=answer wait_time=8 ring_time=5 talk_time=60 final")
	p.want(p.at(69, "caller", CallHangup))
	p.want(p.at(69, "local2", AgentHangup))
}

// TestLastFirst checks the end of a call whose first report is the caller's hangup handler: the events of
// the other reports come before it, once.
func TestLastFirst(t *testing.T) {
	p := newPBX(t)
	defer p.done()
	p.at(0, "caller", QueueDial, "queue_id=500")
	p.dial("caller", "local1")
	p.at(1, "local1", AgentDial, "agent_phone=101")
	p.dial("local1", "phone1")
	p.at(3, "phone1", AgentAnswer)
	p.want(p.at(13, "caller", CallHangup),
		"agent-hangup queue_id=500 agent_phone=101 status=answer wait_time=3 ring_time=2 talk_time=10",
		"queue-hangup queue_id=500 agent_phone=101 status=answer wait_time=3 talk_time=10",
		"call-hangup queue_id=500 agent_phone=101 status=answer wait_time=3 ring_time=2 talk_time=10 final")
	p.set("local1", "DIALSTATUS", "ANSWER")
	p.want(p.at(13, "local1", AgentHangup))
	p.want(p.at(13, "caller", QueueHangup))
}

// TestLeftQueue checks the ends of visits that no agent answers.
func TestLeftQueue(t *testing.T) {
	t.Run("abandoned", func(t *testing.T) {
		p := newPBX(t)
		defer p.done()
		p.at(0, "caller", QueueDial, "queue_id=500")
		p.dial("caller", "local1")
		p.at(1, "local1", AgentDial, "agent_phone=101")
		p.set("caller", "QUEUENAME", "500")
		p.set("caller", "ABANDONED", "TRUE")
		p.want(p.at(7, "caller", QueueHangup),
			"queue-hangup queue_id=500 status=cancel wait_time=7", "queue-abandon queue_id=500 status=cancel wait_time=7")
		p.set("local1", "DIALSTATUS", "CANCEL")
		p.want(p.at(7, "local1", AgentHangup), "agent-cancel queue_id=500 agent_phone=101 status=cancel wait_time=7 ring_time=6")
		p.want(p.at(7, "caller", CallHangup), "call-hangup queue_id=500 status=cancel wait_time=7 talk_time=0 final")
	})
	t.Run("failover, then a second queue", func(t *testing.T) {
		p := newPBX(t)
		defer p.done()
		p.at(0, "caller", QueueDial, "queue_id=500")
		p.set("caller", "QUEUESTATUS", "TIMEOUT")
		p.want(p.at(20, "caller", QueueHangup),
			"queue-hangup queue_id=500 status=noanswer wait_time=20", "queue-failover queue_id=500 status=noanswer wait_time=20")
		p.want(p.at(21, "caller", QueueDial, "queue_id=600"), "queue-dial queue_id=600")
		p.set("caller", "ABANDONED", "TRUE")
		p.want(p.at(31, "caller", QueueHangup),
			"queue-hangup queue_id=600 status=cancel wait_time=10", "queue-abandon queue_id=600 status=cancel wait_time=10")
	})
	t.Run("the same queue again", func(t *testing.T) {
		p := newPBX(t)
		defer p.done()
		p.at(0, "caller", QueueDial, "queue_id=500")
		p.set("caller", "QUEUESTATUS", "TIMEOUT")
		p.at(20, "caller", QueueHangup)
		p.want(p.at(21, "caller", QueueDial, "queue_id=500"), "queue-dial queue_id=500")
	})
	t.Run("no variable shows why", func(t *testing.T) {
		p := newPBX(t)
		defer p.done()
		p.at(0, "caller", QueueDial, "queue_id=500")
		p.want(p.at(20, "caller", QueueDial, "queue_id=600"),
			"queue-hangup queue_id=500 status=other wait_time=20", "queue-failover queue_id=500 status=other wait_time=20", "queue-dial queue_id=600")
	})
}

// TestMissed checks calls whose beginning was not reported: the rest is reported with the values of the
// channel.
func TestMissed(t *testing.T) {
	t.Run("queue", func(t *testing.T) {
		p := newPBX(t)
		defer p.done()
		for name, value := range map[string]string{"QUEUENAME": "500", "MEMBERINTERFACE": "Local/101@agents/n", "QEHOLDTIME": "4"} {
			p.set("caller", name, value)
		}
		p.want(p.at(30, "caller", QueueHangup), "queue-hangup queue_id=500 agent_phone=101 status=answer wait_time=4 talk_time=0")
		p.want(p.at(30, "caller", QueueHangup))
	})
	t.Run("ring", func(t *testing.T) {
		p := newPBX(t)
		defer p.done()
		p.at(0, "caller", QueueDial, "queue_id=500")
		p.dial("caller", "local1")
		p.set("local1", "DIALSTATUS", "ANSWER")
		p.set("local1", "ANSWEREDTIME", "12")
		p.want(p.at(20, "local1", AgentHangup, "agent_phone=101"), "agent-hangup queue_id=500 agent_phone=101 status=answer wait_time=8 talk_time=12")
		p.want(p.at(20, "local1", AgentHangup, "agent_phone=101"))
	})
	t.Run("beginning of the ring", func(t *testing.T) {
		p := newPBX(t)
		defer p.done()
		p.at(0, "caller", QueueDial, "queue_id=500")
		p.dial("caller", "local1")
		p.dial("local1", "phone1")
		p.want(p.at(4, "phone1", AgentAnswer, "agent_phone=101"), "agent-answer queue_id=500 agent_phone=101 wait_time=4")
		p.set("local1", "DIALSTATUS", "ANSWER")
		p.want(p.at(10, "local1", AgentHangup, "agent_phone=101"), "agent-hangup queue_id=500 agent_phone=101 status=answer wait_time=4 talk_time=6")
		p.want(p.at(10, "local1", AgentHangup, "agent_phone=101"))
	})
	t.Run("beginning of the ring, after one of another phone", func(t *testing.T) {
		p := newPBX(t)
		defer p.done()
		p.at(0, "caller", AgentDial, "agent_phone=101")
		p.dial("caller", "phone1")
		p.at(3, "phone1", AgentAnswer, "agent_phone=101")
		p.at(9, "phone1", AgentHangup, "agent_phone=101") // the agent transfers the call to a queue
		p.dial("caller", "local2")                        // with the ring's marker, because queue-dial was not reported
		p.dial("local2", "phone2")
		p.want(p.at(15, "phone2", AgentAnswer, "agent_phone=102"), "agent-answer agent_phone=102")
		p.want(p.at(20, "local2", AgentHangup, "agent_phone=102"), "agent-hangup agent_phone=102 status=answer talk_time=5")
	})
	t.Run("beginning of the second ring of a channel", func(t *testing.T) {
		p := newPBX(t)
		defer p.done()
		p.at(0, "caller", AgentDial, "agent_phone=101")
		p.set("caller", "DIALSTATUS", "BUSY")
		p.at(1, "caller", AgentHangup, "agent_phone=101")
		p.want(p.at(5, "caller", AgentHangup, "agent_phone=109"), "agent-cancel agent_phone=109 status=busy")
		p.want(p.at(5, "caller", AgentHangup, "agent_phone=109"))
	})
	t.Run("beginning of a ring while another phone rings", func(t *testing.T) {
		p := newPBX(t)
		defer p.done()
		p.at(0, "caller", QueueDial, "queue_id=500")
		p.dial("caller", "local1")
		p.at(1, "local1", AgentDial, "agent_phone=101")
		p.set("local1", "DIALSTATUS", "BUSY")
		p.at(2, "local1", AgentHangup, "agent_phone=101")
		delete(p.on("local1"), ringVariable) // Asterisk did not get the answer
		p.dial("caller", "local2")
		p.at(3, "local2", AgentDial, "agent_phone=101")
		p.want(p.at(3, "local1", AgentHangup, "agent_phone=101")) // the late h is that of the first ring
	})
	t.Run("answer", func(t *testing.T) {
		p := newPBX(t)
		defer p.done()
		p.at(0, "caller", CallDial)
		p.at(0, "caller", AgentDial, "agent_phone=101")
		p.set("caller", "DIALSTATUS", "ANSWER")
		p.set("caller", "ANSWEREDTIME", "12")
		p.want(p.at(20, "caller", AgentHangup), "agent-hangup agent_phone=101 status=answer ring_time=8 talk_time=12")
	})
	for _, first := range []Point{AgentHangup, QueueHangup} {
		t.Run("answer after a busy phone, "+string(first)+" first", func(t *testing.T) {
			p := newPBX(t)
			defer p.done()
			p.at(0, "caller", QueueDial, "queue_id=500")
			p.dial("caller", "local1")
			p.at(1, "local1", AgentDial, "agent_phone=101")
			p.set("local1", "DIALSTATUS", "BUSY")
			p.at(1, "local1", AgentHangup)
			p.dial("caller", "local2")
			p.at(2, "local2", AgentDial, "agent_phone=102")
			p.set("local2", "DIALSTATUS", "ANSWER")
			p.set("local2", "ANSWEREDTIME", "16")
			p.set("caller", "MEMBERINTERFACE", "Local/102@agents/n")
			p.set("caller", "QEHOLDTIME", "4")
			want := map[Point]string{
				AgentHangup: "agent-hangup queue_id=500 agent_phone=102 status=answer wait_time=4 ring_time=2 talk_time=16",
				QueueHangup: "queue-hangup queue_id=500 agent_phone=102 status=answer wait_time=4 talk_time=16",
			}
			on := map[Point]string{AgentHangup: "local2", QueueHangup: "caller"}
			p.want(p.at(20, on[first], first), want[first])
			delete(want, first)
			for then, told := range want {
				p.want(p.at(20, on[then], then), told)
			}
			p.want(p.at(20, "caller", CallHangup), "call-hangup queue_id=500 agent_phone=102 status=answer wait_time=4 ring_time=2 talk_time=16 final")
		})
	}
	t.Run("answer and the queue's end", func(t *testing.T) {
		p := newPBX(t)
		defer p.done()
		p.at(0, "caller", QueueDial, "queue_id=500")
		p.dial("caller", "local1")
		p.at(1, "local1", AgentDial, "agent_phone=101")
		for name, value := range map[string]string{"QUEUENAME": "500", "MEMBERINTERFACE": "Local/101@agents/n", "QEHOLDTIME": "4"} {
			p.set("caller", name, value)
		}
		p.want(p.at(20, "caller", CallHangup),
			"agent-hangup queue_id=500 agent_phone=101 status=answer wait_time=4 ring_time=3 talk_time=16",
			"queue-hangup queue_id=500 agent_phone=101 status=answer wait_time=4 talk_time=16",
			"call-hangup queue_id=500 agent_phone=101 status=answer wait_time=4 ring_time=3 talk_time=16 final")
	})
	t.Run("all of the queue but its variables", func(t *testing.T) {
		p := newPBX(t)
		defer p.done()
		p.at(0, "caller", CallDial)
		for name, value := range map[string]string{"QUEUENAME": "500", "MEMBERINTERFACE": "Local/101@agents/n", "QEHOLDTIME": "4"} {
			p.set("caller", name, value)
		}
		p.want(p.at(20, "caller", CallHangup), "call-hangup status=answer wait_time=4 talk_time=16 final")
	})
	t.Run("a member who hung up before the caller was connected", func(t *testing.T) {
		p := newPBX(t)
		defer p.done()
		p.at(0, "caller", CallDial)
		p.set("caller", "MEMBERINTERFACE", "Local/101@agents/n")
		p.set("caller", "QUEUESTATUS", "TIMEOUT")
		p.want(p.at(40, "caller", CallHangup), "call-hangup status=noanswer wait_time=40 talk_time=0 final")
	})
	for status, told := range map[string]string{
		"ANSWER": "agent-hangup agent_phone=101 status=answer ring_time=8 talk_time=12",
		"BUSY":   "agent-cancel agent_phone=101 status=busy ring_time=20",
	} {
		t.Run("answer and end of a phone without a queue, "+status, func(t *testing.T) {
			p := newPBX(t)
			defer p.done()
			p.at(0, "caller", AgentDial, "agent_phone=101")
			p.set("caller", "DIALSTATUS", status)
			p.set("caller", "ANSWEREDTIME", "12")
			if got := p.at(20, "caller", CallHangup); len(got) != 2 || got[0] != told {
				t.Errorf("got %v, want %s and the call's end", got, told)
			}
		})
	}
	t.Run("answer and end of an outgoing call", func(t *testing.T) {
		p := newPBX(t)
		defer p.done()
		p.at(0, "agent", AgentCustom, "agent_phone=101", "dialed=02079460777")
		p.set("agent", "DIALSTATUS", "ANSWER")
		p.set("agent", "ANSWEREDTIME", "12")
		p.want(p.at(20, "agent", CallHangup),
			"agent-dialout-hangup agent_phone=101 dialed=02079460777 status=answer ring_time=8 talk_time=12",
			"call-hangup agent_phone=101 dialed=02079460777 status=answer ring_time=8 talk_time=12 final")
	})
	t.Run("nothing to report", func(t *testing.T) {
		p := newPBX(t)
		p.want(p.at(0, "caller", QueueHangup))
		p.want(p.at(0, "caller", AgentHangup))
		p.want(p.at(0, "caller", AgentAnswer))
	})
}

// TestTransfer checks an agent who transfers the caller to another queue. Asterisk moves the member's
// channel there; the caller's channel stays in the first queue.
func TestTransfer(t *testing.T) {
	p := newPBX(t)
	defer p.done()
	p.at(0, "caller", QueueDial, "queue_id=500")
	p.dial("caller", "local1")
	p.at(1, "local1", AgentDial, "agent_phone=101")
	p.dial("local1", "phone1")
	p.at(3, "phone1", AgentAnswer)
	p.want(p.at(10, "local1", QueueDial, "queue_id=600"),
		"agent-hangup queue_id=500 agent_phone=101 status=answer wait_time=3 ring_time=2 talk_time=7",
		"queue-dial queue_id=600 transfer=caller")
	p.dial("local1", "local2")
	p.want(p.at(11, "local2", AgentDial, "agent_phone=102"), "agent-dial queue_id=600 agent_phone=102 transfer=caller")
	p.dial("local2", "phone2")
	p.want(p.at(14, "phone2", AgentAnswer), "agent-answer queue_id=600 agent_phone=102 wait_time=4 ring_time=3 transfer=caller")
	p.want(p.at(20, "local2", AgentHangup), "agent-hangup queue_id=600 agent_phone=102 status=answer wait_time=4 ring_time=3 talk_time=6 transfer=caller")
	p.want(p.at(20, "local1", QueueHangup), "queue-hangup queue_id=600 agent_phone=102 status=answer wait_time=4 talk_time=6 transfer=caller")
	p.want(p.at(20, "caller", QueueHangup), "queue-hangup queue_id=500 agent_phone=101 status=answer wait_time=3 talk_time=17")
	p.want(p.at(20, "caller", CallHangup), "call-hangup queue_id=600 agent_phone=102 status=answer wait_time=4 ring_time=3 talk_time=17 final")
}

// TestTransferOnOneChannel checks the same without a Local channel: the caller's channel moves to the
// second queue.
func TestTransferOnOneChannel(t *testing.T) {
	p := newPBX(t)
	defer p.done()
	p.at(0, "caller", QueueDial, "queue_id=500")
	p.set("caller", "MEMBERINTERFACE", "PJSIP/101")
	p.at(3, "caller", AgentAnswer)
	p.want(p.at(10, "caller", QueueDial, "queue_id=600"),
		"agent-hangup queue_id=500 agent_phone=101 status=answer wait_time=3 talk_time=7",
		"queue-hangup queue_id=500 agent_phone=101 status=answer wait_time=3 talk_time=7",
		"queue-dial queue_id=600 transfer=caller")
}

// TestOwnChannelEnds checks the end of a ring that the phone's own channel reports, whose caller number is that of
// the phone: it is not taken for the caller's.
func TestOwnChannelEnds(t *testing.T) {
	p := newPBX(t)
	p.pres = 0x20
	p.at(0, "caller", QueueDial, "queue_id=500")
	p.pres = 0
	p.dial("caller", "local2")
	p.at(1, "local2", AgentDial, "agent_phone=101")
	p.dial("local2", "phone1")
	p.caller = "101"
	p.at(2, "phone1", AgentAnswer, "agent_phone=101")
	p.at(9, "phone1", AgentHangup, "agent_phone=101")
	last := p.events[len(p.events)-1]
	if last.Name != string(AgentHangup) || last.Params["callerid"] != nil || last.Params["callerid_raw"] != nil || last.Params["callerid_kind"] != "anonymous" {
		t.Errorf("%s has callerid %v, callerid_raw %v, callerid_kind %v", last.Name, last.Params["callerid"], last.Params["callerid_raw"], last.Params["callerid_kind"])
	}
	p = newPBX(t)
	p.at(0, "caller", QueueDial, "queue_id=500")
	p.dial("caller", "local2")
	p.at(1, "local2", AgentDial, "agent_phone=101")
	p.dial("local2", "phone1")
	p.caller = "101"
	p.at(2, "phone1", AgentAnswer, "agent_phone=101")
	p.at(9, "phone1", AgentHangup, "agent_phone=101")
	if last := p.events[len(p.events)-1]; last.Params["callerid"] != "+442079460142" || last.Params["callerid_kind"] != nil {
		t.Errorf("callerid %v, callerid_kind %v", last.Params["callerid"], last.Params["callerid_kind"])
	}
}

// TestGroupEndsTwice checks a Dial of several phones, whose channels have the marker of the last one's ring: the end
// that the answering phone's own channel reports too is a repeat.
func TestGroupEndsTwice(t *testing.T) {
	p := newPBX(t)
	defer p.done()
	p.at(0, "caller", QueueDial, "queue_id=600")
	p.at(0, "caller", AgentDial, "agent_phone=101")
	p.at(0, "caller", AgentDial, "agent_phone=102")
	p.dial("caller", "phone1")
	p.dial("caller", "phone2")
	p.at(2, "phone1", AgentAnswer, "agent_phone=101")
	p.set("caller", "DIALSTATUS", "ANSWER")
	p.at(5, "caller", AgentHangup, "agent_phone=101")
	p.want(p.at(5, "phone1", AgentHangup, "agent_phone=101"))
	p.want(p.at(5, "phone2", AgentHangup, "agent_phone=102"))
}

// TestTransferToColleague checks an agent who transfers the caller to a colleague's phone: the point runs
// on the channel of the ring, which is not connected to an agent.
func TestTransferToColleague(t *testing.T) {
	p := newPBX(t)
	defer p.done()
	p.at(0, "caller", QueueDial, "queue_id=500")
	p.dial("caller", "local1")
	p.at(1, "local1", AgentDial, "agent_phone=101")
	p.dial("local1", "phone1")
	p.at(3, "phone1", AgentAnswer)
	p.want(p.at(10, "local1", AgentCustom, "dialed=104"),
		"agent-hangup queue_id=500 agent_phone=101 status=answer wait_time=3 ring_time=2 talk_time=7",
		"agent-custom agent_phone=101 dialed=104 transfer=caller")
	p.want(p.at(10, "phone1", AgentHangup))
	p.set("local1", "DIALSTATUS", "NOANSWER")
	p.want(p.at(20, "local1", AgentDialoutHangup), "agent-dialout-hangup agent_phone=101 dialed=104 status=noanswer ring_time=10 transfer=caller")
}

// TestTransferSeenByTheAgent checks a blind transfer whose first report is the end of the agent's
// channel.
func TestTransferSeenByTheAgent(t *testing.T) {
	p := newPBX(t)
	defer p.done()
	p.at(0, "caller", AgentDial, "agent_phone=101")
	p.dial("caller", "phone1")
	p.at(3, "phone1", AgentAnswer)
	p.want(p.at(10, "phone1", AgentHangup), "agent-hangup agent_phone=101 status=answer ring_time=3 talk_time=7")
	p.want(p.at(10, "caller", QueueDial, "queue_id=600"), "queue-dial queue_id=600 transfer=caller")
	p.want(p.at(10, "caller", AgentHangup))
	p.set("caller", "QUEUESTATUS", "TIMEOUT")
	p.at(40, "caller", QueueHangup)
	p.want(p.at(40, "caller", QueueDial, "queue_id=500"), "queue-dial queue_id=500")
}

// TestColleagueSeenByTheAgent checks the same for a transfer to a colleague's phone.
func TestColleagueSeenByTheAgent(t *testing.T) {
	p := newPBX(t)
	defer p.done()
	p.at(0, "caller", QueueDial, "queue_id=500")
	p.dial("caller", "local1")
	p.at(1, "local1", AgentDial, "agent_phone=101")
	p.dial("local1", "phone1")
	p.at(3, "phone1", AgentAnswer)
	p.at(10, "phone1", AgentHangup)
	p.want(p.at(10, "local1", AgentCustom, "dialed=104"), "agent-custom agent_phone=101 dialed=104 transfer=caller")
}

// TestFailoverToPhone checks that a ring after the call has left its queue belongs to no queue.
func TestFailoverToPhone(t *testing.T) {
	p := newPBX(t)
	defer p.done()
	p.at(0, "caller", QueueDial, "queue_id=500")
	p.set("caller", "QUEUESTATUS", "TIMEOUT")
	p.at(30, "caller", QueueHangup)
	p.want(p.at(30, "caller", AgentDial, "agent_phone=109"), "agent-dial agent_phone=109")
	p.dial("caller", "phone")
	p.want(p.at(32, "phone", AgentAnswer), "agent-answer agent_phone=109 ring_time=2")
}

// TestTransferOfDirectCall checks a blind transfer of a call without a queue.
func TestTransferOfDirectCall(t *testing.T) {
	p := newPBX(t)
	defer p.done()
	p.at(0, "caller", AgentDial, "agent_phone=101")
	p.dial("caller", "phone1")
	p.at(3, "phone1", AgentAnswer)
	p.want(p.at(10, "caller", QueueDial, "queue_id=600"),
		"agent-hangup agent_phone=101 status=answer ring_time=3 talk_time=7", "queue-dial queue_id=600 transfer=caller")
	p.want(p.at(10, "phone1", AgentHangup))
}

// TestOutgoing checks an agent who calls out twice from one channel.
func TestOutgoing(t *testing.T) {
	p := newPBX(t)
	defer p.done()
	p.want(p.at(0, "agent", AgentCustom, "agent_phone=101", "dialed=02079460777"), "agent-custom agent_phone=101 dialed=02079460777")
	p.dial("agent", "trunk")
	p.want(p.at(6, "trunk", AgentDialoutAnswer), "agent-dialout-answer agent_phone=101 dialed=02079460777 ring_time=6")
	p.want(p.at(16, "agent", AgentDialoutHangup), "agent-dialout-hangup agent_phone=101 dialed=02079460777 status=answer ring_time=6 talk_time=10")
	p.want(p.at(16, "agent", AgentDialoutHangup))
	p.want(p.at(20, "agent", AgentCustom, "agent_phone=101", "dialed=02079460777"), "agent-custom agent_phone=101 dialed=02079460777")
	p.set("agent", "DIALSTATUS", "BUSY")
	p.want(p.at(22, "agent", AgentDialoutHangup), "agent-dialout-hangup agent_phone=101 dialed=02079460777 status=busy ring_time=2")
	if got := p.events[0].Params["direction"]; got != "outgoing" {
		t.Errorf("direction %v, want outgoing", got)
	}
}

// TestInternal checks that a call marked as internal by the dialplan remains internal after a transfer.
func TestInternal(t *testing.T) {
	for _, c := range []struct {
		first     Point
		arg, want string
	}{
		{AgentCustom, "direction=internal", "internal"},
		{AgentCustom, "direction=sideways", "outgoing"},
		{CallDial, "direction=internal", "incoming"},
	} {
		p := newPBX(t)
		if c.first != AgentCustom {
			p.at(0, "agent", c.first)
		}
		p.at(1, "agent", AgentCustom, "agent_phone=101", "dialed=102", c.arg)
		p.at(1, "agent", AgentDial, "agent_phone=102")
		p.at(5, "agent", CallHangup)
		for _, ev := range p.events {
			if got := ev.Params["direction"]; got != c.want {
				t.Errorf("%s, %s: %s has direction %v, want %s", c.first, c.arg, ev.Name, got, c.want)
			}
		}
		p.done()
	}
}

// TestCauseOfTheCaller checks that the hangup cause of a caller who gives up is not used for the phone, if
// the end of the caller is reported first.
func TestCauseOfTheCaller(t *testing.T) {
	p := newPBX(t)
	defer p.done()
	p.at(0, "caller", QueueDial, "queue_id=500")
	p.dial("caller", "local1")
	p.at(1, "local1", AgentDial, "agent_phone=101")
	p.set("caller", "HANGUPCAUSE", "127")
	p.at(7, "caller", CallHangup)
	for _, ev := range p.events {
		if got, ok := ev.Params["cause"]; ev.Name == string(AgentCancel) && ok {
			t.Errorf("%s has cause %v", ev.Name, got)
		}
	}
}

// TestRingEnds checks the times in the end of every ring, answered or not, for both orders of the ends of
// the queue and of the agent.
func TestRingEnds(t *testing.T) {
	for _, c := range []struct {
		title            string
		play             func(p *pbx)
		event            Point
		duration, billed int64
	}{
		{"answered", func(p *pbx) {
			p.set("caller", "MIXMONITOR_FILENAME", "/rec/1.wav")
			p.at(0, "caller", QueueDial, "queue_id=500")
			p.dial("caller", "local1")
			p.at(1, "local1", AgentDial, "agent_phone=101")
			p.dial("local1", "phone1")
			p.at(4, "phone1", AgentAnswer)
			p.set("caller", "QEORIGINALPOS", "1")
			p.at(14, "caller", QueueHangup)
			p.at(14, "local1", AgentHangup)
		}, AgentHangup, 13, 10},
		{"rang in vain", func(p *pbx) {
			p.at(0, "agent", AgentDial, "agent_phone=101")
			p.set("agent", "DIALSTATUS", "NOANSWER")
			p.at(9, "agent", AgentHangup)
		}, AgentCancel, 9, 0},
		{"outgoing", func(p *pbx) {
			p.at(0, "agent", AgentCustom, "agent_phone=101", "dialed=02079460777")
			p.dial("agent", "trunk")
			p.at(6, "trunk", AgentDialoutAnswer)
			p.at(16, "agent", AgentDialoutHangup)
		}, AgentDialoutHangup, 16, 10},
		{"outgoing, busy", func(p *pbx) {
			p.at(0, "agent", AgentCustom, "agent_phone=101", "dialed=02079460777")
			p.set("agent", "DIALSTATUS", "BUSY")
			p.at(2, "agent", AgentDialoutHangup)
		}, AgentDialoutHangup, 2, 0},
	} {
		p := newPBX(t)
		c.play(p)
		last := p.events[len(p.events)-1]
		if last.Name != string(c.event) || last.Params["duration"] != c.duration || last.Params["billsec"] != c.billed {
			t.Errorf("%s: %s has duration %v and billsec %v, want %s with %d and %d",
				c.title, last.Name, last.Params["duration"], last.Params["billsec"], c.event, c.duration, c.billed)
		}
		if place, ok := last.Params["queue_position"]; ok {
			t.Errorf("%s: %s has queue_position %v, want none", c.title, last.Name, place)
		}
		if got := last.Params["recording_file"]; c.event == AgentHangup && got != "/rec/1.wav" {
			t.Errorf("%s: the recording that began before the queue is %v", c.title, got)
		}
		for _, ev := range p.events {
			for name, v := range ev.Params {
				if v == nil {
					t.Errorf("%s: %s has %s without a value", c.title, ev.Name, name)
				}
			}
		}
		p.done()
	}
}

// TestParallel checks one Dial of two phones of which one answers.
func TestParallel(t *testing.T) {
	p := newPBX(t)
	defer p.done()
	p.at(0, "caller", AgentDial, "agent_phone=101")
	p.at(0, "caller", AgentDial, "agent_phone=102")
	p.dial("caller", "phone1")
	p.want(p.at(4, "phone1", AgentAnswer, "agent_phone=101"), "agent-answer agent_phone=101 ring_time=4")
	p.set("caller", "DIALSTATUS", "ANSWER")
	p.want(p.at(14, "caller", AgentHangup),
		"agent-cancel agent_phone=102 status=cancel ring_time=14", "agent-hangup agent_phone=101 status=answer ring_time=4 talk_time=10")
}

// TestMenu checks a caller who hangs up in a menu.
func TestMenu(t *testing.T) {
	p := newPBX(t)
	defer p.done()
	p.at(0, "caller", CallDial)
	p.want(p.at(5, "caller", IVRHangup, "ivr=main"), "ivr-hangup status=cancel wait_time=5")
	p.want(p.at(5, "caller", CallHangup), "call-hangup status=cancel wait_time=5 talk_time=0 final")
}

// TestCustomEvent checks an event that the dialplan names.
func TestCustomEvent(t *testing.T) {
	p := newPBX(t)
	defer p.done()
	p.want(p.at(0, "caller", CustomEvent, "name=menu-choice", "digit=3"), "menu-choice")
	p.want(p.at(0, "caller", CustomEvent, "name=menu-choice", "digit=3"))
	p.want(p.at(1, "caller", CustomEvent, "name=menu-choice", "digit=4"), "menu-choice")
	if got := p.events[0].Params["digit"]; got != "3" {
		t.Errorf("digit is %v, want 3", got)
	}
}
