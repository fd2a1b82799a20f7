package dialplan

import (
	"cmp"
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
	"ringhook/lookup/number"
)

// transition is the effect of one point: the changes of the call, the events and the variables.
type transition struct {
	*request
	call       *call
	settings   *settings
	now        time.Time
	numbers    *number.Reader
	correcting bool                    // the actual end follows a presumed one
	why        string                  // the reason why no event is made; empty for a repeat
	hungup     bool                    // the caller hung up before the point was answered
	presumed   bool                    // the call's end was not reported
	manager    bool                    // reported by the manager interface
	marks      marks                   // of the call
	hidden     bool                    // number and name of the caller must not be shown
	left       bool                    // another server has noted that the caller left for another destination
	leg        string                  // the Leg of a ring that begins
	wanted     func(event string) bool // nil: every event is
	news       bool                    // an event was made, even if no hook wants it
	events     []hooks.Event
	vars       []fastagi.Variable
	recorded   []TracedEvent // every event, also one that no hook wants
}

// mergeChannel copies the lasting properties of the channel into the call. A second time it changes
// nothing.
func (t *transition) mergeChannel() {
	known := t.call
	if t.call.Direction == "" && t.point != Lookup && t.point != CustomEvent {
		t.call.Direction = t.direction()
	}
	if t.test {
		known.keep("test", true)
	}
	withheld, before := t.withheld(), known.Known["callerid_withheld"] == true
	if withheld {
		known.keep("callerid_withheld", true)
		t.markCaller()
	}
	t.marks = known.marks()
	hidden := withheld && !t.settings.withheldEvents
	t.hidden = hidden
	// A channel with another number than the call's is that of an agent, who transfers or was on hold.
	num, first := t.callerNum(), known.text("callerid_raw")
	others := num != "" && first != "" && num != first
	if hidden {
		if !before && (!others || holdsNumber(first, num)) {
			t.forgetCaller()
		}
		known.keepFirst("callerid_kind", string(number.Anonymous))
		if t.settings.withheldLookup && t.call.Hidden == "" {
			t.call.Hidden = t.callerNum()
		}
	}
	if num != "" && !hidden && !others {
		caller := t.normalize(num)
		known.keepFirst("callerid_raw", num)
		known.keepFirst("callerid", caller.String())
		if caller.Kind != number.Normal {
			known.keepFirst("callerid_kind", string(caller.Kind))
		}
		known.keepFirst("region_name", caller.RegionName)
		known.keepFirst("region_time", caller.RegionTime(t.now))
	}
	if !t.onCalledChannel() {
		if !hidden && !others {
			known.keepFirst("callerid_name", clean(t.numbers.Name(cmp.Or(t.env.RawCallerName, t.env.CallerName), t.args[charsetArgument])))
		}
		known.keepFirst("directid", clean(t.env.DNID))
	}
	if t.call.Direction != incoming {
		known.keepFirst("dialed", t.args["dialed"])
	}
	file := known.text("recording_file")
	for _, name := range stickyParameters {
		if v := t.args[name]; v != "" && !(hidden && t.reveals(name, v)) {
			known.keep(name, typed(parameters[name], v))
		}
	}
	for name, r := range t.settings.variables {
		if v := t.args[name]; v != "" && !(hidden && t.reveals(name, v)) {
			r.keep(known, v)
		}
	}
	if next := known.text("recording_file"); next != file && t.args["recording_url"] == "" {
		known.keep("recording_url", t.settings.recording(next, t.call.LinkedID))
	}
}

// normalize parses a caller's number. The phone of a configured agent is an extension, even if its
// digits have another meaning in the country: 101 is an emergency number in Israel.
func (t *transition) normalize(num string) number.Number {
	if t.settings.isAgent(num) {
		return number.Number{Kind: number.Short, Raw: num}
	}
	return t.numbers.Normalize(num)
}

// stickyParameters are the arguments that apply to the rest of the call.
var stickyParameters = []string{
	"callerid", "callerid_raw", "callerid_name", "directid", "ivr", "call_info", "agent_info", "queue_prio",
	"region_name", "region_time", "recording_file", "recording_url",
}

// callerNum returns the caller's number on this channel. The channel of a called phone has the phone's
// own number as caller, and that of the caller as connected line.
func (t *transition) callerNum() string {
	if t.onCalledChannel() {
		return t.args["connected"]
	}
	return clean(t.env.CallerNum)
}

// onCalledChannel reports whether the point runs on the channel of a called phone, as in Dial's U(). The
// AGI argument of Queue() runs on the caller's channel.
func (t *transition) onCalledChannel() bool {
	switch t.point {
	case AgentAnswer, AgentDialoutAnswer, CallAnswer:
		return t.env.UniqueID != t.call.LinkedID && !t.manager // which reports the caller's number
	case AgentHangup, AgentCancel:
		return t.env.UniqueID != t.call.LinkedID && !t.manager && t.rungFromElsewhere()
	}
	return false
}

