package framing

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"
)

func parse(t *testing.T, s string) *url.URL {
	t.Helper()
	u, err := url.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func TestAllows(t *testing.T) {
	f := func(want bool, desk string, lines ...string) {
		t.Helper()
		var header [][2]string
		for _, l := range lines {
			name, value, _ := strings.Cut(l, ": ")
			header = append(header, [2]string{name, value})
		}
		if got, why := Allows(header, parse(t, "https://crm.firm.example/card?x=1"), parse(t, desk)); got != want || got != (why == "") {
			t.Errorf("%v in %s: %v %q", lines, desk, got, why)
		}
	}
	const desk = "https://desk.firm.example:4581"
	f(true, desk)
	f(false, desk, "X-Frame-Options: DENY")
	f(false, desk, "x-frame-options: SameOrigin")
	f(true, "https://crm.firm.example", "X-Frame-Options: SAMEORIGIN")
	f(true, "https://crm.firm.example:443", "X-Frame-Options: SAMEORIGIN")
	f(true, desk, "X-Frame-Options: ALLOW-FROM https://x.example") // browsers ignore it
	f(false, desk, "Content-Security-Policy: default-src 'self'; frame-ancestors 'none'")
	f(false, desk, "Content-Security-Policy: frame-ancestors")
	f(false, desk, "Content-Security-Policy: frame-ancestors 'self'")
	f(true, desk, "Content-Security-Policy: frame-ancestors *", "X-Frame-Options: DENY")
	f(true, desk, "Content-Security-Policy: frame-ancestors https:")
	f(true, desk, "Content-Security-Policy: frame-ancestors http:")
	f(true, desk, "Content-Security-Policy: frame-ancestors https://desk.firm.example:4581")
	f(true, desk, "Content-Security-Policy: frame-ancestors https://*.firm.example:*")
	f(true, desk, "Content-Security-Policy: FRAME-ANCESTORS Desk.Firm.Example:4581/")
	f(false, desk, "Content-Security-Policy: frame-ancestors https://desk.firm.example")
	f(false, desk, "Content-Security-Policy: frame-ancestors https://*.example.firm https://other.example")
	f(false, desk, "Content-Security-Policy: frame-ancestors https://evil-desk.firm.example:4581.evil.example")
	f(true, "https://desk.firm.example", "Content-Security-Policy: frame-ancestors https://desk.firm.example")
	f(false, desk, "Content-Security-Policy: frame-ancestors *, frame-ancestors 'none'") // both policies count
	f(true, desk, "Content-Security-Policy: default-src 'none'")
	f(false, "http://desk.firm.example", "Content-Security-Policy: frame-ancestors https://desk.firm.example")
}

func TestSameSite(t *testing.T) {
	for pair, want := range map[[2]string]bool{
		{"https://crm.firm.example", "https://desk.firm.example:4581"}: true,
		{"http://crm.firm.example", "https://desk.firm.example"}:       false,
		{"https://a.co.uk", "https://b.co.uk"}:                         false,
		{"https://x.a.co.uk", "https://a.co.uk"}:                       true,
		{"http://192.168.1.2", "http://192.168.1.3"}:                   false,
		{"http://127.0.0.1:1", "http://127.0.0.1:2"}:                   true,
	} {
		if got := sameSite(parse(t, pair[0]), parse(t, pair[1])); got != want {
			t.Errorf("%v: %v", pair, got)
		}
	}
}

func TestAsk(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/deny":
			w.Header().Set("X-Frame-Options", "DENY")
		case "/login":
			http.Redirect(w, r, "/", http.StatusFound)
		case "/cookie":
			http.SetCookie(w, &http.Cookie{Name: "sid", Value: "1", SameSite: http.SameSiteLaxMode})
		}
	}))
	defer s.Close()
	ask := func(page, desk string) Result { return Ask(page, desk, time.Now().Add(time.Minute)) }
	if r := ask(s.URL+"/", "http://127.0.0.1:4581"); !r.Known || !r.Allowed || r.Foreign || r.String() != "yes" {
		t.Errorf("allowed: %+v", r)
	}
	if r := ask(s.URL+"/deny", "http://desk.example"); !r.Known || r.Allowed || !strings.Contains(r.String(), "DENY") && !strings.Contains(r.String(), "deny") || !r.Foreign {
		t.Errorf("refused: %+v", r)
	}
	if r := ask(s.URL+"/login", "http://desk.example"); r.Known || r.Status != http.StatusFound {
		t.Errorf("redirect: %+v", r)
	}
	if r := ask(s.URL+"/cookie", "http://desk.example"); !r.Cookie || !r.Foreign || !strings.Contains(r.String(), "cookies") {
		t.Errorf("cookie: %+v", r)
	}
	if r := ask(s.URL+"/", "https://desk.example"); r.Allowed {
		t.Errorf("http in https: %+v", r)
	}
	s.Close()
	if r := ask(s.URL+"/", "http://desk.example"); r.Known || r.Why == "" {
		t.Errorf("away: %+v", r)
	}
	if r := ask("ctidivalto:1", "http://desk.example"); r.Known {
		t.Errorf("no page: %+v", r)
	}
}

// FuzzAllows checks that no header stops the program, and that a page that allows no frames is never taken for one that
// does.
func FuzzAllows(f *testing.F) {
	f.Add("frame-ancestors https://a.example")
	f.Add("frame-ancestors 'none' ; x")
	f.Add("frame-ancestors *.example:*")
	page, desk := &url.URL{Scheme: "https", Host: "crm.example"}, &url.URL{Scheme: "https", Host: "desk.firm.example"}
	f.Fuzz(func(t *testing.T, policy string) {
		Allows([][2]string{{"Content-Security-Policy", policy}}, page, desk)
		if ok, _ := Allows([][2]string{{"Content-Security-Policy", "frame-ancestors 'none'," + policy}}, page, desk); ok {
			t.Errorf("%q", policy)
		}
	})
}
