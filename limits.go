package main

import (
	"log/slog"
	"sort"
	"syscall"

	"ringhook/conf"
)

// spareFiles are the descriptors that the program needs for itself: databases, listeners, logs.
const spareFiles = 100

// ownFiles is how many descriptors ringhook may have open beside its sessions'.
func ownFiles(cfg *conf.Config) uint64 {
	n := webConns + spareFiles
	for i := range cfg.Lookups {
		n += cfg.Lookups[i].Concurrency
	}
	for i := range cfg.Hooks {
		n += 2 * cfg.Hooks[i].Concurrency
	}
	return uint64(n)
}

// filesNeeded is how many descriptors ringhook may have open at once.
func filesNeeded(cfg *conf.Config) uint64 {
	return ownFiles(cfg) + uint64(cfg.FastAGI.MaxConnections())
}

// fitSessions lowers max_sessions to what the system has files for, and says so: a session
// that is told FAILURE goes on, and one that cannot be accepted holds its call.
func fitSessions(cfg *conf.Config, log *slog.Logger) {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		log.Warn("limit of open files cannot be read", "err", err)
		return
	}
	wanted, needed := cfg.FastAGI.MaxSessions, filesNeeded(cfg)
	if limit.Cur >= needed {
		return
	}
	fit := sort.Search(wanted, func(n int) bool {
		cfg.FastAGI.MaxSessions = n
		return filesNeeded(cfg) > limit.Cur
	}) - 1
	cfg.FastAGI.MaxSessions = max(fit, 1)
	log.Warn("too few files may be open for [fastagi] max_sessions: more sessions than fit are answered FAILURE. Raise the limit (LimitNOFILE= of the unit, or ulimit -n), or lower max_sessions",
		"limit", limit.Cur, "needed", needed, "max_sessions", wanted, "fit", cfg.FastAGI.MaxSessions)
}
