package api

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"ringhook/ami"
	"ringhook/ami/amitest"
	"ringhook/api/yemot"
	"ringhook/control"
	"ringhook/control/account"
	"ringhook/control/campaign"
	"ringhook/dialplan"
	"ringhook/store"
	"ringhook/store/desk"
)

// served is the API on a port, with an Asterisk that records every action as Asterisk itself would read it.
type served struct {
	t      *testing.T
	web    string
	pbx    *amitest.Server
	tokens map[string]string // by name
	store  *store.Store
	live   *control.Control
}

func serveAPI(t *testing.T) *served {
	t.Helper()
	s := &served{t: t, pbx: amitest.New(), tokens: map[string]string{}}
	t.Cleanup(s.pbx.Close)
	s.pbx.AnswerList("QueueStatus",
		amitest.Text("Event: QueueParams", "Queue: 500"), amitest.Text("Event: QueueParams", "Queue: 600"),
		amitest.Text("Event: QueueMember", "Queue: 500", "Name: Anna", "Location: PJSIP/101", "StateInterface: PJSIP/101", "Membership: dynamic", "Paused: 0"),
		amitest.Text("Event: QueueEntry", "Queue: 500", "Position: 1", "Channel: PJSIP/trunk-1", "Uniqueid: 1.1"),
		amitest.Text("Event: QueueEntry", "Queue: 500", "Position: 2", "Channel: PJSIP/trunk-2", "Uniqueid: 1.2"))
	s.answerChannels()
	s.answerCommands()
	address, err := s.pbx.Listen()
	if err != nil {
		t.Fatal(err)
	}
	log, registry := slog.New(slog.DiscardHandler), prometheus.NewRegistry()
	if s.store, err = store.Open(store.Config{Folder: filepath.Join(t.TempDir(), "store")}, log, registry); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.store.Close() })
	s.live = control.New(log, registry)
	t.Cleanup(func() { s.live.Close() })
	agent := dialplan.DefaultAgent()
	agent.ID, agent.Phone, agent.Queues = "7", "101", []string{"500", "600"}
	other := agent
	other.ID, other.Phone, other.Hold = "8", "102", "notify"
	click := control.DefaultClick()
	click.Repeat = 0
	s.live.Configure(control.Settings{
		Agents: []dialplan.Agent{agent, other}, Click: click,
		Campaign: campaign.Config{Context: "ringhook-campaign", Most: 500, Parallel: 5, Timeout: 30 * time.Second},
		Accounts: account.Config{Template: "phone", Context: "accounts", Transports: map[string]string{"udp": "udp", "wss": "wss"}, Most: 500},
	})
	servers, err := s.live.Prepare([]ami.Config{{Name: "pbx", Address: address, Username: amitest.Username, Secret: amitest.Secret}})
	if err != nil {
		t.Fatal(err)
	}
	s.live.Exchange(servers)
	s.live.Use(s.store.Desk(), nil)
	for end := time.Now().Add(20 * time.Second); !s.live.Live().Servers[0].Connected; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("not connected")
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	a := New(log, s.store, s.live, l.Addr())
	a.Exchange("0123456789abcdef", yemot.Config{Path: "/ym/api/", Token: yemotToken}, nil, nil)
	server := NewServer(a, MaxConnections, registry, func() string { return "" }, log)
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(l) }()
	t.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections()
		if err := server.Shutdown(t.Context()); err != nil && t.Context().Err() == nil {
			t.Error(err)
		}
		<-ended
	})
	s.web = "http://" + l.Addr().String()
	for _, token := range []desk.Token{
		{Name: "agent", Agent: "7", Rights: "agent"}, {Name: "agent 8", Agent: "8", Rights: "agent"}, {Name: "supervisor", Rights: "supervisor", Queues: []string{"500"}}, {Name: "administrator", Rights: "administrator"}, {Name: "gone", Agent: "99", Rights: "agent"},
	} {
		token.Created = time.Now()
		if s.tokens[token.Name], err = s.store.Desk().AddToken(token); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// yemotToken is the token of the Yemot dialect.
const yemotToken = "fedcba9876543210"

// answerChannels plays the channels: two callers who wait, a call of 101, a call of 101 on hold that is being transferred,
// and a call that rings at 102.
func (s *served) answerChannels() {
	channel := func(name, uniqueid, linkedid, bridge string, more ...string) string {
		return amitest.Text(append([]string{"Event: CoreShowChannel", "Channel: " + name, "Uniqueid: " + uniqueid, "Linkedid: " + linkedid, "BridgeId: " + bridge}, more...)...)
	}
	s.pbx.AnswerList("CoreShowChannels", channel("PJSIP/trunk-1", "1.1", "1.1", ""), channel("PJSIP/trunk-2", "1.2", "1.2", ""),
		channel("PJSIP/trunk-3", "1.3", "1.3", "b", "ChannelStateDesc: Up"), channel("PJSIP/101-9", "1.4", "1.3", "b", "ChannelStateDesc: Up"),
		channel("PJSIP/trunk-4", "2.1", "2.1", "", "Context: ringhook-hold", "Exten: caller", "ChannelStateDesc: Up"),
		channel("PJSIP/101-8", "2.2", "2.1", "", "Context: ringhook-hold-agent", "Exten: wait", "ChannelStateDesc: Up"),
		channel("PJSIP/trunk-5", "3.1", "3.1", ""), channel("PJSIP/102-7", "3.2", "3.1", "", "Application: AppDial", "ChannelStateDesc: Ringing"))
	s.pbx.AnswerList("DeviceStateList", amitest.Text("Event: DeviceStateChange", "Device: PJSIP/101", "State: INUSE"), amitest.Text("Event: DeviceStateChange", "Device: PJSIP/102", "State: RINGING"))
}

// answerCommands plays Asterisk's answers to actions.
func (s *served) answerCommands() {
	done := amitest.Text("Response: Success", "ActionID: {id}", "Message: done")
	for _, action := range []string{"QueueAdd", "QueueRemove", "Redirect", "Hangup", "Setvar", "PlayDTMF", "QueueChangePriorityCaller", "BlindTransfer", "Reload"} {
		s.pbx.Answer(action, done)
	}
	s.pbx.AnswerFunc("QueuePause", func(r *amitest.Request) string {
		paused := map[string]string{"true": "1", "false": "0"}[r.Get("Paused")]
		go s.pbx.Send(amitest.Text("Event: QueueMemberPause", "Queue: "+r.Get("Queue"), "MemberName: Anna", "Interface: PJSIP/101", "StateInterface: PJSIP/101", "Membership: dynamic", "Paused: "+paused, "PausedReason: "+r.Get("Reason")))
		return done
	})
	s.pbx.AnswerFunc("PJSIPNotify", func(r *amitest.Request) string {
		go s.pbx.Send(amitest.Text("Event: Newstate", "Channel: PJSIP/102-7", "Uniqueid: "+r.Get("Channel"), "Linkedid: 3.1", "ChannelStateDesc: Up"))
		return done
	})
	s.pbx.AnswerFunc("Originate", func(r *amitest.Request) string {
		if strings.HasPrefix(r.Get("Channel"), "Local/") { // of a campaign, which then goes on
			return amitest.Text("Response: Error", "ActionID: {id}", "Message: Extension does not exist.")
		}
		go s.pbx.Send(amitest.Text("Event: Newstate", "Uniqueid: "+r.Get("ChannelId"), "ChannelStateDesc: Ringing"))
		return done
	})
	accounts := amitest.NewAccounts(s.pbx)
	s.pbx.AnswerFunc("Getvar", func(r *amitest.Request) string {
		name := r.Get("Variable")
		value, known := accounts.Value(name)
		switch {
		case known:
		case strings.HasPrefix(name, "RINGHOOK_"):
			value = map[string]string{"RINGHOOK_PARTNER 2.2": "PJSIP/trunk-4", "RINGHOOK_TRANSFER 2.2": "abcd1234"}[name+" "+r.Get("Channel")]
		case strings.HasPrefix(name, "DIALPLAN_EXISTS("), strings.HasPrefix(name, "PJSIP_"):
			value = "1"
		case strings.HasPrefix(name, "DEVICE_STATE("):
			value = cmp.Or(map[string]string{"DEVICE_STATE(PJSIP/102)": "RINGING"}[name], "INVALID")
		case name == "CHANNEL(context)":
			value = "from-trunk"
		}
		return amitest.Text("Response: Success", "ActionID: {id}", "Value: "+value)
	})
}

// another makes one more token of an agent, and returns its name.
func (s *served) another(agent string) string {
	s.t.Helper()
	name := fmt.Sprint("another ", len(s.tokens))
	token, err := s.store.Desk().AddToken(desk.Token{Name: name, Agent: agent, Rights: "agent", Created: time.Now()})
	if err != nil {
		s.t.Fatal(err)
	}
	s.tokens[name] = token
	return name
}

// send sends a request with the token of a name, and returns the answer.
func (s *served) send(token, method, target, body string) (status int, code, text string) {
	s.t.Helper()
	req, err := http.NewRequest(method, s.web+target, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+s.tokens[token])
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatalf("%s %.200s: %v", method, target, err)
	}
	defer resp.Body.Close()
	all, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	var failed failure
	if resp.StatusCode >= 400 && resp.Header.Get("Content-Type") == "application/json" { // else the path left the API
		if err := json.Unmarshal(all, &failed); err != nil {
			s.t.Errorf("%s %.200s: %v in %s", method, target, err, all)
		}
	}
	return resp.StatusCode, failed.Code, string(all)
}

