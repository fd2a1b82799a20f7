package lookup

import (
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestThen checks the second request: about one customer only, with variables of the first answer, and of no harm if it
// fails.
func TestThen(t *testing.T) {
	first, second, status := `[{"name": "Anna", "firm": "a/7"}]`, `{"name": "other", "company": "ACME"}`, 200
	var asked []string
	cfg := crm(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		asked = append(asked, r.Method+" "+r.RequestURI+" "+r.Header.Get("X-Key"))
		if strings.HasPrefix(r.URL.Path, "/firms") {
			w.WriteHeader(status)
			io.WriteString(w, second)
			return
		}
		io.WriteString(w, first)
	})
	cfg.URL, _, _ = strings.Cut(cfg.URL, "/who")
	cfg.Path, cfg.Format, cfg.Records, cfg.Cache, cfg.CacheMissing, cfg.Timeout = "who?phone=%callerid%", "json", ".[]", 0, 0, maxTimeout
	cfg.Headers, cfg.Points = map[string]string{"X-Key": "k"}, []string{"p"}
	cfg.Map = map[string]string{"CALLERID(name)": ".name", "firm": ".firm"}
	cfg.Then = Then{Path: "/firms/%firm%?p=%callerid:plus-less%", Map: map[string]string{"CALLERID(name)": ".name", "company": ".company"}}
	cfg.Check(func(key, problem string) { t.Errorf("%s: %s", key, problem) })
	svc := start(t, cfg)
	f := func(company string, requests int) {
		t.Helper()
		asked = nil
		got := await(svc.Ask(ask(anna)))
		if got.value("company") != company || len(asked) != requests {
			t.Errorf("company %q after %q, want %q", got.value("company"), asked, company)
		}
		if requests == 2 && (got.value("CALLERID(name)") != "Anna" || asked[1] != "GET /firms/a%2F7?p=74951234567 k") {
			t.Errorf("%q: %+v", asked, got)
		}
	}
	f("ACME", 2)
	status = 500
	f("", 2)
	status, second = 200, "no JSON"
	f("", 2)
	first, second = `[{"name": "Anna", "firm": "a"}, {"name": "Boris", "firm": "b"}]`, `{"company": "ACME"}`
	f("", 1)
	first = `[]`
	f("", 1)
}

// TestThenByNumber checks that an answer belongs to its caller also if only the second request contains the number, and that
// such a number is not asked about if it is withheld or too short for the spelling.
func TestThenByNumber(t *testing.T) {
	requests := 0
	cfg := crm(t, func(w http.ResponseWriter, r *http.Request) {
		requests++
		w.Header().Set("Content-Type", "application/json")
		if r.URL.Path == "/tenant" {
			io.WriteString(w, `{"CALLERID": "ACME"}`)
			return
		}
		io.WriteString(w, `{"customer": "customer `+r.FormValue("p")+`"}`)
	})
	cfg.URL, _, _ = strings.Cut(cfg.URL, "/who")
	cfg.Path, cfg.Format, cfg.Points, cfg.MinLength = "tenant", "json", []string{"p"}, 3
	cfg.Map = map[string]string{"CALLERID(name)": ".CALLERID"}
	cfg.Then = Then{Path: "customer?p=%callerid:last:7%", Map: map[string]string{"customer": ".customer"}}
	if !cfg.ByNumber() {
		t.Error("the lookup does not depend on the number, want by the number")
	}
	svc := start(t, cfg)
	for _, caller := range []string{anna, boris} {
		want := "customer " + caller[len(caller)-7:]
		if got := await(svc.Ask(ask(caller))); got.value("customer") != want || got.Cached {
			t.Fatalf("%s gets %+v, want %q", caller, got, want)
		}
		if e := <-svc.cache.stored; e.Number != caller {
			t.Errorf("the entry of %s has the number %q", caller, e.Number)
		}
	}
	requests = 0
	if got := await(svc.Ask(ask("anonymous"))); got.Outcome != Missing || requests != 0 {
		t.Errorf("withheld number: %+v after %d requests, want none", got, requests)
	}
	if got := await(svc.Ask(ask("1234"))); got.Outcome != Found || got.value("customer") != "" || requests != 1 {
		t.Errorf("short number: %+v after %d requests, want the first answer alone", got, requests)
	}
}

