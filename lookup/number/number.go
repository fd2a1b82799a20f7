// Package number reads telephone numbers as trunks, people and files write them, brings
// them to E.164 by the numbering plan of a country, and writes them in the spellings that
// a CRM knows.
package number

import (
	"hash/maphash"
	"strconv"
	"strings"
	"sync"
	"time"
	_ "time/tzdata" // a PBX appliance may have no zoneinfo of its own

	"github.com/nyaruka/phonenumbers"
	"golang.org/x/text/encoding"

	"ringhook/lookup/number/place"
)

const (
	// maxNumber is the length at which a number is cut before anything reads it, in bytes.
	maxNumber = 64
	// MinE164 is the minimum number of digits of a number with its country code: the
	// shortest national numbers in use have five.
	MinE164 = 7
)

// Config is the [number] table.
type Config struct {
	// Country is the two-letter code of the country whose national numbers
	// the trunks deliver. If it is empty, only international numbers are read.
	Country string `toml:"country"`
	// Language is that of region_name, such as en or ru.
	Language string `toml:"language"`
	// Charset is that of caller names which are not UTF-8, such as windows-1251. If it
	// is empty, such names lose the characters that are no text.
	Charset string `toml:"charset"`
}

// DefaultConfig returns the defaults of [number].
func DefaultConfig() Config {
	return Config{Language: "en"}
}

// Check reports a country or a language that does not exist.
func (c *Config) Check(report func(key, problem string)) {
	if c.Country != "" && !phonenumbers.GetSupportedRegions()[c.Country] {
		report("country", "is not the code of a country: use two capital letters, such as RU, IL or DE")
	}
	if !isLanguage(c.Language) {
		report("language", "is not the code of a language: use two small letters, such as en, ru or he")
	}
	if _, err := charset(c.Charset); err != nil {
		report("charset", "is unknown: use a name such as windows-1251, windows-1255, iso-8859-8 or koi8-r")
	}
}

func isLanguage(s string) bool {
	return len(s) == 2 && s[0] >= 'a' && s[0] <= 'z' && s[1] >= 'a' && s[1] <= 'z'
}

// Kind separates numbers that a CRM can know from those that it cannot.
type Kind string

// The kinds.
const (
	Normal    Kind = "normal"    // a valid number, in E.164
	Possible  Kind = "possible"  // of the right length, in a range that the tables do not know; in E.164
	Invalid   Kind = "invalid"   // no number of the numbering plan
	Anonymous Kind = "anonymous" // withheld, or none
	Short     Kind = "short"     // an extension
	Emergency Kind = "emergency" // such as 112
	Special   Kind = "service"   // a short code of the country's plan
)

// Number is a caller's number, as far as it is known.
type Number struct {
	Kind Kind
	E164 string // empty unless Kind is Normal or Possible
	Raw  string // as it came, cut at 64 bytes, without control characters
	// Country is the two-letter code, and RegionName the place in the
	// configured language; both are empty where they are not known.
	Country    string
	RegionName string

	zones []*time.Location
}

// String returns the number in E.164, or as it came if that is not known. It
// is empty for an anonymous caller.
func (n Number) String() string {
	switch n.Kind {
	case Normal, Possible:
		return n.E164
	case Anonymous:
		return ""
	}
	return n.Raw
}

// RegionTime returns the time of day in the number's region, as 15:04. It is
// empty if the number may belong to zones whose clocks differ at that
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
	cfg     Config
	charset encoding.Encoding // nil for UTF-8
	seen    readNumbers

	mu     sync.Mutex
	zones  map[string]*time.Location
	others map[string]*Reader // by country
}

