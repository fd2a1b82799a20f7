package dialplan

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"ringhook/fastagi"
	"ringhook/lookup"
	"ringhook/lookup/number"
)

// lockWait returns the maximum time that a point waits for the call's lock. The lock is held only
// while a transition is computed and the call is read, so after that time the disk does not answer.
func (d *Dialplan) lockWait() time.Duration { return 2 * d.maxWait }

// pointSession is the state of one session.
type pointSession struct {
	*Dialplan
	*current
	session    *fastagi.Session
	deadline   time.Time // of the point's budget
	request    *request
	id         Identity       // of the call
	numbers    *number.Reader // for the trunk's country
	kind       string         // of the caller's number, if no source is asked about it
	entry      *entry         // of the call, while this session holds its lock
	transition *transition
	traced     traced
}

// run answers the session and returns the RINGHOOK_STATUS that it set. If waits is true, the session is
// not answered: it has to wait for a lookup first.
func (p *pointSession) run() (status string, waits bool) {
	env := p.session.Env()
	req, err := parseRequest(env, p.variables)
	if err != nil {
		return p.refuse(err), false
	}
	p.request = req
	var known bool
	if p.numbers, known = p.Numbers.In(req.args[countryArgument]); !known {
		return p.refuse(errCountry), false
	}
	if !number.IsCharset(req.args[charsetArgument]) {
		return p.refuse(errCharset), false
	}
	p.deadline = p.session.Started().Add(p.budget)
	if err := req.read(p.session, p.deadline, p.calls); err != nil {
		p.traced.err = err.Error()
		p.report(slog.LevelError, "", "reading channel variables failed", "err", err)
		p.session.Fail()
		return replyNone, false
	}
	defer p.release()
	if err := p.begin(); err != nil {
		return p.unsafe(nil, err), false
	}
	if pending := p.traced.pending; pending != nil && !pending.Done() {
		p.calls.release(p.hold(nil), true)
		return "", true
	}
	return p.complete(), false
}

// wait waits for the lookup and then answers the session.
func (p *pointSession) wait() (status string) {
	p.awaitLookup()
	defer p.release()
	if err := p.resume(); err != nil {
		return p.unsafe(nil, err)
	}
	return p.complete()
}

// begin locks the call, and starts the lookups of the point.
func (p *pointSession) begin() error {
	now := p.now()
	p.id = p.request.identity()
	e, err := p.acquire(now, p.deadline)
	if err != nil {
		return err
	}
	p.hold(e)
	p.id.Asterisk = cmp.Or(p.id.Asterisk, e.id.Asterisk) // another Asterisk's call may be the latest after a lookup
	here := p.request.channel(p.session.Peer())
	if slices.Contains(p.request.asked, "server") {
		p.calls.note(e, here)
	}
	other := e.call.twinOf(here, p.request.args["connected"])
	if other == "" && e.call.contradicts(here) {
		if p.request.quiet {
			other = e.call.separate(here)
		} else {
			other = p.separate(e, here)
		}
	}
	if other != "" {
		if e, err = p.acquireOther(now, other); err != nil {
			return err
		}
	}
	if e, err = p.beforeTransfer(now, e); err != nil {
		return err
	}
	e.call.meet(here)
	p.transition = p.onCall(e.call, now)
	e.call.points++
	p.traced.nth = e.call.points
	p.transition.mergeChannel()
	p.kind = e.call.text("callerid_kind")
	if p.Lookups.Wants(string(p.request.point)) {
		p.traced.pending = p.ask()
	}
	return nil
}

// resume locks the call again after a lookup.
func (p *pointSession) resume() error {
	e, err := p.acquire(p.transition.now, p.deadline.Add(p.minWait))
	if err != nil {
		return err
	}
	p.hold(e)
	if p.transition.call != e.call {
		// The call has been loaded again since, without the changes of this session.
		p.transition.call = e.call
		p.transition.mergeChannel()
	}
	return nil
}

// onCall returns the transition of the point on a state of its call.
func (p *pointSession) onCall(c *call, now time.Time) *transition {
	return &transition{request: p.request, call: c, settings: p.settings, now: now, numbers: p.numbers, wanted: p.wanted()}
}

// complete stores the events, and sets the variables of the lookup's answer and of the transition.
func (p *pointSession) complete() (status string) {
	var vars []fastagi.Variable
	var answer *lookup.Answer
	status = replyOK
	if p.traced.pending != nil {
		a := p.traced.pending.Answer()
		answer = &a
		vars, status = p.filterAnswer(p.transition.call, a)
		p.transition.call.look(a.Outcome)
		if a.Outcome == lookup.Timeout {
			p.expectLate()
		}
	}
	p.transition.hungup = p.session.Hungup()
	p.request.spec.step(p.transition)
	deadline := time.Now().Add(p.commitWait())
	c, err := p.queue(context.Background(), deadline, p.current, p.transition, p.entry, p.again(answer))
	e := p.hold(nil)
	p.calls.unlock(e, err == nil)
	if err == nil {
		var made *transition
		if made, err = p.await(context.Background(), deadline, p.current, e, c); made != nil {
			p.transition = made
		}
	} else {
		p.calls.leave(e)
	}
	p.traced.recorded = p.transition.recorded
	if err != nil {
		p.transition.vars = slices.DeleteFunc(p.transition.vars, isEndMarker)
	}
	vars = append(vars, p.transition.vars...)
	if err != nil {
		return p.unsafe(vars, err)
	}
	return p.reply(vars, status)
}

