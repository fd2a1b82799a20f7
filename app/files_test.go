package app

import (
	"math"
	"testing"

	"ringhook/conf"
	"ringhook/hooks"
	"ringhook/lookup"
)

// F22: whoever lets in more sessions than the system has files for is told so at the
// start, and not by calls that fail.
func TestFiles(t *testing.T) {
	cfg := conf.Default()
	before := filesNeeded(cfg)
	if before < uint64(cfg.FastAGI.MaxSessions) {
		t.Errorf("%d files for %d sessions", before, cfg.FastAGI.MaxSessions)
	}
	cfg.Lookups = []lookup.Config{{Concurrency: 64}}
	cfg.Hooks = []hooks.Config{{Concurrency: 8}}
	if got := filesNeeded(cfg); got != before+64+16 {
		t.Errorf("got %d more for a lookup and a hook", got-before)
	}
	own := ownFiles(cfg)
	for _, c := range []struct {
		sessions int
		files    uint64
		want     int
	}{
		{10000, 1 << 20, 10000},
		{10000, math.MaxUint64, 10000},          // no limit
		{10000, own + 10000 + 2500 + 16, 10000}, // of which a quarter and 16 are told FAILURE
		{10000, own + 10000 + 2500 + 15, 9999},  // 9999 need 2499 and 16 beside them
		{10000, own + 20, 10},                   // of few as many as are served
		{10000, own, 1},
		{10000, 3, 1},
		{1, 3, 1},
	} {
		cfg.FastAGI.MaxSessions = c.sessions
		if got := sessionsFor(*cfg, c.files); got != c.want {
			t.Errorf("%d sessions, %d files: %d fit, want %d", c.sessions, c.files, got, c.want)
		}
	}
}
