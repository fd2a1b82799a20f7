//go:build e2e

package lab

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// formats are calls that CRMs of every format and charset give names to. Each
// has a configuration of its own, which the running server reloads.
func formats(t *testing.T, l *lab) {
	q, usual := l.queue(t), l.server.config(t)
	defer l.server.reload(t, usual)
	for _, d := range dialects {
		l.run(t, d.title, func(t *testing.T, l *lab) {
			number := l.caller(t)
			crm := httptest.NewServer(d.crm(t, number))
			defer crm.Close()
			keys := strings.Replace(d.keys, "https://crm.example/token", crm.URL+"/token", 1)
			l.server.reload(t, strings.NewReplacer(
				"http://127.0.0.1:8080/who", crm.URL+"/who", "\n[[hook]]", keys+"\n\n[[hook]]").Replace(usual))
			d.named(t, l, q, number)
		})
	}
}

// named is a call whose caller the dialect's CRM knows.
func (d dialect) named(t *testing.T, l *lab, q queue, number string) {
	// A call that failed must not keep the phone from the next one.
	defer l.asterisk.cli(t, "channel request hangup all")
	phone := l.phone(t, q.phones[0], phone{})
	call := l.call(t, q.did, caller{Number: number, Name: "As sent"})
	told := l.crm.of(number)
	answer := told.wait(t, "agent-answer", 1)
	answer.has(t, map[string]string{"callerid_name": d.name, "call_info": d.info})
	callers := l.asterisk.channelOf(t, answer.text("linkedid"), "PJSIP/trunk")
	agents := l.asterisk.channelOf(t, answer.text("linkedid"), "PJSIP/"+q.phones[0])
	for _, have := range []struct {
		on          channel
		field, want string
	}{
		{callers, "RINGHOOK_STATUS", "FOUND"},
		{callers, "Caller ID Name", d.name},
		{callers, "call_info", d.info},
		{agents, "Connected Line ID Name", d.name},
		{agents, "call_info", d.info},
	} {
		if got := have.on.fields[have.field]; got != have.want {
			t.Errorf("%s of %s is %q, want %q", have.field, have.on.name, got, have.want)
		}
	}
	showed(t, phone, d.name)

	eventually(t, "the two are put through", func() bool {
		listed := having(l.asterisk.cli(t, "core show channels concise"), callers.name+"!")
		return listed == "" || strings.Contains(listed, "!Up!")
	})
	l.asterisk.cli(t, "channel request hangup "+callers.name)
	call.wait(t)
	told.expect(t, wholeCall)
}

// crm knows one number, and answers as the dialect has it; where that has a
// token, only those who bring it.
func (d dialect) crm(t *testing.T, number string) http.Handler {
	t.Helper()
	body, err := d.charset.NewEncoder().String(d.answer)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /who", func(w http.ResponseWriter, r *http.Request) {
		switch {
		case d.token != "" && r.Header.Get("Authorization") != "Bearer "+d.token:
			http.Error(w, "who are you?", http.StatusUnauthorized)
		case r.URL.Query().Get("phone") != "+"+number:
			http.NotFound(w, r)
		default:
			w.Header().Set("Content-Type", d.contentType)
			w.Write([]byte(body))
		}
	})
	mux.HandleFunc("POST /token", func(w http.ResponseWriter, r *http.Request) {
		id, secret, ok := r.BasicAuth()
		if !ok {
			id, secret = r.FormValue("client_id"), r.FormValue("client_secret")
		}
		if id != "ringhook" || secret != "s3cret" || r.FormValue("grant_type") != "client_credentials" {
			http.Error(w, `{"error": "invalid_client"}`, http.StatusUnauthorized)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(map[string]any{"access_token": d.token, "token_type": "Bearer", "expires_in": 3600})
	})
	return mux
}

// config is what the server's file says.
func (s *server) config(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(s.folder, "ringhook.toml"))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// reload puts another configuration in force while the server runs.
func (s *server) reload(t *testing.T, config string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(s.folder, "ringhook.toml"), []byte(config), 0o644); err != nil {
		t.Fatal(err)
	}
	from := len(s.log(0))
	if err := s.process.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the configuration is reloaded", func() bool {
		return strings.Contains(s.log(from), "configuration reloaded")
	})
}
