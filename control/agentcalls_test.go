package control

import (
	"slices"
	"strings"
	"testing"
	"time"

	"ringhook/ami/amitest"
	"ringhook/dialplan"
)

// TestAgentCalls looks at an agent's call as it is held, transferred after asking, and taken back. Row L6.
func TestAgentCalls(t *testing.T) {
	c, s := newCalling(t)
	now := func() AgentCall {
		t.Helper()
		list, err := c.AgentCalls(agent7, "7")
		if err != nil || len(list) != 1 {
			t.Fatalf("got %+v, %v", list, err)
		}
		return list[0]
	}
	can := func(v AgentCall, want ...string) {
		t.Helper()
		slices.Sort(v.Can)
		slices.Sort(want)
		if !slices.Equal(v.Can, want) {
			t.Errorf("%s: can %v, want %v", v.State, v.Can, want)
		}
	}
	v := now()
	if v.State != CallTalking || v.LinkedID != "1.1" || v.Muted {
		t.Errorf("got %+v", v)
	}
	can(v, "hangup", "hold", "transfer", "mute", "unmute", "dtmf")
	event := func(name, channel, uniqueID, context, extension string, more ...string) {
		s.Send(amitest.Text(append([]string{"Event: " + name, "Channel: " + channel, "Uniqueid: " + uniqueID, "Linkedid: 1.1", "Context: " + context, "Exten: " + extension, "ChannelStateDesc: Up"}, more...)...))
	}
	becomes := func(state string) AgentCall {
		t.Helper()
		until(t, c, "the call is "+state, func(Live) bool {
			list, err := c.AgentCalls(agent7, "7")
			return err == nil && len(list) == 1 && list[0].State == state
		})
		return now()
	}
	event("MusicOnHoldStart", "PJSIP/trunk-00000001", "1.1", "ringhook-hold", "caller")
	can(becomes(CallHeld), "hangup", "resume", "transfer")
	event("BridgeEnter", "PJSIP/trunk-00000001", "1.1", "ringhook-hold", "resume", "BridgeUniqueid: b2")
	becomes(CallTalking)

	in, err := c.Transfer(t.Context(), agent7, TransferRequest{Agent: "7", LinkedID: "1.1", To: "102", Kind: AttendedTransfer})
	if err != nil {
		t.Fatal(err)
	}
	v = becomes(CallConsulting)
	if v.Transfer != in.Transfer || v.To != "102" {
		t.Errorf("got %+v, want %+v", v, in)
	}
	can(v, "hangup", "complete", "cancel", "mute", "unmute", "dtmf")
	event("BridgeEnter", "PJSIP/101-00000002", "1.2", "ringhook-hold-agent", "consult", "BridgeUniqueid: b3")
	becomes(CallConsulting)
	event("BridgeEnter", "PJSIP/101-00000002", "1.2", "ringhook-hold-agent", "back", "BridgeUniqueid: b2")
	becomes(CallTalking)

	if _, err := c.AgentCalls(Actor{Name: "agent 8", Agent: "8", Role: dialplan.RoleAgent}, "7"); err == nil {
		t.Error("another agent sees the calls")
	}
	if list, err := c.AgentCalls(Administrator("x"), "9"); err != nil || len(list) != 0 {
		t.Errorf("a supervisor without a phone: %+v %v", list, err)
	}
}

// TestNearer checks whom an agent talks to by the call's channels, in any order.
func TestNearer(t *testing.T) {
	at := time.UnixMilli(1795719720000)
	phone := &channel{uniqueID: "1.4", linkedID: "1.1", name: "PJSIP/101-00000004", bridge: "b1", since: at}
	caller := &channel{uniqueID: "1.1", linkedID: "1.1", name: "PJSIP/trunk-00000001", number: "caller", since: at.Add(time.Second)}
	consulted := &channel{uniqueID: "1.9", linkedID: "1.1", name: "PJSIP/102-00000009", number: "consulted", bridge: "b1", since: at.Add(time.Minute)}
	ringing := &channel{uniqueID: "1.5", linkedID: "1.1", name: "PJSIP/103-00000005", number: "ringing", since: at}
	later := &channel{uniqueID: "1.10", linkedID: "1.1", name: "PJSIP/104-0000000a", number: "later", since: at}
	local := &channel{uniqueID: "1.2", linkedID: "1.1", name: "Local/101@agents-00000001;2", number: "local", bridge: "b1", since: at}
	withheld := &channel{uniqueID: "1.1", linkedID: "1.1", name: "PJSIP/trunk-00000001", since: at}
	for _, c := range []struct {
		others []*channel
		want   string
	}{
		{[]*channel{consulted, caller, ringing, later, local}, "consulted"},
		{[]*channel{caller, ringing, later, local}, "caller"},
		{[]*channel{ringing, later, local}, "ringing"},
		{[]*channel{withheld, ringing, later}, ""},
		{[]*channel{local}, ""},
	} {
		for range 20 { // maps have another order each time
			s := &server{state: newState()}
			for _, ch := range append([]*channel{phone}, c.others...) {
				s.state.channels[ch.uniqueID] = ch
			}
			if got := s.agentCall(&dialplan.Agent{}, phone, true).Other; got != c.want {
				t.Errorf("with %s: other party %q, want %q", c.others[0].number, got, c.want)
				break
			}
		}
	}
}

// TestLearnTransfer finds the id of a transfer that began before ringhook did, also if Asterisk does not say it at once.
func TestLearnTransfer(t *testing.T) {
	c, s := newCalling(t)
	s.Answer("Getvar", amitest.Text("Response: Error", "ActionID: {id}", "Message: not now"))
	answer := func(r *amitest.Request) string {
		value := map[string]string{"RINGHOOK_TRANSFER": "secret", "RINGHOOK_TO": "102"}[r.Get("Variable")]
		return amitest.Text("Response: Success", "ActionID: {id}", "Variable: x", "Value: "+value)
	}
	s.AnswerList("CoreShowChannels",
		amitest.Text("Event: CoreShowChannel", "Channel: PJSIP/101-00000002", "Uniqueid: 1.2", "Linkedid: 1.1", "Context: ringhook-hold-agent", "Exten: consult", "Application: Dial", "BridgeId: b3", "ChannelStateDesc: Up"))
	s.Drop()
	until(t, c, "Asterisk was asked and did not say", func(Live) bool {
		list, err := c.AgentCalls(agent7, "7")
		return err == nil && len(list) == 1 && list[0].State == CallConsulting && len(s.Requests("Getvar")) >= 2
	})
	// The time after which it is asked again has passed.
	s.AnswerFunc("Getvar", answer)
	server := c.all()[0]
	server.mu.Lock()
	ch := server.state.channels["1.2"]
	if time.Since(ch.asked) > time.Hour {
		t.Error("when Asterisk was asked is not known")
	}
	ch.asked = ch.asked.Add(-askAgain)
	server.mu.Unlock()
	until(t, c, "the transfer is known", func(Live) bool {
		list, err := c.AgentCalls(agent7, "7")
		return err == nil && len(list) == 1 && strings.HasSuffix(list[0].Transfer, "-secret") && list[0].To == "102"
	})
}
