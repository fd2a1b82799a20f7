package account

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"ringhook/failpoint"
	"ringhook/httpclient"
)

const (
	// minAge is the age from which on a token that a server refuses is replaced. A server that refuses every token would
	// otherwise cause a request for each attempt, and some issuers allow few.
	minAge = 30 * time.Second
	// afterRefusal is the time between two requests that the server refuses, afterFailure that between others that fail.
	afterRefusal = time.Minute
	afterFailure = 2 * time.Second
	// requestTime bounds a request for a token that a command makes.
	requestTime = 20 * time.Second
	// saveTries is the number of attempts to store what a server has issued.
	saveTries = 3
	saveWait  = 200 * time.Millisecond
)

// keeper requests and stores the tokens of one account.
type keeper struct {
	owner   *Accounts
	cfg     Config
	client  *httpclient.Client
	issuer  *httpclient.Issuer // nil with a login
	steps   []*step
	mask    *httpclient.Mask
	tokens  *httpclient.Tokens
	files   [sha256.Size]byte // a digest of the certificates' files
	unsaved *State            // what could not be stored; guarded by the vault's lock
	under   State             // what was stored before; guarded by the vault's lock
	last    string            // the token that lookups and hooks have; source alone uses it

	noting sync.Mutex
	failed time.Time // when the last request failed, zero after a success; guarded by noting
}

func (a *Accounts) newKeeper(cfg Config) (*keeper, error) {
	k := &keeper{owner: a, cfg: cfg, files: cfg.digestFiles()}
	trust, err := cfg.credentials().TLS()
	if err != nil {
		return nil, err
	}
	if k.client, err = httpclient.NewClient(httpclient.ClientConfig{MaxConns: 2, TLS: trust}); err != nil {
		return nil, err
	}
	for i := range cfg.Login {
		s, err := newStep(&cfg.Login[i])
		if err != nil {
			return nil, err
		}
		k.steps = append(k.steps, s)
	}
	if len(k.steps) == 0 {
		k.issuer = httpclient.NewIssuer(cfg.OAuth2, k.client)
	}
	expired, err := newExpired(cfg.Expired)
	if err != nil {
		return nil, err
	}
	k.mask = httpclient.MaskOf(&httpclient.Credentials{Environment: cfg.Environment}, nil, nil, nil, cfg.OAuth2.Secrets()...)
	st, err := a.vault.Load(cfg.Name)
	if err != nil {
		a.log.Error("cannot read the stored token of an account", "account", cfg.Name, "err", err)
	}
	first := httpclient.Token{Access: st.Access, Expiry: st.Expiry}
	if !k.descends(&st) {
		first = httpclient.Token{} // of another application or user
	}
	k.last = first.Access
	limiter := httpclient.ParseRate(cfg.Rate, cfg.Burst, func(string, string) {}) // Check has reported it
	quota := httpclient.NewQuota(limiter, func(o httpclient.QuotaOutcome) { a.metrics.held.WithLabelValues(cfg.Name, string(o)).Inc() })
	k.tokens = httpclient.KeepTokens(k.source, httpclient.KeptTokens{
		Carry: httpclient.Carry{Scheme: cfg.Scheme, Header: cfg.Header, Query: cfg.Query}, Expired: expired, First: first, Got: st.Refreshed, MinAge: minAge, Quota: quota,
	})
	return k, nil
}

func (k *keeper) close() {
	k.tokens.Close()
	k.client.Close()
}

// descends reports whether a state belongs to the configured credentials.
func (k *keeper) descends(st *State) bool {
	if k.cfg.OAuth2.Type == httpclient.GrantRefresh {
		return k.cfg.OAuth2.RefreshToken == "" || st.Seed == seedOf(k.cfg.OAuth2.RefreshToken)
	}
	return st.Seed == k.identity()
}

// identity distinguishes the credentials of accounts without a refresh token.
func (k *keeper) identity() string {
	return seedOf(fmt.Sprint(k.cfg.OAuth2.TokenURL, "\n", k.cfg.OAuth2.ClientID, "\n", k.cfg.OAuth2.Username, "\n", k.cfg.Login))
}

