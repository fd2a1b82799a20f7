package dialplan

import (
	"slices"
	"strings"
	"time"

	"ringhook/fastagi"
)

// queueDial begins a visit, unless it has already begun.
func queueDial(t *transition) {
	id := t.args["queue_id"]
	on, ended, marked := parseMarker(t.args["visit"])
	own := marked && on.UniqueID == t.env.UniqueID
	m := marker{UniqueID: t.env.UniqueID, N: 1, What: id}
	var before *visit // the previous visit on this channel
	switch {
	case own && !ended && on.What == id:
		m = on
	case own:
		m.N = on.N + 1
		before = t.call.visitOf(on)
	default:
		// The channel may not have received the variables of an earlier answer.
		if v := t.call.openVisit(func(v *visit) bool { return v.Marker.UniqueID == m.UniqueID }); v != nil {
			if v.Marker.What == id {
				m = v.Marker
			} else {
				m.N, before = v.Marker.N+1, v
			}
		}
	}
	t.setMarker(visitVariable, m, false)
	if t.call.visitOf(m) != nil {
		return
	}
	v := &visit{Marker: m, Began: t.now, HungUp: t.hungup, Transfer: t.transferred(before, on, marked && !own)}
	if before != nil {
		t.leave(before)
	}
	if m.N > 1 {
		// They are those of an earlier visit on this channel, and would apply to this one.
		for _, name := range []string{"QUEUESTATUS", "ABANDONED", "ANSWEREDTIME", "MEMBERINTERFACE", "QEHOLDTIME", "QEORIGINALPOS"} {
			t.vars = append(t.vars, fastagi.Variable{Name: name})
		}
	}
	t.call.Visits = append(t.call.Visits, v)
	t.emit(string(QueueDial), m.key(), t.visitParams(v))
}

// leave ends the visit before this one on the channel, unless its end was reported, and notes on the channel how the caller
// left it, for other servers.
func (t *transition) leave(before *visit) {
	status := t.args["queue_status"]
	open := before.Ended.IsZero()
	if open {
		t.closeVisit(before, status, leftElsewhere)
	}
	if status != "" || open && before.EndedBy == "" {
		t.vars = append(t.vars, fastagi.Variable{Name: leftVariable, Value: before.Marker.String() + "/" + partOf(cut(status, 32))})
	}
}

// transferred checks whether an agent transferred the caller to this queue, and ends the visit and ring
// from which the caller came. Asterisk 16 and 22 do one of two things. With a Local channel the transfer
// moves the member's channel, which has inherited the visit, and the caller's channel stays in the first
// queue. Without one it moves the caller's channel out of an answered visit or ring.
func (t *transition) transferred(before *visit, parent marker, inherited bool) string {
	left := t.leaveRing()
	t.closeRingsHere()
	switch {
	case inherited:
		return parent.UniqueID
	case before != nil && !before.Answered.IsZero():
		return before.Marker.UniqueID
	case left != nil:
		return left.from()
	}
	return t.args["transfer_uniqueid"]
}

// queueHangup ends the visit of this channel. Only the first report of an end counts.
func queueHangup(t *transition) {
	m, ended, marked := parseMarker(t.args["visit"])
	marked = marked && m.UniqueID == t.env.UniqueID
	v := t.call.visitOf(m)
	if marked && ended {
		if now := t.leftBy(); v == nil || v.Left == "" || now == "" || now == v.Left {
			return
		}
		// Queue() ran again on this channel, and its queue-dial was not reported.
		m.N++
		v = t.call.visitOf(m)
	}
	if !marked {
		v = t.call.openVisit(func(v *visit) bool { return v.Marker.UniqueID == t.env.UniqueID })
	}
	if v == nil {
		if v = t.missedVisit(m, marked); v == nil {
			return
		}
	}
	t.setMarker(visitVariable, v.Marker, true)
	status := t.args["queue_status"]
	if !v.Ended.IsZero() {
		if !v.Presumed {
			return
		}
		v.Ended, v.Presumed, t.correcting = time.Time{}, false, true
		t.takeMember(v)
		how := t.howLeft(v, status)
		if v.Answered.IsZero() && how == leftUnknown {
			v.Ended, v.Presumed = t.now, true // the reason of the end is still not known
			return
		}
		t.closeVisit(v, status, how)
		return
	}
	t.takeMember(v)
	t.closeRingsHere()
	v.Left = t.leftBy()
	t.closeVisit(v, status, t.howLeft(v, status))
}

