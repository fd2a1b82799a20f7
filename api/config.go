package api

import (
	"fmt"
	"net"
	"regexp"
)

// Config is the [http] table.
type Config struct {
	// Listen is the address and port of /metrics, /healthz, /readyz and the API.
	Listen string `toml:"listen"`
	// Token is the bearer token of the API. Empty switches the API off.
	Token string `toml:"token"`
}

// Paths are the beginnings of the paths that are served here and by the desk.
var Paths = []string{apiPrefix, "/desk/", "/metrics", "/healthz", "/readyz"}

// DefaultConfig returns the settings without an [http] table.
func DefaultConfig() Config { return Config{Listen: "127.0.0.1:4580"} }

// tokenPattern matches what fits into a header and cannot be guessed.
var tokenPattern = regexp.MustCompile(`^[!-~]{16,512}$`)

// Check reports each setting that cannot be used, by its key.
func (c *Config) Check(report func(key, problem string)) {
	if _, port, err := net.SplitHostPort(c.Listen); err != nil || port == "" {
		report("listen", fmt.Sprintf(`%q is not an address with a port; write one such as "127.0.0.1:4580"`, c.Listen))
	}
	if c.Token != "" && !tokenPattern.MatchString(c.Token) {
		report("token", "must have 16 to 512 characters without blanks; `openssl rand -hex 16` makes one")
	}
}
