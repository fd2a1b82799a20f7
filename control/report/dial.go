package report

import (
	"strconv"
	"strings"
	"time"

	"ringhook/ami"
	"ringhook/dialplan"
)

// dialBegin is sent for each phone that Dial() rings, and by Queue() after AgentCalled.
func (t *Translator) dialBegin(e *Event) {
	x, d := t.channels[e.UniqueID], t.channels[e.DestUniqueID]
	if d == nil {
		return
	}
	if d.other != nil {
		d.called = x
		t.claim(d.other) // a phone rings behind it, if any
	}
	if x == nil || d.leg != nil || x.stay.waiting() {
		return
	}
	if x.other != nil && !x.claimed {
		x.held, d.holder = append(x.held, e), x
		return
	}
	if x.dials == 0 {
		x.status = ""
	}
	x.dials++
	d.dialer = x
	if l := x.leg; l != nil && l.kind == queued && l.answered.IsZero() {
		d.inner = l
		return
	}
	if x.other != nil && x.other.inner != nil && x.other.inner.answered.IsZero() {
		d.inner = x.other.inner
		return
	}
	if strings.HasPrefix(d.name, "Local/") {
		return
	}
	t.leftBefore(x)
	device := endpoint(d.name)
	switch agent := endpoint(x.name); {
	case t.isPhone(device, e.DialString):
		t.refused(x)
		t.dialInside(x, d, e)
		d.leg = &leg{kind: direct, linkedID: e.LinkedID, channel: x.id, name: x.name, own: d.id, phone: device, stay: t.stayBehind(x), began: e.At}
		t.reportLeg(dialplan.AgentDial, d.leg, e.At)
	case t.isPhone(agent, "") && x.id == x.linkedID:
		t.dialOut(x, d, agent, e)
	}
}

// stayBehind returns the stay in a queue that an agent's channel belongs to, which transfers the caller or asks a
// colleague first; nil if there is none.
func (t *Translator) stayBehind(x *channel) *dialplan.Stay {
	const deepest = 8 // transfers of transfers
	for range deepest {
		if x == nil {
			return nil
		}
		for _, l := range []*leg{x.leg, x.inner} {
			if l == nil || l.stay == nil {
				continue
			}
			if c := t.channels[l.stay.Channel]; c != nil && c.stay != nil && !c.stay.ended {
				return l.stay
			}
		}
		if x.other == nil {
			return nil
		}
		x = x.other.called
	}
	return nil
}

// consults reports whether an agent asks a colleague through a Local channel before an attended transfer, and notes
// which: Asterisk dials that channel itself, without DialBegin. It belongs to the call, which one of Originate does not.
func (t *Translator) consults(half *channel) bool {
	first := half.other
	if first == nil || first.called != nil || first.linkedID == first.id {
		return false
	}
	for _, c := range t.channels {
		for _, l := range []*leg{c.leg, c.inner} {
			if l != nil && c.linkedID == first.linkedID && !l.answered.IsZero() && !l.ended {
				first.called = c
				return true
			}
		}
	}
	return false
}

// claim translates what a half of a Local channel dialed before it was known who dials the other half.
func (t *Translator) claim(c *channel) {
	held := c.held
	c.claimed, c.held = true, nil
	for _, e := range held {
		t.translate(e)
	}
}

// refused reports that a queue did not take the caller, for which there is no event, when the caller's channel
// goes on.
func (t *Translator) refused(c *channel) {
	if c.stay != nil || !t.wants(dialplan.QueueHangup) {
		return
	}
	if status := t.Read(c.id, ami.QueueStatus); status != "" {
		r := t.report(dialplan.QueueHangup, t.now, c.linkedID, c.id, c.name)
		r.Only, r.Args["queue_status"] = true, status
	}
}

// dialInside begins a call of an agent to another phone, unless it comes from a queue.
func (t *Translator) dialInside(x, d *channel, e *Event) {
	agent := endpoint(x.name)
	if x.id != x.linkedID || x.out != nil || x.stay != nil || !t.isPhone(agent, "") {
		return
	}
	x.out = &leg{kind: inside, linkedID: e.LinkedID, channel: x.id, name: x.name, own: d.id, phone: agent, dialed: dialed(x, e), began: e.At}
	t.reportLeg(dialplan.AgentCustom, x.out, e.At).Args["direction"] = "internal"
}

// dialed returns the number that a channel dials.
func dialed(x *channel, e *Event) string {
	for _, exten := range []string{e.Exten, x.exten} {
		if isNumber(exten) {
			return exten
		}
	}
	number, _, _ := strings.Cut(e.DialString, "@")
	number, _, _ = strings.Cut(number, "/")
	return number
}

// dialOut begins a call of an agent through a trunk. A second trunk that is tried with the same number belongs to it.
func (t *Translator) dialOut(x, d *channel, agent string, e *Event) {
	dialed := dialed(x, e)
	if l := x.out; l != nil && !l.ended {
		if l.dialed == dialed && l.kind == outgoing {
			d.leg, l.own = l, d.id
			return
		}
		t.endLeg(l, e.At)
	}
	x.out = &leg{kind: outgoing, linkedID: e.LinkedID, channel: x.id, name: x.name, own: d.id, phone: agent, dialed: dialed, began: e.At}
	d.leg = x.out
	t.reportLeg(dialplan.AgentCustom, x.out, e.At)
}