// again returns the step of the point, with the answer of its lookup, for a newer state of the call.
func (p *pointSession) again(answer *lookup.Answer) step {
	here, first := p.request.channel(p.session.Peer()), p.transition
	return func(c *call) *transition {
		t := p.onCall(c, first.now)
		c.meet(here)
		t.mergeChannel()
		if answer != nil {
			p.settings.filterAnswer(c, answer.Vars)
			c.look(answer.Outcome)
		}
		t.hungup = first.hungup
		t.spec.step(t)
		return t
	}
}

// hold sets the entry whose lock the session holds, and returns the previous one.
func (p *pointSession) hold(e *entry) (before *entry) {
	before, p.entry = p.entry, e
	return before
}

// release unlocks the call after a panic, so that its other points do not wait.
func (p *pointSession) release() {
	if p.entry != nil {
		p.calls.release(p.hold(nil), false)
	}
}

// acquire locks the call. If the journal cannot be read, the call starts with an empty state, so that
// its event is not lost.
func (p *pointSession) acquire(now, deadline time.Time) (*entry, error) {
	if soon := time.Now().Add(p.lockWait()); soon.Before(deadline) {
		deadline = soon
	}
	e, err := p.calls.acquire(p.id, now, deadline)
	if err != nil && e != nil {
		p.report(slog.LevelError, "", "cannot read call, continuing without its past", "err", err)
		err = nil
	}
	return e, err
}

// beforeTransfer locks the call in which a ring began whose end a point reports in another one, instead of that; e if there is
// none. A phone that asks a colleague by a second call, and transfers the caller by REFER with Replaces, has Asterisk join both
// calls: the colleague's channel has the linkedid of the older one then, while its ring is that of the consultation. Its marker
// begins with the id of the channel that called, which is the linkedid of such a call.
func (p *pointSession) beforeTransfer(now time.Time, e *entry) (*entry, error) {
	switch p.request.point {
	case AgentHangup, AgentCancel, AgentDialoutHangup:
	default:
		return e, nil
	}
	m, ended, marked := parseMarker(p.request.args["ring"])
	after, before := p.id, Identity{LinkedID: m.UniqueID, Asterisk: e.id.Asterisk}
	if !marked || ended || before.LinkedID == e.id.LinkedID || e.call.ringOf(m) != nil {
		return e, nil
	}
	known, err := p.calls.has(before, p.deadline)
	if err != nil {
		p.report(slog.LevelError, "", "cannot read the call before a transfer", "err", err)
	}
	if !known {
		return e, nil
	}
	if e, err = p.change(now, before); err == nil && e.call.ringOf(m) == nil {
		e, err = p.change(now, after)
	}
	return e, err
}

// change unlocks the call and locks another one.
func (p *pointSession) change(now time.Time, to Identity) (*entry, error) {
	p.calls.release(p.hold(nil), true)
	p.id = to
	e, err := p.acquire(now, p.deadline)
	if err == nil {
		p.hold(e)
	}
	return e, err
}

// acquireOther unlocks the call and locks the one that another Asterisk has under the same identity.
func (p *pointSession) acquireOther(now time.Time, asterisk string) (*entry, error) {
	e, err := p.change(now, Identity{LinkedID: p.id.LinkedID, Asterisk: asterisk})
	if err == nil && e.call.First.UniqueID == "" {
		p.report(slog.LevelWarn, "", "two Asterisks use the same linkedid",
			"hint", "set systemname in each asterisk.conf, or give every point the argument server=NAME")
	}
	return e, err
}

// reserve is the part of the budget that a lookup leaves for the commit.
const reserve = 50 * time.Millisecond

func (p *pointSession) ask() *lookup.Pending {
	q := p.transition.question()
	q.Deadline = p.patience()
	return p.Lookups.Ask(q)
}

// patience returns the time until which the session waits for a lookup.
func (p *pointSession) patience() time.Time { return p.deadline.Add(-min(reserve, p.budget/10)) }

// awaitLookup waits until the lookup has an answer, the caller hangs up or the time is over.
func (p *pointSession) awaitLookup() {
	err := p.session.Await(p.patience(), p.traced.pending.OnDone)
	if err != nil && !errors.Is(err, fastagi.ErrHangup) && !errors.Is(err, fastagi.ErrDeadline) {
		p.report(slog.LevelWarn, "", "connection lost during the lookup", "err", err)
	}
}

func (p *pointSession) filterAnswer(c *call, a lookup.Answer) ([]fastagi.Variable, string) {
	vars, refused := p.settings.filterAnswer(c, a.Vars)
	p.traced.refused = refused
	for _, r := range refused {
		p.metrics.refused.WithLabelValues(p.settings.label(r.name), r.reason).Inc()
	}
	if len(refused) > 0 {
		first := refused[0]
		p.report(slog.LevelWarn, a.Source, "variable of an answer refused",
			"lookup", a.Source, "variable", cut(clean(first.name), 64), "reason", first.reason, "refused", len(refused))
	}
	return p.transition.nameForm().shape(vars), statuses[a.Outcome]
}
