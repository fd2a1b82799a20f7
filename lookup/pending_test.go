package lookup

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"ringhook/lookup/answer"
	"ringhook/test/wait"
)

const (
	anna  = "+74951234567"
	boris = "+74957654321"
)

// TestFoundThenCached checks an answer from the source, from the cache, and after its time.
func TestFoundThenCached(t *testing.T) {
	var requests atomic.Int32
	b := start(t, crm(t, func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		fmt.Fprintf(w, "CALLERID(name)=Anna+%%C3%%96z&QUEUE_PRIO=5&note=&phone=%s\n", strings.TrimPrefix(r.FormValue("phone"), "+"))
	}))
	p := b.Ask(ask(anna))
	got := await(p)
	want := []Var{{Name: "CALLERID(name)", Value: "Anna Öz"}, {Name: "QUEUE_PRIO", Value: "5"}, {Name: "phone", Value: "74951234567"}, {Name: "match", Value: "exact"}, {Name: "match_count", Value: "1"}}
	if got.Outcome != Found || !slices.Equal(got.Vars, want) || got.Source != "crm" || got.Cached {
		t.Errorf("first answer = %+v, want %v", got, want)
	}
	p = b.Ask(ask(anna))
	if !p.Done() {
		t.Error("a cached answer is not available immediately")
	}
	got = await(p)
	if got.Outcome != Found || !slices.Equal(got.Vars, want) || got.Source != "crm" || !got.Cached {
		t.Errorf("second answer = %+v, want %v from the cache", got, want)
	}
	if e := <-b.cache.stored; e.Number != anna || e.Lookup != "crm" || len(e.Key) > 32 || e.Expires.Sub(e.Stored) != 24*time.Hour {
		t.Errorf("entry = %+v", e)
	}
	b.pass(10 * time.Minute)
	if got = await(b.Ask(ask(anna))); got.Cached || requests.Load() != 2 {
		t.Errorf("after its time: cached %v, %d requests, want 2", got.Cached, requests.Load())
	}
	for outcome, want := range map[string]float64{"hit": 1, "found": 2, "missing": 0, "stale": 0, "timeout": 0, "error": 0, "open": 0} {
		if n := b.count(t, "ringhook_lookup_duration_seconds", "crm", outcome); n != want {
			t.Errorf("%v lookups measured as %s, want %v", n, outcome, want)
		}
	}
}

// TestMissing checks an answer without a customer.
func TestMissing(t *testing.T) {
	for name, handler := range map[string]http.HandlerFunc{
		"404":        func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(404); io.WriteString(w, "<h1>no</h1>") },
		"204":        func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) },
		"empty":      answers(""),
		"blanks":     answers("\xef\xbb\xbf \r\n"),
		"no values":  answers("CALLERID(name)=&QUEUE_PRIO="),
		"blank page": answers("\n\n"),
	} {
		t.Run(name, func(t *testing.T) {
			var requests atomic.Int32
			b := start(t, crm(t, func(w http.ResponseWriter, r *http.Request) {
				requests.Add(1)
				handler(w, r)
			}))
			for range 2 {
				if got := await(b.Ask(ask(anna))); got.Outcome != Missing || !slices.Equal(got.Vars, []Var{{Name: "match", Value: "none"}, {Name: "match_count", Value: "0"}}) {
					t.Errorf("answer = %+v, want missing", got)
				}
			}
			if requests.Load() != 1 {
				t.Errorf("%d requests, want 1", requests.Load())
			}
			if e := <-b.cache.stored; !e.Missing || e.Expires.Sub(e.Stored) != time.Minute {
				t.Errorf("entry = %+v, want a missing one for a minute", e)
			}
			b.pass(time.Minute)
			await(b.Ask(ask(anna)))
			if requests.Load() != 2 {
				t.Errorf("%d requests after the entry's time, want 2", requests.Load())
			}
		})
	}
}

