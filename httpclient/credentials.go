package httpclient

import (
	"crypto/tls"
	"strings"
)

// Credentials are how ringhook and a server identify each other. The keys are the
// same for lookups and hooks.
type Credentials struct {
	// Username and Password are for basic authentication.
	Username string `toml:"username"`
	Password string `toml:"password"`
	// OAuth2 is for a server that wants a token. A token that never expires is a header.
	OAuth2 OAuth2 `toml:"oauth2"`
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

// TLS reads the certificate files. It returns nil if there are none.
func (c *Credentials) TLS() (*tls.Config, error) {
	return loadTLS(c.CAFile, c.CertFile, c.KeyFile)
}
