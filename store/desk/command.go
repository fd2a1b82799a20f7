package desk

import (
	"strings"
	"time"

	"ringhook/store/sqlite"
)

// Command is a command that changed the PBX, or was to.
type Command struct {
	ID      int64         `json:"id"`
	At      time.Time     `json:"at"`
	Who     string        `json:"who"`     // who gave it, such as "agent 7" or "token crm"
	Command string        `json:"command"` // such as kick
	Server  string        `json:"server,omitempty"`
	Agent   string        `json:"agent,omitempty"` // id of the agent on whom it acts
	Queue   string        `json:"queue,omitempty"`
	Call    string        `json:"call,omitempty"`   // linkedid
	Detail  string        `json:"detail,omitempty"` // its other parameters, as JSON
	Outcome string        `json:"outcome"`          // begun, ok, or a code of an error
	Result  string        `json:"result,omitempty"` // what happened, as JSON or text
	Took    time.Duration `json:"took"`             // in nanoseconds
}

// CommandBegun is the outcome of a command that runs, or ran when the program ended: then it is not known whether it was
// carried out.
const CommandBegun = "begun"

// AddCommand stores a command, and sets its ID, which stays as it was if the command is not stored.
func (d *Desk) AddCommand(c *Command) error {
	var id int64
	err := d.write("record a command", func(conn *sqlite.Conn) (err error) {
		id, err = addCommand(conn, c)
		return err
	})
	if err == nil {
		c.ID = id
	}
	return err
}

// addCommand inserts a command and returns its id, which counts only after the commit.
func addCommand(conn *sqlite.Conn, c *Command) (id int64, err error) {
	done, err := conn.Exec(`insert into command (at_ms, who, command, server, agent, queue, call, detail, outcome, result, took_us)
		values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		c.At.UnixMilli(), c.Who, c.Command, c.Server, c.Agent, c.Queue, c.Call, c.Detail, c.Outcome, c.Result, c.Took.Microseconds())
	if err != nil {
		return 0, err
	}
	return done.LastInsertId()
}

// EndCommand stores what became of a command that was stored as begun: what it acted on, its outcome, result and time. A
// command that is no longer in the file is stored again, with a new ID.
func (d *Desk) EndCommand(c *Command) error {
	id := c.ID
	err := d.write("record the end of a command", func(conn *sqlite.Conn) error {
		n, err := conn.Changes("update command set server = ?2, agent = ?3, queue = ?4, call = ?5, outcome = ?6, result = ?7, took_us = ?8 where id = ?1",
			c.ID, c.Server, c.Agent, c.Queue, c.Call, c.Outcome, c.Result, c.Took.Microseconds())
		if err == nil && n == 0 {
			id, err = addCommand(conn, c)
		}
		return err
	})
	if err == nil {
		c.ID = id
	}
	return err
}

// CommandFilter selects commands. An empty field selects all.
type CommandFilter struct {
	Since, Until       time.Time
	Agent, Queue, Call string
	Limit              int // 0 is no limit
}

const commandColumns = "select id, at_ms, who, command, server, agent, queue, call, detail, outcome, result, took_us from command"

// Commands returns the commands that fit, the latest first.
func (d *Desk) Commands(f CommandFilter) ([]Command, error) {
	where := []string{"at_ms >= ?"}
	args := []any{f.Since.UnixMilli()}
	if f.Since.IsZero() {
		args[0] = int64(0)
	}
	and := func(condition string, value any) {
		where, args = append(where, condition), append(args, value)
	}
	if !f.Until.IsZero() {
		and("at_ms < ?", f.Until.UnixMilli())
	}
	for column, value := range map[string]string{"agent = ?": f.Agent, "queue = ?": f.Queue, "call = ?": f.Call} {
		if value != "" {
			and(column, value)
		}
	}
	query := commandColumns + " where " + strings.Join(where, " and ") + " order by at_ms desc, id desc"
	if f.Limit > 0 {
		query += " limit ?"
		args = append(args, f.Limit)
	}
	return d.commands(query, args)
}

func (d *Desk) commands(query string, args []any) (list []Command, err error) {
	err = d.all("list commands", query, args, func(scan func(...any) error) error {
		var c Command
		var at, took int64
		err := scan(&c.ID, &at, &c.Who, &c.Command, &c.Server, &c.Agent, &c.Queue, &c.Call, &c.Detail, &c.Outcome, &c.Result, &took)
		c.At, c.Took = time.UnixMilli(at), time.Duration(took)*time.Microsecond
		list = append(list, c)
		return err
	})
	return list, err
}
