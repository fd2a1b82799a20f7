package control

import (
	"encoding/json"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"ringhook/ami"
	"ringhook/ami/amitest"
	"ringhook/control/account"
	"ringhook/control/campaign"
	"ringhook/dialplan"
	"ringhook/lookup/number"
	"ringhook/store/desk"
	"ringhook/test/wait"
)

// TestTwoAsterisks sends commands to two Asterisks with the same queue, calls and phones: one must be named, each gets its
// own commands alone, and one that is gone does not keep the other from working.
func TestTwoAsterisks(t *testing.T) {
	c := New(slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	agent := dialplan.DefaultAgent()
	agent.ID, agent.Phone, agent.Queues = "7", "101", []string{"500"}
	calling := campaign.DefaultConfig()
	calling.Context, calling.Hours = "from-campaign", ""
	c.Configure(Settings{
		Agents: []dialplan.Agent{agent}, Click: DefaultClick(), Campaign: calling, Accounts: account.Config{Template: "phone", Most: 5},
		Reader: number.NewReader(number.Config{Country: "DE", Language: "en"}),
	})
	d, err := desk.Make(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := errors.Join(c.Close(), d.Close()); err != nil {
			t.Error(err)
		}
	}()
	var configs []ami.Config
	pbx := map[string]*amitest.Server{}
	for _, name := range []string{"east", "west"} {
		s := amitest.New()
		defer s.Close()
		pbx[name] = s
		s.AnswerList("QueueStatus", amitest.Text("Event: QueueParams", "Queue: 500"), memberText("QueueMember", "500", "PJSIP/101", "Membership: dynamic", "Paused: 0"),
			amitest.Text("Event: QueueEntry", "Queue: 500", "Position: 1", "Channel: PJSIP/trunk-1", "Uniqueid: 1.1"))
		s.AnswerList("CoreShowChannels", amitest.Text("Event: CoreShowChannel", "Channel: PJSIP/trunk-1", "Uniqueid: 1.1", "Linkedid: 1.1"))
		s.AnswerFunc("QueuePause", func(r *amitest.Request) string {
			go s.Send(memberText("QueueMemberPause", "500", "PJSIP/101", "Membership: dynamic", "Paused: 1"))
			return amitest.Text("Response: Success", "ActionID: {id}", "Message: done")
		})
		s.AnswerFunc("Hangup", func(r *amitest.Request) string {
			go s.Send(amitest.Text("Event: QueueCallerLeave", "Queue: 500", "Position: 1", "Uniqueid: 1.1"))
			return amitest.Text("Response: Success", "ActionID: {id}", "Message: done")
		})
		address, err := s.Listen()
		if err != nil {
			t.Fatal(err)
		}
		configs = append(configs, ami.Config{Name: name, Address: address, Username: amitest.Username, Secret: amitest.Secret})
	}
	next, err := c.Prepare(configs)
	if err != nil {
		t.Fatal(err)
	}
	c.Exchange(next)
	c.Use(d, nil)
	until(t, c, "both connected", func(l Live) bool { return l.Servers[0].Connected && l.Servers[1].Connected && len(l.Calls) == 2 })
	boss := Administrator("boss")
	check := func(what, got, want, sent string) {
		t.Helper()
		var actions []string
		for _, name := range []string{"east", "west"} {
			for _, r := range slices.Concat(pbx[name].Requests("Hangup"), pbx[name].Requests("QueuePause")) {
				actions = append(actions, name+" "+r.Action)
			}
		}
		if all := strings.Join(actions, ", "); got != want || all != sent {
			t.Errorf("%s: got %q after %q, want %q after %q", what, got, all, want, sent)
		}
	}
	kick := func(server string) string {
		return codes(c.Kick(t.Context(), boss, KickRequest{Server: server, Queue: "500", Calls: []string{"1.1"}}))
	}
	// missing asks for what neither has, and for what takes the only Asterisk.
	missing := func(when, want, sent string) {
		t.Helper()
		code := func(err error) string { return codes(Results{}, err) }
		check(when+": kick from another queue", codes(c.Kick(t.Context(), boss, KickRequest{Queue: "501", Calls: []string{"1.1"}})), want, sent)
		check(when+": log in to another queue", codes(c.Login(t.Context(), boss, LoginRequest{Agent: "7", Queues: []string{"501"}})), "501="+want, sent)
		_, err := c.Hangup(t.Context(), boss, CallRequest{LinkedID: "9.9"})
		check(when+": hang up another call", code(err), want, sent)
		_, err = c.Cancel(t.Context(), boss, TransferEnd{Agent: "7", Transfer: "9.9-x"})
		check(when+": another transfer", code(err), want, sent)
		_, err = c.Dial(t.Context(), boss, DialRequest{Agent: "7", Number: "102"})
		check(when+": a phone that is not registered", code(err), want, sent)
		_, err = c.StartCampaign(t.Context(), boss, CampaignRequest{Numbers: json.RawMessage(`"102"`), To: "menu"})
		check(when+": campaign", code(err), "unclear", sent)
		_, err = c.CreateAccount(t.Context(), boss, AccountRequest{Account: "201"})
		check(when+": account", code(err), "unclear", sent)
	}
	missing("both", "unknown", "")
	check("kick of one of two", kick(""), "unclear", "")
	check("kick of another", kick("north"), "unknown", "")
	check("kick in the east", kick("east"), "1.1=ok", "east Hangup")
	check("pause everywhere", codes(c.Pause(t.Context(), boss, PauseRequest{Agent: "7"})), "500=ok 500=ok", "east Hangup, east QueuePause, west QueuePause")
	if l := c.Live(); len(l.Queues) != 2 || len(l.Queues[0].Waiting) != 0 || len(l.Queues[1].Waiting) != 1 {
		t.Errorf("live: %+v", l.Queues)
	}
	pbx["east"].Close()
	until(t, c, "the east is gone", func(l Live) bool { return !l.Servers[0].Connected && l.Servers[1].Connected })
	check("kick in the east that is gone", kick("east"), "away", "east Hangup, east QueuePause, west QueuePause")
	sent := "east Hangup, east QueuePause, west QueuePause"
	missing("one is away", "away", sent)
	check("kick of another caller", codes(c.Kick(t.Context(), boss, KickRequest{Queue: "500", Calls: []string{"9.9"}})), "9.9=away", sent)
	check("kick of another caller in the west", codes(c.Kick(t.Context(), boss, KickRequest{Server: "west", Queue: "500", Calls: []string{"9.9"}})), "9.9=unknown", sent)
	_, err = c.Priority(t.Context(), boss, PriorityRequest{Queue: "500", Call: "9.9", Priority: new(int)})
	check("priority of another caller", codes(Results{}, err), "away", sent)
	check("kick where one is left", kick(""), "1.1=ok", "east Hangup, east QueuePause, west Hangup, west QueuePause")
	pbx["west"].Send(amitest.Text("Event: QueueMemberRemoved", "Queue: 500", "Interface: PJSIP/101"))
	until(t, c, "the agent is logged out in the west", func(l Live) bool { return len(l.Queues) == 1 && len(l.Queues[0].Members) == 0 })
	sent = "east Hangup, east QueuePause, west Hangup, west QueuePause"
	check("pause in all queues", codes(c.Pause(t.Context(), boss, PauseRequest{Agent: "7"})), "away", sent)
	check("pause in a queue", codes(c.Pause(t.Context(), boss, PauseRequest{Agent: "7", Queues: []string{"500"}})), "500=away", sent)
	check("pause in the west", codes(c.Pause(t.Context(), boss, PauseRequest{Agent: "7", Server: "west"})), "state", sent)
}

// TestTwoRinghooks connects two ringhooks to one Asterisk. Each reports the calls of which its own dialplan asked it, and no
// other.
func TestTwoRinghooks(t *testing.T) {
	first := newPointsBench(t, ami.KnownCalls)
	second := newPointsBench(t, ami.KnownCalls)
	one, two := first.call(t, "answered-agent-ends"), second.call(t, "abandoned")
	// Both get the events of both calls.
	for _, b := range []*pointsBench{first, second} {
		for _, m := range slices.Concat(one, two) {
			b.Send(m)
		}
	}
	if got, want := strings.Join(first.events(t), " "), "queue-dial agent-dial agent-answer agent-hangup queue-hangup call-hangup"; got != want {
		t.Errorf("the first: got %s\nwant %s", got, want)
	}
	if got, want := strings.Join(second.events(t), " "), "queue-dial agent-dial agent-cancel queue-hangup queue-abandon call-hangup"; got != want {
		t.Errorf("the second: got %s\nwant %s", got, want)
	}
}

// TestRestart restarts Asterisk while a call is in progress. What was alive is forgotten with the connection, and its end is
// concluded afterwards from lists that do not have it.
func TestRestart(t *testing.T) {
	b := newPointsBench(t, ami.KnownCalls)
	for _, m := range b.call(t, "answered-agent-ends") {
		b.Send(m)
		if strings.HasPrefix(m, "Event: AgentConnect") {
			break
		}
	}
	wait.Until(t, func() bool { return len(b.names(t)) == 3 }, "the call was not answered: %v", b.names(t))
	b.Send(amitest.Text("Event: Shutdown", "Shutdown: Cleanly", "Restart: True"))
	b.Drop()
	until(t, b.control, "connected again", func(l Live) bool { return l.Servers[0].Connected && len(l.Calls) == 0 })
	if got, want := strings.Join(b.events(t), " "), "queue-dial agent-dial agent-answer agent-hangup? queue-hangup? call-hangup?"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
