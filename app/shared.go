package app

import (
	"context"
	"time"

	"ringhook/account"
	"ringhook/clickfrom"
	"ringhook/conf"
	"ringhook/dialplan"
	"ringhook/directory"
	"ringhook/httpclient"
	"ringhook/recordings"
)

// shared is what a configuration shares between lookups, hooks and calls: the tokens of accounts, and the ids of agents.
type shared struct {
	*account.Set
	exchangePeople func()
	app            *App
}

// buildShared builds what a configuration shares, and the services that use it.
func (a *App) buildShared(cfg *conf.Config) (httpclient.Accounts, error) {
	a.accounts = account.New(a.data.credentials, a.log, a.registry)
	a.people = directory.New(a.data.credentials, a.log, a.registry)
	a.onStop("accounts", tokenTime, without(a.accounts.Close))
	s, err := a.newShared(cfg)
	if err != nil {
		return nil, err
	}
	s.exchange()
	a.clicks = clickfrom.New(a.control, a.people.Agent, a.log, a.registry)
	a.clicks.Exchange(cfg.Clicks, cfg.Agents)
	a.onStop("click to call", partTime, without(a.clicks.Close))
	a.newRecordings(cfg)
	return s.Tokens, nil
}

// newShared prepares what a configuration shares.
func (a *App) newShared(cfg *conf.Config) (s shared, err error) {
	s.app = a
	if s.Set, err = a.accounts.Prepare(cfg.Shared); err != nil {
		return s, err
	}
	s.exchangePeople, err = a.people.Prepare(cfg.People(), cfg.Lists, s.Tokens)
	return s, err
}

// newRecordings makes the links to recordings. The key of their signatures is one of this installation. Without it they
// are unavailable until keepRecordings gets it, and calls continue.
func (a *App) newRecordings(cfg *conf.Config) {
	key, err := a.data.credentials.Secret(recordingsSecret)
	if err != nil {
		key = nil
		if cfg.Recordings.Serves() {
			a.log.Error("cannot read the key of links to recordings", "err", err)
		}
	}
	a.recordings = recordings.New(key, a.log, a.registry)
	a.onStop("recordings", partTime, without(a.recordings.Close))
	a.recordings.Exchange(cfg.Recordings, cfg.Desk.URL)
}

// recordingsSecret is the name of the key of links to recordings.
const recordingsSecret = "recordings"

// keyEvery is the time between two attempts to read the key of links to recordings.
const keyEvery = 5 * time.Second

// keepRecordings reads the key of links to recordings if it could not be read at the start, until ctx ends.
func (a *App) keepRecordings(ctx context.Context) {
	tick := time.NewTicker(keyEvery)
	defer tick.Stop()
	for !a.recordings.HasKey() {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if key, err := a.data.credentials.Secret(recordingsSecret); err == nil {
			a.recordings.SetKey(key)
			a.log.Info("links to recordings can be signed again")
		}
	}
}

// exchange puts it in force. closeOld closes the accounts before it, when nothing uses them.
func (s shared) exchange() (closeOld func()) {
	s.exchangePeople()
	return s.app.accounts.Exchange(s.Set)
}

// settings returns the settings of the dialplan, with the ids that are fetched.
func (a *App) settings(cfg *conf.Config) dialplan.Settings {
	s := cfg.Settings()
	s.IDs, s.RecordingURL = a.people.IDs, a.recordings.URL
	return s
}
