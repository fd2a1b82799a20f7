package dialplan

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"ringhook/fastagi"
)

// agentDial begins a ring: Asterisk is about to call a phone for the caller.
func agentDial(t *transition) {
	visit, ended, ok := parseMarker(t.args["visit"])
	if v := t.visit(); v != nil && (!ok || t.call.visitOf(visit) == nil) {
		visit, ok = v.Marker, true
	}
	ok = ok && !ended
	r := &ring{Phone: t.phone(), Began: t.now}
	if ok {
		r.Visit = visit
	}
	t.begin(r, AgentDial)
}

// agentCustom begins a ring of an outgoing call: an agent calls out, or transfers. A blind transfer runs
// on the channel of the ring that the agent answered, and ends that ring.
func agentCustom(t *transition) {
	r := &ring{Phone: t.phone(), Began: t.now, Outgoing: true, Dialed: t.args["dialed"], Transfer: t.args["transfer_uniqueid"]}
	if left := t.leaveRing(); left != nil {
		r.Transfer = left.from()
		r.Phone = cmp.Or(r.Phone, left.Phone)
	} else if talked := t.sentBy(); r.Phone == "" && talked != nil {
		r.Phone, r.Transfer = talked.Phone, talked.from()
	} else if r.Phone == "" {
		r.Phone = clean(t.env.CallerNum) // an agent calls out from their own phone
	}
	t.begin(r, AgentCustom)
}

// sentBy returns the ring of the agent who sent an incoming call's caller, from hold, to another number: the latest that
// was answered. It is nil on the channel of an agent.
func (t *transition) sentBy() (last *ring) {
	if t.call.Direction != incoming || t.call.text("callerid_raw") != clean(t.env.CallerNum) {
		return nil
	}
	for _, r := range t.call.Rings {
		if !r.Outgoing && !r.Answered.IsZero() && (last == nil || r.Answered.After(last.Answered)) {
			last = r
		}
	}
	return last
}

// begin adds a ring to the channel and reports it, unless it has already begun.
func (t *transition) begin(r *ring, event Point) {
	r.Marker = marker{UniqueID: t.env.UniqueID, N: 1, What: r.what()}
	if m, ended, ok := parseMarker(t.args["ring"]); ok && m.UniqueID == t.env.UniqueID {
		r.Marker.N = m.N + 1
		if !ended && m.What == r.Marker.What {
			r.Marker = m
		}
	} else if open := t.openRingHere(func(o *ring) bool { return o.Marker.What == r.Marker.What }); open != nil {
		r.Marker = open.Marker
	}
	t.setMarker(ringVariable, r.Marker, false)
	if t.call.ringOf(r.Marker) != nil {
		return
	}
	r.Leg = t.leg
	t.call.Rings = append(t.call.Rings, r)
	t.emit(string(event), r.Marker.key(), t.ringParams(r))
}

// agentAnswer marks a ring as answered. It is asked on the agent's channel or on the caller's.
func agentAnswer(t *transition) {
	phone := t.phone()
	r := t.answeringRing(phone)
	if r == nil {
		if phone == "" {
			t.visitAnswered()
			return
		}
		r = t.missedRing(false)
	}
	if t.answered(r) {
		t.emit(string(AgentAnswer), r.Marker.key(), t.ringParams(r))
	}
}

// answeringRing returns the ring of an agent-answer, nil if it is not known.
func (t *transition) answeringRing(phone string) *ring {
	if m, ended, ok := parseMarker(t.args["ring"]); ok && !ended && m.What == phone && t.call.ringOf(m) == nil {
		return nil // another server began it; an open ring of the phone is an earlier one
	}
	if phone != "" || t.args["ring"] != "" {
		return t.ringHere(func(r *ring) bool { return !r.Outgoing && (phone == "" || r.Phone == phone) })
	}
	// The AGI argument of Queue() on a queue without setinterfacevar=yes: Asterisk does not
	// report which member answered, but may report the number.
	v := t.visit()
	if v == nil {
		return nil
	}
	if r := t.call.openRing(func(r *ring) bool { return r.Visit == v.Marker && r.Phone != "" && r.Phone == t.args["connected"] }); r != nil {
		return r
	}
	return t.onlyOpenRing(v)
}

