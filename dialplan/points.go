package dialplan

import (
	"slices"
	"strings"
)

// Point is a place in the dialplan that asks ringhook: the path of the AGI URL.
type Point string

// The points. Each makes the event of the same name, unless noted otherwise.
const (
	CallDial           Point = "call-dial"
	CallAnswer         Point = "call-answer"
	IVRHangup          Point = "ivr-hangup"
	QueueDial          Point = "queue-dial"
	QueueHangup        Point = "queue-hangup" // also makes queue-abandon or queue-failover
	AgentDial          Point = "agent-dial"
	AgentAnswer        Point = "agent-answer"
	AgentHangup        Point = "agent-hangup" // makes agent-hangup or agent-cancel
	AgentCancel        Point = "agent-cancel"
	AgentCustom        Point = "agent-custom"
	AgentDialoutAnswer Point = "agent-dialout-answer"
	AgentDialoutHangup Point = "agent-dialout-hangup"
	CallHangup         Point = "call-hangup"
	Lookup             Point = "lookup" // makes no event
	CustomEvent        Point = "event"  // makes the event that the argument name names
)

// The events whose names are not those of points.
const (
	queueAbandon  = "queue-abandon"
	queueFailover = "queue-failover"
)

// spec describes a point.
type spec struct {
	// reads names the arguments that are read from the channel if the dialplan does not pass
	// them; see channelReads.
	reads []string
	// needs names the required arguments, which cannot be read from the channel.
	needs []string
	// step applies the point to the call and makes its events.
	step func(*transition)
}

var specs = map[Point]spec{
	CallDial:           {reads: []string{"linkedid"}, step: callDial},
	CallAnswer:         {reads: []string{"linkedid", "connected", "connected_pres"}, step: callAnswer},
	IVRHangup:          {reads: []string{"linkedid", "cause"}, step: ivrHangup},
	QueueDial:          {reads: []string{"linkedid", "visit", "ring", "recording_file", "queue_status"}, needs: []string{"queue_id"}, step: queueDial},
	QueueHangup:        {reads: []string{"linkedid", "visit", "queue_id", "queue_status", "wait_time", "queue_position", "agent_phone", "cause", "abandoned", "answered_time", "connected"}, step: queueHangup},
	AgentDial:          {reads: []string{"linkedid", "visit", "ring"}, needs: []string{"agent_phone"}, step: agentDial},
	AgentAnswer:        {reads: []string{"linkedid", "visit", "ring", "agent_phone", "wait_time", "queue_position", "connected", "connected_pres"}, step: agentAnswer},
	AgentHangup:        {reads: ringHangupReads, step: agentHangup},
	AgentCancel:        {reads: ringHangupReads, step: agentHangup},
	AgentCustom:        {reads: []string{"linkedid", "visit", "ring"}, needs: []string{"dialed"}, step: agentCustom},
	AgentDialoutAnswer: {reads: []string{"linkedid", "ring"}, step: agentDialoutAnswer},
	AgentDialoutHangup: {reads: ringHangupReads, step: agentDialoutHangup},
	CallHangup:         {reads: callHangupReads, step: callHangup},
	Lookup:             {reads: []string{"linkedid"}, step: func(*transition) {}},
	CustomEvent:        {reads: []string{"linkedid"}, needs: []string{"name"}, step: customEvent},
}

var ringHangupReads = []string{"linkedid", "visit", "ring", "status", "answered_time", "recording_file", "cause", "held"}

// call-hangup also ends the visit and the ring if their ends were not reported, and reads the same
// arguments as their points.
var callHangupReads = []string{
	"linkedid", "visit", "ring", "status", "answered_time", "queue_status", "wait_time", "queue_position", "agent_phone",
	"billsec", "recording_file", "cause", "abandoned", "connected",
}

// Points returns the names of all points, sorted.
func Points() []string {
	names := make([]string, 0, len(specs))
	for p := range specs {
		names = append(names, string(p))
	}
	slices.Sort(names)
	return names
}

// Events returns the names of all events except those that the dialplan names.
func Events() []string {
	names := slices.DeleteFunc(Points(), func(name string) bool { return Point(name) == Lookup || Point(name) == CustomEvent })
	return append(names, queueAbandon, queueFailover)
}

// Needs returns the required arguments of the point.
func (p Point) Needs() []string { return specs[p].needs }

// Reads returns the arguments that are read from the channel if the dialplan does not pass them. If it
// passes all of them, nothing is read.
func (p Point) Reads() []string { return specs[p].reads }

// reservedNames are the parameters that neither a lookup nor the dialplan can set. linkedid is an
// argument nevertheless: it names the call of the point.
var reservedNames = []string{
	"event", "event_id", "seq", "final", "time", "linkedid", "correction", "presumed", "hook", "reason", "type", "test", "ended_by",
	"call_uuid", "started", "answered", "ended",
}

// Reserved reports whether a parameter is one that only ringhook sets, so that no argument has its name.
func Reserved(name string) bool { return name != "linkedid" && slices.Contains(reservedNames, name) }

// Takes reports whether the point accepts an argument of a name. It does not know the names that
// [dialplan] variables allows.
func (p Point) Takes(name string) bool {
	if _, ok := channelReads[name]; ok {
		return true
	}
	if slices.Contains(reservedNames, name) {
		return false
	}
	if _, ok := parameters[name]; ok || slices.Contains(ownArguments, name) {
		return true
	}
	return p == CustomEvent && validName(name)
}

