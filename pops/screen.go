package pops

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"ringhook/hooks"
)

// Screen shows calls and pops to agents who are signed in. Live calls its methods while it is locked, so
// they must not wait and must not call Live.
type Screen interface {
	// Desks returns the number of open desks of an agent.
	Desks(agent string) int
	// Call shows a call to an agent, or what changed of it.
	Call(agent string, v CallView)
	// Show shows a pop by its first way.
	Show(p Pop)
	// Closed closes a pop that is over.
	Closed(p Pop)
}

// The states of a call as an agent sees it.
const (
	Ringing = "ringing"
	Dialing = "dialing"
	Talking = "talking"
	Over    = "ended"
)

// The outcomes of a call for an agent.
const (
	Answered  = "answered"
	Missed    = "missed"
	ByAnother = "elsewhere"
)

// CallView is a call as one agent sees it. Its texts are clean.
type CallView struct {
	LinkedID   string    `json:"linkedid"`
	State      string    `json:"state"` // ringing, dialing, talking or ended
	Outcome    string    `json:"outcome,omitempty"`
	By         string    `json:"by,omitempty"` // who answered in place of the agent
	Direction  string    `json:"direction"`
	Number     string    `json:"number,omitempty"` // of the other party
	Name       string    `json:"name,omitempty"`
	Info       string    `json:"info,omitempty"` // call_info
	Found      Result    `json:"found,omitempty"`
	Match      string    `json:"match,omitempty"`
	Queue      string    `json:"queue,omitempty"`
	Called     string    `json:"called,omitempty"`
	Region     string    `json:"region,omitempty"`
	RegionTime string    `json:"region_time,omitempty"`
	Waited     int64     `json:"waited,omitempty"` // seconds
	Began      time.Time `json:"began"`            // of the ring
	Since      time.Time `json:"since"`            // of the state
	NoPop      Reason    `json:"no_pop,omitempty"` // why the call did not pop

	call string // its key
}

// maxRecent is the number of ended calls that are kept for an agent.
const maxRecent = 20

// maxShown is the maximum length of a text on a card, in characters.
const maxShown = 200

// desks returns the number of open desks of an agent.
func (l *Live) desks(agent string) int {
	if l.setup.Screen == nil || agent == "" {
		return 0
	}
	return l.setup.Screen.Desks(agent)
}

// view updates the call on the screens of the agents that an event concerns.
func (l *Live) view(c *call, ev *hooks.Event, now time.Time) {
	if l.setup.Screen == nil {
		return
	}
	if ev.Name == "call-hangup" {
		for agent := range c.views {
			l.endView(c, agent, Missed, "", now)
		}
		return
	}
	phone := text(ev, "agent_phone")
	n := slices.IndexFunc(l.setup.Agents, func(a Agent) bool { return a.ID != "" && phone != "" && a.Phone == phone })
	if n < 0 {
		return
	}
	a := &l.setup.Agents[n]
	switch ev.Name {
	case "agent-dial":
		l.setView(c, ev, a, Ringing, now)
	case "agent-custom":
		l.setView(c, ev, a, Dialing, now)
	case "agent-answer", "agent-dialout-answer":
		l.setView(c, ev, a, Talking, now)
		for agent, v := range c.views {
			if agent != a.ID && v.State == Ringing {
				l.endView(c, agent, ByAnother, cmp.Or(a.Name, a.ID), now)
			}
		}
	case "agent-hangup", "agent-cancel", "agent-dialout-hangup":
		if c.rings[phone] == 0 {
			l.endView(c, a.ID, Missed, "", now)
		}
	}
}

// setView sets the state of a call on an agent's screen. A call that the agent talks in does not ring.
func (l *Live) setView(c *call, ev *hooks.Event, a *Agent, state string, now time.Time) {
	v := c.views[a.ID]
	if v == nil {
		v = &CallView{LinkedID: c.linkedid, Began: now, call: c.key}
		c.views[a.ID] = v
		l.onScreen(c, a.ID)
	}
	if v.State == Talking && state != Talking {
		return
	}
	if v.State != state {
		v.State, v.Since, v.Outcome, v.By = state, now, "", ""
	}
	v.fill(ev, c.result)
	l.setup.Screen.Call(a.ID, *v)
}

// fill takes what an event says about the call.
func (v *CallView) fill(ev *hooks.Event, result Result) {
	shown := func(name string) string { return Clean(text(ev, name), maxShown) }
	v.Direction, v.Number, v.Name, v.Info = text(ev, "direction"), Clean(Other(ev), 64), shown("callerid_name"), shown("call_info")
	if v.Direction == "outgoing" {
		v.Name = ""
	}
	v.Found, v.Match, v.Queue, v.Called = result, text(ev, "match"), shown("queue_name"), shown("directid")
	v.Region, v.RegionTime = shown("region_name"), shown("region_time")
	if waited, ok := ev.Params["wait_time"].(int64); ok {
		v.Waited = waited
	}
}

// endView ends a call on an agent's screen.
func (l *Live) endView(c *call, agent, outcome, by string, now time.Time) {
	v := c.views[agent]
	if v == nil || v.State == Over {
		return
	}
	if v.State == Talking {
		outcome = Answered
	}
	v.State, v.Outcome, v.By, v.Since = Over, outcome, by, now
	l.setup.Screen.Call(agent, *v)
	list := slices.Insert(slices.DeleteFunc(l.recent[agent], func(r CallView) bool { return r.call == v.call }), 0, *v)
	l.recent[agent] = list[:min(len(list), maxRecent)]
	delete(c.views, agent)
}

