package framing

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// TestChecker checks that pages are asked once in a while, without their queries, and that only one that refuses counts.
func TestChecker(t *testing.T) {
	c, now, asked := NewChecker(Head), time.Now(), []string{}
	answers := map[string]Result{"https://crm.example/deny/1": {Known: true, Why: "deny", Status: 200}, "https://crm.example/none": {Known: true, Why: "deny", Status: 404}}
	c.now = func() time.Time { return now }
	c.ask = func(page, _ string, _ time.Time) Result {
		asked = append(asked, page)
		if r, ok := answers[page]; ok {
			return r
		}
		return Result{Known: true, Allowed: true, Status: 200}
	}
	var waiting []func()
	f := func(page, want string, asks int) {
		t.Helper()
		told := ""
		got := c.Refuses(page, "https://desk.example", func(f func()) { waiting = append(waiting, f) }, func(why string) { told = why })
		n := len(asked)
		for _, f := range waiting {
			f()
		}
		waiting = nil
		if got != want || len(asked)-n != asks || asks > 0 && got == "" && page == "https://u@crm.example/deny/1?phone=1#x" && told != "deny" {
			t.Errorf("%s: %q, asked %v, reported %q", page, got, asked[n:], told)
		}
	}
	f("https://u@crm.example/deny/1?phone=1#x", "", 1)
	if asked[0] != "https://crm.example/deny/1" {
		t.Errorf("asked %s", asked[0])
	}
	f("https://crm.example/deny/2", "deny", 0)
	f("https://crm.example/card/2", "", 1)
	f("https://crm.example/card/3", "", 0)
	f("https://crm.example/none", "", 1) // what is not there may have other headers
	f("https://crm.example/none", "", 0)
	f("ctidivalto:1", "", 0)
	now = now.Add(valid)
	answers = nil
	f("https://crm.example/deny/2", "deny", 1) // it was allowed meanwhile
	f("https://crm.example/deny/2", "", 0)
	for n := range 3 * maxKnown {
		f(fmt.Sprintf("https://crm.example/%d", n), "", 1)
	}
	if len(c.known) > maxKnown {
		t.Errorf("%d answers are kept", len(c.known))
	}
	// Not more than a few questions at once.
	c = NewChecker(Head)
	started := 0
	for n := range 10 {
		c.Refuses(fmt.Sprintf("https://crm.example/%d", n), "https://desk.example", func(func()) { started++ }, nil)
	}
	if started != maxAsking {
		t.Errorf("%d questions at once", started)
	}
}

// TestCheckerAsks asks a page that refuses frames, as the desk does.
func TestCheckerAsks(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Frame-Options", "DENY")
		_, _ = w.Write(make([]byte, 5000))
		if r.Method != http.MethodHead || r.URL.RawQuery != "" {
			t.Errorf("%s %s", r.Method, r.URL)
		}
	}))
	defer s.Close()
	c, told := NewChecker(Head), ""
	if why := c.Refuses(s.URL+"/card?phone=1", "https://desk.example", func(f func()) { f() }, func(why string) { told = why }); why != "" {
		t.Errorf("known: %q", why)
	}
	if told == "" {
		t.Errorf("not reported; known: %v", c.known)
	}
}
