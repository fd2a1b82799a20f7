package control

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	"ringhook/control/account"
	"ringhook/store/desk"
)

// AccountRequest asks to create a SIP account.
type AccountRequest struct {
	Server string `json:"-"`
	// Account is the name with which the phone registers; by default the extension, else a number of eight digits.
	Account string `json:"account,omitempty"`
	// Extension is where the account is called, an extension of [accounts] context.
	Extension string `json:"extension,omitempty"`
	// CallerID is the number of calls from the account.
	CallerID string `json:"caller_id,omitempty"`
	// Transport is one of [accounts] transports; by default that of the template.
	Transport string `json:"transport,omitempty"`
}

// AccountChange asks to change a SIP account. What is absent stays, and an empty text removes a setting.
type AccountChange struct {
	Server    string  `json:"-"`
	Account   string  `json:"-"`
	Extension *string `json:"extension,omitempty"`
	CallerID  *string `json:"caller_id,omitempty"`
	Transport *string `json:"transport,omitempty"`
}

// Account is a SIP account that was created by a command.
type Account struct {
	desk.SIPAccount
	// Registered is true if a phone is registered and can be called.
	Registered bool `json:"registered"`
	// Contacts is the number of phones that are registered, at most about a minute old.
	Contacts int `json:"contacts"`
}

// AccountCreated is a new account. The password is not stored, and cannot be read again.
type AccountCreated struct {
	Account
	Password string `json:"password"`
}

// Status returns the status of HTTP.
func (AccountCreated) Status() int { return http.StatusCreated }

// recorded leaves the password out of the record.
func (a AccountCreated) recorded() any { return a.Account }

// ErrAccountsOff is returned by the commands for SIP accounts if the configuration does not switch them on.
var ErrAccountsOff = &Error{Code: Unknown, Text: "SIP accounts are off: set [accounts] template"}

// accounts returns the [accounts] table, if the actor may give a command and accounts are on.
func (c *Control) accounts(who Actor, command string) (*account.Config, error) {
	if err := allowed(who, command, nil, ""); err != nil {
		return nil, err
	}
	cfg := &c.settings.Load().Accounts
	if cfg.Template == "" || c.desk == nil {
		return nil, ErrAccountsOff
	}
	return cfg, nil
}

// AccountList are the SIP accounts that were created by commands.
type AccountList struct {
	Accounts []Account `json:"accounts"`
	Limit    int       `json:"limit"` // the maximum number for each Asterisk
}

// Accounts returns the SIP accounts of one Asterisk, or of all.
func (c *Control) Accounts(who Actor, server string) (AccountList, error) {
	list := AccountList{Accounts: []Account{}}
	cfg, err := c.accounts(who, "account")
	if err != nil {
		return list, err
	}
	list.Limit = int(cfg.Most)
	stored, err := c.desk.SIPAccounts()
	for _, a := range stored {
		if server == "" || a.Server == server {
			list.Accounts = append(list.Accounts, c.account(a))
		}
	}
	return list, err
}

