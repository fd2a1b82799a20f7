package control

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"ringhook/ami"
	"ringhook/ami/amitest"
)

// TestReadWithheld checks that what is read without a running server shows a caller only if Asterisk says that the caller
// does not withhold the number, and that Asterisk is not asked if all are shown.
func TestReadWithheld(t *testing.T) {
	pbx := amitest.New()
	t.Cleanup(pbx.Close)
	entry := func(position, uniqueid, number string) string {
		return amitest.Text("Event: QueueEntry", "Queue: 500", "Position: "+position, "Channel: PJSIP/trunk-"+position, "Uniqueid: "+uniqueid, "CallerIDNum: "+number)
	}
	channel := func(uniqueid, number string) string {
		return amitest.Text("Event: CoreShowChannel", "Channel: PJSIP/trunk-"+uniqueid, "Uniqueid: "+uniqueid, "Linkedid: "+uniqueid, "CallerIDNum: "+number, "ChannelStateDesc: Up")
	}
	pbx.AnswerList("QueueStatus", amitest.Text("Event: QueueParams", "Queue: 500", "Strategy: ringall"),
		entry("1", "1.1", "49301"), entry("2", "1.2", "49302"), entry("3", "1.3", "49303"), entry("4", "1.4", "49304"))
	pbx.AnswerList("CoreShowChannels", channel("1.1", "49301"), channel("1.2", "49302"), channel("1.3", "49303")) // 1.4 comes after the list
	pbx.AnswerFunc("Getvar", func(r *amitest.Request) string {
		switch r.Get("Channel") {
		case "1.1":
			return amitest.Text("Response: Success", "ActionID: {id}", "Variable: x", "Value: allowed_passed_screen")
		case "1.2":
			return amitest.Text("Response: Success", "ActionID: {id}", "Variable: x", "Value: prohib_passed_screen")
		}
		return amitest.Text("Response: Error", "ActionID: {id}", "Message: No such channel")
	})
	address, err := pbx.Listen()
	if err != nil {
		t.Fatal(err)
	}
	cfg := ami.DefaultConfig()
	cfg.Name, cfg.Address, cfg.Username, cfg.Secret = "pbx", address, amitest.Username, amitest.Secret
	read := func(showWithheld bool) (string, error) {
		live, err := Read(t.Context(), []ami.Config{cfg}, showWithheld)
		var shown []string
		for _, q := range live.Queues {
			for _, w := range q.Waiting {
				shown = append(shown, w.Caller)
			}
		}
		return strings.Join(shown, ","), err
	}
	if got, err := read(true); got != "49301,49302,49303,49304" || err != nil || len(pbx.Requests("Getvar")) != 0 {
		t.Errorf("all: %q, %v, asked %d times", got, err, len(pbx.Requests("Getvar")))
	}
	if got, err := read(false); got != "49301,,," || err != nil {
		t.Errorf("those who may be shown: %q, %v", got, err)
	}
	pbx.AnswerFunc("Getvar", func(*amitest.Request) string { go pbx.Drop(); return "" })
	if got, err := read(false); got != "" || !errors.Is(err, ami.ErrLost) {
		t.Errorf("after a lost connection: %q, %v", got, err)
	}
}

