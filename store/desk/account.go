package desk

import (
	"crypto/rand"
	"encoding/hex"
	"time"

	"ringhook/store/sqlite"
)

// Password returns the hash of an agent's password; found is false if the agent has none.
func (d *Desk) Password(agent string) (hash string, found bool, err error) {
	found, err = d.text("read a password", &hash, "select hash from account where agent = ?", agent)
	return hash, found, err
}

// text reads one text; found is false if there is none.
func (d *Desk) text(op string, into *string, query string, args ...any) (found bool, err error) {
	err = d.all(op, query, args, func(scan func(...any) error) error {
		found = true
		return scan(into)
	})
	return found, err
}

// Invite makes a code with which an agent sets a password, once and before it ends. Earlier codes of the agent
// become invalid.
func (d *Desk) Invite(agent string, ends time.Time) (code string, err error) {
	code = RandomText(20)
	return code, d.write("invite an agent", func(c *sqlite.Conn) error {
		if _, err := c.Exec("delete from invitation where agent = ?", agent); err != nil {
			return err
		}
		_, err := c.Exec("insert into invitation (hash, agent, ends_ms) values (?, ?, ?)", HashOf(code), agent, ends.UnixMilli())
		return err
	})
}

// Invited returns the agent of a code that is still valid, and leaves it valid.
func (d *Desk) Invited(code string, now time.Time) (agent string, valid bool, err error) {
	valid, err = d.text("read an invitation", &agent, "select agent from invitation where hash = ? and ends_ms > ?", HashOf(code), now.UnixMilli())
	return agent, valid, err
}

// Accept uses a code up: it sets the password of its agent and signs the agent out everywhere. accepted is false if
// the code is not valid, or has just been used.
func (d *Desk) Accept(code, hash string, now time.Time) (agent string, accepted bool, err error) {
	err = d.write("accept an invitation", func(c *sqlite.Conn) error {
		if accepted, err = c.One("select agent from invitation where hash = ? and ends_ms > ?", []any{HashOf(code), now.UnixMilli()}, &agent); err != nil || !accepted {
			return err
		}
		for _, step := range []struct {
			query string
			args  []any
		}{
			{"delete from invitation where agent = ?", []any{agent}},
			{"update revision set ended = ended + 1 where exists (select 1 from session where agent = ?)", []any{agent}},
			{"delete from session where agent = ?", []any{agent}},
			{"insert or replace into account (agent, hash, changed_ms) values (?, ?, ?)", []any{agent, hash, now.UnixMilli()}},
		} {
			if _, err := c.Exec(step.query, step.args...); err != nil {
				return err
			}
		}
		return nil
	})
	return agent, accepted && err == nil, err
}

// Session is an agent who is signed in.
type Session struct {
	ID      string    `json:"id"` // names it among those of the agent; it is no secret
	Agent   string    `json:"agent"`
	Created time.Time `json:"created"`
	Used    time.Time `json:"used"` // at most a minute old
	Ends    time.Time `json:"ends"`
	Address string    `json:"address"`
	Browser string    `json:"browser"`
}

// AddSession stores a session, and returns its secret. It cannot be read again. Of the agent's sessions the latest
// MaxSessions stay.
func (d *Desk) AddSession(s Session) (secret string, err error) {
	secret = RandomText(32)
	return secret, d.write("sign in", func(c *sqlite.Conn) error {
		_, err := c.Exec("insert into session (hash, agent, created_ms, used_ms, ends_ms, address, browser) values (?, ?, ?, ?, ?, ?, ?)",
			HashOf(secret), s.Agent, s.Created.UnixMilli(), s.Created.UnixMilli(), s.Ends.UnixMilli(), s.Address, s.Browser)
		if err == nil {
			_, err = c.Exec("delete from session where agent = ?1 and hash <> ?3 and hash not in (select hash from session where agent = ?1 order by created_ms desc limit ?2)", s.Agent, MaxSessions, HashOf(secret))
		}
		return err
	})
}

const sessions = "select hash, agent, created_ms, used_ms, ends_ms, address, browser from session"

// Session returns the session of a secret; found is false if there is none. It may have ended.
func (d *Desk) Session(secret string) (s Session, found bool, err error) {
	err = d.all("read a session", sessions+" where hash = ?", []any{HashOf(secret)}, func(scan func(...any) error) error {
		found = true
		s, err = scanSession(scan)
		return err
	})
	return s, found, err
}

// SessionUsed stores when a session was used.
func (d *Desk) SessionUsed(secret string, when time.Time) error {
	_, err := d.exec("note the use of a session", "update session set used_ms = ?2 where hash = ?1", HashOf(secret), when.UnixMilli())
	return err
}

// Sessions returns the sessions of an agent, or of all for "", the latest first.
func (d *Desk) Sessions(agent string) (list []Session, err error) {
	err = d.all("list sessions", sessions+" where ?1 = '' or agent = ?1 order by created_ms desc", []any{agent}, func(scan func(...any) error) error {
		s, err := scanSession(scan)
		list = append(list, s)
		return err
	})
	return list, err
}

// EndSession signs a session out.
func (d *Desk) EndSession(secret string) error {
	_, err := d.end("sign out", "delete from session where hash = ?", HashOf(secret))
	return err
}

// EndSessions signs an agent out everywhere, and returns the number of sessions.
func (d *Desk) EndSessions(agent string) (n int, err error) {
	return d.end("sign out everywhere", "delete from session where agent = ?", agent)
}

// EndSessionOf signs an agent out of the session of an id.
func (d *Desk) EndSessionOf(agent, id string) (ended bool, err error) {
	n, err := d.end("sign out there", "delete from session where agent = ? and lower(hex(substr(hash, 1, 8))) = ?", agent, id)
	return n > 0, err
}

// tidyAccounts removes what has ended.
func tidyAccounts(c *sqlite.Conn, now time.Time) error {
	for _, query := range []string{"delete from session where ends_ms < ?", "delete from invitation where ends_ms < ?"} {
		if _, err := c.Exec(query, now.UnixMilli()); err != nil {
			return err
		}
	}
	return nil
}

func scanSession(scan func(...any) error) (s Session, err error) {
	var hash []byte
	var created, used, ends int64
	if err = scan(&hash, &s.Agent, &created, &used, &ends, &s.Address, &s.Browser); err != nil {
		return s, err
	}
	s.ID = SessionID(hash)
	s.Created, s.Used, s.Ends = time.UnixMilli(created), time.UnixMilli(used), time.UnixMilli(ends)
	return s, nil
}

// SessionID returns the id of the session of a hash.
func SessionID(hash []byte) string { return hex.EncodeToString(hash[:min(8, len(hash))]) }

// RandomText returns a number of random bytes in hexadecimal digits.
func RandomText(n int) string {
	b := make([]byte, n)
	rand.Read(b)
	return hex.EncodeToString(b)
}
