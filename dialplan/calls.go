package dialplan

import "time"

// The points that concern the call as a whole.

func callDial(s *step) { s.once(string(CallDial), s.env.UniqueID, nil) }

func callAnswer(s *step) {
	if s.call.Answered.IsZero() {
		s.call.Answered = s.now
	}
	s.once(string(CallAnswer), "", map[string]any{
		"status": statusAnswer, "ring_time": seconds(s.call.Began, s.now), "agent_phone": s.phone(),
	})
}

func ivrHangup(s *step) {
	s.once(string(IVRHangup), s.env.UniqueID+"/"+s.args["ivr"], map[string]any{
		"status": statusCancel, "wait_time": seconds(s.call.Began, s.now), "cause": s.cause(),
	})
}

func customEvent(s *step) {
	own := map[string]any{}
	key := s.env.UniqueID
	for _, name := range sortedKeys(s.args) {
		if _, ours := channelReads[name]; ours {
			continue
		}
		own[name] = typed(parameters[name], s.args[name])
		key += "\x00" + name + "=" + s.args[name]
	}
	s.once(s.event, key, own)
}

// callHangup tells the call's end, once. What its channels have not yet
// reported of it they report within milliseconds, on connections of their own; so that the end
// is the last that is told, everything still open is closed first, and those
// reports are then known as repeats.
func callHangup(s *step) {
	if !s.call.Ended.IsZero() {
		return
	}
	s.hearMember()
	for _, r := range s.call.Rings {
		switch {
		case !r.Ended.IsZero():
		case r.Marker.UniqueID == s.env.UniqueID:
			s.endRing(r)
		default:
			s.closeRing(r, statusCancel)
		}
	}
	for _, v := range s.call.Visits {
		if v.Ended.IsZero() {
			status := ""
			if v.Marker.UniqueID == s.env.UniqueID {
				status = s.args["queue_status"]
			}
			s.closeVisit(v, status, status == "")
		}
	}
	billed, told := s.integerArg("billsec")
	if s.call.Answered.IsZero() && dialStatus(s.args["status"]) == statusAnswer {
		s.call.Answered = s.now.Add(-time.Duration(billed) * time.Second)
	}
	own := s.lastVisit()
	own["status"] = s.callStatus()
	own["duration"] = seconds(s.call.Began, s.now)
	own["talk_time"] = seconds(s.call.Answered, s.now)
	if !told || s.call.Answered.IsZero() {
		// Asterisk bills from its own answer, which a queue's music or a menu
		// counts as: a call that no person answered has nothing to bill.
		billed = seconds(s.call.Answered, s.now)
	}
	own["billsec"] = billed
	own["cause"] = s.cause()
	if s.presumed {
		own["status"], own["presumed"] = statusOther, true
	}
	s.call.Ended = s.now
	s.emit(string(CallHangup), "", own)
}

// hearMember takes from the channel whether a member of the queue answered, which
// the queue's own end tells where anybody is there to hear it.
func (s *step) hearMember() {
	v := s.call.openVisit(func(v *visit) bool { return v.Marker.UniqueID == s.env.UniqueID })
	if v == nil {
		if !s.call.Answered.IsZero() {
			return
		}
		v = &visit{Began: s.call.Began} // whose beginning was not heard either
	}
	s.takeMember(v)
}

// callStatus is how the call ended as a whole.
func (s *step) callStatus() string {
	if !s.call.Answered.IsZero() {
		return statusAnswer
	}
	if status := dialStatus(s.args["status"]); status != "" && len(s.call.Visits) == 0 {
		return status
	}
	if status := s.args["queue_status"]; status != "" {
		return queueStatus(status)
	}
	return statusCancel
}

// lastVisit tells of the last queue and of the agent who answered there.
func (s *step) lastVisit() map[string]any {
	own := map[string]any{}
	for _, v := range s.call.Visits {
		for name, value := range s.visitParams(v) {
			own[name] = value
		}
	}
	for _, r := range s.call.Rings {
		if !r.Answered.IsZero() {
			s.agentParams(own, r.Phone)
			delete(own, "ring_time")
			if !r.Began.IsZero() {
				own["ring_time"] = seconds(r.Began, r.Answered)
			}
		}
	}
	delete(own, "transfer_uniqueid")
	return own
}

// cause is the Q.850 number of a hangup, nil where the channel tells none.
func (s *step) cause() any {
	if n, ok := s.integerArg("cause"); ok && n > 0 {
		return n
	}
	return nil
}
