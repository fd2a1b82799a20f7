package dialplan

import (
	"crypto/sha256"
	"encoding/base32"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"ringhook/fastagi"
	"ringhook/hooks"
	"ringhook/lookup"
)

// step is one point's turn with its call: what the point adds to the call, the
// events it makes and the variables it sets.
type step struct {
	*request
	call     *call
	site     *site
	now      time.Time
	numbers  *lookup.Numbers
	presumed bool                    // the call's end was never told
	wanted   func(event string) bool // where nil, every event is
	news     bool                    // something happened, whether anybody wants to know or not
	events   []hooks.Event
	vars     []fastagi.Variable
	told     []TracedEvent // every event, also one that nobody wants
}

// absorb takes over from the channel what stays with the call. It may be done
// twice, and changes nothing the second time.
func (s *step) absorb() {
	known := s.call
	if s.call.Direction == "" && s.point != Lookup && s.point != CustomEvent {
		s.call.Direction = s.direction()
	}
	if num := s.callerNum(); num != "" {
		number := s.numbers.Normalize(num)
		known.keepFirst("callerid_raw", num)
		known.keepFirst("callerid", number.String())
		if number.Kind != lookup.Normal {
			known.keepFirst("callerid_kind", string(number.Kind)) // why nobody was asked
		}
		known.keepFirst("region_name", number.RegionName)
		known.keepFirst("region_time", number.RegionTime(s.now))
	}
	if !s.onCalledChannel() {
		known.keepFirst("callerid_name", clean(s.env.CallerName))
		known.keepFirst("directid", clean(s.env.DNID))
	}
	if s.call.Direction != incoming {
		known.keepFirst("dialed", s.args["dialed"])
	}
	for _, name := range staying {
		if v, given := s.args[name]; given && v != "" {
			known.keep(name, typed(parameters[name], v))
		}
	}
	for name, r := range s.site.variables {
		if v := s.args[name]; v != "" {
			known.keep(r.param, typed(r.kind(), v))
		}
	}
}

// staying are the parameters that, once given by the dialplan, hold for the
// rest of the call.
var staying = []string{
	"callerid", "callerid_raw", "callerid_name", "directid", "ivr", "call_info", "agent_info", "queue_prio",
	"region_name", "region_time", "recording_file", "recording_url",
}

// callerNum is the caller's number as this channel shows it: the channel of a
// phone that was called has its own there, and the caller's as connected line.
func (s *step) callerNum() string {
	if s.onCalledChannel() {
		return s.args["connected"]
	}
	return clean(s.env.CallerNum)
}

// onCalledChannel tells whether the point runs on the channel of a phone that
// was called, as Dial's U() does; Queue's AGI argument runs on the caller's.
func (s *step) onCalledChannel() bool {
	switch s.point {
	case AgentAnswer, AgentDialoutAnswer, CallAnswer:
		return s.env.UniqueID != s.call.LinkedID
	}
	return false
}

// The directions of a call. Only the dialplan can tell that one is internal.
const (
	incoming = "incoming"
	outgoing = "outgoing"
	internal = "internal"
)

// direction is that of a call whose first point this is.
func (s *step) direction() string {
	given := s.args["direction"]
	switch {
	case given == incoming || given == outgoing || given == internal:
		return given
	case s.point == AgentCustom || s.point == AgentDialoutAnswer || s.point == AgentDialoutHangup:
		return outgoing
	}
	return incoming
}

// param tells one of the call's parameters as they stand, for a lookup's
// request.
func (s *step) param(name string) string {
	switch name {
	case "event":
		return s.event
	case "time":
		return s.now.Format(time.RFC3339)
	case "uniqueid":
		return s.env.UniqueID
	case "linkedid":
		return s.call.LinkedID
	case "direction":
		return s.call.Direction
	case "agent_phone":
		return s.phone()
	case "agent_id", "agent_name":
		if v := s.args[name]; v != "" {
			return v
		}
		a := s.site.agents[s.phone()]
		if name == "agent_id" {
			return a.ID
		}
		return a.Name
	case "queue_id":
		return s.queueID()
	case "queue_name":
		return s.site.queueName(s.queueID())
	}
	if v := s.args[name]; v != "" {
		return v
	}
	switch v := s.call.Known[name].(type) {
	case string:
		return v
	case int64:
		return strconv.FormatInt(v, 10)
	}
	if name == "agent_info" {
		return s.site.agents[s.phone()].Info
	}
	return ""
}

// question is what the point asks its lookups.
func (s *step) question() lookup.Question {
	number := s.call.text("callerid")
	if s.call.Direction == outgoing {
		number = s.numbers.Normalize(s.param("dialed")).String()
	}
	return lookup.Question{Point: string(s.point), Number: number, Param: s.param}
}

