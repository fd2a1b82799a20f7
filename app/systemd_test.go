package app

import "testing"

// The watchdog is not notified while commits are waited for and none ends.
func TestPulse(t *testing.T) {
	var p pulse
	for i, look := range []struct {
		rounds         int64
		waiting, alive bool
	}{
		{0, false, true}, // nothing to do yet
		{0, false, true},
		{0, true, true},  // just begun
		{0, true, false}, // and still not over
		{0, true, false},
		{1, true, true}, // slow, but it moves
		{2, true, true},
		{2, false, true},
		{2, true, true},
		{2, true, false},
	} {
		if alive := p.beats(look.rounds, look.waiting); alive != look.alive {
			t.Errorf("look %d: got %v, want %v", i, alive, look.alive)
		}
	}
}
