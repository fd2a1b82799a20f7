package report

import (
	"slices"
	"strings"
	"time"

	"ringhook/ami"
	"ringhook/dialplan"
)

// Snapshot is what Asterisk's lists say at one moment.
type Snapshot struct {
	At       time.Time // before the lists were read
	Asterisk string    // identifies calls whose linkedids carry no system name
	Names    []string  // by which calls of this Asterisk are identified
	Channels []Channel
	Waiting  []Waiting
	Members  []string // interfaces
}

// Channel is a channel of a Snapshot.
type Channel struct {
	UniqueID, LinkedID, Name, Number, Exten string
	Bridged                                 bool
}

// Waiting is a caller who waits in a queue.
type Waiting struct {
	UniqueID, Queue string
	Since           time.Time
}

// Load replaces what is known by a look at the lists.
func (t *Translator) Load(s *Snapshot) {
	t.Reset()
	t.Asterisk = s.Asterisk
	halves := map[string]*channel{}
	for i := range s.Channels {
		from := &s.Channels[i]
		c := &channel{id: from.UniqueID, linkedID: from.LinkedID, name: from.Name, exten: from.Exten, number: from.Number, listed: true, claimed: true}
		t.channels[c.id] = c
		if half, ok := strings.CutSuffix(c.name, ";1"); ok {
			halves[half+";2"] = c
		}
	}
	for _, c := range t.channels {
		if one := halves[c.name]; one != nil {
			one.other, c.other = c, one
		}
	}
	for i := range s.Waiting {
		w := &s.Waiting[i]
		if c := t.channels[w.UniqueID]; c != nil {
			c.stay = &stay{Stay: dialplan.Stay{Channel: c.id, Queue: w.Queue, Joined: w.Since}, linkedID: c.linkedID}
		}
	}
	for _, iface := range s.Members {
		t.members[dialplan.Phone(iface, t.Agent)] = true
	}
}

// sweep compares open calls with a look at the lists.
type sweep struct {
	*Snapshot
	*Translator
	calls   map[string][]*Channel // by linkedid
	byID    map[string]*Channel
	waiting map[string]string // queue by uniqueid
}

func (s *sweep) prepare() {
	s.Translator.Load(s.Snapshot)
	s.calls, s.byID, s.waiting = map[string][]*Channel{}, map[string]*Channel{}, map[string]string{}
	for i := range s.Channels {
		c := &s.Channels[i]
		s.byID[c.UniqueID] = c
		s.calls[c.LinkedID] = append(s.calls[c.LinkedID], c)
	}
	for _, w := range s.Waiting {
		s.waiting[w.UniqueID] = w.Queue
	}
}

// compare returns the reports of what happened to a call unseen.
func (s *sweep) compare(o *dialplan.OpenCall, now time.Time) []*dialplan.Report {
	s.reports, s.now = nil, now
	alive := s.alive(o)
	if len(alive) == 0 && s.wants(dialplan.CallHangup) {
		s.presumed(dialplan.CallHangup, o, o.Call.LinkedID)
		return s.reports
	}
	answered := map[string]bool{} // callers, by uniqueid
	for i := range o.Rings {
		s.ring(o, &o.Rings[i], alive, answered)
	}
	for i := range o.Visits {
		s.visit(o, &o.Visits[i], alive, answered)
	}
	return s.reports
}

// alive lists the channels of a call: those of its linkedid, and those of its points, whose linkedid a merge with
// another call has changed.
func (s *sweep) alive(o *dialplan.OpenCall) []*Channel {
	list := slices.Clone(s.calls[o.Call.LinkedID])
	ids := []string{o.Call.LinkedID}
	for i := range o.Visits {
		ids = append(ids, o.Visits[i].Channel)
	}
	for i := range o.Rings {
		ids = append(ids, o.Rings[i].Channel, o.Rings[i].Leg)
	}
	for _, id := range ids {
		if c := s.byID[id]; c != nil && c.LinkedID != o.Call.LinkedID && !slices.Contains(list, c) {
			list = append(list, c)
		}
	}
	return list
}

