package control

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"ringhook/ami"
	"ringhook/ami/amitest"
	"ringhook/dialplan"
	"ringhook/loglimit"
	"ringhook/store/desk"
	"ringhook/store/sqlite"
	"ringhook/test/wait"
)

// exchange is a Control that is connected to an Asterisk with the queues 500 and 600, in which PJSIP/102 is a static
// member of 500, two callers wait in 500, and agent 7 talks on PJSIP/101.
type exchange struct {
	*Control
	t       *testing.T
	pbx     *amitest.Server
	desk    *desk.Desk
	shared  Store // that start uses in place of desk; nil for none
	folder  string
	calls   *heardCalls
	metrics *prometheus.Registry
	log     *slog.Logger // nil for none; taken by start
	config  ami.Config
}

// heardCalls stands in for the dialplan.
type heardCalls struct {
	mu     sync.Mutex
	ended  map[string]string // uniqueid: by whom
	noted  []dialplan.Identity
	traced []dialplan.PointTrace
}

// Expect implements Calls.
func (h *heardCalls) Expect(string, map[string]string) {}

// NoteEnd implements Calls.
func (h *heardCalls) NoteEnd(_ context.Context, call dialplan.Identity, uniqueID, by string) (func(), error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ended[uniqueID], h.noted = by, append(h.noted, call)
	return func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		delete(h.ended, uniqueID)
	}, nil
}

// TraceCommand implements Calls.
func (h *heardCalls) TraceCommand(p *dialplan.PointTrace) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.traced = append(h.traced, *p)
}

// memberText is the list entry or event of a member.
func memberText(kind, queue, iface string, more ...string) string {
	name, location := "MemberName", "Interface"
	if kind == "QueueMember" {
		name, location = "Name", "Location"
	}
	return amitest.Text(append([]string{"Event: " + kind, "Queue: " + queue, name + ": Anna", location + ": " + iface, "StateInterface: " + iface, "Status: 1"}, more...)...)
}

func newExchange(t *testing.T) *exchange {
	t.Helper()
	x := &exchange{t: t, pbx: amitest.New(), calls: &heardCalls{ended: map[string]string{}}, metrics: prometheus.NewRegistry(), folder: filepath.Join(t.TempDir(), "store")}
	t.Cleanup(x.pbx.Close)
	x.pbx.AnswerList("QueueStatus",
		amitest.Text("Event: QueueParams", "Queue: 500", "Strategy: ringall"), amitest.Text("Event: QueueParams", "Queue: 600", "Strategy: ringall"),
		memberText("QueueMember", "500", "PJSIP/102", "Membership: static", "Paused: 0"),
		amitest.Text("Event: QueueEntry", "Queue: 500", "Position: 1", "Channel: PJSIP/trunk-1", "Uniqueid: 1.1", "Wait: 3", "Priority: 0"),
		amitest.Text("Event: QueueEntry", "Queue: 500", "Position: 2", "Channel: PJSIP/trunk-2", "Uniqueid: 1.2", "Wait: 2", "Priority: 0"))
	channel := func(name, uniqueid, linkedid, bridge string) string {
		return amitest.Text("Event: CoreShowChannel", "Channel: "+name, "Uniqueid: "+uniqueid, "Linkedid: "+linkedid, "BridgeId: "+bridge, "ChannelStateDesc: Up")
	}
	x.pbx.AnswerList("CoreShowChannels", channel("PJSIP/trunk-1", "1.1", "1.1", ""), channel("PJSIP/trunk-2", "1.2", "1.2", ""),
		channel("PJSIP/trunk-3", "1.3", "1.3", "b"), channel("PJSIP/101-9", "1.4", "1.3", "b"), channel("Local/101@agents-1;1", "1.5", "1.3", "b"))
	x.pbx.AnswerList("DeviceStateList", amitest.Text("Event: DeviceStateChange", "Device: PJSIP/101", "State: INUSE"),
		amitest.Text("Event: DeviceStateChange", "Device: PJSIP/102", "State: NOT_INUSE"))
	success := amitest.Text("Response: Success", "ActionID: {id}", "Message: done")
	x.pbx.AnswerFunc("QueueAdd", func(r *amitest.Request) string {
		x.event(memberText("QueueMemberAdded", r.Get("Queue"), r.Get("Interface"), "Membership: dynamic", "Paused: 0"))
		return success
	})
	x.pbx.AnswerFunc("QueueRemove", func(r *amitest.Request) string {
		if r.Get("Interface") == "PJSIP/102" {
			return amitest.Text("Response: Error", "ActionID: {id}", "Message: Unable to remove interface: Member not dynamic")
		}
		x.event(memberText("QueueMemberRemoved", r.Get("Queue"), r.Get("Interface"), "Membership: dynamic"))
		return success
	})
	x.pbx.AnswerFunc("QueuePause", func(r *amitest.Request) string {
		paused := map[string]string{"true": "1", "false": "0"}[r.Get("Paused")]
		x.event(memberText("QueueMemberPause", r.Get("Queue"), r.Get("Interface"), "Membership: dynamic", "Paused: "+paused, "PausedReason: "+r.Get("Reason")))
		return success
	})
	left := func(uniqueid string) {
		x.event(amitest.Text("Event: QueueCallerLeave", "Queue: 500", "Uniqueid: "+uniqueid, "Position: 1", "Count: 1"))
	}
	x.pbx.AnswerFunc("Redirect", func(r *amitest.Request) string { left(r.Get("Channel")); return success })
	x.pbx.AnswerFunc("Hangup", func(r *amitest.Request) string {
		left(r.Get("Channel"))
		x.event(amitest.Text("Event: Hangup", "Uniqueid: "+r.Get("Channel"), "Linkedid: x"))
		return success
	})
	x.pbx.AnswerFunc("Getvar", func(r *amitest.Request) string {
		value := map[string]string{"CHANNEL(context)": "from-trunk", "DIALPLAN_EXISTS(from-trunk,7000,1)": "1", "DIALPLAN_EXISTS(exits,7000,1)": "1", "DEVICE_STATE(PJSIP/103)": "INVALID"}[r.Get("Variable")]
		return amitest.Text("Response: Success", "ActionID: {id}", "Variable: "+r.Get("Variable"), "Value: "+value)
	})
	x.pbx.Answer("Setvar", success)
	x.pbx.Answer("PlayDTMF", success)
	x.pbx.Answer("QueueChangePriorityCaller", success)
	address, err := x.pbx.Listen()
	if err != nil {
		t.Fatal(err)
	}
	x.config = ami.Config{Name: "pbx", Address: address, Username: amitest.Username, Secret: amitest.Secret}
	if x.desk, err = desk.Make(x.folder); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { x.desk.Close() })
	x.start()
	return x
}

