package hooks

import (
	"context"
	"log/slog"
	"time"
)

// trouble remembers what is wrong, so that the log tells it once while it
// stays the same, and tells its end.
type trouble struct {
	class  string // of the attempts that fail, empty while they succeed
	failed int    // attempts since then
	told   bool   // the log has it
	dead   bool   // that something died since then is told
	lost   bool   // the outbox does not answer
	skewed bool   // the receiver's clock is wrong, or ours

	last   string // the class that was told last
	lastAt time.Time
}

// quiet is how long the same failure, between successes, is not told again: a
// receiver that fails now and then would fill the log.
const quiet = time.Minute

// skewLimit is from when on the clocks are worth a word. Receivers of signed requests
// refuse those that are five minutes off.
const skewLimit = time.Minute

// result logs what became of an attempt.
func (t *trouble) result(log *slog.Logger, d *Delivery, r *Result) {
	if r.State == Delivered && !t.told && !log.Enabled(context.Background(), slog.LevelDebug) {
		t.class, t.failed, t.dead = "", 0, false
		return
	}
	log = log.With("delivery", r.Delivery, "event", d.Event.Name, "linkedid", d.Event.LinkedID,
		"attempt", d.Attempts+1, "class", r.Attempt.Class, "status", r.Attempt.Status, "took", r.Attempt.Took)
	switch {
	case r.State == Dead && !t.dead:
		log.Error("delivery is dead, and so may be others until the hook answers again", "event_id", d.Event.ID)
		t.dead = true
	case r.State == Dead:
		log.Debug("delivery is dead", "event_id", d.Event.ID)
	case r.State == Delivered && !t.told:
		log.Debug("delivered")
	case r.State == Delivered:
		log.Info("delivered, the hook answers again", "failed", t.failed)
	case r.Attempt.Class != t.class && (r.Attempt.Class != t.last || r.Attempt.Started.Sub(t.lastAt) >= quiet):
		log.Warn("delivery failed, will be retried", "next", r.Next, "answer", briefly(r.Attempt))
		t.told, t.last, t.lastAt = true, r.Attempt.Class, r.Attempt.Started
	default:
		log.Debug("delivery failed, will be retried", "next", r.Next)
	}
	if r.State == Delivered {
		t.class, t.failed, t.told, t.dead = "", 0, false, false
		return
	}
	t.class = r.Attempt.Class
	t.failed++
}

// clock logs that the clocks of the receiver and of this machine differ.
func (t *trouble) clock(log *slog.Logger, skew time.Duration) {
	skewed := skew.Abs() >= skewLimit
	if skewed && !t.skewed {
		log.Warn("clock of the receiver differs from ours, and signed requests may be refused", "ahead", skew)
	}
	t.skewed = skewed
}

// briefly gives the error of an attempt that brought no answer. An answer may
// hold anything, and is left to the outbox.
func briefly(a Attempt) string {
	if a.Status != 0 {
		return ""
	}
	return a.Excerpt
}

// outbox logs that the outbox fails, or works again.
func (t *trouble) outbox(log *slog.Logger, err error) {
	switch {
	case err != nil && !t.lost:
		log.Error("outbox does not answer, deliveries wait", "err", err)
	case err == nil && t.lost:
		log.Info("outbox answers again")
	}
	t.lost = err != nil
}
