package api

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"ringhook/api/yemot"
	"ringhook/pops/getevent"
)

// ringing rings at every phone.
type ringing struct{}

func (ringing) Poll(string, time.Duration) (string, bool) { return "+33612345678", true }

// TestGetEvent checks who is answered on the port, and that getevent needs no token of the API.
func TestGetEvent(t *testing.T) {
	p := servePort(t)
	p.Exchange("", yemot.Config{}, nil, nil, nil)
	const token = "0123456789abcdef"
	f := func(name, method, url, body string, header [2]string, status int, want string) {
		t.Helper()
		req, err := http.NewRequest(method, p.web+url, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		if header[0] == "Host" {
			req.Host = header[1]
		} else if header[0] != "" {
			req.Header.Set(header[0], header[1])
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		if resp.StatusCode != status || !strings.Contains(string(text), want) {
			t.Errorf("%s: got %d %s, want %d %s", name, resp.StatusCode, text, status, want)
		}
		if retry := resp.Header.Get("Retry-After"); (retry != "") != (status == http.StatusTooManyRequests) {
			t.Errorf("%s: Retry-After: %q with status %d", name, retry, status)
		}
	}
	none := [2]string{}
	f("off", "GET", "/cti?telorg=101", "", none, 404, "no such path")
	cfg := getevent.DefaultConfig()
	cfg.Path, cfg.Token = "/cti", token
	p.SetGetEvent(getevent.New(cfg, ringing{}))
	f("get", "GET", "/cti?telorg=101&ident="+token, "", none, 200, `{"tel":"0612345678","event":"ring"}`)
	f("post", "POST", "/cti", "telorg=101&ident="+token, none, 200, `"ring"`)
	f("bearer", "GET", "/cti?telorg=101", "", [2]string{"Authorization", "Bearer " + token}, 200, `"ring"`)
	f("x-token", "GET", "/cti?telorg=101", "", [2]string{"X-Token", token}, 200, `"ring"`)
	f("put", "PUT", "/cti?telorg=101&ident="+token, "", none, 405, "GET or POST")
	f("page", "GET", "/cti?telorg=101&ident="+token, "", [2]string{"Origin", "https://evil.example"}, 403, "browsers")
	f("rebinding", "GET", "/cti?telorg=101&ident="+token, "", [2]string{"Host", "evil.example"}, 403, "Host")
	f("no token", "GET", "/cti?telorg=101", "", none, 401, "token")
	for range maxFailures {
		f("wrong token", "GET", "/cti?telorg=101&ident=guess", "", none, 401, "token")
	}
	f("too many", "GET", "/cti?telorg=101&ident=guess", "", none, 429, "too many")
	f("the right one still", "GET", "/cti?telorg=101&ident="+token, "", none, 200, `"ring"`)
	f("the API stays off", "GET", "/v1/hooks", "", none, 404, "off")
}
