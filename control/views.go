package control

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"ringhook/dialplan"
)

// Live is what is alive on every connected Asterisk.
type Live struct {
	Servers []Server `json:"servers"`
	Queues  []Queue  `json:"queues"`
	Calls   []Call   `json:"calls"`
	Phones  []Phone  `json:"phones"`
}

// Server is one Asterisk of the configuration.
type Server struct {
	Server string `json:"server"`
	// Connected is false while its state is not known.
	Connected bool `json:"connected"`
}

// Queue is one queue of an Asterisk.
type Queue struct {
	Server   string `json:"server"`
	ID       string `json:"id"`
	Strategy string `json:"strategy"`
	// Longest is when the caller joined who waits longest; nil if no caller waits.
	Longest *time.Time `json:"longest,omitempty"`
	// Free, Busy and Paused count members; one that is paused is not counted as free or busy. Unavailable
	// phones are counted nowhere.
	Free   int `json:"free"`
	Busy   int `json:"busy"` // ringing ones among them
	Paused int `json:"paused"`
	// Completed and Abandoned are Asterisk's own counters, at most a minute old.
	Completed int      `json:"completed"`
	Abandoned int      `json:"abandoned"`
	Waiting   []Waiter `json:"waiting"`
	Members   []Member `json:"members"`
}

// Waiter is a caller in a queue.
type Waiter struct {
	LinkedID string    `json:"linkedid"`
	UniqueID string    `json:"uniqueid"`
	Channel  string    `json:"channel"`
	Caller   string    `json:"caller,omitempty"` // as Asterisk shows it
	Name     string    `json:"name,omitempty"`
	Position int       `json:"position"`
	Priority int       `json:"priority"` // at most a minute old
	Since    time.Time `json:"since"`
}

// Member is an agent in a queue.
type Member struct {
	Interface string `json:"interface"`
	Phone     string `json:"phone"`
	device    string // of which Phone is
	Name      string `json:"name"`
	// State is free, busy, ringing, unavailable, invalid, held or unknown: that of the phone, paused or not.
	State   string     `json:"state"`
	Paused  bool       `json:"paused"`
	Reason  string     `json:"reason,omitempty"` // of the pause
	Since   *time.Time `json:"since,omitempty"`  // of the pause
	Login   *time.Time `json:"login,omitempty"`  // absent for one from queues.conf on some versions
	Dynamic bool       `json:"dynamic"`          // false for one from queues.conf, who cannot log out
	Penalty int        `json:"penalty"`
	InCall  bool       `json:"in_call"` // of this queue
	Taken   int        `json:"calls_taken"`
}

// Call is all channels of one linkedid.
type Call struct {
	Server   string `json:"server"`
	LinkedID string `json:"linkedid"`
	// State is waiting (in a queue), parked, held, talking, ringing or up.
	State    string    `json:"state"`
	Since    time.Time `json:"since"` // of the first channel
	Caller   string    `json:"caller,omitempty"`
	Name     string    `json:"name,omitempty"`
	Dialed   string    `json:"dialed,omitempty"` // the extension of the first channel, now
	Queue    string    `json:"queue,omitempty"`  // in which the call waits
	Channels []Channel `json:"channels"`
}

// Channel is one side of a call.
type Channel struct {
	UniqueID string `json:"uniqueid"`
	Channel  string `json:"channel"`
	State    string `json:"state"` // as Asterisk says it: Down, Ring, Ringing, Up, Busy
	Bridged  bool   `json:"bridged"`
	Held     bool   `json:"held"`
	Muted    bool   `json:"muted"` // by a command
}

// Live returns the state of now. Lists are sorted and never nil.
func (c *Control) Live() Live {
	all := Live{Servers: []Server{}, Queues: []Queue{}, Calls: []Call{}, Phones: []Phone{}}
	for _, s := range c.all() {
		s.mu.Lock()
		all.add(s.config.Name, s.connected, s.state, c.settings.Load().ShowWithheld)
		s.mu.Unlock()
	}
	all.name(c.settings.Load())
	return all
}

// name names the phones of agents as the configuration does.
func (l *Live) name(settings *Settings) {
	for i := range l.Queues {
		for j := range l.Queues[i].Members {
			m := &l.Queues[i].Members[j]
			m.Phone = dialplan.Phone(m.device, settings.isAgent)
		}
	}
}

// QueueWait is who waits in a queue.
type QueueWait struct {
	Server  string
	Queue   string
	Waiting int
	Longest *time.Time // when the caller joined who waits longest
}

// Waits returns who waits in each queue, by server, and whether an Asterisk is connected: a small part of Live.
func (c *Control) Waits() (list []QueueWait, connected bool) {
	for _, s := range c.all() {
		s.mu.Lock()
		connected = connected || s.connected
		for _, q := range s.state.queues {
			wait := QueueWait{Server: s.config.Name, Queue: q.name, Waiting: len(q.waiting)}
			for _, w := range q.waiting {
				if wait.Longest == nil || w.since.Before(*wait.Longest) {
					wait.Longest = some(w.since)
				}
			}
			list = append(list, wait)
		}
		s.mu.Unlock()
	}
	slices.SortStableFunc(list, func(a, b QueueWait) int { return strings.Compare(a.Server, b.Server) })
	return list, connected
}

