// Package mention finds the numbers of a person in stored texts.
package mention

import "bytes"

// Long is the length from which a number is also found inside other text. A
// shorter one must be a whole JSON string, because it may be part of any number.
const Long = 7

// In reports whether JSON contains one of the numbers.
func In(text []byte, numbers []string) bool {
	for _, number := range numbers {
		if bytes.Contains(text, []byte(`"`+number+`"`)) {
			return true
		}
		for rest := text; len(number) >= Long; {
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

// Words returns what a text contains that mentions one of the numbers. It may contain that without mentioning one.
func Words(numbers []string) (words []string) {
	for _, number := range numbers {
		if len(number) < Long {
			number = `"` + number + `"`
		}
		words = append(words, number)
	}
	return words
}
