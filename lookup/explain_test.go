package lookup

import (
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"ringhook/httpclient"
	"ringhook/lookup/answer"
)

// TestExplain checks the reports of all sources.
func TestExplain(t *testing.T) {
	good := crm(t, answers("name=Anna"))
	good.URL += "&api_key=s3cret"
	good.Headers = map[string]string{"Authorization": "Bearer s3cret"}
	broken := crm(t, page("text/html", "<h1>\x1b[31mlog in</h1>"))
	broken.Name, broken.Points = "broken", []string{"other"}
	release := make(chan struct{})
	defer close(release)
	silent := crm(t, func(http.ResponseWriter, *http.Request) { <-release })
	silent.Name, silent.Timeout = "silent", 20*time.Millisecond
	b := start(t, good, broken, silent)

	get := func(reports []Report, name string) Report {
		t.Helper()
		i := slices.IndexFunc(reports, func(r Report) bool { return r.Lookup == name })
		if i < 0 {
			t.Fatalf("no report of %s in %+v", name, reports)
		}
		return reports[i]
	}
	given, all := b.Explain(t.Context(), Question{Number: anna})
	if len(all) != 3 {
		t.Fatalf("%d reports, want 3", len(all))
	}
	if given.Outcome != Found || given.Source != "crm" || given.value("name") != "Anna" {
		t.Errorf("answer = %+v", given)
	}
	r := get(all, "crm")
	if r.Outcome != Found || r.Cache != "none" || r.Status != 200 || r.Raw != "name=Anna" || r.Took <= 0 ||
		!slices.Equal(r.Vars, []Var{{Name: "name", Value: "Anna"}, {Name: "match", Value: "exact"}, {Name: "match_count", Value: "1"}}) || !strings.Contains(r.Request, "phone=%2B74951234567") {
		t.Errorf("report = %+v", r)
	}
	if r = get(all, "broken"); r.Outcome != Failed || r.Reason != answer.ReasonHTML || r.Detail == "" || strings.ContainsRune(r.Raw, 0x1b) || !strings.Contains(r.Raw, "log in") {
		t.Errorf("report = %+v", r)
	}
	if r = get(all, "silent"); r.Outcome != Timeout || r.Reason != "timeout" || r.Status != 0 {
		t.Errorf("report = %+v", r)
	}
	if text, err := json.Marshal(all); err != nil || strings.Contains(string(text), "s3cret") {
		t.Errorf("reports as JSON: %s, %v", text, err)
	}
	if len(b.cache.entries) != 0 {
		t.Error("Explain filled the cache")
	}

	if _, some := b.Explain(t.Context(), Question{Point: "other", Number: anna}); len(some) != 1 || some[0].Lookup != "broken" {
		t.Errorf("reports of one point = %+v", some)
	}
	_, all = b.Explain(t.Context(), Question{Number: "101"})
	if r = get(all, "crm"); r.Outcome != Missing || r.Request != "" || r.Reason != "number" {
		t.Errorf("report of an extension = %+v", r)
	}
}

// TestExplainCacheState checks the state of the cache entry in a report.
func TestExplainCacheState(t *testing.T) {
	var body string
	cfg := crm(t, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, body) })
	b := start(t, cfg)
	state := func(number string) string {
		_, reports := b.Explain(t.Context(), ask(number))
		return reports[0].Cache
	}
	await(b.Ask(ask(boris)))
	body = "name=Anna"
	await(b.Ask(ask(anna)))
	if a, o := state(anna), state(boris); a != "fresh" || o != "missing" {
		t.Errorf("states = %s and %s, want fresh and missing", a, o)
	}
	b.pass(time.Hour)
	if a, o := state(anna), state(boris); a != "stale" || o != "none" {
		t.Errorf("states an hour later = %s and %s, want stale and none", a, o)
	}
}

// TestExplainSaysWhatACallGets checks that Explain returns the answer that a call gets, if the source
// answers differently or fails, and that it lists empty parameters.
func TestExplainSaysWhatACallGets(t *testing.T) {
	body, status := "name=Anna", http.StatusOK
	cfg := crm(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		io.WriteString(w, body)
	})
	cfg.URL += "&queue=%queue_id%&did=%directid%"
	b := start(t, cfg)
	explain := func() (Answer, Report) {
		q := ask(anna)
		q.Param = func(name string) string { return map[string]string{"queue_id": "500"}[name] }
		a, reports := b.Explain(t.Context(), q)
		return a, reports[0]
	}
	q := ask(anna)
	q.Param = func(name string) string { return map[string]string{"queue_id": "500"}[name] }
	await(b.Ask(q))
	body = "name=Berta"
	a, r := explain()
	if a.Outcome != Found || !a.Cached || a.value("name") != "Anna" {
		t.Errorf("with a fresh cache: answer = %+v, want the cached Anna", a)
	}
	if r.Outcome != Found || len(r.Vars) == 0 || r.Vars[0].Value != "Berta" || len(r.Cached) == 0 || r.Cached[0].Value != "Anna" {
		t.Errorf("with a fresh cache: report = %+v, want Berta from the source and Anna from the cache", r)
	}
	if !slices.Equal(r.Empty, []string{"directid"}) {
		t.Errorf("empty parameters = %v, want directid", r.Empty)
	}
	b.pass(time.Hour)
	if a, _ = explain(); a.Outcome != Found || a.Cached || a.value("name") != "Berta" {
		t.Errorf("with a stale cache: answer = %+v, want Berta from the source", a)
	}
	status = http.StatusBadGateway
	if a, r = explain(); a.Outcome != Stale || a.value("name") != "Anna" || r.Outcome != Failed {
		t.Errorf("with a stale cache and a failing source: answer = %+v, source %s, want the stale Anna and ERROR", a, r.Outcome)
	}
}

