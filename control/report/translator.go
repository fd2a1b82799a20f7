// Package report makes the points of calls from the events of Asterisk's manager interface.
//
// A Translator turns events into reports; it knows no clock, no connection and no call but those that are alive
// on its Asterisk. A Reporter runs one beside the live state: it has a bounded queue and a goroutine of its own, so
// that neither the manager interface nor the dialplan waits for it. What it did not see, because it was away or
// could not keep up, it concludes from Asterisk's lists and marks as presumed.
package report

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"

	"ringhook/ami"
	"ringhook/dialplan"
)

const (
	// undecided is the longest time for which the end of a stay in a queue waits for what explains it.
	undecided = time.Second
	// askAgain is the time after which QUEUESTATUS is read again meanwhile.
	askAgain = 100 * time.Millisecond
)

// Translator turns the events of one Asterisk into reports of points. Its memory is bounded by the channels of
// that Asterisk.
type Translator struct {
	// Points are those that are reported.
	Points []string
	// All reports calls of which no point was asked, too.
	All bool
	// Asterisk identifies calls whose linkedids carry no system name.
	Asterisk string
	// Server is the name of the [[ami]] table.
	Server string
	// Agent reports whether a phone is that of an agent.
	Agent func(phone string) bool
	// Read returns the value of a variable of a channel, "" if it cannot be had.
	Read func(channel string, v ami.Variable) string

	channels map[string]*channel // by uniqueid
	members  map[string]bool     // phones of queues' members
	ending   *channel            // whose Hangup is being translated: who called is known until its reports are made
	pending  []*channel          // whose stay has ended, but not been reported
	reports  []*dialplan.Report  // of the event that is being translated
	now      time.Time           // of it
}

// channel is one side of a call.
type channel struct {
	id, linkedID, name string
	made               string // its name when it was made, empty if that was not seen or it has another one since
	first              string // its number when it was made
	exten              string // that it was made for
	number, named      string // caller ID
	presented          bool   // it is known whether the number is withheld
	withheld           bool
	listed             bool // it was there before its events were seen
	hangingUp          bool
	cause              string   // of its Hangup
	other              *channel // other half of a Local channel
	caller             *dialplan.Caller
	billed             time.Time // since when the CDR bills it; zero if Asterisk had not answered it before the agent
	recording          string    // file

	stay   *stay
	leg    *leg     // of which this is the phone, or the channel that stands for it
	inner  *leg     // of which this is a phone behind a Local channel
	out    *leg     // call that this channel dials, out or inside
	dialer *channel // while it dials this channel
	called *channel // that dialed this half of a Local channel
	dials  int      // phones that it dials and that have neither answered nor failed
	status string   // of its last Dial, as DIALSTATUS has it

	claimed bool     // it is known who dials the other half of this Local channel
	held    []*Event // its dialing, and the end of what it dialed, until that is known
	holder  *channel // the channel that holds the dialing of this one
}

// stay is a caller's stay in a queue.
type stay struct {
	dialplan.Stay
	linkedID  string
	position  string
	answering bool // a member has answered; the caller hears an announcement, or is connected next
	connected bool // to a member
	abandoned bool // or timed out, or was taken out of the queue
	iface     string
	waited    string
	left      time.Time // zero while it lasts
	asked     time.Time // when QUEUESTATUS was read last since then
	ended     bool      // reported
}

// waiting reports whether the caller waits for a member.
func (s *stay) waiting() bool { return s != nil && !s.connected && s.left.IsZero() && !s.ended }

// kind says who rings a phone.
type kind int

const (
	queued   kind = iota // Queue()
	direct               // Dial() to an agent's phone
	outgoing             // Dial() of an agent to a trunk
	inside               // Dial() of an agent to an agent's phone, which has a leg of its own
)

// leg is one attempt to reach a phone.
type leg struct {
	kind          kind
	linkedID      string
	channel, name string // on which the dialplan would ask the points
	own           string // channel whose end is the end of the attempt
	phone         string
	dialed        string // the number of an outgoing call
	stay          *dialplan.Stay
	began         time.Time
	answered      time.Time
	by            string // phone's channel that answered behind a Local channel
	noAnswer      bool   // the queue has stopped ringing it
	status, cause string
	gone          bool // own has hung up; the phone that refused behind it has not
	ended         bool
}

// Reset forgets everything.
func (t *Translator) Reset() {
	t.channels, t.members, t.pending = map[string]*channel{}, map[string]bool{}, nil
}

// Event translates an event.
func (t *Translator) Event(e *Event) []*dialplan.Report {
	t.reports, t.now = nil, e.At
	t.translate(e)
	return t.reports
}

// Due reports the stays that have waited long enough for an event that explains their end. next is when it must
// be called again at the latest, zero if nothing waits.
func (t *Translator) Due(now time.Time) (reports []*dialplan.Report, next time.Time) {
	t.reports, t.now = nil, now
	for _, c := range slices.Clone(t.pending) {
		s := c.stay
		if !now.Before(s.left.Add(undecided)) {
			t.endStay(c, "")
			continue
		}
		if !now.Before(s.asked.Add(askAgain)) {
			s.asked = now
			if t.explained(c) {
				continue
			}
		}
		due := s.left.Add(undecided)
		if again := s.asked.Add(askAgain); again.Before(due) && !s.connected && !c.hangingUp {
			due = again
		}
		if next.IsZero() || due.Before(next) {
			next = due
		}
	}
	return t.reports, next
}

