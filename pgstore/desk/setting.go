package desk

import (
	"slices"
	"time"

	"ringhook/pgstore"
	"ringhook/store/desk"
	"ringhook/store/mention"
)

// revise marks a change of settings or exceptions.
var revise = pgstore.Do("insert into ringhook.revision as r (tenant, n) values ($1, 1) on conflict (tenant) do update set n = r.n + 1")

// Revision returns numbers that rise with changes on any node.
func (d *Desk) Revision() (r desk.Revision, err error) {
	err = d.all("read the revision of settings", func(scan func(...any) error) error {
		return scan(&r.Personal, &r.Erased, &r.Ended)
	}, "select n, erased, ended from ringhook.revision where tenant = $1")
	return r, err
}

// Settings returns what all agents set for themselves: values by agent and name.
func (d *Desk) Settings() (all map[string]map[string]string, err error) {
	all = map[string]map[string]string{}
	err = d.all("list settings", func(scan func(...any) error) error {
		var agent, name, value string
		if err := scan(&agent, &name, &value); err != nil {
			return err
		}
		if all[agent] == nil {
			all[agent] = map[string]string{}
		}
		all[agent][name] = value
		return nil
	}, "select agent, name, value from ringhook.setting where tenant = $1")
	return all, err
}

// SettingsOf returns those of one agent by name.
func (d *Desk) SettingsOf(agent string) (own map[string]string, err error) {
	own = map[string]string{}
	err = d.all("list settings of an agent", func(scan func(...any) error) error {
		var name, value string
		err := scan(&name, &value)
		own[name] = value
		return err
	}, "select name, value from ringhook.setting where tenant = $1 and agent = $2", agent)
	return own, err
}

// SetSettings changes settings of an agent. An empty value removes one.
func (d *Desk) SetSettings(agent string, changes map[string]string) error {
	var names, values, removed []string
	for name, value := range changes {
		if value == "" {
			removed = append(removed, name)
		} else {
			names, values = append(names, name), append(values, value)
		}
	}
	return d.db.Write("change settings", nil,
		pgstore.Do("delete from ringhook.setting where tenant = $1 and agent = $2 and name = any ($3::text[])", agent, removed),
		pgstore.Do(`insert into ringhook.setting (tenant, agent, name, value) select $1, $2, name, value from unnest($3::text[], $4::text[]) u (name, value)
			on conflict (tenant, agent, name) do update set value = excluded.value`, agent, names, values),
		revise)
}

// Exceptions returns all exceptions, by number.
func (d *Desk) Exceptions() (list []desk.Exception, err error) {
	err = d.all("list exceptions", func(scan func(...any) error) error {
		var e desk.Exception
		err := scan(&e.Number, &e.Agent, &e.Note, &e.Who, &e.Created)
		e.Created = e.Created.Local()
		list = append(list, e)
		return err
	}, "select number, agent, note, who, created from ringhook.exception where tenant = $1 order by number, agent")
	return list, err
}

// AddExceptions adds exceptions, or replaces those of the same number and agent. Of several for one, the last counts.
func (d *Desk) AddExceptions(list ...desk.Exception) error {
	var numbers, agents, notes, who []string
	var created []time.Time
	last := map[[2]string]int{}
	for i, e := range list {
		last[[2]string{e.Number, e.Agent}] = i
	}
	for i, e := range list {
		if last[[2]string{e.Number, e.Agent}] == i {
			numbers, agents, notes, who, created = append(numbers, e.Number), append(agents, e.Agent), append(notes, e.Note), append(who, e.Who), append(created, e.Created)
		}
	}
	return d.db.Write("add exceptions", nil, pgstore.Do(`insert into ringhook.exception (tenant, number, agent, note, who, created)
		select $1, number, agent, note, who, created from unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::timestamptz[]) u (number, agent, note, who, created)
		on conflict (tenant, number, agent) do update set note = excluded.note, who = excluded.who, created = excluded.created`, numbers, agents, notes, who, created), revise)
}

// RemoveException removes the exception of a number for an agent, or for all agents if agent is empty.
func (d *Desk) RemoveException(number, agent string) (removed bool, err error) {
	n, err := d.exec("remove an exception", pgstore.Do("delete from ringhook.exception where tenant = $1 and number = $2 and agent = $3", number, agent), revise)
	return n > 0, err
}

