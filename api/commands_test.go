package api

import (
	"encoding/json"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"

	"ringhook/api/apitest"
	"ringhook/api/yemot"
	"ringhook/store/desk"
)

// served is the API on a port.
type served struct {
	*apitest.House
	t   *testing.T
	web string
}

func serveAPI(t *testing.T) *served {
	t.Helper()
	s := &served{House: apitest.New(t), t: t}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	a := New(log, s.Store.Desk(), s.Store.Cache(), s.Store.Browse(), s.Control, l.Addr())
	a.Exchange("0123456789abcdef", yemot.Config{Path: "/ym/api/", Token: yemotToken}, nil, nil, nil)
	a.SetClicks(s.Clicks())
	server := NewServer(a, MaxConnections, s.Registry, func() (string, bool) { return "", true }, log)
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
	return s
}

// yemotToken is the token of the Yemot dialect.
const yemotToken = "fedcba9876543210"

// send sends a request with a token, which is named. It returns the status, the code of an error and the answer.
func (s *served) send(token, method, target, body string) (int, string, string) {
	s.t.Helper()
	resp, text := s.Send(token, method, s.web+target, "application/json", body)
	var failed failure
	if resp.StatusCode >= 400 && resp.Header.Get("Content-Type") == "application/json" { // else the path left the API
		if err := json.Unmarshal([]byte(text), &failed); err != nil {
			s.t.Errorf("%s %.200s: %v in %s", method, target, err, text)
		}
	}
	return resp.StatusCode, failed.Code, text
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
	f("administrator", "GET", "/v1/calls/1.3", "", 200, `"muted":true}],"points":[],"events":[],"deliveries":[],"pops":[]}`)
	f("administrator", "GET", "/v1/calls/1.3?server=other", "", 404, "unknown")
	f("administrator", "GET", "/v1/calls/9.9", "", 404, "unknown")
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
	list, err := s.Store.Desk().Commands(desk.CommandFilter{})
	if err != nil || len(list) < 14 || !slices.ContainsFunc(list, func(c desk.Command) bool { return c.Who == "token agent" && c.Command == "pause" && c.Agent == "7" }) {
		t.Errorf("recorded: %+v, %v", list, err)
	}
	tokens, err := s.Store.Desk().Tokens()
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
