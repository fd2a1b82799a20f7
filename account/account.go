// Package account gets and keeps the tokens of [[account]] tables, which lookups and hooks share.
//
// It guarantees that one token is requested at a time for an account, also by several processes; that a token which
// replaces a refresh token is stored before anything uses it; and that nothing is requested while the answer could not
// be stored.
package account

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"ringhook/httpclient"
)

// State is what is stored of an account.
type State struct {
	// Refresh is the newest refresh token, and Seed the digest of the configured one from which it descends.
	Refresh string
	Seed    string
	// Access is the newest token or session, and Expiry its end; zero if that is not known.
	Access string
	Expiry time.Time
	// Refreshed is when Access was issued.
	Refreshed time.Time
	// Started is when the first request for a token was begun whose answer was not stored since; zero for none. If it
	// stays, ringhook was ended meanwhile, or the answer did not arrive. A refusal is an answer.
	Started time.Time
	// Failure is why the last request failed, without a secret, and Failed when; empty after a success.
	Failure string
	Failed  time.Time
	// Refused is true if the server did not accept the refresh token.
	Refused bool
}

// Usable reports whether a request that is sent now may carry the stored token. One that was issued after now may not: the
// clock was set back since, and its end is not known.
func (s *State) Usable(now time.Time) bool {
	token := httpclient.Token{Access: s.Access, Expiry: s.Expiry}
	return token.Usable(now) && !s.Refreshed.After(now)
}

// Vault stores states.
type Vault interface {
	// Load returns the state of an account, the zero State if nothing is stored.
	Load(name string) (State, error)
	// Save stores a state durably.
	Save(name string, s State) error
	// Lock waits until no other process and no other goroutine requests a token for the account, or until ctx ends.
	Lock(ctx context.Context, name string) (unlock func(), err error)
}

// Accounts holds the accounts of the configuration. Its methods may be called concurrently.
type Accounts struct {
	vault   Vault
	log     *slog.Logger
	metrics *metrics
	now     func() time.Time

	mu      sync.Mutex
	current map[string]*keeper
	open    map[*keeper]bool // those in force, and those that lookups and hooks from before a reload still use
}

// New returns Accounts without any.
func New(vault Vault, log *slog.Logger, reg prometheus.Registerer) *Accounts {
	return &Accounts{vault: vault, log: log, metrics: newMetrics(reg), now: time.Now, current: map[string]*keeper{}, open: map[*keeper]bool{}}
}

// Set are accounts that Prepare has made.
type Set struct{ keepers map[string]*keeper }

// Tokens returns the tokens of an account, nil if there is none of the name. It is an httpclient.Accounts.
func (s *Set) Tokens(name string) *httpclient.Tokens {
	if k := s.keepers[name]; k != nil {
		return k.tokens
	}
	return nil
}

// Prepare makes the accounts of a configuration. Those that stay as they are keep their tokens.
func (a *Accounts) Prepare(cfgs []Config) (*Set, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	set := &Set{keepers: map[string]*keeper{}}
	for i := range cfgs {
		cfg := cfgs[i]
		if k := a.current[cfg.Name]; k != nil && reflect.DeepEqual(k.cfg, cfg) && k.files == cfg.digestFiles() {
			set.keepers[cfg.Name] = k
			continue
		}
		k, err := a.newKeeper(cfg)
		if err != nil {
			return nil, fmt.Errorf("[[account]] %s: %w", cfg.Name, err)
		}
		set.keepers[cfg.Name] = k
	}
	return set, nil
}

// Exchange puts prepared accounts in force. It returns a function that closes those that are not among them, which
// deliveries and lookups from before may still use until then.
func (a *Accounts) Exchange(next *Set) (closeOld func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	var gone []*keeper
	for name, k := range a.current {
		if next.keepers[name] != k {
			gone = append(gone, k)
		}
		if next.keepers[name] == nil {
			a.metrics.forget(name)
		}
	}
	a.current = next.keepers
	for name, k := range a.current {
		a.metrics.create(name)
		a.open[k] = true
	}
	return func() { a.closeAll(gone) }
}