// leftBy returns the variables that only Queue() sets, at its end: if they change, Queue() ran again. It
// returns an empty text if the dialplan passes one of them, because that proves nothing.
func (t *transition) leftBy() string {
	var b strings.Builder
	for _, name := range [...]string{"queue_status", "abandoned", "agent_phone", "wait_time", "queue_position"} {
		if !slices.Contains(t.asked, name) {
			return ""
		}
		b.WriteString(cut(t.args[name], 32) + "/")
	}
	return b.String()
}

// missedVisit adds a visit whose beginning was not reported, because no ringhook was running. Its end is
// reported with the values of the channel.
func (t *transition) missedVisit(m marker, marked bool) *visit {
	if !marked {
		id := t.args["queue_id"]
		if id == "" {
			return nil
		}
		m = marker{UniqueID: t.env.UniqueID, N: 1, What: id}
		if v := t.call.visitOf(m); v != nil {
			return v
		}
	}
	v := &visit{Marker: m}
	t.call.Visits = append(t.call.Visits, v)
	return v
}

// takeMember marks the visit as answered by a member from the queue's variables, if no point reported
// the answer: in a dialplan without agent points, or if no ringhook was running.
func (t *transition) takeMember(v *visit) {
	if n, ok := t.integerArg("queue_position"); ok {
		v.Position = n
	}
	phone, status := t.phone(), t.args["queue_status"]
	if !v.Answered.IsZero() || t.abandoned() || status != "" && status != "CONTINUE" {
		return // CONTINUE is the status of Queue(...,c) after a member hung up
	}
	talked, met := t.integerArg("answered_time")
	switch {
	case phone != "":
		waited, _ := t.integerArg("wait_time")
		v.WaitTime = waited
		v.Answered = t.now
		if !v.Began.IsZero() {
			v.Answered = v.Began.Add(time.Duration(waited) * time.Second)
		}
	case met && v.Marker.UniqueID == t.env.UniqueID:
		// A queue without setinterfacevar=yes does not report which member answered.
		v.Answered = t.now.Add(-time.Duration(talked) * time.Second)
		if v.Answered.Before(v.Began) {
			v.Answered = v.Began
		}
		if r := t.onlyOpenRing(v); r != nil {
			phone = r.Phone
		}
	case t.connectedInQueue(v):
		// Asterisk 16 does not set ANSWEREDTIME for such a queue, so the time of the answer is not known.
		v.Answered, v.Untimed = t.now, true
		if t.settings.isAgent(t.args["connected"]) {
			phone = t.args["connected"]
		}
	default:
		return
	}
	v.Agent = phone
	if t.call.Answered.IsZero() {
		t.call.Answered = v.Answered
	}
	if r := t.call.openRing(func(r *ring) bool { return r.Visit == v.Marker && r.Phone == phone }); r != nil && r.Answered.IsZero() {
		r.Answered = v.Answered
	}
}

// connectedInQueue reports whether the caller's channel was connected to a phone in this visit: Asterisk
// then sets the member's number on it. In all other cases Queue() sets ABANDONED or QUEUESTATUS.
func (t *transition) connectedInQueue(v *visit) bool {
	return v.Marker.UniqueID == t.env.UniqueID && !v.Began.IsZero() && !v.HungUp && t.args["connected"] != "" &&
		!slices.ContainsFunc(t.call.Rings, func(r *ring) bool { return r.Marker.UniqueID == t.env.UniqueID })
}

