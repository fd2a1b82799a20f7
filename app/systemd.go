package app

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	sd "github.com/coreos/go-systemd/v22/daemon"
)

// supervisor is the service manager that started ringhook. Without one its methods do nothing.
type supervisor struct{ log *slog.Logger }

// notify sends lines of systemd's notify protocol, see sd_notify(3).
func (s supervisor) notify(lines string) {
	if _, err := sd.SdNotify(false, lines); err != nil {
		s.log.Warn("cannot notify the service manager", "err", err)
	}
}

func (s supervisor) ready(status string) { s.notify("READY=1\nSTATUS=" + status) }

func (s supervisor) reloading() {
	s.notify("RELOADING=1\n" + sd.SdNotifyMonotonicUsec() + "STATUS=reloading the configuration")
}

// stopping also asks for the time that the stop may take.
func (s supervisor) stopping(within time.Duration) {
	s.notify(fmt.Sprintf("STOPPING=1\nEXTEND_TIMEOUT_USEC=%d\nSTATUS=stopping", within.Microseconds()))
}

// watchdog notifies the service manager twice in each watchdog interval, until ctx ends.
// It is silent while commits hang, so that ringhook is restarted.
func (a *App) watchdog(ctx context.Context) {
	span, err := sd.SdWatchdogEnabled(false)
	if err != nil {
		a.log.Warn("watchdog of the service manager not served", "err", err)
	}
	if err != nil || span <= 0 {
		return
	}
	ticker := time.NewTicker(max(span/2, time.Millisecond))
	defer ticker.Stop()
	for p := (pulse{}); ; {
		if p.beats(a.store.CommitProgress()) {
			a.systemd.notify("WATCHDOG=1")
		} else {
			a.log.Error("commits to the outbox hang", "hint", "the watchdog of the service manager restarts ringhook; check the disk")
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// pulse is the state at the last look.
type pulse struct {
	rounds  int64
	waiting bool
}

// beats reports whether a commit ended since the last look, or none was waited for then.
func (p *pulse) beats(rounds int64, waiting bool) bool {
	alive := rounds != p.rounds || !waiting || !p.waiting
	p.rounds, p.waiting = rounds, waiting
	return alive
}
