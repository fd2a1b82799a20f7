package lookup

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"ringhook/httpclient"
	"ringhook/lookup/answer"
	"ringhook/test/wait"
)

var (
	good   = result{outcome: Found}
	absent = result{outcome: Missing}
	broken = result{outcome: Failed, fault: &fault{reason: answer.ReasonSyntax, err: errors.New("no pairs")}}
	down   = result{outcome: Failed, fault: &fault{reason: "connect", down: true, err: errors.New("refused")}}
)

// TestBreaker checks the states of the breaker with a fake clock (F1, F9).
func TestBreaker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBreaker(64, func(slog.Level, string, ...any) {})
		try := func(r result) string {
			done, refused := b.allow(0)
			if refused == "" {
				done(r)
			}
			return refused
		}
		repeat := func(n int, r result) {
			t.Helper()
			for i := range n {
				if refused := try(r); refused != "" {
					t.Fatalf("request %d refused: %s", i+1, refused)
				}
			}
		}

		// An invalid answer and NOTFOUND count as answers.
		repeat(100, broken)
		repeat(100, absent)
		repeat(tripRow-1, down)
		repeat(1, good)
		repeat(tripRow, down)
		for range 100 {
			if refused := try(good); refused != reasonOpen {
				t.Fatalf("the breaker is not open: %q", refused)
			}
		}
		time.Sleep(openFor - time.Millisecond)
		if refused := try(good); refused != reasonOpen {
			t.Fatalf("the breaker is half-open too early: %q", refused)
		}
		// A request that is not made does not show that the source is back.
		time.Sleep(2 * time.Millisecond)
		for range 3 {
			if refused := try(result{outcome: Failed, fault: &fault{reason: httpclient.ClassRate, err: errors.New("late")}}); refused != "" {
				t.Fatalf("nothing is tried: %q", refused)
			}
		}
		repeat(1, down)
		if refused := try(good); refused != reasonOpen {
			t.Fatalf("a request that was not made has closed the breaker: %q", refused)
		}
		time.Sleep(openFor - time.Millisecond)

		// Only one probe at a time. If it fails, the breaker opens again.
		time.Sleep(2 * time.Millisecond)
		done, refused := b.allow(0)
		if refused != "" {
			t.Fatalf("probe refused: %s", refused)
		}
		if _, refused := b.allow(1); refused != reasonOpen {
			t.Errorf("second probe during the first: %q", refused)
		}
		done(down)
		if refused := try(good); refused != reasonOpen {
			t.Errorf("asked right after a failed probe: %q", refused)
		}

		// Each answer allows four times as many requests.
		time.Sleep(openFor + time.Millisecond)
		for _, limit := range []int{1, 4, 16, 64} {
			if _, refused := b.allow(limit); refused == "" {
				t.Errorf("more than %d requests at once", limit)
			}
			done, refused := b.allow(limit - 1)
			if refused != "" {
				t.Fatalf("request %d refused: %s", limit, refused)
			}
			done(good)
		}
		if _, refused := b.allow(64); refused != reasonBusy {
			t.Errorf("request 65 refused as %q, want %s", refused, reasonBusy)
		}
	})
}

// TestBreakerRatio checks that the breaker opens after half of many requests failed.
func TestBreakerRatio(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBreaker(64, func(slog.Level, string, ...any) {})
		for i := range tripMany {
			done, refused := b.allow(0)
			if refused != "" {
				t.Fatalf("request %d refused: %s", i+1, refused)
			}
			done([]result{good, down}[i%2])
		}
		if _, refused := b.allow(0); refused != reasonOpen {
			t.Errorf("half of %d requests failed, and the next is allowed", tripMany)
		}
	})
}

// TestNoHerdAfterOutage checks that a CRM that recovers while 2,000 calls ask gets one request first, then
// four, sixteen, all (F9).
func TestNoHerdAfterOutage(t *testing.T) {
	t.Parallel()
	const calls = 2000
	var up atomic.Bool
	var mu sync.Mutex
	answered, under := 0, 0
	cfg := crm(t, func(w http.ResponseWriter, _ *http.Request) {
		if !up.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		mu.Lock()
		under++
		// Each answer may allow four times as many requests, and is counted here before it does.
		limit := 1
		for range min(answered, 4) {
			limit *= slowStart
		}
		if under > limit {
			t.Errorf("%d requests at once after %d answers, want at most %d", under, answered, limit)
		}
		mu.Unlock()
		time.Sleep(5 * time.Millisecond) // so that other requests can arrive
		mu.Lock()
		under--
		answered++
		mu.Unlock()
		io.WriteString(w, "name=Anna")
	})
	b := start(t, cfg)
	for i := range tripRow {
		await(b.Ask(ask(fmt.Sprintf("+7495%07d", i))))
	}
	if got := await(b.Ask(ask(anna))); got.Outcome != Failed || b.count(t, "ringhook_lookup_errors_total", "crm", reasonOpen) != 1 {
		t.Fatalf("the source is still asked: %+v", got)
	}
	up.Store(true)
	found := 0
	wait.Until(t, func() bool {
		pendings := make([]*Pending, calls)
		for i := range pendings {
			pendings[i] = b.Ask(ask(fmt.Sprintf("+7499%07d", i)))
		}
		for _, p := range pendings {
			if await(p).Outcome == Found {
				found++
			}
		}
		return found >= calls/10
	}, "too few calls get an answer after the CRM recovered")
}

// TestOneCustomersData checks that answers which cannot be read because of one customer's data
// do not make the source count as down, and that pages for people do.
func TestOneCustomersData(t *testing.T) {
	for name, c := range map[string]struct {
		contentType, body string
		asked             int32
	}{
		"JSON with a tag in a value, and cut": {"text/html", `{"name":"<b>Anna</b>`, 20},
		"another structure":                   {"application/json", `[1]`, 20},
		"a charset that it is not in":         {"application/json; charset=utf-8", "{\"name\":\"\xe9\"}", 20},
		"a warning before the JSON":           {"text/html", "<br><b>Warning</b>{}", 20},
		"a login page":                        {"text/html", "<!DOCTYPE html><html></html>", tripRow},
	} {
		var asked atomic.Int32
		cfg := crm(t, func(w http.ResponseWriter, _ *http.Request) {
			asked.Add(1)
			w.Header().Set("Content-Type", c.contentType)
			io.WriteString(w, c.body)
		})
		cfg.Format, cfg.Map = "json", map[string]string{"name": ".name"}
		b := start(t, cfg)
		for i := range 20 {
			if got := await(b.Ask(ask(fmt.Sprintf("+7495123%04d", i)))); got.Outcome != Failed {
				t.Fatalf("%s: caller %d gets %s", name, i, got.Outcome)
			}
		}
		if asked.Load() != c.asked {
			t.Errorf("%s: asked about %d of 20 callers, want %d", name, asked.Load(), c.asked)
		}
	}
}
