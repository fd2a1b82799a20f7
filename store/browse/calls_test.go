package browse

import (
	"testing"
	"time"
)

// TestParsePlace checks that a place is read as it is written, and that nothing else is one.
func TestParsePlace(t *testing.T) {
	at := time.UnixMicro(1768469400123)
	for text, want := range map[string]Place{"1768469400123.17": {at, 17}, "1768469400123": {at, 0}, "-1.0": {time.UnixMicro(-1), 0}} {
		if p, err := ParsePlace(text); err != nil || !p.Before.Equal(want.Before) || p.Row != want.Row {
			t.Errorf("%s: %v, %v", text, p, err)
		}
	}
	for _, text := range []string{"", ".", "1.", ".1", "1.2.3", "x", "1.x", " 1", "9223372036854775808", "1.9223372036854775808"} {
		if p, err := ParsePlace(text); err == nil {
			t.Errorf("%q is the place %v", text, p)
		}
	}
}

// FuzzParsePlace reads places.
func FuzzParsePlace(f *testing.F) {
	for _, text := range []string{"1768469400123.17", "1768469400123", "-1.0", "x", "1.", "9223372036854775807.-9223372036854775808"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, err := ParsePlace(text)
		if err != nil {
			return
		}
		if again, err := ParsePlace(p.String()); err != nil || again.Row != p.Row || again.Before.UnixMicro() != p.Before.UnixMicro() {
			t.Errorf("%q: %v became %v, %v", text, p, again, err)
		}
	})
}