// rungFromElsewhere reports whether the point's phone rings by another channel, and none by this one: then
// this is the phone's own channel, which may report the end of the ring too.
func (t *transition) rungFromElsewhere() bool {
	elsewhere := false
	for _, r := range t.call.Rings {
		if r.Marker.UniqueID == t.env.UniqueID {
			return false
		}
		elsewhere = elsewhere || r.Phone == t.phone()
	}
	return elsewhere
}

// withheld reports whether the caller of an incoming call withholds the number. If one channel of the
// call reported it, it applies to the whole call.
func (t *transition) withheld() bool {
	if t.call.Direction == outgoing || t.call.Direction == internal {
		return false
	}
	if yes, _ := t.call.Known["callerid_withheld"].(bool); yes {
		return true
	}
	if t.onCalledChannel() {
		return Withheld(t.args["connected_pres"])
	}
	return WithheldBits(t.env.CallingPres)
}

// Withheld reports whether a presentation, as CALLERID(num-pres) and CONNECTEDLINE(num-pres) name it, says that the number
// must not be shown.
func Withheld(presentation string) bool { return strings.HasPrefix(presentation, "prohib") }

// The presentation of a number (include/asterisk/callerid.h, AST_PRES_RESTRICTION).
const (
	presentationBits       = 0x60
	presentationRestricted = 0x20
)

// WithheldBits is Withheld for a presentation in the bits of Q.931.
func WithheldBits(presentation int) bool {
	return presentation&presentationBits == presentationRestricted
}

// The directions of a call. Only the dialplan knows that a call is internal.
const (
	incoming = "incoming"
	outgoing = "outgoing"
	internal = "internal"
)

// direction returns the direction of a call that begins at this point.
func (t *transition) direction() string {
	given := t.args["direction"]
	switch {
	case given == incoming || given == outgoing || given == internal:
		return given
	case t.point == AgentCustom || t.point == AgentDialoutAnswer || t.point == AgentDialoutHangup:
		return outgoing
	}
	return incoming
}

// phone returns the agent's phone that the point names.
func (t *transition) phone() string { return Phone(t.args["agent_phone"], t.settings.isAgent) }

// param returns the current value of a parameter of the call, for the request of a lookup.
func (t *transition) param(name string) string {
	switch name {
	case "event":
		return t.event
	case "time":
		return t.now.Format(time.RFC3339)
	case "uniqueid":
		return t.env.UniqueID
	case "linkedid":
		return t.call.LinkedID
	case "direction":
		return t.call.Direction
	case "agent_phone":
		return t.phone()
	case "agent_id", "agent_name":
		if v := t.args[name]; v != "" {
			return v
		}
		a := t.settings.agents[t.phone()]
		if name == "agent_id" {
			return a.ID
		}
		return a.Name
	case "queue_id":
		return t.queueID()
	case "queue_name":
		return t.settings.queueName(t.queueID())
	}
	if v := t.args[name]; v != "" {
		return v
	}
	switch v := t.call.Known[name].(type) {
	case string:
		return v
	case int64:
		return strconv.FormatInt(v, 10)
	}
	if name == "agent_info" {
		return t.settings.agents[t.phone()].Info
	}
	if product, ok := strings.CutPrefix(name, agentIDParameter); ok {
		return t.settings.ids(t.phone())[product]
	}
	return ""
}

// question returns the question of the point for its lookups.
func (t *transition) question() lookup.Question {
	caller, param := t.call.text("callerid"), t.param
	if t.withheld() {
		caller = ""
		if t.settings.withheldLookup {
			caller = cmp.Or(t.call.text("callerid"), t.numbers.Normalize(t.call.Hidden).String())
		} else {
			param = t.paramWithoutCaller
		}
	}
	if t.call.Direction == outgoing {
		caller = t.numbers.Normalize(t.param("dialed")).String()
	}
	return lookup.Question{Point: string(t.point), Number: caller, Param: param}
}

// paramWithoutCaller is param for a caller who withholds the number.
func (t *transition) paramWithoutCaller(name string) string {
	switch name {
	case "callerid", "callerid_raw", "callerid_name":
		return ""
	}
	return t.param(name)
}

// queueID returns the queue of the point.
func (t *transition) queueID() string {
	if id := t.args["queue_id"]; id != "" {
		return id
	}
	if v := t.visit(); v != nil {
		return v.Marker.What
	}
	if m, ended, ok := parseMarker(t.args["visit"]); ok && !ended {
		return m.What
	}
	return ""
}

// visit returns the queue visit of the point: that of the channel's marker, else the latest in which the
// caller still waits, nil if there is none.
func (t *transition) visit() *visit {
	if m, ended, ok := parseMarker(t.args["visit"]); ok {
		if ended {
			return nil
		}
		if v := t.call.visitOf(m); v != nil {
			return v
		}
	}
	return t.call.openVisit(func(v *visit) bool { return v.Answered.IsZero() })
}

