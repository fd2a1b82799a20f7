package app

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	sd "github.com/coreos/go-systemd/v22/daemon"
)

// supervisor is the service manager that started ringhook, which is systemd, or
// nobody.
type supervisor struct{ log *slog.Logger }

// tell sends lines of systemd's notify protocol, see sd_notify(3).
func (s supervisor) tell(lines string) {
	if _, err := sd.SdNotify(false, lines); err != nil {
		s.log.Warn("service manager cannot be told how it goes", "err", err)
	}
}

func (s supervisor) ready(status string) { s.tell("READY=1\nSTATUS=" + status) }

func (s supervisor) reloading() {
	s.tell("RELOADING=1\n" + sd.SdNotifyMonotonicUsec() + "STATUS=reading the configuration again")
}

// stopping also asks for the time that the way out may take.
func (s supervisor) stopping(within time.Duration) {
	s.tell(fmt.Sprintf("STOPPING=1\nEXTEND_TIMEOUT_USEC=%d\nSTATUS=stopping", within.Microseconds()))
}

// watchdog tells the service manager that ringhook is alive, twice in each span
// that it grants, until ctx ends. It is silent while commits hang, so that
// ringhook is started again.
func (a *App) watchdog(ctx context.Context) {
	span, err := sd.SdWatchdogEnabled(false)
	if err != nil {
		a.log.Warn("watchdog of the service manager is not served", "err", err)
	}
	if err != nil || span <= 0 {
		return
	}
	ticker := time.NewTicker(max(span/2, time.Millisecond))
	defer ticker.Stop()
	for p := (pulse{}); ; {
		if p.beats(a.store.CommitProgress()) {
			a.systemd.tell("WATCHDOG=1")
		} else {
			a.log.Error("commits to the outbox hang: the service manager is not told that ringhook is alive, and will start it again")
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// pulse is what the last look saw.
type pulse struct {
	rounds  int64
	waiting bool
}

// beats tells whether something came round since the last look, or nothing
// waited for it then.
func (p *pulse) beats(rounds int64, waiting bool) bool {
	alive := rounds != p.rounds || !waiting || !p.waiting
	p.rounds, p.waiting = rounds, waiting
	return alive
}
