package board

import (
	"cmp"
	"time"

	"ringhook/dialplan"
	"ringhook/dialplan/kept"
	"ringhook/pops"
)

// callEntry is a call that goes on and does not wait.
type callEntry struct {
	Call   string    `json:"call"`
	Server string    `json:"server,omitempty"`
	State  string    `json:"state"`
	Since  time.Time `json:"since"`
	Caller string    `json:"caller,omitempty"`
	Person string    `json:"person,omitempty"`
	Dialed string    `json:"dialed,omitempty"`
	Queue  string    `json:"queue,omitempty"` // name
	Agent  string    `json:"agent,omitempty"` // id
	Name   string    `json:"name,omitempty"`  // of the agent
	Steer  bool      `json:"steer"`
}

// talks returns the calls that a viewer sees and that do not wait in a queue.
func (l *Look) talks(v *Viewer) (list []callEntry) {
	done := map[string]bool{}
	for i := range l.live.Calls {
		c := &l.live.Calls[i]
		o := l.reportedAs(c.LinkedID)
		done[c.LinkedID] = true
		if c.State == "waiting" || !v.all() && (o == nil || !v.seesCall(&o.Call)) {
			continue
		}
		e := callEntry{Call: c.LinkedID, Server: c.Server, State: c.State, Since: c.Since, Caller: c.Caller, Person: pops.Clean(c.Name, maxShown), Dialed: c.Dialed}
		if o != nil {
			l.fill(&e, &o.Call)
		}
		e.hide(v)
		list = append(list, e)
	}
	if l.set.PBX {
		return list
	}
	for _, o := range l.open {
		if done[o.LinkedID] || !v.seesCall(&o.Call) {
			continue
		}
		e := callEntry{Call: o.LinkedID, State: "up", Since: o.Began}
		if l.fill(&e, &o.Call); e.State != "waiting" {
			e.hide(v)
			list = append(list, e)
		}
	}
	return list
}

func (e *callEntry) hide(v *Viewer) {
	e.Caller, e.Dialed, e.Person = v.number(e.Caller), v.number(e.Dialed), v.name(e.Person)
}

// fill takes over what the points reported of a call: its queue, and which agent talks since when.
func (l *Look) fill(e *callEntry, c *kept.Call) {
	e.Caller, e.Person = cmp.Or(callerOf(c), e.Caller), cmp.Or(nameOf(c), e.Person)
	e.Dialed = cmp.Or(pops.Clean(c.Text("directid"), 64), e.Dialed)
	for i := range c.Visits {
		e.Queue = l.set.queueName(c.Visits[i].Queue())
		if e.Server == "" && c.Visits[i].Answered.IsZero() && c.Visits[i].Ended.IsZero() {
			e.State, e.Since = "waiting", c.Visits[i].Began
		}
	}
	for i := range c.Rings {
		r := &c.Rings[i]
		if !r.Ended.IsZero() {
			continue
		}
		state, since := "ringing", r.Began
		if !r.Answered.IsZero() {
			state, since = "talking", r.Answered
		} else if e.Agent != "" || e.State == "waiting" {
			continue
		}
		if e.Server == "" || e.State == state {
			e.State, e.Since = state, since
		}
		if a := l.set.agentOf(func(a *dialplan.Agent) bool { return a.Phone == r.Phone && a.Phone != "" }); a != nil && (e.Agent == "" || state == "talking") {
			e.Agent, e.Name, e.Steer = a.ID, cmp.Or(a.Name, a.Phone), e.Server != "" && a.ID != "" && state == "talking"
		}
	}
}

func callerOf(c *kept.Call) string { return pops.Clean(c.Text("callerid"), 64) }

func nameOf(c *kept.Call) string { return pops.Clean(c.Text("callerid_name"), maxShown) }
