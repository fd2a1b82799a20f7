package httpclient

import (
	"crypto/tls"
	"fmt"
	"slices"
	"strings"
)

// Required is the value of a setting in a preset that the administrator must set.
const Required = "(required)"

// Credentials are how ringhook and a server identify each other. The keys are the
// same for lookups and hooks.
type Credentials struct {
	// Username and Password are for basic authentication.
	Username string `toml:"username"`
	Password string `toml:"password"`
	// OAuth2 is for a server that wants a token. A token that never expires is a header.
	OAuth2 OAuth2 `toml:"oauth2"`
	// Account is the name of the [[account]] whose token requests carry.
	Account string `toml:"account"`
	// CAFile is a PEM file with the trusted CA certificates; empty trusts the
	// system's.
	CAFile string `toml:"ca_file"`
	// CertFile and KeyFile are PEM files with ringhook's client certificate and
	// its key.
	CertFile string `toml:"cert_file"`
	KeyFile  string `toml:"key_file"`
	// Environment holds the values that the table took from environment variables. They are hidden in all that is shown.
	Environment []string `toml:"-"`
}

// SetEnvironment stores the values that the table took from environment variables.
func (c *Credentials) SetEnvironment(values []string) { c.Environment = values }

// Check reports what is missing or cannot work, also in the files. Headers are
// those of the requests.
func (c *Credentials) Check(headers map[string]string, report func(key, problem string)) {
	if c.Username == "" && c.Password != "" {
		report("username", "is missing beside password")
	}
	if strings.Contains(c.Username, ":") {
		report("username", "has a colon in it, which basic authentication cannot carry")
	}
	if c.Username != "" && c.OAuth2.TokenURL != "" {
		report("oauth2", "stands beside username, though a request can say only once who we are: leave one of the two out")
	}
	if c.Account != "" && (c.Username != "" || c.OAuth2 != (OAuth2{})) {
		report("account", "stands beside username or oauth2, though a request can say only once who we are: leave one of them out")
	}
	for name := range headers {
		if strings.EqualFold(name, "Authorization") && (c.Username != "" || c.OAuth2.TokenURL != "") {
			report("headers."+name, "is made of username or oauth2: leave one of the two out")
		}
	}
	c.OAuth2.Check(func(key, problem string) { report("oauth2."+key, problem) })
	if _, err := loadTLS(c.CAFile, "", ""); err != nil {
		report("ca_file", "cannot be used: "+err.Error())
	} else if _, err := c.TLS(); err != nil {
		report("cert_file", "or key_file cannot be used: "+err.Error())
	}
}

// Basic is the value of the header Authorization for basic authentication,
// empty without a username.
func (c *Credentials) Basic() string {
	if c.Username == "" {
		return ""
	}
	return basic(c.Username, c.Password)
}

// SecretHeader reports whether a header of a table holds a credential: a part of its value is from the environment or
// is a setting of which the name speaks of a secret, or its own name does and it has no parameter of the call.
func (c *Credentials) SecretHeader(name, value string, settings map[string]string) bool {
	parts, fixed := []string{value}, true
	t, err := ParseTemplate(value, PlaceHeader)
	if err != nil { // Check reports it
		return true
	}
	for _, placeholder := range t.Names() {
		setting, known := settings[placeholder]
		if known && isSecret(placeholder, setting) {
			return true
		}
		parts, fixed = append(parts, setting), fixed && known
	}
	return slices.ContainsFunc(parts, func(part string) bool {
		return fixed && len(headerSecrets(map[string]string{name: part})) > 0 || slices.ContainsFunc(c.Environment, func(secret string) bool {
			return len(secret) >= shortest && strings.Contains(part, secret)
		})
	})
}

// Apart reports whether the credentials of a table do not belong to a further URL of it: the URL is on another server than
// the table's own, or has user info of its own. Both may have placeholders after the host.
func Apart(own, further string) bool {
	server, _ := serverOf(own)
	other, user := serverOf(further)
	return server != other || user
}

// serverOf returns scheme, host and port of a URL, and reports whether it has user info.
func serverOf(address string) (server string, user bool) {
	scheme, rest, _ := strings.Cut(strings.ToLower(address), "://")
	if end := strings.IndexAny(rest, `/?#\`); end >= 0 {
		rest = rest[:end]
	}
	if at := strings.LastIndexByte(rest, '@'); at >= 0 {
		user, rest = true, rest[at+1:]
	}
	return scheme + "://" + strings.TrimSuffix(rest, map[string]string{"http": ":80", "https": ":443"}[scheme]), user
}

// TLS reads the certificate files. It returns nil if there are none.
func (c *Credentials) TLS() (*tls.Config, error) {
	return loadTLS(c.CAFile, c.CertFile, c.KeyFile)
}

// Accounts returns the tokens of an [[account]] by its name, nil if there is none.
type Accounts func(name string) *Tokens

// Tokens returns the tokens that requests carry: those of the account, which are shared and closed by their owner, or
// tokens of their own that are requested through client. It returns nil if requests carry none.
func (c *Credentials) Tokens(accounts Accounts, client *Client) (tokens *Tokens, own bool, err error) {
	switch {
	case c.Account != "":
		if accounts != nil {
			tokens = accounts(c.Account)
		}
		if tokens == nil {
			return nil, false, fmt.Errorf("account: there is no [[account]] %q", c.Account)
		}
		return tokens, false, nil
	case c.OAuth2.TokenURL != "":
		return NewTokens(c.OAuth2, client), true, nil
	}
	return nil, false, nil
}
