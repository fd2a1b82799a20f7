package desk

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"ringhook/store/browse"
	accounts "ringhook/store/desk"
)

// awayAccounts is a store whose engine may be away.
type awayAccounts struct {
	Accounts
	away atomic.Bool
}

func (a *awayAccounts) err() error {
	if a.away.Load() {
		return fmt.Errorf("read a session: %w", browse.ErrAway)
	}
	return nil
}

// Session implements Accounts.
func (a *awayAccounts) Session(secret string) (accounts.Session, bool, error) {
	if err := a.err(); err != nil {
		return accounts.Session{}, false, err
	}
	return a.Accounts.Session(secret)
}

// Password implements Accounts.
func (a *awayAccounts) Password(agent string) (string, bool, error) {
	if err := a.err(); err != nil {
		return "", false, err
	}
	return a.Accounts.Password(agent)
}

// Invited implements Accounts.
func (a *awayAccounts) Invited(code string, now time.Time) (string, bool, error) {
	if err := a.err(); err != nil {
		return "", false, err
	}
	return a.Accounts.Invited(code, now)
}

// TestEngineAway checks that pages and answers say that the database is away, that no agent counts as signed out for it, and that
// open pages stay.
func TestEngineAway(t *testing.T) {
	h := serve(t)
	c := h.signedIn("7")
	m := h.listen(c)
	store := &awayAccounts{Accounts: h.accounts}
	h.accounts = store
	store.away.Store(true)
	h.CheckSessions()
	for what, answer := range map[string]func() (*http.Response, string){
		"page":       func() (*http.Response, string) { return h.ask(c, "GET", "/desk/", "") },
		"invitation": func() (*http.Response, string) { return h.ask(h.browser(), "GET", "/desk/invite?code=1", "") },
		"sign-in": func() (*http.Response, string) {
			return h.form(h.browser(), "/desk/sign-in", "agent", "7", "password", password)
		},
		"accept": func() (*http.Response, string) {
			return h.form(h.browser(), "/desk/invite", "code", "1", "password", password, "repeat", password)
		},
	} {
		if resp, text := answer(); resp.StatusCode != http.StatusServiceUnavailable || !strings.Contains(text, "PostgreSQL") || !strings.Contains(text, "Calls go on") {
			t.Errorf("%s: %d %s", what, resp.StatusCode, text)
		}
	}
	if resp, text := h.ask(c, "GET", "/v1/me/sessions", ""); resp.StatusCode != http.StatusServiceUnavailable || !strings.Contains(text, `"code":"database"`) {
		t.Errorf("request: %d %s", resp.StatusCode, text)
	}
	store.away.Store(false)
	if resp, _ := h.ask(c, "GET", "/v1/me/sessions", ""); resp.StatusCode != http.StatusOK {
		t.Errorf("after it is back: %d", resp.StatusCode)
	}
	// The session ends at another node.
	if _, err := h.accounts.EndSessions("7"); err != nil {
		t.Fatal(err)
	}
	h.CheckSessions()
	if bye := m.next("bye"); bye["reason"] != byeSignedOut {
		t.Errorf("got %v", bye)
	}
}