// start connects a new Control.
func (x *exchange) start() {
	x.t.Helper()
	x.metrics = prometheus.NewRegistry()
	x.Control = New(cmp.Or(x.log, slog.New(slog.DiscardHandler)), x.metrics)
	control := x.Control
	x.t.Cleanup(func() { control.Close() })
	agent := func(id, phone string) dialplan.Agent {
		a := dialplan.DefaultAgent()
		a.ID, a.Phone, a.Name, a.Queues = id, phone, "Agent "+id, []string{"500", "600"}
		return a
	}
	boss := dialplan.Agent{ID: "9", Role: dialplan.RoleSupervisor, Supervises: []string{"500"}}
	other := agent("10", "110")
	other.Queues = []string{"600"}
	x.Configure(Settings{
		Agents: []dialplan.Agent{agent("7", "101"), agent("8", "102"), agent("11", "103"), boss, other},
		Queues: []dialplan.Queue{{ID: "600", Context: "exits"}},
		Pauses: []PauseReason{{Name: "lunch", Ends: "warn", By: "agent"}, {Name: "training", Ends: "warn", By: "supervisor"}, {Name: "coffee", Ends: "resume", Longest: 2 * time.Hour, By: "agent"}},
	})
	servers, err := x.Prepare([]ami.Config{x.config})
	if err != nil {
		x.t.Fatal(err)
	}
	x.Exchange(servers)
	if x.shared != nil {
		x.Use(x.shared, x.calls)
	} else {
		x.Use(x.desk, x.calls)
	}
	x.eventually("connected", func() bool { return x.Live().Servers[0].Connected })
}

// event sends an event after the response that it belongs to, as Asterisk does.
func (x *exchange) event(text string) { go x.pbx.Send(text) }

func (x *exchange) eventually(what string, is func() bool) {
	x.t.Helper()
	for end := time.Now().Add(20 * time.Second); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			x.t.Fatalf("not in 20 s: %s", what)
		}
	}
}

func (x *exchange) actor(id string) Actor {
	x.t.Helper()
	who, err := x.AgentActor(id, "agent "+id)
	if err != nil {
		x.t.Fatal(err)
	}
	return who
}

// codes are the results of a command, or the code of its error.
func codes(r Results, err error) string {
	if failed := errorOf(err); failed != nil {
		return string(failed.Code)
	}
	var all []string
	for _, one := range r.Results {
		name := one.Queue
		if name == "" {
			name = one.Call
		}
		all = append(all, name+"="+string(one.Result))
	}
	return strings.Join(all, " ")
}

func (x *exchange) want(what, got, want string) {
	x.t.Helper()
	if got != want {
		x.t.Errorf("%s: got %s, want %s", what, got, want)
	}
}

