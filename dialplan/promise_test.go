package dialplan

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"ringhook/hooks"
)

// TestPromises checks the promises of docs/receivers.md for every order of the reports of a call's end,
// with repeated and missing reports, and with and without a reported answer.
func TestPromises(t *testing.T) {
	for seed := range uint64(200) {
		p := newPBX(t)
		chance := rand.New(rand.NewPCG(seed, 4))
		answeredBy := chance.IntN(4) // the phone, 3 for none
		p.at(0, "caller", CallDial)
		p.at(1, "caller", QueueDial, "queue_id=500")
		ends := []func(at float64){
			func(at float64) { p.at(at, "caller", QueueHangup) },
			func(at float64) { p.at(at, "caller", CallHangup) },
		}
		for n := range 3 {
			local, phone := fmt.Sprint("local", n), fmt.Sprint("10", n)
			p.dial("caller", local)
			p.at(float64(2+2*n), local, AgentDial, "agent_phone="+phone)
			status := "NOANSWER"
			if n == answeredBy {
				p.dial(local, "phone"+phone)
				if chance.IntN(2) == 0 {
					p.at(float64(3+2*n), "phone"+phone, AgentAnswer, "agent_phone="+phone)
				}
				p.set("caller", "MEMBERINTERFACE", "Local/"+phone+"@agents/n")
				p.set("caller", "QEHOLDTIME", fmt.Sprint(2+2*n))
				p.set(local, "ANSWEREDTIME", "5")
				status = "ANSWER"
			}
			p.set(local, "DIALSTATUS", status)
			ends = append(ends, func(at float64) { p.at(at, local, AgentHangup) })
			if n == answeredBy {
				break
			}
		}
		if answeredBy == 3 {
			p.set("caller", "ABANDONED", "TRUE")
		}
		told := 0
		for at := 20.0; told < 2*len(ends); at++ {
			ends[chance.IntN(len(ends))](at)
			told++
		}
		ends[1](60) // the hangup handler always runs
		p.done()
		keepsPromises(t, fmt.Sprintf("seed %d", seed), p.events, answeredBy < 3)
		if t.Failed() {
			return
		}
	}
}

// keepsPromises checks the events of one call with one visit to a queue.
func keepsPromises(t *testing.T, name string, events []hooks.Event, answered bool) {
	t.Helper()
	count, ended, rang := map[string]int{}, false, map[any]int{}
	for _, ev := range events {
		count[ev.Name]++
		if ended && ev.Params["correction"] != true {
			t.Errorf("%s: %s comes after the last event, but is not a correction", name, ev.Name)
		}
		if ev.Final != (ev.Name == "call-hangup") || ev.Final != ev.Params["final"] {
			t.Errorf("%s: %s has final %v", name, ev.Name, ev.Final)
		}
		ended = ended || ev.Final
		switch ev.Name {
		case "agent-dial":
			rang[ev.Params["agent_phone"]]++
		case "agent-hangup", "agent-cancel":
			rang[ev.Params["agent_phone"]]--
			if ev.Params["status"] == nil {
				t.Errorf("%s: %s has no status", name, ev.Name)
			}
		case "call-hangup":
			if got := ev.Params["status"] == "answer"; got != answered {
				t.Errorf("%s: the call has status %v, answered is %v", name, ev.Params["status"], answered)
			}
		}
	}
	lost, won := 1, 0
	if answered {
		lost, won = 0, 1
	}
	if count["call-hangup"] != 1 || count["queue-hangup"] != 1 || count["queue-abandon"]+count["queue-failover"] != lost || count["agent-hangup"] != won {
		t.Errorf("%s: got %v for a call with answered = %v", name, count, answered)
	}
	for phone, open := range rang {
		if open != 0 {
			t.Errorf("%s: phone %v has %d ends missing", name, phone, open)
		}
	}
}

// TestCorrection checks the report of a phone that no point reported before the end of the call.
func TestCorrection(t *testing.T) {
	p := newPBX(t)
	defer p.done()
	p.at(0, "caller", QueueDial, "queue_id=500")
	p.at(9, "caller", CallHangup)
	p.dial("caller", "local1")
	p.set("local1", "DIALSTATUS", "BUSY")
	p.want(p.at(10, "local1", AgentHangup, "agent_phone=101"), "agent-cancel queue_id=500 agent_phone=101 status=busy wait_time=9 correction=true")
}