// queueID is the queue that the point is about.
func (s *step) queueID() string {
	if id := s.args["queue_id"]; id != "" {
		return id
	}
	if v := s.visit(); v != nil {
		return v.Marker.What
	}
	if m, ended, ok := parseMarker(s.args["visit"]); ok && !ended {
		return m.What
	}
	return ""
}

// visit is the queue visit that the point belongs to: the one that the channel names,
// else the latest in which the caller still waits.
func (s *step) visit() *visit {
	if m, ended, ok := parseMarker(s.args["visit"]); ok {
		if ended {
			return nil
		}
		if v := s.call.visitOf(m); v != nil {
			return v
		}
	}
	return s.call.openVisit(func(v *visit) bool { return v.Answered.IsZero() })
}

// emit makes an event. key tells apart what can happen more than once in a
// call: the marker of the visit or the ring, or the channel.
func (s *step) emit(name, key string, own map[string]any) {
	s.tell(name, key, "", own)
}

// tell makes an event, whose id may have been made already. One that nobody
// wants counts, and is nothing else.
func (s *step) tell(name, key, id string, own map[string]any) {
	s.call.Seq++
	s.news = true
	s.told = append(s.told, TracedEvent{Name: name})
	if s.wanted != nil && !s.wanted(name) {
		return
	}
	if id == "" {
		id = eventID(s.call.LinkedID, key, name)
	}
	p := make(map[string]any, len(s.call.Known)+len(own)+12)
	maps.Copy(p, s.call.Known)
	p["uniqueid"] = s.env.UniqueID
	maps.Copy(p, own)
	p["event"], p["event_id"], p["seq"] = name, id, int64(s.call.Seq)
	p["time"] = s.now.Format("2006-01-02T15:04:05.000Z07:00")
	p["linkedid"] = s.call.LinkedID
	p["final"] = name == string(CallHangup)
	if s.call.Direction != "" {
		p["direction"] = s.call.Direction
	}
	if !s.call.Ended.IsZero() && name != string(CallHangup) {
		p["correction"] = true // the call's last event was told already
	}
	for k, v := range p {
		if v == "" || v == nil {
			delete(p, k)
		}
	}
	s.events = append(s.events, hooks.Event{
		ID: id, Name: name, LinkedID: s.call.LinkedID, Seq: s.call.Seq, Final: name == string(CallHangup), Time: s.now, Params: p,
	})
}

// taken notes how many hooks take an event.
func (s *step) taken(event string, hooks int) {
	for i := range s.told {
		if s.told[i].Name == event {
			s.told[i].Hooks = hooks
		}
	}
}

// once emits an event that belongs to no visit and no ring, unless it was
// told already.
func (s *step) once(name, key string, own map[string]any) {
	id := eventID(s.call.LinkedID, key, name)
	if slices.Contains(s.call.Told, id) {
		return
	}
	s.call.Told = append(s.call.Told, id)
	s.tell(name, key, id, own)
}

// eventID is made from the call and the place alone, so that the same point
// asked twice, or on two servers, is the same event. It holds no full stop,
// which a signature over id, time and body needs as separator.
func eventID(linkedid, key, name string) string {
	b := append(make([]byte, 0, 128), linkedid...)
	b = append(append(b, 0), key...)
	b = append(append(b, 0), name...)
	sum := sha256.Sum256(b)
	b = lowerBase32.AppendEncode(append(b[:0], "msg_"...), sum[:])
	return string(b[:30])
}

var lowerBase32 = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567")

// typed gives a parameter its type in events; what is no number stays text.
func typed(k kind, value string) any {
	if k == integer {
		if n, err := strconv.ParseInt(value, 10, 64); err == nil {
			return n
		}
	}
	return value
}

// integerArg is a number that the channel or the dialplan gave.
func (s *step) integerArg(name string) (int64, bool) {
	n, err := strconv.ParseInt(s.args[name], 10, 64)
	return n, err == nil && n >= 0
}

// isEndMarker tells the note that an end was told. Where the event is not safe
// the channel must not have it: whoever reports the end next, here or to
// another server, would take it for a repeat.
func isEndMarker(v fastagi.Variable) bool {
	return (v.Name == visitVariable || v.Name == ringVariable) && strings.HasSuffix(v.Value, markerEnd)
}

// setMarker has the channel remember a visit or a ring. It is inherited by
// the channels that this one makes, until it is over.
func (s *step) setMarker(variable string, m marker, ended bool) {
	if m.UniqueID != s.env.UniqueID {
		return
	}
	if ended {
		s.vars = append(s.vars, fastagi.Variable{Name: variable, Value: m.String() + markerEnd})
		return
	}
	s.vars = append(s.vars, fastagi.Variable{Name: "__" + variable, Value: m.String()})
}
