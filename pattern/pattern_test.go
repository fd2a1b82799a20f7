package pattern

import (
	"errors"
	"strings"
	"testing"
)

// TestCheck checks which expressions are too large to be compiled.
func TestCheck(t *testing.T) {
	for text, want := range map[string]error{
		``: nil, `^\+49(\d+)$`: nil, `^(?:0|\+49)[\d ()/-]{6,20}$`: nil, `(?i)\p{L}{1,40}`: nil, `.{1000}`: nil, `(?P<name>a)|(?<other>b)`: nil,
		strings.Repeat("a", 20000): nil, strings.Repeat(".{1000}", 10): nil,
		strings.Repeat(".{1000}", 30): ErrTooLarge, strings.Repeat("(?:.{9}){90}", 40): ErrTooLarge,
		`(?:\pL\pL){1000}`: ErrTooLarge, strings.Repeat(`\pL`, 2000): ErrTooLarge, strings.Repeat("a", 20001): ErrTooLarge,
	} {
		if got := Check(text); !errors.Is(got, want) {
			t.Errorf("%.40q: got %v, want %v", text, got, want)
		}
	}
	for _, text := range []string{`(`, `a{1001}`, `\8`, strings.Repeat("(", 2000)} {
		if Check(text) == nil {
			t.Errorf("%.40q is accepted", text)
		}
	}
}