// unpopped notes on the card why the call did not pop.
func (l *Live) unpopped(c *call, a *Agent, d *Decision) {
	if v := c.views[a.ID]; v != nil && l.setup.Screen != nil && d.Reason != Repeat && d.Reason != NoRule {
		v.NoPop = d.Reason
		l.setup.Screen.Call(a.ID, *v)
	}
}

// Snapshot is everything that an agent's screen shows.
type Snapshot struct {
	Calls  []CallView // that go on, the first first
	Recent []CallView // that have ended, the last first
	Pops   []Pop      // that are not over
}

// View calls f with what an agent's screen shows. Nothing changes before f returns, so a screen that is
// registered in f misses nothing. f must not call Live.
func (l *Live) View(agent string, f func(Snapshot)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := Snapshot{Calls: []CallView{}, Recent: slices.Clone(l.recent[agent])}
	for c := range l.screens[agent] {
		if v := c.views[agent]; v != nil {
			s.Calls = append(s.Calls, *v)
		}
		for _, p := range c.pops {
			if p.Agent.ID == agent && p.Way.NeedsDesk() {
				s.Pops = append(s.Pops, *p)
			}
		}
	}
	slices.SortFunc(s.Calls, func(a, b CallView) int { return cmp.Or(a.Began.Compare(b.Began), cmp.Compare(a.LinkedID, b.LinkedID)) })
	slices.SortFunc(s.Pops, func(a, b Pop) int { return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.ID, b.ID)) })
	f(s)
}

// ForgetEnded drops the ended calls of all agents and of programs that poll, and ends the pops on demand that belong to no
// call. The trace does not get these ends: their records would have the numbers.
func (l *Live) ForgetEnded() {
	l.mu.Lock()
	defer l.mu.Unlock()
	clear(l.recent)
	now := l.now()
	for _, c := range l.calls {
		if c.last != nil {
			continue
		}
		for _, p := range c.pops {
			l.change(p, Ended, now)
		}
		l.forget(c)
	}
	maps.DeleteFunc(l.polled, func(_ string, p *Pop) bool { return p.Life.Fate.Over() || l.calls[keyOf(p.event)] == nil })
}

// Receipt records what an agent's screen reports about a pop. The error says that the pop is over, is not the
// agent's, or cannot have this fate now.
func (l *Live) Receipt(agent, pop string, fate Fate) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	c, p := l.find(agent, pop)
	if p == nil {
		return fmt.Errorf("no pop %s of this agent is open", pop)
	}
	now := l.now()
	if before := p.Life.Fate; fate == before {
		return nil // a second tab, or a repeat
	}
	probe := p.Life
	if err := probe.Turn(fate, now); err != nil {
		return err
	}
	l.turn(p, fate, now)
	if fate.Over() {
		c.pops = slices.DeleteFunc(c.pops, func(o *Pop) bool { return o == p })
	}
	return nil
}

// Next moves a pop that was not shown to its next way, and returns it. The caller shows one that needs a desk. moved is
// false if there is none, or if the pop has been shown or closed meanwhile.
func (l *Live) Next(agent, pop string, why Fate) (p Pop, moved bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.next(agent, pop, why, "")
}

// next is Next with a detail of the failure for the trace. The caller holds mu.
func (l *Live) next(agent, pop string, why Fate, detail string) (p Pop, moved bool) {
	_, found := l.find(agent, pop)
	if found == nil {
		return p, false
	}
	now := l.now()
	if found.Life.Fate == Sent && why == NoReceipt {
		found.why = detail
		l.turn(found, NoReceipt, now)
		found.why = ""
	}
	return l.move(found, now)
}

// Refused moves a pop whose page allows no frame, as the note says, to its next way, and returns it like Next. Without a
// further way the page is offered in a window.
func (l *Live) Refused(agent, pop, note string) (p Pop, moved bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, found := l.find(agent, pop)
	now := l.now()
	if found == nil || found.Way != Frame {
		return p, false
	}
	found.why = note
	l.turn(found, Refused, now)
	if found.why = ""; found.Life.Fate != Refused {
		return p, false
	}
	if found.Ways[len(found.Ways)-1] == Frame {
		found.Ways, found.Action = append(slices.Clip(found.Ways), Window), Offer
	}
	return l.move(found, now)
}

// move moves a pop that was not shown to its next way. The caller holds mu.
func (l *Live) move(found *Pop, now time.Time) (p Pop, moved bool) {
	n := slices.Index(found.Ways, found.Way)
	failed := slices.Contains([]Fate{NoReceipt, Blocked, WindowLost, Refused}, found.Life.Fate)
	if !failed || n < 0 || n+1 >= len(found.Ways) {
		return *found, false
	}
	l.turn(found, Moved, now)
	found.Way = found.Ways[n+1]
	l.turn(found, Sent, now)
	switch {
	case found.Way == GetEvent:
		l.polled[found.Agent.Phone] = found
	case !found.Way.NeedsDesk():
		l.show(found)
	}
	return *found, true
}

// find returns an open pop of an agent, and its call.
func (l *Live) find(agent, pop string) (*call, *Pop) {
	for c := range l.screens[agent] {
		for _, p := range c.pops {
			if p.ID == pop && p.Agent.ID == agent {
				return c, p
			}
		}
	}
	return nil, nil
}

// Latest returns the latest event of the calls that an agent has now, nil if there is none.
func (l *Live) Latest(agent string) *hooks.Event {
	l.mu.Lock()
	defer l.mu.Unlock()
	var found *call
	for c := range l.screens[agent] {
		if c.views[agent] != nil && c.last != nil && (found == nil || c.seen.After(found.seen)) {
			found = c
		}
	}
	if found == nil {
		return nil
	}
	ev := *found.last
	return &ev
}

// Rules returns the rules in force.
func (l *Live) Rules() *Rules {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.setup.Rules
}
