// Package dialplan knows what a call point means. It joins what Asterisk asks
// with what is known of the call, has the caller looked up, keeps the event
// before the call is answered, and decides what may reach the channel.
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
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"ringhook/fastagi"
	"ringhook/hooks"
	"ringhook/lookup"
)

// maxCommitWait bounds how long a call waits for the disk. Past it the point
// is answered without a RINGHOOK_STATUS; the event may be kept all the same.
const maxCommitWait = 250 * time.Millisecond

// maxTurnWait bounds how long a point waits for the call's other points, which
// hold their turn for one commit: past it the disk is stuck.
const maxTurnWait = 2 * maxCommitWait

// maxLate bounds how long the outcome of such a commit is waited for.
const maxLate = 10 * time.Second

// reserve is what a lookup leaves of the budget for the commit behind it.
const reserve = 50 * time.Millisecond

// Dialplan answers the points of every call.
type Dialplan struct {
	current atomic.Pointer[current]
	journal Journal
	calls   *registry
	log     *slog.Logger
	metrics *metrics
	now     func() time.Time
	late    sync.WaitGroup // commits that no call waits for any more
}

// current is what one session uses from its beginning to its end, whatever is
// exchanged meanwhile.
type current struct {
	*site
	Parts
}

// Parts are what the points work with. They are exchanged together with the
// settings when the configuration is read again.
type Parts struct {
	Lookups *lookup.Service
	Hooks   *hooks.Dispatcher
	Numbers *lookup.Numbers
}

// New makes a dialplan that keeps its calls in journal.
func New(settings Settings, parts Parts, journal Journal, log *slog.Logger, reg prometheus.Registerer) *Dialplan {
	d := &Dialplan{journal: journal, calls: newRegistry(journal), log: log, metrics: newMetrics(reg), now: time.Now}
	d.Exchange(settings, parts)
	return d
}

// Exchange puts other settings in force, for every session that begins from
// now on.
func (d *Dialplan) Exchange(settings Settings, parts Parts) {
	d.current.Store(&current{newSite(settings), parts})
}

// Serve answers one session. It is a fastagi.Handler.
func (d *Dialplan) Serve(s *fastagi.Session) {
	t := &turn{Dialplan: d, current: d.current.Load(), session: s}
	if status, waits := t.run(); waits {
		s.Later(func() { t.note(t.wait()) })
	} else {
		t.note(status)
	}
}

// note tells the metrics, the trace and the log of a session that is answered.
func (t *turn) note(status string) {
	took := time.Since(t.session.Started())
	if replied := t.session.Replied(); !replied.IsZero() {
		took = replied.Sub(t.session.Started()) // what Asterisk still says is no wait of the call's
	}
	t.metrics.session(Point(t.session.Env().Point), status, took)
	t.record(status, took)
	if t.Dialplan.log.Enabled(context.Background(), slog.LevelDebug) {
		t.log().Debug("point answered", "status", status, "took", took, "callerid_kind", t.kind)
	}
}

// turn is one session on its way through the dialplan.
type turn struct {
	*Dialplan
	*current
	session  *fastagi.Session
	deadline time.Time // of the point's budget
	request  *request
	numbers  *lookup.Numbers // of the trunk's country
	kind     string          // of the caller's number, where it is one that no source is asked about
	slot     *slot           // of the call, while the turn is this session's
	step     *step
	traced   traced
}

// log names the place in every line. It is made for the few sessions that
// have something to say.
func (t *turn) log() *slog.Logger {
	env := t.session.Env()
	log := t.Dialplan.log.With("point", env.Point, "channel", env.Channel, "uniqueid", env.UniqueID)
	if t.request != nil {
		log = log.With("linkedid", t.request.linkedid())
	}
	return log
}

// run answers the session and returns the RINGHOOK_STATUS that it set, unless
// it has to wait for a lookup first.
func (t *turn) run() (status string, waits bool) {
	env := t.session.Env()
	req, err := parseRequest(env, t.variables)
	if err != nil {
		return t.refuse(err), false
	}
	t.request = req
	var known bool
	if t.numbers, known = t.Numbers.In(req.args[countryArgument]); !known {
		return t.refuse(errCountry), false
	}
	t.deadline = t.session.Started().Add(t.budget)
	if err := req.read(t.session, t.deadline); err != nil {
		t.traced.err = err.Error()
		t.log().Error("point lost", "err", err)
		t.session.Fail()
		return replyNone, false
	}
	defer t.release()
	if err := t.begin(); err != nil {
		return t.unsafe(nil, err), false
	}
	if p := t.traced.pending; p != nil && !p.Done() {
		t.calls.give(t.hold(nil), true)
		return "", true
	}
	return t.complete(), false
}

