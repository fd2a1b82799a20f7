package dialplan

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"ringhook/fastagi"
)

// agentDial begins a ring: a phone is about to be called for the caller.
func agentDial(s *step) {
	visit, ended, ok := parseMarker(s.args["visit"])
	if v := s.visit(); v != nil && (!ok || s.call.visitOf(visit) == nil) {
		visit, ok = v.Marker, true
	}
	ok = ok && !ended
	r := &ring{Phone: s.phone(), Began: s.now}
	if ok {
		r.Visit = visit
	}
	s.begin(r, AgentDial)
}

// agentCustom begins a ring on the way out: an agent calls somebody, or
// transfers. A blind transfer runs on the channel of the ring that the agent
// has answered, and leaves.
func agentCustom(s *step) {
	r := &ring{Phone: s.phone(), Began: s.now, Outgoing: true, Dialed: s.args["dialed"], Transfer: s.args["transfer_uniqueid"]}
	if left := s.leaveRing(); left != nil {
		r.Transfer = left.from()
		r.Phone = cmp.Or(r.Phone, left.Phone)
	} else if r.Phone == "" {
		r.Phone = clean(s.env.CallerNum) // an agent calls out from his own phone
	}
	s.begin(r, AgentCustom)
}

// begin gives the ring its place on the channel and tells of it, unless it
// is one that has begun already.
func (s *step) begin(r *ring, event Point) {
	r.Marker = marker{UniqueID: s.env.UniqueID, N: 1, What: r.what()}
	if m, ended, ok := parseMarker(s.args["ring"]); ok && m.UniqueID == s.env.UniqueID {
		r.Marker.N = m.N + 1
		if !ended && m.What == r.Marker.What {
			r.Marker = m
		}
	} else if open := s.openRingHere(func(o *ring) bool { return o.Marker.What == r.Marker.What }); open != nil {
		r.Marker = open.Marker
	}
	s.setMarker(ringVariable, r.Marker, false)
	if s.call.ringOf(r.Marker) != nil {
		return
	}
	s.call.Rings = append(s.call.Rings, r)
	s.emit(string(event), r.Marker.String(), s.ringParams(r))
}

// agentAnswer tells that a ring was answered, from the agent's channel or the
// caller's.
func agentAnswer(s *step) {
	phone := s.phone()
	r := s.ringHere(func(r *ring) bool { return !r.Outgoing && (phone == "" || r.Phone == phone) })
	if r == nil {
		if phone == "" {
			return
		}
		r = s.missedRing(false)
	}
	if s.answered(r) {
		s.emit(string(AgentAnswer), r.Marker.String(), s.ringParams(r))
	}
}

func agentDialoutAnswer(s *step) {
	r := s.ringHere(func(r *ring) bool { return r.Outgoing })
	if r == nil {
		r = s.missedRing(true)
	}
	if s.answered(r) {
		s.emit(string(AgentDialoutAnswer), r.Marker.String(), s.ringParams(r))
	}
}

// answered marks a ring, its visit and the call as answered; false when that
// is no news.
func (s *step) answered(r *ring) bool {
	if !r.Answered.IsZero() || !r.Ended.IsZero() {
		return false
	}
	r.Answered = s.now
	if s.call.Answered.IsZero() {
		s.call.Answered = s.now
	}
	v := s.call.visitOf(r.Visit)
	if v == nil || !v.Answered.IsZero() {
		return true
	}
	v.Answered, v.Agent = s.now, r.Phone
	if n, ok := s.integerArg("wait_time"); ok && v.Began.IsZero() {
		v.WaitTime = n
	}
	if n, ok := s.integerArg("queue_position"); ok {
		v.Position = n
	}
	return true
}

// agentHangup ends the rings of this channel: the one that it names, and any
// other phone that the same Dial called, for the Dial is over.
func agentHangup(s *step) { endRings(s, false) }

func agentDialoutHangup(s *step) { endRings(s, true) }