// slowFirm returns a lookup whose second request waits for release. It sends to asked when the second request has arrived.
func slowFirm(t *testing.T, asked chan<- string, release <-chan bool) Config {
	cfg := crm(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if r.URL.Path != "/firm" {
			io.WriteString(w, `{"name": "Anna"}`)
			return
		}
		asked <- r.URL.Path
		select {
		case <-release:
			io.WriteString(w, `{"company": "ACME"}`)
		case <-r.Context().Done():
		}
	})
	cfg.URL, _, _ = strings.Cut(cfg.URL, "/who")
	cfg.Path, cfg.Format, cfg.Map = "who?phone=%callerid%", "json", map[string]string{"CALLERID(name)": ".name"}
	cfg.Then = Then{Path: "firm", Map: map[string]string{"company": ".company"}}
	return cfg
}

// TestThenIsSlow checks that calls whose time ends during the second request get the first answer, and the next ones all of
// it.
func TestThenIsSlow(t *testing.T) {
	asked, release := make(chan string, 1), make(chan bool)
	cfg := slowFirm(t, asked, release)
	cfg.Timeout = maxTimeout
	b := start(t, cfg)
	calls := []*Pending{b.Ask(ask(anna))}
	<-asked
	calls = append(calls, b.Ask(ask(anna)))
	for _, p := range calls {
		if got := p.Answer(); got.Outcome != Found || got.value("CALLERID(name)") != "Anna" || got.value("company") != "" {
			t.Errorf("during the second request: %+v, want the first answer", got)
		}
		if why := p.Sources()[0].Why; why != "second request: not answered in time" {
			t.Errorf("during the second request the trace has %q", why)
		}
	}
	close(release)
	if e := <-b.cache.stored; e.partial() {
		t.Error("the whole answer is kept as one without the second")
	}
	if got := await(b.Ask(ask(anna))); !got.Cached || got.value("company") != "ACME" {
		t.Errorf("after the second request: %+v, want all", got)
	}
}

// TestThenHangs checks that a second request without an answer costs its variables only.
func TestThenHangs(t *testing.T) {
	cfg := slowFirm(t, make(chan string, 1), nil)
	cfg.Timeout = time.Second
	b := start(t, cfg)
	if got := await(b.Ask(ask(anna))); got.Outcome != Found || got.value("CALLERID(name)") != "Anna" {
		t.Errorf("got %+v, want the first answer", got)
	}
	if e := <-b.cache.stored; !e.partial() || e.Expires.Sub(e.Stored) != cfg.Stale {
		t.Errorf("the first answer alone is kept for %v, as one without the second: %t", e.Expires.Sub(e.Stored), e.partial())
	}
}

// TestThenIsTooLate checks that there is no second request if too little of the timeout is left, and that the first answer
// counts as one without it.
func TestThenIsTooLate(t *testing.T) {
	asked := make(chan string, 1)
	cfg := slowFirm(t, asked, nil)
	cfg.Timeout = time.Millisecond // no call waits: the request ends in the background
	b := start(t, cfg)
	b.Ask(ask(anna))
	if e := <-b.cache.stored; !e.partial() || len(asked) > 0 {
		t.Errorf("without the second: %t, %d second requests", e.partial(), len(asked))
	}
}

// TestThenFails checks that the answer without that of the second request is fresh for a minute, and stale after it as long
// as any other.
func TestThenFails(t *testing.T) {
	first, second, requests := 200, 200, 0
	cfg := crm(t, func(w http.ResponseWriter, r *http.Request) {
		requests++
		if r.URL.Path == "/firm" {
			w.WriteHeader(second)
			io.WriteString(w, "company=ACME")
			return
		}
		w.WriteHeader(first)
		io.WriteString(w, "name=Anna")
	})
	cfg.URL, _, _ = strings.Cut(cfg.URL, "/who")
	cfg.Path, cfg.Then = "who?phone=%callerid%", Then{Path: "firm"}
	b := start(t, cfg)
	f := func(outcome Outcome, cached bool, company string, asks int) {
		t.Helper()
		requests = 0
		got := await(b.Ask(ask(anna)))
		if got.Outcome != outcome || got.Cached != cached || got.value("name") != "Anna" || got.value("company") != company || requests != asks {
			t.Errorf("got %+v after %d requests, want %s with company %q after %d", got, requests, outcome, company, asks)
		}
	}
	f(Found, false, "ACME", 2)
	b.pass(cfg.Cache)
	second = 500
	f(Found, false, "", 2)
	b.pass(maxPartial - time.Second)
	f(Found, true, "", 0)
	b.pass(time.Second)
	f(Found, false, "", 2)
	b.pass(maxPartial)
	first = 500
	f(Stale, true, "", 1)
	b.pass(cfg.Stale - maxPartial - time.Second)
	f(Stale, true, "", 1)
	first, second = 200, 200
	f(Found, false, "ACME", 2)
	b.pass(cfg.Cache - time.Second)
	f(Found, true, "ACME", 0)
}

