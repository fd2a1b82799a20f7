package products

import (
	"fmt"
	"maps"
	"time"

	"ringhook/hooks"
)

// began is when the calls begin.
var began = time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)

// call is one call that is played.
type call struct {
	name    string
	number  string // of the customer
	out     bool
	agent   string   // who answered, or dialled and was answered; empty if no agent did
	rang    []string // phones, sorted
	seconds int      // of talk
	steps   []step
	after   time.Duration // its beginning after began
}

// at returns the same call at another time, which is another call.
func (c *call) at(after time.Duration) *call {
	other := *c
	other.after = after
	return &other
}

// began returns when the call begins.
func (c *call) began() time.Time { return began.Add(c.after) }

// linkedid returns the linkedid of the call: those of one test differ by their time.
func (c *call) linkedid() string { return fmt.Sprintf("%d.17", c.began().Unix()) }

// step is one event.
type step struct {
	after  int // seconds after the beginning
	event  string
	params map[string]any
}

func agentAt(phone string) map[string]any {
	return map[string]any{"agent_id": "a" + phone, "agent_phone": phone, "agent_name": "Agent " + phone}
}

func with(tables ...map[string]any) map[string]any {
	all := make(map[string]any)
	for _, table := range tables {
		maps.Copy(all, table)
	}
	return all
}

var (
	inQueue  = map[string]any{"queue_id": "500", "queue_name": "Sales"}
	recorded = map[string]any{"recording_file": "17.wav", "recording_url": "https://pbx.example/rec/17.wav?a=1&b=2"}
)

// sound is the content of the recording.
const sound = "RIFF....WAVEfmt of a call"

// recordings returns the number of recordings of the call that its last events name.
func (c *call) recordings() (n int) {
	for _, s := range c.steps {
		_, has := s.params["recording_file"]
		if last := s.event == "call-hangup" && !c.out || s.event == "agent-dialout-hangup" && c.out; last && has {
			n++
		}
	}
	return n
}

func values(pairs ...any) map[string]any {
	table := make(map[string]any)
	for i := 0; i < len(pairs); i += 2 {
		if n, ok := pairs[i+1].(int); ok {
			table[pairs[i].(string)] = int64(n)
		} else {
			table[pairs[i].(string)] = pairs[i+1]
		}
	}
	return table
}

// answered is a call that an agent answers in a queue.
func answered(name, number string) *call {
	anna := with(inQueue, agentAt("101"), recorded)
	return &call{name: name, number: number, agent: "101", rang: []string{"101"}, seconds: 83, steps: []step{
		{0, "call-dial", nil},
		{1, "queue-dial", inQueue},
		{2, "agent-dial", anna},
		{7, "agent-answer", with(anna, values("ring_time", 5, "wait_time", 6))},
		{90, "agent-hangup", with(anna, values("status", "answer", "talk_time", 83, "billsec", 83, "duration", 88, "ring_time", 5, "wait_time", 6, "cause", 16))},
		{90, "queue-hangup", with(anna, values("status", "answer", "talk_time", 83, "wait_time", 6, "queue_position", 1))},
		{90, "call-hangup", with(anna, values("status", "answer", "talk_time", 83, "billsec", 83, "duration", 90, "ring_time", 5, "wait_time", 6, "cause", 16, "final", true))},
	}}
}

// missed is a call that rings three phones, which do not answer.
func missed() *call {
	c := &call{name: "missed by three phones", number: known, rang: []string{"101", "102", "103"}, steps: []step{{0, "call-dial", nil}, {1, "queue-dial", inQueue}}}
	for _, phone := range c.rang {
		c.steps = append(c.steps, step{2, "agent-dial", with(inQueue, agentAt(phone))})
	}
	for _, phone := range c.rang {
		c.steps = append(c.steps, step{22, "agent-cancel", with(inQueue, agentAt(phone), values("status", "noanswer", "ring_time", 20, "duration", 20, "billsec", 0, "wait_time", 21))})
	}
	over := with(inQueue, values("status", "noanswer", "wait_time", 21, "queue_status", "TIMEOUT"))
	c.steps = append(c.steps, step{22, "queue-hangup", over}, step{22, "queue-failover", over},
		step{25, "call-hangup", with(inQueue, values("status", "noanswer", "duration", 25, "billsec", 0, "wait_time", 21, "final", true))})
	return c
}