func (t *Translator) translate(e *Event) {
	switch e.Name {
	case "Newchannel":
		t.newChannel(e)
	case "NewCallerid":
		t.newCaller(e)
	case "Rename":
		t.rename(e)
	case "LocalBridge":
		t.localBridge(e)
	case "DialBegin":
		t.dialBegin(e)
	case "DialEnd":
		t.dialEnd(e)
	case "HangupRequest", "SoftHangupRequest":
		t.hangupRequest(e)
	case "Hangup":
		t.hangup(e)
	case "QueueCallerJoin":
		t.join(e)
	case "QueueCallerAbandon":
		t.abandon(e)
	case "QueueCallerLeave":
		t.leave(e)
	case "AgentCalled":
		t.agentCalled(e)
	case "AgentConnect":
		t.agentConnect(e)
	case "AgentRingNoAnswer":
		t.ringNoAnswer(e)
	case "AgentComplete":
		t.agentComplete(e)
	}
}

// Only Newchannel makes a channel: other events of it can follow its Hangup.
func (t *Translator) newChannel(e *Event) {
	if e.UniqueID == "" {
		return
	}
	c := &channel{id: e.UniqueID, linkedID: e.LinkedID, name: e.Channel, made: e.Channel, exten: e.Exten, number: e.Number, first: e.Number, named: e.CallerName}
	t.channels[e.UniqueID] = c
	if t.All && c.id == c.linkedID { // the end of the call may be the first report: then Asterisk cannot say it any more
		t.withholds(c)
	}
}

func (t *Translator) newCaller(e *Event) {
	if c := t.channels[e.UniqueID]; c != nil {
		c.number, c.named = e.Number, e.CallerName
		if text, _, ok := strings.Cut(e.Presentation, " "); ok {
			bits, err := strconv.Atoi(text)
			c.presented, c.withheld = err == nil, dialplan.WithheldBits(bits)
		}
	}
}

func (t *Translator) rename(e *Event) {
	if c := t.channels[e.UniqueID]; c != nil {
		c.name, c.made = e.Channel, "" // which a point may have seen before or after
	}
}

func (t *Translator) localBridge(e *Event) {
	one, two := t.channels[e.One], t.channels[e.Two]
	if one != nil && two != nil {
		one.other, two.other = two, one
	}
}

// wants reports whether a point is reported.
func (t *Translator) wants(p dialplan.Point) bool { return slices.Contains(t.Points, string(p)) }

// report adds a report about a call, on a channel.
func (t *Translator) report(p dialplan.Point, at time.Time, linkedID, channel, name string) *dialplan.Report {
	if !t.wants(p) || linkedID == "" || channel == "" {
		return &dialplan.Report{Args: map[string]string{}}
	}
	r := &dialplan.Report{
		Point: p, At: at, Call: dialplan.NewIdentity(linkedID, t.Asterisk, ""), Channel: channel, Name: name, Args: map[string]string{},
		Server: t.Server,
	}
	if c := t.first(linkedID); c != nil {
		r.First = &dialplan.First{Name: c.made, Number: c.first, Withheld: c.withheld}
	}
	if t.All {
		r.Caller = t.callerOf(linkedID)
	}
	t.reports = append(t.reports, r)
	return r
}

// first returns the first channel of a call, nil if it is gone. It is there in the reports of its own end.
func (t *Translator) first(linkedID string) *channel {
	if c := t.ending; c != nil && c.id == linkedID {
		return c
	}
	return t.channels[linkedID]
}

// callerOf returns what the first channel of a call shows.
func (t *Translator) callerOf(linkedID string) *dialplan.Caller {
	c := t.first(linkedID)
	if c == nil {
		return &dialplan.Caller{}
	}
	if c.caller == nil {
		dialed := c.exten
		if !isNumber(dialed) || strings.HasPrefix(c.name, "Local/") { // the number that Originate calls
			dialed = ""
		}
		c.caller = &dialplan.Caller{
			Number: c.number, Name: cmp.Or(known(t.Read(c.id, ami.CallerName)), c.named), DNID: cmp.Or(known(t.Read(c.id, ami.DNID)), dialed),
			Withheld: t.withholds(c),
		}
	}
	if c.withheld && !c.caller.Withheld { // by the dialplan, after the first report
		caller := *c.caller // earlier reports have the other one
		caller.Withheld = true
		c.caller = &caller
	}
	return c.caller
}

// withholds reports whether the caller of a channel withholds the number. If Asterisk cannot say so any more, because the
// caller has hung up, it is as it was known before, and withheld if it was not.
func (t *Translator) withholds(c *channel) bool {
	if name := t.Read(c.id, ami.Presentation); name != "" {
		c.presented, c.withheld = true, dialplan.Withheld(name)
	}
	return c.withheld || !c.presented && c.number+c.named != ""
}

// isPhone reports whether a device is an agent's phone and not a trunk: it is that of an agent or of a queue's
// member, or it was dialed by its own name.
func (t *Translator) isPhone(device, dialString string) bool {
	return device != "" && (t.Agent(device) || t.members[device] || device == dialString)
}
