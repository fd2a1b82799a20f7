package getevent

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Config is the [getevent] table.
type Config struct {
	// Path is the path of the requests; empty switches getevent off.
	Path string `toml:"path"`
	// Hold is the time for which a ring is reported after it began, 1s to 10m. It must be longer than the
	// interval of the polling program.
	Hold time.Duration `toml:"hold"`
	// Tel is the spelling of the number: e164, plus-less, national, 00 or digits.
	Tel string `toml:"tel"`
	// JSON names the fields of an answer in JSON.
	JSON Names `toml:"json"`
	// XML names the elements of an answer in XML.
	XML XMLNames `toml:"xml"`
	// Token is the token that requests carry: as Authorization: Bearer, as X-Token, or as ident.
	Token string `toml:"token"`
	// Allow holds addresses and prefixes that need no token.
	Allow []string `toml:"allow"`
}

// Names are the names of the two values of an answer.
type Names struct {
	Tel   string `toml:"tel"`
	Event string `toml:"event"`
}

// XMLNames are those of an answer in XML.
type XMLNames struct {
	Root       string `toml:"root"`
	Tel        string `toml:"tel"`
	Event      string `toml:"event"`
	Attributes bool   `toml:"attributes"` // values are attributes of the root element
}

// DefaultConfig returns the settings of an empty table.
func DefaultConfig() Config {
	return Config{
		Hold: 10 * time.Second, Tel: "national",
		JSON: Names{Tel: "tel", Event: "event"}, XML: XMLNames{Root: "cti", Tel: "tel", Event: "event"},
	}
}

var (
	pathPattern  = regexp.MustCompile(`^(/[A-Za-z0-9._~-]+)+$`)
	xmlName      = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9._-]{0,63}$`)
	jsonName     = regexp.MustCompile(`^[^\x00-\x1f"\\]{1,64}$`)
	tokenPattern = regexp.MustCompile(`^[!-~]{16,512}$`)
)

// spellings are the values of tel.
var spellings = []string{"e164", "plus-less", "national", "00", "digits"}

// ownPaths are served by ringhook itself.
var ownPaths = []string{"/metrics", "/healthz", "/readyz"}

// Check reports every setting that cannot be used, by its key.
func (c *Config) Check(report func(key, problem string)) {
	if c.Path != "" && !pathPattern.MatchString(c.Path) {
		report("path", fmt.Sprintf("%q is not a path, such as /getevent", c.Path))
	} else if slices.Contains(ownPaths, c.Path) || strings.HasPrefix(c.Path, "/v1/") || strings.HasPrefix(c.Path, "/desk") {
		report("path", fmt.Sprintf("%q is a path of ringhook itself", c.Path))
	}
	if c.Hold < time.Second || c.Hold > 10*time.Minute {
		report("hold", fmt.Sprintf("%s is out of range: 1s to 10m", c.Hold))
	}
	if !slices.Contains(spellings, c.Tel) {
		report("tel", fmt.Sprintf("%q is not one of %s", c.Tel, strings.Join(spellings, ", ")))
	}
	for _, f := range []struct{ key, name string }{{"json.tel", c.JSON.Tel}, {"json.event", c.JSON.Event}} {
		if !jsonName.MatchString(f.name) {
			report(f.key, fmt.Sprintf("%q is not the name of a field", f.name))
		}
	}
	if c.JSON.Tel == c.JSON.Event {
		report("json.event", "is the same as json.tel")
	}
	for _, f := range []struct{ key, name string }{{"xml.root", c.XML.Root}, {"xml.tel", c.XML.Tel}, {"xml.event", c.XML.Event}} {
		if !xmlName.MatchString(f.name) {
			report(f.key, fmt.Sprintf("%q is not the name of an element", f.name))
		}
	}
	if c.XML.Tel == c.XML.Event {
		report("xml.event", "is the same as xml.tel")
	}
	if c.Token != "" && !tokenPattern.MatchString(c.Token) {
		report("token", "must have 16 to 512 characters without blanks; `openssl rand -hex 16` makes one")
	}
	for _, text := range c.Allow {
		if _, err := parsePrefix(text); err != nil {
			report("allow", err.Error())
		}
	}
	if c.Path != "" && c.Token == "" && len(c.Allow) == 0 {
		report("token", "is missing, and allow is empty: no program may ask; set one of them")
	}
}

// parsePrefix parses an address or a prefix.
func parsePrefix(text string) (netip.Prefix, error) {
	if addr, err := netip.ParseAddr(text); err == nil {
		return netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	p, err := netip.ParsePrefix(text)
	if err != nil {
		return p, fmt.Errorf("%q is not an address or a prefix, such as 192.0.2.7 or 192.0.2.0/24", text)
	}
	if p.Bits() == 0 {
		return p, fmt.Errorf("%q is every address", text)
	}
	return p.Masked(), nil
}
