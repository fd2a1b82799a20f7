package control

import (
	"context"
	"log/slog"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"ringhook/ami"
	"ringhook/ami/amitest"
	"ringhook/dialplan"
	"ringhook/fastagi"
	"ringhook/fastagi/agitest"
	"ringhook/fastagi/asterisk"
	"ringhook/hooks"
	"ringhook/lookup"
	"ringhook/lookup/number"
	"ringhook/store"
)

// pointsBench is a dialplan with a store on disk whose points are also reported by a fake Asterisk.
type pointsBench struct {
	*amitest.Server
	store   *store.Store
	agi     string
	control *Control
}

func newPointsBench(t *testing.T, calls string) *pointsBench {
	t.Helper()
	log, reg := slog.New(slog.DiscardHandler), prometheus.NewRegistry()
	cfg := store.DefaultConfig()
	cfg.Folder = t.TempDir()
	st, err := store.Open(cfg, log, reg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	hook := hooks.DefaultConfig()
	hook.Name, hook.Events, hook.URL = "all", []string{"*"}, hooks.Addresses{"http://127.0.0.1:1/"} // never started
	parts := dialplan.Parts{Numbers: number.NewReader(number.Config{Country: "RU"})}
	if parts.Hooks, err = hooks.New([]hooks.Config{hook}, st.Outbox(), log, reg); err != nil {
		t.Fatal(err)
	}
	if parts.Lookups, err = lookup.New(nil, st.Cache(), lookup.Own{Phonebook: st.Phonebook()}, log, reg); err != nil {
		t.Fatal(err)
	}
	d := dialplan.New(dialplan.Settings{Budget: 10 * time.Second, Dialplan: dialplan.DefaultConfig(), Agents: []dialplan.Agent{{Phone: "210"}}}, parts, st.Journal(), log, reg)
	t.Cleanup(func() { d.Close() })
	b := &pointsBench{Server: amitest.New(), store: st}
	b.AnswerFunc("Getvar", func(r *amitest.Request) string {
		value := map[string]string{"ENTITYID": "pbx"}[r.Get("Variable")]
		return amitest.Text("Response: Success", "ActionID: {id}", "Variable: "+r.Get("Variable"), "Value: "+value)
	})
	address, err := b.Listen()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	b.agi = agitest.Serve(t, d.Serve)
	c := New(log, reg)
	b.control = c
	c.Report(d)
	table := ami.DefaultConfig()
	table.Address, table.Username, table.Secret, table.Points = address, amitest.Username, amitest.Secret, dialplan.ReportablePoints()
	table.Calls = calls
	next, err := c.Prepare([]ami.Config{table})
	if err != nil {
		t.Fatal(err)
	}
	c.Exchange(next)
	t.Cleanup(func() { c.Close() })
	until(t, c, "connected", func(l Live) bool { return l.Servers[0].Connected })
	return b
}

// recordedCall returns the messages of a recorded stream, and the channel on which the call began.
func recordedCall(t *testing.T, scenario string) (messages []string, first fastagi.Env) {
	t.Helper()
	text, err := os.ReadFile("report/testdata/22/" + scenario)
	if err != nil {
		t.Fatal(err)
	}
	messages = strings.SplitAfter(string(text), "\r\n\r\n")
	field := func(name string) string {
		_, value, _ := strings.Cut(messages[0], name+": ")
		value, _, _ = strings.Cut(value, "\r\n")
		return value
	}
	return messages, fastagi.Env{UniqueID: field("Uniqueid"), Channel: field("Channel"), CallerNum: field("CallerIDNum")}
}

// call has the dialplan ask queue-dial for the call of a recorded stream, and returns the stream's messages.
func (b *pointsBench) call(t *testing.T, scenario string) []string {
	t.Helper()
	messages, env := recordedCall(t, scenario)
	env.Point, env.Args = "queue-dial", []string{"queue_id=520", "server=pbx"}
	_, err := asterisk.Call(context.Background(), b.agi, asterisk.CallRequest{
		Env: env, Variables: map[string]string{"CHANNEL(linkedid)": env.UniqueID},
	})
	if err != nil {
		t.Fatal(err)
	}
	return messages
}

// events waits until the call has ended, and returns its events, each with presumed if it is.
func (b *pointsBench) events(t *testing.T) (names []string) {
	t.Helper()
	for end := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
		names = b.names(t)
		if len(names) > 0 && strings.HasPrefix(names[len(names)-1], "call-hangup") {
			return names
		}
		if time.Now().After(end) {
			t.Fatalf("the call does not end: %v", names)
		}
	}
}

// names returns the events of now.
func (b *pointsBench) names(t *testing.T) (names []string) {
	t.Helper()
	list, err := b.store.Operator().List(store.Filter{Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range slices.Backward(list) {
		name := d.Event.Name
		if d.Event.Params["presumed"] == true {
			name += "?"
		}
		names = append(names, name)
	}
	return names
}

// TestPoints checks that a call whose dialplan asks only queue-dial has all events, stored on disk.
func TestPoints(t *testing.T) {
	f := func(scenario, want string) {
		t.Helper()
		b := newPointsBench(t, ami.KnownCalls)
		for _, m := range b.call(t, scenario) {
			b.Send(m)
		}
		if got := strings.Join(b.events(t), " "); got != want {
			t.Errorf("%s: got  %s\nwant %s", scenario, got, want)
		}
	}
	f("answered-agent-ends", "queue-dial agent-dial agent-answer agent-hangup queue-hangup call-hangup")
	f("abandoned", "queue-dial agent-dial agent-cancel queue-hangup queue-abandon call-hangup")
	f("unavailable-answered", "queue-dial agent-dial agent-dial agent-cancel agent-answer agent-hangup queue-hangup call-hangup")
}

// TestPointsPresumed checks that a call whose end was not seen ends all the same: the session was lost while a phone
// rang, and Asterisk has no channel of it afterwards.
func TestPointsPresumed(t *testing.T) {
	b := newPointsBench(t, ami.KnownCalls)
	for _, m := range b.call(t, "abandoned") {
		b.Send(m)
		if strings.HasPrefix(m, "Event: AgentCalled") {
			break
		}
	}
	for end := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
		list, err := b.store.Operator().List(store.Filter{Limit: 10})
		if err != nil || time.Now().After(end) {
			t.Fatalf("the phone does not ring: %v", err)
		}
		if len(list) == 2 {
			break
		}
	}
	b.Drop()
	if got, want := strings.Join(b.events(t), " "), "queue-dial agent-dial agent-cancel? queue-hangup? call-hangup?"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// TestPointsOfAllCalls checks calls of which the dialplan asks no point.
func TestPointsOfAllCalls(t *testing.T) {
	f := func(scenario, want string) {
		t.Helper()
		b := newPointsBench(t, ami.AllCalls)
		messages, _ := recordedCall(t, scenario)
		for _, m := range messages {
			b.Send(m)
		}
		if got := strings.Join(b.events(t), " "); got != want {
			t.Errorf("%s: got  %s\nwant %s", scenario, got, want)
		}
	}
	f("direct", "agent-dial call-answer agent-answer agent-hangup call-hangup")
	f("ring-group", "agent-dial agent-dial agent-cancel call-answer agent-answer agent-hangup call-hangup")
	f("out-busy", "agent-custom agent-dialout-hangup call-hangup")
	f("plain-members", "agent-dial agent-cancel agent-dial agent-cancel agent-dial agent-answer agent-hangup queue-hangup call-hangup")
}