// onlyOpenRing returns the open ring of a visit, nil if there are none or several.
func (t *transition) onlyOpenRing(v *visit) (only *ring) {
	for _, r := range t.call.Rings {
		if r.Visit != v.Marker || r.Outgoing || !r.Ended.IsZero() {
			continue
		}
		if only != nil {
			return nil
		}
		only = r
	}
	return only
}

// abandoned reports whether Asterisk reports that the caller gave up in the queue.
func (t *transition) abandoned() bool { return strings.EqualFold(t.args["abandoned"], "TRUE") }

// left is the way in which a visit without an answer ended.
type left int

const (
	leftUnknown   left = iota // it is not known whether the caller gave up or an agent answered
	leftGaveUp                // queue-abandon
	leftElsewhere             // queue-failover
)

// howLeft returns the way in which a visit ended, from the variables of Asterisk. Without proof a visit is
// not reported as abandoned: a queue without setinterfacevar=yes does not report that an agent answered.
func (t *transition) howLeft(v *visit, status string) left {
	switch {
	case t.presumed && status == "":
		return leftUnknown
	case status != "":
		return leftElsewhere // a timeout sets ABANDONED too
	case t.left:
		return leftElsewhere
	case v.Marker.UniqueID == t.env.UniqueID && (v.HungUp || t.abandoned()):
		return leftGaveUp
	case v.Marker.UniqueID != t.env.UniqueID && t.unanswered(v):
		return leftGaveUp // the caller waited there on another channel
	}
	return leftUnknown
}

// unanswered reports whether phones of agents rang in a visit and none answered.
func (t *transition) unanswered(v *visit) bool {
	rang := false
	for _, r := range t.call.Rings {
		if r.Visit == v.Marker {
			rang = true
			if !r.Answered.IsZero() {
				return false
			}
		}
	}
	return rang
}

// closeVisit ends a visit: answered, abandoned by the caller (queue-abandon), or left for another
// destination (queue-failover), for which Asterisk usually sets a QUEUESTATUS.
func (t *transition) closeVisit(v *visit, status string, how left) {
	v.Ended = t.now
	v.Presumed = v.Answered.IsZero() && how == leftUnknown
	own := t.visitParams(v)
	own["queue_status"] = status
	own["cause"] = t.cause()
	switch {
	case !v.Answered.IsZero():
		own["status"] = statusAnswer
		if !v.Untimed {
			own["talk_time"] = seconds(v.Answered, t.now)
		}
		t.emit(string(QueueHangup), v.Marker.key(), own)
	case v.EndedBy != "":
		v.Presumed = false
		own["status"], own["ended_by"] = statusOther, v.EndedBy
		t.emit(string(QueueHangup), v.Marker.key(), own)
	case how == leftUnknown:
		own["status"] = statusOther
		t.emit(string(QueueHangup), v.Marker.key(), own)
	case how == leftElsewhere:
		own["status"] = queueStatus(status)
		t.emit(string(QueueHangup), v.Marker.key(), own)
		t.emit(queueFailover, v.Marker.key(), own)
	default:
		own["status"] = statusCancel
		t.emit(string(QueueHangup), v.Marker.key(), own)
		t.emit(queueAbandon, v.Marker.key(), own)
	}
	v.Outcome, _ = own["status"].(string)
}

// visitParams returns the parameters that a visit adds to its events, including the agent who
// answered.
func (t *transition) visitParams(v *visit) map[string]any {
	own := map[string]any{
		"uniqueid":          v.Marker.UniqueID,
		"queue_id":          v.Marker.What,
		"queue_name":        t.settings.queueName(v.Marker.What),
		"transfer_uniqueid": v.Transfer,
	}
	if v.Position > 0 {
		own["queue_position"] = v.Position
	}
	switch {
	case v.Untimed:
	case v.WaitTime > 0:
		own["wait_time"] = v.WaitTime
	case !v.Answered.IsZero():
		own["wait_time"] = seconds(v.Began, v.Answered)
	case !v.Ended.IsZero():
		own["wait_time"] = seconds(v.Began, v.Ended)
	}
	if v.Agent != "" {
		t.agentParams(own, v.Agent)
	}
	return own
}