func (s *sweep) presumed(p dialplan.Point, o *dialplan.OpenCall, channel string) *dialplan.Report {
	r := s.report(p, s.now, o.Call.LinkedID, channel, "")
	r.Call, r.Presumed, r.Only = o.Call, true, true
	return r
}

// ring reports a phone that is gone, or talks.
func (s *sweep) ring(o *dialplan.OpenCall, ring *dialplan.OpenRing, alive []*Channel, answered map[string]bool) {
	var phone *Channel
	for _, c := range alive {
		own := c.UniqueID != ring.Channel && endpoint(c.Name) == ring.Phone || c.UniqueID == ring.Leg
		if ring.Outgoing {
			own = c.UniqueID == ring.Leg || ring.Leg == "" && c.UniqueID != ring.Channel
		}
		if own && (phone == nil || c.Bridged && !strings.HasPrefix(c.Name, "Local/")) {
			phone = c
		}
	}
	begun, answer, end := dialplan.Point(""), dialplan.AgentAnswer, dialplan.AgentHangup
	if ring.Outgoing {
		answer, end = dialplan.AgentDialoutAnswer, dialplan.AgentDialoutHangup
	}
	switch {
	case phone == nil:
		begun = end
	case !ring.Answered && phone.Bridged && !strings.HasPrefix(phone.Name, "Local/"):
		begun = answer
		if ring.Stay != nil {
			answered[ring.Stay.Channel] = true
		}
	default:
		return
	}
	r := s.presumed(begun, o, ring.Channel)
	r.Phone, r.Stay = ring.Leg, ring.Stay
	r.Args["agent_phone"] = ring.Phone
}

// visit reports a caller who no longer waits, and phones that ring now.
func (s *sweep) visit(o *dialplan.OpenCall, v *dialplan.OpenVisit, alive []*Channel, answered map[string]bool) {
	caller := s.channels[v.Channel]
	switch {
	case caller == nil:
		s.presumed(dialplan.QueueHangup, o, v.Channel).Stay = &v.Stay
		return
	case v.Answered || answered[v.Channel]:
		return
	}
	waits := s.waiting[v.Channel] != ""
	if waits {
		s.leftUnseen(o, v)
	}
	phones := s.phones(o, alive)
	for _, c := range phones {
		r := s.presumed(dialplan.AgentDial, o, c.UniqueID)
		r.Phone, r.Stay, r.Only = c.UniqueID, &v.Stay, false
		r.Args["agent_phone"] = endpoint(c.Name)
		if !waits {
			r := s.presumed(dialplan.AgentAnswer, o, c.UniqueID)
			r.Phone, r.Stay, r.Only = c.UniqueID, &v.Stay, false
			r.Args["agent_phone"] = endpoint(c.Name)
		}
	}
	if !waits && len(phones) == 0 {
		r := s.presumed(dialplan.QueueHangup, o, v.Channel)
		r.Stay, r.Args["queue_status"] = &v.Stay, s.Read(v.Channel, ami.QueueStatus)
		if r.Args["queue_status"] == "" {
			r.Left = s.Read(v.Channel, ami.LeftQueue)
		}
	}
}

// leftUnseen reports that a caller who waits has left a queue before, as another ringhook has noted on the channel.
func (s *sweep) leftUnseen(o *dialplan.OpenCall, v *dialplan.OpenVisit) {
	if left := s.Read(v.Channel, ami.LeftQueue); left != "" {
		s.presumed(dialplan.QueueHangup, o, v.Channel).Left = left
	}
}

// phones lists the channels of members' phones that no ring of the call is about: the half of a Local channel
// that stands for it, or its own.
func (s *sweep) phones(o *dialplan.OpenCall, alive []*Channel) (list []*Channel) {
	rung := map[string]bool{}
	for i := range o.Rings {
		rung[o.Rings[i].Phone] = true
	}
	for _, local := range []bool{true, false} {
		for _, c := range alive {
			name := endpoint(c.Name)
			half := strings.HasPrefix(c.Name, "Local/")
			if !s.members[name] || rung[name] || half != local || half && !strings.HasSuffix(c.Name, ";2") {
				continue
			}
			rung[name] = true
			list = append(list, c)
		}
	}
	return list
}