// visitAnswered marks the visit as answered by an agent whose phone is not known.
func (t *transition) visitAnswered() {
	v := t.visit()
	if v == nil {
		if t.call.Answered.IsZero() {
			t.why = "no visit to a queue is open and no agent_phone is known: give agent_phone, or set setinterfacevar=yes in queues.conf"
		}
		return
	}
	if !v.Answered.IsZero() || !v.Ended.IsZero() {
		return
	}
	v.Answered = t.now
	if n, ok := t.integerArg("queue_position"); ok {
		v.Position = n
	}
	if t.call.Answered.IsZero() {
		t.call.Answered = t.now
	}
	t.emit(string(AgentAnswer), v.Marker.key(), t.visitParams(v))
}

func agentDialoutAnswer(t *transition) {
	r := t.ringHere(func(r *ring) bool { return r.Outgoing })
	if r == nil {
		r = t.missedRing(true)
	}
	if t.answered(r) {
		t.emit(string(AgentDialoutAnswer), r.Marker.key(), t.ringParams(r))
	}
}

// answered marks a ring, its visit and the call as answered. It returns false if the ring was answered
// already.
func (t *transition) answered(r *ring) bool {
	if !r.Answered.IsZero() || !r.Ended.IsZero() {
		return false
	}
	r.Answered = t.now
	if t.call.Answered.IsZero() {
		t.call.Answered = t.now
	}
	v := t.call.visitOf(r.Visit)
	if v == nil || !v.Answered.IsZero() {
		return true
	}
	v.Answered, v.Agent = t.now, r.Phone
	if n, ok := t.integerArg("wait_time"); ok && v.Began.IsZero() {
		v.WaitTime = n
	}
	if n, ok := t.integerArg("queue_position"); ok {
		v.Position = n
	}
	return true
}

// agentHangup ends the rings of this channel: the named one, and those of other phones that the same
// Dial called, because that Dial has ended.
func agentHangup(t *transition) { endRings(t, false) }

func agentDialoutHangup(t *transition) { endRings(t, true) }

func endRings(t *transition, outgoing bool) {
	if t.args["held"] != "" {
		// A hold or a transfer by ringhook took the two ends out of this channel's Dial. The agent's own
		// channel continues, and reports the end.
		t.why = "the call is on hold: the agent's channel continues"
		return
	}
	m, ended, marked := parseMarker(t.args["ring"])
	if phone := t.phone(); phone != "" && !outgoing && m.What != phone {
		if other := t.call.dialledWith(m, phone); other != nil {
			m, ended = other.Marker, false
		} else {
			marked = false // the marker is that of a call from which this one was transferred
		}
	}
	if marked && ended {
		return
	}
	r := t.call.ringOf(m)
	if !marked {
		r = t.unmarkedRing(outgoing)
	}
	if r == nil && marked {
		r = t.missedRing(outgoing)
	}
	if r != nil {
		// Also for a ring that only the phone's own channel reported, whose end this channel may report twice.
		t.vars = append(t.vars, fastagi.Variable{Name: ringVariable, Value: r.Marker.String() + markerEnd})
		t.endRing(r)
	}
	if t.manager {
		return // it reports the end of each phone
	}
	for _, r := range t.openHere() {
		t.endRing(r)
	}
}

// dialledWith returns the ring of a phone that the channel of another ring called too: the last of them, nil if there
// is none.
func (c *call) dialledWith(m marker, phone string) (last *ring) {
	for _, r := range c.Rings {
		if r.Marker.UniqueID == m.UniqueID && r.Phone == phone && !r.Outgoing {
			last = r
		}
	}
	return last
}

// unmarkedRing returns the ring of a phone for a channel without a marker: that of the channel itself,
// else an open one, else one whose beginning was not reported, nil if there is none.
func (t *transition) unmarkedRing(outgoing bool) *ring {
	phone := t.phone()
	if phone == "" {
		return nil
	}
	of := func(r *ring) bool { return r.Phone == phone && r.Outgoing == outgoing }
	if slices.ContainsFunc(t.call.Rings, func(r *ring) bool { return r.Marker.UniqueID == t.env.UniqueID && of(r) }) {
		return t.openRingHere(of)
	}
	if r := t.call.openRing(of); r != nil {
		return r
	}
	// A ring whose beginning was not reported may have been ended by another channel.
	for _, r := range t.call.Rings {
		if of(r) && r.Began.IsZero() && (r.Reporter == "" || r.Reporter == t.env.UniqueID) {
			return r
		}
	}
	return t.missedRing(outgoing)
}