// source requests a token for lookups and hooks. It is an httpclient.Source.
func (k *keeper) source(ctx context.Context, refused string) (httpclient.Token, error) {
	token, err := k.request(ctx, true, func(ctx context.Context, st *State) error {
		now := k.owner.now()
		if st.Access != k.last && st.Access != refused && k.descends(st) && st.Usable(now) {
			return errStored // another process has requested it
		}
		wait := afterFailure
		if st.Refused {
			wait = afterRefusal
		}
		age := now.Sub(st.Failed) // negative if the clock was set back since
		if st.Failure != "" && age >= 0 && age < wait {
			return &httpclient.Error{Class: httpclient.ClassToken, Err: fmt.Errorf("not asked again yet after: %s", st.Failure)}
		}
		return k.refresh(ctx, st)
	})
	if err == nil {
		k.last = token.Access
	}
	return token, err
}

// errStored reports that the stored token is as good as a new one.
var errStored = errors.New("the stored token is new")

// refresh changes a state by a new token.
func (k *keeper) refresh(ctx context.Context, st *State) error {
	grant := k.cfg.OAuth2.Type
	switch {
	case len(k.steps) > 0:
		return k.begin(ctx, st, k.identity(), func(ctx context.Context) (httpclient.Token, error) {
			token, err := login(ctx, k.steps, k.client)
			if k.cfg.Life > 0 {
				token.Expiry = k.owner.now().Add(k.cfg.Life)
			}
			return token, err
		})
	case grant != httpclient.GrantRefresh:
		return k.issue(ctx, st, k.identity(), nil)
	}
	refresh, seed := st.Refresh, st.Seed
	if !k.descends(st) {
		refresh, seed = k.cfg.OAuth2.RefreshToken, seedOf(k.cfg.OAuth2.RefreshToken)
	}
	if refresh == "" {
		return &httpclient.Error{Class: httpclient.ClassToken, Err: errNoToken}
	}
	return k.issue(ctx, st, seed, map[string]string{"grant_type": grant, "refresh_token": refresh})
}

// issue requests a token from the token endpoint. seed is that of the state after a success.
func (k *keeper) issue(ctx context.Context, st *State, seed string, params map[string]string) error {
	return k.begin(ctx, st, seed, func(ctx context.Context) (httpclient.Token, error) { return k.issuer.Issue(ctx, params) })
}

// begin stores that a request begins, makes it, and changes the state by its answer. If the store cannot be written to,
// no request is made: its answer could be lost, and with it a refresh token that cannot be had again.
func (k *keeper) begin(ctx context.Context, st *State, seed string, ask func(context.Context) (httpclient.Token, error)) error {
	lost := st.Started
	if lost.IsZero() {
		st.Started = k.owner.now()
	}
	if err := k.owner.vault.Save(k.cfg.Name, *st); err != nil {
		st.Started = lost
		return &httpclient.Error{Class: httpclient.ClassToken, Err: fmt.Errorf("no token is requested, because its answer cannot be stored: %w", err)}
	}
	token, err := ask(ctx)
	_ = failpoint.Hit(failpoint.AccountAfterAnswer)
	now := k.owner.now()
	if err != nil {
		st.Failure, st.Failed = k.mask.Replace(err.Error()), now
		st.Refused = wasRefused(err)
		if !answerLost(err) {
			st.Started = lost
		}
		if st.Refused && !lost.IsZero() && k.cfg.OAuth2.Type == httpclient.GrantRefresh {
			st.Failure += fmt.Sprintf("; the answer to a request of %s was lost, and may have replaced the refresh token", lost.UTC().Format(time.DateTime))
		}
		return err
	}
	st.Access, st.Expiry, st.Refreshed, st.Seed = token.Access, token.Expiry, now, seed
	if token.Refresh != "" {
		st.Refresh = token.Refresh
	}
	st.Failure, st.Failed, st.Refused, st.Started = "", time.Time{}, false, time.Time{}
	return nil
}

// wasRefused reports whether a server refused to issue a token, so that the same request will hardly succeed soon.
func wasRefused(err error) bool {
	if errors.Is(err, errLogin) {
		return true
	}
	var refused *httpclient.RefusedToken
	return errors.As(err, &refused) && refused.Status < 500 && refused.Status != http.StatusTooManyRequests && refused.Status != http.StatusRequestTimeout
}

