package main

import (
	"log/slog"
	"syscall"

	"ringhook/conf"
)

// spareFiles are the descriptors that the program needs for itself: databases, listeners, logs.
const spareFiles = 100

// filesNeeded is how many descriptors ringhook may have open at once: each
// session has one, and each request of a lookup or a hook.
func filesNeeded(cfg *conf.Config) uint64 {
	n := cfg.FastAGI.MaxSessions + webConns + spareFiles
	for i := range cfg.Lookups {
		n += cfg.Lookups[i].Concurrency
	}
	for i := range cfg.Hooks {
		n += 2 * cfg.Hooks[i].Concurrency
	}
	return uint64(n)
}

// warnOfFiles warns where the system would refuse sessions that the
// configuration allows.
func warnOfFiles(cfg *conf.Config, log *slog.Logger) {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		log.Warn("limit of open files cannot be read", "err", err)
		return
	}
	if needed := filesNeeded(cfg); limit.Cur < needed {
		log.Warn("limit of open files is too low for [fastagi] max_sessions: raise it (LimitNOFILE= of the unit, or ulimit -n), or lower max_sessions",
			"limit", limit.Cur, "needed", needed)
	}
}
