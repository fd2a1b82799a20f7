package lookup

import "time"

// sourceQuery is a question to one of a point's sources.
type sourceQuery struct {
	source   *source
	prepared bool
	request  *request // nil if the source is not asked about this caller
	began    time.Time
	timer    *time.Timer // of the source's own timeout
	peeked   bool        // into the cache
	asked    bool
	cached   cached
	flight   *flight // nil if none was needed

	done    bool
	outcome Outcome
	vars    []Var
	fresh   bool // from the cache, within its time

	measured string // the outcome as the metric's label; empty if no call waited
	took     time.Duration
	skipped  bool   // the source is not asked about this caller
	late     bool   // its time was over
	fault    *fault // why the source gave no answer
	lacks    string // why the answer is without that of the second request
}

// prepare renders the request. The question must not be used later: the call's
// parameters may be gone by then.
func (s *sourceQuery) prepare(q *Question) {
	if !s.prepared {
		s.prepared = true
		s.request = s.source.backend.prepare(q)
	}
}

// peek takes an answer that needs no waiting.
func (s *sourceQuery) peek() {
	if s.done || s.peeked {
		return
	}
	s.peeked, s.began = true, time.Now()
	switch {
	case s.request == nil:
		s.skipped = true
		s.settle(string(Missing), Missing, nil)
		return
	case s.request.key == "": // from memory
		s.asked = true
		r := s.source.ask(s.request, time.Time{})
		s.source.note(r)
		s.finish(r)
		return
	}
	s.cached = s.source.peek(s.request.key)
	switch {
	case s.cached.fresh && s.cached.entry.Missing:
		s.fresh = true
		s.settle(outcomeHit, Missing, s.cached.vars)
	case s.cached.fresh:
		s.fresh = true
		s.settle(outcomeHit, Found, s.cached.vars)
	case s.cached.stale && s.source.cfg.Renew == renewBehind:
		s.settle(string(Stale), Stale, s.cached.vars)
		_, _ = s.source.share(s.request, true, func(result) {}) // if refused, the next call tries again
	}
}

// begin asks the query's source. It calls then with the result, on another goroutine.
func (p *Pending) begin(s *sourceQuery, then func(*sourceQuery, result)) {
	s.peek()
	if s.done || s.asked {
		return
	}
	s.asked, s.began = true, time.Now()
	arrived := func(r result) { then(s, r) }
	flight, f := s.source.share(s.request, false, arrived)
	if f == errLanded {
		s.peeked, s.asked = false, false
		if s.peek(); s.done {
			return
		}
		s.asked = true
		flight, f = s.source.share(s.request, true, arrived)
	}
	if f != nil {
		s.finish(failure(f))
		return
	}
	s.flight = flight
	timeout := s.source.cfg.Timeout
	if p.deadline.IsZero() || s.began.Add(timeout).Before(p.deadline) {
		s.timer = time.AfterFunc(timeout, func() { arrived(result{outcome: Timeout}) })
	}
}

// finish ends a query with its source's result, or with what is stale if the
// source failed.
func (s *sourceQuery) finish(r result) {
	if s.done {
		return
	}
	if r.outcome == Timeout {
		if early, ok := s.source.early(s.flight); ok {
			r = early
		}
	}
	s.fault, s.lacks, s.late = r.fault, r.lacks, r.outcome == Timeout
	switch {
	case (r.outcome == Failed || r.outcome == Timeout) && s.cached.stale:
		s.settle(string(Stale), Stale, s.cached.vars)
	case !s.asked: // no call waited, so there is nothing to measure
		s.done, s.outcome = true, r.outcome
	case r.fault != nil && r.fault.reason == reasonOpen:
		s.settle(outcomeOpen, Failed, nil)
	default:
		s.settle(string(r.outcome), r.outcome, r.vars)
	}
}

func (s *sourceQuery) settle(measured string, o Outcome, vars []Var) {
	s.done, s.outcome, s.vars = true, o, vars
	s.measured, s.took = measured, time.Since(s.began)
	if s.timer != nil {
		s.timer.Stop()
	}
	s.source.metrics.observe(measured, s.took)
}

// knows reports whether a query has variables to give.
func (s *sourceQuery) knows() bool { return s.outcome == Found || s.outcome == Stale }
