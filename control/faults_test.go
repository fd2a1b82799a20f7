package control

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"ringhook/ami"
	"ringhook/ami/amitest"
	"ringhook/control/account"
	"ringhook/control/campaign"
	"ringhook/dialplan"
	"ringhook/loglimit"
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

// TestFlood sends events over a real connection as fast as it carries them, first while the state is locked and none can be
// processed, then without that. What is kept of them is bounded, what is dropped is counted, and the state is that of the
// lists afterwards.
func TestFlood(t *testing.T) {
	const each, blocked, free = 100, 1000, 300 // events of a burst, and bursts
	reg := prometheus.NewRegistry()
	c := New(slog.New(slog.DiscardHandler), reg)
	defer c.Close()
	s := amitest.New()
	defer s.Close()
	alive := func(ids ...string) {
		var list []string
		for _, id := range ids {
			list = append(list, amitest.Text("Event: CoreShowChannel", "Channel: PJSIP/trunk-"+id, "Uniqueid: "+id, "Linkedid: "+id))
		}
		s.AnswerList("CoreShowChannels", list...)
	}
	alive("1.1")
	s.AnswerList("QueueStatus", amitest.Text("Event: QueueParams", "Queue: 500"))
	address, err := s.Listen()
	if err != nil {
		t.Fatal(err)
	}
	next, err := c.Prepare([]ami.Config{{Name: "pbx", Address: address, Username: amitest.Username, Secret: amitest.Secret}})
	if err != nil {
		t.Fatal(err)
	}
	c.Exchange(next)
	calls := func(l Live) (ids string) {
		for _, call := range l.Calls {
			ids += call.LinkedID + " "
		}
		return ids
	}
	until(t, c, "connected", func(l Live) bool { return l.Servers[0].Connected && calls(l) == "1.1 " })
	count := func(name string) (n float64) {
		t.Helper()
		families, err := reg.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range families {
			if f.GetName() == name {
				for _, m := range f.GetMetric() {
					n += m.GetCounter().GetValue()
				}
			}
		}
		return n
	}
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	burst := strings.Repeat(amitest.Text("Event: Newchannel", "Channel: PJSIP/gone-1", "Uniqueid: 9.9", "Linkedid: 9.9", "CallerIDName: "+strings.Repeat("x", 1000)), each)

	before := heap()
	server := c.all()[0]
	server.mu.Lock()
	for range blocked {
		s.Send(burst)
	}
	alive("1.1", "2.1")
	wait.Until(t, func() bool { return count("ringhook_ami_events_total") >= blocked*each }, "the events are not read while none is processed")
	dropped := count("ringhook_ami_dropped_total")
	if grown := int64(heap()) - int64(before); dropped < blocked*each/2 || grown > 64<<20 {
		t.Errorf("of %d events, %v were dropped, and the others take %d bytes", blocked*each, dropped, grown)
	}
	server.mu.Unlock()
	until(t, c, "the lists are read again", func(l Live) bool { return l.Servers[0].Connected && calls(l) == "1.1 2.1 " })

	alive("1.1", "2.1", "3.1")
	for range free {
		s.Send(burst)
	}
	s.Send(amitest.Text("Event: Hangup", "Channel: PJSIP/gone-1", "Uniqueid: 9.9", "Linkedid: 9.9") + amitest.Text("Event: Newchannel", "Channel: PJSIP/trunk-3.1", "Uniqueid: 3.1", "Linkedid: 3.1"))
	until(t, c, "the state of the lists", func(l Live) bool { return calls(l) == "1.1 2.1 3.1 " })
	if got := count("ringhook_ami_events_total"); got != (blocked+free)*each+2 {
		t.Errorf("%v events were read, want %d", got, (blocked+free)*each+2)
	}
}

// TestWarnings checks that Asterisk cannot fill the log with errors that differ.
func TestWarnings(t *testing.T) {
	var log bytes.Buffer
	s := &server{limited: loglimit.New(slog.New(slog.NewTextHandler(&log, nil)), time.Minute)}
	s.config.Name = "pbx"
	for i := range 100 {
		s.warn("lists", "cannot read Asterisk's lists", "err", fmt.Errorf("refused: %d", i))
	}
	s.limited.Close()
	if n := strings.Count(log.String(), "\n"); n != 2 {
		t.Errorf("%d lines, want the first and the number of the others:\n%s", n, &log)
	}
}