// NewReader returns a reader and loads its tables: that takes a fraction of
// a second, which must not delay the first call.
func NewReader(cfg Config) *Reader {
	n := &Reader{cfg: cfg, seen: readNumbers{seed: maphash.MakeSeed()}, zones: make(map[string]*time.Location)}
	n.charset, _ = charset(cfg.Charset) // Check reports it
	n.Normalize("+12125550123")
	if cfg.Country != "" {
		if example := phonenumbers.GetExampleNumber(cfg.Country); example != nil {
			n.Normalize(phonenumbers.Format(example, phonenumbers.NATIONAL))
		}
		phonenumbers.IsEmergencyNumber("112", cfg.Country)
	}
	return n
}

// In returns a reader by the plan of another country, for a trunk that delivers
// its national numbers; false if there is no such country. The first call for a
// country takes a fraction of a second.
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
		other = NewReader(Config{Country: country, Language: n.cfg.Language, Charset: n.cfg.Charset})
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
	digits, plain := digits(number.Raw)
	switch {
	case IsAnonymous(number.Raw):
		number.Kind = Anonymous
		return number
	case !plain:
		return number
	case CountDigits(digits) < MinE164:
		number.Kind = n.shortKind(strings.TrimPrefix(digits, "+"))
		return number
	case n.Several(number.Raw):
		return number
	}
	parsed, kind := n.parse(digits)
	// A number of an unknown range can begin with several national prefixes, of which one reading removes one.
	before := ""
	for range maxNumber {
		if parsed == nil {
			return number
		}
		e164 := phonenumbers.Format(parsed, phonenumbers.E164)
		switch {
		case CountDigits(e164) < MinE164:
			return number
		case kind == Normal || e164 == before:
			number.Kind, number.E164 = kind, e164
			n.place(&number, parsed)
			return number
		}
		before = e164
		parsed, kind = n.parse(e164)
	}
	return number
}

// place sets what the tables know about where a number is.
func (n *Reader) place(number *Number, parsed *phonenumbers.PhoneNumber) {
	number.Country = phonenumbers.GetRegionCodeForNumber(parsed)
	number.RegionName = place.Name(n.cfg.Language, number.E164, number.Country)
	names, _ := phonenumbers.GetTimezonesForNumber(parsed)
	number.zones = n.locations(names)
}

// SeveralAnywhere reports whether a text may be two numbers or more whatever the country, such as 030 23456701/02.
func SeveralAnywhere(raw string) bool {
	text := clip(raw)
	_, several := base(text)
	return several || isPair(text)
}

// Several reports whether a text may be two numbers or more by the plan of the Reader's country: 030 23456701/02, two with
// a blank between them, and spans such as 030 23456705-06.
func (n *Reader) Several(raw string) bool {
	text, several := base(clip(raw))
	if several || n.isPair(argument(text)) {
		return true
	}
	first, several := spanned(text)
	if !several || CountDigits(first) < MinE164 {
		return false
	}
	_, kind := n.parse(first)
	return kind == Normal
}

// isPair reports whether a text is two numbers with nothing but a blank or another separator between them: two of the plan,
// or one with a local number, without area code, before or behind it. Where numbers have no fixed length, such as in Germany,
// both together may be a number of the plan, too. Then the second one counts if it has the prefix of a number.
func (n *Reader) isPair(text string) bool {
	whole := "" // the kind of both together, if it is needed
	isOne := func() bool {
		if whole == "" {
			both, _ := digits(text)
			_, kind := n.parse(both)
			whole = string(kind)
		}
		return whole == string(Normal)
	}
	prefix := phonenumbers.GetNddPrefixForRegion(n.cfg.Country, true)
	return halves(text, minLocal, func(left, right string) bool {
		first, _ := digits(left)
		second, _ := digits(right)
		full := func(part, digits string) bool { return significant(part) >= MinE164 && n.isNormal(digits) }
		switch {
		case full(left, first) && full(right, second):
			return strings.HasPrefix(second, "00") || prefix != "" && strings.HasPrefix(second, prefix) || !isOne()
		case prefix != "" && n.isOpen(first) && n.isOpen(second):
			return !n.isWhole(text)
		case full(left, first):
			return !isOne() // the second one may be local: the plans do not know the length of all of them
		}
		return n.isLocal(first) && (n.isLocal(second) || full(right, second)) && !isOne()
	})
}