func TestCommandsOverHTTP(t *testing.T) {
	s := serveAPI(t)
	f := func(token, method, target, body string, status int, want string) {
		t.Helper()
		got, code, text := s.send(token, method, target, body)
		if got != status || !strings.Contains(code+text, want) {
			t.Errorf("%s %s %s as %s: got %d %s, want %d %s", method, target, body, token, got, text, status, want)
		}
	}
	f("", "GET", "/v1/me", "", 401, "signed-out")
	f("gone", "GET", "/v1/me", "", 401, "signed-out")
	f("agent", "GET", "/v1/me", "", 200, `"agent":"7"`)
	f("administrator", "GET", "/v1/me", "", 403, "forbidden")
	f("agent", "GET", "/v1/agents", "", 200, `"agent":"7"`)
	f("agent", "GET", "/v1/agents/8", "", 403, "forbidden")
	f("supervisor", "GET", "/v1/agents/8", "", 200, `"agent":"8"`)
	f("supervisor", "GET", "/v1/queues", "", 200, `"id":"500"`)
	f("supervisor", "GET", "/v1/queues/600", "", 404, "unknown")
	f("agent", "GET", "/v1/queues", "", 403, "forbidden")
	f("supervisor", "GET", "/v1/outbox", "", 403, "forbidden")
	f("agent", "POST", "/v1/me/login", "", 200, `"result":"ok"`)
	f("agent", "POST", "/v1/me/login", `{"queues":["500","700"]}`, 207, `"result":"unknown"`)
	f("agent", "POST", "/v1/me/login", `{"queues":["700"]}`, 404, `"results":[`)
	f("agent", "POST", "/v1/me/login?server=pbx", `{"queues":["500"]}`, 200, "ok")
	f("agent", "POST", "/v1/me/login?server=other", "", 404, "unknown")
	f("agent", "POST", "/v1/me/login?sever=pbx", "", 400, "bad-request")
	f("agent", "POST", "/v1/me/login", `{"queue":["500"]}`, 400, "bad-request")
	f("agent", "POST", "/v1/me/login", `{"queues":"500"}`, 400, "bad-request")
	f("agent", "POST", "/v1/agents/8/login", "", 403, "forbidden")
	f("agent", "PUT", "/v1/me/pause", `{"reason":"lunch"}`, 200, "ok")
	f("agent", "DELETE", "/v1/me/pause", "", 200, "ok")
	f("agent", "DELETE", "/v1/me/pause", `{"queues":["600"]}`, 409, "state")
	f("agent", "POST", "/v1/me/pause", "", 405, "PUT or DELETE")
	f("agent", "POST", "/v1/me/calls/1.3/mute", "", 200, `"channels":["1.4"]`)
	f("agent", "POST", "/v1/me/calls/1.1/mute", "", 409, "state")
	f("agent", "POST", "/v1/calls/1.3/mute", "", 403, "forbidden")
	f("administrator", "POST", "/v1/calls/1.3/mute", `{"uniqueid":"1.3"}`, 200, "1.3")
	f("supervisor", "POST", "/v1/queues/500/kick", `{"calls":["1.1"],"to":"7000"}`, 200, "ok")
	f("supervisor", "POST", "/v1/queues/600/kick", `{"calls":["1.1"]}`, 403, "forbidden")
	f("supervisor", "POST", "/v1/queues/500/kick", "{}", 400, "bad-request")
	f("agent", "POST", "/v1/queues/500/kick", `{"calls":["1.1"]}`, 403, "forbidden")
	f("administrator", "GET", "/v1/commands?limit=1", "", 200, `"command":"kick"`)
	f("agent", "GET", "/v1/openapi.json", "", 200, "3.1.0")
	big := `{"queues":["` + strings.Repeat("x", maxCommand) + `"]}`
	f("agent", "POST", "/v1/me/login", big, 413, "larger")
	list, err := s.store.Desk().Commands(desk.CommandFilter{})
	if err != nil || len(list) < 14 || !slices.ContainsFunc(list, func(c desk.Command) bool { return c.Who == "token agent" && c.Command == "pause" && c.Agent == "7" }) {
		t.Errorf("recorded: %+v, %v", list, err)
	}
	tokens, err := s.store.Desk().Tokens()
	if err != nil || tokens[0].Name != "administrator" || tokens[0].Used.IsZero() {
		t.Errorf("tokens: %+v, %v", tokens, err)
	}
}

