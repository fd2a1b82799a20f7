package figures

import (
	"time"

	"ringhook/dialplan/kept"
)

// outcome is how a visit or a ring ended.
type outcome uint8

const (
	going     outcome = iota // the caller waits, or the phone rings
	answered                 // by an agent
	abandoned                // the caller gave up
	left                     // a visit that ended otherwise; a ring that was not answered
	elsewhere                // a ring, while another phone answered
	unknown                  // a visit whose end is not known
	outgoing                 // an outgoing call that was answered
)

// none is a length of time that is not known.
const none = -1

// part is what one visit or ring of a call is counted as.
type part struct {
	ring    bool
	outcome outcome
	queue   uint16
	phone   uint16
	at      int32 // bar of a visit
	day     int32 // of a ring
	wait    int32 // seconds that the caller waited in the queue; none if not known
	rang    int32 // seconds that the phone rang
	talk    int32 // seconds; none while the call goes on, or if not known
	talked  int64 // when the talk of a ring began, in seconds since 1970
}

// counts are those of a queue in a time span.
type counts struct {
	offered, answered, abandoned, left, unknown int
	timed, within                               int // answered after a known time; and after the level at most
	waited, longest                             int64
	talk                                        int64
	talks                                       int
}

func (c *counts) add(o *counts) {
	c.offered += o.offered
	c.answered += o.answered
	c.abandoned += o.abandoned
	c.left += o.left
	c.unknown += o.unknown
	c.timed += o.timed
	c.within += o.within
	c.waited += o.waited
	c.longest = max(c.longest, o.longest)
	c.talk += o.talk
	c.talks += o.talks
}

// partsOf returns what a call is counted as.
func (b *Book) partsOf(c *kept.Call) (parts []part) {
	for i := range c.Visits {
		v := &c.Visits[i]
		queue, ok := b.queues.of(v.Queue())
		began := first(v.Began, v.Answered, v.Ended)
		if !ok || began.IsZero() {
			continue
		}
		how := outcomeOf(v)
		p := part{outcome: how, queue: queue, at: barOf(began), wait: waitOf(v, how), talk: none}
		if how == answered {
			p.talk = talkOf(c, v.Answered, v.Ended, v.Untimed)
			if phone, ok := b.phones.of(v.Agent); ok && v.Agent != "" && !ringAnswered(c, v) {
				parts = append(parts, part{ring: true, outcome: answered, queue: queue, phone: phone, day: dayOf(began), wait: p.wait, rang: none, talk: p.talk, talked: v.Answered.Unix()})
			}
		}
		parts = append(parts, p)
	}
	for i := range c.Rings {
		if p, ok := b.ringOf(c, &c.Rings[i]); ok {
			parts = append(parts, p)
		}
	}
	return parts
}

// outcomeOf returns how a visit ended.
func outcomeOf(v *kept.Visit) outcome {
	switch {
	case !v.Answered.IsZero():
		return answered
	case v.Ended.IsZero():
		return going
	case v.EndedBy != "":
		return left
	case v.Presumed || v.Outcome == "":
		return unknown
	case v.Outcome == "cancel":
		return abandoned
	}
	return left
}

func waitOf(v *kept.Visit, how outcome) int32 {
	switch {
	case how == going, how == unknown, v.Untimed:
		return none
	case v.WaitTime > 0:
		return int32(min(v.WaitTime, 1<<30))
	case v.Began.IsZero():
		return none
	}
	return seconds(v.Began, first(v.Answered, v.Ended))
}

// talkOf returns how long was talked. The end of a call that was not reported was presumed much later.
func talkOf(c *kept.Call, from, to time.Time, untimed bool) int32 {
	if untimed || to.IsZero() || from.IsZero() || c.Presumed && !to.Before(c.Ended) {
		return none
	}
	return seconds(from, to)
}

// ringAnswered reports whether the answer of a visit is that of a ring.
func ringAnswered(c *kept.Call, v *kept.Visit) bool {
	for i := range c.Rings {
		r := &c.Rings[i]
		if r.Visit == v.Marker && r.Phone == v.Agent && !r.Answered.IsZero() {
			return true
		}
	}
	return false
}

// slack is the time by which two reports of one moment can differ.
const slack = 2 * time.Second

// ringOf returns what a ring is counted as.
func (b *Book) ringOf(c *kept.Call, r *kept.Ring) (p part, ok bool) {
	phone, ok := b.phones.of(r.Phone)
	began := first(r.Began, r.Answered, r.Ended)
	if !ok || r.Phone == "" || began.IsZero() {
		return p, false
	}
	queue, ok := b.queues.of(r.Visit.What)
	if !ok {
		return p, false
	}
	p = part{ring: true, queue: queue, phone: phone, day: dayOf(began), wait: none, rang: none, talk: none, talked: r.Answered.Unix()}
	var v *kept.Visit
	for i := range c.Visits {
		if c.Visits[i].Marker == r.Visit {
			v = &c.Visits[i]
		}
	}
	switch {
	case r.Outgoing && r.Answered.IsZero():
		return p, false
	case r.Outgoing:
		p.outcome, p.talk = outgoing, talkOf(c, r.Answered, r.Ended, false)
	case !r.Answered.IsZero():
		p.outcome, p.talk = answered, talkOf(c, r.Answered, r.Ended, false)
		if !r.Began.IsZero() {
			p.rang = seconds(r.Began, r.Answered)
		}
		if v != nil && v.Agent == r.Phone {
			p.wait = waitOf(v, outcomeOf(v))
		}
	case r.Ended.IsZero():
		p.outcome = going
	default:
		p.outcome = unanswered(c, v, r)
	}
	return p, true
}

