package httpclient

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	// tokenEnd is the time before its expiry from which on a token is not used.
	tokenEnd = 5 * time.Second
	// tokenRenew is the time before its expiry at which a token is renewed in the
	// background, or a fifth of its life if that is shorter.
	tokenRenew = time.Minute
)

// TokenWait is the maximum time of a request for a token.
const TokenWait = 10 * time.Second

// Token is what a server issued.
type Token struct {
	Access string
	// Refresh is the refresh token; empty if the server issued none.
	Refresh string
	Expiry  time.Time // zero if it is not known
}

// Usable reports whether a request that is sent now may carry the token.
func (t *Token) Usable(now time.Time) bool {
	return t.Access != "" && (t.Expiry.IsZero() || t.Expiry.Sub(now) >= tokenEnd)
}

// Carry is how requests carry a token. The zero value is Authorization: Bearer.
type Carry struct {
	Scheme string // before the token in Authorization; empty is Bearer
	Header string // the header that holds the token alone, in place of Authorization
	Query  string // the parameter of the URL that holds the token, in place of a header
}

// Source requests a new token. refused is the last token if the server did not accept it, else empty. It is called by
// one goroutine at a time. Every error is an *Error.
type Source func(ctx context.Context, refused string) (Token, error)

// Tokens holds the token of one client. It may be used by many goroutines. It renews
// the token in the background before its end, so that no caller waits for the issuer,
// and each waiter keeps its own deadline; oauth2.ReuseTokenSource has neither. A request
// for a token does not end with the deadline of a caller: the issuer may have replaced what
// it was asked with.
type Tokens struct {
	source  Source
	carry   Carry
	expired func(*Response) bool // reports a refused token by the answer; nil for status 401 alone
	minAge  time.Duration        // a refused token that is younger is not replaced
	quota   *Quota
	running sync.WaitGroup

	mu      sync.Mutex
	token   Token
	got     time.Time // when token was requested
	refused string    // the last token that a server did not accept
	mask    *Mask     // of this token and the one before
	answers *Mask     // the same for what calls get, see MaskAnswers
	renew   time.Time
	flight  *flight // the request in progress, nil for none
	closed  bool
}

// flight is a request for a token that is in progress.
type flight struct {
	done  chan struct{} // closed when token and err are set
	token string
	err   error
}

// NewTokens returns Tokens of one lookup or hook that requests tokens through a client. The grant is one that needs
// nothing that must be stored.
func NewTokens(cfg OAuth2, client *Client) *Tokens {
	issuer := NewIssuer(Grant{OAuth2: cfg}, client)
	return &Tokens{source: func(ctx context.Context, _ string) (Token, error) { return issuer.Issue(ctx, nil) }}
}

// KeptTokens are the settings of Tokens that an account stores.
type KeptTokens struct {
	Carry Carry
	// Expired reports whether an answer means that the token is not accepted any more, beside status 401; may be nil.
	Expired func(*Response) bool
	// First is the stored token, and Got the time at which it was issued.
	First Token
	Got   time.Time
	// MinAge is the age from which on a token that is refused is replaced: a server may refuse every token.
	MinAge time.Duration
	// Quota limits the requests that carry the token; nil for no limit.
	Quota *Quota
}

// KeepTokens returns Tokens that requests tokens from a source, which stores them.
func KeepTokens(source Source, k KeptTokens) *Tokens {
	t := &Tokens{source: source, carry: k.Carry, expired: k.Expired, minAge: k.MinAge, quota: k.Quota}
	if k.First.Access != "" {
		t.put(k.First, k.Got)
	}
	return t
}

// ErrStopped is the reason why there is no token after Stop.
var ErrStopped = errors.New("requests for tokens have ended")

// Get returns the token. If there is no valid one it requests one first, once for
// all callers that wait, each until its own deadline. A token that expires soon
// is renewed in the background. Every error is an *Error; one of ClassToken has
// the status of a refusal.
func (t *Tokens) Get(deadline time.Time) (string, error) {
	token, f := t.look()
	if token != "" {
		return token, nil
	}
	if f == nil {
		return "", &Error{Class: ClassToken, Err: fmt.Errorf("get token: %w", ErrStopped)}
	}
	timer := time.NewTimer(time.Until(deadline))
	defer timer.Stop()
	select {
	case <-f.done:
		return f.token, f.err
	case <-timer.C:
		return "", tokenError(context.DeadlineExceeded)
	}
}