// TestNotAsked checks callers about whom no source is asked.
func TestNotAsked(t *testing.T) {
	cfg := crm(t, func(http.ResponseWriter, *http.Request) { t.Error("the source was asked") })
	b := start(t, cfg)
	for _, number := range []string{"", "anonymous", "unknown", "101", "112", "+12"} {
		p := b.Ask(ask(number))
		if !p.Done() || p.Answer().Outcome != Missing {
			t.Errorf("%q: %+v, want missing immediately", number, p.Answer())
		}
	}
	if p := b.Ask(Question{Point: "other", Number: anna}); b.Wants("other") || !p.Done() || p.Answer().Outcome != Missing {
		t.Errorf("a point without lookups: %+v", p.Answer())
	}
	if !b.Wants("p") {
		t.Error("no lookup is wanted at the point of the lookup")
	}
}

// TestAskedByOtherParameter checks that a lookup by another parameter is asked for every caller.
func TestAskedByOtherParameter(t *testing.T) {
	cfg := crm(t, func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "agent_info=%s%s", r.FormValue("ext"), r.Header.Get("X-Queue"))
	})
	cfg.URL = strings.Replace(cfg.URL, "phone=%callerid%", "ext=%agent_phone%", 1)
	cfg.Headers = map[string]string{"x-queue": "q%queue_id%"}
	b := start(t, cfg)
	params := map[string]string{"agent_phone": "101", "queue_id": "500"}
	q := Question{Point: "p", Param: func(name string) string { return params[name] }}
	if got := await(b.Ask(q)); got.value("agent_info") != "101q500" {
		t.Errorf("answer = %+v", got)
	}
	params["queue_id"] = "501"
	if got := await(b.Ask(q)); got.value("agent_info") != "101q501" {
		t.Errorf("another value of a header: answer = %+v", got)
	}
}

// TestEqualQuestions checks that concurrent equal questions share one request (F10).
func TestEqualQuestions(t *testing.T) {
	const calls = 1000
	var requests atomic.Int32
	release := make(chan struct{})
	b := start(t, crm(t, func(w http.ResponseWriter, _ *http.Request) {
		requests.Add(1)
		<-release
		io.WriteString(w, "name=Anna")
	}))
	pendings := make([]*Pending, calls)
	for i := range pendings {
		pendings[i] = b.Ask(ask(anna))
	}
	// The first caller hangs up. The others still get the answer.
	if got := pendings[0].Answer(); got.Outcome != Timeout {
		t.Errorf("first caller: %+v, want timeout", got)
	}
	if n := b.count(t, "ringhook_lookup_requests_in_flight", "crm"); n != 1 {
		t.Errorf("%v requests in flight, want 1", n)
	}
	close(release)
	for i, p := range pendings[1:] {
		if got := await(p); got.Outcome != Found || got.value("name") != "Anna" {
			t.Fatalf("caller %d: %+v", i+1, got)
		}
	}
	if requests.Load() != 1 {
		t.Errorf("%d requests, want 1", requests.Load())
	}
	if got := pendings[0].Answer(); got.Outcome != Timeout {
		t.Errorf("first caller's answer changed to %+v", got)
	}
}

// TestAnswersAreNeverShared checks that no caller gets the answer for another one (T-HTTP-06).
func TestAnswersAreNeverShared(t *testing.T) {
	cfg := crm(t, func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "name=%s", strings.Repeat(strings.TrimPrefix(r.FormValue("phone"), "+"), 20))
	})
	var all sync.WaitGroup
	b := start(t, cfg)
	check := func(number string, got Answer) {
		if want := strings.Repeat(number[1:], 20); got.Outcome != Found || got.value("name") != want {
			t.Errorf("%s: %s %.60q", number, got.Outcome, got.value("name"))
		}
	}
	turns := make(chan struct{}, DefaultConfig().Concurrency)
	for i := range 1000 {
		all.Go(func() {
			turns <- struct{}{}
			defer func() { <-turns }()
			number := fmt.Sprintf("+7495%07d", i)
			check(number, await(b.Ask(ask(number))))
		})
	}
	all.Wait()
	for i := range 1000 {
		number := fmt.Sprintf("+7495%07d", i)
		check(number, await(b.Ask(ask(number))))
	}
}

