package storetest

import (
	"testing"
	"time"

	"ringhook/store/desk"
)

// Accounts is a store of passwords, invitations and sessions under test.
type Accounts interface {
	Password(agent string) (hash string, found bool, err error)
	Invite(agent string, ends time.Time) (code string, err error)
	Invited(code string, now time.Time) (agent string, valid bool, err error)
	Accept(code, hash string, now time.Time) (agent string, accepted bool, err error)
	AddSession(s desk.Session) (secret string, err error)
	Session(secret string) (s desk.Session, found bool, err error)
	SessionUsed(secret string, when time.Time) error
	Sessions(agent string) ([]desk.Session, error)
	EndSession(secret string) error
	EndSessions(agent string) (n int, err error)
	EndSessionOf(agent, id string) (ended bool, err error)
	AddToken(t desk.Token) (token string, err error)
	RemoveToken(name string) (removed bool, err error)
	Revision() (desk.Revision, error)
	Tidy(now time.Time) error
}

// RunAccounts checks what a store of passwords, invitations and sessions promises. open returns an empty one that is
// closed when the test ends; reopen closes it and opens it again with what it holds.
func RunAccounts(t *testing.T, open func(t *testing.T) (d Accounts, reopen func() Accounts)) {
	now := newClock().now()
	t.Run("invitations", func(t *testing.T) {
		d, reopen := open(t)
		invitations(t, now, d, reopen)
	})
	t.Run("sessions", func(t *testing.T) {
		d, reopen := open(t)
		sessions(t, now, d, reopen)
	})
	t.Run("ends", func(t *testing.T) {
		d, _ := open(t)
		ends(t, now, d)
	})
}

// An invitation sets a password once, until it ends or a later one replaces it, and ends the agent's sessions.
func invitations(t *testing.T, now time.Time, d Accounts, reopen func() Accounts) {
	first, err := d.Invite("7", now.Add(time.Hour))
	second, err2 := d.Invite("7", now.Add(time.Hour))
	good(t, err, err2)
	d = reopen()
	for code, want := range map[string]bool{first: false, second: true, "": false, "x": false} {
		agent, valid, err := d.Invited(code, now)
		good(t, err)
		if valid != want || valid && agent != "7" {
			t.Errorf("invitation %q: %q %v", code, agent, valid)
		}
	}
	if _, valid, err := d.Invited(second, now.Add(time.Hour)); valid || err != nil {
		t.Errorf("an invitation after its end: %v %v", valid, err)
	}
	_, err = d.AddSession(desk.Session{Agent: "7", Created: now, Ends: now.Add(time.Hour)})
	good(t, err)
	for _, want := range []bool{true, false} {
		agent, accepted, err := d.Accept(second, "hash", now)
		good(t, err)
		if accepted != want || accepted && agent != "7" {
			t.Errorf("accept: %q %v, want %v", agent, accepted, want)
		}
	}
	d = reopen()
	hash, found, err := d.Password("7")
	good(t, err)
	if hash != "hash" || !found {
		t.Errorf("password: %q %v", hash, found)
	}
	if _, found, err := d.Password("8"); found || err != nil {
		t.Errorf("password of another agent: %v %v", found, err)
	}
	if list, err := d.Sessions("7"); len(list) != 0 || err != nil {
		t.Errorf("sessions from before the new password: %v %v", list, err)
	}
}

// A session is found by its secret until it ends, and is ended by its own agent alone.
func sessions(t *testing.T, now time.Time, d Accounts, reopen func() Accounts) {
	want := desk.Session{Agent: "7", Created: now.Local(), Used: now.Local(), Ends: now.Add(time.Hour).Local(), Address: "192.0.2.7", Browser: "Firefox"}
	secret, err := d.AddSession(want)
	_, err2 := d.AddSession(desk.Session{Agent: "8", Created: now.Add(-2 * time.Hour), Ends: now.Add(-time.Hour)})
	good(t, err, err2)
	d = reopen()
	got, found, err := d.Session(secret)
	good(t, err)
	if want.ID = got.ID; len(want.ID) != 16 {
		t.Errorf("id of a session: %q", want.ID)
	}
	same(t, "session", got, want)
	if !found {
		t.Error("the session is not found")
	}
	if _, found, err := d.Session("x"); found || err != nil {
		t.Errorf("an unknown session: %v %v", found, err)
	}
	good(t, d.SessionUsed(secret, now.Add(time.Minute)))
	want.Used = now.Add(time.Minute).Local()
	list, err := d.Sessions("")
	good(t, err)
	if len(list) != 2 {
		t.Errorf("all sessions: %v", list)
	}
	good(t, d.Tidy(now))
	list, err = d.Sessions("")
	good(t, err)
	same(t, "sessions that have not ended", list, []desk.Session{want})
	good(t, d.EndSession(secret))
	if _, found, err := d.Session(secret); found || err != nil {
		t.Errorf("after the sign-out: %v %v", found, err)
	}
	_, err = d.AddSession(want)
	good(t, err)
	list, err = d.Sessions("7")
	good(t, err)
	for agent, ended := range map[string]bool{"8": false, "7": true} {
		if got, err := d.EndSessionOf(agent, list[0].ID); got != ended || err != nil {
			t.Errorf("agent %s ends the session: %v %v", agent, got, err)
		}
	}
	_, err = d.AddSession(want)
	good(t, err)
	n, err := d.EndSessions("7")
	good(t, err)
	if n != 1 {
		t.Errorf("%d sessions ended", n)
	}
}

// Each end of a session or token before its time is seen by others, and nothing else is.
func ends(t *testing.T, now time.Time, d Accounts) {
	sign := func() string {
		secret, err := d.AddSession(desk.Session{Agent: "7", Created: now, Ends: now.Add(time.Hour)})
		good(t, err)
		return secret
	}
	seen := func(what string, want bool, change func() error) {
		t.Helper()
		before, err := d.Revision()
		good(t, err, change())
		after, err := d.Revision()
		good(t, err)
		if after.Ended > before.Ended != want || after.Personal != before.Personal {
			t.Errorf("%s: the revision was %+v and is %+v", what, before, after)
		}
	}
	code, err := d.Invite("7", now.Add(time.Hour))
	_, err2 := d.AddToken(desk.Token{Name: "crm", Rights: "administrator", Created: now})
	good(t, err, err2)
	secret := ""
	seen("sign in", false, func() error { secret = sign(); return nil })
	seen("use", false, func() error { return d.SessionUsed(secret, now) })
	seen("sign out", true, func() error { return d.EndSession(secret) })
	seen("sign out again", false, func() error { return d.EndSession(secret) })
	sign()
	seen("sign out everywhere", true, func() error { _, err := d.EndSessions("7"); return err })
	list, err := []desk.Session(nil), error(nil)
	seen("one of them", true, func() error {
		sign()
		if list, err = d.Sessions("7"); err == nil && len(list) == 1 {
			_, err = d.EndSessionOf("7", list[0].ID)
		}
		return err
	})
	sign()
	seen("new password", true, func() error { _, _, err := d.Accept(code, "hash", now); return err })
	seen("token", true, func() error { _, err := d.RemoveToken("crm"); return err })
	seen("no token", false, func() error { _, err := d.RemoveToken("crm"); return err })
}
