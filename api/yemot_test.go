package api

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"ringhook/api/yemot"
)

// TestYemot sends requests of the dialect to a server without an Asterisk, one after the other.
func TestYemot(t *testing.T) {
	const token = "0123456789abcdef"
	p := servePort(t)
	p.Exchange("", yemot.Config{Path: "/ym/api/", Token: token}, nil, nil, nil)
	send := func(method, target, kind, body string, header ...string) (int, string) {
		t.Helper()
		req, err := http.NewRequest(method, p.web+target, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		if kind != "" {
			req.Header.Set("Content-Type", kind)
		}
		for i := 0; i < len(header); i += 2 {
			req.Header.Set(header[i], header[i+1])
			if header[i] == "Host" {
				req.Host = header[i+1]
			}
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
		return resp.StatusCode, strings.TrimSpace(string(text))
	}
	const form, object = "application/x-www-form-urlencoded", "application/json"
	const stored, wrong, away = `{"responseStatus":"OK","status":true}`, `{"responseStatus":"ERROR","message":"token is wrong"}`, `{"responseStatus":"ERROR","message":"not connected to Asterisk"}`
	for _, c := range []struct {
		name, method, target, kind, body string
		header                           []string
		want                             string
	}{
		{"GET", "GET", "/ym/api/SetSecondaryDidUsageDescription?token=" + token + "&secondaryDidId=0771&newUsage=sip:101", "", "", nil, stored},
		{"form", "POST", "/ym/api/SetSecondaryDidUsageDescription", form, "token=" + token + "&secondaryDidId=0772&newUsage=goto%3A%2F1", nil, stored},
		{"JSON", "POST", "/ym/api/SetSecondaryDidUsageDescription", object, `{"token":"` + token + `","secondaryDidId":773,"newUsage":"sip:103"}`, nil, stored},
		{"header", "POST", "/ym/api/GetQueueRealTime", object, `{"queuePath":"500"}`, []string{"Authorization", token}, away},
		{"bearer", "GET", "/ym/api/GetQueueRealTime?queuePath=500", "", "", []string{"Authorization", "Bearer " + token}, away},
		{"small bearer", "GET", "/ym/api/GetQueueRealTime?queuePath=500", "", "", []string{"Authorization", "bearer " + token}, away},
		{"no token", "GET", "/ym/api/GetQueueRealTime", "", "", nil, `{"responseStatus":"ERROR","message":"token is missing"}`},
		{"page", "GET", "/ym/api/GetQueueRealTime?token=" + token, "", "", []string{"Origin", "https://evil.example"}, `{"responseStatus":"ERROR","message":"browsers are not served here"}`},
		{"another host", "GET", "/ym/api/GetQueueRealTime?token=" + token, "", "", []string{"Host", "evil.example"}, `{"responseStatus":"ERROR","message":"the Host is not this machine"}`},
		{"method", "PUT", "/ym/api/GetQueueRealTime", object, "{}", nil, `{"responseStatus":"ERROR","message":"use GET or POST"}`},
		{"long body", "POST", "/ym/api/GetQueueRealTime", form, "a=" + strings.Repeat("x", maxCommand), nil, `{"responseStatus":"ERROR","message":"the body is too large"}`},
	} {
		if status, got := send(c.method, c.target, c.kind, c.body, c.header...); status != http.StatusOK || got != c.want {
			t.Errorf("%s: got %d %s, want %s", c.name, status, got, c.want)
		}
	}
	for did, want := range map[string]string{"0771": "sip:101", "0772": "goto:/1", "773": "sip:103"} {
		if kind, target, _, err := p.store.Desk().DIDTarget(did); err != nil || kind+":"+target != want {
			t.Errorf("use of %s: %s:%s, %v; want %s", did, kind, target, err, want)
		}
	}
	for range maxFailures {
		if _, got := send("GET", "/ym/api/GetQueueRealTime?token="+token+"x", "", ""); got != wrong {
			t.Errorf("wrong token: %s", got)
		}
	}
	if _, got := send("GET", "/ym/api/GetQueueRealTime?token="+token+"x", "", ""); got != `{"responseStatus":"ERROR","message":"too many wrong tokens from this address"}` {
		t.Errorf("many wrong tokens: %s", got)
	}
	if _, got := send("GET", "/ym/api/GetQueueRealTime?queuePath=500&token="+token, "", ""); got != away {
		t.Errorf("right token after wrong ones: %s", got)
	}
	p.Exchange("", yemot.Config{Path: "/ym/api/"}, nil, nil, nil)()
	if status, _ := send("GET", "/ym/api/GetQueueRealTime?token=", "", ""); status != http.StatusNotFound {
		t.Errorf("without a configured token: %d, want 404", status)
	}
}