// TestLoginLogout is for row L39.
func TestLoginLogout(t *testing.T) {
	x, ctx := newExchange(t), t.Context()
	anna, boss := x.actor("7"), x.actor("9")
	login := func(who Actor, id string, queues ...string) string {
		return codes(x.Login(ctx, who, LoginRequest{Agent: id, Queues: queues}))
	}
	logout := func(who Actor, id string, queues ...string) string {
		return codes(x.Logout(ctx, who, LoginRequest{Agent: id, Queues: queues}))
	}
	x.want("log out before", logout(anna, "7"), "state")
	x.want("log in", login(anna, "7"), "500=ok 600=ok")
	if v, err := x.Agent(anna, "7"); err != nil || !v.Queues[0].LoggedIn || !v.Queues[1].LoggedIn || v.State != "busy" || !slices.Equal(v.Calls, []string{"1.3"}) {
		t.Errorf("agent: %+v, %v", v, err)
	}
	add := x.pbx.Requests("QueueAdd")[0]
	x.want("QueueAdd", add.Get("Queue")+" "+add.Get("Interface")+" "+add.Get("StateInterface")+" "+add.Get("MemberName"), "500 PJSIP/101 PJSIP/101 Agent 7")
	x.want("by a supervisor", logout(boss, "7", "500"), "500=ok")
	x.want("by a supervisor of another queue", logout(boss, "7", "600"), "600=forbidden")
	x.want("partly", logout(anna, "7", "500", "600", "700"), "600=ok 500=state 700=unknown")
	x.want("static", logout(boss, "8", "500"), "500=static")
	x.want("another agent", login(anna, "8"), "forbidden")
	x.want("an agent of other queues", login(boss, "10"), "forbidden")
	x.want("another queue", login(x.actor("10"), "10", "500"), "500=forbidden")
	x.want("no such agent", login(boss, "99"), "unknown")
	x.want("no phone", login(Administrator("x"), "9"), "phone")
	x.want("phone unknown to Asterisk", login(Administrator("x"), "11"), "500=phone 600=phone")
	x.want("twice", login(anna, "7", "500", "500"), "bad-request")

	x.pbx.Answer("QueueAdd", amitest.Text("Response: Error", "ActionID: {id}", "Message: Unable to add interface: Already there"))
	x.want("again", login(anna, "7", "500"), "500=state")
	x.want("static member", login(x.actor("8"), "8", "500"), "500=static")
	x.pbx.Answer("QueueAdd", amitest.Text("Response: Error", "ActionID: {id}", "Message: Something new"))
	x.want("refused", login(anna, "7", "500"), "500=pbx")
}

// TestPause is for rows L40, Y19 and Y20.
func TestPause(t *testing.T) {
	x, ctx := newExchange(t), t.Context()
	anna := x.actor("7")
	pause := func(who Actor, in PauseRequest) string {
		in.Agent = "7"
		return codes(x.Pause(ctx, who, in))
	}
	x.want("before the log-in", pause(anna, PauseRequest{}), "state")
	x.want("log in", codes(x.Login(ctx, anna, LoginRequest{Agent: "7"})), "500=ok 600=ok")
	x.want("pause", pause(anna, PauseRequest{Reason: "lunch"}), "500=ok 600=ok")
	if v, _ := x.Agent(anna, "7"); !v.Queues[0].Paused || v.Queues[0].Reason != "lunch" || v.Queues[0].Until != nil {
		t.Errorf("agent: %+v", v)
	}
	x.want("unknown reason", pause(anna, PauseRequest{Reason: "nap"}), "bad-request")
	x.want("a supervisor's reason", pause(anna, PauseRequest{Reason: "training"}), "forbidden")
	x.want("by a supervisor", pause(x.actor("9"), PauseRequest{Reason: "training", Queues: []string{"500"}}), "500=ok")
	past := time.Now().Add(-time.Second)
	x.want("until the past", pause(anna, PauseRequest{Until: &past}), "bad-request")
	x.want("with an end of its own", pause(anna, PauseRequest{Reason: "coffee"}), "500=ok 600=ok")
	if v, _ := x.Agent(anna, "7"); v.Queues[0].Until == nil {
		t.Errorf("no end: %+v", v)
	}
	x.want("resume in one", codes(x.Resume(ctx, anna, PauseRequest{Agent: "7", Queues: []string{"600"}})), "600=ok")
	ends, err := x.desk.PauseEnds()
	if err != nil || len(ends) != 1 || ends[0].Queue != "500" {
		t.Errorf("ends: %+v, %v", ends, err)
	}

	// The pause ends after a restart too.
	soon := time.Now().Add(1500 * time.Millisecond)
	x.want("until", pause(anna, PauseRequest{Reason: "lunch", Until: &soon, Queues: []string{"500"}}), "500=ok")
	x.Close()
	x.pbx.AnswerList("QueueStatus", amitest.Text("Event: QueueParams", "Queue: 500"), memberText("QueueMember", "500", "PJSIP/101", "Membership: dynamic", "Paused: 1", "PausedReason: lunch"))
	x.start()
	x.eventually("the pause has ended", func() bool {
		v, _ := x.Agent(anna, "7")
		return v.Queues[0].LoggedIn && !v.Queues[0].Paused
	})
	x.eventually("the end is forgotten", func() bool {
		ends, err := x.desk.PauseEnds()
		return err == nil && len(ends) == 0
	})
	list, err := x.desk.Commands(desk.CommandFilter{Queue: "500"})
	if err != nil || len(list) == 0 || list[0].Command != "resume" || list[0].Who != "end of the pause by agent 7" || list[0].Agent != "7" {
		t.Errorf("recorded: %+v, %v", list, err)
	}
}

// A pause that was begun by other means since is not ended.
func TestLaterPause(t *testing.T) {
	x, ctx := newExchange(t), t.Context()
	x.want("log in", codes(x.Login(ctx, x.actor("7"), LoginRequest{Agent: "7", Queues: []string{"500"}})), "500=ok")
	later := time.Now().Add(time.Hour)
	x.pbx.Send(memberText("QueueMemberPause", "500", "PJSIP/101", "Membership: dynamic", "Paused: 1", fmt.Sprint("LastPause: ", later.Unix())))
	x.eventually("paused", func() bool { v, _ := x.Agent(Administrator("x"), "7"); return v.Queues[0].Paused })
	err := x.keepPauseEnd(desk.PauseEnd{Server: "pbx", Interface: "PJSIP/101", Queue: "500", From: time.Now().Add(-time.Hour), At: time.Now().Add(-time.Second), Who: "x"})
	if err != nil {
		t.Fatal(err)
	}
	x.eventually("the end is forgotten", func() bool { return x.pauseEnd("pbx", "PJSIP/101", "500") == nil })
	if v, _ := x.Agent(Administrator("x"), "7"); !v.Queues[0].Paused || len(x.pbx.Requests("QueuePause")) > 0 {
		t.Errorf("a later pause was ended: %+v", v)
	}
}

