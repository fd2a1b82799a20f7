package number

import (
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/nyaruka/phonenumbers"
)

// The spellings of a number that a source may have it in, beside last:9 and
// the like, which are its last digits.
const (
	SpellE164     = "e164"      // +74951234567
	SpellPlusLess = "plus-less" // 74951234567
	SpellNational = "national"  // 84951234567
	SpellDigits   = "digits"    // what is a digit in it
	SpellZeros    = "00"        // 0074951234567
	SpellLast     = "last:"
)

// IsSpelling reports whether Spell knows a spelling.
func IsSpelling(s string) bool { return spellingPattern.MatchString(s) }

var spellingPattern = regexp.MustCompile(`^(?:e164|plus-less|national|digits|00|last:(?:[4-9]|1[0-5]))$`)

// Spell writes a number in one spelling. One that is not in E.164 has no
// country, so that it is only shortened.
func Spell(number, spelling string) string {
	if spelling == SpellE164 {
		return number
	}
	international := strings.HasPrefix(number, "+")
	digits := onlyDigits(number)
	switch {
	case spelling == SpellDigits, spelling == SpellPlusLess && international:
		return digits
	case spelling == SpellZeros && international:
		return "00" + digits
	case spelling == SpellNational && international:
		if parsed, err := phonenumbers.Parse(number, ""); err == nil {
			return onlyDigits(phonenumbers.Format(parsed, phonenumbers.NATIONAL))
		}
	case strings.HasPrefix(spelling, SpellLast):
		n, _ := strconv.Atoi(strings.TrimPrefix(spelling, SpellLast))
		return digits[max(0, len(digits)-n):]
	}
	return number
}

// Spellings gives a number in every way in which a trunk or a system may write
// it: itself, and where it is in E.164 its digits, those behind 00 and the national number.
func Spellings(number string) []string {
	list := []string{number}
	for _, spelling := range []string{SpellPlusLess, SpellZeros, SpellNational} {
		if s := Spell(number, spelling); !slices.Contains(list, s) {
			list = append(list, s)
		}
	}
	return list
}

func onlyDigits(s string) string {
	return strings.Map(func(r rune) rune {
		if r < '0' || r > '9' {
			return -1
		}
		return r
	}, s)
}
