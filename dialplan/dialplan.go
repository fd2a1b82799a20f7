// Package dialplan implements the call points. It joins what Asterisk asks with
// what is known of the call, looks the caller up, keeps the event before the
// call is answered, and decides what may reach the channel.
//
// It guarantees one queue-hangup for each visit to a queue, one agent-hangup
// or agent-cancel for each ring, and one call-hangup for each call, whichever of the
// dialplan's places reports first and however often.
package dialplan

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"ringhook/fastagi"
	"ringhook/hooks"
	"ringhook/loglimit"
	"ringhook/lookup"
	"ringhook/lookup/number"
)

// maxCommitWait bounds how long a call waits for the disk. Past it the point
// is answered without a RINGHOOK_STATUS; the event may be kept all the same.
const maxCommitWait = 250 * time.Millisecond

// maxLockWait bounds how long a point waits for the call's lock. The lock is held
// while a transition is computed, and while the call is read: past it the disk is stuck.
const maxLockWait = 2 * maxCommitWait

// maxLate bounds how long the outcome of such a commit is waited for.
const maxLate = 10 * time.Second

// reserve is what a lookup leaves of the budget for the commit after it.
const reserve = 50 * time.Millisecond

// Dialplan answers the points of every call.
type Dialplan struct {
	current atomic.Pointer[current]
	swap    sync.RWMutex // between reading current and counting a session of it
	journal Journal
	calls   *registry
	log     *slog.Logger
	limited *loglimit.Limiter // for lines that every call can cause
	metrics *metrics
	now     func() time.Time
	maxWait time.Duration  // for a commit
	late    sync.WaitGroup // commits that no call waits for any more
	*lateAnswers
}

// current is what one session uses from its beginning to its end, whatever is
// exchanged meanwhile.
type current struct {
	*settings
	Parts
	sessions sync.WaitGroup
}

// Parts are what the points work with. They are exchanged together with the
// settings when the configuration is read again.
type Parts struct {
	Lookups *lookup.Service
	Hooks   *hooks.Dispatcher
	Numbers *number.Reader
	Waiting Waiting // nil without a manager interface
}

// New makes a dialplan that keeps its calls in journal.
func New(settings Settings, parts Parts, journal Journal, log *slog.Logger, reg prometheus.Registerer) *Dialplan {
	d := &Dialplan{journal: journal, calls: newRegistry(journal), log: log, metrics: newMetrics(reg), now: time.Now, maxWait: maxCommitWait, lateAnswers: newLateAnswers(), limited: loglimit.New(log, time.Minute)}
	d.current.Store(&current{settings: newSettings(settings), Parts: parts})
	d.initLate(parts)
	return d
}

// Exchange puts other settings in force, for every session that begins from now
// on. It returns a function that waits for the sessions that began before: they
// end with what they began with.
func (d *Dialplan) Exchange(settings Settings, parts Parts) (wait func()) {
	next := &current{settings: newSettings(settings), Parts: parts}
	d.initLate(parts)
	d.swap.Lock()
	defer d.swap.Unlock()
	return d.current.Swap(next).sessions.Wait
}

// enter returns what is in force, for a session. The session must call
// sessions.Done when it has ended.
func (d *Dialplan) enter() *current {
	d.swap.RLock()
	defer d.swap.RUnlock()
	cur := d.current.Load()
	cur.sessions.Add(1)
	return cur
}

// Serve answers one session. It is a fastagi.Handler.
func (d *Dialplan) Serve(s *fastagi.Session) {
	p := &pointSession{Dialplan: d, current: d.enter(), session: s}
	continued := false
	defer func() {
		if !continued {
			p.sessions.Done()
		}
	}()
	status, waits := p.run()
	if !waits {
		p.note(status)
		return
	}
	continued = true
	s.Continue(func() {
		defer p.sessions.Done()
		p.note(p.wait())
	})
}

// note records a session that is answered in the metrics, the trace and the log.
func (p *pointSession) note(status string) {
	took := time.Since(p.session.Started())
	if replied := p.session.Replied(); !replied.IsZero() {
		took = replied.Sub(p.session.Started()) // what Asterisk still says is no wait of the call's
	}
	p.metrics.session(Point(p.session.Env().Point), status, took)
	p.record(status, took)
	if p.Dialplan.log.Enabled(context.Background(), slog.LevelDebug) {
		p.Dialplan.log.Debug("point answered", p.about("status", status, "took", took, "callerid_kind", p.kind)...)
	}
}

// pointSession is one session on its way through the dialplan.
type pointSession struct {
	*Dialplan
	*current
	session    *fastagi.Session
	deadline   time.Time // of the point's budget
	request    *request
	id         Identity       // of the call
	numbers    *number.Reader // of the trunk's country
	kind       string         // of the caller's number, where it is one that no source is asked about
	entry      *entry         // of the call, while the turn is this session's
	transition *transition
	traced     traced
}

