package main

import (
	"os"
	"os/exec"
	"testing"
)

// The spread of equal ratios is zero, and that of five rounds is known.
func TestRatios(t *testing.T) {
	for _, c := range []struct {
		of     [2]series
		median float64
		spread string
	}{
		{[2]series{{1, 2, 4}, {2, 4, 8}}, 2, ""},
		{[2]series{{1, 1, 1, 1, 1}, {3, 3, 3, 3, 3}}, 3, "0.000"},
		{[2]series{{1, 1, 1, 1, 1}, {5, 1, 3, 2, 4}}, 3, "1.404"}, // quartiles 2 and 4
		{[2]series{{2, 2, 2, 2, 2, 2}, {2, 4, 6, 8, 10, 12}}, 3.5, "1.923"},
	} {
		median, spread := ratios(c.of)
		if median != c.median || spread != c.spread {
			t.Errorf("ratios(%v) = %v, %q; want %v, %q", c.of, median, spread, c.median, c.spread)
		}
	}
}

// The processor time of a process grows while it works.
func TestProcessorTime(t *testing.T) {
	s := &server{name: "self", cmd: &exec.Cmd{Process: &os.Process{Pid: os.Getpid()}}}
	before, err := s.processorTime()
	if err != nil {
		t.Fatal(err)
	}
	for after := before; after <= before; {
		if after, err = s.processorTime(); err != nil {
			t.Fatal(err)
		}
	}
}