func endRings(s *step, outgoing bool) {
	m, ended, marked := parseMarker(s.args["ring"])
	if phone := s.phone(); phone != "" && !outgoing && m.What != phone {
		marked = false // of a call that this one was transferred from
	}
	if marked && ended {
		return
	}
	r := s.call.ringOf(m)
	if !marked {
		r = s.unmarkedRing(outgoing)
	}
	if r == nil && marked {
		r = s.missedRing(outgoing)
	}
	if r != nil {
		// Also of a ring that only the phone's own channel has told of: this one may report its end twice.
		s.vars = append(s.vars, fastagi.Variable{Name: ringVariable, Value: r.Marker.String() + markerEnd})
		s.endRing(r)
	}
	for _, r := range s.openHere() {
		s.endRing(r)
	}
}

// unmarkedRing finds the ring that a channel without a marker reports, by its
// phone: the channel's own, else one that is open, else one whose beginning was never told.
func (s *step) unmarkedRing(outgoing bool) *ring {
	phone := s.phone()
	if phone == "" {
		return nil
	}
	of := func(r *ring) bool { return r.Phone == phone && r.Outgoing == outgoing }
	if slices.ContainsFunc(s.call.Rings, func(r *ring) bool { return r.Marker.UniqueID == s.env.UniqueID && of(r) }) {
		return s.openRingHere(of)
	}
	if r := s.call.openRing(of); r != nil {
		return r
	}
	return s.missedRing(outgoing)
}

func (s *step) endRing(r *ring) {
	if !r.Ended.IsZero() {
		return
	}
	status := dialStatus(s.args["status"])
	if r.Answered.IsZero() && status == statusAnswer && s.point != AgentCancel && len(s.openHere()) == 1 {
		// The answer was never told, because nobody was there to listen.
		talked, met := s.integerArg("answered_time")
		r.Answered = s.now.Add(-time.Duration(talked) * time.Second)
		if s.call.Answered.IsZero() {
			s.call.Answered = r.Answered
		}
		// Who is gone before the caller is put through has not met him.
		if v := s.call.visitOf(r.Visit); met && v != nil && v.Answered.IsZero() && v.Ended.IsZero() {
			v.Answered, v.Agent = r.Answered, r.Phone
		}
	}
	s.closeRing(r, status)
}

// closeRingsHere ends the rings of a channel that has gone elsewhere, so that
// nothing else will report them.
func (s *step) closeRingsHere() {
	for _, r := range s.openHere() {
		s.closeRing(r, statusCancel)
	}
}

// leaveRing gives the ring that this channel carries and that an agent
// answered, and ends it: whoever comes here from it was transferred. The agent's
// own channel may have told its end already, but never that of the marker here.
func (s *step) leaveRing() *ring {
	m, ended, ok := parseMarker(s.args["ring"])
	if !ok || ended || m.UniqueID != s.env.UniqueID {
		return nil
	}
	r := s.call.ringOf(m)
	if r == nil || r.Outgoing || r.Answered.IsZero() {
		return nil
	}
	if r.Ended.IsZero() {
		s.closeRing(r, statusCancel)
	}
	s.setMarker(ringVariable, m, true)
	return r
}

func (s *step) openRingHere(fits func(*ring) bool) *ring {
	return s.call.openRing(func(r *ring) bool { return r.Marker.UniqueID == s.env.UniqueID && fits(r) })
}

// openHere lists the rings of this channel that have not ended.
func (s *step) openHere() (open []*ring) {
	for _, r := range s.call.Rings {
		if r.Ended.IsZero() && r.Marker.UniqueID == s.env.UniqueID {
			open = append(open, r)
		}
	}
	return open
}

