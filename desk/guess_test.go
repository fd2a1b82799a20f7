package desk

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"ringhook/clickfrom"
	accounts "ringhook/store/desk"
)

// heap returns the bytes in use after a collection.
func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// TestLongNames signs in with unknown names of 50 KB: only the number of failures is kept, not the names.
func TestLongNames(t *testing.T) {
	h := serve(t)
	long := strings.Repeat("x", maxPassword+1) // refused without being hashed
	before := heap()
	const names = 400
	for i := range names {
		h.signIn(t.Context(), fmt.Sprint(i)+strings.Repeat("y", 50<<10), long, "")
	}
	if after := heap(); after > before+(5<<20) {
		t.Errorf("%d names keep %d KiB", names, (after-before)>>10)
	}
	runtime.KeepAlive(h)
}

// TestGuessedNames has so many names guessed that no more can be counted: an agent is refused for failures of its own only.
func TestGuessedNames(t *testing.T) {
	h := serve(t)
	h.signedIn("7")
	long := strings.Repeat("x", maxPassword+1)
	for i := range maxWatched + 2*maxFailures {
		h.signIn(t.Context(), fmt.Sprint("unknown ", i), long, "")
	}
	if got := h.signIn(t.Context(), "7", password, ""); got != signedIn {
		t.Errorf("the right password: %s, want %s", got, signedIn)
	}
	for range maxFailures {
		h.signIn(t.Context(), "7", long, "")
	}
	if got := h.signIn(t.Context(), "7", password, ""); got != throttled {
		t.Errorf("after %d guesses of the agent's own password: %s, want %s", maxFailures, got, throttled)
	}
}

// TestGuessedTokens sends wrong tokens: an address that has sent too many gets 429, and a right token is accepted all the
// same.
func TestGuessedTokens(t *testing.T) {
	h := serve(t)
	token, err := h.accounts.(*accounts.Desk).AddToken(accounts.Token{Name: "crm", Agent: "7", Rights: "agent"})
	if err != nil {
		t.Fatal(err)
	}
	ask := func(path, token string) int {
		resp, _ := h.ask(h.browser(), "GET", path, "", "Authorization", "Bearer "+token)
		return resp.StatusCode
	}
	for n := range maxFailures {
		if got := ask("/v1/me", "rh_wrong"); got != http.StatusUnauthorized {
			t.Fatalf("guess %d: %d", n, got)
		}
	}
	for _, path := range []string{"/v1/me", "/v1/me/events", "/desk/", "/desk/live"} {
		if got := ask(path, "rh_wrong"); got != http.StatusTooManyRequests {
			t.Errorf("%s after %d guesses: %d", path, maxFailures, got)
		}
	}
	if got := ask("/v1/me", token); got != http.StatusOK {
		t.Errorf("the right token: %d", got)
	}
}

// TestGuessedClicks sends click-to-call with wrong secrets and without any: only wrong ones are counted, and the right
// secret is accepted all the same.
func TestGuessedClicks(t *testing.T) {
	h := serve(t)
	clicks := clickfrom.New(h.control, nil, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	cfg := clickfrom.DefaultConfig()
	cfg.Name, cfg.Secret, cfg.SecretAt, cfg.Agent, cfg.Number, cfg.To = "crm", "right-secret-1", "key", "agent", "number", []string{"+49*"}
	clicks.Exchange([]clickfrom.Config{cfg}, people)
	h.clicks = clicks
	click := func(secret string) int {
		w := httptest.NewRecorder()
		r := httptest.NewRequest("POST", "/click/crm", strings.NewReader(url.Values{"key": {secret}, "agent": {"7"}, "number": {"+4930123456"}}.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		h.click(w, r)
		return w.Code
	}
	for range 2 * maxFailures {
		if got := click(""); got != http.StatusForbidden {
			t.Fatalf("without a secret: %d", got)
		}
	}
	for n := range maxFailures {
		if got := click("wrong-secret-1"); got != http.StatusForbidden {
			t.Fatalf("guess %d: %d", n, got)
		}
	}
	if got := click("wrong-secret-1"); got != http.StatusTooManyRequests {
		t.Errorf("after %d guesses: %d", maxFailures, got)
	}
	if got := click("right-secret-1"); got == http.StatusTooManyRequests || got == http.StatusForbidden {
		t.Errorf("the right secret: %d", got)
	}
}

// TestGuessedInvitations opens wrong links: one that is right is accepted all the same.
func TestGuessedInvitations(t *testing.T) {
	h := serve(t)
	code, err := h.accounts.(*accounts.Desk).Invite("7", time.Now().Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	accept := func(code string) int {
		resp, _ := h.form(h.browser(), "/desk/invite", "code", code, "password", password, "repeat", password)
		return resp.StatusCode
	}
	for n := range maxFailures {
		if got := accept("wrong"); got != http.StatusNotFound {
			t.Fatalf("guess %d: %d", n, got)
		}
	}
	if got := accept("wrong"); got != http.StatusTooManyRequests {
		t.Errorf("after %d guesses: %d", maxFailures, got)
	}
	if got := accept(code); got != http.StatusSeeOther {
		t.Errorf("the right code: %d", got)
	}
}
