package api

import (
	"context"

	"ringhook/control"
)

// accountRoutes are the commands for SIP accounts.
var accountRoutes = []route{
	{method: "POST", path: "/v1/accounts", about: "Create a SIP account; its password is in the answer only", in: control.AccountRequest{}, out: control.AccountCreated{}, do: (*API).createAccount},
	{method: "GET", path: "/v1/accounts", about: "List the SIP accounts that were created by commands", query: []string{"server"}, out: control.AccountList{}, do: (*API).listAccounts},
	{method: "PATCH", path: "/v1/accounts/{account}", about: "Change the extension, caller id or transport of a SIP account", in: control.AccountChange{}, out: control.Account{}, do: (*API).changeAccount},
	{method: "DELETE", path: "/v1/accounts/{account}", about: "Delete a SIP account", in: struct{}{}, out: control.Account{}, optional: true, do: (*API).deleteAccount},
}

func (a *API) createAccount(ctx context.Context, _ *settings, r *request) (any, error) {
	in, _, server, err := take[control.AccountRequest](r)
	if err != nil {
		return nil, err
	}
	in.Server = server
	return answered(a.control.CreateAccount(ctx, r.who, in))
}

func (a *API) listAccounts(_ context.Context, _ *settings, r *request) (any, error) {
	server, err := r.server()
	if err != nil {
		return nil, err
	}
	return answered(a.control.Accounts(r.who, server))
}

func (a *API) changeAccount(ctx context.Context, _ *settings, r *request) (any, error) {
	in, _, server, err := take[control.AccountChange](r)
	if err != nil {
		return nil, err
	}
	in.Server, in.Account = server, r.parts["account"]
	return answered(a.control.ChangeAccount(ctx, r.who, in))
}

func (a *API) deleteAccount(ctx context.Context, _ *settings, r *request) (any, error) {
	_, _, server, err := take[struct{}](r)
	if err != nil {
		return nil, err
	}
	return answered(a.control.DeleteAccount(ctx, r.who, control.AccountDeletion{Server: server, Account: r.parts["account"]}))
}
