package control

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"

	"ringhook/ami"
)

// state is what is alive on one Asterisk.
type state struct {
	channels map[string]*channel      // by uniqueid
	queues   map[string]*queue        // by name
	parked   map[string]*parked       // by uniqueid
	devices  map[string]string        // state of each phone, by its device
	since    map[string]time.Time     // when that state began, by device; none if that was not seen
	contacts map[string]knownContacts // of each phone of chan_pjsip, by its device
}

func newState() *state {
	return &state{channels: map[string]*channel{}, queues: map[string]*queue{}, parked: map[string]*parked{}, devices: map[string]string{}, since: map[string]time.Time{}, contacts: map[string]knownContacts{}}
}

// channel is one side of a call.
type channel struct {
	uniqueID, linkedID, name string
	number, callerName       string // of the caller ID; empty if unknown
	presentation             presentation
	context, extension       string
	state                    string    // as Asterisk's ChannelStateDesc: Down, Ring, Ringing, Up, Busy
	bridge                   string    // "" if not in a bridge
	held                     bool      // by the phone
	muted                    bool      // by a command: its sound is not passed on
	transfer, to             string    // id and destination of the last attended transfer of a phone
	asked                    time.Time // when Asterisk was last asked for the transfer; zero if it was not
	since                    time.Time
}

type queue struct {
	name, strategy       string
	completed, abandoned int                // as of the last list
	waiting              []*waiting         // by position
	members              map[string]*member // by interface
}

// waiting is a caller in a queue.
type waiting struct {
	uniqueID, linkedID, channel string
	number, callerName          string
	priority                    int
	since                       time.Time
}

// member is an agent's place in one queue.
type member struct {
	iface, name, stateInterface string
	dynamic                     bool
	status, penalty             int
	paused                      bool
	reason                      string
	inCall                      bool // of this queue
	taken                       int
	lastPause, login            time.Time
}

type parked struct {
	uniqueID, linkedID, channel string
	lot, space                  string
	number, callerName          string
	since, until                time.Time
}

// longest bounds the texts that are kept, in bytes. Asterisk's own names are shorter.
const longest = 256

// text makes a value fit to be kept and shown: valid UTF-8, no control characters, bounded. It is a copy: a part of a
// message would keep all of its lines in memory.
func text(s string) string {
	if len(s) > longest {
		s = s[:longest]
	}
	return strings.Clone(strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "")))
}

// known is text, or "" for Asterisk's words for nothing.
func known(s string) string {
	if s == "<unknown>" || s == "unknown" {
		return ""
	}
	return text(s)
}

// escapes are those of C, which Asterisk writes in the names of channel events, and there alone.
var escapes = strings.NewReplacer(`\a`, " ", `\b`, " ", `\f`, " ", `\n`, " ", `\r`, " ", `\t`, " ", `\v`, " ", `\\`, `\`, `\'`, `'`, `\"`, `"`, `\?`, `?`)

func unescaped(s string) string { return known(escapes.Replace(s)) }

func integer(s string) int {
	n, _ := strconv.Atoi(s)
	return n
}

// latest is the end of the year 9999, in seconds since 1970: JSON has no later time.
const latest = 253402300799

// at reads a time in seconds since 1970; 0 is none, and so is what is no time.
func at(s string) time.Time {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n <= 0 || n > latest {
		return time.Time{}
	}
	return time.Unix(n, 0)
}

// newChannel reads a channel's state at now from an event or list entry.
func newChannel(m ami.Message, now time.Time) *channel {
	c := &channel{uniqueID: text(m.Get("Uniqueid")), since: now}
	c.update(m)
	return c
}

// update takes over what every event of a channel repeats.
func (c *channel) update(m ami.Message) {
	c.linkedID, c.name = text(m.Get("Linkedid")), text(m.Get("Channel"))
	c.number, c.callerName = known(m.Get("CallerIDNum")), unescaped(m.Get("CallerIDName"))
	c.extension, c.state = text(m.Get("Exten")), text(m.Get("ChannelStateDesc"))
	c.context = text(m.Get("Context"))
}

// older compares channels by their age, the oldest first. Lists have their age in seconds; of one second the lower number is
// older, as in 1768473741.9 and 1768473741.10.
func older(a, b *channel) int {
	return cmp.Or(a.since.Compare(b.since), cmp.Compare(len(a.uniqueID), len(b.uniqueID)), strings.Compare(a.uniqueID, b.uniqueID))
}

// newMember reads a member from an event, or from a QueueMember of a list, whose names differ.
func newMember(m ami.Message) *member {
	return &member{
		iface: text(cmp.Or(m.Get("Interface"), m.Get("Location"))), name: text(cmp.Or(m.Get("MemberName"), m.Get("Name"))),
		stateInterface: text(m.Get("StateInterface")), dynamic: m.Get("Membership") == "dynamic",
		status: integer(m.Get("Status")), penalty: integer(m.Get("Penalty")), taken: integer(m.Get("CallsTaken")),
		paused: m.Get("Paused") == "1", reason: text(m.Get("PausedReason")), inCall: m.Get("InCall") == "1",
		lastPause: at(m.Get("LastPause")), login: at(m.Get("LoginTime")),
	}
}

func newParked(m ami.Message, now time.Time) *parked {
	p := &parked{
		uniqueID: text(m.Get("ParkeeUniqueid")), linkedID: text(m.Get("ParkeeLinkedid")), channel: text(m.Get("ParkeeChannel")),
		lot: text(m.Get("Parkinglot")), space: text(m.Get("ParkingSpace")),
		number: known(m.Get("ParkeeCallerIDNum")), callerName: unescaped(m.Get("ParkeeCallerIDName")),
		since: now.Add(-time.Duration(integer(m.Get("ParkingDuration"))) * time.Second),
	}
	if n := integer(m.Get("ParkingTimeout")); n > 0 {
		p.until = p.since.Add(time.Duration(n) * time.Second)
	}
	return p
}

// join adds a caller at a position, counted from 1; a caller who waits already is moved.
func (q *queue) join(w *waiting, position int) {
	q.leave(w.uniqueID)
	q.waiting = slices.Insert(q.waiting, min(max(position-1, 0), len(q.waiting)), w)
}

// leave removes a caller, if the caller is there.
func (q *queue) leave(uniqueID string) {
	q.waiting = slices.DeleteFunc(q.waiting, func(w *waiting) bool { return w.uniqueID == uniqueID })
}

// leaveAll removes a channel from every queue: a caller who is bridged, parked or gone waits no more.
func (s *state) leaveAll(uniqueID string) {
	for _, q := range s.queues {
		q.leave(uniqueID)
	}
}
