package httpclient

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
)

// OAuth2 says where a token comes from, by the client credentials grant of
// RFC 6749, section 4.4.
type OAuth2 struct {
	// TokenURL is asked for tokens; empty where none are needed.
	TokenURL     string `toml:"token_url"`
	ClientID     string `toml:"client_id"`
	ClientSecret string `toml:"client_secret"`
	// Scope is what the token shall be good for, its words apart by blanks.
	Scope string `toml:"scope"`
}

// Check reports what is missing or cannot work. Nothing at all is fine.
func (c *OAuth2) Check(report func(key, problem string)) {
	if *c == (OAuth2{}) {
		return
	}
	if c.ClientID == "" {
		report("client_id", "is missing beside token_url and client_secret")
	}
	if c.ClientSecret == "" {
		report("client_secret", "is missing beside token_url and client_id")
	}
	if t, err := ParseTemplate(c.TokenURL, PlaceURL); err != nil {
		report("token_url", err.Error())
	} else if len(t.Names()) > 0 {
		report("token_url", "has a placeholder, though a token is for every call: leave it out")
	}
}

const (
	// tokenEnd is how long before its end a token is not used any more.
	tokenEnd = 5 * time.Second
	// tokenRenew is how long before its end a token is renewed behind the
	// requests, or a fifth of its life where that is shorter; tokenWait is how
	// long that may take.
	tokenRenew = time.Minute
	tokenWait  = 10 * time.Second
)

// Tokens keeps the token of one client. It may be used from many goroutines.
type Tokens struct {
	cfg    *clientcredentials.Config
	http   *http.Client
	turn   chan struct{} // held by the one who gets a token
	behind sync.WaitGroup

	mu       sync.Mutex
	token    *oauth2.Token // nil where there is none
	mask     *Mask         // of this token and the one before
	renew    time.Time
	renewing bool
	closed   bool
}

// NewTokens makes a keeper of tokens that asks for them through a client.
func NewTokens(cfg OAuth2, client *Client) *Tokens {
	var scopes []string
	if cfg.Scope != "" {
		scopes = []string{cfg.Scope}
	}
	return &Tokens{
		cfg: &clientcredentials.Config{
			ClientID: cfg.ClientID, ClientSecret: cfg.ClientSecret, TokenURL: cfg.TokenURL, Scopes: scopes,
		},
		http: &http.Client{
			Transport:     transport{client},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		turn: make(chan struct{}, 1),
	}
}

// Get gives the token, and gets a new one first where there is none that is
// good; equal wishes at one moment are one request. One that ends soon is
// renewed behind the requests. Every error is an *Error: one of Class
// ClassToken has the status of a refusal.
func (t *Tokens) Get(deadline time.Time) (string, error) {
	if token := t.good(); token != "" {
		return token, nil
	}
	ctx, cancel := context.WithDeadline(context.Background(), deadline)
	defer cancel()
	select {
	case t.turn <- struct{}{}:
		defer func() { <-t.turn }()
	case <-ctx.Done():
		return "", tokenError(ctx.Err())
	}
	if token := t.good(); token != "" {
		return token, nil
	}
	return t.fetch(ctx)
}

// Forget drops a token that the server does not take, unless there is another
// one by now.
func (t *Tokens) Forget(token string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.token != nil && t.token.AccessToken == token {
		t.token = nil
	}
}

// Mask hides the present token and the one before it in a text.
func (t *Tokens) Mask(text string) string {
	t.mu.Lock()
	mask := t.mask
	t.mu.Unlock()
	return mask.Replace(text)
}

// Close waits for a token that is being renewed, and renews none any more.
func (t *Tokens) Close() {
	t.mu.Lock()
	t.closed = true
	t.mu.Unlock()
	t.behind.Wait()
}

// good gives the token that is there, empty where there is none to use.
func (t *Tokens) good() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.token == nil {
		return ""
	}
	if t.token.Expiry.IsZero() {
		return t.token.AccessToken
	}
	now := time.Now()
	if t.token.Expiry.Sub(now) < tokenEnd {
		return ""
	}
	if now.After(t.renew) && !t.renewing && !t.closed {
		t.renewing = true
		t.behind.Go(t.renewBehind)
	}
	return t.token.AccessToken
}

// renewBehind gets a new token while the old one serves. Where it fails, the
// next Get tries again.
func (t *Tokens) renewBehind() {
	ctx, cancel := context.WithTimeout(context.Background(), tokenWait)
	defer cancel()
	_, _ = t.fetch(ctx)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.renewing = false
}

func (t *Tokens) fetch(ctx context.Context) (string, error) {
	token, err := t.cfg.Token(context.WithValue(ctx, oauth2.HTTPClient, t.http))
	if err != nil {
		return "", tokenError(err)
	}
	life := time.Until(token.Expiry)
	t.mu.Lock()
	defer t.mu.Unlock()
	secrets := []string{token.AccessToken}
	if t.token != nil {
		secrets = append(secrets, t.token.AccessToken)
	}
	t.mask = NewMask(secrets...)
	t.token, t.renew = token, token.Expiry.Add(-min(tokenRenew, life/5))
	return token.AccessToken, nil
}

// tokenError says why there is no token, without what the server wrote, which
// the library quotes.
func tokenError(err error) *Error {
	var refused *oauth2.RetrieveError
	if errors.As(err, &refused) && refused.Response != nil {
		status := refused.Response.StatusCode
		return &Error{Class: ClassToken, Status: status, Sent: true, Err: fmt.Errorf("get token: status %d", status)}
	}
	var w *Error
	if errors.As(err, &w) {
		return &Error{Class: w.Class, Host: w.Host, Sent: w.Sent, Err: fmt.Errorf("get token: %w", w.Err)}
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return &Error{Class: ClassTimeout, Err: errors.New("get token: deadline passed")}
	}
	return &Error{Class: ClassToken, Sent: true, Err: errors.New("get token: what came back is no token")}
}

// transport lets the library ask through our client, with its bounds.
type transport struct{ client *Client }

// RoundTrip sends one request.
func (t transport) RoundTrip(r *http.Request) (*http.Response, error) {
	req := &Request{Method: r.Method, URL: r.URL.String(), ContentType: r.Header.Get("Content-Type")}
	req.Header = append(req.Header, [2]string{"Accept", "application/json"})
	if auth := r.Header.Get("Authorization"); auth != "" {
		req.Header = append(req.Header, [2]string{"Authorization", auth})
	}
	if r.Body != nil {
		body, err := io.ReadAll(r.Body)
		r.Body.Close()
		if err != nil {
			return nil, err
		}
		req.Body = body
	}
	deadline, ok := r.Context().Deadline()
	if !ok {
		deadline = time.Now().Add(tokenWait)
	}
	resp, err := t.client.Do(req, deadline)
	if err != nil {
		return nil, err
	}
	return &http.Response{
		StatusCode: resp.Status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: r,
		Header: http.Header{"Content-Type": {resp.ContentType}},
		Body:   io.NopCloser(bytes.NewReader(resp.Body)), ContentLength: int64(len(resp.Body)),
	}, nil
}
