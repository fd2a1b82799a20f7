package report

import (
	"strconv"
	"strings"
	"time"

	"ringhook/ami"
)

// Event is what a Translator uses of a manager event.
type Event struct {
	Name string
	At   time.Time // when it arrived

	Channel, UniqueID, LinkedID           string
	DestChannel, DestUniqueID, DestLinked string
	Number, CallerName                    string // of the caller ID; empty if unknown
	Presentation                          string // of the number, of a NewCallerid: bits and their name
	Exten                                 string
	Queue, Interface                      string
	DialString, DialStatus                string
	Cause                                 string
	HoldTime, Position                    string
	One, Two                              string // uniqueids of the halves of a Local channel
}

// events are those that a Translator uses.
var events = []string{
	"Newchannel", "NewCallerid", "Rename", "LocalBridge", "DialBegin", "DialEnd", "HangupRequest", "SoftHangupRequest", "Hangup",
	"QueueCallerJoin", "QueueCallerAbandon", "QueueCallerLeave", "AgentCalled", "AgentConnect", "AgentRingNoAnswer", "AgentComplete",
}

// Events lists the events that a Translator uses.
func Events() []string { return events }

// longest bounds the texts that are kept, in bytes. Asterisk's own names are shorter.
const longest = 256

// text makes a value bounded and its own: a message would keep all of its lines in memory.
func text(m ami.Message, key string) string {
	s := m.Get(key)
	return strings.Clone(s[:min(len(s), longest)])
}

func known(s string) string {
	if s == "<unknown>" || s == "unknown" {
		return ""
	}
	return s
}

// NewEvent reads an event that arrived at a time.
func NewEvent(m ami.Message, at time.Time) Event {
	e := Event{
		Name: m.Event(), At: at,
		Channel: text(m, "Channel"), UniqueID: text(m, "Uniqueid"), LinkedID: text(m, "Linkedid"),
		DestChannel: text(m, "DestChannel"), DestUniqueID: text(m, "DestUniqueid"), DestLinked: text(m, "DestLinkedid"),
		Number: known(text(m, "CallerIDNum")), CallerName: known(text(m, "CallerIDName")), Presentation: text(m, "CID-CallingPres"), Exten: text(m, "Exten"),
		Queue: text(m, "Queue"), Interface: text(m, "Interface"),
		DialString: text(m, "DialString"), DialStatus: text(m, "DialStatus"),
		Cause: text(m, "Cause"), HoldTime: text(m, "HoldTime"), Position: text(m, "Position"),
	}
	switch e.Name {
	case "Rename":
		e.Channel = text(m, "Newname")
	case "LocalBridge":
		e.One, e.Two = text(m, "LocalOneUniqueid"), text(m, "LocalTwoUniqueid")
	}
	return e
}

// endpoint is the name of the device in a channel's name such as PJSIP/101-00000007, SIP/101-0000000a or
// Local/101@agents-00000001;2, without its technology.
func endpoint(channel string) string {
	_, name, _ := strings.Cut(channel, "/")
	if number, _, local := strings.Cut(name, "@"); local {
		return number
	}
	if i := strings.LastIndexByte(name, '-'); i > 0 {
		name = name[:i]
	}
	return name
}

// isNumber reports whether an extension can be a number that was dialed.
func isNumber(exten string) bool {
	digits := strings.TrimPrefix(exten, "+")
	_, err := strconv.ParseUint(digits[:min(len(digits), 15)], 10, 64)
	return err == nil && len(digits) > 1
}
