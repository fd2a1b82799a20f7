package ami

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/netip"
	"reflect"
	"regexp"
	"strings"

	"ringhook/conffile"
)

// Config is one [[ami]] table.
type Config struct {
	// Name is what metrics, commands and the API call this Asterisk.
	Name string `toml:"name"`
	// Address is the host and port of the manager interface.
	Address  string `toml:"address"`
	Username string `toml:"username"`
	Secret   string `toml:"secret"`
	// TLS is true if the port speaks TLS.
	TLS bool `toml:"tls"`
	// CAFile holds the CA certificates that the server's certificate is checked
	// with, in PEM; empty means those of the system.
	CAFile string `toml:"ca_file"`
	// ServerName is the name in the server's certificate; empty means the host of Address.
	ServerName string `toml:"server_name"`
	// LateAnswers reports whether an answer that comes after the budget of queue-dial still reaches a
	// caller who waits.
	LateAnswers bool `toml:"late_answers"`
	// SystemName names this Asterisk in the identity of calls whose linkedids carry no system name, as the
	// argument server= of points does; empty means its ENTITYID.
	SystemName string `toml:"systemname"`
	// Points are the points that are also reported by this Asterisk's events.
	Points []string `toml:"points"`
	// Calls is known or all: whether calls of which no point was asked are reported too.
	Calls string `toml:"calls"`
}

// The values of Config.Calls.
const (
	KnownCalls = "known"
	AllCalls   = "all"
)

// Equal reports whether two tables set the same.
func (c *Config) Equal(other *Config) bool { return reflect.DeepEqual(c, other) }

// DefaultConfig returns the settings of a table that sets none.
func DefaultConfig() Config {
	return Config{Name: "pbx", Address: "127.0.0.1:5038", LateAnswers: true, Calls: KnownCalls}
}

var (
	namePattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$`)
	// userPattern leaves out what ends a section's name in manager.conf.
	userPattern = regexp.MustCompile(`^[A-Za-z0-9_.@+-]{1,79}$`)
)

// Check reports every setting that cannot be used, by its key and with what
// would be right.
func (c *Config) Check(report func(key, problem string)) {
	if !namePattern.MatchString(c.Name) {
		report("name", "must be 1 to 64 letters, digits, dots, hyphens or underscores, beginning with a letter or digit")
	}
	if host, port, err := net.SplitHostPort(c.Address); err != nil || host == "" || port == "" {
		report("address", fmt.Sprintf("%q is not a host and a port, such as 127.0.0.1:5038", c.Address))
	}
	if !userPattern.MatchString(c.Username) {
		report("username", "is missing or unusable: write the section's name in manager.conf, of letters, digits and _.@+-")
	}
	if a := (Action{"Login", []Field{{"Secret", c.Secret}}}); c.Secret == "" {
		report("secret", "is missing: write the secret of that section in manager.conf")
	} else if _, err := a.encode("1"); err != nil {
		report("secret", "contains a line break or is too long")
	}
	if c.Calls != KnownCalls && c.Calls != AllCalls {
		report("calls", fmt.Sprintf("%q is not %q or %q", c.Calls, KnownCalls, AllCalls))
	}
	if len(c.SystemName) > 64 || strings.ContainsAny(c.SystemName, " @/") {
		report("systemname", "must be at most 64 bytes without blanks, @ and /, as the dialplan passes it in server=")
	}
	if !c.TLS && c.CAFile != "" {
		report("ca_file", "is used only with tls = true")
	}
	if !c.TLS && c.ServerName != "" {
		report("server_name", "is used only with tls = true")
	}
}

// Doubt returns a warning about a table that passes Check, or "".
func (c *Config) Doubt() (key, problem string) {
	host, _, _ := net.SplitHostPort(c.Address)
	addr, err := netip.ParseAddr(host)
	if !c.TLS && host != "localhost" && (err != nil || !addr.IsLoopback()) {
		return "tls", "is off for an address of another machine: callers' numbers and all commands can be read and changed on the way"
	}
	return "", ""
}

func (c *Config) tlsConfig() (*tls.Config, error) {
	if !c.TLS {
		return nil, nil
	}
	t := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: c.ServerName}
	if c.CAFile == "" {
		return t, nil
	}
	text, err := conffile.Read(c.CAFile, conffile.MaxPEM)
	if err != nil {
		return nil, fmt.Errorf("read CA certificates of [[ami]] %s: %w", c.Name, err)
	}
	if t.RootCAs = x509.NewCertPool(); !t.RootCAs.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("[[ami]] %s: %s has no certificate in PEM", c.Name, c.CAFile)
	}
	return t, nil
}