// TestKick is for rows Y17 and Y18.
func TestKick(t *testing.T) {
	x, ctx := newExchange(t), t.Context()
	boss := x.actor("9")
	kick := func(who Actor, queue, to string, calls ...string) string {
		return codes(x.Kick(ctx, who, KickRequest{Queue: queue, To: to, Calls: calls}))
	}
	x.want("an agent", kick(x.actor("7"), "500", "", "1.1"), "forbidden")
	x.want("another queue", kick(boss, "600", "", "1.1"), "forbidden")
	x.want("no such queue", kick(Administrator("x"), "700", "", "1.1"), "unknown")
	x.want("no such extension", kick(boss, "500", "7001", "1.1"), "1.1=bad-request")
	x.want("not an extension", kick(boss, "500", "7000,1)", "1.1"), "bad-request")
	if n := len(x.calls.ended); n > 0 {
		t.Errorf("%d calls have a note, none was kicked", n)
	}
	x.want("kick", kick(boss, "500", "7000", "1.1", "1.9", "1.3"), "1.1=ok 1.9=unknown 1.3=connected")
	redirect := x.pbx.Requests("Redirect")
	if len(redirect) != 1 || redirect[0].Get("Channel")+redirect[0].Get("Context")+redirect[0].Get("Exten")+redirect[0].Get("Priority") != "1.1from-trunk70001" {
		t.Errorf("redirects: %+v", redirect)
	}
	x.want("note", x.calls.ended["1.1"], "agent 9")
	x.want("out", kick(boss, "500", "", "1.2"), "1.2=ok")
	hangup := x.pbx.Requests("Hangup")
	if len(hangup) != 1 || hangup[0].Get("Channel") != "1.2" {
		t.Errorf("hangups: %+v", hangup)
	}
	if q := x.Live().Queues[0]; len(q.Waiting) > 0 {
		t.Errorf("still waiting: %+v", q.Waiting)
	}
	if n := len(x.calls.traced); n != 3 || x.calls.traced[n-1].LinkedID != "1.2" || x.calls.traced[n-1].Point != "kick" || x.calls.traced[0].Status != "bad-request" || x.calls.traced[1].Status != "partial" {
		t.Errorf("traced: %+v", x.calls.traced)
	}
}

// A caller who has gone meanwhile is unknown, and the call has no note.
func TestKickGone(t *testing.T) {
	x := newExchange(t)
	x.pbx.Answer("Hangup", amitest.Text("Response: Error", "ActionID: {id}", "Message: No such channel"))
	x.want("kick", codes(x.Kick(t.Context(), x.actor("9"), KickRequest{Queue: "500", Calls: []string{"1.1"}})), "1.1=unknown")
	if len(x.calls.ended) > 0 {
		t.Errorf("notes: %v", x.calls.ended)
	}
}

// TestUnclear loses the connection at a command that Asterisk may have carried out: a caller who may be gone is not one who
// gave up, and a pause that may have begun ends at its time.
func TestUnclear(t *testing.T) {
	lose := func(action string) *exchange {
		x := newExchange(t)
		x.pbx.AnswerFunc(action, func(*amitest.Request) string { go x.pbx.Drop(); return "" })
		return x
	}
	x := lose("Hangup")
	x.want("kick", codes(x.Kick(t.Context(), x.actor("9"), KickRequest{Queue: "500", Calls: []string{"1.1"}})), "1.1=away")
	x.want("note", x.calls.ended["1.1"], "agent 9")
	x = lose("QueuePause")
	until := time.Now().Add(time.Hour)
	x.want("pause", codes(x.Pause(t.Context(), Administrator("x"), PauseRequest{Agent: "8", Until: &until})), "500=away")
	if end := x.pauseEnd("pbx", "PJSIP/102", "500"); end == nil || !end.Equal(until) {
		t.Errorf("the pause ends at %v, want %v", end, until)
	}
}

func TestPriority(t *testing.T) {
	x, ctx := newExchange(t), t.Context()
	ten := 10
	r, err := x.Priority(ctx, x.actor("9"), PriorityRequest{Queue: "500", Call: "1.2", Priority: &ten})
	if err != nil || r.Priority != 10 || r.Position != 2 {
		t.Errorf("got %+v, %v", r, err)
	}
	change := x.pbx.Requests("QueueChangePriorityCaller")
	if len(change) != 1 || change[0].Get("Caller") != "PJSIP/trunk-2" || change[0].Get("Priority") != "10" || change[0].Get("Queue") != "500" {
		t.Errorf("actions: %+v", change)
	}
	for call, want := range map[string]Code{"1.3": Connected, "1.9": Unknown} {
		_, err := x.Priority(ctx, x.actor("9"), PriorityRequest{Queue: "500", Call: call, Priority: &ten})
		x.want(call, string(errorOf(err).Code), string(want))
	}
	_, err = x.Priority(ctx, x.actor("9"), PriorityRequest{Queue: "500", Call: "1.2"})
	x.want("without a number", string(errorOf(err).Code), "bad-request")
}

