package desk

import (
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"ringhook/control"
	"ringhook/loglimit"
	accounts "ringhook/store/desk"
)

// TestCommandsWithoutAsterisk checks that commands fail with a code that the page can show if no Asterisk is connected.
func TestCommandsWithoutAsterisk(t *testing.T) {
	h := serve(t)
	h.control.Configure(control.Settings{Agents: people})
	c := h.signedIn("7")
	for _, request := range [][2]string{
		{"POST", "/v1/me/login"}, {"POST", "/v1/me/logout"}, {"PUT", "/v1/me/pause"}, {"DELETE", "/v1/me/pause"},
		{"POST", "/v1/me/calls/1.1/answer"}, {"POST", "/v1/me/calls/1.1/hold"}, {"POST", "/v1/me/calls/1.1/resume"}, {"POST", "/v1/me/calls/1.1/dtmf"}, {"POST", "/v1/me/calls/1.1/transfer"},
		{"POST", "/v1/me/calls"}, {"POST", "/v1/me/transfers/1.1-x/complete"}, {"DELETE", "/v1/me/transfers/1.1-x"},
		{"POST", "/v1/me/calls/1.1/hangup"}, {"POST", "/v1/me/calls/1.1/mute"},
	} {
		resp, text := h.ask(c, request[0], request[1], "{}", "Content-Type", "application/json")
		var answer struct{ Error, Code string }
		if err := json.Unmarshal([]byte(text), &answer); err != nil || resp.StatusCode < 400 || resp.StatusCode == http.StatusInternalServerError || answer.Code == "" || answer.Error == "" {
			t.Errorf("%s %s: %d %s", request[0], request[1], resp.StatusCode, text)
		}
	}
}

// logged counts the lines of a log.
type logged struct{ lines atomic.Int64 }

// Write takes one line.
func (l *logged) Write(line []byte) (int, error) {
	l.lines.Add(1)
	return len(line), nil
}

// TestFailuresAreCounted sends requests of strangers while desk.db cannot be read: the log has the first failure of each
// kind.
func TestFailuresAreCounted(t *testing.T) {
	h, log := serve(t), &logged{}
	h.limited = loglimit.New(slog.New(slog.NewTextHandler(log, nil)), time.Hour)
	h.accounts = accounts.Broken(errors.New("disk is lost"))
	for range 50 {
		for _, request := range [][3]string{
			{"GET", "/desk/", ""}, {"GET", "/v1/me/events", ""}, {"GET", "/desk/invite?code=x", ""}, {"POST", "/desk/invite", "code=x&password=y"},
			{"POST", "/desk/sign-in", "agent=7&password=" + password},
		} {
			resp, text := h.ask(h.browser(), request[0], request[1], request[2], "Content-Type", "application/x-www-form-urlencoded", "Cookie", "ringhook=x")
			if resp.StatusCode != http.StatusServiceUnavailable {
				t.Fatalf("%s %s: %d %s", request[0], request[1], resp.StatusCode, text)
			}
		}
	}
	if n := log.lines.Load(); n != 4 {
		t.Errorf("%d lines, want 4", n)
	}
	cur := *h.current.Load()
	cur.Config.ProxyUserHeader, cur.proxies = "X-Remote-User", []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}
	h.current.Store(&cur)
	for range 50 {
		for _, path := range []string{"/v1/me/exceptions", "/v1/me"} {
			h.ask(h.browser(), "GET", path, "", "X-Remote-User", "7")
		}
	}
	if n := log.lines.Load(); n != 6 {
		t.Errorf("%d lines with those of an agent, want 6", n)
	}
}
