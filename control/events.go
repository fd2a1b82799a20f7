package control

import (
	"maps"
	"slices"
	"time"

	"ringhook/ami"
	"ringhook/control/report"
	"ringhook/control/switching"
)

// handlers say what an event changes. They return false if the event is about something that should
// be known and is not: then the lists are read again.
var handlers = map[string]func(s *state, m ami.Message, now time.Time) bool{
	"Newchannel": func(s *state, m ami.Message, now time.Time) bool {
		c := newChannel(m, now)
		s.channels[c.uniqueID] = c
		return true
	},
	"Newstate": changed,
	"NewCallerid": func(s *state, m ami.Message, now time.Time) bool {
		if c := s.channels[text(m.Get("Uniqueid"))]; c != nil {
			c.presentation = presentedBy(m, c.presentation)
		}
		return changed(s, m, now)
	},
	"NewConnectedLine": changed,
	"NewExten":         changed,
	"Rename": func(s *state, m ami.Message, _ time.Time) bool {
		if c := s.channels[text(m.Get("Uniqueid"))]; c != nil {
			c.name = text(m.Get("Newname"))
		}
		return true
	},
	// Only Newchannel makes a channel: other events of it can follow its Hangup.
	"Hangup": func(s *state, m ami.Message, _ time.Time) bool {
		id := text(m.Get("Uniqueid"))
		delete(s.channels, id)
		delete(s.parked, id)
		s.leaveAll(id)
		return true
	},
	"BridgeEnter": func(s *state, m ami.Message, now time.Time) bool {
		id := text(m.Get("Uniqueid"))
		// Bridge and Park of a waiting caller send no QueueCallerLeave.
		s.leaveAll(id)
		if c := s.channels[id]; c != nil {
			c.update(m)
			c.bridge, c.held = text(m.Get("BridgeUniqueid")), false
			if !switching.Consults(c.context, c.extension) {
				c.transfer, c.to, c.asked = "", "", time.Time{} // the transfer was taken back, or is over
			}
		}
		return true
	},
	"BridgeLeave": func(s *state, m ami.Message, now time.Time) bool {
		if c := s.channels[text(m.Get("Uniqueid"))]; c != nil && c.bridge == text(m.Get("BridgeUniqueid")) {
			c.bridge, c.held = "", false
		}
		return true
	},
	"Hold":   func(s *state, m ami.Message, _ time.Time) bool { return s.hold(m, true) },
	"Unhold": func(s *state, m ami.Message, _ time.Time) bool { return s.hold(m, false) },

	// A call that a command holds is in the dialplan, where it hears music.
	"MusicOnHoldStart": func(s *state, m ami.Message, _ time.Time) bool {
		if c := s.channels[text(m.Get("Uniqueid"))]; c != nil && switching.Held(m.Get("Context"), m.Get("Exten")) {
			c.held = true
		}
		return true
	},

	"ParkedCall": func(s *state, m ami.Message, now time.Time) bool {
		p := newParked(m, now)
		s.leaveAll(p.uniqueID)
		s.parked[p.uniqueID] = p
		return true
	},
	"ParkedCallGiveUp":  unparked,
	"ParkedCallTimeOut": unparked,
	"UnParkedCall":      unparked,

	"QueueCallerJoin": func(s *state, m ami.Message, now time.Time) bool {
		q := s.queues[text(m.Get("Queue"))]
		if q == nil {
			return false
		}
		id := text(m.Get("Uniqueid"))
		q.join(&waiting{
			uniqueID: id, linkedID: text(m.Get("Linkedid")), channel: text(m.Get("Channel")),
			number: known(m.Get("CallerIDNum")), callerName: unescaped(m.Get("CallerIDName")),
			since: now,
		}, integer(m.Get("Position")))
		return true
	},
	"QueueCallerLeave": func(s *state, m ami.Message, _ time.Time) bool {
		if q := s.queues[text(m.Get("Queue"))]; q != nil {
			q.leave(text(m.Get("Uniqueid")))
		}
		return true
	},
	"QueueMemberAdded": func(s *state, m ami.Message, _ time.Time) bool {
		q := s.queues[text(m.Get("Queue"))]
		if q == nil {
			return false
		}
		member := newMember(m)
		q.members[member.iface] = member
		return true
	},
	"QueueMemberRemoved": func(s *state, m ami.Message, _ time.Time) bool {
		if q := s.queues[text(m.Get("Queue"))]; q != nil {
			delete(q.members, text(m.Get("Interface")))
		}
		return true
	},
	"QueueMemberPause":     memberChanged,
	"QueueMemberPenalty":   memberChanged,
	"QueueMemberRinginuse": memberChanged,
	"QueueMemberStatus":    memberChanged,

	"DeviceStateChange": func(s *state, m ami.Message, _ time.Time) bool {
		s.device(m)
		return true
	},

	// The contacts of a phone that registers, or is gone, are read again.
	"ContactStatus": func(s *state, m ami.Message, _ time.Time) bool {
		delete(s.contacts, pjsip+text(m.Get("EndpointName")))
		return true
	},

	// What a reload changed is in no event.
	"Reload": func(*state, ami.Message, time.Time) bool { return false },
}

// eventNames lists the events that are handled, with those that the points are reported from.
func eventNames(points []string) []string {
	names := slices.Collect(maps.Keys(handlers))
	if len(points) > 0 {
		names = append(names, report.Events()...)
	}
	return names
}

func changed(s *state, m ami.Message, _ time.Time) bool {
	id := text(m.Get("Uniqueid"))
	c := s.channels[id]
	if c == nil {
		return true
	}
	c.update(m)
	for _, q := range s.queues {
		for _, w := range q.waiting {
			if w.uniqueID == id { // a late answer or the dialplan named the caller
				w.number, w.callerName, w.linkedID = c.number, c.callerName, c.linkedID
			}
		}
	}
	return true
}

func (s *state) hold(m ami.Message, held bool) bool {
	if c := s.channels[text(m.Get("Uniqueid"))]; c != nil {
		c.held = held
	}
	return true
}

func unparked(s *state, m ami.Message, _ time.Time) bool {
	delete(s.parked, text(m.Get("ParkeeUniqueid")))
	return true
}

func memberChanged(s *state, m ami.Message, _ time.Time) bool {
	q := s.queues[text(m.Get("Queue"))]
	if q == nil {
		return false
	}
	member := newMember(m)
	// Only QueueMemberAdded makes a member: a status can follow the removal.
	if q.members[member.iface] == nil {
		return false
	}
	q.members[member.iface] = member
	return true
}
