package sqlite

import (
	"bytes"
	"strings"
)

// longNumber is the length from which a number is also found inside other text. A
// shorter one must be a whole JSON string, because it may be part of any number.
const longNumber = 7

// Mentions reports whether JSON contains one of the numbers.
func Mentions(text []byte, numbers []string) bool {
	for _, number := range numbers {
		if bytes.Contains(text, []byte(`"`+number+`"`)) {
			return true
		}
		for rest := text; len(number) >= longNumber; {
			i := bytes.Index(rest, []byte(number))
			if i < 0 {
				break
			}
			end := i + len(number)
			if (i == 0 || !isDigit(rest[i-1])) && (end == len(rest) || !isDigit(rest[end])) {
				return true
			}
			rest = rest[end:]
		}
	}
	return false
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// MentionSQL returns the SQL condition that a column may contain one of the numbers. It
// scans the whole table, so only operators' commands use it.
func MentionSQL(column string, numbers []string) (condition string, args []any) {
	var parts []string
	for _, number := range numbers {
		if len(number) < longNumber {
			number = `"` + number + `"`
		}
		parts = append(parts, "instr("+column+", ?) > 0")
		args = append(args, []byte(number))
	}
	return "(" + strings.Join(parts, " or ") + ")", args
}
