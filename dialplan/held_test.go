package dialplan

import "testing"

// TestHeld checks a call that ringhook puts on hold: the member's channel ends then, but the agent's own
// channel, on which the ring's marker is inherited, continues.
func TestHeld(t *testing.T) {
	p := newPBX(t)
	defer p.done()
	p.at(0, "caller", CallDial)
	p.at(0, "caller", QueueDial, "queue_id=500")
	p.dial("caller", "local1")
	p.at(1, "local1", AgentDial, "agent_phone=101")
	p.dial("local1", "phone1")
	p.at(3, "phone1", AgentAnswer, "agent_phone=101")
	p.set("local1", "DIALSTATUS", "ANSWER")
	p.set("local1", channelReads["held"], "1")
	p.want(p.at(10, "local1", AgentHangup, "agent_phone=101"))
	if p.why == "" {
		t.Error("no reason is given")
	}
	// The agent's channel has the agent's number: it is not that of the caller.
	p.caller = "101"
	p.want(p.at(30, "phone1", AgentHangup, "agent_phone=101"), "agent-hangup queue_id=500 agent_phone=101 status=answer wait_time=3 ring_time=2 talk_time=27")
	p.caller = ""
	p.want(p.at(30, "caller", QueueHangup), "queue-hangup queue_id=500 agent_phone=101 status=answer wait_time=3 talk_time=27")
	p.want(p.at(30, "caller", CallHangup), "call-hangup queue_id=500 agent_phone=101 status=answer wait_time=3 ring_time=2 talk_time=27 final")
	for _, ev := range p.events {
		if kind := ev.Params["callerid_kind"]; kind != nil {
			t.Errorf("%s has callerid_kind %v", ev.Name, kind)
		}
	}
}

// TestSentFromHold checks a caller whom an agent sends on from hold: the caller's own channel goes on to a
// colleague, and has no ring.
func TestSentFromHold(t *testing.T) {
	p := newPBX(t)
	defer p.done()
	p.at(0, "caller", CallDial)
	p.at(0, "caller", QueueDial, "queue_id=500")
	p.dial("caller", "local1")
	p.at(1, "local1", AgentDial, "agent_phone=101")
	p.dial("local1", "phone1")
	p.at(3, "phone1", AgentAnswer, "agent_phone=101")
	p.want(p.at(9, "caller", AgentCustom, "dialed=104"), "agent-custom agent_phone=101 dialed=104 transfer=caller")
}