func TestCallCommands(t *testing.T) {
	x, ctx := newExchange(t), t.Context()
	anna := x.actor("7")
	f := func(do func(context.Context, Actor, CallRequest) (CallResult, error), who Actor, in CallRequest, want string) {
		t.Helper()
		r, err := do(ctx, who, in)
		got := strings.Join(r.Channels, " ")
		if failed := errorOf(err); failed != nil {
			got = string(failed.Code)
		}
		x.want(in.Side+" of "+in.LinkedID, got, want)
	}
	own := CallRequest{Agent: "7", LinkedID: "1.3"}
	with := func(change func(in *CallRequest)) CallRequest {
		in := own
		change(&in)
		return in
	}
	f(x.Mute, anna, own, "1.4")
	mute := x.pbx.Requests("Setvar")
	x.want("Setvar", mute[0].Get("Channel")+" "+mute[0].Get("Variable")+" "+mute[0].Get("Value"), "1.4 MUTEAUDIO(in) on")
	if !slices.ContainsFunc(x.Live().Calls, func(c Call) bool {
		return slices.ContainsFunc(c.Channels, func(ch Channel) bool { return ch.Muted && ch.UniqueID == "1.4" })
	}) {
		t.Error("the call is not shown as muted")
	}
	f(x.Unmute, anna, with(func(in *CallRequest) { in.Side = SideOther }), "1.3")
	f(x.DTMF, anna, with(func(in *CallRequest) { in.Digits = "1#" }), "1.3")
	if digits := x.pbx.Requests("PlayDTMF"); len(digits) != 2 || digits[1].Get("Digit") != "#" || digits[1].Get("Channel") != "1.3" {
		t.Errorf("digits: %+v", digits)
	}
	f(x.DTMF, anna, own, "bad-request")
	f(x.Mute, anna, with(func(in *CallRequest) { in.LinkedID = "1.1" }), "state")
	f(x.Mute, anna, with(func(in *CallRequest) { in.LinkedID = "9.9" }), "unknown")
	f(x.Mute, anna, with(func(in *CallRequest) { in.Agent = "8" }), "forbidden")
	f(x.Mute, anna, with(func(in *CallRequest) { in.Agent = "" }), "forbidden")
	f(x.Mute, anna, with(func(in *CallRequest) { in.Side = "left" }), "bad-request")
	f(x.Mute, anna, with(func(in *CallRequest) { in.UniqueID = "1.1" }), "unknown")
	f(x.Mute, Administrator("x"), CallRequest{LinkedID: "1.3"}, "bad-request")
	f(x.Mute, Administrator("x"), CallRequest{LinkedID: "1.3", Side: SideOther}, "unclear")
	f(x.Mute, Administrator("x"), CallRequest{LinkedID: "1.3", UniqueID: "1.3"}, "1.3")
	f(x.Hangup, anna, own, "1.4")
	f(x.Hangup, Administrator("x"), CallRequest{LinkedID: "1.3"}, "1.3 1.5")
	f(x.Hangup, anna, own, "unknown")
}

// TestTooManyCommands checks that commands beyond the pace, of a hostile browser for example, reach neither Asterisk nor
// the disk. Administrators are not bounded.
func TestTooManyCommands(t *testing.T) {
	x := newExchange(t)
	x.pace.free = map[string]time.Time{x.actor("7").Name: time.Now().Add(time.Hour)}
	if _, err := x.Mute(t.Context(), x.actor("7"), CallRequest{Agent: "7", LinkedID: "1.3"}); errorOf(err) == nil || errorOf(err).Code != Busy {
		t.Errorf("too many commands: %v", err)
	}
	recorded, err := x.desk.Commands(desk.CommandFilter{})
	if err != nil || len(recorded) != 0 || len(x.pbx.Requests("Setvar")) != 0 {
		t.Errorf("recorded %+v, %v; sent %+v", recorded, err, x.pbx.Requests("Setvar"))
	}
	if _, err := x.Mute(t.Context(), x.actor("8"), CallRequest{Agent: "8", LinkedID: "9.9"}); errorOf(err).Code != Unknown {
		t.Errorf("another agent: %v", err)
	}
	now, p := time.Now(), &pace{}
	for range 3 * paceBurst {
		if !p.allows(Administrator("x"), now) {
			t.Fatal("an administrator is refused")
		}
	}
	for i := range paceBurst + 1 {
		if got := p.allows(Actor{Name: "agent 7"}, now); got != (i < paceBurst) {
			t.Errorf("command %d: %v", i, got)
		}
	}
	if !p.allows(Actor{Name: "agent 7"}, now.Add(paceEvery)) || p.allows(Actor{Name: "agent 7"}, now.Add(paceEvery)) {
		t.Error("not one more after a pause")
	}
}