// TestWithheld checks that the live state shows a caller who withholds the number without it: in calls, in the queue and to
// the agent who talks to the caller, whether the caller was there first or comes later.
func TestWithheld(t *testing.T) {
	c, s := newCalling(t)
	s.AnswerFunc("Getvar", func(r *amitest.Request) string {
		value := "allowed_passed_screen"
		if strings.HasSuffix(r.Get("Channel"), ".1") {
			value = "prohib_passed_screen"
		}
		return amitest.Text("Response: Success", "ActionID: {id}", "Variable: x", "Value: "+value)
	})
	s.AnswerList("CoreShowChannels",
		amitest.Text("Event: CoreShowChannel", "Channel: PJSIP/trunk-00000001", "Uniqueid: 1.1", "Linkedid: 1.1", "Application: Queue", "CallerIDNum: 49301", "CallerIDName: Otto", "BridgeId: b1", "ChannelStateDesc: Up"),
		amitest.Text("Event: CoreShowChannel", "Channel: PJSIP/101-00000002", "Uniqueid: 1.2", "Linkedid: 1.1", "Application: AppQueue", "CallerIDNum: 101", "CallerIDName: Anna", "BridgeId: b1", "ChannelStateDesc: Up"),
		amitest.Text("Event: CoreShowChannel", "Channel: PJSIP/trunk-00000003", "Uniqueid: 2.3", "Linkedid: 2.3", "Application: Queue", "CallerIDNum: 49302", "CallerIDName: Emil", "ChannelStateDesc: Up"))
	s.AnswerList("QueueStatus",
		amitest.Text("Event: QueueParams", "Queue: 500", "Strategy: ringall"),
		amitest.Text("Event: QueueEntry", "Queue: 500", "Position: 1", "Channel: PJSIP/trunk-00000003", "Uniqueid: 2.3", "CallerIDNum: 49302", "CallerIDName: Emil"))
	s.Drop()
	callers := func() string {
		var all []string
		live := c.Live()
		for _, call := range live.Calls {
			all = append(all, call.LinkedID+" "+call.Caller+" "+call.Name)
		}
		for _, q := range live.Queues {
			for _, w := range q.Waiting {
				all = append(all, q.ID+" "+w.Caller+" "+w.Name)
			}
		}
		list, err := c.AgentCalls(agent7, "7")
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range list {
			all = append(all, "agent "+v.Other+" "+v.Name)
		}
		return strings.Join(all, ", ")
	}
	shows := func(want string) {
		t.Helper()
		got := ""
		until(t, c, want, func(Live) bool { got = callers(); return got == want })
	}
	shows("1.1  , 2.3 49302 Emil, 500 49302 Emil, agent  ")

	// One who comes now: nothing is shown before Asterisk has said that it may be.
	s.Send(amitest.Text("Event: Newchannel", "Channel: PJSIP/trunk-00000004", "Uniqueid: 3.1", "Linkedid: 3.1", "ChannelStateDesc: Ring", "CallerIDNum: 49303", "CallerIDName: Ida"))
	s.Send(amitest.Text("Event: Newchannel", "Channel: PJSIP/trunk-00000005", "Uniqueid: 4.2", "Linkedid: 4.2", "ChannelStateDesc: Ring", "CallerIDNum: 49304", "CallerIDName: Max"))
	s.Send(amitest.Text("Event: QueueCallerJoin", "Queue: 500", "Position: 2", "Channel: PJSIP/trunk-00000004", "Uniqueid: 3.1", "Linkedid: 3.1", "CallerIDNum: 49303", "CallerIDName: Ida"))
	shows("1.1  , 2.3 49302 Emil, 3.1  , 4.2 49304 Max, 500 49302 Emil, 500  , agent  ")

	// chan_sip makes a channel before it rings, and a Local channel gets the number of its caller later.
	s.Send(amitest.Text("Event: Newchannel", "Channel: SIP/trunk-00000006", "Uniqueid: 5.1", "Linkedid: 5.1", "ChannelStateDesc: Down", "CallerIDNum: 49305", "CallerIDName: Eva"))
	s.Send(amitest.Text("Event: Newstate", "Channel: SIP/trunk-00000006", "Uniqueid: 5.1", "Linkedid: 5.1", "ChannelStateDesc: Ring", "CallerIDNum: 49305", "CallerIDName: Eva"))
	s.Send(amitest.Text("Event: Newchannel", "Channel: Local/500@queues-00000007;2", "Uniqueid: 6.2", "Linkedid: 6.2", "ChannelStateDesc: Ring", "CallerIDNum: <unknown>", "CallerIDName: <unknown>"))
	s.Send(amitest.Text("Event: NewCallerid", "Channel: Local/500@queues-00000007;2", "Uniqueid: 6.2", "Linkedid: 6.2", "CallerIDNum: 49306", "CallerIDName: Udo", "CID-CallingPres: 32 (Presentation Prohibited, Not Screened)"))
	shows("1.1  , 2.3 49302 Emil, 3.1  , 4.2 49304 Max, 5.1  , 6.2  , 500 49302 Emil, 500  , agent  ")
	s.Send(amitest.Text("Event: Hangup", "Channel: SIP/trunk-00000006", "Uniqueid: 5.1", "Linkedid: 5.1"))
	s.Send(amitest.Text("Event: Hangup", "Channel: Local/500@queues-00000007;2", "Uniqueid: 6.2", "Linkedid: 6.2"))

	// The dialplan changes who may be shown.
	s.Send(amitest.Text("Event: NewCallerid", "Channel: PJSIP/trunk-00000003", "Uniqueid: 2.3", "Linkedid: 2.3", "CallerIDNum: 49302", "CallerIDName: Emil", "CID-CallingPres: 35 (Presentation Prohibited, Network Number)"))
	s.Send(amitest.Text("Event: NewCallerid", "Channel: PJSIP/trunk-00000004", "Uniqueid: 3.1", "Linkedid: 3.1", "CallerIDNum: 49303", "CallerIDName: Ida", "CID-CallingPres: 0 (Presentation Allowed, Not Screened)"))
	shows("1.1  , 2.3  , 3.1 49303 Ida, 4.2 49304 Max, 500  , 500 49303 Ida, agent  ")

	s.Send(amitest.Text("Event: Reload", "Module: app_queue.so", "Status: 0")) // the lists are read again
	shows("1.1  , 2.3  , 500  , agent  ")

	settings := *c.settings.Load()
	settings.ShowWithheld = true
	c.Configure(settings)
	shows("1.1 49301 Otto, 2.3 49302 Emil, 500 49302 Emil, agent 49301 Otto")
}