// wait waits for the lookup, and answers the session then.
func (t *turn) wait() (status string) {
	t.await()
	defer t.release()
	if err := t.resume(); err != nil {
		return t.unsafe(nil, err)
	}
	return t.complete()
}

// unsafe answers a session whose event is not safe.
func (t *turn) unsafe(vars []fastagi.Variable, err error) string {
	t.traced.err = "event not kept: " + err.Error()
	// Without the status the dialplan knows that it can ask another server.
	t.log().Error("event not kept, RINGHOOK_STATUS is not set", "err", err)
	return t.reply(vars, replyNone)
}

var errCountry = errors.New("country is not the code of a country: two capital letters such as RU are expected")

// refuse answers a point that the dialplan did not ask as it should.
func (t *turn) refuse(err error) string {
	t.traced.err = err.Error()
	t.log().Warn("point refused, mend the dialplan", "err", err)
	return t.reply(nil, replyError)
}

// hold takes the call's turn for the session, and gives the one that it had.
func (t *turn) hold(sl *slot) (before *slot) {
	before, t.slot = t.slot, sl
	return before
}

// release gives the turn on where something of ours has panicked: the call's
// other points must not be held up.
func (t *turn) release() {
	if t.slot != nil {
		t.calls.give(t.hold(nil), false)
	}
}

// begin takes the call's turn, and asks who calls where the point wants that.
func (t *turn) begin() error {
	now := t.now()
	sl, err := t.take(now, t.deadline)
	if err != nil {
		return err
	}
	t.hold(sl)
	t.step = &step{request: t.request, call: sl.call, site: t.site, now: now, numbers: t.numbers, wanted: t.Hooks.Wants}
	sl.call.points++
	t.traced.nth = sl.call.points
	t.step.absorb()
	t.kind = sl.call.text("callerid_kind")
	if t.Lookups.Wants(string(t.request.point)) {
		t.traced.pending = t.ask()
	}
	return nil
}

// resume takes the turn again that others had while the lookup was waited for.
func (t *turn) resume() error {
	sl, err := t.take(t.step.now, t.deadline.Add(reserve))
	if err != nil {
		return err
	}
	t.hold(sl)
	t.step.call = sl.call
	t.step.absorb()
	return nil
}

// complete has the event kept, and gives the channel what the lookup answered
// and the step sets.
func (t *turn) complete() (status string) {
	var vars []fastagi.Variable
	status = replyOK
	if t.traced.pending != nil {
		vars, status = t.admit(t.step.call, t.traced.pending.Answer())
	}
	t.request.spec.step(t.step)
	err := t.keep(context.Background(), t.commitWait(), t.current, t.step)
	t.traced.told = t.step.told
	t.end(t.hold(nil), err)
	if err != nil {
		t.step.vars = slices.DeleteFunc(t.step.vars, isEndMarker)
	}
	vars = append(vars, t.step.vars...)
	if err != nil {
		return t.unsafe(vars, err)
	}
	return t.reply(vars, status)
}

// end gives the call's turn on. A commit that was not waited for to its end may
// succeed or fail yet: until that is known nobody has a turn, for a repeat of the
// same point would be taken for told already.
func (d *Dialplan) end(sl *slot, err error) {
	if !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, context.Canceled) {
		d.calls.give(sl, err == nil)
		return
	}
	d.late.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), maxLate)
		defer cancel()
		if err := d.journal.Barrier(ctx); err != nil {
			d.log.Error("outcome of a late commit is not known", "linkedid", sl.linkedid, "err", err)
		}
		d.calls.give(sl, false)
	})
}

// Close waits for commits that no call waits for any more. The sessions and
// Sweep have ended by then.
func (d *Dialplan) Close() error {
	d.late.Wait()
	return nil
}