// TestPhonesOfAlmostOneName checks that the calls of another phone, whose name begins like that of the agent's, are not
// the agent's.
func TestPhonesOfAlmostOneName(t *testing.T) {
	x := newExchange(t)
	x.pbx.Send(amitest.Text("Event: Newchannel", "Channel: PJSIP/101-home-0000000a", "Uniqueid: 1.9", "Linkedid: 1.9", "ChannelStateDesc: Up"))
	x.eventually("the call is there", func() bool {
		return slices.ContainsFunc(x.Live().Calls, func(c Call) bool { return c.LinkedID == "1.9" })
	})
	_, err := x.Hangup(t.Context(), x.actor("7"), CallRequest{Agent: "7", LinkedID: "1.9"})
	if failed := errorOf(err); failed == nil || failed.Code != State {
		t.Errorf("hangup of another phone's call: %v", err)
	}
	v, err := x.Agent(x.actor("7"), "7")
	if err != nil || slices.Contains(v.Calls, "1.9") {
		t.Errorf("calls of the agent: %v, %v", v.Calls, err)
	}
}

// TestEndOfAnotherPause checks that the end of a pause that was returned stays so when the end of another one is forgotten.
func TestEndOfAnotherPause(t *testing.T) {
	c := New(slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	at := time.Now()
	for i, iface := range []string{"PJSIP/101", "PJSIP/102", "PJSIP/103"} {
		if err := c.keepPauseEnd(desk.PauseEnd{Server: "pbx", Interface: iface, Queue: "500", At: at.Add(time.Duration(i) * time.Hour)}); err != nil {
			t.Fatal(err)
		}
	}
	end := c.pauseEnd("pbx", "PJSIP/102", "500")
	c.forgetPauseEnds("pbx", "PJSIP/101", "500")
	if !end.Equal(at.Add(time.Hour)) {
		t.Errorf("the pause ends %v later", end.Sub(at))
	}
}

// TestPauseEndNotStored checks that the end of a pause that cannot be stored takes the place of an earlier one, and is in
// force until the program ends.
func TestPauseEndNotStored(t *testing.T) {
	c := New(slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	at := time.UnixMilli(1795719720000)
	keep := func(end time.Time) error {
		return c.keepPauseEnd(desk.PauseEnd{Server: "pbx", Interface: "PJSIP/101", Queue: "500", At: end})
	}
	if err := keep(at); err != nil {
		t.Fatal(err)
	}
	c.desk = desk.Broken(errors.New("disk full"))
	if err := keep(at.Add(time.Hour)); err == nil {
		t.Error("no error")
	}
	if end := c.pauseEnd("pbx", "PJSIP/101", "500"); end == nil || !end.Equal(at.Add(time.Hour)) {
		t.Errorf("the pause ends at %v, want %v", end, at.Add(time.Hour))
	}
}

// TestPauseEndUnclear checks the error of a pause that may have begun, and whose end is stored or not.
func TestPauseEndUnclear(t *testing.T) {
	lost, full := fmt.Errorf("queue 500: %w", ami.ErrLost), errors.New("disk full")
	for _, c := range []struct {
		paused, kept error
		code         Code
		text         string
	}{
		{nil, nil, "", ""},
		{lost, nil, Away, "the connection to Asterisk was lost; whether it ran the command is not known"},
		{nil, full, Broken, "paused, but the end of the pause could not be stored: it is lost if ringhook restarts; the log has the reason"},
		{lost, full, Away, "the connection to Asterisk was lost; whether it ran the command is not known; the end of the pause could not be stored: it is lost if ringhook restarts"},
	} {
		err := pauseError(c.paused, c.kept)
		if failed := errorOf(err); failed == nil {
			if c.code != "" {
				t.Errorf("%v, %v: no error", c.paused, c.kept)
			}
		} else if failed.Code != c.code || failed.Text != c.text {
			t.Errorf("%v, %v: %s %s", c.paused, c.kept, failed.Code, failed.Text)
		}
		if errors.Is(err, ami.ErrLost) != (c.paused != nil) || errors.Is(err, full) != (c.kept != nil) {
			t.Errorf("%v, %v: a cause is missing from %#v", c.paused, c.kept, err)
		}
	}
}

// TestCausesOfParts checks that the log has the causes of the parts of a command that failed.
func TestCausesOfParts(t *testing.T) {
	x, ctx := newExchange(t), t.Context()
	x.Close()
	lines := make(firstLines, 64)
	x.log = slog.New(slog.NewTextHandler(lines, &slog.HandlerOptions{Level: slog.LevelWarn}))
	x.start()
	x.pbx.Answer("QueueAdd", amitest.Text("Response: Error", "ActionID: {id}", "Message: Something new"))
	x.want("refused", codes(x.Login(ctx, x.actor("7"), LoginRequest{Agent: "7"})), "500=pbx 600=pbx")
	line := <-lines
	for !strings.Contains(line, "command for the PBX") {
		line = <-lines
	}
	for _, want := range []string{"500: ", "600: ", "Something new"} {
		if !strings.Contains(line, want) {
			t.Errorf("%q is missing: %s", want, line)
		}
	}
}

// TestRefusedCommandsInLog checks that commands that are refused again and again do not fill the log, and that those that are
// carried out are all in it.
func TestRefusedCommandsInLog(t *testing.T) {
	x, ctx := newExchange(t), t.Context()
	x.Close()
	lines := make(firstLines, 64)
	x.log = slog.New(slog.NewTextHandler(lines, nil))
	x.limited = loglimit.New(x.log, time.Hour)
	x.start()
	for range 5 {
		if _, err := x.Mute(ctx, x.actor("7"), CallRequest{Agent: "7", LinkedID: "9.9"}); err == nil {
			t.Fatal("a call that there is not was muted")
		}
	}
	x.limited.Close()
	refused := 0
	for n := len(lines); n > 0; n-- {
		if strings.Contains(<-lines, "command for the PBX") {
			refused++
		}
	}
	if refused != 2 { // the first, and the number of the others
		t.Errorf("%d lines of refused commands, want 2", refused)
	}
}

// firstLines passes the first lines of a log on: as many as it has room for.
type firstLines chan string

// Write implements io.Writer.
func (l firstLines) Write(line []byte) (int, error) {
	select {
	case l <- string(line):
	default:
	}
	return len(line), nil
}

// TestPauseEndsReadLater checks that the ends of pauses that cannot be read at the start are read as soon as they can be,
// and that they do not wait for the states of agents, which have to be changed.
func TestPauseEndsReadLater(t *testing.T) {
	folder := t.TempDir()
	d, err := desk.Make(folder)
	if err != nil {
		t.Fatal(err)
	}
	// The clock was ten years ahead when the pause of an hour began.
	began := time.Now().Add(10 * 365 * 24 * time.Hour)
	end := desk.PauseEnd{Server: "pbx", Interface: "PJSIP/101", Queue: "500", From: began, At: began.Add(time.Hour)}
	conn, err := sqlite.Options{Path: filepath.Join(folder, desk.File), Synchronous: "NORMAL", Busy: time.Minute}.Writer()
	if err := errors.Join(err, d.SetPauseEnds(end)); err != nil {
		t.Fatal(err)
	}
	rename := func(from, to string) {
		t.Helper()
		if _, err := conn.Exec("alter table " + from + " rename to " + to); err != nil {
			t.Fatal(err)
		}
	}
	rename("pause_end", "away")
	rename("agent_state", "away_too")
	log := make(firstLines, 2)
	c := New(slog.New(slog.NewTextHandler(log, nil)), prometheus.NewRegistry())
	c.Use(d, nil)
	if line := <-log; !strings.Contains(line, "cannot read the ends of pauses") {
		t.Error(line)
	}
	rename("away", "pause_end")
	wait.Until(t, func() bool { return c.pauseEnd("pbx", "PJSIP/101", "500") != nil }, "the end of the pause is not known")
	if at := c.pauseEnd("pbx", "PJSIP/101", "500"); at.After(time.Now().Add(time.Hour)) {
		t.Errorf("the pause ends at %s", at)
	}
	if line := <-log; !strings.Contains(line, "cannot end the stored states of agents") {
		t.Error(line)
	}
	if err := errors.Join(c.Close(), conn.Close(), d.Close()); err != nil {
		t.Error(err)
	}
}

// TestRecorded checks that every command is recorded and counted, with what it answered.
func TestRecorded(t *testing.T) {
	x, ctx := newExchange(t), t.Context()
	if _, err := x.Login(ctx, x.actor("7"), LoginRequest{Agent: "7"}); err != nil {
		t.Fatal(err)
	}
	x.Logout(ctx, x.actor("7"), LoginRequest{Agent: "7", Queues: []string{"500", "700"}})
	x.Kick(ctx, x.actor("7"), KickRequest{Queue: "500", Calls: []string{"1.1"}})
	list, err := x.desk.Commands(desk.CommandFilter{})
	if err != nil || len(list) != 3 {
		t.Fatalf("got %+v, %v", list, err)
	}
	for i, want := range []desk.Command{
		{Who: "agent 7", Command: "kick", Queue: "500", Detail: `{"calls":["1.1"]}`, Outcome: "forbidden"},
		{Who: "agent 7", Command: "logout", Agent: "7", Detail: `{"queues":["500","700"]}`, Outcome: "partial"},
		{Who: "agent 7", Command: "login", Agent: "7", Outcome: "ok"},
	} {
		got := list[i]
		if got.Who != want.Who || got.Command != want.Command || got.Agent != want.Agent || got.Queue != want.Queue || got.Detail != want.Detail || got.Outcome != want.Outcome || got.Result == "" || time.Since(got.At) > time.Minute {
			t.Errorf("got %+v, want %+v", got, want)
		}
		if n := testutil.ToFloat64(x.commands.WithLabelValues(want.Command, want.Outcome)); n != 1 {
			t.Errorf("%s %s counted %v times", want.Command, want.Outcome, n)
		}
	}
}

// Without a connection every command is refused at once.
func TestAway(t *testing.T) {
	x, ctx := newExchange(t), t.Context()
	x.pbx.Close()
	x.eventually("away", func() bool { return !x.Live().Servers[0].Connected })
	admin, one := Administrator("x"), 1
	began := time.Now()
	_, hangup := x.Hangup(ctx, admin, CallRequest{LinkedID: "1.3"})
	_, priority := x.Priority(ctx, admin, PriorityRequest{Queue: "500", Call: "1.1", Priority: &one})
	for name, got := range map[string]string{
		"login": codes(x.Login(ctx, admin, LoginRequest{Agent: "7"})), "logout": codes(x.Logout(ctx, admin, LoginRequest{Agent: "7"})),
		"pause": codes(x.Pause(ctx, admin, PauseRequest{Agent: "7"})), "resume": codes(x.Resume(ctx, admin, PauseRequest{Agent: "7"})),
		"kick": codes(x.Kick(ctx, admin, KickRequest{Queue: "500", Calls: []string{"1.1"}})), "hangup": string(errorOf(hangup).Code), "priority": string(errorOf(priority).Code),
	} {
		x.want(name, got, "away")
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("took %v", took)
	}
}

// Each command has a right, and a command without one is refused to all.
func TestRights(t *testing.T) {
	a := dialplan.DefaultAgent()
	a.ID, a.Queues = "7", []string{"500"}
	agent, boss, admin := Actor{Agent: "7", Role: dialplan.RoleAgent}, Actor{Role: dialplan.RoleSupervisor, Queues: []string{"500"}}, Administrator("x")
	for _, name := range Commands() {
		of := rights[name]
		for who, want := range map[*Actor]bool{&agent: of == ofAgent, &boss: of != ofServer, &admin: true} {
			if err := allowed(*who, name, &a, "500"); (err == nil) != want {
				t.Errorf("%s by %s: %v", name, who.Role, err)
			}
		}
		for _, who := range []Actor{{Agent: "8", Role: dialplan.RoleAgent}, {Role: dialplan.RoleAgent}, {}, {Role: dialplan.RoleSupervisor, Queues: []string{"600"}}} {
			if allowed(who, name, &a, "500") == nil {
				t.Errorf("%s is allowed to %+v", name, who)
			}
		}
	}
	var refused *Error
	if err := allowed(admin, "reboot", nil, ""); !errors.As(err, &refused) || refused.Code != Forbidden {
		t.Errorf("an unknown command: %v", err)
	}
}

// TestRecordedFirst looks at the record of a command at the moment at which Asterisk gets its action: a crash would leave
// it.
func TestRecordedFirst(t *testing.T) {
	x := newExchange(t)
	var seen []desk.Command
	x.pbx.AnswerFunc("QueuePause", func(r *amitest.Request) string {
		list, err := x.desk.Commands(desk.CommandFilter{})
		if err != nil {
			t.Error(err)
		}
		seen = list
		x.event(memberText("QueueMemberPause", "500", "PJSIP/102", "Membership: static", "Paused: 1", "PausedReason: lunch"))
		return amitest.Text("Response: Success", "ActionID: {id}", "Message: done")
	})
	r, err := x.Pause(t.Context(), x.actor("8"), PauseRequest{Agent: "8", Queues: []string{"500"}, Reason: "lunch"})
	x.want("pause", codes(r, err), "500=ok")
	if len(seen) != 1 || seen[0].Outcome != desk.CommandBegun || seen[0].Who != "agent 8" || seen[0].Command != "pause" || seen[0].Agent != "8" || !strings.Contains(seen[0].Detail, "lunch") {
		t.Errorf("recorded when Asterisk was asked: %+v", seen)
	}
	list, err := x.desk.Commands(desk.CommandFilter{})
	if err != nil || len(list) != 1 || list[0].ID != seen[0].ID || list[0].Outcome != "ok" || list[0].Took <= 0 || !strings.Contains(list[0].Result, `"result":"ok"`) {
		t.Errorf("recorded at the end: %+v, %v", list, err)
	}
}

// TestNotedCall checks that a kick names the call by its Asterisk too: two Asterisks can have one linkedid.
func TestNotedCall(t *testing.T) {
	for _, c := range []struct{ system, entity, configured, want string }{
		{"", "02:00:00:00:00:01", "", "02:00:00:00:00:01"},
		{"", "02:00:00:00:00:01", "east", "east"},
		{"", "", "", ""},
	} {
		x := newExchange(t)
		x.config.SystemName = c.configured
		getvar := func(r *amitest.Request) string {
			value := map[string]string{"SYSTEMNAME": c.system, "ENTITYID": c.entity}[r.Get("Variable")]
			return amitest.Text("Response: Success", "ActionID: {id}", "Value: "+value)
		}
		x.pbx.AnswerFunc("Getvar", getvar)
		x.start()
		r, err := x.Kick(t.Context(), Administrator("boss"), KickRequest{Queue: "500", Calls: []string{"1.1"}})
		x.want("kick", codes(r, err), "1.1=ok")
		if want := []dialplan.Identity{{Asterisk: c.want, LinkedID: "1.1"}}; !slices.Equal(x.calls.noted, want) {
			t.Errorf("%+v: noted %+v, want %+v", c, x.calls.noted, want)
		}
	}
}

// TestFrozen checks that a command is refused, and not sent, while the connection is there but Asterisk does not answer.
func TestFrozen(t *testing.T) {
	x := newExchange(t)
	pause := func() string {
		return codes(x.Pause(t.Context(), x.actor("8"), PauseRequest{Agent: "8", Queues: []string{"500"}}))
	}
	x.want("pause", pause(), "500=ok")
	sent := len(x.pbx.Requests("QueuePause"))
	x.pbx.Freeze() // just after it has answered
	x.want("pause", pause(), "away")
	if now := len(x.pbx.Requests("QueuePause")); now != sent {
		t.Errorf("%d pauses were sent to Asterisk while it stood still", now-sent)
	}
}