// transferred is a call that one agent answers and another one ends.
func transferred() *call {
	c := answered("transferred", known)
	first, second := with(inQueue, agentAt("101")), with(agentAt("104"))
	c.agent, c.seconds = "104", 60
	c.steps = append(c.steps[:4:4],
		step{20, "agent-custom", with(agentAt("101"), values("dialed", "104", "transfer_uniqueid", "local1"))},
		step{25, "agent-dialout-answer", with(agentAt("101"), values("dialed", "104", "ring_time", 5))},
		step{30, "agent-hangup", with(first, values("status", "answer", "talk_time", 23, "billsec", 23, "duration", 28, "ring_time", 5, "wait_time", 6))},
		step{30, "queue-hangup", with(first, values("status", "answer", "talk_time", 23, "wait_time", 6))},
		step{85, "agent-dialout-hangup", with(agentAt("101"), values("dialed", "104", "status", "answer", "talk_time", 60, "billsec", 60, "duration", 65, "ring_time", 5, "transfer_uniqueid", "local1"))},
		step{85, "call-hangup", with(inQueue, second, values("status", "answer", "talk_time", 60, "billsec", 78, "duration", 85, "wait_time", 6, "final", true))},
	)
	return c
}

// outgoing is a call that an agent dials.
func outgoing() *call {
	boris := with(agentAt("102"), recorded, values("dialed", known))
	return &call{name: "outgoing", number: known, out: true, agent: "102", seconds: 40, steps: []step{
		{0, "agent-custom", boris},
		{6, "agent-dialout-answer", with(boris, values("ring_time", 6))},
		{46, "agent-dialout-hangup", with(boris, values("status", "answer", "talk_time", 40, "billsec", 40, "duration", 46, "ring_time", 6))},
		{46, "call-hangup", with(boris, values("status", "answer", "talk_time", 40, "duration", 46, "final", true))},
	}}
}

// abandoned is a call whose caller gives up in the queue.
func abandoned() *call {
	gone := with(inQueue, values("status", "cancel", "wait_time", 20, "queue_position", 1))
	return &call{name: "abandoned", number: known, rang: nil, steps: []step{
		{0, "call-dial", nil}, {1, "queue-dial", inQueue}, {21, "queue-hangup", gone}, {21, "queue-abandon", gone},
		{21, "call-hangup", with(inQueue, values("status", "cancel", "duration", 21, "billsec", 0, "wait_time", 20, "final", true))},
	}}
}

var calls = []*call{answered("known caller", known), answered("unknown caller", unknown), abandoned(), missed(), transferred(), outgoing()}

// events returns the events of a call, with what the lookup found in those after it and the ids of agents in the product.
func (c *call) events(product string, found map[string]any) []hooks.Event {
	linkedid, uuid := c.linkedid(), fmt.Sprintf("b840bc6a-0490-51ef-9690-%012x", c.began().Unix())
	var events []hooks.Event
	for i, s := range c.steps {
		at := c.began().Add(time.Duration(s.after) * time.Second)
		ev := hooks.Event{ID: fmt.Sprintf("msg_%d_%d", c.began().Unix(), i), Name: s.event, LinkedID: linkedid, Seq: i + 1, Time: at, Final: s.event == "call-hangup"}
		ev.Params = with(values("direction", "incoming", "callerid", c.number, "callerid_raw", c.number, "directid", trunk, "linkedid", linkedid, "uniqueid", linkedid,
			"call_uuid", uuid, "started", c.began().Format(time.RFC3339Nano), "event", s.event, "event_id", ev.ID, "seq", i+1, "time", at.Format(time.RFC3339Nano)), s.params)
		if c.out {
			ev.Params["direction"], ev.Params["callerid"] = "outgoing", "102"
			delete(ev.Params, "directid")
		}
		if i > 0 || c.out {
			maps.Copy(ev.Params, found)
		}
		if s.event == "call-hangup" {
			ev.Params["ended"] = at.Format(time.RFC3339Nano)
		}
		if phone, ok := ev.Params["agent_phone"].(string); ok {
			ev.Params["agent_id_"+product] = userOf(phone)
		}
		events = append(events, ev)
	}
	return events
}
