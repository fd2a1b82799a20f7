package number

import (
	"regexp"
	"strings"
	"unicode"
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
// typeface, 0 for one that is invisible, and the rune itself otherwise. It goes by the
// classes of Unicode: there are more marks in numbers than a list has.
func ascii(r rune) rune {
	switch {
	case r == '\t', r > '~' && unicode.Is(unicode.Zs, r):
		return ' '
	case r <= '~':
		return r
	case unicode.Is(unicode.Nd, r):
		return '0' + digitValue(r)
	case unicode.Is(unicode.Pd, r), r == '\u2212', r == '\u2043', r == '\u02d7':
		return '-'
	case unicode.Is(unicode.Cf, r), unicode.Is(unicode.Variation_Selector, r), r == '\u034f', r == '\ufffc':
		return 0
	case r == '\uff0b', r == '\ufe62', r == '\ufb29':
		return '+'
	case r == '\uff08':
		return '('
	case r == '\uff09':
		return ')'
	case r == '\uff0f', r == '\u2044', r == '\u2215':
		return '/'
	case r == '\uff0e', r == '\u2024', r == '\u00b7', r == '\u2022', r == '\u2219', r == '\u22c5':
		return '.'
	}
	return r
}

// digitValue returns the value of a decimal digit of any script. The ten of a script
// stand one after the other, and every span of the table begins with a zero.
func digitValue(r rune) rune {
	for _, span := range unicode.Nd.R16 {
		if first := rune(span.Lo); r >= first && r <= rune(span.Hi) {
			return (r - first) % 10
		}
	}
	for _, span := range unicode.Nd.R32 {
		if first := rune(span.Lo); r >= first && r <= rune(span.Hi) {
			return (r - first) % 10
		}
	}
	return 0
}

var (
	// spreadsheet is a number that a spreadsheet took for an amount.
	spreadsheet = regexp.MustCompile(`^(\+?\d+)\.0+$`)
	// suffix is what follows a number: an extension, pauses and what is dialled after
	// them, or a remark.
	suffix = regexp.MustCompile(`(?i)^(.*[\d)\]])\s*(?:[,;][\d\s,;*#pwx=a-z-]*|[xpw#]\s*\d{1,8}#?|(?:ext(?:n|ension)?|доб|вн|внутр|שלוחה|poste|anexo|ramal|int|dw|durchwahl|nst)[.:]?\s*\d{1,8}#?|\([^()]*\pL[^()]*\)|\[[^\[\]]*\pL[^\[\]]*\])$`)
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
	// There may be several, such as x12 (office).
	for m := suffix.FindStringSubmatch(text); m != nil; m = suffix.FindStringSubmatch(text) {
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

// hasTail knows two numbers in one, such as 030 23456701/02 or 030 23456701 (02): which one calls
// cannot be known, and the digits of both make the number of a third.
func hasTail(text string) bool {
	i := strings.LastIndexByte(text, '/')
	if strings.HasSuffix(text, ")") || strings.HasSuffix(text, "]") {
		i = max(i, strings.LastIndexAny(text, "(["))
	}
	return i >= 0 && CountDigits(text[:i]) >= MinE164 && CountDigits(text[i:]) > 0
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