// TestThenHasTheLimits checks that the limits of an answer cover the variables of the second request.
func TestThenHasTheLimits(t *testing.T) {
	long := strings.Repeat("x", maxValue)
	many := func(prefix string, n int) (text string) {
		for i := range n {
			text += fmt.Sprintf("&%s%d=%s", prefix, i, long)
		}
		return text
	}
	for name, tc := range map[string]struct {
		first, second string
		want          map[string]string
		note          string
	}{
		"pairs": {"name=Anna&firm=7", "company=ACME&key=k3y-of-the-crm", map[string]string{"name": "Anna", "company": "ACME", "key": "***"},
			"key repeats a secret of the request, which is replaced"},
		"uses of numbers": {"firm=7", "did_type=queue&did_target=500&company=ACME", map[string]string{"did_type": "", "did_target": "", "company": "ACME"},
			"did_type is left out: only lookups of the type did answer it"},
		"too long in total": {"firm=7" + many("a", 8), "company=ACME" + many("b", 8), map[string]string{"a7": long, "b0": "", "company": ""},
			"second request: limit: variables of the answer are longer than 32768 bytes in total"},
		"absent": {"firm=7", "", map[string]string{"firm": "7"}, "second request: status 404"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := crm(t, func(w http.ResponseWriter, r *http.Request) {
				switch r.RequestURI {
				case "/firms/7":
					if tc.second == "" {
						w.WriteHeader(404)
					}
					io.WriteString(w, tc.second)
				default:
					io.WriteString(w, tc.first)
				}
			})
			cfg.URL, _, _ = strings.Cut(cfg.URL, "/who")
			cfg.Path, cfg.Headers = "who?phone=%callerid%", map[string]string{"Authorization": "Bearer k3y-of-the-crm"}
			cfg.Then = Then{Path: "firms/%firm%"}
			b := start(t, cfg)
			p := b.Ask(ask(anna))
			got := await(p)
			for name, want := range tc.want {
				if got.value(name) != want {
					t.Errorf("%s = %.60q, want %.60q", name, got.value(name), want)
				}
			}
			if !strings.Contains(b.log.text(), tc.note) {
				t.Errorf("the log has no %q: %s", tc.note, b.log.text())
			}
			if why := p.Sources()[0].Why; why != "" != strings.HasPrefix(tc.note, "second") || !strings.Contains(tc.note, why) {
				t.Errorf("the trace has %q", why)
			}
			if e := <-b.cache.stored; e.partial() || e.Expires.Sub(e.Stored) != cfg.Stale {
				t.Errorf("the answer is kept for %v, as one without the second: %t", e.Expires.Sub(e.Stored), e.partial())
			}
		})
	}
}

