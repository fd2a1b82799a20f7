package pops

import "strings"

// excepted is a number that does not pop, or the beginning of such numbers.
type excepted struct {
	text   string // as written
	number string // digits, with + if it has one
	prefix bool
}

func exceptedOf(s string) excepted {
	number, prefix := strings.CutSuffix(s, "*")
	return excepted{text: s, number: plain(number), prefix: prefix}
}

// plain removes what people write between the digits of a number.
func plain(number string) string {
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune(" ()./-", r) {
			return -1
		}
		return r
	}, number)
}

// fits reports whether one of the spellings of a number is excepted.
func (e excepted) fits(spellings ...string) bool {
	for _, s := range spellings {
		if s = plain(s); s != "" && (s == e.number || e.prefix && strings.HasPrefix(s, e.number)) {
			return true
		}
	}
	return false
}

// MatchException returns the first pattern of a list that fits a number in one of its spellings, empty
// if none does.
func MatchException(patterns []string, spellings ...string) string {
	for _, p := range patterns {
		if exceptedOf(p).fits(spellings...) {
			return p
		}
	}
	return ""
}