// SetNote stores the note of an agent about a call. An empty one removes it.
func (d *Desk) SetNote(n desk.Note) error {
	change := pgstore.Do(`insert into ringhook.note (tenant, call, agent, number, note, at) values ($1, $2, $3, $4, $5, $6)
		on conflict (tenant, call, agent) do update set number = $4, note = $5, at = $6`, n.Call, n.Agent, n.Number, n.Note, n.At)
	if n.Note == "" {
		change = pgstore.Do("delete from ringhook.note where tenant = $1 and call = $2 and agent = $3", n.Call, n.Agent)
	}
	_, err := d.exec("store a note", change)
	return err
}

const notes = "select call, agent, number, note, at from ringhook.note where tenant = $1"

// Notes returns the latest notes of an agent, the last first.
func (d *Desk) Notes(agent string, limit int) ([]desk.Note, error) {
	return d.notes(notes+" and agent = $2 order by at desc limit $3", agent, limit)
}

func (d *Desk) notes(query string, args ...any) (list []desk.Note, err error) {
	err = d.all("list notes", func(scan func(...any) error) error {
		var n desk.Note
		err := scan(&n.Call, &n.Agent, &n.Number, &n.Note, &n.At)
		n.At = n.At.Local()
		list = append(list, n)
		return err
	}, query, args...)
	return list, err
}

// Person returns what is stored about the holder of a number, given in all its spellings.
func (d *Desk) Person(numbers ...string) (p desk.Person, err error) {
	found, err := d.commands(commands+` and exists (select from unnest($2::text[]) w where position(w in detail) > 0 or position(w in result) > 0) order by id`, mention.Words(numbers))
	for _, c := range found {
		if mention.In([]byte(c.Detail), numbers) || mention.In([]byte(c.Result), numbers) {
			p.Commands = append(p.Commands, c)
		}
	}
	if err == nil {
		err = d.all("list the campaigns of a number", func(scan func(...any) error) error {
			var c desk.PersonCampaign
			c.CampaignNumber, err = scanNumber(scan, &c.Campaign)
			p.Campaigns = append(p.Campaigns, c)
			return err
		}, "select campaign, "+numberColumns+" from ringhook.campaign_number where tenant = $1 and number = any ($2::text[]) order by campaign, n", numbers)
	}
	if err == nil {
		p.Notes, err = d.notes(notes+" and number = any ($2::text[]) order by at", numbers)
	}
	if err != nil {
		return p, err
	}
	exceptions, err := d.Exceptions()
	p.Exceptions = slices.DeleteFunc(exceptions, func(e desk.Exception) bool { return !slices.Contains(numbers, e.Number) })
	return p, err
}

// Erase removes what is stored about the holder of a number, given in all its spellings. Nodes learn of it by Revision.
func (d *Desk) Erase(numbers ...string) (e desk.Erased, err error) {
	p, err := d.Person(numbers...)
	if err != nil {
		return e, err
	}
	ids := make([]int64, len(p.Commands))
	for i := range p.Commands {
		ids[i] = p.Commands[i].ID
	}
	err = d.db.Write("erase a number", nil,
		pgstore.Do("update ringhook.command set detail = '', result = '' where tenant = $1 and id = any ($2::bigint[])", ids),
		pgstore.Do("update ringhook.campaign_number set number = '', detail = '', state = 'done', result = 'erased' where tenant = $1 and number = any ($2::text[])", numbers),
		pgstore.Do("delete from ringhook.note where tenant = $1 and number = any ($2::text[])", numbers),
		pgstore.Do("delete from ringhook.exception where tenant = $1 and number = any ($2::text[])", numbers),
		pgstore.Do("insert into ringhook.revision as r (tenant, n, erased) values ($1, 1, 1) on conflict (tenant) do update set n = r.n + 1, erased = r.erased + 1"))
	if err == nil {
		e = desk.Erased{Commands: len(p.Commands), Numbers: len(p.Campaigns), Notes: len(p.Notes), Exceptions: len(p.Exceptions)}
	}
	return e, err
}
