package desk

import (
	"encoding/json"
	"time"

	"ringhook/pgstore"
	"ringhook/store/desk"
)

// ObserveStates stores the states that agents have at a time: it ends those that are not among them, extends those that are,
// and begins the others. From and To of now are not used.
func (d *Desk) ObserveStates(now []desk.AgentState, when time.Time) error {
	agents, states, reasons := make([]string, len(now)), make([]string, len(now)), make([]string, len(now))
	for i, s := range now {
		agents[i], states[i], reasons[i] = s.Agent, s.State, s.Reason
	}
	_, err := d.exec("store the states of agents",
		pgstore.Do(`update ringhook.agent_state s set until = greatest(since, $2),
			open = exists (select from unnest($3::text[], $4::text[], $5::text[]) u (agent, state, reason) where u.agent = s.agent and u.state = s.state and u.reason = s.reason)
			where tenant = $1 and open`, when, agents, states, reasons),
		pgstore.Do(`insert into ringhook.agent_state (tenant, agent, state, reason, since, until, open)
			select distinct $1::integer, u.agent, u.state, u.reason, $2::timestamptz, $2::timestamptz, true from unnest($3::text[], $4::text[], $5::text[]) u (agent, state, reason)
			on conflict (tenant, agent, state, reason) where open do nothing`, when, agents, states, reasons))
	return err
}

// CutStates ends the states that last but were last seen before a time, each at the time at which it was last seen: what
// happened since then is not known.
func (d *Desk) CutStates(before time.Time) error {
	_, err := d.exec("end the states of agents", pgstore.Do("update ringhook.agent_state set open = false where tenant = $1 and open and until < $2", before))
	return err
}

// AgentStates returns the states of an agent that overlap a time span, or of all agents if the id is empty, the earliest
// first.
func (d *Desk) AgentStates(agent string, from, to time.Time) (list []desk.AgentState, err error) {
	err = d.all("list the states of agents", func(scan func(...any) error) error {
		var s desk.AgentState
		err := scan(&s.Agent, &s.State, &s.Reason, &s.From, &s.To, &s.Open)
		s.From, s.To = s.From.Local(), s.To.Local()
		list = append(list, s)
		return err
	}, `select agent, state, reason, since, until, open from ringhook.agent_state
		where tenant = $1 and until >= $2 and since < $3 and ($4 = '' or agent = $4) order by since, id`, from, to, agent)
	return list, err
}

// SetPauseEnds stores the ends of pauses, in place of earlier ones of the same members.
func (d *Desk) SetPauseEnds(ends ...desk.PauseEnd) error {
	var changes []pgstore.Statement
	for _, e := range ends {
		changes = append(changes, pgstore.Do(`insert into ringhook.pause_end (tenant, server, interface, queue, since, at, who) values ($1, $2, $3, $4, $5, $6, $7)
			on conflict (tenant, server, interface, queue) do update set since = $5, at = $6, who = $7`, e.Server, e.Interface, e.Queue, e.From, e.At, e.Who))
	}
	return d.db.Write("store the end of a pause", nil, changes...)
}

// RemovePauseEnds removes the ends of pauses.
func (d *Desk) RemovePauseEnds(ends ...desk.PauseEnd) error {
	var changes []pgstore.Statement
	for _, e := range ends {
		changes = append(changes, pgstore.Do("delete from ringhook.pause_end where tenant = $1 and server = $2 and interface = $3 and queue = $4", e.Server, e.Interface, e.Queue))
	}
	return d.db.Write("remove the end of a pause", nil, changes...)
}

// PauseEnds returns the ends of all pauses, the earliest first.
func (d *Desk) PauseEnds() (list []desk.PauseEnd, err error) {
	err = d.all("list the ends of pauses", func(scan func(...any) error) error {
		var e desk.PauseEnd
		err := scan(&e.Server, &e.Interface, &e.Queue, &e.From, &e.At, &e.Who)
		e.From, e.At = e.From.Local(), e.At.Local()
		list = append(list, e)
		return err
	}, "select server, interface, queue, since, at, who from ringhook.pause_end where tenant = $1 order by at, server, interface, queue")
	return list, err
}

// AddExpected stores the parameters of a call.
func (d *Desk) AddExpected(e desk.Expected) error {
	params, err := json.Marshal(e.Params)
	if err != nil {
		return err
	}
	_, err = d.exec("store the parameters of a call", pgstore.Do("insert into ringhook.expected (tenant, call, params, at) values ($1, $2, $3, $4) on conflict (tenant, call) do update set params = $3, at = $4",
		e.Call, string(params), e.At))
	return err
}

// Expected returns the parameters of calls that began after a time, the oldest first.
func (d *Desk) Expected(after time.Time) (list []desk.Expected, err error) {
	err = d.all("read the parameters of calls", func(scan func(...any) error) error {
		var e desk.Expected
		var params string
		if err := scan(&e.Call, &params, &e.At); err != nil {
			return err
		}
		e.At = e.At.Local()
		err := json.Unmarshal([]byte(params), &e.Params)
		list = append(list, e)
		return err
	}, "select call, params, at from ringhook.expected where tenant = $1 and at > $2 order by at", after)
	return list, err
}
