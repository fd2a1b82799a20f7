package clickfrom

import (
	"embed"
	"fmt"
	"maps"
	"net/http"
	"net/netip"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Config is one [[click_from]] table.
type Config struct {
	// Name is the end of the path: /click/NAME.
	Name string `toml:"name"`
	// Preset is the name of the preset that the other keys were applied to.
	Preset string `toml:"preset"`
	// Method is GET or POST.
	Method string `toml:"method"`
	// Allow are addresses and networks that may send requests. Empty is all.
	Allow []string `toml:"allow"`
	// Secret must stand in SecretAt of each request.
	Secret string `toml:"secret"`
	// SecretAt, Agent, Number and Once are the places of these values in a request: the name of a field of the URL, of a
	// form or of JSON, such as data[USER_ID], or "header " and the name of a header.
	SecretAt string `toml:"secret_at"`
	Agent    string `toml:"agent"`
	Number   string `toml:"number"`
	// Once distinguishes requests: a repeated one makes no call. Empty is none.
	Once string `toml:"once"`
	// AgentBy is what Agent holds: id, phone or info of the [[agent]], or a product of its ids.
	AgentBy string `toml:"agent_by"`
	// Params are parameters of the events of the call, by name, with the places of their values.
	Params map[string]string `toml:"params"`
	// To are patterns of numbers that may be called, beside those of [click].
	To []string `toml:"to"`
	// Rate is the maximum number of calls of one agent in a minute.
	Rate int `toml:"rate"`
	// OnceFor is the time for which a repeated request makes no call.
	OnceFor time.Duration `toml:"once_for"`
	// Server is the [[ami]] table on which calls are made; empty if there is one that has the agent's phone.
	Server string `toml:"server"`
	// CallerID is the number of the call, instead of [click] caller_id.
	CallerID string `toml:"caller_id"`
}

// DefaultConfig returns the settings of an empty table.
func DefaultConfig() Config {
	return Config{Method: http.MethodPost, AgentBy: byPhone, To: []string{"*"}, Rate: 10, OnceFor: time.Minute}
}

// The values of AgentBy that are no products.
const (
	byID    = "id"
	byPhone = "phone"
	byInfo  = "info"
)

// Prefix is the beginning of the paths of requests.
const Prefix = "/click/"

// minSecret is the minimum length of a secret, in bytes: a short one can be guessed.
const minSecret = 12

var (
	namePattern   = regexp.MustCompile(`^[a-z0-9_-]{1,32}$`)
	paramPattern  = regexp.MustCompile(`^[a-z][a-z0-9_]{0,63}$`)
	placePattern  = regexp.MustCompile(`^(?:header [A-Za-z0-9-]{1,64}|[^\x00-\x20\x7f]{1,128})$`)
	maxParams     = 16
	numberPattern = regexp.MustCompile(`^\+?[0-9]{1,32}$`)
)

// Product returns the product by whose ids agents are found, empty if they are found by a key of the [[agent]].
func (c *Config) Product() string {
	if slices.Contains([]string{byID, byPhone, byInfo}, c.AgentBy) {
		return ""
	}
	return c.AgentBy
}

// Check reports every setting that cannot be used, by its key.
func (c *Config) Check(report func(key, problem string)) {
	if !namePattern.MatchString(c.Name) {
		report("name", fmt.Sprintf("%q is not a name: 1 to 32 small letters, digits, underscores and hyphens", c.Name))
	}
	if c.Method != http.MethodGet && c.Method != http.MethodPost {
		report("method", "must be GET or POST")
	}
	for _, text := range c.Allow {
		if _, err := parsePrefix(text); err != nil {
			report("allow", fmt.Sprintf("%q is neither an address nor a network such as 203.0.113.0/24", text))
		}
	}
	switch {
	case c.Secret == "":
		report("secret", "is missing: without it everyone could call at the company's expense")
	case len(c.Secret) < minSecret:
		report("secret", fmt.Sprintf("has fewer than %d bytes, so it could be guessed", minSecret))
	}
	for _, place := range []struct {
		key, value string
		required   bool
	}{{"secret_at", c.SecretAt, true}, {"agent", c.Agent, true}, {"number", c.Number, true}, {"once", c.Once, false}} {
		switch {
		case place.value == "" && place.required:
			report(place.key, "is missing: it names the field of the request that has it")
		case place.value != "" && !placePattern.MatchString(place.value):
			report(place.key, fmt.Sprintf("%q is neither the name of a field, such as data[USER_ID], nor \"header NAME\"", place.value))
		}
	}
	if c.AgentBy == "" || c.Product() != "" && !regexp.MustCompile(`^[a-z0-9_]{1,32}$`).MatchString(c.AgentBy) {
		report("agent_by", "must be id, phone, info, or a product of the agents' ids")
	}
	for _, name := range slices.Sorted(maps.Keys(c.Params)) {
		switch {
		case !paramPattern.MatchString(name):
			report("params", fmt.Sprintf("%q is not a name of a parameter: small letters, digits and underscores, a letter first", name))
		case !placePattern.MatchString(c.Params[name]):
			report("params."+name, fmt.Sprintf("%q is not the place of a value", c.Params[name]))
		}
	}
	if len(c.Params) > maxParams {
		report("params", fmt.Sprintf("has more than %d names", maxParams))
	}
	for _, pattern := range c.To {
		if _, err := path.Match(pattern, ""); err != nil || strings.Trim(pattern, "0123456789+*#?") != "" || pattern == "" {
			report("to", fmt.Sprintf("%q is not a pattern of digits, such as +49* or 1??", pattern))
		}
	}
	if len(c.To) == 0 {
		report("to", `is empty, so nothing could be called: leave it out, or name patterns such as "+49*"`)
	}
	if c.Rate < 1 || c.Rate > 600 {
		report("rate", "must be 1 to 600 calls in a minute")
	}
	if c.OnceFor < time.Second || c.OnceFor > time.Hour {
		report("once_for", "must be 1s to 1h")
	}
	if c.CallerID != "" && !numberPattern.MatchString(c.CallerID) {
		report("caller_id", fmt.Sprintf("%q is not a number", c.CallerID))
	}
}

// parsePrefix reads an address or a network.
func parsePrefix(text string) (netip.Prefix, error) {
	if addr, err := netip.ParseAddr(text); err == nil {
		return netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	p, err := netip.ParsePrefix(text)
	return p.Masked(), err
}

//go:embed presets/*.toml
var presets embed.FS

// Preset returns the text of a preset: the body of a [[click_from]] table without name and secret.
func Preset(name string) (text []byte, ok bool) {
	text, err := presets.ReadFile("presets/" + name + ".toml")
	return text, err == nil
}

// Presets returns the names of the presets, sorted.
func Presets() []string {
	files, err := presets.ReadDir("presets")
	if err != nil {
		panic(err) // the folder is in the program itself
	}
	names := make([]string, len(files))
	for i, f := range files {
		names[i] = strings.TrimSuffix(f.Name(), ".toml")
	}
	return names
}
