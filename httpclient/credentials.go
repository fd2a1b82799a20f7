package httpclient

import (
	"crypto/tls"
	"strings"
)

// Credentials say how ringhook and a server know each other. They are the same
// keys of a table whether the server is asked or told.
type Credentials struct {
	// Username and Password are for basic authentication.
	Username string `toml:"username"`
	Password string `toml:"password"`
	// OAuth2 is for a server that wants a token; one that never ends is a header.
	OAuth2 OAuth2 `toml:"oauth2"`
	// CAFile holds the certificates, in PEM, of who may vouch for the server;
	// empty trusts whom the system trusts.
	CAFile string `toml:"ca_file"`
	// CertFile and KeyFile hold, in PEM, the certificate with which ringhook
	// shows who it is, and its key.
	CertFile string `toml:"cert_file"`
	KeyFile  string `toml:"key_file"`
	// Environment holds the values that the table took from environment variables. They are hidden in all that is shown.
	Environment []string `toml:"-"`
}

// SetEnvironment stores the values that the table took from environment variables.
func (c *Credentials) SetEnvironment(values []string) { c.Environment = values }

// Check reports what is missing or cannot work, in the files too. Headers are
// those that go with the requests.
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
// empty where there is none.
func (c *Credentials) Basic() string {
	if c.Username == "" {
		return ""
	}
	return basic(c.Username, c.Password)
}

// TLS reads the files of the certificates. It is nil where there are none.
func (c *Credentials) TLS() (*tls.Config, error) {
	return loadTLS(c.CAFile, c.CertFile, c.KeyFile)
}