// Stop prevents further requests for tokens. Requests in progress continue.
func (a *Accounts) Stop() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for k := range a.open {
		k.tokens.Stop()
	}
}

// Close stops all accounts, also those from before a reload, and waits for requests in progress: an answer that is not
// stored may be a refresh token that cannot be had again. They take httpclient.TokenWait at most, and the time to store
// the answer.
func (a *Accounts) Close() error {
	a.Stop()
	a.Exchange(&Set{keepers: map[string]*keeper{}})
	a.mu.Lock()
	open := slices.Collect(maps.Keys(a.open))
	a.mu.Unlock()
	a.closeAll(open)
	return nil
}

// closeAll closes keepers, which may be closed already.
func (a *Accounts) closeAll(keepers []*keeper) {
	for _, k := range keepers {
		k.close()
		a.mu.Lock()
		delete(a.open, k)
		a.mu.Unlock()
	}
}

const (
	// useEvery is the longest time for which a refresh token is not used: some servers end one that is idle for months.
	useEvery = 7 * 24 * time.Hour
	// lookEvery is the time between two looks for such tokens.
	lookEvery = time.Hour
)

// Run requests the tokens that are missing, and uses refresh tokens that were idle for long, until ctx ends.
func (a *Accounts) Run(ctx context.Context) {
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	for {
		a.renewIdle()
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// renewIdle renews tokens that have ended, and those of refresh tokens that were not used for long.
func (a *Accounts) renewIdle() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, k := range a.current {
		st, err := a.vault.Load(k.cfg.Name)
		if err != nil || st.Refused {
			continue
		}
		idle := k.cfg.OAuth2.Type == httpclient.GrantRefresh && a.now().Sub(st.Refreshed) > useEvery
		switch {
		case idle || !st.Usable(a.now()):
			k.tokens.Renew()
		case st.Failure == "":
			k.noteStored(&st)
		}
	}
}

// Refresh requests a new token now.
func (a *Accounts) Refresh(ctx context.Context, name string) error {
	k, err := a.keeper(name)
	if err != nil {
		return err
	}
	_, err = k.request(ctx, true, k.refresh)
	return err
}

// Add stores a refresh token, or that for which the server exchanges an authorization code, and tries it.
func (a *Accounts) Add(ctx context.Context, name, refreshToken, code string) error {
	k, err := a.keeper(name)
	if err != nil {
		return err
	}
	if k.cfg.OAuth2.Type != httpclient.GrantRefresh {
		return fmt.Errorf(`account %s has no refresh token: set oauth2.grant = "refresh_token"`, name)
	}
	params := map[string]string{"grant_type": httpclient.GrantRefresh, "refresh_token": refreshToken}
	if code != "" {
		params = map[string]string{"grant_type": "authorization_code", "code": code}
	}
	_, err = k.request(ctx, false, func(ctx context.Context, st *State) error {
		before := *st
		err := k.issue(ctx, st, seedOf(k.cfg.OAuth2.RefreshToken), params)
		if err != nil && *st != before { // the server was asked; that is no failure of the token that is stored
			*st = before
			st.Failed = k.owner.now()
		}
		return err
	})
	return err
}

func (a *Accounts) keeper(name string) (*keeper, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	k := a.current[name]
	if k == nil {
		return nil, fmt.Errorf("the configuration has no [[account]] %q", name)
	}
	return k, nil
}

// seedOf returns the digest of a configured refresh token, empty for none.
func seedOf(refreshToken string) string {
	if refreshToken == "" {
		return ""
	}
	sum := sha256.Sum256([]byte(refreshToken))
	return hex.EncodeToString(sum[:16])
}

// errNoToken is why an account without any refresh token gets no token.
var errNoToken = errors.New("there is no refresh token: set oauth2.refresh_token, or run ringhook account add")
