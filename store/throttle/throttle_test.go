package throttle

import (
	"testing"
	"time"
)

// TestThrottle checks that the share of upkeep is a tenth of the time at first, grows to at
// most a third while due rows wait longer and longer, and otherwise stays.
func TestThrottle(t *testing.T) {
	const took = 100 * time.Millisecond
	for name, c := range map[string]struct {
		behind func(step int) time.Duration
		want   time.Duration // what it waits after a hundred seconds
	}{
		"catches up":   {func(step int) time.Duration { return max(0, time.Hour-time.Duration(step)*time.Minute) }, 10 * took},
		"holds":        {func(int) time.Duration { return time.Minute }, 10 * took},
		"falls behind": {func(step int) time.Duration { return time.Duration(step) * time.Second }, 2 * took},
	} {
		p := New()
		var wait time.Duration
		for step, passed := 0, time.Duration(0); passed < 100*time.Second; step++ {
			wait = p.After(took, c.behind(step))
			passed += took + wait
		}
		if wait != c.want {
			t.Errorf("%s: waits %v, want %v", name, wait, c.want)
		}
	}
}
