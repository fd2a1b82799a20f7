package command

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"text/tabwriter"
	"time"

	"ringhook/control"
)

type sipCmd struct {
	Create sipCreateCmd `cmd:"" help:"Create a SIP account and print its password, once."`
	List   sipListCmd   `cmd:"" help:"List the SIP accounts that were created here."`
	Change sipChangeCmd `cmd:"" help:"Change the extension, caller ID or transport of an account."`
	Delete sipDeleteCmd `cmd:"" help:"Delete an account; no phone can register with it any more."`
}

type sipCreateCmd struct {
	serverFlag
	Account   string `arg:"" optional:"" help:"The name with which the phone registers; by default the extension."`
	Extension string `help:"Where the account is called, in [accounts] context."`
	CallerID  string `name:"caller-id" help:"The number of calls from the account."`
	Transport string `help:"One of [accounts] transports."`
}

// Run prints the account and its password, which is not stored.
func (c *sipCreateCmd) Run(s *streams) error {
	var r control.AccountCreated
	in := control.AccountRequest{Account: c.Account, Extension: c.Extension, CallerID: c.CallerID, Transport: c.Transport}
	if err := s.ask(http.MethodPost, apiPath("accounts"), c.query(), in, &r); err != nil {
		return err
	}
	fmt.Fprintf(s.out, "account %s\npassword %s\n", printable(r.Name), r.Password)
	fmt.Fprintln(s.err, "this password is not shown again")
	return nil
}

type sipListCmd struct {
	serverFlag
	JSON bool `name:"json" help:"Print JSON, as GET /v1/accounts does."`
}

// Run prints the accounts without their passwords.
func (c *sipListCmd) Run(s *streams) error {
	var list control.AccountList
	if err := s.ask(http.MethodGet, apiPath("accounts"), c.query(), nil, &list); err != nil {
		return err
	}
	if c.JSON {
		return printJSON(s.out, list)
	}
	w := tabwriter.NewWriter(s.out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "SERVER\tACCOUNT\tEXTENSION\tCALLER ID\tTRANSPORT\tREGISTERED\tCREATED\tBY")
	for _, a := range list.Accounts {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%t\t%s\t%s\n", a.Server, printable(a.Name), cmp.Or(a.Extension, "-"), cmp.Or(a.CallerID, "-"), cmp.Or(a.Transport, "-"),
			a.Registered, a.Created.Local().Format(time.DateTime), printable(a.Who))
	}
	return w.Flush()
}

type sipChangeCmd struct {
	serverFlag
	Account   string  `arg:"" help:"The account, as sip list prints it."`
	Extension *string `help:"Where the account is called; \"\" for nowhere."`
	CallerID  *string `name:"caller-id" help:"The number of calls from the account; \"\" for none."`
	Transport *string `help:"One of [accounts] transports; \"\" for that of the template."`
}

// Run changes what is given.
func (c *sipChangeCmd) Run(s *streams) error {
	if c.Extension == nil && c.CallerID == nil && c.Transport == nil {
		return usageError{errors.New("give one of --extension, --caller-id and --transport")}
	}
	var a control.Account
	in := control.AccountChange{Extension: c.Extension, CallerID: c.CallerID, Transport: c.Transport}
	return s.ask(http.MethodPatch, apiPath("accounts", c.Account), c.query(), in, &a)
}

type sipDeleteCmd struct {
	serverFlag
	Account string `arg:"" help:"The account, as sip list prints it."`
}

// Run deletes the account.
func (c *sipDeleteCmd) Run(s *streams) error {
	var a control.Account
	return s.ask(http.MethodDelete, apiPath("accounts", c.Account), c.query(), struct{}{}, &a)
}
