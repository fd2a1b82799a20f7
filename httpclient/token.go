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

// OAuth2 configures tokens by the client credentials grant of
// RFC 6749, section 4.4.
type OAuth2 struct {
	// TokenURL is the token endpoint; empty if no token is needed.
	TokenURL     string `toml:"token_url"`
	ClientID     string `toml:"client_id"`
	ClientSecret string `toml:"client_secret"`
	// Scope is the scope of the token, words separated by blanks.
	Scope string `toml:"scope"`
}

// Check reports what is missing or cannot work. An empty value is accepted.
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
	// tokenEnd is the time before its expiry from which on a token is not used.
	tokenEnd = 5 * time.Second
	// tokenRenew is the time before its expiry at which a token is renewed in the
	// background, or a fifth of its life if that is shorter; tokenWait is the
	// limit of that request.
	tokenRenew = time.Minute
	tokenWait  = 10 * time.Second
)

// Tokens holds the token of one client. It may be used by many goroutines.
type Tokens struct {
	cfg      *clientcredentials.Config
	http     *http.Client
	lock     chan struct{} // held while a token is requested
	renewals sync.WaitGroup

	mu       sync.Mutex
	token    *oauth2.Token // nil if there is none
	mask     *Mask         // of this token and the one before
	renew    time.Time
	renewing bool
	closed   bool
}

// NewTokens returns Tokens that requests tokens through a client.
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
		lock: make(chan struct{}, 1),
	}
}

// Get returns the token. If there is no valid one it requests one first, once for
// all callers that wait, each until its own deadline. A token that expires soon
// is renewed in the background. Every error is an *Error; one of ClassToken has
// the status of a refusal.
func (t *Tokens) Get(deadline time.Time) (string, error) {
	if token := t.good(); token != "" {
		return token, nil
	}
	ctx, cancel := context.WithDeadline(context.Background(), deadline)
	defer cancel()
	select {
	case t.lock <- struct{}{}:
		defer func() { <-t.lock }()
	case <-ctx.Done():
		return "", tokenError(ctx.Err())
	}
	if token := t.good(); token != "" {
		return token, nil
	}
	return t.fetch(ctx)
}

// Forget drops a token that the server refuses, unless it was replaced since.
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

// Close waits for a renewal in progress and prevents further ones.
func (t *Tokens) Close() {
	t.mu.Lock()
	t.closed = true
	t.mu.Unlock()
	t.renewals.Wait()
}

// good returns the present token, empty if there is none to use.
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
		t.renewals.Go(t.renewInBackground)
	}
	return t.token.AccessToken
}

// renewInBackground requests a new token while the old one is used. If it fails,
// the next Get tries again.
func (t *Tokens) renewInBackground() {
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

// tokenError returns why there is no token, without the server's text, which the
// library quotes.
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
	return &Error{Class: ClassToken, Sent: true, Err: errors.New("get token: the response is not a token")}
}

// transport sends the library's requests through our client, with its limits.
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