// unanswered returns why a phone that rang did not answer.
func unanswered(c *kept.Call, v *kept.Visit, r *kept.Ring) outcome {
	near := r.Ended.Add(slack)
	if v != nil {
		switch {
		case !v.Answered.IsZero() && v.Agent != r.Phone && !near.Before(v.Answered):
			return elsewhere
		case outcomeOf(v) == abandoned && !near.Before(v.Ended):
			return abandoned
		}
		return left
	}
	for i := range c.Rings {
		o := &c.Rings[i]
		if o.Phone != r.Phone && o.Visit == r.Visit && !o.Answered.IsZero() && !near.Before(o.Answered) && !o.Began.After(r.Ended) {
			return elsewhere
		}
	}
	if c.Answered.IsZero() && !c.Ended.IsZero() && !near.Before(c.Ended) {
		return abandoned
	}
	return left
}

// count adds parts of a call, or removes them. What began before the figures is not counted. The longest wait
// stays: no wait becomes shorter.
func (b *Book) count(parts []part, sign int) {
	now := b.now()
	firstBar, today, midnight := barOf(b.start), dayOf(now), startOfDay(now).Unix()
	for i := range parts {
		p := &parts[i]
		if p.ring {
			if since := max(p.talked, midnight); p.talk != none && p.talked+int64(p.talk) > since {
				b.talked[talkKey{p.phone, p.queue, today}] += int64(sign) * (p.talked + int64(p.talk) - since)
			}
			if p.day >= today {
				b.agent(agentKey{p.phone, p.queue, p.day}).count(p, sign, b.level)
			}
			continue
		}
		if p.at < firstBar {
			continue
		}
		key := cellKey{p.queue, p.at}
		c := b.cells[key]
		if c == nil {
			c = &counts{}
			b.cells[key] = c
		}
		c.count(p, sign, b.level)
	}
}

func (b *Book) agent(key agentKey) *AgentCounts {
	a := b.agents[key]
	if a == nil {
		a = &AgentCounts{}
		b.agents[key] = a
	}
	return a
}

func (c *counts) count(p *part, sign int, level time.Duration) {
	c.offered += sign
	switch p.outcome {
	case answered:
		c.answered += sign
		if p.wait != none {
			c.timed += sign
			c.waited += int64(sign) * int64(p.wait)
			if time.Duration(p.wait)*time.Second <= level {
				c.within += sign
			}
		}
		if p.talk != none {
			c.talks += sign
			c.talk += int64(sign) * int64(p.talk)
		}
	case abandoned:
		c.abandoned += sign
	case left:
		c.left += sign
	case unknown:
		c.unknown += sign
	}
	if sign > 0 && p.wait != none {
		c.longest = max(c.longest, int64(p.wait))
	}
}

// AgentCounts are those of a phone.
type AgentCounts struct {
	Offered   int // times that the phone rang
	Answered  int
	Abandoned int // the caller gave up meanwhile
	Elsewhere int // another phone answered meanwhile
	Missed    int // rang and was not answered
	Outgoing  int // calls of the agent that were answered
	Timed     int // answered calls of queues whose waiting time is known
	Within    int // of these, within the level
	Waited    int64
	Longest   int64
	Rings     int // answered rings whose length is known
	Rang      int64
	Talk      int64 // seconds in answered calls
	OutTalk   int64 // seconds in outgoing calls
}

func (a *AgentCounts) count(p *part, sign int, level time.Duration) {
	n := int64(sign)
	talk := n * max(0, int64(p.talk))
	if p.outcome == outgoing {
		a.Outgoing += sign
		a.OutTalk += talk
		return
	}
	a.Offered += sign
	switch p.outcome {
	case answered:
		a.Answered += sign
		a.Talk += talk
		if p.rang != none {
			a.Rings += sign
			a.Rang += n * int64(p.rang)
		}
		if p.wait != none {
			a.Timed += sign
			a.Waited += n * int64(p.wait)
			if time.Duration(p.wait)*time.Second <= level {
				a.Within += sign
			}
			if sign > 0 {
				a.Longest = max(a.Longest, int64(p.wait))
			}
		}
	case abandoned:
		a.Abandoned += sign
	case elsewhere:
		a.Elsewhere += sign
	case left:
		a.Missed += sign
	}
}

func (a *AgentCounts) add(o *AgentCounts) {
	a.Offered += o.Offered
	a.Answered += o.Answered
	a.Abandoned += o.Abandoned
	a.Elsewhere += o.Elsewhere
	a.Missed += o.Missed
	a.Outgoing += o.Outgoing
	a.Timed += o.Timed
	a.Within += o.Within
	a.Waited += o.Waited
	a.Longest = max(a.Longest, o.Longest)
	a.Rings += o.Rings
	a.Rang += o.Rang
	a.Talk += o.Talk
	a.OutTalk += o.OutTalk
}

func seconds(from, to time.Time) int32 {
	if to.Before(from) {
		return 0
	}
	return int32(min(to.Sub(from).Round(time.Second)/time.Second, 1<<30))
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// first returns the first time that is not zero.
func first(times ...time.Time) time.Time {
	for _, t := range times {
		if !t.IsZero() {
			return t
		}
	}
	return time.Time{}
}