// closeRing tells a ring's end. status counts only where nobody answered.
func (s *step) closeRing(r *ring, status string) {
	r.Ended = s.now
	own := s.ringParams(r)
	// The caller's cause is that of the phone only where the two have talked.
	if !r.Answered.IsZero() || s.env.UniqueID == r.Marker.UniqueID {
		own["cause"] = s.cause()
	}
	delete(own, "queue_position") // known only where the queue's end came first
	if v := s.call.visitOf(r.Visit); v != nil && own["wait_time"] == nil && !v.Began.IsZero() {
		own["wait_time"] = seconds(v.Began, s.now) // so far: the caller still waits
	}
	if !r.Began.IsZero() {
		own["duration"] = seconds(r.Began, s.now)
	}
	own["billsec"] = int64(0)
	event := AgentHangup
	switch {
	case !r.Answered.IsZero():
		own["status"] = statusAnswer
		own["talk_time"] = seconds(r.Answered, s.now)
		if n, ok := s.integerArg("talk_time"); ok {
			own["talk_time"] = n
		}
		own["billsec"] = own["talk_time"]
	case status == "" || status == statusAnswer:
		// Another phone of the same Dial answered, or the caller is gone.
		own["status"] = statusCancel
	default:
		own["status"] = status
	}
	switch {
	case r.Outgoing:
		event = AgentDialoutHangup
	case r.Answered.IsZero():
		event = AgentCancel
	}
	s.emit(string(event), r.Marker.String(), own)
}

// ringHere finds the ring that this channel belongs to: the one it carries,
// inherited or its own, else the latest open one that fits.
func (s *step) ringHere(fits func(*ring) bool) *ring {
	if m, ended, ok := parseMarker(s.args["ring"]); ok && !ended {
		if r := s.call.ringOf(m); r != nil && fits(r) {
			return r
		}
	}
	return s.call.openRing(fits)
}

// missedRing stands in for a ring whose beginning was never told, because
// nobody was there to listen.
func (s *step) missedRing(outgoing bool) *ring {
	r := &ring{Phone: s.phone(), Outgoing: outgoing, Dialed: s.args["dialed"]}
	m, ended, ok := parseMarker(s.args["ring"])
	if !outgoing && r.Phone != "" && m.What != r.Phone {
		ok = false // of a ring before this one
	}
	if !ok || ended {
		m = marker{UniqueID: s.env.UniqueID, N: 1, What: r.what()}
	}
	r.Marker = m
	if dialed, out := strings.CutPrefix(m.What, outgoingMark); r.Phone == "" && !out {
		r.Phone = m.What
	} else if out {
		r.Dialed = dialed
	}
	if v := s.visit(); v != nil {
		r.Visit = v.Marker
	}
	s.call.Rings = append(s.call.Rings, r)
	return r
}

// ringParams are the parameters that a ring adds to its events: the agent,
// the queue it rang for, and its times as far as they are known.
func (s *step) ringParams(r *ring) map[string]any {
	own := map[string]any{}
	if v := s.call.visitOf(r.Visit); v != nil {
		own = s.visitParams(v)
	} else if r.Visit.What != "" {
		own["queue_id"], own["queue_name"] = r.Visit.What, s.site.queueName(r.Visit.What)
	}
	own["uniqueid"] = r.Marker.UniqueID
	if r.Dialed != "" {
		own["dialed"] = r.Dialed
	}
	if r.Transfer != "" {
		own["transfer_uniqueid"] = r.Transfer
	}
	s.agentParams(own, r.Phone)
	switch {
	case !r.Answered.IsZero() && !r.Began.IsZero():
		own["ring_time"] = seconds(r.Began, r.Answered)
	case r.Answered.IsZero() && !r.Ended.IsZero() && !r.Began.IsZero():
		own["ring_time"] = seconds(r.Began, r.Ended)
	}
	return own
}

// outgoingMark stands before the number in the marker of a ring on the way out.
const outgoingMark = ">"

// what is the part of a ring's marker that tells it from others of its channel.
func (r *ring) what() string {
	if r.Outgoing {
		return outgoingMark + word(r.Dialed)
	}
	return r.Phone
}

// agentParams names the agent of a phone. What the dialplan gave stands
// above what the configuration says.
func (s *step) agentParams(own map[string]any, phone string) {
	own["agent_phone"] = phone
	a := s.site.agents[phone]
	given := phone == s.phone()
	for _, known := range [...]struct{ name, value string }{{"agent_id", a.ID}, {"agent_name", a.Name}, {"agent_info", a.Info}} {
		name, v := known.name, known.value
		if g := s.args[name]; given && g != "" {
			v = g
		}
		if name == "agent_info" && (v == "" || s.call.text(name) != "") {
			continue // what a lookup told of the agent stands above the file
		}
		own[name] = v
	}
}
