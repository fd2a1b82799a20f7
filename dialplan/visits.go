package dialplan

import (
	"time"

	"ringhook/fastagi"
)

// queueDial begins a visit, or knows it as begun.
func queueDial(s *step) {
	id := word(s.args["queue_id"])
	on, ended, marked := parseMarker(s.args["visit"])
	own := marked && on.UniqueID == s.env.UniqueID
	m := marker{UniqueID: s.env.UniqueID, N: 1, What: id}
	var before *visit // on this channel
	switch {
	case own && !ended && on.What == id:
		m = on
	case own:
		m.N = on.N + 1
		before = s.call.visitOf(on)
	default:
		// The channel may have lost what an earlier answer set on it.
		if v := s.call.openVisit(func(v *visit) bool { return v.Marker.UniqueID == m.UniqueID }); v != nil {
			if v.Marker.What == id {
				m = v.Marker
			} else {
				m.N, before = v.Marker.N+1, v
			}
		}
	}
	s.setMarker(visitVariable, m, false)
	if s.call.visitOf(m) != nil {
		return
	}
	v := &visit{Marker: m, Began: s.now, Transfer: s.transferred(before, on, marked && !own)}
	if before != nil && before.Ended.IsZero() {
		s.closeVisit(before, "", false)
	}
	if m.N > 1 {
		// Of an earlier visit on this channel, and else taken for this one's.
		for _, name := range []string{"QUEUESTATUS", "MEMBERINTERFACE", "QEHOLDTIME", "QEORIGINALPOS"} {
			s.vars = append(s.vars, fastagi.Variable{Name: name})
		}
	}
	s.call.Visits = append(s.call.Visits, v)
	s.emit(string(QueueDial), m.String(), s.visitParams(v))
}

// transferred finds out whether an agent sent the caller here, and closes
// what that ends. Seen so on 16 and 22: the transfer moves the member's own
// Local channel, which carries the visit it inherited, while the caller's
// channel stays in the first queue; or, where no Local channel stands between
// them, it moves the caller's channel out of an answered visit or ring.
func (s *step) transferred(before *visit, parent marker, inherited bool) string {
	left := s.leaveRing()
	s.closeRingsHere()
	switch {
	case inherited:
		return parent.UniqueID
	case before != nil && !before.Answered.IsZero():
		return before.Marker.UniqueID
	case left != nil:
		return left.from()
	}
	return s.args["transfer_uniqueid"]
}

// queueHangup ends the visit of this channel, whichever of the dialplan's
// places reports it first.
func queueHangup(s *step) {
	m, ended, marked := parseMarker(s.args["visit"])
	marked = marked && m.UniqueID == s.env.UniqueID
	if marked && ended {
		return
	}
	v := s.call.visitOf(m)
	if !marked {
		v = s.call.openVisit(func(v *visit) bool { return v.Marker.UniqueID == s.env.UniqueID })
	}
	if v == nil {
		if v = s.missedVisit(m, marked); v == nil {
			return
		}
	}
	s.setMarker(visitVariable, v.Marker, true)
	if !v.Ended.IsZero() {
		return
	}
	s.takeMember(v)
	s.closeRingsHere()
	status := s.args["queue_status"]
	s.closeVisit(v, status, status == "")
}

// missedVisit stands in for a visit whose beginning was never told, because
// nobody was there to listen: it ends all the same, with what the channel knows.
func (s *step) missedVisit(m marker, marked bool) *visit {
	if !marked {
		id := word(s.args["queue_id"])
		if id == "" {
			return nil
		}
		m = marker{UniqueID: s.env.UniqueID, N: 1, What: id}
		if v := s.call.visitOf(m); v != nil {
			return v
		}
	}
	v := &visit{Marker: m}
	s.call.Visits = append(s.call.Visits, v)
	return v
}

// takeMember believes the queue that a member answered where no point told
// it: in a dialplan without agent points, or when nobody was there to listen.
func (s *step) takeMember(v *visit) {
	if n, ok := s.integerArg("queue_position"); ok {
		v.Position = n
	}
	phone, status := s.phone(), s.args["queue_status"]
	if phone == "" || !v.Answered.IsZero() || status != "" && status != "CONTINUE" {
		return // CONTINUE is the way out of Queue(...,c) when a member hung up
	}
	v.Agent = phone
	waited, _ := s.integerArg("wait_time")
	v.WaitTime = waited
	v.Answered = s.now
	if !v.Began.IsZero() {
		v.Answered = v.Began.Add(time.Duration(waited) * time.Second)
	}
	if s.call.Answered.IsZero() {
		s.call.Answered = v.Answered
	}
	if r := s.call.openRing(func(r *ring) bool { return r.Visit == v.Marker && r.Phone == phone }); r != nil && r.Answered.IsZero() {
		r.Answered = v.Answered
	}
}

// closeVisit tells a visit's end: answered, given up by the caller, who is
// gone (queue-abandon), or left for another destination (queue-failover), for
// which Asterisk has set a QUEUESTATUS as a rule.
func (s *step) closeVisit(v *visit, status string, gone bool) {
	v.Ended = s.now
	own := s.visitParams(v)
	own["queue_status"] = status
	own["cause"] = s.cause()
	switch {
	case !v.Answered.IsZero():
		own["status"] = statusAnswer
		own["talk_time"] = seconds(v.Answered, s.now)
		s.emit(string(QueueHangup), v.Marker.String(), own)
	case !gone:
		own["status"] = queueStatus(status)
		s.emit(string(QueueHangup), v.Marker.String(), own)
		s.emit(queueFailover, v.Marker.String(), own)
	default:
		own["status"] = statusCancel
		s.emit(string(QueueHangup), v.Marker.String(), own)
		s.emit(queueAbandon, v.Marker.String(), own)
	}
}

// visitParams are the parameters that a visit adds to its events, among them
// the agent who answered in it.
func (s *step) visitParams(v *visit) map[string]any {
	own := map[string]any{
		"uniqueid":          v.Marker.UniqueID,
		"queue_id":          v.Marker.What,
		"queue_name":        s.site.queueName(v.Marker.What),
		"transfer_uniqueid": v.Transfer,
	}
	if v.Position > 0 {
		own["queue_position"] = v.Position
	}
	switch {
	case v.WaitTime > 0:
		own["wait_time"] = v.WaitTime
	case !v.Answered.IsZero():
		own["wait_time"] = seconds(v.Began, v.Answered)
	case !v.Ended.IsZero():
		own["wait_time"] = seconds(v.Began, v.Ended)
	}
	if v.Agent != "" {
		s.agentParams(own, v.Agent)
	}
	return own
}