// take waits for the call's turn. A journal that cannot be read costs what it
// knew of the call, not the call's event.
func (t *turn) take(now, deadline time.Time) (*slot, error) {
	if soon := time.Now().Add(maxTurnWait); soon.Before(deadline) {
		deadline = soon
	}
	sl, err := t.calls.take(t.request.linkedid(), now, deadline)
	if err != nil && sl != nil {
		t.log().Error("call's past not readable, going on without it", "err", err)
		err = nil
	}
	return sl, err
}

func (t *turn) ask() *lookup.Pending {
	q := t.step.question()
	q.Deadline = t.patience()
	return t.Lookups.Ask(q)
}

// patience is how long a lookup is waited for.
func (t *turn) patience() time.Time { return t.deadline.Add(-min(reserve, t.budget/10)) }

// await blocks until the answer is there, the caller hangs up or the time is over.
func (t *turn) await() {
	err := t.session.Await(t.patience(), t.traced.pending.OnDone)
	if err != nil && !errors.Is(err, fastagi.ErrHangup) && !errors.Is(err, fastagi.ErrDeadline) {
		t.log().Warn("connection lost during the lookup", "err", err)
	}
}

// statuses are the answers' words for the dialplan.
var statuses = map[lookup.Outcome]string{
	lookup.Found: replyFound, lookup.Missing: replyNotFound, lookup.Stale: replyStale,
	lookup.Timeout: replyTimeout, lookup.Failed: replyError,
}

func (t *turn) admit(c *call, a lookup.Answer) ([]fastagi.Variable, string) {
	vars, refused := t.site.admit(c, a.Vars)
	t.traced.refused = refused
	for _, r := range refused {
		t.metrics.refused.WithLabelValues(t.site.label(r.name), r.reason).Inc()
		t.log().Warn("variable of an answer refused", "lookup", a.Source, "variable", cut(clean(r.name), 64), "reason", r.reason)
	}
	return vars, statuses[a.Outcome]
}

// keep has the events and the call's state committed, for which it waits as
// long as that. Where no hook wants the events nobody is promised anything,
// and nobody waits.
func (d *Dialplan) keep(ctx context.Context, wait time.Duration, cur *current, s *step) error {
	if !cur.Hooks.Any() {
		return nil
	}
	state, err := s.call.encode()
	if err != nil {
		return err
	}
	r := Record{LinkedID: s.call.LinkedID, State: state}
	for i := range s.events {
		routes := cur.Hooks.Match(&s.events[i])
		s.taken(s.events[i].Name, len(routes))
		if len(routes) == 0 {
			continue
		}
		r.Events = append(r.Events, Accepted{Event: s.events[i], Hooks: routes})
	}
	if len(r.Events) == 0 {
		if s.news || s.point == Lookup {
			d.journal.KeepLater(r)
		}
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	due, err := d.journal.Keep(ctx, r)
	hand(cur.Hooks, &r, due)
	return err
}

// hand gives the hooks what is due, and wakes those whose deliveries have to
// wait for others, or of which nothing is known.
func hand(d *hooks.Dispatcher, r *Record, due []hooks.Delivery) {
	for i := range due {
		d.Offer(&due[i])
	}
	for i := range r.Events {
		for _, route := range r.Events[i].Hooks {
			offered := func(o hooks.Delivery) bool { return o.Hook == route.Hook && o.Event.ID == r.Events[i].Event.ID }
			if !slices.ContainsFunc(due, offered) {
				d.Wake(route.Hook)
			}
		}
	}
}

func (t *turn) commitWait() time.Duration {
	left := time.Until(t.session.Started().Add(t.budget))
	return min(max(left, reserve), maxCommitWait)
}

// reply sets the variables and, last of all, the status.
func (t *turn) reply(vars []fastagi.Variable, status string) string {
	if status != replyNone {
		vars = append(vars, fastagi.Variable{Name: statusVariable, Value: status})
	}
	shortened, err := t.session.Reply(vars)
	t.traced.set = vars
	for _, name := range shortened {
		t.metrics.refused.WithLabelValues(t.site.label(name), "cut").Inc()
		t.log().Warn("value shortened to what Asterisk takes", "variable", name)
	}
	if err != nil && !errors.Is(err, fastagi.ErrHangup) {
		t.traced.err = cmp.Or(t.traced.err, "answer not taken by Asterisk: "+err.Error())
		t.log().Warn("answer not taken by Asterisk", "err", err)
	}
	return status
}
