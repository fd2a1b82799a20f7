package desk

import (
	"time"

	"ringhook/pgstore"
	"ringhook/store/desk"
)

// Password returns the hash of an agent's password; found is false if the agent has none.
func (d *Desk) Password(agent string) (hash string, found bool, err error) {
	err = d.all("read a password", func(scan func(...any) error) error {
		found = true
		return scan(&hash)
	}, "select hash from ringhook.password where tenant = $1 and agent = $2", agent)
	return hash, found, err
}

// Invite makes a code with which an agent sets a password, once and before it ends. Earlier codes of the agent become invalid.
func (d *Desk) Invite(agent string, ends time.Time) (code string, err error) {
	code = desk.RandomText(20)
	_, err = d.exec("invite an agent",
		pgstore.Do("delete from ringhook.invitation where tenant = $1 and agent = $2", agent),
		pgstore.Do("insert into ringhook.invitation (tenant, hash, agent, ends) values ($1, $2, $3, $4)", desk.HashOf(code), agent, ends))
	return code, err
}

// Invited returns the agent of a code that is still valid, and leaves it valid.
func (d *Desk) Invited(code string, now time.Time) (agent string, valid bool, err error) {
	err = d.all("read an invitation", func(scan func(...any) error) error {
		valid = true
		return scan(&agent)
	}, "select agent from ringhook.invitation where tenant = $1 and hash = $2 and ends > $3", desk.HashOf(code), now)
	return agent, valid, err
}

// Of two who use a code at once, the second finds that its row is gone.
const accept = `with used as (
		delete from ringhook.invitation where tenant = $1 and agent = (select agent from ringhook.invitation where tenant = $1 and hash = $2 and ends > $3)
		returning agent, hash
	), accepted as (
		insert into ringhook.password (tenant, agent, hash, changed) select $1, agent, $4, $3 from used where hash = $2
		on conflict (tenant, agent) do update set hash = excluded.hash, changed = excluded.changed returning agent
	), gone as (
		delete from ringhook.session where tenant = $1 and agent in (select agent from accepted) returning 1
	), revised as (
		insert into ringhook.revision as r (tenant, ended) select $1, 1 where exists (select from gone) on conflict (tenant) do update set ended = r.ended + 1
	)
	select agent from accepted`

// Accept uses a code up: it sets the password of its agent and signs the agent out everywhere. accepted is false if the code
// is not valid, or has just been used.
func (d *Desk) Accept(code, hash string, now time.Time) (agent string, accepted bool, err error) {
	var name string
	accepted, err = d.one("accept an invitation", pgstore.Do(accept, desk.HashOf(code), now, hash), &name)
	if err != nil {
		return "", false, err
	}
	return name, accepted, nil
}

// AddSession stores a session, and returns its secret. It cannot be read again. Of the agent's sessions the latest
// desk.MaxSessions stay.
func (d *Desk) AddSession(s desk.Session) (secret string, err error) {
	secret = desk.RandomText(32)
	_, err = d.exec("sign in",
		pgstore.Do("insert into ringhook.session (tenant, hash, agent, created, used, ends, address, browser) values ($1, $2, $3, $4, $4, $5, $6, $7)",
			desk.HashOf(secret), s.Agent, s.Created, s.Ends, s.Address, s.Browser),
		pgstore.Do(`delete from ringhook.session where tenant = $1 and agent = $2 and hash <> $4
			and hash not in (select hash from ringhook.session where tenant = $1 and agent = $2 order by created desc limit $3)`, s.Agent, desk.MaxSessions, desk.HashOf(secret)))
	return secret, err
}

const sessions = "select hash, agent, created, used, ends, address, browser from ringhook.session where tenant = $1"

// Session returns the session of a secret; found is false if there is none. It may have ended.
func (d *Desk) Session(secret string) (s desk.Session, found bool, err error) {
	err = d.all("read a session", func(scan func(...any) error) error {
		found = true
		s, err = scanSession(scan)
		return err
	}, sessions+" and hash = $2", desk.HashOf(secret))
	return s, found, err
}

// SessionUsed stores when a session was used.
func (d *Desk) SessionUsed(secret string, when time.Time) error {
	_, err := d.exec("note the use of a session", pgstore.Do("update ringhook.session set used = $3 where tenant = $1 and hash = $2", desk.HashOf(secret), when))
	return err
}

// Sessions returns the sessions of an agent, or of all for "", the latest first.
func (d *Desk) Sessions(agent string) (list []desk.Session, err error) {
	err = d.all("list sessions", func(scan func(...any) error) error {
		s, err := scanSession(scan)
		list = append(list, s)
		return err
	}, sessions+" and ($2 = '' or agent = $2) order by created desc", agent)
	return list, err
}

// end removes sessions or tokens before their time, and returns their number. Nodes learn of it by Revision.
func (d *Desk) end(op, remove string, args ...any) (n int, err error) {
	_, err = d.one(op, pgstore.Do(`with gone as (`+remove+` returning 1), revised as (
			insert into ringhook.revision as r (tenant, ended) select $1, 1 where exists (select from gone) on conflict (tenant) do update set ended = r.ended + 1
		) select count(*) from gone`, args...), &n)
	if err != nil {
		return 0, err
	}
	return n, nil
}

// EndSession signs a session out.
func (d *Desk) EndSession(secret string) error {
	_, err := d.end("sign out", "delete from ringhook.session where tenant = $1 and hash = $2", desk.HashOf(secret))
	return err
}

// EndSessions signs an agent out everywhere, and returns the number of sessions.
func (d *Desk) EndSessions(agent string) (n int, err error) {
	return d.end("sign out everywhere", "delete from ringhook.session where tenant = $1 and agent = $2", agent)
}

// EndSessionOf signs an agent out of the session of an id.
func (d *Desk) EndSessionOf(agent, id string) (ended bool, err error) {
	n, err := d.end("sign out there", "delete from ringhook.session where tenant = $1 and agent = $2 and encode(substring(hash from 1 for 8), 'hex') = $3", agent, id)
	return n > 0, err
}

func scanSession(scan func(...any) error) (s desk.Session, err error) {
	var hash []byte
	if err = scan(&hash, &s.Agent, &s.Created, &s.Used, &s.Ends, &s.Address, &s.Browser); err != nil {
		return s, err
	}
	s.ID = desk.SessionID(hash)
	s.Created, s.Used, s.Ends = s.Created.Local(), s.Used.Local(), s.Ends.Local()
	return s, nil
}
