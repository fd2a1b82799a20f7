package lookup

import "time"

// leg is a question to one of a point's sources.
type leg struct {
	source   *source
	key      string
	attempts []attempt
	began    time.Time
	timer    *time.Timer // of the source's own timeout
	peeked   bool        // into the cache
	asked    bool
	cached   cached

	done    bool
	outcome Outcome
	vars    []Var
	fresh   bool // from the cache, in its time

	measured string // the outcome as the metric has it; empty where nobody waited
	took     time.Duration
	unfit    bool   // nobody is asked about such a number
	late     bool   // its time was over
	fault    *fault // why its source gave no answer
}

// prepareKey makes what the cache is asked for.
func (l *leg) prepareKey(q *Question) {
	if l.source.book != nil {
		return
	}
	if l.key == "" {
		l.key = l.source.key(q)
	}
	if l.source.cfg.Renew == renewBehind {
		l.prepare(q)
	}
}

// prepare makes all that a leg needs of the question, which may be gone when
// its turn comes.
func (l *leg) prepare(q *Question) {
	if l.done || l.attempts != nil || l.source.book != nil {
		return
	}
	if l.key == "" {
		l.key = l.source.key(q)
	}
	l.attempts = l.source.attempts(q)
}

// peek takes an answer that needs no waiting.
func (l *leg) peek(number string) {
	if l.done || l.peeked {
		return
	}
	l.peeked, l.began = true, time.Now()
	if l.source.byNum && !l.source.knowable(number) {
		l.unfit = true
		l.settle(string(Missing), Missing, nil)
		return
	}
	if l.source.book != nil {
		l.asked = true
		l.finish(l.source.find(number))
		return
	}
	l.cached = l.source.peek(l.key)
	switch {
	case l.cached.fresh && l.cached.entry.Missing:
		l.fresh = true
		l.settle(outcomeHit, Missing, l.cached.vars)
	case l.cached.fresh:
		l.fresh = true
		l.settle(outcomeHit, Found, l.cached.vars)
	case l.cached.stale && l.source.cfg.Renew == renewBehind:
		l.settle(string(Stale), Stale, l.cached.vars)
		_ = l.source.join(l.key, number, l.attempts, func(result) {}) // what is refused is tried again by the next call
	}
}

// begin asks a leg's source. What comes of it is told to then, by another
// goroutine.
func (p *Pending) begin(l *leg, then func(*leg, result)) {
	l.peek(p.question.Number)
	if l.done || l.asked {
		return
	}
	l.asked, l.began = true, time.Now()
	arrived := func(r result) { then(l, r) }
	if f := l.source.join(l.key, p.question.Number, l.attempts, arrived); f != nil {
		l.finish(failure(f))
		return
	}
	timeout, deadline := l.source.cfg.Timeout, p.question.Deadline
	if deadline.IsZero() || l.began.Add(timeout).Before(deadline) {
		l.timer = time.AfterFunc(timeout, func() { arrived(result{outcome: Timeout}) })
	}
}

// finish ends a leg with what its source brought, or with what is stale where
// it brought nothing.
func (l *leg) finish(r result) {
	if l.done {
		return
	}
	l.fault, l.late = r.fault, r.outcome == Timeout
	switch {
	case (r.outcome == Failed || r.outcome == Timeout) && l.cached.stale:
		l.settle(string(Stale), Stale, l.cached.vars)
	case !l.asked: // nobody waited, so there is nothing to measure
		l.done, l.outcome = true, r.outcome
	case r.fault != nil && r.fault.reason == reasonOpen:
		l.settle(outcomeOpen, Failed, nil)
	default:
		l.settle(string(r.outcome), r.outcome, r.vars)
	}
}

func (l *leg) settle(measured string, o Outcome, vars []Var) {
	l.done, l.outcome, l.vars = true, o, vars
	l.measured, l.took = measured, time.Since(l.began)
	if l.timer != nil {
		l.timer.Stop()
	}
	l.source.metrics.observe(measured, l.took)
}

// knows tells whether a leg has something to say.
func (l *leg) knows() bool { return l.outcome == Found || l.outcome == Stale }