func (t *Translator) dialEnd(e *Event) {
	x, d := t.channels[e.UniqueID], t.channels[e.DestUniqueID]
	if d == nil {
		return
	}
	if h := d.holder; h != nil && !h.claimed {
		h.held = append(h.held, e)
		if e.DialStatus == "ANSWER" && t.consults(h) {
			t.claim(h)
		}
		return
	}
	answered := e.DialStatus == "ANSWER"
	if x != nil && d.dialer == x {
		d.dialer = nil
		x.dials--
		if x.status != "ANSWER" {
			x.status = e.DialStatus
		}
		if x.out != nil && x.out.kind == inside && x.out.answered.IsZero() {
			x.out.status = e.DialStatus
			if answered {
				x.out.answered = e.At
			}
		}
	}
	if l := d.inner; l != nil {
		l.status = e.DialStatus
		if answered {
			l.by = d.id
		}
	}
	l := d.leg
	switch {
	case l == nil:
	case l.kind == queued:
		if x != nil && x.stay != nil && answered {
			x.stay.answering = true
		}
		if d.other == nil {
			l.status = e.DialStatus
		}
	case !answered:
		l.status = e.DialStatus
	case l.kind == outgoing:
		t.answer(l, dialplan.AgentDialoutAnswer, e.At)
	default:
		first := t.channels[l.linkedID]
		if first != nil && (first.stay == nil || first.stay.ended) && !t.isPhone(endpoint(first.name), "") {
			r := t.report(dialplan.CallAnswer, e.At, l.linkedID, d.id, d.name)
			r.Args["agent_phone"] = l.phone
		}
		t.answer(l, dialplan.AgentAnswer, e.At)
	}
}

// answer reports that a phone was answered, once.
func (t *Translator) answer(l *leg, p dialplan.Point, at time.Time) *dialplan.Report {
	if !l.answered.IsZero() {
		return &dialplan.Report{Args: map[string]string{}}
	}
	l.answered = at
	if first := t.channels[l.linkedID]; first != nil {
		t.readCall(first)
	}
	return t.reportLeg(p, l, at)
}

// readCall reads what only the first channel knows. When it hangs up, it is gone before its event arrives.
func (t *Translator) readCall(c *channel) {
	if c.recording == "" {
		c.recording = t.Read(c.id, ami.RecordingFile)
	}
	if c.billed.IsZero() && t.wants(dialplan.CallHangup) {
		if s, err := strconv.ParseFloat(t.Read(c.id, ami.AnsweredAt), 64); err == nil && s > 0 {
			c.billed = time.UnixMicro(int64(s * 1e6))
		}
	}
}

// endLeg reports the end of an attempt to reach a phone, once.
func (t *Translator) endLeg(l *leg, at time.Time) {
	if l.ended {
		return
	}
	l.ended = true
	p := dialplan.AgentHangup
	switch {
	case l.kind == outgoing, l.kind == inside:
		p = dialplan.AgentDialoutHangup
	case l.answered.IsZero() && !t.wants(dialplan.AgentHangup):
		p = dialplan.AgentCancel
	}
	r := t.reportLeg(p, l, at)
	r.Args["cause"] = l.cause
	switch {
	case !l.answered.IsZero():
		r.Args["status"], r.Args["answered_time"] = "ANSWER", seconds(at.Sub(l.answered))
	case l.noAnswer && (l.status == "" || l.status == "CANCEL"):
		r.Args["status"] = "NOANSWER" // the queue stops ringing, so Dial() of a Local member is cancelled
	case l.status == "" || l.status == "ANSWER":
		r.Args["status"] = "CANCEL"
	default:
		r.Args["status"] = dialStatus(l.status, l.cause)
	}
	if first := t.channels[l.linkedID]; first != nil && l.kind != queued {
		r.Args["recording_file"] = first.recording
	}
}

// dialStatus is what Dial() makes of a phone's end: its event says NOANSWER for every refusal (app_dial.c, handle_cause).
func dialStatus(status, cause string) string {
	if status != "NOANSWER" {
		return status
	}
	switch cause {
	case "", "0", "16", "19": // none, normal clearing, no answer
		return status
	case "17":
		return "BUSY"
	case "34":
		return "CONGESTION"
	}
	return "CHANUNAVAIL"
}

// reportLeg adds a report about an attempt to reach a phone.
func (t *Translator) reportLeg(p dialplan.Point, l *leg, at time.Time) *dialplan.Report {
	r := t.report(p, at, l.linkedID, l.channel, l.name)
	r.Phone, r.Began, r.Stay = l.own, l.began, l.stay
	r.Args["agent_phone"], r.Args["dialed"] = l.phone, l.dialed
	return r
}
