// Package yemot answers the commands of Yemot HaMashiach's API of which an Asterisk with ringhook is capable,
// so that existing clients of that API work with it. Names of commands, parameters and answers are those of
// that API as its documentation and public clients show them; it was not run against the service itself.
package yemot

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"ringhook/control"
	"ringhook/store/desk"
)

// Config is the [yemot] table.
type Config struct {
	// Path is the beginning of the URL's path, with a slash at both ends. The command follows it.
	Path string `toml:"path"`
	// Token is what clients send as token. Empty switches the dialect off.
	Token string `toml:"token"`
}

// DefaultConfig returns the settings without a [yemot] table.
func DefaultConfig() Config { return Config{Path: "/ym/api/"} }

var (
	pathPattern  = regexp.MustCompile(`^/([A-Za-z0-9._-]+/)+$`)
	tokenPattern = regexp.MustCompile(`^[!-~]{16,512}$`)
)

// Check reports each setting that cannot be used, by its key. Reserved are the beginnings of other paths.
func (c *Config) Check(report func(key, problem string), reserved ...string) {
	if !pathPattern.MatchString(c.Path) || slices.ContainsFunc(reserved, func(r string) bool { return strings.HasPrefix(c.Path, r) }) {
		report("path", fmt.Sprintf(`%q cannot be used: write one such as "/ym/api/", with a slash at both ends, that does not begin with %s`, c.Path, strings.Join(reserved, ", ")))
	}
	if c.Token != "" && !tokenPattern.MatchString(c.Token) {
		report("token", "must have 16 to 512 characters without blanks; `openssl rand -hex 16` makes one")
	}
}

// Switch is what the commands ask of the PBX.
type Switch interface {
	Live() control.Live
	Contacts(ctx context.Context, p *control.Phone) ([]control.Contact, error)
	Agents(who control.Actor) []control.AgentView
	Kick(ctx context.Context, who control.Actor, in control.KickRequest) (control.Results, error)
	Pause(ctx context.Context, who control.Actor, in control.PauseRequest) (control.Results, error)
	Resume(ctx context.Context, who control.Actor, in control.PauseRequest) (control.Results, error)
	StartCampaign(ctx context.Context, who control.Actor, in control.CampaignRequest) (control.CampaignResult, error)
	Accounts(who control.Actor, server string) (control.AccountList, error)
	CreateAccount(ctx context.Context, who control.Actor, in control.AccountRequest) (control.AccountCreated, error)
	ChangeAccount(ctx context.Context, who control.Actor, in control.AccountChange) (control.Account, error)
	DeleteAccount(ctx context.Context, who control.Actor, in control.AccountDeletion) (control.Account, error)
}

// DIDs stores what numbers are used for.
type DIDs interface {
	SetDIDUse(u desk.DIDUse) error
	RemoveDIDUse(did string) (removed bool, err error)
}

// Yemot answers requests. Make one with New.
type Yemot struct {
	pbx  Switch
	dids DIDs
}

// New returns a Yemot that asks a PBX and stores into DIDs.
func New(pbx Switch, dids DIDs) *Yemot { return &Yemot{pbx, dids} }

// actor is the author of the commands: the token has all rights.
func actor() control.Actor { return control.Administrator("the [yemot] token") }

// command answers one command. The error's text is sent, if it is a *refusal or of package control.
type command func(ctx context.Context, y *Yemot, p Params) (any, error)

// commands are those that are known, by their names in lower case: clients differ in the case of DID.
var commands = map[string]command{
	"getqueuerealtime":                queueRealTime,
	"queuemanagement":                 manageQueue,
	"sipgetcontexts":                  sipContexts,
	"getsipaccountsregisteredstatus":  registeredStatus,
	"setsecondarydidusagedescription": setDIDUse,
	"getsipaccountsincustomer":        listAccounts,
	"createsipaccount":                createAccount,
	"deletesipaccount":                deleteAccounts,
	"sipextensionmanagement":          manageExtension,
	"editcalleridinsipaccount":        editCallerID,
	"siptowss":                        toTransport("wss"),
	"siptoudp":                        toTransport("udp"),
	"callextensionbridging":           callBridging,
}

// Commands returns the names of all commands, in lower case.
func Commands() []string { return slices.Sorted(maps.Keys(commands)) }

// status begins every answer.
type status struct {
	ResponseStatus string `json:"responseStatus"` // OK or ERROR
	Message        string `json:"message,omitempty"`
	// Version is in the answer of a server without SIP accounts.
	Version string `json:"yAfastVersion,omitempty"`
}

// ok is the beginning of the answer to a command that was carried out.
var ok = status{ResponseStatus: "OK"}

// refusal is an error whose text the client gets.
type refusal struct{ text, version string }

// Error returns the text that the client gets.
func (r *refusal) Error() string { return r.text }

func refuse(format string, args ...any) error { return &refusal{text: fmt.Sprintf(format, args...)} }

// Failure returns the answer that says that a request was not carried out.
func Failure(text string) any { return status{ResponseStatus: "ERROR", Message: text} }

// Answer carries a command out and returns what is sent as JSON. The error is for the log; the answer only says that
// there was one.
func (y *Yemot) Answer(ctx context.Context, name string, p Params) (any, error) {
	do := commands[strings.ToLower(name)]
	if do == nil {
		return Failure("unknown command; there are " + strings.Join(Commands(), ", ")), nil
	}
	answer, err := do(ctx, y, p)
	var refused *refusal
	var failed *control.Error
	switch {
	case err == nil:
		return answer, nil
	case errors.As(err, &refused):
		return status{"ERROR", refused.text, refused.version}, nil
	case errors.As(err, &failed):
		return Failure(failed.Text), nil
	}
	return Failure("failed; the log has the reason"), err
}
