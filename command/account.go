package command

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"ringhook/account"
	"ringhook/conf"
	"ringhook/httpclient"
	"ringhook/pgstore"
	enginecredentials "ringhook/pgstore/credentials"
	"ringhook/store"
	"ringhook/store/credentials"
)

type accountCmd struct {
	Show    accountShowCmd    `cmd:"" default:"withargs" help:"List the accounts and the age of their tokens."`
	Add     accountAddCmd     `cmd:"" help:"Store a refresh token, or exchange a code for one."`
	Refresh accountRefreshCmd `cmd:"" help:"Request a new token now."`
	Remove  accountRemoveCmd  `cmd:"" help:"Remove the tokens of an account that is no longer configured."`
}

type accountShowCmd struct {
	Name string `arg:"" optional:"" help:"The account's name; all otherwise."`
	JSON bool   `name:"json" help:"Print JSON."`
}

// accountReport is what is shown of an account. It has no secret.
type accountReport struct {
	Name      string    `json:"name"`
	Grant     string    `json:"grant"` // of oauth2, login, or notConfigured
	Token     string    `json:"token"` // valid, expired or none
	Refreshed time.Time `json:"refreshed,omitzero"`
	Expires   time.Time `json:"expires,omitzero"`
	Refresh   bool      `json:"refresh_token"`
	Refused   bool      `json:"refused"`
	Failure   string    `json:"failure,omitempty"`
	Failed    time.Time `json:"failed,omitzero"`
	// Lost is when a request was made whose answer is not stored, so that a new refresh token may be lost.
	Lost time.Time `json:"answer_lost,omitzero"`
}

// notConfigured is shown as the grant of an account that is stored and has no table any more.
const notConfigured = "not configured"