// Quota returns the limit of the requests that carry the token, nil if there is none. Tokens may be nil.
func (t *Tokens) Quota() *Quota {
	if t == nil {
		return nil
	}
	return t.quota
}

// Renew requests a new token in the background, also if the present one is valid.
func (t *Tokens) Renew() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.request()
}

// Forget drops a token that the server refuses, unless it was replaced since or is
// too young.
func (t *Tokens) Forget(token string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	age := time.Since(t.got)
	if young := age >= 0 && age < t.minAge; t.token.Access == token && !young {
		t.token, t.refused = Token{}, token
	}
}

// Refused reports whether a response means that the server does not accept the token any more.
func (t *Tokens) Refused(resp *Response) bool {
	return resp != nil && (resp.Status == http.StatusUnauthorized || t.expired != nil && t.expired(resp))
}

// Authorize makes a request carry a token.
func (t *Tokens) Authorize(req *Request, token string) {
	switch c := t.carry; {
	case c.Query != "":
		separator := "?"
		if strings.Contains(req.URL, "?") {
			separator = "&"
		}
		req.URL += separator + url.QueryEscape(c.Query) + "=" + url.QueryEscape(token)
	case c.Header != "":
		req.Header = append(slices.Clip(req.Header), [2]string{c.Header, token})
	default:
		req.Header = append(slices.Clip(req.Header), [2]string{"Authorization", cmp.Or(c.Scheme, "Bearer") + " " + token})
	}
}

// Mask hides the present token and the one before it in a text.
func (t *Tokens) Mask(text string) string {
	t.mu.Lock()
	mask := t.mask
	t.mu.Unlock()
	return mask.Replace(text)
}

// MaskAnswer hides them in what an answer brings to calls.
func (t *Tokens) MaskAnswer(text string) string {
	t.mu.Lock()
	mask := t.answers
	t.mu.Unlock()
	return mask.Replace(text)
}

// Stop prevents further requests for tokens. Get still returns a token that is valid, and that of a request in progress.
func (t *Tokens) Stop() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
}

// Close stops the tokens and waits for a request in progress, at most TokenWait and the time to store the answer, which
// may replace what is stored.
func (t *Tokens) Close() {
	t.Stop()
	t.running.Wait()
}

// look returns the present token, or the request for one that is in progress. Both are empty if the tokens are closed.
func (t *Tokens) look() (string, *flight) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	if !t.token.Usable(now) || now.Before(t.got) { // issued after now: the clock was set back, and its end is not known
		return "", t.request()
	}
	if !t.token.Expiry.IsZero() && now.After(t.renew) {
		t.request()
	}
	return t.token.Access, nil
}

// request begins a request for a token, unless one is in progress. The caller holds mu.
func (t *Tokens) request() *flight {
	if t.flight != nil || t.closed {
		return t.flight
	}
	f := &flight{done: make(chan struct{})}
	t.flight = f
	refused := t.refused
	t.running.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), TokenWait)
		defer cancel()
		defer close(f.done)
		token, err := t.ask(ctx, refused)
		t.mu.Lock()
		defer t.mu.Unlock()
		t.flight = nil
		if err != nil {
			f.err = err
			return
		}
		t.refused = ""
		t.put(token, time.Now())
		f.token = token.Access
	})
	return f
}

// ask asks the source. A bug of ours costs this token only.
func (t *Tokens) ask(ctx context.Context, refused string) (token Token, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = &Error{Class: ClassToken, Err: fmt.Errorf("get token: panic: %v", p)}
		}
	}()
	return t.source(ctx, refused)
}

// put makes a token the present one. The caller holds mu, or has the only reference.
func (t *Tokens) put(token Token, got time.Time) {
	secrets := []string{token.Access}
	if t.token.Access != "" {
		secrets = append(secrets, t.token.Access)
	}
	t.mask, t.answers = NewMask(secrets...), newSureMask(secrets)
	t.token, t.got = token, got
	t.renew = token.Expiry.Add(-min(tokenRenew, token.Expiry.Sub(got)/5))
}
