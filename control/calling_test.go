package control

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"ringhook/ami"
	"ringhook/ami/amitest"
	"ringhook/control/campaign"
	"ringhook/control/switching"
	"ringhook/dialplan"
	"ringhook/lookup/number"
	"ringhook/store/desk"
	"ringhook/test/wait"
)

// newCalling is a bench with one call: a caller talks to agent 7 at 101. Every extension but 8888 exists.
func newCalling(t *testing.T) (*Control, *amitest.Server) {
	t.Helper()
	c, s := newBench(t)
	ok := amitest.Text("Response: Success", "ActionID: {id}", "Message: done")
	for _, action := range []string{"Setvar", "Redirect", "BlindTransfer", "Hangup", "Originate"} {
		s.Answer(action, ok)
	}
	s.AnswerFunc("Getvar", func(r *amitest.Request) string {
		value := ""
		if strings.HasPrefix(r.Get("Variable"), "DIALPLAN_EXISTS(") && !strings.Contains(r.Get("Variable"), "8888") {
			value = "1"
		}
		return amitest.Text("Response: Success", "ActionID: {id}", "Variable: x", "Value: "+value)
	})
	s.AnswerList("CoreShowChannels",
		amitest.Text("Event: CoreShowChannel", "Channel: PJSIP/trunk-00000001", "Uniqueid: 1.1", "Linkedid: 1.1", "Context: queues", "Application: Queue", "BridgeId: b1", "ChannelStateDesc: Up"),
		amitest.Text("Event: CoreShowChannel", "Channel: PJSIP/101-00000002", "Uniqueid: 1.2", "Linkedid: 1.1", "Context: phones", "Application: AppQueue", "BridgeId: b1", "ChannelStateDesc: Up"))
	s.AnswerList("DeviceStateList", amitest.Text("Event: DeviceStateChange", "Device: PJSIP/101", "State: INUSE"))
	d, err := desk.Make(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	cfg := campaign.DefaultConfig()
	cfg.Context, cfg.Hours, cfg.Most = "from-campaign", "", 3
	c.Configure(Settings{
		Agents: []dialplan.Agent{
			{ID: "7", Phone: "101", Name: "Anna", Role: dialplan.RoleAgent, Hold: dialplan.HoldPBX, Queues: []string{"500"}},
			{ID: "8", Phone: "102", Role: dialplan.RoleAgent, Hold: dialplan.HoldPBX},
			{ID: "9", Role: dialplan.RoleSupervisor, Supervises: []string{"500"}},
			{ID: "10", Phone: "103", Role: dialplan.RoleAgent, Hold: dialplan.HoldNotify},
		},
		Dials:    []switching.Rule{{Match: `^8(\d{10})$`, Number: "+7$1"}},
		Click:    ClickConfig{Context: "desk", Repeat: time.Minute, Timeout: 5 * time.Second, To: []string{"1??", "5*", "+7*", "8888"}},
		Campaign: cfg, Reader: number.NewReader(number.Config{Country: "RU", Language: "en"}),
	})
	c.Use(d, nil)
	t.Cleanup(func() { c.endWork(); c.working.Wait(); c.campaigns.Wait() })
	until(t, c, "connected", func(l Live) bool { return l.Servers[0].Connected })
	s.Drop()
	until(t, c, "away", func(l Live) bool { return !l.Servers[0].Connected })
	until(t, c, "the call is there", func(l Live) bool { return len(l.Calls) == 1 && len(l.Calls[0].Channels) == 2 })
	return c, s
}

// changes lists the actions that reached Asterisk and change it.
func changes(s *amitest.Server) (names []string) {
	for _, r := range s.Requests("") {
		if !slices.Contains([]string{"Ping", "CoreShowChannels", "QueueStatus", "ParkedCalls", "DeviceStateList", "Getvar"}, r.Action) {
			names = append(names, r.Action)
		}
	}
	return names
}

var agent7 = Actor{Name: "agent 7", Agent: "7", Role: dialplan.RoleAgent}

// TestHoldAndTransfer is for row L41.
func TestHoldAndTransfer(t *testing.T) {
	c, s := newCalling(t)
	in := HoldRequest{Agent: "7", LinkedID: "1.1"}
	got, err := c.Hold(t.Context(), agent7, in)
	if err != nil || got != (HoldResult{"pbx", "1.1", "pbx"}) || got.Status() != 202 {
		t.Errorf("got %+v, %v", got, err)
	}
	_, err = c.Answer(t.Context(), agent7, in)
	wantCode(t, err, NoPhone)
	_, err = c.Unhold(t.Context(), agent7, in) // Asterisk's list does not show it on hold
	wantCode(t, err, State)
	blind, err := c.Transfer(t.Context(), agent7, TransferRequest{Agent: "7", LinkedID: "1.1", To: "8 (916) 123-45-67"})
	if err != nil || blind != (TransferResult{"pbx", "1.1", "blind", "+79161234567", ""}) {
		t.Errorf("got %+v, %v", blind, err)
	}
	attended, err := c.Transfer(t.Context(), agent7, TransferRequest{Agent: "7", LinkedID: "1.1", To: "102", Kind: "attended"})
	if err != nil || !strings.HasPrefix(attended.Transfer, "1.2-") {
		t.Errorf("got %+v, %v", attended, err)
	}
	_, err = c.Complete(t.Context(), agent7, TransferEnd{Agent: "7", Transfer: attended.Transfer})
	wantCode(t, err, State) // nor in a consultation
	_, err = c.Cancel(t.Context(), agent7, TransferEnd{Agent: "7", Transfer: "9.9-x"})
	wantCode(t, err, Unknown)
	if n := len(s.Requests("Redirect")); n != 2 {
		t.Errorf("%d redirects", n)
	}
}

func wantCode(t *testing.T, err error, want Code) {
	t.Helper()
	var failed *Error
	if !errors.As(err, &failed) || failed.Code != want {
		t.Errorf("got %v, want the code %s", err, want)
	}
}

// TestCallingRefused tries what must change nothing: hostile values in every parameter, and commands of those who may
// not give them.
func TestCallingRefused(t *testing.T) {
	c, s := newCalling(t)
	ctx := t.Context()
	supervisor := Actor{Name: "agent 9", Agent: "9", Role: dialplan.RoleSupervisor, Queues: []string{"501"}}
	for _, who := range []Actor{{Name: "agent 8", Agent: "8", Role: dialplan.RoleAgent}, supervisor, {}} {
		_, err := c.Hold(ctx, who, HoldRequest{Agent: "7", LinkedID: "1.1"})
		wantCode(t, err, Forbidden)
		_, err = c.Transfer(ctx, who, TransferRequest{Agent: "7", LinkedID: "1.1", To: "102"})
		wantCode(t, err, Forbidden)
		_, err = c.Dial(ctx, who, DialRequest{Agent: "7", Number: "102"})
		wantCode(t, err, Forbidden)
		_, err = c.StartCampaign(ctx, who, CampaignRequest{Numbers: json.RawMessage(`"102"`), To: "menu"})
		wantCode(t, err, Forbidden)
		_, err = c.StopCampaign(ctx, who, "x")
		wantCode(t, err, Forbidden)
	}
	for _, bad := range []string{"", "s", "8888", "999", "1,1", "${EXTEN}", "102\r\nAction: Originate", "102\n\nAction: Originate\n", "102\x00", "102@x", "102&103", strings.Repeat("5", 40), "1\u2028"} {
		if _, err := c.Transfer(ctx, agent7, TransferRequest{Agent: "7", LinkedID: "1.1", To: bad}); err == nil {
			t.Errorf("transferred to %q", bad)
		}
		if _, err := c.Dial(ctx, agent7, DialRequest{Agent: "7", Number: bad}); err == nil {
			t.Errorf("dialled %q", bad)
		}
		if bad != "999" && bad != "8888" && bad != "" {
			if _, err := c.Dial(ctx, agent7, DialRequest{Agent: "7", Number: "102", CallerID: bad}); err == nil {
				t.Errorf("caller ID %q", bad)
			}
		}
		for _, id := range []string{bad, "1.1\r\nAction: x", "nothing"} {
			if _, err := c.Hold(ctx, agent7, HoldRequest{Agent: "7", LinkedID: id}); err == nil {
				t.Errorf("held %q", id)
			}
			if _, err := c.Complete(ctx, agent7, TransferEnd{Agent: "7", Transfer: id}); err == nil {
				t.Errorf("completed %q", id)
			}
			if _, err := c.Hold(ctx, Administrator("x"), HoldRequest{Agent: id, LinkedID: "1.1"}); err == nil {
				t.Errorf("held for agent %q", id)
			}
			if _, err := c.Hold(ctx, agent7, HoldRequest{Agent: "7", LinkedID: "1.1", Server: "x" + id}); err == nil {
				t.Errorf("held on %q", id)
			}
		}
	}
	if _, err := c.Transfer(ctx, agent7, TransferRequest{Agent: "7", LinkedID: "1.1", To: "102", Kind: "x"}); err == nil {
		t.Error("a kind of transfer that is none")
	}
	if _, err := c.Dial(ctx, agent7, DialRequest{Agent: "7", Number: "102", RequestID: strings.Repeat("x", 101)}); err == nil {
		t.Error("a long request_id")
	}
	for _, bad := range []CampaignRequest{
		{Numbers: json.RawMessage(`"1,1\r\nAction: x"`), To: "menu"}, {Numbers: json.RawMessage(`"102"`), To: "menu\r\nAction: x"},
		{Numbers: json.RawMessage(`"102"`), To: ""}, {Numbers: json.RawMessage(`"102"`), To: "8888"}, {Numbers: json.RawMessage(`"102"`), To: "a,1"},
		{Numbers: json.RawMessage(`"102"`), To: "menu", CallerID: "1\n"}, {Numbers: json.RawMessage(`"102"`), To: "menu", Timeout: 36},
		{Numbers: json.RawMessage(`"102"`), To: "menu", Timeout: -1}, {Numbers: json.RawMessage(`"102"`), To: "menu", Parallel: 6},
		{Numbers: json.RawMessage(`"102:103:104:105"`), To: "menu"}, {To: "menu"}, {Numbers: json.RawMessage(`[{"number":"102","caller_id":"x\r\n"}]`), To: "menu"},
	} {
		if r, err := c.StartCampaign(ctx, Administrator("x"), bad); err == nil {
			t.Errorf("began %+v: %+v", bad, r)
		}
	}
	if got := changes(s); len(got) > 0 {
		t.Errorf("sent %v", got)
	}
}

// TestDial begins a call once, and reports how far it came.
// Rows V22, D3 and D13.
func TestDial(t *testing.T) {
	c, s := newCalling(t)
	var refuse bool
	s.AnswerFunc("Originate", func(r *amitest.Request) string {
		id := r.Get("ChannelId")
		events := amitest.Text("Event: Newchannel", "Uniqueid: "+id) + amitest.Text("Event: Newstate", "Uniqueid: "+id, "ChannelStateDesc: Ringing")
		if refuse {
			events = amitest.Text("Event: Newchannel", "Uniqueid: "+id) + amitest.Text("Event: Hangup", "Uniqueid: "+id, "Cause: 17", "Cause-txt: User busy") +
				amitest.Text("Event: OriginateResponse", "Response: Failure", "Reason: 0", "Uniqueid: "+id)
		}
		go s.Send(events)
		return amitest.Text("Response: Success", "ActionID: {id}", "Message: Originate successfully queued")
	})
	in := DialRequest{Agent: "7", Number: "102", RequestID: "r1"}
	got, err := c.Dial(t.Context(), agent7, in)
	if err != nil || got.Stage != "phone" || got.State != "ringing" || got.LinkedID == "" || got.Number != "102" {
		t.Fatalf("got %+v, %v", got, err)
	}
	for _, again := range []DialRequest{in, {Agent: "7", Number: "102"}, {Agent: "7", Number: "103", RequestID: "r1"}} {
		_, err = c.Dial(t.Context(), agent7, again)
		wantCode(t, err, Repeat)
		if !strings.Contains(err.Error(), got.LinkedID) {
			t.Errorf("the running call is not named: %v", err)
		}
	}
	refuse = true
	for range 2 { // a call that failed is no repeat
		_, err = c.Dial(t.Context(), agent7, DialRequest{Agent: "7", Number: "103"})
		wantCode(t, err, NoPhone)
		if !strings.Contains(err.Error(), "stage phone") || !strings.Contains(err.Error(), "cause 17 User busy") {
			t.Errorf("got %v", err)
		}
	}
	if r := s.Requests("Originate")[0]; r.Get("Channel") != "PJSIP/101" || r.Get("Context") != "desk" || r.Get("CallerID") != `"Anna" <101>` || r.Get("Timeout") != "5000" {
		t.Errorf("sent %+v", r)
	}
	// The end of the first call is recorded.
	s.Send(amitest.Text("Event: OriginateResponse", "Response: Success", "Reason: 4", "Uniqueid: "+got.LinkedID) +
		amitest.Text("Event: DialBegin", "Uniqueid: "+got.LinkedID) + amitest.Text("Event: DialEnd", "Uniqueid: "+got.LinkedID, "DialStatus: BUSY") +
		amitest.Text("Event: Hangup", "Uniqueid: "+got.LinkedID, "Cause: 17", "Cause-txt: User busy"))
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(time.Millisecond) {
		list, err := c.desk.(*desk.Desk).Commands(desk.CommandFilter{Call: got.LinkedID})
		if err != nil {
			t.Fatal(err)
		}
		if i := slices.IndexFunc(list, func(d desk.Command) bool { return d.Command == "dial-outcome" }); i >= 0 {
			if list[i].Outcome != "busy" || !strings.Contains(list[i].Result, `"stage":"number"`) || !strings.Contains(list[i].Result, `"cause":17`) {
				t.Errorf("recorded %+v", list[i])
			}
			break
		}
		if time.Now().After(end) {
			t.Fatalf("not recorded; there are %+v", list)
		}
	}
}

// TestDialUnclear checks that a call of which it is not known whether Asterisk began it is not begun a second time.
func TestDialUnclear(t *testing.T) {
	c, s := newCalling(t)
	ctx, cancel := context.WithCancel(t.Context())
	for _, tc := range []struct {
		name, number string
		originate    func() string
		want         Code
	}{
		{"no answer", "102", func() string { cancel(); return "" }, Slow},
		{"connection lost before the answer", "103", func() string { s.Drop(); return "" }, Away},
		{"connection lost after it", "104", func() string {
			go s.Drop()
			return amitest.Text("Response: Success", "ActionID: {id}", "Message: Originate successfully queued")
		}, Away},
	} {
		wait.Until(t, func() bool {
			_, err := c.clientOf("pbx").Do(t.Context(), ami.Action{Name: "Ping"})
			return err == nil
		}, "%s: not connected", tc.name)
		s.AnswerFunc("Originate", func(*amitest.Request) string { return tc.originate() })
		_, err := c.Dial(ctx, agent7, DialRequest{Agent: "7", Number: tc.number, RequestID: tc.number})
		ctx = t.Context()
		wantCode(t, err, tc.want)
		if !ami.MayHaveRun(err) {
			t.Errorf("%s: %v says that there is no call", tc.name, err)
		}
		for _, key := range []string{"number 7 " + tc.number, "request " + agent7.Name + " " + tc.number} {
			if _, ok := c.clicks.reserve([]string{key}, "another", time.Minute); ok {
				t.Errorf("%s: a second call may be begun (%s)", tc.name, key)
			}
		}
		c.clicks.begun = nil
	}
}

// TestDialNotBegun checks that a call may be begun again if Asterisk did not answer the question before it.
func TestDialNotBegun(t *testing.T) {
	c, s := newCalling(t)
	for _, tc := range []struct {
		name string
		end  func(cancel func())
		want Code
	}{
		{"no answer", func(cancel func()) { cancel() }, Slow},
		{"connection lost", func(func()) { s.Drop() }, Away},
	} {
		wait.Until(t, func() bool {
			_, err := c.clientOf("pbx").Do(t.Context(), ami.Action{Name: "Ping"})
			return err == nil
		}, "%s: not connected", tc.name)
		ctx, cancel := context.WithCancel(t.Context())
		s.AnswerFunc("Getvar", func(*amitest.Request) string { tc.end(cancel); return "" })
		_, err := c.Dial(ctx, agent7, DialRequest{Agent: "7", Number: "102", RequestID: "r1"})
		cancel()
		wantCode(t, err, tc.want)
		if ami.MayHaveRun(err) || strings.Contains(err.Error(), "not known") {
			t.Errorf("%s: %v says that there may be a call", tc.name, err)
		}
		if _, ok := c.clicks.reserve([]string{"number 7 102", "request " + agent7.Name + " r1"}, "another", time.Minute); !ok {
			t.Errorf("%s: no second call may be begun", tc.name)
		}
		c.clicks.begun = nil
	}
	if sent := changes(s); len(sent) > 0 {
		t.Errorf("sent %v", sent)
	}
}

// The guard against repeats is bounded.
func TestClicks(t *testing.T) {
	var k clicks
	for i := range maxClicks {
		if _, ok := k.reserve([]string{string(rune(i + 1000))}, "x", time.Hour); !ok {
			t.Fatal(i)
		}
	}
	if running, ok := k.reserve([]string{"more"}, "x", time.Hour); ok || running != "" {
		t.Error("more than the most")
	}
	k.begun[string(rune(1000))] = click{until: time.Now().Add(-time.Second)}
	if _, ok := k.reserve([]string{"more"}, "x", time.Hour); !ok {
		t.Error("what is over was not forgotten")
	}
}

// TestCampaigns begins a campaign, shows its progress and stops it.
// Rows Y21, Y22, Y23 and Y24.
func TestCampaigns(t *testing.T) {
	c, s := newCalling(t)
	admin := Administrator("x")
	texts := map[string]bool{}
	for range 20 {
		_, err := c.StartCampaign(t.Context(), admin, CampaignRequest{Numbers: json.RawMessage(`["999", {"number": "102", "caller_id": "x"}]`), To: "menu"})
		wantCode(t, err, BadRequest)
		texts[err.Error()] = true
	}
	if len(texts) != 1 {
		t.Errorf("the reason is now one and now another: %v", texts)
	}
	r, err := c.StartCampaign(t.Context(), admin, CampaignRequest{Numbers: json.RawMessage(`[{"number": "102", "caller_id": "74951234500"}, "999", "103"]`), To: "menu", Parallel: 1})
	if err != nil || r.Count != 2 || r.Errors["999"] == "" || r.Status() != 201 {
		t.Fatalf("got %+v, %v", r, err)
	}
	for end := time.Now().Add(30 * time.Second); len(s.Requests("Originate")) == 0; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("no call")
		}
	}
	if o := s.Requests("Originate")[0]; o.Get("Channel") != "Local/102@from-campaign/n" || o.Get("Context") != "from-campaign" || o.Get("Exten") != "menu" || o.Get("CallerID") != `"" <74951234500>` {
		t.Errorf("sent %+v", o)
	}
	v, err := c.StopCampaign(t.Context(), admin, r.Campaign)
	if err != nil || v.State != "stopped" || v.Waiting != 1 || v.Calling != 1 {
		t.Errorf("got %+v, %v", v, err)
	}
	_, err = c.StopCampaign(t.Context(), admin, r.Campaign)
	wantCode(t, err, State)
	_, err = c.Campaign(admin, "none")
	wantCode(t, err, Unknown)
	if all, err := c.Campaigns(admin); err != nil || len(all) != 1 || all[0].Campaign.ID != r.Campaign {
		t.Errorf("got %+v, %v", all, err)
	}
	if v, err = c.Campaign(admin, r.Campaign); err != nil || len(v.Numbers) != 2 {
		t.Errorf("got %+v, %v", v, err)
	}
}
