package desk

import (
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"ringhook/pgstore"
	"ringhook/store/desk"
)

const addCommand = `insert into ringhook.command (tenant, at, who, command, server, agent, queue, call, detail, outcome, result, took_us)
	values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) returning id`

func commandArgs(c *desk.Command) []any {
	return []any{c.At, c.Who, c.Command, c.Server, c.Agent, c.Queue, c.Call, c.Detail, c.Outcome, c.Result, c.Took.Microseconds()}
}

// AddCommand stores a command, and sets its ID, which stays as it was if the command is not stored.
func (d *Desk) AddCommand(c *desk.Command) error {
	var id int64
	_, err := d.one("record a command", pgstore.Do(addCommand, commandArgs(c)...), &id)
	if err == nil {
		c.ID = id
	}
	return err
}

// EndCommand stores what became of a command that was stored as begun: what it acted on, its outcome, result and time. A
// command that is no longer stored is stored again, with a new ID.
func (d *Desk) EndCommand(c *desk.Command) error {
	var id int64
	_, err := d.one("record the end of a command", pgstore.Do(`with ended as (
			update ringhook.command set server = $5, agent = $6, queue = $7, call = $8, outcome = $10, result = $11, took_us = $12
			where tenant = $1 and id = $13 returning id
		), again as (
			insert into ringhook.command (tenant, at, who, command, server, agent, queue, call, detail, outcome, result, took_us)
			select $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12 where not exists (select from ended) returning id
		) select id from ended union all select id from again`, append(commandArgs(c), c.ID)...), &id)
	if err == nil {
		c.ID = id
	}
	return err
}

const commands = "select id, at, who, command, server, agent, queue, call, detail, outcome, result, took_us from ringhook.command where tenant = $1"

// Commands returns the commands that fit, the latest first.
func (d *Desk) Commands(f desk.CommandFilter) ([]desk.Command, error) {
	var where strings.Builder
	var args []any
	and := func(condition string, value any) {
		args = append(args, value)
		fmt.Fprintf(&where, condition, len(args)+1)
	}
	if !f.Since.IsZero() {
		and(" and at >= $%d", f.Since)
	}
	if !f.Until.IsZero() {
		and(" and at < $%d", f.Until)
	}
	for column, value := range map[string]string{"agent": f.Agent, "queue": f.Queue, "call": f.Call} {
		if value != "" {
			and(" and "+column+" = $%d", value)
		}
	}
	where.WriteString(" order by at desc, id desc")
	if f.Limit > 0 {
		and(" limit $%d", f.Limit)
	}
	return d.commands(commands+where.String(), args...)
}

func (d *Desk) commands(query string, args ...any) (list []desk.Command, err error) {
	err = d.all("list commands", func(scan func(...any) error) error {
		var c desk.Command
		var took int64
		err := scan(&c.ID, &c.At, &c.Who, &c.Command, &c.Server, &c.Agent, &c.Queue, &c.Call, &c.Detail, &c.Outcome, &c.Result, &took)
		c.At, c.Took = c.At.Local(), time.Duration(took)*time.Microsecond
		list = append(list, c)
		return err
	}, query, args...)
	return list, err
}

// SetDIDUse stores the use of a number, in place of an earlier one.
func (d *Desk) SetDIDUse(u desk.DIDUse) error {
	_, err := d.exec("set the use of a number", pgstore.Do(`insert into ringhook.did_use (tenant, did, type, target, who, changed) values ($1, $2, $3, $4, $5, $6)
		on conflict (tenant, did) do update set type = $3, target = $4, who = $5, changed = $6`, u.DID, u.Type, u.Target, u.Who, u.Changed))
	return err
}

// RemoveDIDUse removes the use of a number, and reports whether it had one.
func (d *Desk) RemoveDIDUse(did string) (removed bool, err error) {
	n, err := d.exec("remove the use of a number", pgstore.Do("delete from ringhook.did_use where tenant = $1 and did = $2", did))
	return n > 0, err
}

