package app

import (
	"bytes"
	"strings"
	"testing"
)

// What is held is written at the end, and what comes later does no harm.
func TestLogLines(t *testing.T) {
	var out bytes.Buffer
	l := newLogWriter(&out, false)
	for range 100 {
		l.Write([]byte("line\n"))
	}
	l.Close()
	l.Write([]byte("late\n"))
	if got := out.String(); got != strings.Repeat("line\n", 100) || l.Lost() != 1 {
		t.Errorf("written %q, %v lost", got, l.Lost())
	}
}