// Parameters returns the parameters that an event may have, without those that a lookup or the
// dialplan names.
func Parameters() []string {
	return append(sortedKeys(parameters), "presumed", "correction", "test", "ended_by")
}

// Arguments returns the arguments that points accept.
func Arguments() []string {
	names := slices.DeleteFunc(sortedKeys(parameters), func(name string) bool { return slices.Contains(reservedNames, name) })
	names = append(names, ownArguments...)
	for name := range channelReads {
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// ValidEvent reports whether /event may make an event of a name.
func ValidEvent(name string) bool {
	return validName(name) && specs[Point(name)].step == nil && name != queueAbandon && name != queueFailover
}

// channelReads maps each argument to the expression that reads it from the channel. It is not read if
// the dialplan passes the argument.
var channelReads = map[string]string{
	"linkedid":       "CHANNEL(linkedid)",
	"server":         "ENTITYID",
	"visit":          visitVariable,
	"ring":           ringVariable,
	"connected":      "CONNECTEDLINE(num)",
	"connected_pres": "CONNECTEDLINE(num-pres)",
	"abandoned":      "ABANDONED",
	"agent_phone":    "MEMBERINTERFACE",
	"wait_time":      "QEHOLDTIME",
	"queue_position": "QEORIGINALPOS",
	"queue_id":       "QUEUENAME",
	"queue_status":   "QUEUESTATUS",
	"status":         "DIALSTATUS",
	"answered_time":  "ANSWEREDTIME",
	"billsec":        "CDR(billsec)",
	"recording_file": "MIXMONITOR_FILENAME",
	"cause":          "HANGUPCAUSE",
	"held":           "RINGHOOK_HELD",
}

// The channel variables that hold the markers of the current visit and ring, by which a repeated
// report is recognised after a restart and on another server. Both are inherited, so that a member's
// channel has the visit of its caller and an agent's channel its ring; see marker.
const (
	visitVariable  = "RINGHOOK_VISIT"
	ringVariable   = "RINGHOOK_RING"
	statusVariable = "RINGHOOK_STATUS"
)

// leftVariable is the channel variable that holds how the caller left the queue before this one: its visit's marker, a
// slash, and QUEUESTATUS, which queue-dial removes. Another server that reports from the manager interface reads it.
const leftVariable = "RINGHOOK_LEFT"

// parameters are the names of the contract, which are also arguments, with their types in events.
var parameters = map[string]kind{
	"event": text, "event_id": text, "seq": integer, "final": boolean, "time": text, "uniqueid": text, "linkedid": text, "call_uuid": text,
	"started": text, "answered": text, "ended": text, "ring_started": text,
	"transfer_uniqueid": text, "direction": text, "callerid": text, "callerid_raw": text, "callerid_name": text, "callerid_kind": text, "callerid_withheld": boolean,
	"directid": text, "dialed": text, "ivr": text, "queue_id": text, "queue_name": text, "queue_position": integer,
	"agent_id": text, "agent_phone": text, "agent_name": text, "agent_info": text, "call_info": text, "queue_prio": integer,
	"region_name": text, "region_time": text, "wait_time": integer, "ring_time": integer, "talk_time": integer,
	"duration": integer, "billsec": integer, "status": text, "cause": integer, "queue_status": text,
	"recording_file": text, "recording_url": text, "match": text, "match_count": integer,
}

type kind int

const (
	text kind = iota
	integer
	boolean
)

// The statuses with which a call, a visit or a ring ends, as in the contract.
const (
	statusAnswer      = "answer"
	statusNoAnswer    = "noanswer"
	statusBusy        = "busy"
	statusCancel      = "cancel"
	statusUnavailable = "unavailable"
	statusOther       = "other"
)

// dialStatuses maps DIALSTATUS (app_dial.c) and the statuses of the contract, which a dialplan may also
// pass, to statuses of the contract.
var dialStatuses = map[string]string{
	"ANSWER": statusAnswer, "ANSWERED": statusAnswer,
	"NOANSWER": statusNoAnswer, "NO ANSWER": statusNoAnswer,
	"BUSY":        statusBusy,
	"CANCEL":      statusCancel,
	"CHANUNAVAIL": statusUnavailable, "CONGESTION": statusUnavailable, "INVALIDARGS": statusUnavailable,
	"UNAVAILABLE": statusUnavailable,
	"DONTCALL":    statusOther, "TORTURE": statusOther, "OTHER": statusOther, "FAILED": statusUnavailable,
}

// dialStatus returns the status of the contract with which a Dial ended, empty if the channel does not
// report it.
func dialStatus(word string) string {
	if word == "" {
		return ""
	}
	if s, ok := dialStatuses[strings.ToUpper(word)]; ok {
		return s
	}
	return statusOther
}

// ExitWithKey is the queue_status of a caller who left Queue() by a key, as Asterisk's queue log names it: QUEUESTATUS
// has no value for it.
const ExitWithKey = "EXITWITHKEY"

// queueStatuses maps QUEUESTATUS (app_queue.c, queue_results) of a visit that no agent answered to
// statuses of the contract.
var queueStatuses = map[string]string{
	"TIMEOUT": statusNoAnswer, "FULL": statusBusy,
	"JOINEMPTY": statusUnavailable, "LEAVEEMPTY": statusUnavailable,
	"JOINUNAVAIL": statusUnavailable, "LEAVEUNAVAIL": statusUnavailable,
}

func queueStatus(word string) string {
	if s, ok := queueStatuses[strings.ToUpper(word)]; ok {
		return s
	}
	return statusOther
}
