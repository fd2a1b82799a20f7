package control

import (
	"reflect"
	"strings"
	"testing"

	"ringhook/ami"
	"ringhook/ami/amitest"
	"ringhook/dialplan"
	"ringhook/fastagi"
)

// TestUpdate looks at what reaches Asterisk for a late answer.
func TestUpdate(t *testing.T) {
	c, s := newBench(t)
	c.all()[0].config.LateAnswers = true
	s.Answer("Setvar", amitest.Text("Response: Success", "ActionID: {id}", "Message: Variable Set"))
	s.Answer("Getvar", amitest.Text("Response: Success", "ActionID: {id}", "Variable: RINGHOOK_PREFIX", "Value: "))
	s.Answer("QueueChangePriorityCaller", amitest.Text("Response: Success", "ActionID: {id}", "Message: Priority change for caller on queue"))
	s.AnswerList("QueueStatus", amitest.Text("Event: QueueParams", "Queue: 500"), amitest.Text("Event: QueueEntry", "Queue: 500", "Position: 1", "Channel: PJSIP/trunk-1", "Uniqueid: 1.1"))
	s.AnswerList("CoreShowChannels",
		amitest.Text("Event: CoreShowChannel", "Channel: PJSIP/trunk-1", "Uniqueid: 1.1", "Linkedid: 1.1", "BridgeId: "),
		amitest.Text("Event: CoreShowChannel", "Channel: PJSIP/trunk-2", "Uniqueid: 1.2", "Linkedid: 1.2", "BridgeId: b"),
		amitest.Text("Event: CoreShowChannel", "Channel: PJSIP/trunk-3", "Uniqueid: 1.3", "Linkedid: 1.3", "BridgeId: "))
	s.Drop()
	until(t, c, "three calls", func(l Live) bool { return len(l.Calls) == 3 })

	asked := 0
	f := func(uniqueID string, outcome dialplan.LateOutcome, vars []fastagi.Variable, want ...string) {
		t.Helper()
		set, got := c.Update(t.Context(), dialplan.Identity{}, uniqueID, vars)
		if got != outcome {
			t.Errorf("%s: outcome %s, want %s", uniqueID, got, outcome)
		}
		var sent []string
		for _, r := range s.Requests("")[asked:] {
			if r.Action == "Setvar" || r.Action == "QueueChangePriorityCaller" {
				line := r.Action
				for _, field := range r.Fields {
					line += " " + field[0] + "=" + field[1]
				}
				sent = append(sent, line)
			}
		}
		asked = len(s.Requests(""))
		if !reflect.DeepEqual(sent, want) {
			t.Errorf("%s: sent %q, want %q", uniqueID, sent, want)
		}
		if outcome == dialplan.LateApplied && len(set) == 0 {
			t.Errorf("%s: nothing set", uniqueID)
		}
	}
	all := []fastagi.Variable{{Name: "CALLERID(name)", Value: `Anna "A", B`}, {Name: "__call_info", Value: "https://crm.example/?a=1,b"}, {Name: "QUEUE_PRIO", Value: "9"}, {Name: "SHELL(id)", Value: "x"}}
	f("1.1", dialplan.LateApplied, all,
		`Setvar Channel=1.1 Variable=CALLERID(name) Value=Anna "A", B`, "Setvar Channel=1.1 Variable=__call_info Value=https://crm.example/?a=1,b",
		"Setvar Channel=1.1 Variable=QUEUE_PRIO Value=9", "QueueChangePriorityCaller Queue=500 Caller=PJSIP/trunk-1 Priority=9 Immediate=yes")
	// No event says that the caller was moved.
	s.AnswerList("QueueStatus", amitest.Text("Event: QueueParams", "Queue: 500"), amitest.Text("Event: QueueEntry", "Queue: 500", "Position: 1", "Channel: PJSIP/trunk-1", "Uniqueid: 1.1", "Priority: 9"))
	f("1.1", dialplan.LateApplied, all[2:3], "Setvar Channel=1.1 Variable=QUEUE_PRIO Value=9", "QueueChangePriorityCaller Queue=500 Caller=PJSIP/trunk-1 Priority=9 Immediate=yes")
	until(t, c, "the priority is read", func(l Live) bool { return l.Queues[0].Waiting[0].Priority == 9 })
	// FreePBX has put a prefix in front of the name.
	s.Answer("Getvar", amitest.Text("Response: Success", "ActionID: {id}", "Variable: RINGHOOK_PREFIX", "Value: Sales: "))
	f("1.1", dialplan.LateApplied, all[:1], `Setvar Channel=1.1 Variable=CALLERID(name) Value=Sales: Anna "A", B`)
	s.Answer("Getvar", amitest.Text("Response: Error", "ActionID: {id}", "Message: No such channel"))
	f("1.1", dialplan.LateGone, all[:1])
	s.Answer("Getvar", amitest.Text("Response: Success", "ActionID: {id}", "Variable: RINGHOOK_PREFIX", "Value: "))
	f("1.2", dialplan.LateGone, all)
	f("1.4", dialplan.LateGone, all)
	f("", dialplan.LateGone, all)
	// Not in a queue yet: Queue() will read QUEUE_PRIO.
	f("1.3", dialplan.LateApplied, all[2:3], "Setvar Channel=1.3 Variable=QUEUE_PRIO Value=9")
	f("1.1", dialplan.LateFailed, []fastagi.Variable{{Name: "__call_info", Value: "x\nAction: Originate"}})
	f("1.1", dialplan.LateFailed, []fastagi.Variable{{Name: "__call_info", Value: strings.Repeat("x", 1100)}})
	f("1.1", dialplan.LateNothing, all[3:])
	s.Answer("Setvar", amitest.Text("Response: Error", "ActionID: {id}", "Message: No such channel"))
	f("1.1", dialplan.LateGone, all[:1], `Setvar Channel=1.1 Variable=CALLERID(name) Value=Anna "A", B`)
	c.all()[0].config.LateAnswers = false
	f("1.1", dialplan.LateOff, all)
	s.Answer("Challenge", "")
	c.Exchange(&Servers{})
	f("1.1", dialplan.LateAway, all)
}

