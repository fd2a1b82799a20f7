package desk

import (
	"time"

	"ringhook/store/sqlite"
)

// The states of an agent that are stored.
const (
	AgentIn     = "in" // logged in to at least one queue
	AgentPaused = "paused"
	AgentServes = "serves" // logged in to the queue that Reason names, and not paused there
)

// AgentState is a time span in which an agent was logged in, paused, or served a queue.
type AgentState struct {
	Agent  string    `json:"agent"`
	State  string    `json:"state"`
	Reason string    `json:"reason,omitempty"` // of the pause, or the queue that is served
	From   time.Time `json:"from"`
	// To is the end. While the state lasts, it is the last time at which it was seen.
	To   time.Time `json:"to"`
	Open bool      `json:"open"` // the state lasts
}

// ObserveStates stores the states that agents have at a time: it ends those that are not among them,
// extends those that are, and begins the others. From and To of now are not used.
func (d *Desk) ObserveStates(now []AgentState, when time.Time) error {
	type key struct{ agent, state, reason string }
	have := make(map[key]bool, len(now))
	for _, s := range now {
		have[key{s.Agent, s.State, s.Reason}] = true
	}
	return d.write("store the states of agents", func(c *sqlite.Conn) error {
		open := map[key]int64{}
		err := c.All("select id, agent, state, reason from agent_state where open = 1", nil, func(scan func(...any) error) error {
			var id int64
			var k key
			err := scan(&id, &k.agent, &k.state, &k.reason)
			open[k] = id
			return err
		})
		for k, id := range open {
			if err == nil {
				_, err = c.Exec("update agent_state set to_ms = max(from_ms, ?2), open = ?3 where id = ?1", id, when.UnixMilli(), have[k])
			}
		}
		for k := range have {
			if _, lasts := open[k]; err == nil && !lasts {
				_, err = c.Exec("insert into agent_state (agent, state, reason, from_ms, to_ms, open) values (?1, ?2, ?3, ?4, ?4, 1)", k.agent, k.state, k.reason, when.UnixMilli())
			}
		}
		return err
	})
}

// CutStates ends the states that last but were last seen before a time, each at the time at which it was last
// seen: what happened since then is not known.
func (d *Desk) CutStates(before time.Time) error {
	_, err := d.exec("end the states of agents", "update agent_state set open = 0 where open = 1 and to_ms < ?", before.UnixMilli())
	return err
}

// AgentStates returns the states of an agent that overlap a time span, or of all agents if the id is
// empty, the earliest first.
func (d *Desk) AgentStates(agent string, from, to time.Time) (list []AgentState, err error) {
	query := "select agent, state, reason, from_ms, to_ms, open from agent_state where to_ms >= ? and from_ms < ?"
	args := []any{from.UnixMilli(), to.UnixMilli()}
	if agent != "" {
		query, args = query+" and agent = ?", append(args, agent)
	}
	err = d.all("list the states of agents", query+" order by from_ms, id", args, func(scan func(...any) error) error {
		var s AgentState
		var from, to int64
		err := scan(&s.Agent, &s.State, &s.Reason, &from, &to, &s.Open)
		s.From, s.To = time.UnixMilli(from), time.UnixMilli(to)
		list = append(list, s)
		return err
	})
	return list, err
}

// PauseEnd is the time at which a pause in one queue ends by itself.
type PauseEnd struct {
	Server, Interface, Queue string
	From, At                 time.Time // when the pause was given, and when it ends
	Who                      string    // who gave the pause
}

// SameMember reports whether the pause of another end is one of the same member in the same queue.
func (e PauseEnd) SameMember(other PauseEnd) bool {
	return e.Server == other.Server && e.Interface == other.Interface && e.Queue == other.Queue
}

// SetPauseEnds stores the ends of pauses, in place of earlier ones of the same members.
func (d *Desk) SetPauseEnds(ends ...PauseEnd) error {
	return d.write("store the end of a pause", func(c *sqlite.Conn) (err error) {
		for _, e := range ends {
			if err == nil {
				_, err = c.Exec(`insert into pause_end (server, interface, queue, from_ms, at_ms, who) values (?1, ?2, ?3, ?4, ?5, ?6)
					on conflict (server, interface, queue) do update set from_ms = ?4, at_ms = ?5, who = ?6`, e.Server, e.Interface, e.Queue, e.From.UnixMilli(), e.At.UnixMilli(), e.Who)
			}
		}
		return err
	})
}

// RemovePauseEnds removes the ends of pauses.
func (d *Desk) RemovePauseEnds(ends ...PauseEnd) error {
	return d.write("remove the end of a pause", func(c *sqlite.Conn) (err error) {
		for _, e := range ends {
			if err == nil {
				_, err = c.Exec("delete from pause_end where server = ? and interface = ? and queue = ?", e.Server, e.Interface, e.Queue)
			}
		}
		return err
	})
}

// PauseEnds returns the ends of all pauses, the earliest first.
func (d *Desk) PauseEnds() (list []PauseEnd, err error) {
	err = d.all("list the ends of pauses", "select server, interface, queue, from_ms, at_ms, who from pause_end order by at_ms, server, interface, queue", nil,
		func(scan func(...any) error) error {
			var e PauseEnd
			var from, at int64
			err := scan(&e.Server, &e.Interface, &e.Queue, &from, &at, &e.Who)
			e.From, e.At = time.UnixMilli(from), time.UnixMilli(at)
			list = append(list, e)
			return err
		})
	return list, err
}
