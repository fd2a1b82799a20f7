package test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	"ringhook/test/port"
	"ringhook/test/wait"
)

// TestNodesShare checks that an agent who signs in at one node is signed in at the other with the same settings, until that signs
// the agent out; that what one node has looked up is not looked up by the other until it is forgotten there; and that each shows
// the trace of calls of both.
func TestNodesShare(t *testing.T) {
	t.Parallel()
	var asked atomic.Int64
	crm := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(map[string]string{"name": fmt.Sprint("Ada ", asked.Add(1))})
	}))
	defer crm.Close()
	nodes := servers(t, 2, fmt.Sprintf("[[agent]]\nid = \"7\"\nphone = \"101\"\nname = \"Anna\"\n"+
		"[[lookup]]\nname = \"crm\"\npoints = [\"lookup\"]\nurl = \"%s/%%callerid%%\"\nformat = \"json\"\nmap = { \"CALLERID(name)\" = \".name\" }\n[number]\ncountry = \"GB\"\n", crm.URL))
	for _, s := range nodes { // one browser has the cookie of both: they have one host
		s.process.stop()
		s.desk = "http://" + port.Free(t)
		text, err := os.ReadFile(s.file)
		if err == nil {
			err = os.WriteFile(s.file, fmt.Appendf(text, "[desk]\nlisten = %q\nurl = %q\n", strings.TrimPrefix(s.desk, "http://"), s.desk), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
		setToken(t, s.file)
		s.process = spawn(t, s.file, s.web)
	}
	a, b := nodes[0], nodes[1]

	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	browser := &http.Client{Jar: jar}
	defer browser.CloseIdleConnections()
	code, out := invoke(t, "desk", "invite", "7", "-c", a.file)
	_, invitation, found := strings.Cut(strings.Fields(out)[0], "code=")
	if code != exitOK || !found {
		t.Fatalf("invite: %d\n%s", code, out)
	}
	const password = "correct horse battery"
	resp, err := browser.PostForm(b.desk+"/desk/invite", url.Values{"code": {invitation}, "password": {password}, "repeat": {password}})
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	ask := func(s *server, method, path, body string) (int, string) {
		t.Helper()
		req, err := http.NewRequestWithContext(wait.Context(t), method, s.desk+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		resp, err := browser.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(text)
	}
	if status, text := ask(b, "PATCH", "/v1/me/settings", `{"sound":"40"}`); status != http.StatusOK {
		t.Errorf("settings: %d %s", status, text)
	}
	if status, text := ask(a, "GET", "/v1/me/settings", ""); status != http.StatusOK || !strings.Contains(text, `"sound":"40"`) {
		t.Errorf("settings at the other node: %d %s", status, text)
	}
	if status, text := ask(a, "DELETE", "/v1/me/sessions", ""); status != http.StatusNoContent {
		t.Errorf("sign out: %d %s", status, text)
	}
	if status, text := ask(b, "GET", "/v1/me/settings", ""); status != http.StatusUnauthorized {
		t.Errorf("after the sign-out at the other node: %d %s", status, text)
	}

	lookup := func(s *server) string {
		t.Helper()
		_, out := invoke(t, "call", "lookup", "--from", "+442079460142", "--server", s.agi)
		return out
	}
	wait.Until(t, func() bool { return strings.Contains(lookup(a), "Ada") }, "no lookup is answered:\n%s", a.log)
	first := asked.Load()
	if first > 1 {
		t.Logf("asked %d times: this machine is slow", first)
	}
	wait.Until(t, func() bool { return strings.Contains(lookup(b), fmt.Sprint("Ada ", first)) || asked.Load() > first }, "no answer at the other node:\n%s", b.log)
	if code, out := invoke(t, "forget", "+442079460142", "-c", a.file); code != exitOK {
		t.Errorf("forget: %d\n%s", code, out)
	}
	last := asked.Load()
	wait.Until(t, func() bool { return strings.Contains(lookup(b), fmt.Sprint("Ada ", last+1)) }, "what was forgotten is answered at the other node:\n%s", b.log)
	wait.Until(t, func() bool {
		_, out := invoke(t, "trace", "--since", "1h", "-c", a.file)
		return strings.Contains(out, "+442079460142")
	}, "the trace of the other node's call is not shown")
	for _, s := range nodes {
		s.stop()
	}
}
