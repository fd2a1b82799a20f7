package report

import (
	"strconv"
	"time"

	"ringhook/dialplan"
)

// hangupRequest comes before Hangup unless the dialplan ends the call.
func (t *Translator) hangupRequest(e *Event) {
	c := t.channels[e.UniqueID]
	if c != nil {
		c.hangingUp = true
	}
}

// hangup ends whatever the channel was part of.
func (t *Translator) hangup(e *Event) {
	c := t.channels[e.UniqueID]
	if c == nil {
		return
	}
	if h := c.holder; h != nil && !h.claimed {
		h.held = append(h.held, e)
		return
	}
	if len(c.held) > 0 && t.consults(c) { // the colleague did not answer
		t.claim(c)
	}
	held := c.held
	c.claimed, c.held = true, nil
	for _, e := range held { // no call dialed this half: what it dialed is no attempt to reach a phone
		if e.Name == "Hangup" {
			t.hangup(e)
		}
	}
	delete(t.channels, c.id)
	t.ending = c
	defer func() { t.ending = nil }()
	c.cause = e.Cause
	if c.other != nil {
		c.other.other = nil
	}
	if l := c.inner; l != nil {
		t.innerHangup(l, c, e)
	}
	if l := c.leg; l != nil {
		t.legHangup(l, c, e)
	}
	if l := c.out; l != nil {
		if l.cause == "" {
			l.cause = e.Cause
		}
		t.endLeg(l, e.At)
	}
	if c.stay != nil && !c.stay.ended {
		c.hangingUp = true
		t.endStay(c, "")
	}
	if c.listed {
		t.listedHangup(c, e)
	}
	if c.id == c.linkedID { // the first one; a merge with another call changes the event's linkedid
		t.callHangup(c, e)
	}
}

// innerHangup is the end of a phone that was called behind a Local channel.
func (t *Translator) innerHangup(l *leg, c *channel, e *Event) {
	switch {
	case l.by == c.id && !l.answered.IsZero():
		l.cause = e.Cause
		t.endLeg(l, e.At)
	case l.refused():
		l.cause = e.Cause
		if l.gone {
			t.endLeg(l, e.At)
		}
	}
}

// legHangup is the end of a phone's channel, or of the one that stands for it.
func (t *Translator) legHangup(l *leg, c *channel, e *Event) {
	switch {
	case c.id != l.own:
		return
	case l.kind == queued && !l.answered.IsZero() && t.channels[l.by] != nil:
		return // a Local channel that left the call, or one whose phone hangs up next
	case l.kind == outgoing && l.answered.IsZero() && (l.status == "CHANUNAVAIL" || l.status == "CONGESTION"):
		l.cause = e.Cause
		return // another trunk may be tried
	}
	if l.cause == "" && l.refused() && t.behind(l) {
		l.gone = true // the phone's own Hangup, which has the cause, comes later
		return
	}
	if l.cause == "" {
		l.cause = e.Cause
	}
	t.endLeg(l, e.At)
}

// refused reports whether a phone behind a Local channel was rung and did not take the call.
func (l *leg) refused() bool { return l.by == "" && l.status != "" && l.status != "CANCEL" }

// behind reports whether a phone behind a Local channel has not hung up.
func (t *Translator) behind(l *leg) bool {
	for _, c := range t.channels {
		if c.inner == l {
			return true
		}
	}
	return false
}

// listedHangup ends what a channel was part of that was there before its events were seen.
func (t *Translator) listedHangup(c *channel, e *Event) {
	for _, p := range []dialplan.Point{dialplan.AgentHangup, dialplan.AgentDialoutHangup} {
		r := t.report(p, e.At, e.LinkedID, c.id, c.name)
		r.Phone, r.Only, r.Args["cause"] = c.id, true, e.Cause
	}
}

func (t *Translator) callHangup(c *channel, e *Event) {
	for _, other := range t.channels {
		if l := other.inner; l != nil && l.gone && l.linkedID == c.linkedID {
			t.endLeg(l, e.At)
		}
	}
	r := t.report(dialplan.CallHangup, e.At, c.linkedID, c.id, c.name)
	r.Args["cause"], r.Args["recording_file"] = e.Cause, c.recording
	if !c.billed.IsZero() {
		r.Args["billsec"] = strconv.FormatInt(int64(e.At.Sub(c.billed)/time.Second), 10)
	}
	r.Args["status"] = c.status
}

func seconds(d time.Duration) string {
	return strconv.FormatInt(int64(d.Round(time.Second)/time.Second), 10)
}
