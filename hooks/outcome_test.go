package hooks

import (
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"ringhook/httpclient"
)

// TestEveryStatus checks the class of each HTTP status.
func TestEveryStatus(t *testing.T) {
	special := map[int]string{410: classGone, 429: classLimited}
	overload := map[int]bool{429: true, 502: true, 503: true, 504: true}
	now := time.Now()
	for status := range 1000 {
		want := classProtocol
		switch {
		case special[status] != "":
			want = special[status]
		case status >= 200 && status < 600:
			want = []string{classDelivered, classRedirect, classRejected, classServer}[status/100-2]
		}
		got := outcomeOf(&httpclient.Response{Status: status, Body: []byte("b"), RetryAfter: "9"}, nil, now)
		if got.class != want || got.status != status || got.text != "b" || got.overload != overload[status] {
			t.Errorf("%d: got %+v, want class %s", status, got, want)
		}
		if wants := want != classDelivered; wants != (got.retryAfter > 0) {
			t.Errorf("%d: retry after %v", status, got.retryAfter)
		}
		if metricOutcomes[got.class] == "" {
			t.Errorf("%d: class %s has no outcome in the metric", status, got.class)
		}
	}
}

// TestEveryError checks the class of each error.
func TestEveryError(t *testing.T) {
	want := map[string]string{
		httpclient.ClassTimeout: classTimeout, httpclient.ClassDNS: classDNS, httpclient.ClassBlocked: classBlocked, httpclient.ClassTLS: classTLS,
		httpclient.ClassConnect: classConnect, httpclient.ClassReset: classConnect, httpclient.ClassBusy: classConnect,
		httpclient.ClassProtocol: classProtocol, httpclient.ClassTooLarge: classProtocol, httpclient.ClassRequest: classProtocol,
		httpclient.ClassToken: classRejected, httpclient.ClassRate: classProtocol, // no hook gets it: it waits for its turn
	}
	for _, class := range httpclient.Classes() {
		got := outcomeOf(nil, &httpclient.Error{Class: class, Host: "crm.example", Err: errors.New("cause")}, time.Now())
		if got.class != want[class] || got.status != 0 || !strings.Contains(got.text, "cause") || got.overload {
			t.Errorf("%s: got %+v, want %q", class, got, want[class])
		}
		if metricOutcomes[got.class] == "" {
			t.Errorf("%s: class %s has no outcome in the metric", class, got.class)
		}
	}
	for status, want := range map[int]string{400: classRejected, 410: classRejected, 302: classRejected, 200: classRejected, 429: classLimited, 503: classServer} {
		if got := outcomeOf(nil, &httpclient.Error{Class: httpclient.ClassToken, Status: status, Err: errors.New("cause")}, time.Now()); got.class != want || got.status != 0 {
			t.Errorf("token with status %d: got %+v, want %s", status, got, want)
		}
	}
	if got := outcomeOf(nil, errors.New("other"), time.Now()); got.class != classProtocol {
		t.Errorf("an unknown error: got %+v", got)
	}
}

// TestTooLarge checks that the status decides if an answer is too large: with 200 the receiver has the event
// (T-HOOK-04).
func TestTooLarge(t *testing.T) {
	for status, want := range map[int]string{200: classDelivered, 410: classGone, 503: classServer, 0: classProtocol} {
		got := outcomeOf(nil, &httpclient.Error{Class: httpclient.ClassTooLarge, Status: status, Err: errors.New("too large")}, time.Now())
		if got.class != want || got.status != status || !strings.Contains(got.text, "too large") {
			t.Errorf("%d: got %+v", status, got)
		}
	}
}

func TestExcerpt(t *testing.T) {
	for _, s := range []string{"", "short", strings.Repeat("a", 5000), strings.Repeat("é", 5000), "a" + strings.Repeat("é", 5000),
		"aa" + strings.Repeat("日", 5000), strings.Repeat("😀", 5000), strings.Repeat("\xff", 5000), "\xff"} {
		got := cutExcerpt(s)
		if !utf8.ValidString(got) || len(got) > 3*excerptSize || len(s) <= excerptSize && utf8.ValidString(s) && got != s {
			t.Errorf("%.10q: got %d bytes %.10q", s, len(got), got)
		}
	}
}

// TestRedirectIsShown checks that an attempt stores the target of a redirect without secrets.
func TestRedirectIsShown(t *testing.T) {
	h := testHook(t, func(c *Config) { c.Settings = map[string]string{"token": "hush-1"} })
	s, _ := newSender(h, nil, Shared{}, nil, slog.New(slog.DiscardHandler))
	o := outcomeOf(&httpclient.Response{Status: 301, Location: "https://crm.example/login?t=hush-1", Body: []byte("moved")}, nil, time.Now())
	if got, want := s.excerpt(&o), "redirect to https://crm.example/login?t=***, which is not followed\nmoved"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestCause(t *testing.T) {
	for want, a := range map[string]Attempt{
		"connection refused":                   {Class: classConnect, Excerpt: "crm.example: connect: dial tcp 127.0.0.1:1: connect: connection refused"},
		"deadline passed":                      {Class: classTimeout, Excerpt: "crm.example: timeout: deadline passed"},
		"status 503":                           {Class: classServer, Status: 503, Excerpt: "busy: come back"},
		"crash":                                {Class: Crash},
		"the session has ended":                {Class: classRejected, Status: 200, Excerpt: "the session has ended\n{}"},
		"the answer does not say that it took": {Class: classRefused, Status: 200, Excerpt: "taken: the answer does not say that it took\n{\"error\": \"x\"}"},
		"status 204":                           {Class: classDelivered, Status: 204, Excerpt: "thanks: well done"},
		"a panic":                              {Class: classPoison, Excerpt: "a panic\nwith: more"},
	} {
		if got := a.Cause(); got != want {
			t.Errorf("%+v: got %q, want %q", a, got, want)
		}
	}
}
