package account

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// Config is the [accounts] table.
type Config struct {
	// Template is the section of pjsip_wizard.conf that accounts inherit. Empty switches accounts off.
	Template string `toml:"template"`
	// Context is the context of the dialplan that gets the extensions of accounts. Without it accounts have none.
	Context string `toml:"context"`
	// Transports are the names of transports in pjsip.conf, by the word for each: udp, tcp, tls or wss.
	Transports map[string]string `toml:"transports"`
	// Most is the maximum number of accounts of one Asterisk.
	Most int64 `toml:"most"`
}

// WebSocket is the transport of phones in a browser.
const WebSocket = "wss"

// words are the transports that there can be.
var words = []string{"udp", "tcp", "tls", WebSocket}

// mostAccounts is the largest Most. Asterisk writes and reads the whole file at each change.
const mostAccounts = 5000

// DefaultConfig returns the settings without an [accounts] table.
func DefaultConfig() Config { return Config{Most: 500} }

// sectionPattern matches the name of a section, or of a context.
var sectionPattern = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,79}$`)

// Check reports every setting that cannot work.
func (c *Config) Check(report func(key, problem string)) {
	if c.Template != "" && !sectionPattern.MatchString(c.Template) {
		report("template", fmt.Sprintf("%q is not the name of a section: letters, digits, _, . and -", c.Template))
	}
	if c.Context != "" && !sectionPattern.MatchString(c.Context) {
		report("context", fmt.Sprintf("%q is not the name of a context: letters, digits, _, . and -", c.Context))
	}
	for _, word := range slices.Sorted(maps.Keys(c.Transports)) {
		if !slices.Contains(words, word) {
			report("transports", fmt.Sprintf("%q is not known; use %s", word, strings.Join(words, ", ")))
		} else if !sectionPattern.MatchString(c.Transports[word]) {
			report("transports", fmt.Sprintf("%q is not the name of a transport in pjsip.conf", c.Transports[word]))
		}
	}
	if c.Most < 1 || c.Most > mostAccounts {
		report("most", fmt.Sprintf("must be 1 to %d", mostAccounts))
	}
}
