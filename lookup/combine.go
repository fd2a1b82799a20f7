package lookup

import (
	"slices"

	"ringhook/lookup/answer"
)

// combine makes one answer of the query that won and those that fill it.
func (p *Pending) combine() Answer {
	winner, _ := p.verdict()
	if winner < 0 {
		return p.nothing()
	}
	s := &p.queries[winner]
	vars := s.vars
	for i := winner + 1; i < len(p.queries); i++ {
		if more := &p.queries[i]; more.source.cfg.Fill && more.done && more.knows() {
			vars = fill(vars, more.vars)
		}
	}
	return Answer{
		Outcome: s.outcome, Vars: vars, Source: s.source.cfg.Name, Cached: s.fresh || s.outcome == Stale,
	}
}

// nothing is the answer if no source knows the caller.
func (p *Pending) nothing() Answer {
	a := Answer{Outcome: Missing}
	for i := range p.queries {
		s := &p.queries[i]
		a.Outcome = worse(a.Outcome, s.outcome)
		if a.Vars == nil && s.outcome == Missing {
			a.Vars = s.vars
		}
	}
	return a
}

// worse returns the outcome that says more about why nothing was found: Missing
// is true only if every source said so.
func worse(a, b Outcome) Outcome {
	if a == Timeout || b == Missing {
		return a
	}
	return b
}

// fill adds variables that are not there yet. It does not change vars, which others share.
func fill(vars, more []Var) []Var {
	vars = slices.Clip(vars)
	for _, v := range more {
		if !slices.ContainsFunc(vars, func(o Var) bool { return o.Name == v.Name }) {
			vars = append(vars, v)
		}
	}
	return vars
}

// compareWith counts how a shadow's answer compares with the one that the call got.
func (s *sourceQuery) compareWith(a *Answer) {
	verdict := shadowDiffers
	given := a.Outcome == Found || a.Outcome == Stale
	switch {
	case s.outcome == Failed, s.outcome == Timeout, a.Outcome == Failed, a.Outcome == Timeout:
		verdict = shadowUnknown
	case given && !s.knows():
		verdict = shadowMissing
	case given == s.knows() && agree(a.Vars, s.vars):
		verdict = shadowAgrees
	}
	s.source.metrics.shadow[verdict].Inc()
}

// agree reports whether no variable has two different values.
func agree(a, b answer.Record) bool {
	for _, v := range a {
		if other := b.Value(v.Name); other != "" && other != v.Value {
			return false
		}
	}
	return true
}
