package fastagi

import (
	"strings"
	"testing"
	"time"
)

func TestConfigCheck(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(c *Config)
		want   string // key and part of the problem; empty where none is expected
	}{
		{"default", func(c *Config) {}, ""},
		{"localhost", func(c *Config) { c.Listen = "localhost:4573" }, ""},
		{"IPv6", func(c *Config) { c.Listen = "[::1]:4573" }, ""},
		{"port 0", func(c *Config) { c.Listen = "127.0.0.1:0" }, ""},
		{"network", func(c *Config) { c.Listen, c.Allow = ":4573", []string{"192.0.2.10", "2001:db8::/32"} }, ""},
		{"no port", func(c *Config) { c.Listen = "127.0.0.1" }, "listen: \"127.0.0.1\" is not an address and a port"},
		{"bad port", func(c *Config) { c.Listen = "127.0.0.1:70000" }, "listen: \"70000\" is not a port"},
		{"named port", func(c *Config) { c.Listen = "127.0.0.1:agi" }, "listen: \"agi\" is not a port"},
		{"everywhere, default allow", func(c *Config) { c.Listen = "0.0.0.0:4573" }, "allow: listen = \"0.0.0.0:4573\" waits for other machines"},
		{"elsewhere, default allow", func(c *Config) { c.Listen = "pbx.example:4573" }, "allow: listen = \"pbx.example:4573\" waits for other machines"},
		{"none", func(c *Config) { c.Allow = nil }, "allow: no address may connect"},
		{"not a prefix", func(c *Config) { c.Allow = []string{"pbx.example"} }, "allow: \"pbx.example\" is neither an address nor a prefix"},
		{"everybody", func(c *Config) { c.Allow = []string{"0.0.0.0/0"} }, "allow: \"0.0.0.0/0\" allows every address"},
		{"everybody, IPv6", func(c *Config) { c.Allow = []string{"::/0"} }, "allow: \"::/0\" allows every address"},
		{"mapped prefix", func(c *Config) { c.Allow = []string{"::ffff:10.0.0.0/104"} }, "allow: \"::ffff:10.0.0.0/104\" is an IPv4 prefix in IPv6 form"},
		{"no budget", func(c *Config) { c.Budget = 0 }, "budget: 0s is out of range"},
		{"long budget", func(c *Config) { c.Budget = time.Hour }, "budget: 1h0m0s is out of range"},
		{"no sessions", func(c *Config) { c.MaxSessions = 0 }, "max_sessions: 0 is out of range"},
		{"too many sessions", func(c *Config) { c.MaxSessions = 100001 }, "max_sessions: 100001 is out of range"},
	} {
		cfg := DefaultConfig()
		c.change(&cfg)
		var got []string
		cfg.Check(func(key, problem string) { got = append(got, key+": "+problem) })
		if c.want == "" && len(got) > 0 || c.want != "" && (len(got) != 1 || !strings.HasPrefix(got[0], c.want)) {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
}
