package dialplan

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"ringhook/fastagi"
	"ringhook/lookup"
)

// Waiting changes channels of callers who still wait in a queue.
type Waiting interface {
	// Update sets variables of the contract on a caller's channel, for the next agent whose phone
	// rings, and changes the caller's priority. It returns the variables that it set. Two Asterisks may
	// have a channel of one uniqueid: the call says whose it is.
	Update(ctx context.Context, call Identity, uniqueID string, vars []fastagi.Variable) (set []fastagi.Variable, outcome LateOutcome)
}

// LateOutcome is the outcome of a late answer.
type LateOutcome string

// The outcomes of late answers, as the metric's label.
const (
	LateApplied LateOutcome = "applied"
	LateGone    LateOutcome = "gone"    // the caller no longer waits
	LateAway    LateOutcome = "away"    // no Asterisk is connected that has the channel
	LateNothing LateOutcome = "nothing" // the answer has no variable that can be set now
	LateOff     LateOutcome = "off"     // late_answers = false
	LateBusy    LateOutcome = "busy"    // too many at once
	LateFailed  LateOutcome = "failed"
)

var lateOutcomes = []LateOutcome{LateApplied, LateGone, LateAway, LateNothing, LateOff, LateBusy, LateFailed}

const (
	// maxLateAnswers is the maximum number of late answers that are applied at the same time.
	maxLateAnswers = 256
	lateTime       = 10 * time.Second
	// latePoint is the name of a late answer in the trace of a call.
	latePoint = "late-answer"
)

// lateAnswers applies late answers in the background until it is closed.
type lateAnswers struct {
	ctx    context.Context
	cancel context.CancelFunc

	mu      sync.Mutex
	closed  bool           // guarded by mu
	active  int            // guarded by mu
	running sync.WaitGroup // Add is guarded by mu
}

func newLateAnswers() *lateAnswers {
	l := &lateAnswers{}
	l.ctx, l.cancel = context.WithCancel(context.Background())
	return l
}

// start runs f in the background. It returns false if too many run or if it is closed: sources can
// answer after Close.
func (l *lateAnswers) start(f func(ctx context.Context)) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed || l.active >= maxLateAnswers {
		return false
	}
	l.active++
	l.running.Go(func() {
		ctx, cancel := context.WithTimeout(l.ctx, lateTime)
		defer cancel()
		f(ctx)
		l.mu.Lock()
		defer l.mu.Unlock()
		l.active--
	})
	return true
}

func (l *lateAnswers) close() {
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	l.cancel()
	l.running.Wait()
}

// initLate creates the metric series of lookups whose answers can be late.
func (d *Dialplan) initLate(parts Parts) {
	if parts.Waiting == nil {
		return
	}
	for _, name := range parts.Lookups.Names(string(QueueDial)) {
		for _, outcome := range lateOutcomes {
			d.metrics.late.WithLabelValues(name, string(outcome))
		}
	}
}

// expectLate applies the answer for which the point did not wait, if it arrives while the caller is in
// the queue. If there is an audience, it adds the answer of every point to the call.
func (p *pointSession) expectLate() {
	waits := p.request.point == QueueDial && p.Waiting != nil
	if !waits && p.Audience == nil {
		return
	}
	env := p.session.Env()
	l := &lateAnswer{Dialplan: p.Dialplan, current: p.current, id: p.id, names: p.transition.nameForm(), asked: p.session.Started(), uniqueID: env.UniqueID, channel: p.channelName(), waits: waits}
	p.traced.pending.OnLate(func(a lookup.Answer) {
		if !l.lateAnswers.start(func(ctx context.Context) { l.apply(ctx, a) }) {
			l.metrics.late.WithLabelValues(a.Source, string(LateBusy)).Inc()
		}
	})
}

// lateAnswer is an answer that arrived after its point was answered.
type lateAnswer struct {
	*Dialplan
	*current
	id                Identity
	names             nameForm  // of the point
	asked             time.Time // time of the point
	uniqueID, channel string
	waits             bool // the caller waits in a queue of a connected Asterisk
}

// apply adds the answer to the call, for its later events, and sets it on the channel.
func (l *lateAnswer) apply(ctx context.Context, a lookup.Answer) {
	about := []any{"linkedid", l.id.LinkedID, "uniqueid", l.uniqueID, "lookup", a.Source}
	now := l.now()
	e, err := l.calls.acquire(l.id, now, time.Now().Add(l.lockWait()))
	if e == nil {
		l.limited.Warn("late", "late answer not applied", append(about, "err", err)...)
		l.metrics.late.WithLabelValues(a.Source, string(LateFailed)).Inc()
		return
	}
	vars, refused := l.settings.filterAnswer(e.call, a.Vars)
	e.call.look(a.Outcome)
	l.calls.release(e, true)
	for _, r := range refused {
		l.metrics.refused.WithLabelValues(l.settings.label(r.name), r.reason).Inc()
	}
	vars = slices.DeleteFunc(l.names.shape(vars), func(v fastagi.Variable) bool {
		_, ours := contract[strings.TrimLeft(v.Name, "_")]
		return !ours
	})
	set, outcome := []fastagi.Variable(nil), LateNothing
	switch {
	case !l.waits:
		outcome = LateAway // later events have the answer all the same
	case len(vars) > 0:
		set, outcome = l.Waiting.Update(ctx, l.id, l.uniqueID, vars)
	}
	l.metrics.late.WithLabelValues(a.Source, string(outcome)).Inc()
	l.log.Debug("late answer", append(about, "outcome", string(outcome), "after", time.Since(l.asked))...)
	l.record(a, refused, set, outcome)
}

// record adds a late answer to the trace of the call, as a separate point.
func (l *lateAnswer) record(a lookup.Answer, refused []refusal, set []fastagi.Variable, outcome LateOutcome) {
	at := time.Now()
	took := at.Sub(l.asked)
	p := PointTrace{
		At: at, Took: took, Point: latePoint, LinkedID: l.id.LinkedID, UniqueID: l.uniqueID, Channel: l.channel, Status: string(outcome),
		Lookups: []TracedLookup{{Lookup: a.Source, Outcome: string(a.Outcome), Took: took}}, Why: "the answer came after queue-dial had gone on",
	}
	for _, r := range refused {
		p.Refused = append(p.Refused, TracedValue{r.name, r.reason})
	}
	for _, v := range set {
		p.Set = append(p.Set, TracedValue{v.Name, v.Value})
	}
	l.TraceCommand(&p)
}
