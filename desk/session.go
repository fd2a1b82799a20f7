package desk

import (
	"context"
	"errors"
	"net/http"
	"time"

	"ringhook/control"
	"ringhook/dialplan"
	"ringhook/pops"
	"ringhook/store/browse"
	accounts "ringhook/store/desk"
)

const (
	// idleTime is the time after which a session ends in which nothing but its streams is used.
	idleTime = 2 * time.Hour
	// noteEvery is the accuracy with which the use of a session is stored.
	noteEvery = time.Minute
	// signInTime is the maximum time that a sign-in waits for its turn.
	signInTime = 20 * time.Second
)

// visitor is who sends a request.
type visitor struct {
	agent   dialplan.Agent // its id is empty for a token that names no agent
	name    string         // in records of commands
	secret  string         // of the session's cookie; empty for a token or a proxy
	session accounts.Session
	token   string         // of a program; empty for a person
	actor   *control.Actor // what the token allows; nil for a person
	proxied bool           // signed in at a trusted proxy
}

// cookieName is the name of the session's cookie. Browsers accept the prefix __Host- only from https, and then from this
// host alone.
func (c *current) cookieName() string {
	if c.url.Scheme == "https" {
		return "__Host-ringhook"
	}
	return "ringhook"
}

func (c *current) cookie(value string, age time.Duration) *http.Cookie {
	return &http.Cookie{
		Name: c.cookieName(), Value: value, Path: "/", MaxAge: int(age / time.Second), HttpOnly: true, Secure: c.url.Scheme == "https",
		// Lax, so that a link in the CRM finds the agent signed in. Requests that change something are checked for their origin.
		SameSite: http.SameSiteLaxMode,
	}
}

// visitor returns the agent who sends a request, nil if the request has neither a session that is valid nor the token of an
// agent, and no trusted proxy names an agent.
func (d *Desk) visitor(r *http.Request) (*visitor, error) {
	me, err := d.sender(r)
	if me != nil && me.agent.ID == "" {
		return nil, err
	}
	return me, err
}

// sender is visitor for routes that tokens without an agent may use.
func (d *Desk) sender(r *http.Request) (*visitor, error) {
	if token := bearer(r); token != "" {
		return d.byToken(r, token)
	}
	cur := d.current.Load()
	if me := cur.byProxy(r); me != nil {
		return me, nil
	}
	cookie, err := r.Cookie(cur.cookieName())
	if err != nil || cookie.Value == "" || len(cookie.Value) > 128 {
		return nil, nil
	}
	me := &visitor{secret: cookie.Value}
	valid, err := d.check(me)
	if err != nil || !valid {
		return nil, err
	}
	return me, nil
}

// check reads the session of a visitor, and reports whether it is valid.
func (d *Desk) check(me *visitor) (valid bool, err error) {
	found := false
	if me.session, found, err = d.accounts.Session(me.secret); err != nil || !found {
		return false, err
	}
	now := time.Now()
	me.agent, found = d.agent(me.session.Agent)
	me.name = "agent " + me.agent.ID
	return found && now.Before(me.session.Ends) && now.Sub(me.session.Used) < idleTime, nil
}

// valid reports whether the session of an open stream still is. A store that does not answer ends no stream.
func (d *Desk) valid(me *visitor) bool {
	if me.proxied {
		_, valid := d.agent(me.agent.ID)
		return valid
	}
	if me.token != "" {
		t, found, err := d.accounts.Token(me.token)
		return err != nil || found && t.Agent == me.agent.ID
	}
	again := *me
	valid, err := d.check(&again)
	return valid || err != nil
}

// used notes that a session is used.
func (d *Desk) used(me *visitor) {
	if now := time.Now(); me.secret != "" && now.Sub(me.session.Used) > noteEvery {
		if err := d.accounts.SessionUsed(me.secret, now); err != nil {
			d.limited.Warn("used", "cannot note the use of a session", "err", err)
		}
	}
}

// signIn checks a password. It returns the outcome for the metric.
func (d *Desk) signIn(ctx context.Context, agent, password, address string) (outcome string) {
	now := time.Now()
	_, known := d.agent(agent)
	names := d.throttle
	if known {
		names = d.guessed // names that others make up leave no agent without a count of its own
	}
	if address != "" && d.throttle.refuses("address "+address, now) || names.refuses("agent "+agent, now) {
		return throttled
	}
	ctx, cancel := context.WithTimeout(ctx, signInTime)
	defer cancel()
	hash, found, err := d.accounts.Password(agent)
	if !found || !known {
		hash, found = noHash, false
	}
	matches := false
	if err == nil && len(password) <= maxPassword {
		matches, err = d.hashers.matches(ctx, password, hash)
	}
	switch {
	case err != nil:
		d.limited.Error("password", "sign-in failed", "err", err)
		return failure(err)
	case matches && found:
		return signedIn
	}
	d.throttle.fail("address "+address, now)
	names.fail("agent "+agent, now)
	return wrong
}

// failure returns the outcome of a sign-in that failed by an error of the store.
func failure(err error) (outcome string) {
	if errors.Is(err, browse.ErrAway) {
		return away
	}
	return failed
}

// The outcomes of an invitation, beside throttled, failed and away.
const (
	accepted    = "accepted"
	badPassword = "bad password"
	notInvited  = "not invited"
)

// acceptInvitation sets the password of an invited agent, and signs the agent in.
func (d *Desk) acceptInvitation(w http.ResponseWriter, r *http.Request, code, password string) (agent, outcome string) {
	now := time.Now()
	agent, valid, err := d.accounts.Invited(code, now)
	_, known := d.agent(agent)
	switch {
	case err == nil && (!valid || !known):
		if d.guesses("invite " + d.addressOf(r)) {
			return "", throttled
		}
		return "", notInvited
	case err == nil && !acceptable(password):
		return agent, badPassword
	}
	var hash string
	valid = false
	if err == nil {
		hash, err = d.hashers.hash(r.Context(), password)
	}
	if err == nil {
		_, valid, err = d.accounts.Accept(code, hash, now)
	}
	if err == nil && valid {
		err = d.begin(w, r, agent)
	}
	switch {
	case err != nil:
		d.limited.Error("accept", "cannot accept an invitation", "err", err)
		return "", failure(err)
	case !valid:
		return "", notInvited
	}
	d.metrics.signIns.WithLabelValues(signedIn).Inc()
	return agent, accepted
}

// begin starts a session and sets its cookie.
func (d *Desk) begin(w http.ResponseWriter, r *http.Request, agent string) error {
	cur, now := d.current.Load(), time.Now()
	secret, err := d.accounts.AddSession(accounts.Session{
		Agent: agent, Created: now, Ends: now.Add(cur.Config.Session), Address: d.addressOf(r), Browser: pops.Clean(r.UserAgent(), 200),
	})
	if err != nil {
		return err
	}
	http.SetCookie(w, cur.cookie(secret, cur.Config.Session))
	return nil
}