// TestWithheldChannel checks that the names of channels are shown without a withheld number, which drivers write in them, in
// calls, in the queue and in what is recorded of a command.
func TestWithheldChannel(t *testing.T) {
	s := &server{state: newState()}
	s.state.queues["500"] = &queue{name: "500", waiting: []*waiting{{uniqueID: "1.1", linkedID: "1.1", channel: "DAHDI/i1/03023456701-5", number: "+493023456701"}}}
	for id, c := range map[string]*channel{
		"1.1": {linkedID: "1.1", name: "DAHDI/i1/03023456701-5", number: "+493023456701", presentation: withheld},
		"1.2": {linkedID: "1.1", name: "Local/03023456701@agents-00000001;1"},
		"1.3": {linkedID: "1.1", name: "PJSIP/101-00000003", number: "101", presentation: public},
		"2.1": {linkedID: "2.1", name: "DAHDI/i1/03023456702-6", number: "03023456702", presentation: public},
		"3.1": {linkedID: "3.1", name: "SIP/03023456703-00000004", number: "03023456703"}, // not asked
	} {
		c.uniqueID, c.state = id, "Up"
		s.state.channels[id] = c
	}
	names := func(all bool) string {
		var names []string
		for _, call := range s.state.calls("pbx", all) {
			for _, c := range call.Channels {
				names = append(names, c.Channel)
			}
		}
		slices.Sort(names)
		names = append(names, s.state.queues["500"].view("pbx", s.state, all).Waiting[0].Channel, s.touched("1.1", "1.1", "DAHDI/i1/03023456701-5", all).channel)
		return strings.Join(names, " ")
	}
	if got, want := names(false), "DAHDI/i1/03023456702-6 DAHDI/i1/withheld-5 Local/withheld@agents-00000001;1 PJSIP/101-00000003 SIP/withheld-00000004 DAHDI/i1/withheld-5 DAHDI/i1/withheld-5"; got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
	if got := names(true); strings.Contains(got, "withheld") {
		t.Errorf("all are shown: %s", got)
	}
}

// TestUnknownPresentation checks that a number counts as withheld if Asterisk does not say that it may be shown.
func TestUnknownPresentation(t *testing.T) {
	for name, want := range map[string]presentation{"": withheld, "prohib": withheld, "prohib_not_screened": withheld, "allowed_not_screened": public} {
		if got := presented(name); got != want {
			t.Errorf("%q: got %v, want %v", name, got, want)
		}
	}
	for text, want := range map[string]presentation{"": unasked, "none": unasked, "32 (Presentation Prohibited)": withheld, "0 (Presentation Allowed)": public} {
		if got := presentedBy(ami.Message{{Key: "CID-CallingPres", Value: text}}, unasked); got != want {
			t.Errorf("%q: got %v, want %v", text, got, want)
		}
	}
}
