package lookup

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
	spellE164     = "e164"      // +74951234567
	spellPlusLess = "plus-less" // 74951234567
	spellNational = "national"  // 84951234567
	spellDigits   = "digits"    // what is a digit in it
	spellZeros    = "00"        // 0074951234567
	spellLast     = "last:"
)

var spellingPattern = regexp.MustCompile(`^(?:e164|plus-less|national|digits|00|last:(?:[4-9]|1[0-5]))$`)

// spell writes a number in one spelling. One that is not in E.164 has no
// country, so that it is only shortened.
func spell(number, spelling string) string {
	if spelling == spellE164 {
		return number
	}
	international := strings.HasPrefix(number, "+")
	digits := onlyDigits(number)
	switch {
	case spelling == spellDigits, spelling == spellPlusLess && international:
		return digits
	case spelling == spellZeros && international:
		return "00" + digits
	case spelling == spellNational && international:
		if parsed, err := phonenumbers.Parse(number, ""); err == nil {
			return onlyDigits(phonenumbers.Format(parsed, phonenumbers.NATIONAL))
		}
	case strings.HasPrefix(spelling, spellLast):
		n, _ := strconv.Atoi(strings.TrimPrefix(spelling, spellLast))
		return digits[max(0, len(digits)-n):]
	}
	return number
}

// Spellings gives a number in every way in which a trunk or a system may write
// it: itself, and where it is in E.164 its digits, those behind 00 and the national number.
func Spellings(number string) []string {
	list := []string{number}
	for _, spelling := range []string{spellPlusLess, spellZeros, spellNational} {
		if s := spell(number, spelling); !slices.Contains(list, s) {
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

// gradeOf is what a match by a spelling is worth.
func gradeOf(spelling string) string {
	switch {
	case spelling == spellNational:
		return matchNational
	case strings.HasPrefix(spelling, spellLast):
		return matchSuffix
	}
	return matchExact
}

// weakest is the grade of a match by any of several spellings, where the
// source does not tell by which.
func weakest(spellings []string) string {
	grades := []string{matchExact, matchNational, matchSuffix}
	worst := 0
	for _, s := range spellings {
		worst = max(worst, slices.Index(grades, gradeOf(s)))
	}
	return grades[worst]
}