// TestLateAnswer checks that a late answer reaches no call, but fills the cache (F2).
func TestLateAnswer(t *testing.T) {
	release := make(chan struct{})
	cfg := crm(t, func(w http.ResponseWriter, _ *http.Request) {
		<-release
		io.WriteString(w, "name=Anna")
	})
	cfg.Timeout = 20 * time.Millisecond
	b := start(t, cfg)
	// Only the timeout of the source ends the wait.
	if got := await(b.Ask(ask(anna))); got.Outcome != Timeout {
		t.Errorf("answer = %+v, want timeout", got)
	}
	close(release)
	<-b.cache.stored
	p := b.Ask(ask(anna))
	if got := p.Answer(); got.Outcome != Found || got.value("name") != "Anna" || !got.Cached {
		t.Errorf("next answer = %+v, want Anna from the cache", got)
	}
	if n := b.count(t, "ringhook_lookup_duration_seconds", "crm", "timeout"); n != 1 {
		t.Errorf("%v timeouts measured, want 1", n)
	}
}

// TestDeadlineBeforeTimeout checks that no timer runs if the caller's deadline is before the timeout, and
// that Answer returns the best answer so far.
func TestDeadlineBeforeTimeout(t *testing.T) {
	release := make(chan struct{})
	cfg := crm(t, func(w http.ResponseWriter, _ *http.Request) {
		<-release
		io.WriteString(w, "name=Anna")
	})
	b := start(t, cfg)
	q := ask(anna)
	q.Deadline = time.Now().Add(time.Second)
	p := b.Ask(q)
	if p.queries[0].timer != nil {
		t.Error("a timer runs before the caller's deadline")
	}
	called := make(chan struct{}, 2)
	p.OnDone(func() { called <- struct{}{} })
	if got := p.Answer(); got.Outcome != Timeout || !p.Done() {
		t.Errorf("answer = %+v, want timeout", got)
	}
	close(release)
	<-b.cache.stored
	if err := b.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	if len(called) != 0 {
		t.Error("the caller is notified after Answer")
	}
}

// TestStale checks that a stale answer is used if the source fails or is late.
func TestStale(t *testing.T) {
	var handler atomic.Pointer[http.HandlerFunc]
	set := func(h http.HandlerFunc) { handler.Store(&h) }
	cfg := crm(t, func(w http.ResponseWriter, r *http.Request) { (*handler.Load())(w, r) })
	b := start(t, cfg)
	set(answers("name=Anna"))
	await(b.Ask(ask(anna)))
	b.pass(time.Hour)

	set(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) })
	got := await(b.Ask(ask(anna)))
	if got.Outcome != Stale || got.value("name") != "Anna" || got.Source != "crm" || !got.Cached {
		t.Errorf("source fails: %+v, want stale Anna", got)
	}
	if got := await(b.Ask(ask(boris))); got.Outcome != Failed {
		t.Errorf("source fails and nothing is cached: %+v, want error", got)
	}

	release := make(chan struct{})
	set(func(w http.ResponseWriter, _ *http.Request) { <-release })
	p := b.Ask(ask(anna))
	if p.Done() {
		t.Error("a stale answer is returned before the source is late")
	}
	if got := p.Answer(); got.Outcome != Stale || got.value("name") != "Anna" {
		t.Errorf("source is late: %+v, want stale Anna", got)
	}
	close(release)

	// The stale entry of a customer that the CRM no longer knows is not used.
	b.sources[0].running.Wait()
	set(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) })
	b.pass(time.Hour)
	if got := await(b.Ask(ask(anna))); got.Outcome != Failed {
		t.Errorf("after the source found no customer: %+v, want error", got)
	}
}

