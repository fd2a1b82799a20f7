package dialplan

import (
	"strconv"
	"time"
)

// The points of the call as a whole.

func callDial(t *transition) { t.emitOnce(string(CallDial), t.env.UniqueID, nil) }

func callAnswer(t *transition) {
	if t.call.Answered.IsZero() {
		t.call.Answered = t.now
	}
	own := map[string]any{"status": statusAnswer, "ring_time": seconds(t.call.Began, t.now), "agent_phone": t.phone()}
	if r := t.call.openRing(func(r *ring) bool { return r.Phone == t.phone() && !r.Outgoing }); r != nil {
		own["ring_started"] = moment(r.Began)
	}
	t.emitOnce(string(CallAnswer), "", own)
}

func ivrHangup(t *transition) {
	t.emitOnce(string(IVRHangup), t.env.UniqueID+"/"+t.args["ivr"], map[string]any{
		"status": statusCancel, "wait_time": seconds(t.call.Began, t.now), "cause": t.cause(),
	})
}

// customEvent makes an event with all arguments. Two reports are the same event if they
// have the same key=, or without one if they come from one channel with equal arguments: as they were given, not as they are
// kept.
func customEvent(t *transition) {
	own := map[string]any{}
	key := t.env.UniqueID
	for _, name := range sortedKeys(t.args) {
		if name == "linkedid" || name == "server" {
			continue
		}
		written := name == "note" && t.manager // by an agent, who knows what the caller said
		if !t.hidden || written || !t.reveals(name, t.args[name]) {
			own[name] = typed(parameters[name], t.args[name])
		}
		key += "\x00" + name + "=" + t.distinct(name)
	}
	if t.event == AgentNote && t.manager {
		if !t.changeNote(key) {
			return
		}
		key += "\x00" + strconv.Itoa(t.call.Seq)
	}
	if t.args["key"] != "" {
		key = "key\x00" + t.distinct("key")
	}
	t.emitOnce(t.event, key, own)
}

// changeNote sets the note of an agent to that of a report, and reports whether it is another one than before.
func (t *transition) changeNote(key string) bool {
	digest, phone := "", t.phone()
	if t.args["note"] != "" {
		digest = eventID(t.call.id(), key, t.event)
	}
	if digest == t.call.Notes[phone] {
		return false
	}
	if t.call.Notes == nil {
		t.call.Notes = map[string]string{}
	}
	t.call.Notes[phone] = digest
	return true
}

// callHangup ends the call, once. Other channels may report the ends of their parts milliseconds
// later, on other connections. So that call-hangup is the last event, callHangup first ends
// everything that is still open, and the later reports count as repeats.
func callHangup(t *transition) {
	if !t.call.Ended.IsZero() {
		if !t.call.Presumed || t.presumed {
			return
		}
		t.reopen()
	}
	t.call.Presumed = t.presumed
	t.hearMember()
	for _, r := range t.call.Rings {
		switch {
		case !r.Ended.IsZero():
		case r.Marker.UniqueID == t.env.UniqueID:
			t.endRing(r)
		default:
			t.closeRing(r, statusCancel)
		}
	}
	for _, v := range t.call.Visits {
		if v.Ended.IsZero() {
			status := ""
			if v.Marker.UniqueID == t.env.UniqueID {
				status = t.args["queue_status"]
			}
			t.closeVisit(v, status, t.howLeft(v, status))
		}
	}
	billed, told := t.integerArg("billsec")
	if t.call.Answered.IsZero() && dialStatus(t.args["status"]) == statusAnswer {
		t.call.Answered = t.now.Add(-time.Duration(billed) * time.Second)
	}
	own := t.lastVisit()
	if own["wait_time"] == nil && t.call.Direction == incoming { // without a queue the waiting time is that until the answer
		own["wait_time"] = seconds(t.call.Began, later(t.call.Answered, t.now))
	}
	own["status"] = t.callStatus()
	own["duration"] = seconds(t.call.Began, t.now)
	own["talk_time"] = seconds(t.call.Answered, t.now)
	if !told || t.call.Answered.IsZero() {
		// Asterisk bills from its own answer, also that of a queue's music or of a menu. A call
		// that no agent answered has no billable time.
		billed = seconds(t.call.Answered, t.now)
	}
	own["billsec"] = billed
	own["cause"] = t.cause()
	if t.presumed {
		own["status"] = statusOther
	}
	t.call.Ended = t.now
	t.emit(string(CallHangup), "", own)
}

// reopen removes presumed ends, so that the actual ends are reported, as corrections.
func (t *transition) reopen() {
	t.correcting = true
	for _, r := range t.call.Rings {
		if r.Presumed {
			r.Ended, r.Presumed = time.Time{}, false
		}
	}
	for _, v := range t.call.Visits {
		if v.Presumed {
			v.Ended, v.Presumed = time.Time{}, false
		}
	}
}

// hearMember sets whether a member of the queue answered, from the channel's variables, if
// queue-hangup was not reported.
func (t *transition) hearMember() {
	v := t.call.openVisit(func(v *visit) bool { return v.Marker.UniqueID == t.env.UniqueID })
	if v == nil {
		if !t.call.Answered.IsZero() {
			return
		}
		v = &visit{Began: t.call.Began} // the beginning was not reported either
	}
	t.takeMember(v)
}

// callStatus returns the status with which the call ended.
func (t *transition) callStatus() string {
	if !t.call.Answered.IsZero() {
		return statusAnswer
	}
	if status := dialStatus(t.args["status"]); status != "" && len(t.call.Visits) == 0 {
		return status
	}
	if status := t.args["queue_status"]; status != "" {
		return queueStatus(status)
	}
	if n := len(t.call.Visits); n > 0 && t.call.Visits[n-1].Presumed {
		return statusOther // it is not known whether an agent answered
	}
	return statusCancel
}

// lastVisit returns the parameters of the last queue and of the agent who answered there.
func (t *transition) lastVisit() map[string]any {
	own := map[string]any{}
	for _, v := range t.call.Visits {
		for name, value := range t.visitParams(v) {
			own[name] = value
		}
	}
	for _, r := range t.call.Rings {
		if !r.Answered.IsZero() {
			t.agentParams(own, r.Phone)
			delete(own, "ring_time")
			if !r.Began.IsZero() {
				own["ring_time"] = seconds(r.Began, r.Answered)
			}
		}
	}
	delete(own, "transfer_uniqueid")
	return own
}

// cause returns the Q.850 cause of a hangup, nil if the channel has none.
func (t *transition) cause() any {
	if n, ok := t.integerArg("cause"); ok && n > 0 {
		return n
	}
	return nil
}
