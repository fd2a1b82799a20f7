package httpclient

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"ringhook/test/wait"
)

// issuer is a token endpoint that numbers its tokens.
type issuer struct {
	*httptest.Server
	issued atomic.Int32
}

func newIssuer(t *testing.T, answer func(w http.ResponseWriter, n int32)) (*issuer, *Tokens) {
	i := &issuer{}
	i.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, password, ok := r.BasicAuth()
		if !ok { // the other way to say who one is, which is tried where the first is refused
			user, password = r.PostFormValue("client_id"), r.PostFormValue("client_secret")
		}
		if user != "ringhook" || password != "s3cret" || r.PostFormValue("grant_type") != "client_credentials" || r.PostFormValue("scope") != "read write" {
			t.Errorf("token asked for with %v, %v", r.Header, r.PostForm)
		}
		w.Header().Set("Content-Type", "application/json")
		answer(w, i.issued.Add(1))
	}))
	t.Cleanup(i.Close)
	tokens := NewTokens(OAuth2{TokenURL: i.URL, ClientID: "ringhook", ClientSecret: "s3cret", Scope: "read write"}, newClient(t, ClientConfig{}))
	t.Cleanup(tokens.Close)
	return i, tokens
}

func numbered(life int) func(http.ResponseWriter, int32) {
	return func(w http.ResponseWriter, n int32) {
		fmt.Fprintf(w, `{"access_token":"t%d","token_type":"bearer","expires_in":%d}`, n, life)
	}
}

func wantToken(t *testing.T, tokens *Tokens, want string) {
	t.Helper()
	if got, err := tokens.Get(in(wait.Limit)); got != want || err != nil {
		t.Errorf("Get() = %q, %v, want %q", got, err, want)
	}
}

func TestTokenIsKept(t *testing.T) {
	for _, life := range []int{3600, 0} { // 0 is one that does not say when it ends
		i, tokens := newIssuer(t, numbered(life))
		var all sync.WaitGroup
		for range 100 {
			all.Go(func() { wantToken(t, tokens, "t1") })
		}
		all.Wait()
		if n := i.issued.Load(); n != 1 {
			t.Errorf("%d tokens issued, want 1", n)
		}
		tokens.Forget("another")
		wantToken(t, tokens, "t1")
		tokens.Forget("t1")
		wantToken(t, tokens, "t2")
	}
}

// A token near its end is used on, and renewed behind the requests.
func TestTokenIsRenewedBehind(t *testing.T) {
	_, tokens := newIssuer(t, numbered(3600))
	wantToken(t, tokens, "t1")
	tokens.mu.Lock()
	if left := tokens.token.Expiry.Sub(tokens.renew); left != tokenRenew {
		t.Errorf("renewed %v before its end, want %v", left, tokenRenew)
	}
	tokens.renew = time.Now().Add(-time.Second)
	tokens.mu.Unlock()
	wantToken(t, tokens, "t1")
	tokens.running.Wait()
	wantToken(t, tokens, "t2")
	tokens.mu.Lock()
	tokens.token.Expiry = time.Now().Add(tokenEnd - time.Second)
	tokens.mu.Unlock()
	wantToken(t, tokens, "t3")
}

// A stored token of the future is replaced: the clock was set back since it was issued, so that its end is not known. If a
// server refuses it, it is not too young to be replaced.
func TestTokenOfTheFuture(t *testing.T) {
	source := func(context.Context, string) (Token, error) { return Token{Access: "new"}, nil }
	kept := KeptTokens{First: Token{Access: "old", Expiry: time.Now().Add(2 * time.Hour)}, Got: time.Now().Add(time.Hour), MinAge: time.Minute}
	tokens := KeepTokens(source, kept)
	t.Cleanup(tokens.Close)
	wantToken(t, tokens, "new")
	tokens.Forget("new")
	if tokens.token.Access != "new" {
		t.Error("a young token is forgotten")
	}
	tokens.got = time.Now().Round(0).Add(time.Hour)
	tokens.Forget("new")
	if tokens.token.Access != "" {
		t.Error("a token of the future is not forgotten")
	}
}

func TestNoToken(t *testing.T) {
	for _, tc := range []struct {
		status int
		body   string
		class  string
	}{
		{401, `{"error":"invalid_client","error_description":"s3cret is no secret"}`, ClassToken},
		{500, "s3cret", ClassToken},
		{302, "", ClassToken},
		{200, `{"token_type":"s3cret"}`, ClassToken},
		{200, "<html>s3cret", ClassToken},
		{200, strings.Repeat("s3cret", 20<<10), ClassTooLarge},
	} {
		_, tokens := newIssuer(t, func(w http.ResponseWriter, _ int32) {
			w.Header().Set("Location", "https://login.example/elsewhere?client_id=s3cret")
			w.WriteHeader(tc.status)
			io.WriteString(w, tc.body)
		})
		token, err := tokens.Get(in(wait.Limit))
		var e *Error
		if !errors.As(err, &e) || e.Class != tc.class || token != "" || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("status %d with %.30q: %q, %v, want class %s", tc.status, tc.body, token, err, tc.class)
		} else if tc.status != 200 && e.Status != tc.status {
			t.Errorf("status %d: %+v", tc.status, e)
		}
		if shown := strings.Contains(fmt.Sprint(err), "a redirect to https://login.example/elsewhere, which"); shown != (tc.status == 302) {
			t.Errorf("status %d: %v", tc.status, err)
		}
	}
	silent := NewTokens(OAuth2{TokenURL: raw(t, untilClosed), ClientID: "a", ClientSecret: "s3cret"}, newClient(t, ClientConfig{}))
	var all sync.WaitGroup
	for range 3 { // one asks, the others wait for it
		all.Go(func() {
			_, err := silent.Get(in(100 * time.Millisecond))
			var e *Error
			if !errors.As(err, &e) || e.Class != ClassTimeout {
				t.Errorf("silent server: %v, want class %s", err, ClassTimeout)
			}
		})
	}
	all.Wait()
}

func TestOAuth2Check(t *testing.T) {
	for _, tc := range []struct {
		cfg  OAuth2
		want []string
	}{
		{OAuth2{}, nil},
		{OAuth2{TokenURL: "https://crm.example/token", ClientID: "a", ClientSecret: "b"}, nil},
		{OAuth2{TokenURL: "https://crm.example/token"}, []string{"client_id", "client_secret"}},
		{OAuth2{ClientID: "a", ClientSecret: "b"}, []string{"token_url"}},
		{OAuth2{TokenURL: "https://crm.example/%queue_id%", ClientID: "a", ClientSecret: "b"}, []string{"token_url"}},
	} {
		var got []string
		tc.cfg.Check(func(key, _ string) { got = append(got, key) })
		if !slices.Equal(got, tc.want) {
			t.Errorf("Check(%+v) reports %q, want %q", tc.cfg, got, tc.want)
		}
	}
}