// TestExplainShowsTheResponse checks that a report has the target of a redirect, the headers of the
// response without secrets, the text in UTF-8, and the length of the omitted part.
func TestExplainShowsTheResponse(t *testing.T) {
	cfg := crm(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=windows-1251")
		w.Header().Set("X-Tenant", "a")
		w.Header().Set("Set-Cookie", "session=0123456789abcdef")
		if r.FormValue("phone") == boris {
			w.Header().Set("Location", "https://other.example/who?token=0123456789abcdef")
			w.WriteHeader(302)
		}
		io.WriteString(w, "name=\xc0\xed\xed\xe0")
	})
	cfg.Format = "pairs-raw"
	b := start(t, cfg)
	_, reports := b.Explain(t.Context(), ask(anna))
	r := reports[0]
	if r.Raw != "name=Анна" || len(r.Notes) != 1 || !strings.Contains(r.Notes[0], "CALLERID(name)") || r.Location != "" {
		t.Errorf("report = %+v", r)
	}
	if !slices.Contains(r.Header, [2]string{"X-Tenant", "a"}) || !slices.Contains(r.Header, [2]string{"Set-Cookie", "***"}) {
		t.Errorf("headers = %q", r.Header)
	}
	_, reports = b.Explain(t.Context(), ask(boris))
	if r = reports[0]; r.Status != 302 || r.Location != "https://other.example/who?token=***" {
		t.Errorf("redirect = %+v", r)
	}
}

// TestFaultHidesSecrets checks that no secret is logged or traced if an answer repeats the request.
func TestFaultHidesSecrets(t *testing.T) {
	c := crm(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset="+r.Header.Get("X-Api-Key"))
		io.WriteString(w, "name=Zo\xeb")
	})
	c.Headers = map[string]string{"X-Api-Key": "hush-hush-1"}
	b := start(t, c)
	p := b.Ask(ask(anna))
	a := await(p)
	text, err := json.Marshal(p.Sources())
	if err != nil || a.Outcome != Failed {
		t.Fatalf("%+v, %v", a, err)
	}
	if !strings.Contains(string(text), "***") || strings.Contains(string(text)+b.log.text(), "hush") {
		t.Errorf("results %s\nlog %s", text, b.log.text())
	}
}

// TestExplainHidesWhatTheCacheHolds wants no secret in a report or in the answer for
// people, if a source repeats it in a value, which the cache then has, or in a redirect.
func TestExplainHidesWhatTheCacheHolds(t *testing.T) {
	redirect := false
	cfg := crm(t, func(w http.ResponseWriter, r *http.Request) {
		if redirect {
			w.Header().Set("Location", "https://crm.example/login?session_id=f00ba7")
			w.WriteHeader(http.StatusFound)
			return
		}
		io.WriteString(w, "name=Anna&note="+r.Header.Get("X-Api-Key"))
	})
	cfg.Headers = map[string]string{"X-Api-Key": "hush-hush-1"}
	b := start(t, cfg)
	hidden := func(state string) {
		t.Helper()
		a, reports := b.Explain(t.Context(), ask(anna))
		text, err := json.Marshal([]any{a, reports})
		if err != nil || reports[0].Cache != state || strings.Contains(string(text), "hush-hush-1") || strings.Contains(string(text), "f00ba7") {
			t.Errorf("with the cache %s: %s, %v", state, text, err)
		}
		if a.value("note") != httpclient.Masked {
			t.Errorf("with the cache %s: note = %q, want it hidden", state, a.value("note"))
		}
	}
	hidden("none")
	if a := await(b.Ask(ask(anna))); a.value("note") != httpclient.Masked {
		t.Errorf("a call gets note = %q, want it hidden", a.value("note"))
	}
	hidden("fresh")
	redirect = true
	b.pass(time.Hour)
	hidden("stale")
	if a := await(b.Ask(ask(anna))); a.value("note") != httpclient.Masked {
		t.Errorf("a call gets note = %q, want it hidden", a.value("note"))
	}
}

// TestEchoedSecrets checks that no secret of the request reaches the channel, the cache or the log in
// a variable, and that links and short values that only look like it stay.
func TestEchoedSecrets(t *testing.T) {
	body := ""
	cfg := crm(t, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, body) })
	host := strings.TrimPrefix(strings.SplitN(cfg.URL, "?", 2)[0], "http://")
	cfg.URL = strings.Replace(cfg.URL, "http://", "http://anna:pass%26word-1@", 1) + "&api_key=query-key-1&tenant=tenant-number-five"
	cfg.Headers = map[string]string{"X-Token": "header-token-1", "X-Pin-Token": "4711"}
	cfg.Environment = []string{host, "tenant-number-five", "4711"}
	b := start(t, cfg)
	for value, want := range map[string]string{
		"https://" + host + "/4711?tenant=tenant-number-five": "https://" + host + "/4711?tenant=tenant-number-five",
		"login pass&word-1":                                           "login ***",
		"https://x/?k=pass%26word-1":                                  "https://x/?k=***",
		"key query-key-1, token header-token-1.":                      "key ***, token ***.",
		base64.StdEncoding.EncodeToString([]byte("anna:pass&word-1")): "***",
	} {
		body = "name=Anna&note=" + url.QueryEscape(value)
		b.pass(time.Hour) // what the cache has is too old
		for range 2 {     // from the source, and from the cache
			if a := await(b.Ask(ask(anna))); a.value("note") != want {
				t.Errorf("%s: a call gets %q, want %q", value, a.value("note"), want)
			}
		}
	}
	if log := b.log.text(); !strings.Contains(log, "repeats a secret") || strings.Contains(log, "word-1") || strings.Contains(log, "key-1") {
		t.Errorf("log %s", log)
	}
}
