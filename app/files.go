package app

import (
	"log/slog"
	"sort"
	"syscall"

	"ringhook/api"
	"ringhook/conf"
)

// spareFiles are the descriptors that the program needs for itself: databases, listeners, logs.
const spareFiles = 100

// ownFiles is how many descriptors ringhook may have open beside its sessions'.
func ownFiles(cfg *conf.Config) uint64 {
	n := api.MaxConnections + spareFiles
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

// sessionsFor is how many sessions can be served where so many files may be open: max_sessions, or
// what fits, but one at least.
func sessionsFor(cfg conf.Config, files uint64) int {
	wanted := cfg.FastAGI.MaxSessions
	few := sort.Search(wanted, func(n int) bool {
		cfg.FastAGI.MaxSessions = n + 1
		return filesNeeded(&cfg) > files
	})
	return max(few, 1)
}

// fitSessions lowers max_sessions to what the system has files for, and says so: a call
// that is told FAILURE goes on, and one that cannot be accepted waits.
func fitSessions(cfg *conf.Config, log *slog.Logger) {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		log.Warn("limit of open files cannot be read", "err", err)
		return
	}
	needed := filesNeeded(cfg)
	if limit.Cur >= needed {
		return
	}
	wanted := cfg.FastAGI.MaxSessions
	cfg.FastAGI.MaxSessions = sessionsFor(*cfg, limit.Cur)
	log.Warn("too few files may be open for [fastagi] max_sessions: more sessions than fit are answered FAILURE. Raise the limit (LimitNOFILE= of the unit, or ulimit -n), or lower max_sessions",
		"limit", limit.Cur, "needed", needed, "max_sessions", wanted, "fit", cfg.FastAGI.MaxSessions)
}