// Run lists what is stored, also while a server runs.
func (c *accountShowCmd) Run(s *streams) error {
	cfg, err := s.load()
	if err != nil {
		return err
	}
	states, err := accountStates(s, cfg)
	if err != nil {
		return err
	}
	reports := []accountReport{}
	for i := range cfg.Shared {
		if a := &cfg.Shared[i]; c.Name == "" || a.Name == c.Name {
			r := reportAccount(states[a.Name], time.Now())
			r.Name, r.Grant = a.Name, cmp.Or(a.OAuth2.Type, httpclient.GrantClient)
			if len(a.Login) > 0 {
				r.Grant = "login"
			}
			reports = append(reports, r)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(states)) {
		if !hasAccount(cfg, name) && (c.Name == "" || name == c.Name) {
			r := reportAccount(states[name], time.Now())
			r.Name, r.Grant = name, notConfigured
			reports = append(reports, r)
		}
	}
	if c.Name != "" && len(reports) == 0 {
		return usageError{fmt.Errorf("the configuration has no [[account]] %q", c.Name)}
	}
	if c.JSON {
		return printJSON(s.out, map[string]any{"accounts": reports})
	}
	return printAccounts(s.out, reports)
}

// accountStore is where the tokens of accounts are.
type accountStore interface {
	account.Vault
	States() (map[string]account.State, error)
	Remove(name string) (removed bool, err error)
	Close() error
}

// engineVault is that of an engine, which is closed with it.
type engineVault struct {
	*enginecredentials.Credentials
	engine *pgstore.Store
}

// Close closes the engine.
func (v engineVault) Close() error { return v.engine.Close() }

// openVault opens the tokens of accounts, also while a server runs. open opens those in a folder.
func openVault(s *streams, cfg *conf.Config, open func(folder string) (*credentials.Credentials, error)) (accountStore, error) {
	if cfg.Store.Type == store.Postgres {
		engine, err := openEngine(s, cfg)
		if err != nil {
			return nil, err
		}
		return engineVault{enginecredentials.New(engine), engine}, nil
	}
	vault, err := open(cfg.Store.Folder)
	if err != nil {
		return nil, err
	}
	return vault, nil
}

// accountStates returns what is stored of accounts, nothing if no token was stored yet.
func accountStates(s *streams, cfg *conf.Config) (map[string]account.State, error) {
	vault, err := openVault(s, cfg, credentials.Open)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	states, err := vault.States()
	return states, errors.Join(err, vault.Close())
}

func hasAccount(cfg *conf.Config, name string) bool {
	return slices.ContainsFunc(cfg.Shared, func(a account.Config) bool { return a.Name == name })
}

// reportAccount returns what is shown of a state, without name and grant.
func reportAccount(st account.State, now time.Time) accountReport {
	r := accountReport{
		Token: "none", Refreshed: st.Refreshed, Expires: st.Expiry,
		Refresh: st.Refresh != "", Refused: st.Refused, Failure: st.Failure, Failed: st.Failed, Lost: st.Started,
	}
	switch {
	case st.Usable(now):
		r.Token = "valid"
	case st.Access != "":
		r.Token = "expired"
	}
	return r
}

func printAccounts(out io.Writer, reports []accountReport) error {
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "NAME\tGRANT\tTOKEN\tISSUED\tEXPIRES\tLAST REQUEST")
	for _, r := range reports {
		last := "ok"
		switch {
		case r.Failure != "":
			last = fmt.Sprintf("failed at %s: %s", r.Failed.Format(time.DateTime), r.Failure)
		case !r.Lost.IsZero():
			last = "begun at " + r.Lost.Format(time.DateTime) + ", answer not stored"
		case r.Refreshed.IsZero():
			last = "-"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", r.Name, r.Grant, r.Token, moment(r.Refreshed), moment(r.Expires), printable(last))
	}
	return w.Flush()
}

// moment returns a time for a list, a hyphen for none.
func moment(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.Format(time.DateTime)
}

type accountAddCmd struct {
	Name string `arg:"" help:"The account's name."`
	Code string `placeholder:"CODE" help:"Authorization code to exchange; without it the refresh token is read from standard input."`
}

// maxRefreshToken is the maximum size of a refresh token, in bytes.
const maxRefreshToken = 8 << 10

// Run stores a refresh token after the server has accepted it. A running server uses it from its next request on.
func (c *accountAddCmd) Run(s *streams) error {
	refresh := ""
	if c.Code == "" {
		line, err := bufio.NewReader(io.LimitReader(os.Stdin, maxRefreshToken)).ReadString('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return fmt.Errorf("read the refresh token: %w", err)
		}
		if refresh = strings.TrimSpace(line); refresh == "" {
			return usageError{errors.New("give --code CODE, or the refresh token on standard input")}
		}
	}
	return withAccounts(s, func(a *account.Accounts) error { return a.Add(s.ctx, c.Name, refresh, c.Code) })
}

type accountRefreshCmd struct {
	Name string `arg:"" help:"The account's name."`
}

// Run requests a token, also while a server runs, which uses it when its own ends.
func (c *accountRefreshCmd) Run(s *streams) error {
	return withAccounts(s, func(a *account.Accounts) error { return a.Refresh(s.ctx, c.Name) })
}

type accountRemoveCmd struct {
	Name string `arg:"" help:"The account's name, from the list."`
}

// Run removes what is stored of an account. A server that still has it in force would store it again.
func (c *accountRemoveCmd) Run(s *streams) (err error) {
	cfg, err := s.load()
	if err != nil {
		return err
	}
	if hasAccount(cfg, c.Name) {
		return usageError{fmt.Errorf("the configuration has the [[account]] %q: remove the table and reload the server first", c.Name)}
	}
	vault, err := openVault(s, cfg, credentials.Make)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, vault.Close()) }()
	states, err := vault.States()
	if err != nil {
		return err
	}
	if _, stored := states[c.Name]; !stored {
		return usageError{fmt.Errorf("nothing is stored of an account %q", c.Name)}
	}
	ctx, cancel := context.WithTimeout(s.ctx, 2*httpclient.TokenWait)
	defer cancel()
	unlock, err := vault.Lock(ctx, c.Name)
	if err != nil {
		return err
	}
	defer unlock()
	if _, err := vault.Remove(c.Name); err != nil {
		return err
	}
	fmt.Fprintln(s.out, "the tokens of the account are removed; end its access in the product too")
	return nil
}

// withAccounts does something with the accounts of the configuration, and prints the result.
func withAccounts(s *streams, do func(*account.Accounts) error) (err error) {
	cfg, err := s.load()
	if err != nil {
		return err
	}
	a, _, done, err := makeAccounts(s, cfg)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, done()) }()
	if err := do(a); err != nil {
		return err
	}
	fmt.Fprintln(s.out, "the account has a new token")
	return nil
}

// makeAccounts opens the accounts of the configuration, also while a server runs.
func makeAccounts(s *streams, cfg *conf.Config) (a *account.Accounts, set *account.Set, done func() error, err error) {
	vault, err := openVault(s, cfg, credentials.Make)
	if err != nil {
		return nil, nil, nil, err
	}
	a = account.New(vault, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	if set, err = a.Prepare(cfg.Shared); err != nil {
		return nil, nil, nil, errors.Join(err, vault.Close())
	}
	a.Exchange(set)
	return a, set, func() error { return errors.Join(a.Close(), vault.Close()) }, nil
}

// openAccounts returns the tokens of accounts for a command that asks a lookup or a hook. done closes them.
func openAccounts(s *streams, cfg *conf.Config) (accounts httpclient.Accounts, done func(), err error) {
	if len(cfg.Shared) == 0 {
		return nil, func() {}, nil
	}
	_, set, closeAll, err := makeAccounts(s, cfg)
	if err != nil {
		return nil, nil, err
	}
	return set.Tokens, func() { _ = closeAll() }, nil
}
