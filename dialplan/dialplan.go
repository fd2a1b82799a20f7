// Package dialplan implements the call points. It merges each request of Asterisk into the state of
// the call, looks the caller up, stores the events before it answers, and decides which variables
// may reach the channel.
//
// It guarantees one queue-hangup for each visit to a queue, one agent-hangup or agent-cancel for
// each ring, and one call-hangup for each call, in whatever order and however often the dialplan
// reports them.
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

// maxCommitWait is the maximum time that a call waits for the disk. After it the point is answered
// without a RINGHOOK_STATUS. The event may still be stored.
const maxCommitWait = 250 * time.Millisecond

// maxLockWait is the maximum time that a point waits for the call's lock. The lock is held only
// while a transition is computed and the call is read, so after that time the disk does not answer.
const maxLockWait = 2 * maxCommitWait

// maxLate is the maximum time for which the outcome of a commit is awaited in the background.
const maxLate = 10 * time.Second

// reserve is the part of the budget that a lookup leaves for the commit.
const reserve = 50 * time.Millisecond

// Dialplan answers the points of all calls. Its methods may be called concurrently.
type Dialplan struct {
	current atomic.Pointer[current]
	swap    sync.RWMutex // held while current is read and its session counted
	journal Journal
	calls   *registry
	log     *slog.Logger
	limited *loglimit.Limiter // for log lines that every call can cause
	metrics *metrics
	now     func() time.Time
	maxWait time.Duration  // maxCommitWait, except in tests
	late    sync.WaitGroup // commits for which no call waits any longer
	*lateAnswers
}

// current holds the settings and parts that a session uses until its end, also after Exchange.
type current struct {
	*settings
	Parts
	sessions sync.WaitGroup
}

// Parts are the other components that the points use. Exchange replaces them together with the
// settings.
type Parts struct {
	Lookups *lookup.Service
	Hooks   *hooks.Dispatcher
	Numbers *number.Reader
	Waiting Waiting // nil without a manager interface
}

// New returns a dialplan that stores its calls in journal.
func New(settings Settings, parts Parts, journal Journal, log *slog.Logger, reg prometheus.Registerer) *Dialplan {
	d := &Dialplan{journal: journal, calls: newRegistry(journal), log: log, metrics: newMetrics(reg), now: time.Now, maxWait: maxCommitWait, lateAnswers: newLateAnswers(), limited: loglimit.New(log, time.Minute)}
	d.current.Store(&current{settings: newSettings(settings), Parts: parts})
	d.initLate(parts)
	return d
}

// Exchange replaces settings and parts for the sessions that begin after it. It returns a function
// that waits for the earlier sessions, which keep the old ones.
func (d *Dialplan) Exchange(settings Settings, parts Parts) (wait func()) {
	next := &current{settings: newSettings(settings), Parts: parts}
	d.initLate(parts)
	d.swap.Lock()
	defer d.swap.Unlock()
	return d.current.Swap(next).sessions.Wait
}

// enter returns the current settings and parts for a session. The session must call sessions.Done at
// its end.
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

// note records an answered session in the metrics, the trace and the log.
func (p *pointSession) note(status string) {
	took := time.Since(p.session.Started())
	if replied := p.session.Replied(); !replied.IsZero() {
		took = replied.Sub(p.session.Started()) // the call no longer waits for what Asterisk sends after the reply
	}
	p.metrics.session(Point(p.session.Env().Point), status, took)
	p.record(status, took)
	if p.Dialplan.log.Enabled(context.Background(), slog.LevelDebug) {
		p.Dialplan.log.Debug("point answered", p.about("status", status, "took", took, "callerid_kind", p.kind)...)
	}
}

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

// about adds the attributes that name the point and its channel.
func (p *pointSession) about(args ...any) []any {
	env := p.session.Env()
	all := []any{"point", cut(env.Point, 64), "channel", cut(env.Channel, 128), "uniqueid", cut(env.UniqueID, 64)}
	if p.request != nil {
		all = append(all, "linkedid", cut(p.request.linkedid(), 64))
	}
	return append(all, args...)
}

// report logs a line with a limited rate, because every call can cause it. key distinguishes lines of
// the same message.
func (p *pointSession) report(level slog.Level, key, msg string, args ...any) {
	p.limited.Log(level, msg+"\x00"+cut(key, 200), msg, p.about(args...)...)
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

// unsafe answers a session whose event may be lost.
func (p *pointSession) unsafe(vars []fastagi.Variable, err error) string {
	p.traced.err = "event not kept: " + err.Error()
	// If the status is missing, the dialplan can ask another server.
	p.report(slog.LevelError, "", "event not kept, RINGHOOK_STATUS is not set", "err", err)
	return p.reply(vars, replyNone)
}

var errCountry = errors.New("country is not the code of a country: two capital letters such as RU are expected")

// refuse answers ERROR to an invalid request.
func (p *pointSession) refuse(err error) string {
	p.traced.err = err.Error()
	p.report(slog.LevelWarn, err.Error(), "request rejected: fix the dialplan", "err", err)
	return p.reply(nil, replyError)
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
		// The call has been loaded again since, without the changes of this session.
		p.transition.call = e.call
		p.transition.mergeChannel()
	}
	return nil
}

// complete stores the events, and sets the variables of the lookup's answer and of the transition.
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

// Close waits for commits for which no call waits any longer, and for late answers. All sessions and
// CloseIdleCalls must have ended.
func (d *Dialplan) Close() error {
	d.lateAnswers.close()
	d.late.Wait()
	d.limited.Close()
	return nil
}

// acquire locks the call. If the journal cannot be read, the call starts with an empty state, so that
// its event is not lost.
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

// acquireOther locks a separate call for a channel that contradicts the call of the same identity,
// and unlocks that call.
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

// patience returns the time until which the session waits for a lookup.
func (p *pointSession) patience() time.Time { return p.deadline.Add(-min(reserve, p.budget/10)) }

// awaitLookup waits until the lookup has an answer, the caller hangs up or the time is over.
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
	events []Accepted // of this session's record; empty if the record is that of another session
}

// queue queues the events and the state of the call, while the session holds the call's lock. It
// returns nil if there is nothing to wait for, because no hook wants the events.
func (d *Dialplan) queue(ctx context.Context, cur *current, t *transition, e *entry) (*pendingCommit, error) {
	if !t.quiet {
		d.metrics.emitted(t.recorded)
	}
	if !cur.Hooks.Any() || t.quiet {
		return nil, nil
	}
	if !t.news && t.point != Lookup {
		// A repeat is answered OK only after the record that it repeats is stored.
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

// await waits for a commit, and leaves the entry after its outcome is known.
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

// settled leaves an entry whose commit has ended.
func (d *Dialplan) settled(e *entry, c *pendingCommit) {
	if last := e.last.Load(); last != nil && *last == c.commit {
		e.last.CompareAndSwap(last, nil)
	}
	d.calls.leave(e)
}

// notifyHooks passes the deliveries of a commit to the hooks.
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

// reply sets the variables, and the status last.
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