// emit makes an event. key distinguishes events that can occur more than once in a call: the marker of
// the visit or ring, or the channel.
func (t *transition) emit(name, key string, own map[string]any) {
	t.appendEvent(name, key, "", own)
}

// appendEvent makes an event with a given id. If no hook wants it, the event is only counted.
func (t *transition) appendEvent(name, key, id string, own map[string]any) {
	t.call.Seq++
	t.news = true
	t.recorded = append(t.recorded, TracedEvent{Name: name})
	if t.wanted != nil && !t.wanted(name) {
		return
	}
	if t.correcting {
		id, key = "", key+"/correction"
	}
	if id == "" {
		id = eventID(t.call.id(), key, name)
	}
	p := make(map[string]any, len(t.call.Known)+len(own)+12)
	maps.Copy(p, t.call.Known)
	p["uniqueid"] = t.env.UniqueID
	maps.Copy(p, own)
	p["event"], p["event_id"], p["seq"] = name, id, int64(t.call.Seq)
	p["time"] = moment(t.now)
	p["linkedid"], p["call_uuid"] = t.call.LinkedID, t.call.id().UUID()
	p["started"] = moment(t.call.Began)
	p["answered"], p["ended"] = moment(t.call.Answered), moment(t.call.Ended)
	p["final"] = name == string(CallHangup)
	if t.call.Direction != "" && own["direction"] == nil { // which only /event is given
		p["direction"] = t.call.Direction
	}
	if t.presumed {
		p["presumed"] = true
	}
	if t.correcting || !t.call.Ended.IsZero() && name != string(CallHangup) {
		p["correction"] = true // the last event of the call was made before
	}
	for k, v := range p {
		if v == "" || v == nil {
			delete(p, k)
		}
	}
	t.events = append(t.events, hooks.Event{
		ID: id, Name: name, LinkedID: t.call.LinkedID, Seq: t.call.Seq, Final: name == string(CallHangup), Time: t.now, Params: p,
	})
}

// moment returns a time in the form of events, empty for the zero time.
func moment(at time.Time) string {
	if at.IsZero() {
		return ""
	}
	return at.Format("2006-01-02T15:04:05.000Z07:00")
}

// countHooks records the number of hooks that take an event.
func (t *transition) countHooks(event string, hooks int) {
	for i := range t.recorded {
		if t.recorded[i].Name == event {
			t.recorded[i].Hooks = hooks
		}
	}
}

// emitOnce makes an event that belongs to no visit and no ring, unless the call has it already.
func (t *transition) emitOnce(name, key string, own map[string]any) {
	id := eventID(t.call.id(), key, name)
	if slices.Contains(t.call.EmittedIDs, id) {
		return
	}
	t.call.EmittedIDs = append(t.call.EmittedIDs, id)
	t.appendEvent(name, key, id, own)
}

// eventID returns the id of an event, computed only from the call, the event and the key, so that a
// repeated point has the same id on every server. It has no full stop, which separates id, time and
// body in a signature.
func eventID(call Identity, key, name string) string {
	b := append(make([]byte, 0, 128), call.Key()...)
	b = append(append(b, 0), key...)
	b = append(append(b, 0), name...)
	sum := sha256.Sum256(b)
	b = lowerBase32.AppendEncode(append(b[:0], "msg_"...), sum[:])
	return string(b[:30])
}

var lowerBase32 = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567")

// typed returns a parameter in its type in events. A value that is not a number remains text.
func typed(k kind, value string) any {
	if k == integer {
		if n, err := strconv.ParseInt(value, 10, 64); err == nil {
			return n
		}
	}
	return value
}

// integerArg returns an argument that is a number, from the dialplan or the channel.
func (t *transition) integerArg(name string) (int64, bool) {
	text := t.args[name]
	if text == "" { // most often; an error of strconv is allocated
		return 0, false
	}
	n, err := strconv.ParseInt(text, 10, 64)
	return n, err == nil && n >= 0
}

// isEndMarker reports whether a variable is the marker of an end. It must not be set on the channel if
// the event may be lost: the next report of the end, here or to another server, would count as a
// repeat.
func isEndMarker(v fastagi.Variable) bool {
	return (v.Name == visitVariable || v.Name == ringVariable) && strings.HasSuffix(v.Value, markerEnd)
}

// setMarker stores the marker of a visit or a ring on the channel. Channels that this one creates
// inherit it, unless it has ended.
func (t *transition) setMarker(variable string, m marker, ended bool) {
	if m.UniqueID != t.env.UniqueID {
		return
	}
	if ended {
		t.vars = append(t.vars, fastagi.Variable{Name: variable, Value: m.String() + markerEnd})
		return
	}
	t.vars = append(t.vars, fastagi.Variable{Name: "__" + variable, Value: m.String()})
}