// answerLost reports whether a server may have issued a token in an answer that did not arrive.
func answerLost(err error) bool {
	if errors.Is(err, errLogin) {
		return false
	}
	var refused *httpclient.RefusedToken
	if errors.As(err, &refused) {
		return refused.Status >= 500 // of a proxy, whose server may have answered
	}
	var e *httpclient.Error
	return !errors.As(err, &e) || e.Sent
}

// request changes the stored state, and returns the token. A failure is noted if noted is true. Every error is an
// *httpclient.Error.
func (k *keeper) request(ctx context.Context, noted bool, change func(context.Context, *State) error) (httpclient.Token, error) {
	token, asked, err := k.update(ctx, change)
	if noted || err == nil {
		k.note(asked, err)
	}
	if err != nil {
		return httpclient.Token{}, asError(err)
	}
	return token, nil
}

// update changes the stored state under the lock of the account. asked reports whether a server was asked for the token.
func (k *keeper) update(ctx context.Context, change func(context.Context, *State) error) (token httpclient.Token, asked bool, err error) {
	name := k.cfg.Name
	if _, limited := ctx.Deadline(); !limited {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, requestTime)
		defer cancel()
	}
	unlock, err := k.owner.vault.Lock(ctx, name)
	if err != nil {
		return token, false, fmt.Errorf("account %s: %w", name, err)
	}
	defer unlock()
	st, err := k.owner.vault.Load(name)
	if err != nil {
		return token, false, fmt.Errorf("account %s: %w", name, err)
	}
	if k.unsaved != nil && st.Access == k.under.Access && st.Refresh == k.under.Refresh { // no other process has stored a token since
		st = *k.unsaved
	}
	before := st
	err = change(ctx, &st)
	if errors.Is(err, errStored) {
		return httpclient.Token{Access: st.Access, Expiry: st.Expiry}, false, nil
	}
	if asked = st != before; asked {
		k.save(before, st)
	}
	return httpclient.Token{Access: st.Access, Refresh: st.Refresh, Expiry: st.Expiry}, asked, err
}

func asError(err error) error {
	var e *httpclient.Error
	if errors.As(err, &e) {
		return e
	}
	return &httpclient.Error{Class: httpclient.ClassToken, Err: err}
}

// save stores a state in place of another one. What cannot be stored is kept in memory and stored by the next request.
func (k *keeper) save(before, st State) {
	var err error
	for i := range saveTries {
		if i > 0 {
			time.Sleep(saveWait)
		}
		if err = k.owner.vault.Save(k.cfg.Name, st); err == nil {
			k.unsaved = nil
			return
		}
	}
	k.unsaved, k.under = &st, before
	k.owner.log.Error("cannot store the token of an account", "account", k.cfg.Name, "err", err,
		"hint", "it is used from memory; if ringhook ends before it is stored, add the account again")
}

// note logs the first failure and the first success after failures of this process. Only what a server was asked for is
// counted as a request.
func (k *keeper) note(asked bool, err error) {
	k.noting.Lock()
	defer k.noting.Unlock()
	k.noteLocked(asked, err)
}

// noteStored notes the success of another process if its token was issued after the last failure of this one. A failure
// that could not be stored is known to this process alone.
func (k *keeper) noteStored(st *State) {
	k.noting.Lock()
	defer k.noting.Unlock()
	if st.Refreshed.After(k.failed) {
		k.noteLocked(false, nil)
	}
}

// noteLocked does what note does. The caller holds noting.
func (k *keeper) noteLocked(asked bool, err error) {
	name, now := k.cfg.Name, k.owner.now()
	failing := !k.failed.IsZero()
	k.failed = time.Time{}
	if err != nil {
		k.failed = now
	}
	k.owner.metrics.fail(name, err != nil)
	if asked {
		k.owner.metrics.count(name, err, now)
	}
	switch {
	case err != nil && !failing:
		hint := "lookups and hooks of the account fail until it gets a token"
		var refused *httpclient.RefusedToken
		if errors.As(err, &refused) && refused.Code == "invalid_grant" {
			hint = "the refresh token is no longer valid: get a new one from the product, and run ringhook account add " + name
		}
		k.owner.log.Error("account gets no token", "account", name, "err", k.mask.Replace(err.Error()), "hint", hint)
	case err == nil && failing:
		k.owner.log.Info("account gets tokens again", "account", name)
	case err == nil && asked:
		k.owner.log.Debug("account has a new token", "account", name)
	}
}
