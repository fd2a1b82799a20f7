package desk

import (
	"encoding/json"
	"slices"
	"time"

	"ringhook/control"
)

// watchEvery is the interval at which agents' states are compared with what their tabs show.
const watchEvery = time.Second

// agentState is what a page shows of the agent and the agent's queues.
type agentState struct {
	V         int                 `json:"v"`
	Connected bool                `json:"connected"` // to Asterisk
	Phone     string              `json:"phone"`     // state
	Queues    []queueState        `json:"queues"`
	Calls     []control.AgentCall `json:"calls"` // of the phone, as Asterisk has them
}

// queueState is the agent's place in a queue, and what waits there.
type queueState struct {
	Queue    string     `json:"queue"`
	Name     string     `json:"name"`
	LoggedIn bool       `json:"logged_in"`
	Static   bool       `json:"static"`
	Paused   bool       `json:"paused"`
	Reason   string     `json:"reason,omitempty"`
	Since    *time.Time `json:"since,omitempty"` // of the pause
	Until    *time.Time `json:"until,omitempty"`
	Waiting  int        `json:"waiting"`
	Longest  *time.Time `json:"longest,omitempty"` // when the caller joined who waits longest
}

// stateOf returns the state of an agent in JSON.
func (d *Desk) stateOf(agent string) string {
	waits, connected := d.control.Waits()
	return d.stateIn(agent, waits, connected)
}

func (d *Desk) stateIn(agent string, waits []control.QueueWait, connected bool) string {
	cur := d.current.Load()
	s := agentState{V: 1, Connected: connected, Queues: []queueState{}, Calls: []control.AgentCall{}}
	who, err := d.control.AgentActor(agent, "agent "+agent)
	if err == nil {
		var view control.AgentView
		if view, err = d.control.Agent(who, agent); err == nil {
			s.Phone = view.State
			for _, q := range view.Queues {
				s.Queues = append(s.Queues, queueOf(&q, cur, waits))
			}
		}
		if calls, err := d.control.AgentCalls(who, agent); err == nil {
			s.Calls = calls
		}
	}
	text, err := json.Marshal(s)
	if err != nil {
		return "{}"
	}
	return string(text)
}

func queueOf(q *control.AgentQueue, cur *current, waits []control.QueueWait) queueState {
	s := queueState{Queue: q.Queue, Name: q.Queue, LoggedIn: q.LoggedIn, Static: q.Static, Paused: q.Paused, Reason: q.Reason, Since: q.Since, Until: q.Until}
	for _, named := range cur.Queues {
		if named.ID == q.Queue && named.Name != "" {
			s.Name = named.Name
		}
	}
	n := slices.IndexFunc(waits, func(w control.QueueWait) bool { return w.Queue == q.Queue && (q.Server == "" || w.Server == q.Server) })
	if n >= 0 {
		s.Waiting, s.Longest = waits[n].Waiting, waits[n].Longest
	}
	return s
}

// watch calls show again and again, until the desk closes.
func (d *Desk) watch(show func(now time.Time)) {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		select {
		case <-d.quit:
			return
		case <-tick.C:
			show(time.Now())
		}
	}
}

// showStates sends the states of agents that changed.
func (d *Desk) showStates(now time.Time) {
	d.mu.Lock()
	d.sweep(now)
	agents := make([]string, 0, len(d.hubs))
	for agent, h := range d.hubs {
		if len(h.streams) > 0 {
			agents = append(agents, agent)
		}
	}
	d.mu.Unlock()
	if len(agents) == 0 || !d.current.Load().PBX {
		return
	}
	waits, connected := d.control.Waits()
	for _, agent := range agents {
		d.send(agent, d.stateIn(agent, waits, connected))
	}
}

// refresh sends the state of an agent at once.
func (d *Desk) refresh(agent string) { d.send(agent, d.stateOf(agent)) }

// send sends the state of an agent if it is not what the tabs show.
func (d *Desk) send(agent, state string) {
	d.mu.Lock()
	h := d.hubs[agent]
	changed := h != nil && h.state != state
	if changed {
		h.state = state
	}
	d.mu.Unlock()
	if changed {
		d.publish(agent, "agent", json.RawMessage(state))
	}
}