// about adds the attributes that name the point and its channel.
func (p *pointSession) about(args ...any) []any {
	env := p.session.Env()
	all := []any{"point", cut(env.Point, 64), "channel", cut(env.Channel, 128), "uniqueid", cut(env.UniqueID, 64)}
	if p.request != nil {
		all = append(all, "linkedid", cut(p.request.linkedid(), 64))
	}
	return append(all, args...)
}

// report logs a line at most once in a while: what one call causes, every call can cause.
// key distinguishes lines of the same message.
func (p *pointSession) report(level slog.Level, key, msg string, args ...any) {
	p.limited.Log(level, msg+"\x00"+cut(key, 200), msg, p.about(args...)...)
}

// run answers the session and returns the RINGHOOK_STATUS that it set, unless
// it has to wait for a lookup first.
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

// wait waits for the lookup, and answers the session then.
func (p *pointSession) wait() (status string) {
	p.awaitLookup()
	defer p.release()
	if err := p.resume(); err != nil {
		return p.unsafe(nil, err)
	}
	return p.complete()
}

// unsafe answers a session whose event is not safe.
func (p *pointSession) unsafe(vars []fastagi.Variable, err error) string {
	p.traced.err = "event not kept: " + err.Error()
	// Without the status the dialplan knows that it can ask another server.
	p.report(slog.LevelError, "", "event not kept, RINGHOOK_STATUS is not set", "err", err)
	return p.reply(vars, replyNone)
}

var errCountry = errors.New("country is not the code of a country: two capital letters such as RU are expected")

// refuse answers a point that the dialplan did not ask as it should.
func (p *pointSession) refuse(err error) string {
	p.traced.err = err.Error()
	p.report(slog.LevelWarn, err.Error(), "request rejected: fix the dialplan", "err", err)
	return p.reply(nil, replyError)
}

// hold sets the entry whose lock the session holds, and returns the one before.
func (p *pointSession) hold(e *entry) (before *entry) {
	before, p.entry = p.entry, e
	return before
}

// release unlocks the call after a panic: its other points must not be held up.
func (p *pointSession) release() {
	if p.entry != nil {
		p.calls.release(p.hold(nil), false)
	}
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
	here := p.request.channel()
	if e.call.contradicts(here) {
		if e, err = p.acquireOther(now, here); err != nil {
			return err
		}
		p.hold(e)
	}
	if e.call.First.UniqueID == "" && here.UniqueID == e.call.LinkedID {
		e.call.First = here
	}
	p.transition = &transition{request: p.request, call: e.call, settings: p.settings, now: now, numbers: p.numbers, wanted: p.Hooks.Wants}
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
	e, err := p.acquire(p.transition.now, p.deadline.Add(reserve))
	if err != nil {
		return err
	}
	p.hold(e)
	if p.transition.call != e.call {
		// The call was loaded again meanwhile, without what this session merged into it.
		p.transition.call = e.call
		p.transition.mergeChannel()
	}
	return nil
}