func (t *transition) endRing(r *ring) {
	if r.Began.IsZero() && r.Reporter == "" && r.Marker.UniqueID != t.env.UniqueID && t.point != CallHangup {
		r.Reporter = t.env.UniqueID
	}
	if !r.Ended.IsZero() {
		if !r.Presumed || t.presumed {
			return
		}
		r.Ended, r.Presumed, t.correcting = time.Time{}, false, true
	}
	status := dialStatus(t.args["status"])
	if r.Answered.IsZero() && status == statusAnswer && t.point != AgentCancel && (t.manager || len(t.openHere()) == 1) {
		// The answer was not reported, because no ringhook was running, or is that of a call from phone to phone.
		talked, met := t.integerArg("answered_time")
		r.Answered = t.now.Add(-time.Duration(talked) * time.Second)
		if t.call.Answered.IsZero() {
			t.call.Answered = r.Answered
		}
		// An agent who hangs up before the caller is connected did not talk to the caller.
		if v := t.call.visitOf(r.Visit); met && v != nil && v.Answered.IsZero() && (v.Ended.IsZero() || v.Presumed) {
			v.Answered, v.Agent = r.Answered, r.Phone
		}
	}
	t.closeRing(r, status)
}

// closeRingsHere ends the rings of a channel that has left them: no point will report their end.
func (t *transition) closeRingsHere() {
	for _, r := range t.openHere() {
		t.closeRing(r, statusCancel)
	}
}

// leaveRing returns the answered ring in this channel's marker, and ends it, nil if there is none. A
// caller on such a channel was transferred. The agent's own channel may have reported the end of the
// ring, but does not change the marker here.
func (t *transition) leaveRing() *ring {
	m, ended, ok := parseMarker(t.args["ring"])
	if !ok || ended || m.UniqueID != t.env.UniqueID {
		return nil
	}
	r := t.call.ringOf(m)
	if r == nil || r.Outgoing || r.Answered.IsZero() {
		return nil
	}
	if r.Ended.IsZero() {
		t.closeRing(r, statusCancel)
	}
	t.setMarker(ringVariable, m, true)
	return r
}

func (t *transition) openRingHere(fits func(*ring) bool) *ring {
	return t.call.openRing(func(r *ring) bool { return r.Marker.UniqueID == t.env.UniqueID && fits(r) })
}

// openHere returns the rings of this channel that have not ended.
func (t *transition) openHere() (open []*ring) {
	for _, r := range t.call.Rings {
		if r.Ended.IsZero() && r.Marker.UniqueID == t.env.UniqueID {
			open = append(open, r)
		}
	}
	return open
}

