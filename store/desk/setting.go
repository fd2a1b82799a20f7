package desk

import (
	"time"

	"ringhook/store/sqlite"
)

// revise marks a change of settings or exceptions.
func revise(c *sqlite.Conn) error {
	_, err := c.Exec("update revision set n = n + 1")
	return err
}

// Revision has numbers that rise with changes by any process. What is held in memory is that of them.
type Revision struct {
	Personal int64 // settings and exceptions
	Erased   int64 // numbers that were erased
	Ended    int64 // sessions and tokens that ended before their time
}

// Revision returns the present one.
func (d *Desk) Revision() (r Revision, err error) {
	err = d.all("read the revision of settings", "select n, erased, ended from revision", nil, func(scan func(...any) error) error {
		return scan(&r.Personal, &r.Erased, &r.Ended)
	})
	return r, err
}

// end removes sessions or tokens before their time, and returns their number.
func (d *Desk) end(op, query string, args ...any) (n int, err error) {
	err = d.write(op, func(c *sqlite.Conn) (err error) {
		if n, err = c.Changes(query, args...); err == nil && n > 0 {
			_, err = c.Exec("update revision set ended = ended + 1")
		}
		return err
	})
	if err != nil {
		return 0, err
	}
	return n, nil
}

// Settings returns what all agents set for themselves: values by agent and name.
func (d *Desk) Settings() (all map[string]map[string]string, err error) {
	all = map[string]map[string]string{}
	err = d.all("list settings", "select agent, name, value from setting", nil, func(scan func(...any) error) error {
		var agent, name, value string
		if err := scan(&agent, &name, &value); err != nil {
			return err
		}
		if all[agent] == nil {
			all[agent] = map[string]string{}
		}
		all[agent][name] = value
		return nil
	})
	return all, err
}

// SettingsOf returns those of one agent by name.
func (d *Desk) SettingsOf(agent string) (own map[string]string, err error) {
	own = map[string]string{}
	err = d.all("list settings of an agent", "select name, value from setting where agent = ?", []any{agent}, func(scan func(...any) error) error {
		var name, value string
		err := scan(&name, &value)
		own[name] = value
		return err
	})
	return own, err
}

// SetSettings changes settings of an agent. An empty value removes one.
func (d *Desk) SetSettings(agent string, changes map[string]string) error {
	return d.write("change settings", func(c *sqlite.Conn) error {
		for name, value := range changes {
			query, args := "insert or replace into setting (agent, name, value) values (?, ?, ?)", []any{agent, name, value}
			if value == "" {
				query, args = "delete from setting where agent = ? and name = ?", []any{agent, name}
			}
			if _, err := c.Exec(query, args...); err != nil {
				return err
			}
		}
		return revise(c)
	})
}

// Exception is a number that does not pop.
type Exception struct {
	Number  string    `json:"number"`          // a * at the end stands for any digits
	Agent   string    `json:"agent,omitempty"` // id; empty for all agents
	Note    string    `json:"note,omitempty"`
	Who     string    `json:"who,omitempty"` // who added it
	Created time.Time `json:"created"`
}

// Exceptions returns all exceptions, by number.
func (d *Desk) Exceptions() (list []Exception, err error) {
	err = d.all("list exceptions", "select number, agent, note, who, created_ms from exception order by number, agent", nil, func(scan func(...any) error) error {
		var e Exception
		var created int64
		if err := scan(&e.Number, &e.Agent, &e.Note, &e.Who, &created); err != nil {
			return err
		}
		e.Created = time.UnixMilli(created)
		list = append(list, e)
		return nil
	})
	return list, err
}

// AddExceptions adds exceptions, or replaces those of the same number and agent.
func (d *Desk) AddExceptions(list ...Exception) error {
	return d.write("add exceptions", func(c *sqlite.Conn) error {
		for _, e := range list {
			if _, err := c.Exec("insert or replace into exception (number, agent, note, who, created_ms) values (?, ?, ?, ?, ?)",
				e.Number, e.Agent, e.Note, e.Who, e.Created.UnixMilli()); err != nil {
				return err
			}
		}
		return revise(c)
	})
}

// RemoveException removes the exception of a number for an agent, or for all agents if agent is empty.
func (d *Desk) RemoveException(number, agent string) (removed bool, err error) {
	err = d.write("remove an exception", func(c *sqlite.Conn) error {
		n, err := c.Changes("delete from exception where number = ? and agent = ?", number, agent)
		if removed = n > 0; err != nil || !removed {
			return err
		}
		return revise(c)
	})
	return removed && err == nil, err
}

// Note is what an agent wrote about a call.
type Note struct {
	Call   string    `json:"call"` // linkedid
	Agent  string    `json:"agent"`
	Number string    `json:"number,omitempty"` // of the other party
	Note   string    `json:"note"`
	At     time.Time `json:"at"`
}

// SetNote stores the note of an agent about a call. An empty one removes it.
func (d *Desk) SetNote(n Note) error {
	query, args := "insert or replace into note (call, agent, number, note, at_ms) values (?, ?, ?, ?, ?)", []any{n.Call, n.Agent, n.Number, n.Note, n.At.UnixMilli()}
	if n.Note == "" {
		query, args = "delete from note where call = ? and agent = ?", []any{n.Call, n.Agent}
	}
	_, err := d.exec("store a note", query, args...)
	return err
}

// Notes returns the latest notes of an agent, the last first.
func (d *Desk) Notes(agent string, limit int) ([]Note, error) {
	return d.notes("where agent = ? order by at_ms desc limit ?", agent, limit)
}

func (d *Desk) notes(where string, args ...any) (list []Note, err error) {
	err = d.all("list notes", "select call, agent, number, note, at_ms from note "+where, args, func(scan func(...any) error) error {
		var n Note
		var at int64
		if err := scan(&n.Call, &n.Agent, &n.Number, &n.Note, &at); err != nil {
			return err
		}
		n.At = time.UnixMilli(at)
		list = append(list, n)
		return nil
	})
	return list, err
}