// TestUpdateAway checks that a caller whom no connected Asterisk has is gone only if no other Asterisk can have the caller.
func TestUpdateAway(t *testing.T) {
	has, talks, none, away := newState(), newState(), &server{state: newState(), connected: true}, &server{state: newState()}
	has.channels["1.1"], talks.channels["1.1"] = &channel{uniqueID: "1.1"}, &channel{uniqueID: "1.1", bridge: "b"}
	waiting, talking := &server{state: has, connected: true}, &server{state: talks, connected: true}
	for _, c := range []struct {
		servers []*server
		found   *server
		want    dialplan.LateOutcome
	}{
		{nil, nil, dialplan.LateAway},
		{[]*server{none}, nil, dialplan.LateGone},
		{[]*server{none, away}, nil, dialplan.LateAway},
		{[]*server{away, none}, nil, dialplan.LateAway},
		{[]*server{away, talking}, nil, dialplan.LateGone},
		{[]*server{talking, away}, nil, dialplan.LateGone},
		{[]*server{away, waiting, none}, waiting, ""},
	} {
		found, outcome := (&Control{servers: c.servers}).having(dialplan.Identity{}, "1.1")
		if found != c.found || found == nil && outcome != c.want {
			t.Errorf("%d servers: found %t, %s, want %t, %s", len(c.servers), found != nil, outcome, c.found != nil, c.want)
		}
	}
}

// TestUpdateOfTwoAsterisks checks that a late answer is not set on another Asterisk's channel with the same uniqueid, also if
// that Asterisk alone is connected.
func TestUpdateOfTwoAsterisks(t *testing.T) {
	channels := func() *state {
		s := newState()
		s.channels["1.1"] = &channel{uniqueID: "1.1"}
		return s
	}
	left, right := &server{state: channels(), connected: true, names: []string{"left"}}, &server{state: channels(), connected: true, config: ami.Config{SystemName: "right"}}
	c := &Control{servers: []*server{left, right}}
	for asterisk, want := range map[string]*server{"left": left, "right": right, "": nil, "other": nil} {
		if found, _ := c.having(dialplan.Identity{Asterisk: asterisk, LinkedID: "1.1"}, "1.1"); found != want {
			t.Errorf("Asterisk %q: found %t, want %t", asterisk, found != nil, want != nil)
		}
	}
	right.connected, right.state = false, newState()
	if found, outcome := c.having(dialplan.Identity{Asterisk: "right", LinkedID: "1.1"}, "1.1"); found != nil || outcome != dialplan.LateAway {
		t.Errorf("while it is away: found %t, %s", found != nil, outcome)
	}
}

// A call that two Asterisks may have is not changed.
func TestUpdateUnclear(t *testing.T) {
	c := &Control{}
	for range 2 {
		st := newState()
		st.channels["1.1"] = &channel{uniqueID: "1.1"}
		c.servers = append(c.servers, &server{config: ami.Config{LateAnswers: true}, state: st, connected: true})
	}
	if set, outcome := c.Update(t.Context(), dialplan.Identity{}, "1.1", []fastagi.Variable{{Name: "CALLERID(name)", Value: "x"}}); set != nil || outcome != dialplan.LateAway {
		t.Errorf("got %v, %s", set, outcome)
	}
}