const didUses = "select did, type, target, who, changed from ringhook.did_use where tenant = $1"

// DIDUse returns the use of a number; found is false if it has none.
func (d *Desk) DIDUse(did string) (u desk.DIDUse, found bool, err error) {
	list, err := d.didUses(0, didUses+" and did = $2", did)
	if len(list) == 0 {
		return u, false, err
	}
	return list[0], true, err
}

// targetTime is the maximum time of the read that a lookup waits for.
const targetTime = 100 * time.Millisecond

// DIDTarget returns what a number is used for, and the target. It implements lookup.DIDs.
func (d *Desk) DIDTarget(did string) (kind, target string, found bool, err error) {
	list, err := d.didUses(targetTime, didUses+" and did = $2", did)
	if len(list) == 0 {
		return "", "", false, err
	}
	return list[0].Type, list[0].Target, true, err
}

// DIDUses returns the uses of all numbers, in the order of the numbers.
func (d *Desk) DIDUses() ([]desk.DIDUse, error) { return d.didUses(0, didUses+" order by did") }

func (d *Desk) didUses(limit time.Duration, query string, args ...any) (list []desk.DIDUse, err error) {
	err = d.db.Query("list uses of numbers", limit, pgstore.Do(query, args...), func(scan func(...any) error) error {
		var u desk.DIDUse
		err := scan(&u.DID, &u.Type, &u.Target, &u.Who, &u.Changed)
		u.Changed = u.Changed.Local()
		list = append(list, u)
		return err
	})
	return list, err
}

// AddSIPAccount stores an account. added is false if the Asterisk has one of this name, or most already.
func (d *Desk) AddSIPAccount(a desk.SIPAccount, most int) (added bool, err error) {
	// The row of the tenant is locked first, so that two nodes do not both add the last one.
	var has bool
	err = d.db.Write("add a SIP account", func(br pgx.BatchResults) error {
		if _, err := br.Exec(); err != nil {
			return err
		}
		done, err := br.Exec()
		has = done.RowsAffected() > 0
		return err
	}, pgstore.Do("insert into ringhook.revision as r (tenant) values ($1) on conflict (tenant) do update set n = r.n"),
		pgstore.Do(`insert into ringhook.sip_account (tenant, server, name, extension, caller_id, transport, who, created) select $1, $2, $3, $4, $5, $6, $7, $8
			where (select count(*) from ringhook.sip_account where tenant = $1 and server = $2) < $9 on conflict (tenant, server, name) do nothing`,
			a.Server, a.Name, a.Extension, a.CallerID, a.Transport, a.Who, a.Created, most))
	return err == nil && has, err
}

// SetSIPAccount stores the extension, caller id and transport of an account, and reports whether there is one.
func (d *Desk) SetSIPAccount(a desk.SIPAccount) (found bool, err error) {
	n, err := d.exec("change a SIP account", pgstore.Do("update ringhook.sip_account set extension = $4, caller_id = $5, transport = $6 where tenant = $1 and server = $2 and name = $3",
		a.Server, a.Name, a.Extension, a.CallerID, a.Transport))
	return n > 0, err
}

// RemoveSIPAccount removes an account, and reports whether there was one.
func (d *Desk) RemoveSIPAccount(server, name string) (removed bool, err error) {
	n, err := d.exec("remove a SIP account", pgstore.Do("delete from ringhook.sip_account where tenant = $1 and server = $2 and name = $3", server, name))
	return n > 0, err
}

// SIPAccounts returns all accounts, in the order of the servers and the names.
func (d *Desk) SIPAccounts() (list []desk.SIPAccount, err error) {
	err = d.all("list SIP accounts", func(scan func(...any) error) error {
		var a desk.SIPAccount
		err := scan(&a.Server, &a.Name, &a.Extension, &a.CallerID, &a.Transport, &a.Who, &a.Created)
		a.Created = a.Created.Local()
		list = append(list, a)
		return err
	}, "select server, name, extension, caller_id, transport, who, created from ringhook.sip_account where tenant = $1 order by server, name")
	return list, err
}
