package hooks

import (
	"context"
	"log/slog"
	"time"

	"ringhook/loglimit"
)

// failureLog remembers what fails, so that the log has it once while it stays the same, and has its end. What changes again
// and again, or may happen with every event, is counted and logged once per logInterval.
type failureLog struct {
	limited *loglimit.Limiter
	class   string // of the attempts that fail, empty while they succeed
	failed  int    // attempts since then
	lost    bool   // the outbox does not answer
	skewed  bool   // the receiver's clock is wrong, or ours
}

// logInterval is the time within which lines of one kind are counted.
const logInterval = time.Minute

// skewLimit is the difference of clocks from which on it is logged. Receivers of signed requests refuse those that are five
// minutes off.
const skewLimit = time.Minute

// result logs what became of an attempt.
func (l *failureLog) result(log *slog.Logger, d *Delivery, r *Result) {
	if r.State == Delivered && l.class == "" && !log.Enabled(context.Background(), slog.LevelDebug) {
		return
	}
	about := []any{"delivery", r.Delivery, "event", d.Event.Name, "linkedid", d.Event.LinkedID,
		"attempt", d.Attempts + 1, "class", r.Attempt.Class, "status", r.Attempt.Status, "took", r.Attempt.Took}
	switch {
	case r.Attempt.Class == "":
		return // no attempt was made
	case r.State == Dropped:
		log.Debug("dropped", about...)
		return
	case unsentClasses[r.Attempt.Class] && r.State == Pending: // a recording is complete only some time after its call
		log.Debug("nothing to send yet", append(about, "next", r.Next, "err", r.Attempt.Cause())...)
		return
	case r.Attempt.Class == classNeeds:
		l.limited.Error("dead needs", "delivery is dead: it needs values that no answer has left", append(about, "event_id", d.Event.ID, "err", r.Attempt.Excerpt)...)
		return
	case r.Attempt.Class == classRecording: // the cause alone: the file's name may have the caller's number in it
		l.limited.Error("dead recording", "delivery is dead: its recording cannot be sent", append(about, "event_id", d.Event.ID, "err", r.Attempt.Cause())...)
		return
	case r.State == Dead:
		l.limited.Error("dead", "delivery is dead", append(about, "event_id", d.Event.ID, "hint", "ringhook outbox list --state dead lists all")...)
	case r.State == Delivered && l.class == "":
		log.Debug("delivered", about...)
	case r.State == Delivered:
		l.limited.Log(slog.LevelInfo, "answers", "delivered, the hook answers again", append(about, "failed", l.failed)...)
	case r.Attempt.Class != l.class:
		l.limited.Warn("failed "+r.Attempt.Class, "delivery failed, will be retried", append(about, "next", r.Next, "answer", errorOnly(r.Attempt))...)
	default:
		log.Debug("delivery failed, will be retried", append(about, "next", r.Next)...)
	}
	if r.State == Delivered {
		l.class, l.failed = "", 0
		return
	}
	l.class = r.Attempt.Class
	l.failed++
}

// clock logs that the clocks of the receiver and of this machine differ.
func (l *failureLog) clock(skew time.Duration) {
	skewed := skew.Abs() >= skewLimit
	if skewed && !l.skewed {
		l.limited.Warn("clock", "clock of the receiver differs from ours", "ahead", skew, "hint", "signed requests may be refused: check both clocks")
	}
	l.skewed = skewed
}

// errorOnly returns the error of an attempt, without the answer. An answer may hold anything, and stays in the outbox.
func errorOnly(a Attempt) string {
	switch {
	case a.Status == 0:
		return a.Excerpt
	case statusClass(a.Status) == classDelivered:
		return a.Cause() // the status says the contrary
	}
	return ""
}

// outbox logs that the outbox fails, or works again.
func (l *failureLog) outbox(err error) {
	switch {
	case err != nil && !l.lost:
		l.limited.Error("outbox", "outbox does not answer, deliveries wait", "err", err)
	case err == nil && l.lost:
		l.limited.Log(slog.LevelInfo, "outbox again", "outbox answers again")
	}
	l.lost = err != nil
}
