package desk

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Config is the [desk] table.
type Config struct {
	// Listen is the address and port for browsers; empty switches the desk off.
	Listen string `toml:"listen"`
	// URL is the address that browsers use: scheme and host, and the port if it is not the scheme's.
	URL string `toml:"url"`
	// CertFile and KeyFile are the certificate in PEM and its key. They are read again when they change.
	CertFile string `toml:"cert_file"`
	KeyFile  string `toml:"key_file"`
	// Insecure allows plain http beyond this machine.
	Insecure bool `toml:"insecure"`
	// Session is the time after which an agent signs in again, 5m to 7 days.
	Session time.Duration `toml:"session"`
	// Receipt is the time in which a screen confirms a pop, 200ms to 10s.
	Receipt time.Duration `toml:"receipt"`
	// MaxStreams is the maximum number of open screens, 1 to 100000.
	MaxStreams int `toml:"max_streams"`
	// ServiceLevel is the time within which a call of a queue is to be answered, for the figures, 1s to 1h.
	ServiceLevel time.Duration `toml:"service_level"`
	// MaskNumbers hides the last three digits of callers' numbers from supervisors.
	MaskNumbers bool `toml:"mask_numbers"`
	// Proxies are the addresses and networks of proxies whose X-Forwarded-For and user header are believed.
	Proxies []string `toml:"proxies"`
	// ProxyUserHeader is the header in which a proxy names the agent who is signed in there; empty for none.
	ProxyUserHeader string `toml:"proxy_user_header"`
	// Origins are those whose pages may use the API with a token.
	Origins []string `toml:"origins"`
	// Language is the language for browsers that ask for none that there is.
	Language string `toml:"language"`
}

// MaxConnections returns the maximum number of open connections: a stream for each tab, and as many for its other
// requests.
func (c *Config) MaxConnections() int { return 2*c.MaxStreams + 16 }

// DefaultConfig returns the settings without a [desk] table.
func DefaultConfig() Config {
	return Config{Session: 12 * time.Hour, Receipt: time.Second, MaxStreams: 5000, ServiceLevel: 20 * time.Second, Language: "en"}
}

// Check reports every setting that cannot be used, by its key.
func (c *Config) Check(report func(key, problem string)) {
	if c.Session < 5*time.Minute || c.Session > 7*24*time.Hour {
		report("session", fmt.Sprintf("%s is out of range: 5m to 168h", c.Session))
	}
	if c.Receipt < 200*time.Millisecond || c.Receipt > 10*time.Second {
		report("receipt", fmt.Sprintf("%s is out of range: 200ms to 10s", c.Receipt))
	}
	if c.ServiceLevel < time.Second || c.ServiceLevel > time.Hour || c.ServiceLevel%time.Second != 0 {
		report("service_level", fmt.Sprintf("%s is out of range: whole seconds, 1s to 1h", c.ServiceLevel))
	}
	if c.MaxStreams < 1 || c.MaxStreams > 100000 {
		report("max_streams", fmt.Sprintf("%d is out of range: 1 to 100000", c.MaxStreams))
	}
	if !slices.Contains(Languages(), c.Language) {
		report("language", fmt.Sprintf("%q is not one of %s", c.Language, strings.Join(Languages(), ", ")))
	}
	c.checkProxies(report)
	for _, o := range c.Origins {
		if u, err := url.Parse(o); err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || strings.TrimSuffix(o, "/") != u.Scheme+"://"+u.Host {
			report("origins", fmt.Sprintf("%q is not an origin, such as https://crm.example", o))
		}
	}
	if (c.CertFile == "") != (c.KeyFile == "") {
		report("key_file", "cert_file and key_file belong together: set both or none")
	}
	if c.Listen == "" {
		return
	}
	host, port, err := net.SplitHostPort(c.Listen)
	if err != nil || port == "" {
		report("listen", fmt.Sprintf(`%q is not an address with a port; write one such as ":4581"`, c.Listen))
		return
	}
	u, err := url.Parse(c.URL)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.User != nil:
		report("url", `is not the address that browsers use, such as "https://desk.example"`)
	case u.Scheme == "https" && c.CertFile == "" && !isLoopback(host):
		report("cert_file", "is missing: url is https. Behind a proxy that has the certificate, listen on 127.0.0.1")
	case u.Scheme == "http" && c.CertFile != "":
		report("url", "must begin with https, because there is a certificate")
	case u.Scheme == "http" && !isLoopback(host) && !c.Insecure:
		report("listen", "plain http beyond this machine shows passwords to the network: set cert_file and key_file, or insecure = true")
	}
}

// checkProxies reports what is wrong with the settings of proxies.
func (c *Config) checkProxies(report func(key, problem string)) {
	for _, p := range c.Proxies {
		if _, err := prefixOf(p); err != nil {
			report("proxies", fmt.Sprintf("%q is not an address or a network, such as 192.0.2.1 or 192.0.2.0/24", p))
		}
	}
	switch {
	case c.ProxyUserHeader == "":
	case !headerPattern.MatchString(c.ProxyUserHeader) || slices.Contains(ownHeaders, strings.ToLower(c.ProxyUserHeader)):
		report("proxy_user_header", fmt.Sprintf("%q is not the name of a header for this, such as X-Remote-User", c.ProxyUserHeader))
	case len(c.Proxies) == 0:
		report("proxy_user_header", "needs proxies: every client can send a header")
	}
}

var (
	headerPattern = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9-]{1,63}$`)
	// ownHeaders are those that mean something else.
	ownHeaders = []string{"authorization", "cookie", "host", "origin", "content-type", "content-length", "x-forwarded-for", "last-event-id"}
)

// prefixOf reads an address or a network.
func prefixOf(s string) (netip.Prefix, error) {
	if addr, err := netip.ParseAddr(s); err == nil {
		return netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	return p.Masked(), err
}

// isLoopback reports whether a host is this machine alone.
func isLoopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || err == nil && addr.IsLoopback()
}