// TestThenCheck checks the mistakes of a second request.
func TestThenCheck(t *testing.T) {
	for want, then := range map[string]Then{
		"then.path: is missing":                   {Map: map[string]string{"x": ".x"}},
		"then.path: %queue_id% is neither":        {Path: "x/%queue_id%", Map: map[string]string{"x": ".x"}},
		"then.map.x: is no expression":            {Path: "x", Map: map[string]string{"x": ".["}},
		"then.map: is missing":                    {Path: "x"},
		"then.map: is for the formats json":       {Path: "pairs", Map: map[string]string{"x": ".x"}},
		"then.url: URL does not begin with http:": {URL: "x", Map: map[string]string{"x": ".x"}},
	} {
		c := DefaultConfig()
		c.Name, c.Points, c.URL, c.Format, c.Map, c.Then = "crm", []string{"queue-dial"}, "https://crm.example", "json", map[string]string{"a": ".a"}, then
		if then.Path == "pairs" {
			c.Format, c.Map = "pairs", nil
		}
		var got []string
		c.Check(func(key, problem string) { got = append(got, key+": "+problem) })
		if len(got) != 1 || !strings.HasPrefix(got[0], want) {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// TestSecretsOfEveryAddress checks that no answer brings a secret of the path, of the second request's address or of the
// settings in them to a call.
func TestSecretsOfEveryAddress(t *testing.T) {
	for name, tc := range map[string]struct {
		path     string
		then     Then
		settings map[string]string
	}{
		"path":      {path: "who?api_key=query-value-1"},
		"then.path": {path: "who", then: Then{Path: "firm?api_key=query-value-1"}},
		"setting":   {path: "who?id=%token%", then: Then{Path: "firm?id=%token%"}, settings: map[string]string{"token": "query-value-1"}},
		"then.url":  {path: "who", then: Then{URL: "http://anna:query-value-1@HOST/firm?api_key=query-value-1"}},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := crm(t, func(w http.ResponseWriter, r *http.Request) {
				fmt.Fprintf(w, "%s=%s %s", strings.Trim(r.URL.Path, "/"), url.QueryEscape(r.RequestURI), url.QueryEscape(r.Header.Get("Authorization")))
			})
			cfg.URL, _, _ = strings.Cut(cfg.URL, "/who")
			cfg.Path, cfg.Then, cfg.Settings = tc.path, tc.then, tc.settings
			cfg.Then.URL = strings.Replace(cfg.Then.URL, "HOST", strings.TrimPrefix(cfg.URL, "http://"), 1)
			got := await(start(t, cfg).Ask(ask(anna)))
			if got.Outcome != Found || !cfg.Then.isZero() && got.value("firm") == "" {
				t.Fatalf("got %+v", got)
			}
			for _, v := range got.Vars {
				for _, secret := range []string{"query-value-1", base64.StdEncoding.EncodeToString([]byte("anna:query-value-1"))} {
					if strings.Contains(v.Value, secret) {
						t.Errorf("%s = %s", v.Name, v.Value)
					}
				}
			}
		})
	}
}

// TestThenOnAnotherServer checks that the second request carries the lookup's credentials to the lookup's own server only,
// and that user info in then.url is used.
func TestThenOnAnotherServer(t *testing.T) {
	const table, user = "Basic Y3JtOnNlY3JldC0x", "Basic YW5uYTpvdGhlcg==" // crm:secret-1 and anna:other
	second := make(chan http.Header, 1)
	firm := func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/firm" {
			second <- r.Header
		}
		io.WriteString(w, "name=Anna")
	}
	own, other := crm(t, firm), crm(t, firm)
	here, _, _ := strings.Cut(own.URL, "/who")
	there, _, _ := strings.Cut(other.URL, "/who")
	headers := []string{"Authorization", "X-Api-Key", "X-Plain", "X-Call-Token", "X-Auth-Token", "X-Shop", "X-Setting"}
	for then, want := range map[string][]string{
		here + "/firm":  {table, "key-value-1", "plain", "1.1", "token-1", "shop-1", "token-1"},
		there + "/firm": {"", "", "plain", "1.1", "", "", ""},
		strings.Replace(there, "://", "://anna:other@", 1) + "/firm": {user, "", "plain", "1.1", "", "", ""},
		strings.Replace(here, "://", "://anna:other@", 1) + "/firm":  {user, "", "plain", "1.1", "", "", ""},
	} {
		cfg := own
		cfg.URL, cfg.Path, cfg.Username, cfg.Password = here, "who?phone=%callerid%", "crm", "secret-1"
		cfg.Settings, cfg.Environment = map[string]string{"token": "token-1", "shop": "shop-1"}, []string{"shop-1"}
		cfg.Headers = map[string]string{
			"X-Api-Key": "key-value-1", "X-Plain": "plain", "X-Call-Token": "%linkedid%",
			"X-Auth-Token": "%token%", "X-Shop": "%shop%", "X-Setting": "%token%",
		}
		cfg.Then = Then{URL: then}
		q := ask(anna)
		q.Param = func(name string) string { return map[string]string{"linkedid": "1.1"}[name] }
		if got := await(start(t, cfg).Ask(q)); got.Outcome != Found {
			t.Fatalf("%s: %+v", then, got)
		}
		h := <-second
		var got []string
		for _, name := range headers {
			got = append(got, h.Get(name))
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: got %q, want %q", then, got, want)
		}
	}
}