// TestStaleEnds checks the maximum age of a stale answer.
func TestStaleEnds(t *testing.T) {
	var down atomic.Bool
	b := start(t, crm(t, func(w http.ResponseWriter, _ *http.Request) {
		if down.Load() {
			w.WriteHeader(503)
		}
		io.WriteString(w, "name=Anna")
	}))
	await(b.Ask(ask(anna)))
	down.Store(true)
	b.pass(24 * time.Hour)
	if got := await(b.Ask(ask(anna))); got.Outcome != Failed || got.Vars != nil {
		t.Errorf("a day later: %+v, want error", got)
	}
	// An answer does not become younger if the clock is set back.
	b.pass(-25 * time.Hour)
	if got := await(b.Ask(ask(anna))); got.Outcome != Failed {
		t.Errorf("before it was stored: %+v, want error", got)
	}
}

// TestCacheOff checks a lookup without a cache.
func TestCacheOff(t *testing.T) {
	var requests atomic.Int32
	cfg := crm(t, func(w http.ResponseWriter, r *http.Request) {
		if requests.Add(1); r.FormValue("phone") == anna {
			io.WriteString(w, "name=Anna")
		}
	})
	cfg.Cache, cfg.CacheMissing, cfg.Stale = 0, 0, 0
	b := start(t, cfg)
	for range 2 {
		await(b.Ask(ask(anna)))
		await(b.Ask(ask(boris)))
	}
	if requests.Load() != 4 || len(b.cache.entries) != 0 {
		t.Errorf("%d requests and %d entries, want 4 and none", requests.Load(), len(b.cache.entries))
	}
}

// TestBounded checks the maximum number of concurrent requests to a source (F2).
func TestBounded(t *testing.T) {
	release := make(chan struct{})
	cfg := crm(t, func(w http.ResponseWriter, _ *http.Request) { <-release })
	b := start(t, cfg)
	for i := range DefaultConfig().Concurrency {
		b.Ask(ask(fmt.Sprintf("+7495%07d", i)))
	}
	p := b.Ask(ask(anna))
	if !p.Done() || p.Answer().Outcome != Failed {
		t.Errorf("one request too many: %+v, want error immediately", p.Answer())
	}
	if n := b.count(t, "ringhook_lookup_errors_total", "crm", "busy"); n != 1 {
		t.Errorf("%v refusals counted, want 1", n)
	}
	if p := b.Ask(ask("+74950000000")); p.Done() {
		t.Error("a question equal to one in progress is refused")
	}
	close(release)
}

// TestSeveralSources checks that of several sources with an answer the first in the file wins, even if it
// is slower.
func TestSeveralSources(t *testing.T) {
	release := make(chan struct{})
	slow := func(body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			<-release
			io.WriteString(w, body)
		}
	}
	fails := func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) }
	cases := []struct {
		name          string
		first, second http.HandlerFunc
		want          Outcome
		source        string
	}{
		{"both know", slow("name=A"), answers("name=B"), Found, "first"},
		{"the second knows", slow(""), answers("name=B"), Found, "second"},
		{"the first knows", answers("name=A"), fails, Found, "first"},
		{"the first fails", fails, slow("name=B"), Found, "second"},
		{"nobody", slow(""), answers(""), Missing, ""},
		{"no customer, but one failed", slow(""), fails, Failed, ""},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			release = make(chan struct{})
			first, second := crm(t, tc.first), crm(t, tc.second)
			first.Name, second.Name = "first", "second"
			b := start(t, first, second)
			p := b.Ask(ask(anna))
			close(release)
			if got := await(p); got.Outcome != tc.want || got.Source != tc.source {
				t.Errorf("answer = %+v, want %s of %q", got, tc.want, tc.source)
			}
		})
	}
}

// TestSeveralSourcesLate checks that at the deadline the answer of a later source is used, if an earlier
// one has not answered.
func TestSeveralSourcesLate(t *testing.T) {
	release := make(chan struct{})
	first := crm(t, func(http.ResponseWriter, *http.Request) { <-release })
	second := crm(t, answers("name=B"))
	first.Name, second.Name = "first", "second"
	b := start(t, first, second)
	p := b.Ask(ask(anna))
	<-b.cache.stored
	for !queryDone(p, 1) {
		runtime.Gosched()
	}
	if p.Done() {
		t.Error("there is an answer before the first source has answered")
	}
	if got := p.Answer(); got.Outcome != Found || got.Source != "second" {
		t.Errorf("answer = %+v, want the second source's", got)
	}
	close(release)
}