// complete keeps the event, and sends the channel what the lookup answered and the
// transition sets.
func (p *pointSession) complete() (status string) {
	var vars []fastagi.Variable
	status = replyOK
	if p.traced.pending != nil {
		answer := p.traced.pending.Answer()
		vars, status = p.filterAnswer(p.transition.call, answer)
		if answer.Outcome == lookup.Timeout {
			p.expectLate()
		}
	}
	p.transition.hungup = p.session.Hungup()
	p.request.spec.step(p.transition)
	ctx, cancel := context.WithTimeout(context.Background(), p.commitWait())
	defer cancel()
	c, err := p.queue(ctx, p.current, p.transition, p.entry)
	e := p.hold(nil)
	p.calls.unlock(e, err == nil)
	if err == nil {
		err = p.await(ctx, p.current, e, c)
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

// Close waits for commits that no call waits for any more, and for late answers. The sessions and
// CloseIdleCalls have ended by then.
func (d *Dialplan) Close() error {
	d.lateAnswers.close()
	d.late.Wait()
	d.limited.Close()
	return nil
}

// acquire waits for the call's turn. A journal that cannot be read costs what it
// knew of the call, not the call's event.
func (p *pointSession) acquire(now, deadline time.Time) (*entry, error) {
	if soon := time.Now().Add(maxLockWait); soon.Before(deadline) {
		deadline = soon
	}
	e, err := p.calls.acquire(p.id, now, deadline)
	if err != nil && e != nil {
		p.report(slog.LevelError, "", "cannot read call, continuing without its past", "err", err)
		err = nil
	}
	return e, err
}

// acquireOther locks a call of its own for a channel that contradicts the call of the
// same identity, and unlocks that one.
func (p *pointSession) acquireOther(now time.Time, here channel) (*entry, error) {
	p.calls.release(p.hold(nil), true)
	p.id.Asterisk = strings.TrimPrefix(p.id.Asterisk+"~"+here.Name, "~")
	e, err := p.acquire(now, p.deadline)
	if err == nil && e.call.First.UniqueID == "" {
		p.report(slog.LevelWarn, "", "two Asterisks use the same linkedid",
			"hint", "set systemname in each asterisk.conf, or give every point the argument server=NAME")
	}
	return e, err
}

func (p *pointSession) ask() *lookup.Pending {
	q := p.transition.question()
	q.Deadline = p.patience()
	return p.Lookups.Ask(q)
}

// patience returns the time until which a lookup is waited for.
func (p *pointSession) patience() time.Time { return p.deadline.Add(-min(reserve, p.budget/10)) }

// awaitLookup blocks until the answer is there, the caller hangs up or the time is over.
func (p *pointSession) awaitLookup() {
	err := p.session.Await(p.patience(), p.traced.pending.OnDone)
	if err != nil && !errors.Is(err, fastagi.ErrHangup) && !errors.Is(err, fastagi.ErrDeadline) {
		p.report(slog.LevelWarn, "", "connection lost during the lookup", "err", err)
	}
}

// Status returns the RINGHOOK_STATUS that a lookup's outcome sets: FOUND, NOTFOUND, STALE, TIMEOUT or ERROR.
func Status(o lookup.Outcome) string { return statuses[o] }

var statuses = map[lookup.Outcome]string{
	lookup.Found: replyFound, lookup.Missing: replyNotFound, lookup.Stale: replyStale,
	lookup.Timeout: replyTimeout, lookup.Failed: replyError,
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
	return vars, statuses[a.Outcome]
}

// pendingCommit is a commit that a session has to wait for.
type pendingCommit struct {
	commit Commit
	events []Accepted // of this session's record; none if the record is another session's
}

// queue queues the events and the call's state, in the order in which sessions hold
// the call's lock. It returns nil if there is nothing to wait for: no hook wants the
// events, so nothing is promised.
func (d *Dialplan) queue(ctx context.Context, cur *current, t *transition, e *entry) (*pendingCommit, error) {
	if !t.quiet {
		d.metrics.emitted(t.recorded)
	}
	if !cur.Hooks.Any() || t.quiet {
		return nil, nil
	}
	if !t.news && t.point != Lookup {
		// A repeat is answered OK only when what it repeats is safe.
		if last := e.last.Load(); last != nil {
			return &pendingCommit{commit: *last}, nil
		}
		return nil, nil
	}
	state, err := t.call.encode()
	if err != nil {
		return nil, err
	}
	r := Record{Call: t.call.id().Key(), State: state, Lineage: e.lineage}
	for i := range t.events {
		routes := cur.Hooks.Match(&t.events[i])
		t.countHooks(t.events[i].Name, len(routes))
		if len(routes) == 0 {
			continue
		}
		r.Events = append(r.Events, Accepted{Event: t.events[i], Hooks: routes})
	}
	if len(r.Events) == 0 {
		d.journal.KeepLater(r)
		return nil, nil
	}
	c, err := d.journal.Queue(ctx, r)
	if err != nil {
		return nil, err
	}
	e.last.Store(&c)
	return &pendingCommit{commit: c, events: r.Events}, nil
}

// await waits for a commit and leaves the entry when its outcome is known.
func (d *Dialplan) await(ctx context.Context, cur *current, e *entry, c *pendingCommit) error {
	if c == nil {
		d.calls.leave(e)
		return nil
	}
	due, err := c.commit.Wait(ctx)
	notifyHooks(cur.Hooks, c.events, due)
	if !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, context.Canceled) {
		d.settled(e, c)
		return err
	}
	d.late.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), maxLate)
		defer cancel()
		if _, err := c.commit.Wait(ctx); errors.Is(err, context.DeadlineExceeded) {
			d.log.Error("outcome of a late commit is not known", "linkedid", e.id.LinkedID, "err", err)
		}
		d.settled(e, c)
	})
	return err
}

// settled leaves an entry whose commit is over.
func (d *Dialplan) settled(e *entry, c *pendingCommit) {
	if last := e.last.Load(); last != nil && *last == c.commit {
		e.last.CompareAndSwap(last, nil)
	}
	d.calls.leave(e)
}

// notifyHooks hands over to the hooks what a commit added.
func notifyHooks(d *hooks.Dispatcher, events []Accepted, due []hooks.Delivery) {
	var routes []hooks.Route
	for i := range events {
		routes = append(routes, events[i].Hooks...)
	}
	d.Committed(routes, due)
}

func (p *pointSession) commitWait() time.Duration {
	left := time.Until(p.session.Started().Add(p.budget))
	return min(max(left, reserve), p.maxWait)
}

// reply sets the variables and, last of all, the status.
func (p *pointSession) reply(vars []fastagi.Variable, status string) string {
	if status != replyNone {
		vars = append(vars, fastagi.Variable{Name: statusVariable, Value: status})
	}
	shortened, err := p.session.Reply(vars)
	p.traced.set = vars
	for _, name := range shortened {
		p.metrics.refused.WithLabelValues(p.settings.label(name), "cut").Inc()
		p.report(slog.LevelWarn, name, "value shortened to what Asterisk takes", "variable", name)
	}
	if err != nil && !errors.Is(err, fastagi.ErrHangup) {
		p.traced.err = cmp.Or(p.traced.err, "answer not taken by Asterisk: "+err.Error())
		p.report(slog.LevelWarn, "", "answer not taken by Asterisk", "err", err)
	}
	return status
}