// TestEveryRouteNeedsAToken asks every route without a token, and every route that is not for all with that of an
// agent.
func TestEveryRouteNeedsAToken(t *testing.T) {
	s := serveAPI(t)
	for _, r := range routes {
		target := part.ReplaceAllString(r.path, "1.3")
		if status, code, text := s.send("", r.method, target, ""); status != 401 || code != "signed-out" {
			t.Errorf("%s %s without a token: %d %s", r.method, r.path, status, text)
		}
		if r.may == everyone {
			continue
		}
		if status, code, text := s.send("agent", r.method, target, "{}"); status != 403 || code != "forbidden" {
			t.Errorf("%s %s as an agent: %d %s", r.method, r.path, status, text)
		}
	}
}

// TestPathsAreNotCleaned checks that a part of a path is taken as it is written.
func TestPathsAreNotCleaned(t *testing.T) {
	s := serveAPI(t)
	for target, want := range map[string]string{"/v1/calls/1.1": "1.1", "/v1/calls/pb%2F..%2F1.1": "pb/../1.1", "/v1/calls/pb%2F%2Fx%2B%252F": "pb//x+%2F", "/v1/calls/pb/x": "pb/x"} {
		route, parts, _ := find("GET", target, false)
		if route == nil || parts["linkedid"] != want {
			t.Errorf("%s: got %q, want %q", target, parts, want)
		}
	}
	for _, target := range []string{"/v1/calls/pb%2F..%2F1.1", "/v1/calls/pb%2F..%2F..%2Fqueues"} {
		if status, code, text := s.send("administrator", "GET", target, ""); status != 404 || code != "unknown" || !strings.Contains(text, "pb/..") {
			t.Errorf("%s: got %d %s", target, status, text)
		}
	}
	if route, parts, _ := find("GET", "/v1/calls/%2", false); route != nil {
		t.Errorf("a broken escape: %q", parts)
	}
}
