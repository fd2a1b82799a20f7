package lookup

import (
	"slices"

	"ringhook/lookup/answer"
)

// combine makes one answer of the leg that won and those that fill it.
func (p *Pending) combine() Answer {
	winner, _ := p.verdict()
	if winner < 0 {
		return p.nothing()
	}
	l := &p.legs[winner]
	vars := l.vars
	for i := winner + 1; i < len(p.legs); i++ {
		if more := &p.legs[i]; more.source.cfg.Fill && more.done && more.knows() {
			vars = fill(vars, more.vars)
		}
	}
	return Answer{
		Outcome: l.outcome, Vars: vars, Source: l.source.cfg.Name, Cached: l.fresh || l.outcome == Stale,
	}
}

// nothing is the answer where no leg knows anything.
func (p *Pending) nothing() Answer {
	a := Answer{Outcome: Missing}
	for i := range p.legs {
		l := &p.legs[i]
		a.Outcome = worse(a.Outcome, l.outcome)
		if a.Vars == nil && l.outcome == Missing {
			a.Vars = l.vars
		}
	}
	return a
}

// worse gives the outcome that says more of why nothing was found: that nobody
// is known is true only where every source said so.
func worse(a, b Outcome) Outcome {
	if a == Timeout || b == Missing {
		return a
	}
	return b
}

// fill adds variables that are not there yet. What others share stays as it is.
func fill(vars, more []Var) []Var {
	vars = slices.Clip(vars)
	for _, v := range more {
		if !slices.ContainsFunc(vars, func(o Var) bool { return o.Name == v.Name }) {
			vars = append(vars, v)
		}
	}
	return vars
}

// compareWith counts how a shadow's answer stands to the one that was given.
func (l *leg) compareWith(a *Answer) {
	verdict := shadowDiffers
	given := a.Outcome == Found || a.Outcome == Stale
	switch {
	case l.outcome == Failed, l.outcome == Timeout, a.Outcome == Failed, a.Outcome == Timeout:
		verdict = shadowUnknown
	case given && !l.knows():
		verdict = shadowMissing
	case given == l.knows() && agree(a.Vars, l.vars):
		verdict = shadowAgrees
	}
	l.source.metrics.shadow[verdict].Inc()
}

// agree tells whether no variable that both sides give has two values.
func agree(a, b answer.Record) bool {
	for _, v := range a {
		if other := b.Value(v.Name); other != "" && other != v.Value {
			return false
		}
	}
	return true
}
