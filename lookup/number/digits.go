package number

import "strings"

// clip cuts a number, and drops what is no text.
func clip(raw string) string {
	if len(raw) > maxNumber {
		raw = raw[:maxNumber]
	}
	raw = strings.ToValidUTF8(raw, "")
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return -1
		}
		return r
	}, raw))
}

// IsAnonymous knows what trunks and Asterisk write for a withheld number.
func IsAnonymous(raw string) bool {
	switch strings.ToLower(strings.Trim(raw, `<>" `)) {
	case "", "anonymous", "unknown", "private", "restricted", "unavailable", "withheld", "none", "asterisk":
		return true
	}
	return false
}

// Digits gives a number's digits, and whether it is made of nothing but
// digits and what people write between them: a letter makes it no number,
// though the plans of some countries would dial one.
func Digits(raw string) (string, bool) {
	digits := make([]byte, 0, len(raw))
	for i := range len(raw) {
		switch c := raw[i]; {
		case '0' <= c && c <= '9':
			digits = append(digits, c)
		case c == '+' && i == 0, strings.IndexByte(" -.()/", c) >= 0:
		default:
			return "", false
		}
	}
	return string(digits), len(digits) > 0
}

// CountDigits returns the number of digits in a number.
func CountDigits(number string) int { return len(onlyDigits(number)) }
