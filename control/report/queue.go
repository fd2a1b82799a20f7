package report

import (
	"cmp"
	"slices"
	"time"

	"ringhook/ami"
	"ringhook/dialplan"
)

func (t *Translator) join(e *Event) {
	c := t.channels[e.UniqueID]
	if c == nil {
		return
	}
	if !t.leftBefore(c) {
		t.leftUnseen(c)
	}
	c.stay = &stay{Stay: dialplan.Stay{Channel: c.id, Queue: e.Queue, Joined: e.At}, linkedID: e.LinkedID, position: e.Position}
}

// leftBefore ends the stay of a channel that now does something else, and reports whether it has ended one.
func (t *Translator) leftBefore(c *channel) bool {
	if c.stay == nil || c.stay.ended {
		return false
	}
	t.endStay(c, "")
	return true
}

// leftUnseen reports the end of a stay that was not seen, such as that in a queue that did not take the caller, if another
// ringhook was asked about the next queue first and removed QUEUESTATUS.
func (t *Translator) leftUnseen(c *channel) {
	if !t.wants(dialplan.QueueHangup) {
		return
	}
	if left := t.Read(c.id, ami.LeftQueue); left != "" {
		r := t.report(dialplan.QueueHangup, t.now, c.linkedID, c.id, c.name)
		r.Only, r.Left = true, left
	}
}

// abandon is sent before leave, for every end of the waiting but an answer and a key of the queue's context.
func (t *Translator) abandon(e *Event) {
	if c := t.channels[e.UniqueID]; c != nil && c.stay.waiting() {
		c.stay.abandoned = true
	}
}

// leave is sent for every end of the waiting. Only what follows says which it was.
func (t *Translator) leave(e *Event) {
	c := t.channels[e.UniqueID]
	if c == nil || !c.stay.waiting() {
		return
	}
	if c.stay.answering {
		return // AgentConnect follows, or Hangup
	}
	t.leaves(c, e.At)
}

// leaves has the end of a stay wait for what explains it: a hangup, QUEUESTATUS, or a second without either.
func (t *Translator) leaves(c *channel, at time.Time) {
	c.stay.left, c.stay.asked = at, at
	if t.explained(c) {
		return
	}
	t.pending = append(t.pending, c)
}

// explained reports the end of a stay if QUEUESTATUS explains it. Asterisk sets it after the event.
func (t *Translator) explained(c *channel) bool {
	if c.stay.connected || c.hangingUp {
		return false
	}
	status := t.Read(c.id, ami.QueueStatus)
	if status != "" {
		t.endStay(c, status)
	}
	return status != ""
}

// endStay reports the end of a stay in a queue.
func (t *Translator) endStay(c *channel, status string) {
	s := c.stay
	s.ended = true
	byKey := !s.left.IsZero() && !s.abandoned
	t.pending = slices.DeleteFunc(t.pending, func(p *channel) bool { return p == c })
	if s.left.IsZero() {
		s.left = t.now
	}
	r := t.report(dialplan.QueueHangup, s.left, s.linkedID, c.id, c.name)
	r.Stay = &s.Stay
	r.Args["cause"] = c.cause
	switch {
	case s.connected:
		r.Args["agent_phone"], r.Args["wait_time"], r.Args["queue_position"] = s.iface, s.waited, s.position
	case status == "" && c.hangingUp && byKey:
		status = dialplan.ExitWithKey
	case status == "" && c.hangingUp:
		r.Args["abandoned"] = "TRUE"
	case status == "" && byKey:
		status = cmp.Or(t.Read(c.id, ami.QueueStatus), dialplan.ExitWithKey)
	case status == "":
		if status = t.Read(c.id, ami.QueueStatus); status == "" {
			r.Left = t.Read(c.id, ami.LeftQueue)
		}
	}
	r.Args["queue_status"], r.Args["recording_file"] = status, c.recording
}

func (t *Translator) agentCalled(e *Event) {
	own := t.channels[e.DestUniqueID]
	if own == nil {
		return
	}
	phone := dialplan.Phone(e.Interface, t.Agent)
	t.members[phone] = true
	l := &leg{kind: queued, linkedID: e.LinkedID, phone: phone, stay: t.stayOf(e), began: e.At}
	own.leg = l
	if own.other != nil { // the dialplan's points run on the other half
		own = own.other
		own.leg = l
	}
	l.channel, l.name, l.own = own.id, own.name, own.id
	t.reportLeg(dialplan.AgentDial, l, e.At)
	t.claim(own)
}

// stayOf returns the stay of a caller for whom a member is rung.
func (t *Translator) stayOf(e *Event) *dialplan.Stay {
	c := t.channels[e.UniqueID]
	if c == nil {
		return &dialplan.Stay{Channel: e.UniqueID, Queue: e.Queue, Joined: e.At}
	}
	if c.stay == nil || c.stay.ended || c.stay.Queue != e.Queue { // the caller has joined unseen
		c.stay = &stay{Stay: dialplan.Stay{Channel: c.id, Queue: e.Queue, Joined: e.At}, linkedID: e.LinkedID}
	}
	return &c.stay.Stay
}

func (t *Translator) agentConnect(e *Event) {
	s := t.stayOf(e)
	if c := t.channels[e.UniqueID]; c != nil {
		c.stay.connected, c.stay.left = true, time.Time{}
		c.stay.iface, c.stay.waited = e.Interface, e.HoldTime
		t.pending = slices.DeleteFunc(t.pending, func(p *channel) bool { return p == c })
	}
	d := t.channels[e.DestUniqueID]
	if d == nil {
		return
	}
	if d.leg == nil {
		t.agentCalled(e) // rung unseen
	}
	l := d.leg
	l.stay = s
	t.answer(l, dialplan.AgentAnswer, e.At).Args["wait_time"] = e.HoldTime
}

func (t *Translator) ringNoAnswer(e *Event) {
	if d := t.channels[e.DestUniqueID]; d != nil && d.leg != nil {
		d.leg.noAnswer = true
	}
}

// agentComplete is missing after some transfers; the caller's Hangup ends the stay then.
func (t *Translator) agentComplete(e *Event) {
	if c := t.channels[e.UniqueID]; c != nil && c.stay != nil && c.stay.connected && !c.stay.ended && c.stay.left.IsZero() {
		t.leaves(c, e.At)
	}
}