// account adds what is alive of an account.
func (c *Control) account(stored desk.SIPAccount) Account {
	a := Account{SIPAccount: stored}
	for _, s := range c.all() {
		if s.config.Name != a.Server {
			continue
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, p := range s.state.phones(a.Server) {
			if p.Device == pjsip+a.Name {
				a.Registered, a.Contacts = p.Registered, len(p.Contacts)
			}
		}
	}
	return a
}

// CreateAccount creates a SIP account with a random password.
func (c *Control) CreateAccount(ctx context.Context, who Actor, in AccountRequest) (AccountCreated, error) {
	at := &on{server: in.Server, detail: in}
	return run(ctx, c, who, "account", at, func(ctx context.Context) (r AccountCreated, err error) {
		cfg, err := c.accounts(who, "account")
		if err != nil {
			return r, err
		}
		settings := account.Settings{Extension: in.Extension, CallerID: in.CallerID, Transport: in.Transport}
		name := cmp.Or(in.Account, in.Extension, account.NewName())
		if err := cmp.Or(account.CheckName(name), settings.Check(cfg)); err != nil {
			return r, switched(err)
		}
		reached, err := c.reach(ctx, in.Server)
		if err != nil {
			return r, err
		}
		s, err := reached.one()
		if err != nil {
			return r, err
		}
		at.server = s.config.Name
		stored := desk.SIPAccount{Server: at.server, Name: name, Extension: in.Extension, CallerID: in.CallerID, Transport: in.Transport, Who: who.Name, Created: time.Now()}
		// What is stored first can be deleted, also if it is not known whether Asterisk has it.
		added, err := c.desk.AddSIPAccount(stored, int(cfg.Most))
		if err != nil {
			return r, err
		}
		if !added {
			return r, errorf(State, "there is an account %s already, or there are %d", name, cfg.Most)
		}
		password, left, err := account.Create(ctx, s.client, cfg, name, settings)
		if err != nil {
			failed := errorOf(switched(err))
			if left {
				failed.Text += "; the account " + name + " may exist: delete it"
			} else if _, kept := c.desk.RemoveSIPAccount(at.server, name); kept != nil {
				failed.Text += "; the account " + name + " is still listed: delete it"
				failed.Err = errors.Join(err, kept)
			}
			return r, failed
		}
		return AccountCreated{c.account(stored), password}, nil
	})
}

// accountOf returns an account and the Asterisk that has it.
func (c *Control) accountOf(ctx context.Context, server, name string) (a desk.SIPAccount, s *server, err error) {
	stored, err := c.desk.SIPAccounts()
	if err != nil {
		return a, nil, err
	}
	stored = slices.DeleteFunc(stored, func(a desk.SIPAccount) bool { return a.Name != name || server != "" && a.Server != server })
	switch len(stored) {
	case 0:
		return a, nil, errorf(Unknown, "there is no account %s that was created by a command", text(name))
	case 1:
	default:
		return a, nil, errorf(Unclear, "several Asterisks have an account %s: name one by server=", text(name))
	}
	reached, err := c.reach(ctx, stored[0].Server)
	if err != nil {
		return a, nil, err
	}
	s, err = reached.one()
	return stored[0], s, err
}

// ChangeAccount changes the extension, the caller id or the transport of a SIP account. Calls of it go on.
func (c *Control) ChangeAccount(ctx context.Context, who Actor, in AccountChange) (Account, error) {
	at := &on{server: in.Server, detail: map[string]any{"account": cut(in.Account), "change": in}}
	return run(ctx, c, who, "account-change", at, func(ctx context.Context) (r Account, err error) {
		cfg, err := c.accounts(who, "account-change")
		if err != nil {
			return r, err
		}
		a, s, err := c.accountOf(ctx, in.Server, in.Account)
		if err != nil {
			return r, err
		}
		at.server = a.Server
		for to, value := range map[*string]*string{&a.Extension: in.Extension, &a.CallerID: in.CallerID, &a.Transport: in.Transport} {
			if value != nil {
				*to = *value
			}
		}
		settings := account.Settings{Extension: a.Extension, CallerID: a.CallerID, Transport: a.Transport}
		if err := settings.Check(cfg); err != nil {
			return r, switched(err)
		}
		if err := account.Change(ctx, s.client, cfg, a.Name, settings); err != nil {
			return r, switched(err)
		}
		if _, err := c.desk.SetSIPAccount(a); err != nil {
			return r, &Error{Broken, "changed in Asterisk, but not stored; the log has the reason", err}
		}
		return c.account(a), nil
	})
}

// AccountDeletion names a SIP account that is to be deleted.
type AccountDeletion struct {
	Server  string `json:"-"`
	Account string `json:"-"`
}

// DeleteAccount deletes a SIP account: no phone can register with it any more. Calls of it go on.
func (c *Control) DeleteAccount(ctx context.Context, who Actor, in AccountDeletion) (Account, error) {
	at := &on{server: in.Server, detail: map[string]string{"account": cut(in.Account)}}
	return run(ctx, c, who, "account-delete", at, func(ctx context.Context) (r Account, err error) {
		if _, err := c.accounts(who, "account-delete"); err != nil {
			return r, err
		}
		a, s, err := c.accountOf(ctx, in.Server, in.Account)
		if err != nil {
			return r, err
		}
		at.server = a.Server
		if err := account.Delete(ctx, s.client, a.Name); err != nil {
			return r, switched(err)
		}
		if _, err := c.desk.RemoveSIPAccount(a.Server, a.Name); err != nil {
			return r, &Error{Broken, "deleted in Asterisk, but not in the store; the log has the reason", err}
		}
		return Account{SIPAccount: a}, nil
	})
}