func queryDone(p *Pending, i int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.queries[i].done
}

// TestPanicWhileReading checks that a panic while an answer is parsed only fails that answer (F38).
func TestPanicWhileReading(t *testing.T) {
	b := start(t, crm(t, answers("name=Anna")))
	src := b.sources[0]
	parse := &src.backend.(*httpBackend).parse
	sound := *parse
	*parse = func(context.Context, []byte, string) (answer.Result, error) { panic("out of cheese") }
	if got := await(b.Ask(ask(anna))); got.Outcome != Failed || got.Vars != nil {
		t.Errorf("answer = %+v, want error", got)
	}
	if n := b.count(t, "ringhook_lookup_errors_total", "crm", reasonPanic); n != 1 {
		t.Errorf("counted %v times as %s, want once", n, reasonPanic)
	}
	src.running.Wait()
	*parse = sound
	if got := await(b.Ask(ask(boris))); got.Outcome != Found {
		t.Errorf("the next answer = %+v, want found", got)
	}
}

// TestOnLate checks that OnLate gets a late answer that arrives before or after the call of OnLate.
func TestOnLate(t *testing.T) {
	for _, first := range []bool{true, false} {
		release := make(chan struct{})
		b := start(t, crm(t, func(w http.ResponseWriter, r *http.Request) {
			<-release
			io.WriteString(w, "call_info=late\n")
		}))
		p := b.Ask(ask(anna))
		if a := p.Answer(); a.Outcome != Timeout {
			t.Fatalf("answer = %+v, want timeout", a)
		}
		late := make(chan Answer, 2)
		if first {
			p.OnLate(func(a Answer) { late <- a })
		}
		close(release)
		<-b.cache.stored
		if !first {
			wait.Until(t, func() bool {
				p.OnLate(func(a Answer) { late <- a })
				return len(late) > 0
			}, "no late answer")
		}
		a := <-late
		if a.Outcome != Found || a.Source != "crm" || !slices.Contains(a.Vars, Var{Name: "call_info", Value: "late"}) {
			t.Errorf("late answer = %+v", a)
		}
		if p.Answer().Outcome != Timeout {
			t.Error("the returned answer has changed")
		}
	}
}

// TestNotLate checks that OnLate gets neither an answer in time nor one without a customer.
func TestNotLate(t *testing.T) {
	release := make(chan struct{})
	b := start(t, crm(t, func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.FormValue("phone"), boris[1:]) {
			<-release
			w.WriteHeader(404)
			return
		}
		io.WriteString(w, "call_info=x\n")
	}))
	late := func(a Answer) { t.Errorf("late answer = %+v", a) }
	p := b.Ask(ask(anna))
	await(p)
	p.OnLate(late)
	p = b.Ask(ask(boris))
	p.Answer()
	p.OnLate(late)
	close(release)
	<-b.cache.stored
	if err := b.Close(wait.Context(t)); err != nil {
		t.Error(err)
	}
}

// TestJustAnswered checks that the source is not asked twice if a caller reads the cache just before the
// answer to an equal request is stored, and asks just after.
func TestJustAnswered(t *testing.T) {
	var asked atomic.Int32
	b := start(t, crm(t, func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		io.WriteString(w, "name=Anna")
	}))
	await(b.Ask(ask(anna)))
	q := ask(anna)
	s := sourceQuery{source: b.sources[0]}
	s.prepare(&q)
	s.peeked = true // the cache had no entry
	p := &Pending{}
	p.begin(&s, func(_ *sourceQuery, r result) { t.Errorf("the source answered %+v", r) })
	if n := asked.Load(); n != 1 || !s.done || !s.fresh || s.outcome != Found || len(s.vars) == 0 || s.vars[0].Value != "Anna" {
		t.Errorf("asked %d times; the query is %+v, want Anna from the cache", n, s)
	}
}
