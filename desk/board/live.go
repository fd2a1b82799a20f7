package board

import (
	"cmp"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"ringhook/control"
	"ringhook/desk/figures"
	"ringhook/dialplan"
	"ringhook/dialplan/kept"
	"ringhook/pops"
)

const (
	// updateEvery is the time between two readings of the calls that changed.
	updateEvery = 2 * time.Second
	// timesEvery is the time between two readings of the times of agents.
	timesEvery = 20 * time.Second
	// maxShown is the maximum length of a text that is shown, in characters.
	maxShown = 120
)

// Look is everything that is alive at a moment, for all viewers.
type Look struct {
	board  *Board
	set    *Settings
	now    time.Time
	live   control.Live
	agents []control.AgentView
	open   []*figures.Open
	byCall map[string][]*figures.Open // by linkedid, which two Asterisks may have in common
	calls  map[string][]*control.Call // by linkedid
}

// Look returns what is alive now.
func (b *Board) Look(now time.Time) *Look {
	b.refresh(now)
	l := &Look{
		board: b, set: b.settings.Load(), now: now, live: b.Control.Live(), agents: b.Control.Agents(control.Administrator("desk")), open: b.book.OpenCalls(),
	}
	l.index()
	return l
}

// index finds the calls by linkedid.
func (l *Look) index() {
	l.byCall, l.calls = map[string][]*figures.Open{}, map[string][]*control.Call{}
	for _, o := range l.open {
		l.byCall[o.LinkedID] = append(l.byCall[o.LinkedID], o)
	}
	for i := range l.live.Calls {
		c := &l.live.Calls[i]
		l.calls[c.LinkedID] = append(l.calls[c.LinkedID], c)
	}
}

// reportedAs returns what the points reported of a call; nil if it is not known, or several calls have its linkedid.
func (l *Look) reportedAs(linkedid string) *figures.Open {
	if open := l.byCall[linkedid]; len(open) == 1 && len(l.calls[linkedid]) <= 1 {
		return open[0]
	}
	return nil
}

// refresh reads what changed of the calls, and the times of agents, if the last reading is old.
func (b *Board) refresh(now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if since := now.Sub(b.updated); since >= updateEvery || since < 0 {
		if err := b.book.Update(); err != nil {
			b.Limited.Warn("calls of the day", "cannot read the calls of the day", "err", err)
		}
		b.updated = now
	}
	if since := now.Sub(b.timed); b.times == nil || since >= timesEvery || since < 0 {
		times, err := figures.ReadTimes(b.Accounts, now)
		if err != nil {
			b.Limited.Warn("times of agents", "cannot read the times of agents", "err", err)
			times = map[string]figures.Times{}
		}
		b.times, b.timed = times, now
	}
}

// serverEntry is an Asterisk.
type serverEntry struct {
	Server    string `json:"server"`
	Connected bool   `json:"connected"`
}

// queueEntry is a queue with its members.
type queueEntry struct {
	Queue   string     `json:"queue"`
	Name    string     `json:"name"`
	Server  string     `json:"server,omitempty"`
	Waiting int        `json:"waiting"`
	Longest *time.Time `json:"longest,omitempty"`
	Free    int        `json:"free"`
	Busy    int        `json:"busy"`
	Paused  int        `json:"paused"`
	Members int        `json:"members"`
	Known   bool       `json:"known"` // by an Asterisk that is connected
}

// waitEntry is a caller who waits.
type waitEntry struct {
	Queue    string    `json:"queue"`
	Name     string    `json:"name"` // of the queue
	Server   string    `json:"server,omitempty"`
	Call     string    `json:"call"`
	UniqueID string    `json:"uniqueid"`
	Caller   string    `json:"caller,omitempty"`
	Person   string    `json:"person,omitempty"`
	Position int       `json:"position"`
	Priority int       `json:"priority"`
	Since    time.Time `json:"since"`
	Steer    bool      `json:"steer"`
}

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

