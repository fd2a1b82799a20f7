package main

import (
	"bytes"
	"log/slog"
	"strings"
	"syscall"
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
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	for sessions, warned := range map[int]bool{1: limit.Cur < filesNeeded(&conf.Config{}), 1 << 40: limit.Cur < 1<<40} {
		var log bytes.Buffer
		c := conf.Config{}
		c.FastAGI.MaxSessions = sessions
		warnOfFiles(&c, slog.New(slog.NewTextHandler(&log, nil)))
		if strings.Contains(log.String(), "LimitNOFILE") != warned {
			t.Errorf("%d sessions, %d files: log %q", sessions, limit.Cur, &log)
		}
	}
}