// add adds what is alive on one Asterisk. Callers who withhold their number are shown if showWithheld is true.
func (l *Live) add(name string, connected bool, s *state, showWithheld bool) {
	l.Servers = append(l.Servers, Server{name, connected})
	for _, q := range s.queues {
		l.Queues = append(l.Queues, q.view(name, s, showWithheld))
	}
	slices.SortFunc(l.Queues, func(a, b Queue) int { return cmp.Or(strings.Compare(a.Server, b.Server), strings.Compare(a.ID, b.ID)) })
	l.Phones = append(l.Phones, s.phones(name)...)
	slices.SortFunc(l.Phones, func(a, b Phone) int {
		return cmp.Or(strings.Compare(a.Server, b.Server), strings.Compare(a.Device, b.Device))
	})
	l.Calls = append(l.Calls, s.calls(name, showWithheld)...)
	slices.SortFunc(l.Calls, func(a, b Call) int { return cmp.Or(a.Since.Compare(b.Since), strings.Compare(a.LinkedID, b.LinkedID)) })
}

// states are the words for Asterisk's device states.
var states = map[int]string{1: "free", 2: "busy", 3: "busy", 4: "invalid", 5: "unavailable", 6: "ringing", 7: "ringing", 8: "held"}

func (q *queue) view(server string, s *state, showWithheld bool) Queue {
	v := Queue{
		Server: server, ID: q.name, Strategy: q.strategy, Completed: q.completed, Abandoned: q.abandoned,
		Waiting: make([]Waiter, 0, len(q.waiting)), Members: make([]Member, 0, len(q.members)),
	}
	for i, w := range q.waiting {
		number, callerName := s.shownCaller(w.uniqueID, w.number, w.callerName, showWithheld)
		v.Waiting = append(v.Waiting, Waiter{w.linkedID, w.uniqueID, s.shownChannel(w.uniqueID, w.channel, w.number, showWithheld), number, callerName, i + 1, w.priority, w.since})
		if v.Longest == nil || w.since.Before(*v.Longest) {
			v.Longest = &w.since
		}
	}
	for _, m := range q.members {
		device := cmp.Or(m.stateInterface, m.iface)
		member := Member{
			Interface: m.iface, Phone: dialplan.Phone(device, nil), device: device, Name: m.name, State: cmp.Or(states[m.status], "unknown"),
			Paused: m.paused, Dynamic: m.dynamic, Penalty: m.penalty, InCall: m.inCall, Taken: m.taken, Login: some(m.login),
		}
		switch {
		case m.paused:
			v.Paused++
			member.Reason, member.Since = m.reason, some(m.lastPause)
		case member.State == "free":
			v.Free++
		case member.State == "busy" || member.State == "ringing" || member.State == "held":
			v.Busy++
		}
		v.Members = append(v.Members, member)
	}
	slices.SortFunc(v.Members, func(a, b Member) int {
		return cmp.Or(cmp.Compare(a.Penalty, b.Penalty), strings.Compare(a.Name, b.Name), strings.Compare(a.Interface, b.Interface))
	})
	return v
}

func some(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// calls groups the channels by their linkedid.
func (s *state) calls(server string, showWithheld bool) []Call {
	byID := map[string][]*channel{}
	for _, c := range s.channels {
		byID[c.linkedID] = append(byID[c.linkedID], c)
	}
	queued := map[string]string{}
	for _, q := range s.queues {
		for _, w := range q.waiting {
			queued[w.uniqueID] = q.name
		}
	}
	caller := func(c *channel) bool { return c.number != "" || c.callerName != "" }
	calls := make([]Call, 0, len(byID))
	for id, channels := range byID {
		slices.SortFunc(channels, older)
		first := channels[0]
		for _, c := range channels {
			if c.uniqueID == id {
				first = c
			}
		}
		call := Call{Server: server, LinkedID: id, Since: channels[0].since, Dialed: first.extension}
		if i := slices.IndexFunc(channels, caller); !caller(first) && i >= 0 {
			first = channels[i] // the first one is a Local channel without a caller ID
		}
		call.Caller, call.Name = s.shownCaller(first.uniqueID, first.number, first.callerName, showWithheld)
		var parked, held, ringing bool
		bridged := 0
		for _, c := range channels {
			name := c.name
			for _, of := range channels { // a Local channel may have the caller's number in its name, too
				name = s.shownChannel(of.uniqueID, name, of.number, showWithheld)
			}
			call.Channels = append(call.Channels, Channel{c.uniqueID, name, c.state, c.bridge != "", c.held, c.muted})
			call.Queue = cmp.Or(call.Queue, queued[c.uniqueID])
			parked = parked || s.parked[c.uniqueID] != nil
			held = held || c.held
			ringing = ringing || strings.HasPrefix(c.state, "Ring")
			if c.bridge != "" {
				bridged++
			}
		}
		switch {
		case call.Queue != "":
			call.State = "waiting"
		case parked:
			call.State = "parked"
		case held:
			call.State = "held"
		case bridged > 1:
			call.State = "talking"
		case ringing:
			call.State = "ringing"
		default:
			call.State = "up"
		}
		calls = append(calls, call)
	}
	return calls
}
