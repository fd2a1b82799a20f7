package hooks

import (
	"context"
	"log/slog"
	"time"
)

// failureLog remembers what fails, so that the log has it once while it stays the same, and has its end.
type failureLog struct {
	class  string // of the attempts that fail, empty while they succeed
	failed int    // attempts since then
	logged bool   // that they fail
	dead   bool   // that a delivery died since then is logged
	lost   bool   // the outbox does not answer
	skewed bool   // the receiver's clock is wrong, or ours

	last   string // the class that was logged last
	lastAt time.Time
}

// logInterval is the minimum time between two lines about the same failure with successes in between: a receiver that fails now
// and then would fill the log.
const logInterval = time.Minute

// skewLimit is the difference of clocks from which on it is logged. Receivers of signed requests refuse those that are five
// minutes off.
const skewLimit = time.Minute

// result logs what became of an attempt.
func (l *failureLog) result(log *slog.Logger, d *Delivery, r *Result) {
	if r.State == Delivered && !l.logged && !log.Enabled(context.Background(), slog.LevelDebug) {
		l.class, l.failed, l.dead = "", 0, false
		return
	}
	log = log.With("delivery", r.Delivery, "event", d.Event.Name, "linkedid", d.Event.LinkedID,
		"attempt", d.Attempts+1, "class", r.Attempt.Class, "status", r.Attempt.Status, "took", r.Attempt.Took)
	switch {
	case r.State == Dead && !l.dead:
		log.Error("delivery is dead", "event_id", d.Event.ID,
			"hint", "others may follow without a line, until the hook answers again: ringhook outbox list --state dead")
		l.dead = true
	case r.State == Dead:
		log.Debug("delivery is dead", "event_id", d.Event.ID)
	case r.State == Delivered && !l.logged:
		log.Debug("delivered")
	case r.State == Delivered:
		log.Info("delivered, the hook answers again", "failed", l.failed)
	case r.Attempt.Class != l.class && (r.Attempt.Class != l.last || r.Attempt.Started.Sub(l.lastAt) >= logInterval):
		log.Warn("delivery failed, will be retried", "next", r.Next, "answer", errorOnly(r.Attempt))
		l.logged, l.last, l.lastAt = true, r.Attempt.Class, r.Attempt.Started
	default:
		log.Debug("delivery failed, will be retried", "next", r.Next)
	}
	if r.State == Delivered {
		l.class, l.failed, l.logged, l.dead = "", 0, false, false
		return
	}
	l.class = r.Attempt.Class
	l.failed++
}

// clock logs that the clocks of the receiver and of this machine differ.
func (l *failureLog) clock(log *slog.Logger, skew time.Duration) {
	skewed := skew.Abs() >= skewLimit
	if skewed && !l.skewed {
		log.Warn("clock of the receiver differs from ours", "ahead", skew, "hint", "signed requests may be refused: check both clocks")
	}
	l.skewed = skewed
}

// errorOnly returns the error of an attempt without an answer. An answer may hold anything, and stays in the outbox.
func errorOnly(a Attempt) string {
	if a.Status != 0 {
		return ""
	}
	return a.Excerpt
}

// outbox logs that the outbox fails, or works again.
func (l *failureLog) outbox(log *slog.Logger, err error) {
	switch {
	case err != nil && !l.lost:
		log.Error("outbox does not answer, deliveries wait", "err", err)
	case err == nil && l.lost:
		log.Info("outbox answers again")
	}
	l.lost = err != nil
}
