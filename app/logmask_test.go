package app

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"
)

// T-LOG-03: the last three digits of a number are kept, whatever wrote it into
// a line. T-LOG-01: a line stays a line.
func TestMaskNumbers(t *testing.T) {
	var out bytes.Buffer
	lines := func(level string) string {
		out.Reset()
		lowest := new(slog.LevelVar)
		if err := lowest.UnmarshalText([]byte(level)); err != nil {
			t.Fatal(err)
		}
		newLogger(&out, lowest, false).Error("message", "err", errors.New(`Get "http://crm/?p=%2B442079460142": refused`), "channel", "Local/02079460142@agents",
			"uniqueid", "1763706360.17", "version", "3db3d3696190", "peer", 4573, "name", "a\nlevel=ERROR\x1b[31m")
		return out.String()
	}
	if got := lines("info"); strings.Contains(got, "79460142") || !strings.Contains(got, "*142@agents") || !strings.Contains(got, "*142\\\"") ||
		!strings.Contains(got, "1763706360.17") || !strings.Contains(got, "version=3db3d3696190") || strings.Count(got, "\n") != 1 || strings.Contains(got, "\x1b") {
		t.Error(got)
	}
	if got := lines("debug"); !strings.Contains(got, "%2B442079460142") || !strings.Contains(got, "Local/02079460142") {
		t.Error(got)
	}
	for text, want := range map[string]string{
		"": "", "101": "101", "123456": "123456", "1234567": "****567", "+442079460142,x 02079460142": "+*********142,x ********142",
		"list of more than 67108864 bytes": "list of more than 67108864 bytes", "02079460142 rings": "********142 rings",
	} {
		if got := maskDigits(text); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}
