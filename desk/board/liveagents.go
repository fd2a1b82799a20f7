package board

import (
	"cmp"
	"slices"
	"time"

	"ringhook/control"
	"ringhook/desk/figures"
	"ringhook/dialplan"
	"ringhook/dialplan/kept"
	"ringhook/pops"
)

// agentEntry is an agent.
type agentEntry struct {
	Agent   string       `json:"agent"`
	Name    string       `json:"name"`
	Phone   string       `json:"phone"`
	State   string       `json:"state"`
	Since   *time.Time   `json:"since,omitempty"`
	Reason  string       `json:"reason,omitempty"`
	Until   *time.Time   `json:"until,omitempty"`
	Overdue bool         `json:"overdue,omitempty"`
	Queues  []queueState `json:"queues"`
	Calls   []agentCall  `json:"calls"`
	Desks   int          `json:"desks"`
	Steer   bool         `json:"steer"`
}

// queueState is an agent's place in a queue.
type queueState struct {
	Queue    string `json:"queue"`
	Name     string `json:"name"`
	LoggedIn bool   `json:"logged_in"`
	Static   bool   `json:"static"`
	Paused   bool   `json:"paused"`
	Reason   string `json:"reason,omitempty"`
}

// agentCall is a call of an agent; without Call it is one that the viewer does not see.
type agentCall struct {
	Call   string    `json:"call,omitempty"`
	Caller string    `json:"caller,omitempty"`
	Person string    `json:"person,omitempty"`
	State  string    `json:"state,omitempty"`
	Since  time.Time `json:"since,omitzero"`
	// Transfer is the id of an attended transfer that has begun, and To its destination.
	Transfer string `json:"transfer,omitempty"`
	To       string `json:"to,omitempty"`
}

// agentOf returns the agent of an id or phone, nil if there is none.
func (s *Settings) agentOf(is func(a *dialplan.Agent) bool) *dialplan.Agent {
	for i := range s.Agents {
		if is(&s.Agents[i]) {
			return &s.Agents[i]
		}
	}
	return nil
}

// people returns the agents that a viewer sees.
func (l *Look) people(v *Viewer) (list []agentEntry) {
	for i := range l.agents {
		view := &l.agents[i]
		a := l.set.agentOf(func(a *dialplan.Agent) bool { return a.ID == view.Agent })
		if a == nil || a.Phone == "" || !v.seesAgent(a) {
			continue
		}
		e := agentEntry{
			Agent: a.ID, Name: cmp.Or(pops.Clean(a.Name, maxShown), a.Phone), Phone: a.Phone, Queues: []queueState{}, Calls: l.callsOf(v, view),
			Desks: l.board.Desks(a.ID), Steer: l.set.PBX,
		}
		l.state(&e, view)
		for _, q := range view.Queues {
			if v.Sees(q.Queue) || v.Agent == a.ID {
				e.Queues = append(e.Queues, queueState{q.Queue, l.set.queueName(q.Queue), q.LoggedIn, q.Static, q.Paused, q.Reason})
			}
		}
		list = append(list, e)
	}
	return list
}

// callsOf returns the calls of an agent.
func (l *Look) callsOf(v *Viewer, view *control.AgentView) []agentCall {
	list := []agentCall{}
	for _, o := range l.open {
		for i := range o.Rings {
			r := &o.Rings[i]
			if r.Phone != view.Phone || !r.Ended.IsZero() || l.set.PBX && !slices.Contains(view.Calls, o.LinkedID) {
				continue
			}
			c := agentCall{State: "ringing", Since: r.Began}
			if !r.Answered.IsZero() {
				c.State, c.Since = "talking", r.Answered
			}
			if v.seesCall(&o.Call) {
				c.Call, c.Caller, c.Person = o.LinkedID, v.number(callerOf(&o.Call)), v.name(nameOf(&o.Call))
			}
			list = append(list, c)
		}
	}
	for _, id := range view.Calls {
		calls, o := l.calls[id], l.reportedAs(id)
		rings := func(r kept.Ring) bool { return r.Phone == view.Phone && r.Ended.IsZero() }
		if len(calls) == 0 || slices.ContainsFunc(l.byCall[id], func(o *figures.Open) bool { return slices.ContainsFunc(o.Rings, rings) }) {
			continue
		}
		c := calls[0]
		e := agentCall{State: c.State, Since: c.Since}
		if len(calls) == 1 && (v.all() || o != nil && v.seesCall(&o.Call)) {
			e.Call, e.Caller, e.Person = c.LinkedID, v.number(cmp.Or(c.Caller, c.Dialed)), v.name(pops.Clean(c.Name, maxShown))
		}
		list = append(list, e)
	}
	l.transfers(v, view, list)
	return list[:min(len(list), 8)]
}

// transfers adds to the calls of an agent what attended transfers have begun in them.
func (l *Look) transfers(v *Viewer, view *control.AgentView, list []agentCall) {
	if !slices.ContainsFunc(list, func(c agentCall) bool { return c.Call != "" && c.State != "ringing" }) {
		return
	}
	calls, err := l.board.Control.AgentCalls(v.Actor, view.Agent)
	if err != nil {
		return // the viewer sees the agent, and may not steer it
	}
	for i := range calls {
		for n := range list {
			if c := &calls[i]; c.Transfer != "" && list[n].Call == c.LinkedID {
				list[n].State, list[n].Transfer, list[n].To = c.State, c.Transfer, v.number(c.To)
			}
		}
	}
}

// state sets the state of an agent in one word: that of the phone while it is in use, else that of the queues.
func (l *Look) state(e *agentEntry, view *control.AgentView) {
	in, paused := 0, 0
	for i := range view.Queues {
		q := &view.Queues[i]
		if q.LoggedIn {
			in++
		}
		if q.Paused {
			paused++
			e.Reason, e.Overdue = cmp.Or(e.Reason, q.Reason), e.Overdue || q.Overdue
			if e.Until == nil {
				e.Until = q.Until
			}
		}
	}
	e.State, e.Since = view.State, view.Since
	known := slices.ContainsFunc(l.live.Servers, func(s control.Server) bool { return s.Connected })
	if !known {
		e.State, e.Since = "unknown", nil
	}
	for _, c := range e.Calls {
		if c.State == "talking" || c.State == "ringing" && e.State != "talking" {
			if since := c.Since; e.State != "held" {
				e.State, e.Since = c.State, &since
			}
		}
	}
	switch {
	case e.State == "busy":
		e.State = "talking"
	case e.State == "talking", e.State == "ringing", e.State == "held", e.State == "unavailable", e.State == "invalid", !known:
	case in == 0:
		e.State, e.Since = "logged_out", nil
	case paused == in:
		e.State = "paused"
		for i := range view.Queues {
			if s := view.Queues[i].Since; s != nil {
				e.Since = s
			}
		}
	}
}
