package yemot

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"ringhook/control"
)

// sipAccount is an account in the answer to GetSipAccountsInCustomer.
type sipAccount struct {
	ID        string  `json:"id"`
	Number    any     `json:"accountNumber"`
	Extension any     `json:"customerExtension"` // null for none
	Transport string  `json:"transport"`
	CallerID  string  `json:"callerid"`
	Special   *string `json:"specialCallerID"` // null for none
	// Password is always empty: it is shown when the account is created, and not stored.
	Password string `json:"password"`
	Created  string `json:"created_date"`
	Contacts int    `json:"contactsCount"`
}

// accountsAnswer is the answer to GetSipAccountsInCustomer.
type accountsAnswer struct {
	status
	Accounts []sipAccount `json:"accounts"`
	Limit    int          `json:"accountLimit"`
}

// number returns a text as that API writes it: a number if it is one, null for none.
func number(text string) any {
	switch {
	case text == "":
		return nil
	case len(text) <= 15 && strings.Trim(text, "0123456789") == "" && text[0] != '0':
		return json.Number(text)
	}
	return text
}

// accounts returns the SIP accounts. Without [accounts] the error is that of a server that has none.
func (y *Yemot) accounts() (control.AccountList, error) {
	list, err := y.pbx.Accounts(actor(), "")
	return list, unsupported(err)
}

// unsupported returns the error of a server without SIP accounts, if they are off.
func unsupported(err error) error {
	if errors.Is(err, control.ErrAccountsOff) {
		return &refusal{"שרת זה אינו תומך במערכת SIP", "any"}
	}
	return err
}

func listAccounts(_ context.Context, y *Yemot, _ Params) (any, error) {
	list, err := y.accounts()
	if err != nil {
		return nil, err
	}
	a := accountsAnswer{status: ok, Accounts: []sipAccount{}, Limit: list.Limit}
	for i := range list.Accounts {
		one := &list.Accounts[i]
		shown := sipAccount{
			ID: one.Name, Number: number(one.Name), Extension: number(one.Extension), Transport: one.Transport, CallerID: one.Name,
			Created: one.Created.Local().Format(time.DateTime), Contacts: one.Contacts,
		}
		if one.CallerID != "" {
			shown.CallerID, shown.Special = one.CallerID, &one.CallerID
		}
		a.Accounts = append(a.Accounts, shown)
	}
	return a, nil
}

// createdAnswer is the answer to CreateSipAccount.
type createdAnswer struct {
	status
	ID       string `json:"accountID"`
	Number   any    `json:"accountNumber"`
	Password string `json:"PASS"`
}

func createAccount(ctx context.Context, y *Yemot, p Params) (any, error) {
	created, err := y.pbx.CreateAccount(ctx, actor(), control.AccountRequest{Extension: p.Text("extNumber")})
	if err != nil {
		return nil, unsupported(err)
	}
	return createdAnswer{ok, created.Name, number(created.Name), created.Password}, nil
}

// deletedAnswer is the answer to DeleteSipAccount.
type deletedAnswer struct {
	status
	Rows int `json:"affected_rows"`
}

// maxDeleted is the maximum number of accounts that one request deletes. Asterisk reads its file again after each.
const maxDeleted = 50

func deleteAccounts(ctx context.Context, y *Yemot, p Params) (any, error) {
	if _, err := y.accounts(); err != nil {
		return nil, err
	}
	names, err := p.list("accountNumber")
	switch {
	case err != nil:
		return nil, err
	case len(names) == 0:
		return nil, refuse("accountNumber is missing")
	case len(names) > maxDeleted:
		return nil, refuse("more than %d accounts", maxDeleted)
	}
	a := deletedAnswer{status: ok}
	for _, name := range names {
		_, err := y.pbx.DeleteAccount(ctx, actor(), control.AccountDeletion{Account: name})
		var failed *control.Error
		switch {
		case err == nil:
			a.Rows++
		case errors.As(err, &failed) && failed.Code == control.Unknown: // no row
		default:
			return nil, err
		}
	}
	return a, nil
}

// extensionAnswer is the answer to SipExtensionManagement.
type extensionAnswer struct {
	status
	Extension any `json:"extNumber"` // null for none
}

func manageExtension(ctx context.Context, y *Yemot, p Params) (any, error) {
	list, err := y.accounts()
	if err != nil {
		return nil, err
	}
	name := p.Text("accountNumber")
	if name == "" {
		return nil, refuse("accountNumber is missing")
	}
	switch strings.ToLower(p.Text("action")) {
	case "get":
		i := slices.IndexFunc(list.Accounts, func(a control.Account) bool { return a.Name == name })
		if i < 0 {
			return nil, refuse("account does not exist")
		}
		return extensionAnswer{ok, number(list.Accounts[i].Extension)}, nil
	case "set":
		extension := p.Text("extNumber")
		changed, err := y.pbx.ChangeAccount(ctx, actor(), control.AccountChange{Account: name, Extension: &extension})
		if err != nil {
			return nil, err
		}
		return extensionAnswer{ok, number(changed.Extension)}, nil
	}
	return nil, refuse("bad action: use Get or Set")
}

// changeAccount changes one setting of the account that a request names.
func changeAccount(ctx context.Context, y *Yemot, p Params, set func(*control.AccountChange)) (any, error) {
	if _, err := y.accounts(); err != nil {
		return nil, err
	}
	in := control.AccountChange{Account: p.Text("accountNumber")}
	if in.Account == "" {
		return nil, refuse("accountNumber is missing")
	}
	set(&in)
	if _, err := y.pbx.ChangeAccount(ctx, actor(), in); err != nil {
		return nil, err
	}
	return ok, nil
}

func editCallerID(ctx context.Context, y *Yemot, p Params) (any, error) {
	callerID := p.Text("callerId")
	return changeAccount(ctx, y, p, func(in *control.AccountChange) { in.CallerID = &callerID })
}

// toTransport returns the command that sets the transport of an account.
func toTransport(transport string) command {
	return func(ctx context.Context, y *Yemot, p Params) (any, error) {
		return changeAccount(ctx, y, p, func(in *control.AccountChange) { in.Transport = &transport })
	}
}
