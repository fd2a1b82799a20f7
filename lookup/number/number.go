package number

import (
	"hash/maphash"
	"strings"
	"sync"
	"time"
	_ "time/tzdata" // a PBX appliance may have no zoneinfo of its own

	"github.com/nyaruka/phonenumbers"
)

const (
	// maxNumber is where a number is cut before anything looks at it, in bytes.
	maxNumber = 64
	// MinE164 is how few digits a number with its country code may have: the
	// shortest national numbers in use have five.
	MinE164 = 7
)

// Config is the [number] table.
type Config struct {
	// Country is the two-letter code of the country whose national numbers
	// the trunks deliver. Where it is empty only international ones are read.
	Country string `toml:"country"`
	// Language is the one of region_name, such as en or ru.
	Language string `toml:"language"`
}

// DefaultConfig is what holds where [number] says nothing.
func DefaultConfig() Config {
	return Config{Language: "en"}
}

// Check reports a country or a language that does not exist.
func (c *Config) Check(report func(key, problem string)) {
	if c.Country != "" && !phonenumbers.GetSupportedRegions()[c.Country] {
		report("country", "is not the code of a country: two capital letters such as RU, IL or DE are expected")
	}
	if !isLanguage(c.Language) {
		report("language", "is not the code of a language: two small letters such as en, ru or he are expected")
	}
}

func isLanguage(s string) bool {
	return len(s) == 2 && s[0] >= 'a' && s[0] <= 'z' && s[1] >= 'a' && s[1] <= 'z'
}

// Kind tells numbers apart that a CRM can know from those that it cannot.
type Kind string

// The kinds.
const (
	Normal    Kind = "normal"    // a valid number, in E.164
	Invalid   Kind = "invalid"   // nothing that the numbering plan knows
	Anonymous Kind = "anonymous" // withheld, or none
	Short     Kind = "short"     // an extension
	Emergency Kind = "emergency" // such as 112
	Special   Kind = "service"   // a short code of the country's plan
)

// Number is a caller's number, as far as it can be told.
type Number struct {
	Kind Kind
	E164 string // empty unless Kind is Normal
	Raw  string // as it came, cut at 64 bytes, without control characters
	// Country is the two-letter code, and RegionName the place in the
	// configured language; both are empty where they are not known.
	Country    string
	RegionName string

	zones []*time.Location
}

// String is the number in E.164, or as it came where that cannot be told. It
// is empty for an anonymous caller.
func (n Number) String() string {
	switch n.Kind {
	case Normal:
		return n.E164
	case Anonymous:
		return ""
	}
	return n.Raw
}

// RegionTime is the time of day where the number belongs, as 15:04. It is
// empty where the number may belong to zones whose clocks differ at that
// moment: a wrong time is worse than none.
func (n Number) RegionTime(now time.Time) string {
	clock := ""
	for _, zone := range n.zones {
		there := now.In(zone).Format("15:04")
		if clock != "" && there != clock {
			return ""
		}
		clock = there
	}
	return clock
}

// Reader reads numbers by the plan of one country.
type Reader struct {
	cfg  Config
	seen readNumbers

	mu     sync.Mutex
	zones  map[string]*time.Location
	others map[string]*Reader // by country
}

// NewReader makes a reader, and loads the tables that it reads with: that
// takes a fraction of a second, which must not fall on the first call.
func NewReader(cfg Config) *Reader {
	n := &Reader{cfg: cfg, seen: readNumbers{seed: maphash.MakeSeed()}, zones: make(map[string]*time.Location)}
	n.Normalize("+12125550123")
	if cfg.Country != "" {
		if example := phonenumbers.GetExampleNumber(cfg.Country); example != nil {
			n.Normalize(phonenumbers.Format(example, phonenumbers.NATIONAL))
		}
		phonenumbers.IsEmergencyNumber("112", cfg.Country)
	}
	return n
}

// In gives a reader by the plan of another country, for a trunk that delivers
// its national numbers; false where there is no such country. The first time it
// takes a while.
func (n *Reader) In(country string) (*Reader, bool) {
	if country == "" || country == n.cfg.Country {
		return n, true
	}
	if !phonenumbers.GetSupportedRegions()[country] {
		return nil, false
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	other := n.others[country]
	if other == nil {
		other = NewReader(Config{Country: country, Language: n.cfg.Language})
		if n.others == nil {
			n.others = make(map[string]*Reader)
		}
		n.others[country] = other
	}
	return other, true
}

// Normalize reads a number as a trunk delivers it.
func (n *Reader) Normalize(raw string) Number {
	if len(raw) > maxNumber {
		raw = raw[:maxNumber]
	}
	return n.seen.get(raw, n.read)
}

func (n *Reader) read(raw string) Number {
	number := Number{Kind: Invalid, Raw: clip(raw)}
	digits, plain := Digits(number.Raw)
	switch {
	case IsAnonymous(number.Raw):
		number.Kind = Anonymous
		return number
	case !plain:
		return number
	case len(digits) < MinE164:
		number.Kind = n.shortKind(digits)
		return number
	}
	parsed := n.parse(number.Raw, digits)
	if parsed == nil {
		return number
	}
	number.Kind = Normal
	number.E164 = phonenumbers.Format(parsed, phonenumbers.E164)
	number.Country = phonenumbers.GetRegionCodeForNumber(parsed)
	number.RegionName, _ = phonenumbers.GetGeocodingForNumber(parsed, n.cfg.Language)
	names, _ := phonenumbers.GetTimezonesForNumber(parsed)
	number.zones = n.locations(names)
	return number
}

// parse tries the number as it stands, and then as an international one whose
// plus sign a trunk has left out or written as 00.
func (n *Reader) parse(raw, digits string) *phonenumbers.PhoneNumber {
	for _, try := range []string{raw, "+" + strings.TrimPrefix(digits, "00")} {
		parsed, err := phonenumbers.Parse(try, n.cfg.Country)
		if err == nil && phonenumbers.IsValidNumber(parsed) {
			return parsed
		}
	}
	return nil
}

// shortKind tells an extension from a number that the country's plan gives a
// meaning. Where both have it nothing is lost: neither is looked up.
func (n *Reader) shortKind(digits string) Kind {
	if n.cfg.Country == "" {
		return Short
	}
	if phonenumbers.IsEmergencyNumber(digits, n.cfg.Country) {
		return Emergency
	}
	parsed, err := phonenumbers.Parse(digits, n.cfg.Country)
	if err == nil && phonenumbers.IsValidShortNumberForRegion(parsed, n.cfg.Country) {
		return Special
	}
	return Short
}

// locations gives the zones by their names, or none where one is not known.
func (n *Reader) locations(names []string) []*time.Location {
	n.mu.Lock()
	defer n.mu.Unlock()
	var zones []*time.Location
	for _, name := range names {
		zone, ok := n.zones[name]
		if !ok {
			zone, _ = time.LoadLocation(name)
			n.zones[name] = zone
		}
		if zone == nil {
			return nil
		}
		zones = append(zones, zone)
	}
	return zones
}
