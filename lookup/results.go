package lookup

import "time"

// SourceResult is how one source took part in a question.
type SourceResult struct {
	Lookup  string
	Outcome string // as the metric's label; empty if the source was not asked
	Why     string // it was not asked, gave no answer, or gave one without that of the second request
	Took    time.Duration
	Age     time.Duration // of the cached answer that was used, 0 if none was
	Shadow  bool
}

// Sources returns how every source took part that was asked or would have been
// next. A shadow that has not answered yet is not among them.
func (p *Pending) Sources() []SourceResult {
	p.mu.Lock()
	defer p.mu.Unlock()
	list := make([]SourceResult, 0, len(p.queries)+len(p.shadows))
	for i := range p.queries {
		if s := &p.queries[i]; s.peeked && s.done {
			list = append(list, s.result())
		}
	}
	for i := range p.shadows {
		if s := &p.shadows[i]; s.peeked && s.done {
			list = append(list, s.result())
		}
	}
	return list
}

func (s *sourceQuery) result() SourceResult {
	r := SourceResult{Lookup: s.source.cfg.Name, Outcome: s.measured, Took: s.took, Shadow: s.source.cfg.Shadow}
	if s.fresh || s.outcome == Stale {
		r.Age = max(0, s.source.now().Sub(s.cached.entry.Stored))
	}
	switch {
	case s.fault != nil:
		r.Why = s.fault.Error()
	case s.skipped:
		r.Outcome, r.Why = "", "not asked about such a number"
	case !s.asked && s.measured == "":
		r.Why = "the time was over before it was asked"
	case s.late:
		r.Why = "no answer in time"
	default:
		r.Why = s.lacks
	}
	return r
}
