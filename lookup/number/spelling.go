package number

import (
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/nyaruka/phonenumbers"
)

// The spellings in which a source may keep a number. SpellLast is followed by a
// number of digits, such as last:9.
const (
	SpellE164     = "e164"      // +74951234567
	SpellPlusLess = "plus-less" // 74951234567
	SpellNational = "national"  // 84951234567
	SpellDigits   = "digits"    // its digits
	SpellZeros    = "00"        // 0074951234567
	SpellLast     = "last:"
	// The following are as people write the number in its country, with blanks, hyphens and parentheses.
	SpellInternationalFormatted = "international-formatted" // +7 495 123-45-67
	SpellNationalFormatted      = "national-formatted"      // 8 (495) 123-45-67
	// SpellSQLLike is a pattern of LIKE in SQL that fits the number with and without its country, whatever stands between its
	// groups of digits.
	SpellSQLLike = "sql-like" // %495%123%45%67
)

// IsSpelling reports whether Spell knows a spelling.
func IsSpelling(s string) bool { return spellingPattern.MatchString(s) }

var spellingPattern = regexp.MustCompile(`^(?:e164|plus-less|national|digits|00|last:(?:[4-9]|1[0-5])|(?:inter)?national-formatted|sql-like)$`)

// Spell writes a number in one spelling. A number that is not in E.164 has no
// country, so it is only shortened. It reports false if there is nothing to ask
// about: no digit is left, or fewer than a spelling such as last:9 names. The digits
// of a text that is no number, such as 030 23456701/02 or anna.27, are none either: they
// may be the number of another caller.
func Spell(number, spelling string) (string, bool) {
	spelled := spell(number, spelling)
	wanted := 1
	if n, ok := strings.CutPrefix(spelling, SpellLast); ok {
		wanted, _ = strconv.Atoi(n)
	}
	return spelled, len(onlyDigits(spelled)) >= wanted
}

func spell(number, spelling string) string {
	if spelling == SpellE164 {
		return number
	}
	digits, international := strings.CutPrefix(number, "+")
	if strings.Trim(digits, "0123456789") != "" || !international {
		digits = plainDigits(number)
		international = international && digits != ""
	}
	switch {
	case spelling == SpellDigits, spelling == SpellPlusLess && international:
		return digits
	case spelling == SpellZeros && international:
		return "00" + digits
	case spelling == SpellNational && international:
		if parsed, err := phonenumbers.Parse(number, ""); err == nil {
			return onlyDigits(phonenumbers.Format(parsed, phonenumbers.NATIONAL))
		}
	case spelling == SpellInternationalFormatted && international:
		if parsed, err := phonenumbers.Parse(number, ""); err == nil {
			return phonenumbers.Format(parsed, phonenumbers.INTERNATIONAL)
		}
	case spelling == SpellNationalFormatted && international:
		if parsed, err := phonenumbers.Parse(number, ""); err == nil {
			return phonenumbers.Format(parsed, phonenumbers.NATIONAL)
		}
	case spelling == SpellSQLLike && international:
		if parsed, err := phonenumbers.Parse(number, ""); err == nil {
			_, own, _ := strings.Cut(phonenumbers.Format(parsed, phonenumbers.INTERNATIONAL), " ")
			return "%" + strings.Join(strings.FieldsFunc(own, notDigit), "%")
		}
	case spelling == SpellSQLLike && digits != "":
		return "%" + digits
	case strings.HasPrefix(spelling, SpellLast):
		n, _ := strconv.Atoi(strings.TrimPrefix(spelling, SpellLast))
		return digits[max(0, len(digits)-n):]
	}
	return number
}

// Variant is a number in one spelling.
type Variant struct {
	Text     string
	Spelling string
}

// Variants returns a number in several spellings, each text once and without
// those for which Spell reports false.
func Variants(number string, spellings []string) []Variant {
	list := make([]Variant, 0, len(spellings))
	for _, spelling := range spellings {
		text, ok := Spell(number, spelling)
		if ok && !slices.ContainsFunc(list, func(v Variant) bool { return v.Text == text }) {
			list = append(list, Variant{text, spelling})
		}
	}
	return list
}

// Join returns the texts of variants with commas between them.
func Join(variants []Variant) string {
	var b strings.Builder
	for i, v := range variants {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(v.Text)
	}
	return b.String()
}

// Spellings returns a number in every way in which a trunk or a system may write
// it: itself, and if it is in E.164 its digits, those after 00 and the national number.
func Spellings(number string) []string {
	list := []string{number}
	for _, spelling := range []string{SpellPlusLess, SpellZeros, SpellNational} {
		if s := spell(number, spelling); !slices.Contains(list, s) {
			list = append(list, s)
		}
	}
	return list
}

const (
	// maxE164 is the maximum number of digits of a number with its country code.
	maxE164 = 15
	// maxDialled is the maximum number of digits of a number as it is dialled: those of E.164 after 00.
	maxDialled = maxE164 + 2
)

// plainDigits returns the digits of a number as people write it, none of another text: of two numbers, or of the first and
// the last of several.
func plainDigits(s string) string {
	plain, ok := digits(s)
	plain = strings.TrimPrefix(plain, "+")
	text, _ := base(s)
	if first, several := spanned(text); !ok || len(plain) > maxDialled || several && CountDigits(first) >= MinE164 {
		return ""
	}
	if halves(text, MinE164, func(string, string) bool { return true }) { // a number of the plan has been read, and is in E.164
		return ""
	}
	return plain
}

func notDigit(r rune) bool { return r < '0' || r > '9' }

func onlyDigits(s string) string {
	return strings.Map(func(r rune) rune {
		if r = ascii(r); r < '0' || r > '9' {
			return -1
		}
		return r
	}, s)
}
