package fastagi

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"time"
)

// Config is the [fastagi] table.
type Config struct {
	// Listen is the address and port that Asterisk's agi:// URLs name.
	Listen string `toml:"listen"`
	// Allow holds the addresses and prefixes that may connect.
	Allow []string `toml:"allow"`
	// Budget is the longest that a call waits for an answer, from accept on;
	// 1ms to 60s.
	Budget time.Duration `toml:"budget"`
	// MaxSessions is the maximum number of sessions served at once, 1 to 100,000.
	// Further sessions are answered FAILURE, and their calls continue.
	MaxSessions int `toml:"max_sessions"`
}

// DefaultConfig returns the settings of a file that says nothing about fastagi:
// only this machine may connect.
func DefaultConfig() Config {
	return Config{
		Listen:      "127.0.0.1:4573",
		Allow:       []string{"127.0.0.0/8", "::1"},
		Budget:      1500 * time.Millisecond,
		MaxSessions: 10000,
	}
}

// MaxConnections returns the maximum number of open connections: MaxSessions being served, plus
// min(MaxSessions, MaxSessions/4+16) being answered FAILURE.
func (c *Config) MaxConnections() int { return c.MaxSessions + min(c.MaxSessions, c.MaxSessions/4+16) }

// Check reports every setting that cannot be used, by its key and with what
// would be right.
func (c *Config) Check(report func(key, problem string)) {
	host, problem := listenHost(c.Listen)
	if problem != "" {
		report("listen", problem)
	}
	local := true
	if len(c.Allow) == 0 {
		report("allow", "no address may connect: name those of the Asterisk servers")
		local = false
	}
	for _, text := range c.Allow {
		p, err := parsePrefix(text)
		if err != nil {
			report("allow", err.Error())
		}
		local = local && err == nil && p.Addr().IsLoopback()
	}
	if addr, err := netip.ParseAddr(host); problem == "" && local && host != "localhost" && (err != nil || !addr.IsLoopback()) {
		report("allow", fmt.Sprintf("listen = %q waits for other machines, but only this one may connect: name the addresses of the Asterisk servers, or listen on 127.0.0.1", c.Listen))
	}
	if c.Budget < time.Millisecond || c.Budget > time.Minute {
		report("budget", fmt.Sprintf("%v is out of range: 1ms to 60s", c.Budget))
	}
	if c.MaxSessions < 1 || c.MaxSessions > 100000 {
		report("max_sessions", fmt.Sprintf("%d is out of range: 1 to 100000", c.MaxSessions))
	}
}

// listenHost splits an address to listen on and says what is wrong with it.
func listenHost(listen string) (host, problem string) {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return "", fmt.Sprintf("%q is not an address and a port, such as 127.0.0.1:4573", listen)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || (n == 0 && port != "0") {
		return "", fmt.Sprintf("%q is not a port: 1 to 65535", port)
	}
	return host, ""
}

// parsePrefix reads an address or a prefix of the allow list. It refuses one
// that covers the whole Internet: FastAGI has no password, so a peer that may
// connect can pose as Asterisk and is reported about customers.
func parsePrefix(text string) (netip.Prefix, error) {
	if addr, err := netip.ParseAddr(text); err == nil {
		addr = addr.Unmap().WithZone("")
		return netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	p, err := netip.ParsePrefix(text)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("%q is neither an address nor a prefix, such as 192.0.2.10 or 192.0.2.0/24", text)
	}
	if p.Addr().Is4In6() {
		return netip.Prefix{}, fmt.Errorf("%q is an IPv4 prefix in IPv6 form: write it as IPv4", text)
	}
	if p.Bits() == 0 {
		return netip.Prefix{}, fmt.Errorf("%q allows every address, and FastAGI has no password: any client could read customers' data; name the addresses of the Asterisk servers", text)
	}
	return p.Masked(), nil
}
