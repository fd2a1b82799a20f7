package app

import (
	"log/slog"
	"sort"
	"syscall"

	"ringhook/api"
	"ringhook/conf"
)

const (
	// spareFiles are the descriptors of databases, listeners and the log.
	spareFiles = 100
	// minConnections is the number of HTTP connections that are served in any case.
	minConnections = 8
)

// ownFiles returns the maximum number of descriptors that are open besides those of
// sessions, with a number of HTTP connections.
func ownFiles(cfg *conf.Config, connections int) uint64 {
	n := connections + spareFiles
	if cfg.Desk.Listen != "" {
		n += cfg.Desk.MaxConnections()
	}
	for i := range cfg.Lookups {
		n += cfg.Lookups[i].Concurrency
	}
	for i := range cfg.Hooks {
		n += 2 * cfg.Hooks[i].Concurrency
	}
	return uint64(n)
}

// filesNeeded returns the maximum number of descriptors that are open at once.
func filesNeeded(cfg *conf.Config, connections int) uint64 {
	return ownFiles(cfg, connections) + uint64(cfg.FastAGI.MaxConnections())
}

// fit returns the number of sessions and of HTTP connections that can be served with a
// limit of open files. HTTP gets a quarter of a small limit.
func fit(cfg conf.Config, files uint64) (sessions, connections int) {
	connections = minConnections
	if files > spareFiles {
		connections = int(max(minConnections, min(api.MaxConnections, (files-spareFiles)/4)))
	}
	wanted := cfg.FastAGI.MaxSessions
	few := sort.Search(wanted, func(n int) bool {
		cfg.FastAGI.MaxSessions = n + 1
		return filesNeeded(&cfg, connections) > files
	})
	return max(few, 1), connections
}

// fitFiles lowers max_sessions to what the limit of open files allows, and returns the
// number of HTTP connections that it allows. A call that gets FAILURE continues; one that
// cannot be accepted waits.
func fitFiles(cfg *conf.Config, log *slog.Logger) (connections int) {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		log.Warn("cannot read the limit of open files", "err", err)
		return api.MaxConnections
	}
	fitDesk(cfg, limit.Cur, log)
	needed, wanted := filesNeeded(cfg, api.MaxConnections), cfg.FastAGI.MaxSessions
	cfg.FastAGI.MaxSessions, connections = fit(*cfg, limit.Cur)
	if cfg.FastAGI.MaxSessions < wanted {
		log.Warn("limit of open files too small for max_sessions", "limit", limit.Cur, "needed", needed, "max_sessions", wanted, "fit", cfg.FastAGI.MaxSessions,
			"hint", "further sessions get FAILURE; raise LimitNOFILE= of the unit or ulimit -n, or lower [fastagi] max_sessions")
	}
	return connections
}

// fitDesk lowers max_streams to what the limit of open files allows. The desk gets what the sessions leave, and a quarter of the
// limit at least.
func fitDesk(cfg *conf.Config, files uint64, log *slog.Logger) {
	if cfg.Desk.Listen == "" {
		return
	}
	share, without := files/4, *cfg
	without.Desk.Listen = ""
	if needed := filesNeeded(&without, api.MaxConnections); files > needed {
		share = max(share, files-needed)
	}
	wanted, desk := cfg.Desk.MaxStreams, cfg.Desk
	cfg.Desk.MaxStreams = max(1, sort.Search(wanted, func(n int) bool {
		desk.MaxStreams = n + 1
		return uint64(desk.MaxConnections()) > share
	}))
	if cfg.Desk.MaxStreams < wanted {
		log.Warn("limit of open files too small for the desk", "limit", files, "max_streams", wanted, "fit", cfg.Desk.MaxStreams,
			"hint", "further tabs are refused; raise LimitNOFILE= of the unit or ulimit -n, or lower [desk] max_streams")
	}
}
