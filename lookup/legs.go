package lookup

import "time"

// Leg tells how one source took part in a question.
type Leg struct {
	Lookup  string
	Outcome string // as the metric's label, or empty where the source was not asked
	Why     string // it was not asked, or gave no answer
	Took    time.Duration
	Age     time.Duration // of the cached answer that was given, 0 where none was
	Shadow  bool
}

// Legs tells how every source took part whose turn came. A shadow that has
// not answered yet is not among them.
func (p *Pending) Legs() []Leg {
	p.mu.Lock()
	defer p.mu.Unlock()
	list := make([]Leg, 0, len(p.legs)+len(p.shadows))
	for i := range p.legs {
		if l := &p.legs[i]; l.peeked && l.done {
			list = append(list, l.told())
		}
	}
	for i := range p.shadows {
		if l := &p.shadows[i]; l.peeked && l.done {
			list = append(list, l.told())
		}
	}
	return list
}

func (l *leg) told() Leg {
	t := Leg{Lookup: l.source.cfg.Name, Outcome: l.measured, Took: l.took, Shadow: l.source.cfg.Shadow}
	if l.fresh || l.outcome == Stale {
		t.Age = max(0, l.source.now().Sub(l.cached.entry.Stored))
	}
	switch {
	case l.fault != nil:
		t.Why = l.fault.Error()
	case l.unfit:
		t.Outcome, t.Why = "", "not asked about such a number"
	case !l.asked && l.measured == "":
		t.Why = "the time was over before it was asked"
	case l.late:
		t.Why = "no answer in time"
	}
	return t
}