// minLocal is the number of digits from which on a group may be a number without area code, and maxLocal that up to which.
const minLocal, maxLocal = 5, 8

// isNormal reports whether digits are a number of the plan.
func (n *Reader) isNormal(digits string) bool {
	parsed, kind := n.parse(digits)
	return parsed != nil && kind == Normal
}

// isOpen reports whether digits may be a number without area code in a plan without fixed lengths, such as that of Germany,
// which takes them for a whole number, too.
func (n *Reader) isOpen(digits string) bool {
	if len(digits) > maxLocal || strings.HasPrefix(digits, "0") || strings.HasPrefix(digits, "+") {
		return false
	}
	parsed, err := phonenumbers.Parse(digits, n.cfg.Country)
	return err == nil && phonenumbers.IsPossibleNumberWithReason(parsed) == phonenumbers.IS_POSSIBLE
}

// isWhole reports whether all digits of a text without national prefix are one number: one whose area code ends where a group of
// the text does, or one without an area code.
func (n *Reader) isWhole(text string) bool {
	all, _ := digits(text)
	parsed, err := phonenumbers.Parse(all, n.cfg.Country)
	if err != nil || strconv.FormatUint(parsed.GetNationalNumber(), 10) != all {
		return true // it has a prefix after all
	}
	if foreign, err := phonenumbers.Parse("+"+all, ""); err == nil && phonenumbers.IsValidNumber(foreign) {
		return true // with the country's code, without a plus sign
	}
	if !phonenumbers.IsValidNumber(parsed) {
		return false
	}
	if phonenumbers.GetNumberType(parsed) != phonenumbers.FIXED_LINE {
		return true
	}
	area, count := phonenumbers.GetLengthOfGeographicalAreaCode(parsed), 0
	for i := range len(text) {
		if isDigit(text[i]) {
			count++
		} else if count == area {
			return true
		}
	}
	return false
}

// isLocal reports whether digits have the length of a number without area code.
func (n *Reader) isLocal(digits string) bool {
	if strings.HasPrefix(digits, "0") || strings.HasPrefix(digits, "+") {
		return false
	}
	parsed, err := phonenumbers.Parse(digits, n.cfg.Country)
	return err == nil && phonenumbers.IsPossibleNumberWithReason(parsed) == phonenumbers.IS_POSSIBLE_LOCAL_ONLY
}

// parse tries the number as it stands, and then as an international one whose
// plus sign a trunk has left out or written as 00. A number whose length is right
// counts even if the tables do not know its range yet, unless its
// plus sign is only guessed.
func (n *Reader) parse(digits string) (*phonenumbers.PhoneNumber, Kind) {
	international := strings.HasPrefix(digits, "+") || strings.HasPrefix(digits, "00")
	var possible *phonenumbers.PhoneNumber
	for i, try := range []string{digits, "+" + strings.TrimPrefix(strings.TrimPrefix(digits, "+"), "00")} {
		// Mexico has no 1 before mobile numbers any more, but trunks still send it.
		if mexican, found := strings.CutPrefix(try, "+521"); found && len(mexican) == 10 {
			try = "+52" + mexican
		}
		parsed, err := phonenumbers.Parse(try, n.cfg.Country)
		if err != nil || parsed.GetNationalNumber() == 0 {
			continue
		}
		if phonenumbers.IsValidNumber(parsed) {
			return parsed, Normal
		}
		if possible == nil && (i == 0 || international) && phonenumbers.IsPossibleNumberWithReason(parsed) == phonenumbers.IS_POSSIBLE {
			possible = parsed
		}
	}
	return possible, Possible
}

// shortKind separates an extension from a number that has a meaning in the
// country's plan. If a number is both, nothing is lost: neither is looked up.
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

// locations returns the zones by their names, or none if one is not known.
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
