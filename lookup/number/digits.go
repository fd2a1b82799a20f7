package number

import (
	"regexp"
	"strings"
	"unicode/utf8"
)

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

// ascii returns the ASCII character that people mean by one of another script or
// typeface, 0 for one that is invisible, and the rune itself otherwise.
func ascii(r rune) rune {
	switch {
	case r >= '\uff10' && r <= '\uff19': // fullwidth digits
		return '0' + r - '\uff10'
	case r >= '\u0660' && r <= '\u0669': // Arabic-Indic digits
		return '0' + r - '\u0660'
	case r >= '\u06f0' && r <= '\u06f9':
		return '0' + r - '\u06f0'
	case r >= '\u2010' && r <= '\u2015', r == '\u2212', r == '\ufe58', r == '\ufe63', r == '\uff0d': // hyphens, dashes, minus
		return '-'
	case r == '\u00a0', r >= '\u2000' && r <= '\u200a', r == '\u202f', r == '\u205f', r == '\u3000', r == '\t': // blanks
		return ' '
	case r == '\uff0b', r == '\ufe62':
		return '+'
	case r == '\uff08':
		return '('
	case r == '\uff09':
		return ')'
	case r == '\uff0f':
		return '/'
	case r == '\uff0e', r == '\u2024', r == '\u00b7':
		return '.'
	case r == '\u00ad', r >= '\u200b' && r <= '\u200f', r >= '\u202a' && r <= '\u202e', r >= '\u2060' && r <= '\u2069', r == '\ufeff':
		return 0
	}
	return r
}

var (
	// spreadsheet is a number that a spreadsheet took for an amount.
	spreadsheet = regexp.MustCompile(`^(\+?\d+)\.0+$`)
	// suffix is what follows a number: an extension, pauses and what is dialled after
	// them, or a remark.
	suffix = regexp.MustCompile(`(?i)^(.*\d[)\]]?)\s*(?:[,;][\d\s,;*#pwx=a-z-]*|[xpw#]\s*\d{1,8}#?|(?:ext(?:n|ension)?|доб|вн|poste|anexo|ramal|int|dw|durchwahl|nst)[.:]?\s*\d{1,8}#?|\([^()]*\pL[^()]*\)|\[[^\[\]]*\pL[^\[\]]*\])$`)
)

// digits returns the digits of a number, with a plus sign before them if it has
// one, and reports whether it is made of nothing but digits and what people write
// around and between them. A letter makes it no number, though the plans of
// some countries would dial one.
func digits(raw string) (string, bool) {
	text := strings.Map(func(r rune) rune {
		if r = ascii(r); r == 0 {
			return -1
		}
		return r
	}, raw)
	text = strings.Trim(text, " '\"`’‘´")
	if len(text) > 4 && strings.EqualFold(text[:4], "tel:") {
		text = text[4:]
	}
	if m := spreadsheet.FindStringSubmatch(text); m != nil {
		text = m[1]
	}
	if m := suffix.FindStringSubmatch(text); m != nil {
		text = m[1]
	}
	if hasTail(text) {
		return "", false
	}
	out := make([]byte, 0, len(text))
	for i := range len(text) {
		switch c := text[i]; {
		case '0' <= c && c <= '9':
			out = append(out, c)
		case c == '+' && (len(out) == 0 || len(out) == 1 && out[0] == '+'):
			out = append(out[:0], '+')
		case strings.IndexByte(" -.()[]/", c) >= 0:
		default:
			return "", false
		}
	}
	return string(out), len(out) > 0 && out[len(out)-1] != '+'
}

// hasTail knows two numbers in one, such as 030 23456701/02: which one calls
// cannot be known, and the digits of both make the number of a third.
func hasTail(text string) bool {
	head, tail, found := strings.Cut(text, "/")
	if !found {
		return false
	}
	if i := strings.LastIndexByte(text, '/'); i >= 0 {
		head, tail = text[:i], text[i+1:]
	}
	return CountDigits(head) >= MinE164 && CountDigits(tail) > 0
}

// CountDigits returns the number of digits in a number.
func CountDigits(number string) int {
	n := 0
	for i := 0; i < len(number); {
		r, size := utf8.DecodeRuneInString(number[i:])
		if r = ascii(r); r >= '0' && r <= '9' {
			n++
		}
		i += size
	}
	return n
}