// Entries returns what a viewer sees, encoded, each under its key.
func (l *Look) Entries(v *Viewer) map[string]json.RawMessage {
	out := map[string]json.RawMessage{}
	put := func(key string, value any) {
		text, err := json.Marshal(value)
		if err == nil { // its types are ours
			out[key] = text
		}
	}
	for _, s := range l.live.Servers {
		put("server/"+s.Server, serverEntry(s))
	}
	queues, waits := l.queues(v)
	for i := range queues {
		put("queue/"+queues[i].Server+"/"+queues[i].Queue, queues[i])
	}
	for i := range waits {
		put("wait/"+waits[i].Server+"/"+waits[i].UniqueID, waits[i])
	}
	for _, c := range l.talks(v) {
		put("call/"+c.Server+"/"+c.Call, c)
	}
	for _, a := range l.people(v) {
		put("agent/"+a.Agent, a)
	}
	today := l.board.Today(v)
	put("total", today.Total)
	put("day", map[string]any{"from": today.From, "level": today.Level, "bars": today.Bars, "pbx": l.set.PBX, "pops": len(l.set.Moments) > 0})
	for i := range today.Queues {
		put("figures/"+today.Queues[i].Queue, today.Queues[i])
	}
	for i := range today.Agents {
		put("work/"+today.Agents[i].Phone, today.Agents[i])
	}
	return out
}

// queueName returns the name of a queue.
func (s *Settings) queueName(id string) string {
	for i := range s.Queues {
		if s.Queues[i].ID == id && s.Queues[i].Name != "" {
			return s.Queues[i].Name
		}
	}
	return id
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

// queues returns the queues of a viewer and who waits there: as Asterisk has them, else as the points reported them.
func (l *Look) queues(v *Viewer) (queues []queueEntry, waits []waitEntry) {
	have := map[string]bool{}
	for i := range l.live.Queues {
		q := &l.live.Queues[i]
		if !v.Sees(q.ID) || v.all() && l.set.unnamed(q.ID) && len(q.Members)+len(q.Waiting) == 0 {
			continue
		}
		have[q.ID] = true
		e := queueEntry{
			Queue: q.ID, Name: l.set.queueName(q.ID), Server: q.Server, Waiting: len(q.Waiting), Longest: q.Longest, Free: q.Free, Busy: q.Busy,
			Paused: q.Paused, Members: len(q.Members), Known: true,
		}
		queues = append(queues, e)
		for _, w := range q.Waiting {
			waits = append(waits, waitEntry{
				Queue: q.ID, Name: e.Name, Server: q.Server, Call: w.LinkedID, UniqueID: w.UniqueID, Caller: v.number(w.Caller),
				Person: v.name(pops.Clean(w.Name, maxShown)), Position: w.Position, Priority: w.Priority, Since: w.Since, Steer: true,
			})
		}
	}
	reported := map[string]*queueEntry{}
	for _, id := range l.set.queueIDs(v) {
		if !have[id] {
			reported[id] = &queueEntry{Queue: id, Name: l.set.queueName(id)}
		}
	}
	if !l.set.PBX {
		waits = append(waits, l.reported(v, reported)...)
	}
	for _, e := range reported {
		queues = append(queues, *e)
	}
	slices.SortFunc(queues, func(a, b queueEntry) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.Queue, b.Queue), strings.Compare(a.Server, b.Server))
	})
	return queues, waits
}

// unnamed reports whether the configuration does not name a queue.
func (s *Settings) unnamed(id string) bool {
	return !slices.ContainsFunc(s.Queues, func(q dialplan.Queue) bool { return q.ID == id })
}

// queueIDs returns the queues of the configuration that a viewer sees.
func (s *Settings) queueIDs(v *Viewer) (ids []string) {
	for i := range s.Queues {
		if v.Sees(s.Queues[i].ID) {
			ids = append(ids, s.Queues[i].ID)
		}
	}
	for _, id := range v.Queues {
		if !v.all() && !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	return ids
}

// reported adds the callers who wait as the points reported them, in the order of their coming.
func (l *Look) reported(v *Viewer, queues map[string]*queueEntry) (waits []waitEntry) {
	for _, o := range l.open {
		for i := range o.Visits {
			visit := &o.Visits[i]
			q := queues[visit.Queue()]
			if q == nil || visit.Began.IsZero() || !visit.Answered.IsZero() || !visit.Ended.IsZero() {
				continue
			}
			q.Waiting++
			if q.Longest == nil || visit.Began.Before(*q.Longest) {
				q.Longest = &visit.Began
			}
			waits = append(waits, waitEntry{
				Queue: q.Queue, Name: q.Name, Call: o.LinkedID, UniqueID: visit.Marker.UniqueID, Caller: v.number(callerOf(&o.Call)),
				Person: v.name(nameOf(&o.Call)), Position: q.Waiting, Since: visit.Began,
			})
		}
	}
	return waits
}

func callerOf(c *kept.Call) string { return pops.Clean(c.Text("callerid"), 64) }

func nameOf(c *kept.Call) string { return pops.Clean(c.Text("callerid_name"), maxShown) }

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
