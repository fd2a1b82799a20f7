package number

import (
	"regexp"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// clip cuts a number, and drops what is no text. A control character becomes a blank: what stands on both sides of a tab
// may be two numbers.
func clip(raw string) string {
	if len(raw) > maxNumber {
		raw = raw[:maxNumber]
	}
	raw = strings.ToValidUTF8(raw, "")
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
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
	suffix = regexp.MustCompile(`(?i)^(.*[\d)\]])\s*(?:[,;][\d\s,;*#pwx=a-z-]*|[xpw#]\s*\d{1,8}#?|(?:ext(?:n|ension)?|доб|вн|внутр|שלוחה|poste|anexo|ramal|int|dw|durchwahl|nst|app|apparat)[.:]?\s*\d{1,8}#?|\([^()]*\pL[^()]*\)|\[[^\[\]]*\pL[^\[\]]*\])$`)
)

// digits returns the digits of a number, with a plus sign before them if it has
// one, and reports whether it is made of nothing but digits and what people write
// around and between them. A letter makes it no number, though the plans of
// some countries would dial one.
func digits(raw string) (string, bool) {
	text, several := base(raw)
	if several || IsUniqueID(raw) {
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

// inserted is the national prefix that people put in brackets behind a country's code, as in +49 (0)30 234567.
var inserted = regexp.MustCompile(`^(\s*(?:\+|00)[\d\s.-]+)\(0\)`)

// Dialable returns what to dial for a number as people, spreadsheets and web pages write it: its digits, after a plus sign
// or not, without what stands around and between them, and without the extension or the remark behind it. Stars and hashes
// stay, as in *43. ok is false for a text that is no number, and several is true if it may be two of them, of which the
// digits make the number of a third.
func Dialable(raw string) (dialled string, several, ok bool) {
	raw = strings.TrimSpace(raw)
	if strings.ContainsFunc(raw, func(r rune) bool { return r != '\t' && unicode.IsControl(r) }) {
		return "", strings.ContainsAny(raw, "\r\n"), false
	}
	if IsUniqueID(raw) {
		return "", false, false
	}
	text := inserted.ReplaceAllString(written(clip(raw)), "$1")
	if code := separators.Replace(text); strings.ContainsAny(code, "*#") && strings.Trim(code, "+0123456789*#") == "" {
		several = SeveralAnywhere(argument(text))
		return code, several, !several
	}
	if dialled, ok = digits(text); ok && !isPair(text) {
		return dialled, false, true
	}
	_, several = base(text)
	return "", several || ok, false
}

// argument returns the number behind a feature code, such as 030 23456701 of *21*030 23456701#; other texts as they are.
func argument(text string) string {
	text = strings.TrimRight(text, "*# ")
	return text[strings.LastIndexAny(text, "*#")+1:]
}

// uniqueID is the time at which a channel was made, in seconds since 1970, and its number since Asterisk was started. The
// first channel after a start has the number 0, which a spreadsheet puts behind each number that it takes for an amount:
// 1732345678.0 is rather a number without its zero, and counts as one.
var uniqueID = regexp.MustCompile(`^[12]\d{9}\.[1-9]\d*$`)

// IsUniqueID reports whether a text is the uniqueid or the linkedid of a call, such as 1700000001.17. Its digits make no
// number.
func IsUniqueID(text string) bool { return uniqueID.MatchString(strings.TrimSpace(text)) }

// separators are what people write between the digits of a number.
var separators = strings.NewReplacer(" ", "", "-", "", ".", "", "(", "", ")", "", "[", "", "]", "", "/", "")

// base returns a number without what follows it, and reports whether it is two numbers in one.
func base(raw string) (text string, several bool) {
	if isBare(raw) {
		return raw, false
	}
	return trimmed(raw)
}

// isBare reports whether a number is written with digits and plus signs alone, as trunks write nearly all of them. None
// of the expressions of trimmed matches such a number, and they take as long as reading it by the numbering plan.
func isBare(raw string) bool {
	for i := range len(raw) {
		if c := raw[i]; (c < '0' || c > '9') && c != '+' {
			return false
		}
	}
	return true
}

// trimmed is base for a number that may be written in any way.
func trimmed(raw string) (text string, several bool) {
	text = written(raw)
	if m := spreadsheet.FindStringSubmatch(text); m != nil {
		text = m[1]
	}
	if list.MatchString(text) {
		return text, true
	}
	// There may be several suffixes, such as x12 (office).
	for m := suffix.FindStringSubmatch(text); m != nil; m = suffix.FindStringSubmatch(text) {
		text = m[1]
	}
	return text, hasTail(text)
}

// written returns a number in ASCII, without what stands before it: a word such as Tel., the equals sign and the
// quotes with which spreadsheets keep a text.
func written(raw string) string {
	text := strings.Map(func(r rune) rune {
		if r = ascii(r); r == 0 {
			return -1
		}
		return r
	}, raw)
	text = strings.Trim(text, " '\"`’‘´=")
	return text[len(label.FindString(text)):]
}

var (
	// label is what people write before a number.
	label = regexp.MustCompile(`(?i)^(?:tel(?:efon|ephone)?|phone|mobile?|handy|cell|тел|моб|טל|נייד)(?:[.:]\s*|\s+)`)
	// list is a number with another one behind it.
	list = regexp.MustCompile(`\d\s*[,;]\s*(?:\+|0)[\d\s()/-]{6,}$`)
	// span is the first and the last of several numbers, as in 030 23456705-06.
	span = regexp.MustCompile(`^([^-]*\d)\s*-\s*(\d{1,3})$`)
)

// spanned returns the first of several numbers of which only the last digits of the last one follow, such as
// 030 23456705-06: the tail counts on where the number ends, by nine at most or from 00 to 99. Another tail is the
// extension of a switchboard, as in 030 234567-01.
func spanned(text string) (first string, several bool) {
	if !strings.Contains(text, "-") {
		return "", false
	}
	m := span.FindStringSubmatch(text)
	if m == nil {
		return "", false
	}
	head, _ := digits(m[1])
	if len(head) < len(m[2]) {
		return "", false
	}
	from, _ := strconv.Atoi(head[len(head)-len(m[2]):])
	to, _ := strconv.Atoi(m[2])
	return head, to > from && (to-from <= 9 || from == 0 && to == 99)
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

// halves calls f with the two parts of a number at each place where a group of digits begins, until f returns true, and
// reports whether it did. Each part has at least so many digits.
func halves(text string, least int, f func(left, right string) bool) bool {
	for i := 1; i < len(text); i++ {
		if !isDigit(text[i]) || isDigit(text[i-1]) {
			continue
		}
		if left, right := text[:i], text[i:]; significant(left) >= least && significant(right) >= least && f(left, right) {
			return true
		}
	}
	return false
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// significant returns the number of digits behind the 00 before a country's code.
func significant(part string) int {
	digits := onlyDigits(part)
	return len(strings.TrimPrefix(digits, "00"))
}

// isPair reports whether a text may be two numbers with nothing but a blank or another separator between them, whatever the
// country: the second one begins with a zero, or both together have more digits than a number that begins so.
func isPair(raw string) bool {
	text, _ := base(raw)
	return halves(text, MinE164, func(_, right string) bool {
		return right[0] == '0' || CountDigits(text) > longest(text)
	})
}

// longest returns the maximum number of digits of a number that is dialled, by its beginning.
func longest(text string) int {
	digits := onlyDigits(text)
	has := func(prefix string) bool { return strings.HasPrefix(digits, prefix) }
	switch {
	case strings.HasPrefix(text, "+"):
		return maxE164
	case has("00"), has("01"), has("810"): // before a country's code, as 00, 010, 011 or 810
		return maxDialled
	case has("0"):
		return 14 // national numbers of Germany and Austria have 13 behind it
	}
	return 13 // one of Germany with the country's code, without a plus sign
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
