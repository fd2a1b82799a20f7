package pops

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxTitle is the maximum length of a title in characters.
const maxTitle = 120

// Clean returns a text of a caller or a source as a page may show it: in one line, valid UTF-8, without
// control characters and without those that change the direction of the text around it, cut to a
// number of characters.
func Clean(s string, most int) string {
	var b strings.Builder
	n, blank := 0, false
	for _, r := range s {
		switch {
		case r == utf8.RuneError || isDirection(r) || unicode.Is(unicode.Cf, r) && r != '\u200d' && r != '\u200c':
			continue
		case unicode.IsSpace(r) || unicode.IsControl(r):
			blank = n > 0
			continue
		}
		if blank && n+1 < most {
			b.WriteByte(' ')
			n, blank = n+1, false
		}
		if blank || n >= most {
			break
		}
		b.WriteRune(r)
		n++
	}
	return b.String()
}

// isDirection reports whether a character changes the direction of the text around it.
func isDirection(r rune) bool {
	return r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 || r == 0x200e || r == 0x200f || r == 0x061c
}
