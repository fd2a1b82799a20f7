package figures

import (
	"slices"

	"ringhook/dialplan/kept"
)

// The outcomes of a call as a whole.
const (
	CallGoing      = "going"
	CallAnswered   = "answered"
	CallAbandoned  = "abandoned"
	CallLeft       = "left"       // the queue, otherwise
	CallUnknown    = "unknown"    // how it left the queue
	CallUnanswered = "unanswered" // and was in no queue
)

// Outcomes returns them all.
func Outcomes() []string {
	return []string{CallAnswered, CallAbandoned, CallLeft, CallUnanswered, CallGoing, CallUnknown}
}

// Sum is what a call comes to.
type Sum struct {
	Outcome string
	Wait    int      // seconds in queues; -1 if not known
	Talk    int      // seconds
	Phones  []string // that answered, in their order
}

// SumOf returns what a call comes to, by the rules by which its visits and rings are counted.
func SumOf(c *kept.Call) Sum {
	s, lost, isAnswered := Sum{Wait: none}, CallUnanswered, !c.Answered.IsZero()
	talked := func(phone string, talk int32) {
		isAnswered = true
		s.Talk += int(max(0, talk))
		if phone != "" && !slices.Contains(s.Phones, phone) {
			s.Phones = append(s.Phones, phone)
		}
	}
	for i := range c.Visits {
		v := &c.Visits[i]
		how := outcomeOf(v)
		if wait := waitOf(v, how); wait != none {
			s.Wait = max(0, s.Wait) + int(wait)
		}
		switch how {
		case answered:
			if !ringAnswered(c, v) {
				talked(v.Agent, talkOf(c, v.Answered, v.Ended, v.Untimed))
			}
		case abandoned:
			lost = CallAbandoned
		case left:
			lost = CallLeft
		case unknown:
			lost = CallUnknown
		}
	}
	for i := range c.Rings {
		if r := &c.Rings[i]; !r.Answered.IsZero() {
			talked(r.Phone, talkOf(c, r.Answered, r.Ended, false))
		}
	}
	switch {
	case c.Ended.IsZero():
		s.Outcome = CallGoing
	case isAnswered:
		s.Outcome = CallAnswered
	default:
		s.Outcome = lost
	}
	return s
}