// closeRing ends a ring. status is used only if no agent answered.
func (t *transition) closeRing(r *ring, status string) {
	r.Ended, r.Presumed = t.now, t.presumed
	own := t.ringParams(r)
	// The hangup cause of the caller is that of the phone only if the two were connected.
	if !r.Answered.IsZero() || t.env.UniqueID == r.Marker.UniqueID {
		own["cause"] = t.cause()
	}
	delete(own, "queue_position") // known only if the queue's end was reported first
	if v := t.call.visitOf(r.Visit); v != nil && own["wait_time"] == nil && !v.Began.IsZero() {
		own["wait_time"] = seconds(v.Began, t.now) // until now: the caller still waits
	}
	if !r.Began.IsZero() {
		own["duration"] = seconds(r.Began, t.now)
	}
	own["billsec"] = int64(0)
	event := AgentHangup
	switch {
	case !r.Answered.IsZero():
		own["status"] = statusAnswer
		own["talk_time"] = seconds(r.Answered, t.now)
		if n, ok := t.integerArg("talk_time"); ok {
			own["talk_time"] = n
		}
		own["billsec"] = own["talk_time"]
	case status == "" || status == statusAnswer:
		// Another phone of the same Dial answered, or the caller has hung up.
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
	t.emit(string(event), r.Marker.key(), own)
}

// ringHere returns the ring of this channel: that of its marker, inherited or not, else the latest open
// one that fits, nil if there is none.
func (t *transition) ringHere(fits func(*ring) bool) *ring {
	if m, ended, ok := parseMarker(t.args["ring"]); ok && !ended {
		if r := t.call.ringOf(m); r != nil && fits(r) {
			return r
		}
	}
	return t.call.openRing(fits)
}

// missedRing adds a ring whose beginning was not reported, because no ringhook was running.
func (t *transition) missedRing(outgoing bool) *ring {
	r := &ring{Phone: t.phone(), Outgoing: outgoing, Dialed: t.args["dialed"], Leg: t.leg}
	m, ended, ok := parseMarker(t.args["ring"])
	if !outgoing && r.Phone != "" && m.What != r.Phone {
		ok = false // the marker is that of an earlier ring
	}
	if !ok || ended {
		m = marker{UniqueID: t.env.UniqueID, N: 1, What: r.what()}
	}
	r.Marker = m
	if dialed, out := strings.CutPrefix(m.What, outgoingMark); r.Phone == "" && !out {
		r.Phone = m.What
	} else if out {
		r.Dialed = dialed
	}
	if v := t.visit(); v != nil {
		r.Visit = v.Marker
	}
	t.call.Rings = append(t.call.Rings, r)
	return r
}

// ringParams returns the parameters that a ring adds to its events: the agent, the queue, and the known
// times.
func (t *transition) ringParams(r *ring) map[string]any {
	own := map[string]any{}
	if v := t.call.visitOf(r.Visit); v != nil {
		own = t.visitParams(v)
	} else if r.Visit.What != "" {
		own["queue_id"], own["queue_name"] = r.Visit.What, t.settings.queueName(r.Visit.What)
	}
	own["uniqueid"] = r.Marker.UniqueID
	own["ring_started"] = moment(r.Began)
	if r.Dialed != "" {
		own["dialed"] = r.Dialed
	}
	if r.Transfer != "" {
		own["transfer_uniqueid"] = r.Transfer
	}
	t.agentParams(own, r.Phone)
	switch {
	case !r.Answered.IsZero() && !r.Began.IsZero():
		own["ring_time"] = seconds(r.Began, r.Answered)
	case r.Answered.IsZero() && !r.Ended.IsZero() && !r.Began.IsZero():
		own["ring_time"] = seconds(r.Began, r.Ended)
	}
	return own
}

// outgoingMark precedes the number in the marker of a ring of an outgoing call.
const outgoingMark = ">"

// what returns the part of a ring's marker that distinguishes it from other rings of its channel.
func (r *ring) what() string {
	if r.Outgoing {
		return outgoingMark + r.Dialed
	}
	return r.Phone
}

// agentIDParameter is the beginning of the names of parameters with the agent's ids in other products.
const agentIDParameter = "agent_id_"

// agentParams returns the parameters of the agent of a phone. Arguments of the dialplan override the
// configuration.
func (t *transition) agentParams(own map[string]any, phone string) {
	own["agent_phone"] = phone
	for product, id := range t.settings.ids(phone) {
		own[agentIDParameter+product] = id
	}
	a := t.settings.agents[phone]
	given := phone == t.phone()
	for _, known := range [...]struct{ name, value string }{{"agent_id", a.ID}, {"agent_name", a.Name}, {"agent_info", a.Info}} {
		name, v := known.name, known.value
		if g := t.args[name]; given && g != "" {
			v = g
		}
		if name == "agent_info" && (v == "" || t.call.text(name) != "") {
			continue // the answer of a lookup overrides the configuration
		}
		own[name] = v
	}
}

// Phone returns the phone in the name of a device, of a queue's member or of what Dial calls: 101 for 101, PJSIP/101,
// Local/101@agents/n, PJSIP/101/sip:101@host and SIP/101/xyz. Of two names, as in SIP/gateway/101, it is the first one,
// which is the device, unless the second one alone is the phone of an agent. isAgent may be nil.
func Phone(text string, isAgent func(phone string) bool) string {
	text = strings.TrimSpace(text)
	if !strings.ContainsAny(text, "/@:;") {
		return text
	}
	if rest, ok := cutTechnology(text); ok {
		text = rest
	}
	device, more, _ := strings.Cut(text, "/")
	phone := phoneIn(device)
	if second := phoneIn(more); second != "" && (phone == "" || isAgent != nil && !isAgent(phone) && isAgent(second)) {
		return second
	}
	return phone
}

// phoneIn returns the phone in one part of a name, such as 101@agents or sip:101@host;transport=tcp.
func phoneIn(part string) string {
	for _, scheme := range []string{"sip:", "sips:", "tel:"} {
		if len(part) >= len(scheme) && strings.EqualFold(part[:len(scheme)], scheme) {
			part = part[len(scheme):]
		}
	}
	if i := strings.IndexAny(part, "@/;"); i >= 0 {
		part = part[:i]
	}
	return part
}

// cutTechnology returns a name without the technology before it, such as PJSIP/.
func cutTechnology(text string) (rest string, ok bool) {
	technology, rest, ok := strings.Cut(text, "/")
	if !ok || technology == "" || '0' <= technology[0] && technology[0] <= '9' {
		return text, false
	}
	for i := range len(technology) {
		switch c := technology[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '_':
		default:
			return text, false
		}
	}
	return rest, true
}
