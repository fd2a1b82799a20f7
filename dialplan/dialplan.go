// Package dialplan implements the call points. It merges each request of Asterisk into the state of
// the call, looks the caller up, stores the events before it answers, and decides which variables
// may reach the channel.
//
// It guarantees one queue-hangup for each visit to a queue, one agent-hangup or agent-cancel for
// each ring, and one call-hangup for each call, in whatever order and however often the dialplan
// reports them.
package dialplan

import (
	"log/slog"
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
	minWait time.Duration  // reserve, except in tests
	late    sync.WaitGroup // commits for which no call waits any longer, and repeated changes
	closing sync.Mutex
	closed  bool // guarded by closing
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
	// Audience hears of the events of calls when they are made; nil for none.
	Audience Audience
}

// New returns a dialplan that stores its calls in journal.
func New(settings Settings, parts Parts, journal Journal, log *slog.Logger, reg prometheus.Registerer) *Dialplan {
	d := &Dialplan{journal: journal, calls: newRegistry(journal), log: log, metrics: newMetrics(reg), now: time.Now, maxWait: maxCommitWait, minWait: reserve, lateAnswers: newLateAnswers(), limited: loglimit.New(log, time.Minute)}
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

// Close waits for commits for which no call waits any longer, and for late answers. All sessions and
// CloseIdleCalls must have ended.
func (d *Dialplan) Close() error {
	d.lateAnswers.close()
	d.closing.Lock()
	d.closed = true
	d.closing.Unlock()
	d.late.Wait()
	d.limited.Close()
	return nil
}

// Audience hears of events when they are made, before they are stored: screen pops cannot wait for a
// disk.
type Audience interface {
	// Heard is called while the call is locked, in the order of the call's events, so it must not
	// wait. Looked is what the lookups of the call found until then: found, several, not-found, error,
	// pending (no answer in time), or empty if none was asked. The event must not be changed. If another
	// server has changed the call meanwhile, the event may turn out to be a different one, which is heard too.
	Heard(ev *hooks.Event, looked string)
}

// What the lookups of a call found.
const (
	lookedFound    = "found"
	lookedSeveral  = "several"
	lookedNotFound = "not-found"
	lookedError    = "error"
	lookedPending  = "pending"
)

var lookedBy = map[lookup.Outcome]string{
	lookup.Found: lookedFound, lookup.Stale: lookedFound, lookup.Missing: lookedNotFound, lookup.Failed: lookedError, lookup.Timeout: lookedPending,
}

// Looked returns what an outcome means for an Audience, with the number of customers that were found.
func Looked(o lookup.Outcome, matches int64) string {
	if looked := lookedBy[o]; looked != lookedFound || matches < 2 {
		return looked
	}
	return lookedSeveral
}

// look records what a lookup found. A customer who was found stays found, and a lookup that failed or has
// not answered changes nothing that is known.
func (c *call) look(o lookup.Outcome) {
	matches, _ := c.Known["match_count"].(int64)
	looked := Looked(o, matches)
	known := c.Looked == lookedFound || c.Looked == lookedSeveral
	if c.Looked == "" || looked == lookedFound || looked == lookedSeveral || looked == lookedNotFound && !known {
		c.Looked = looked
	}
}

// tell passes events of a call to the audience.
func (c *current) tell(events []hooks.Event, looked string) {
	if c.Audience == nil {
		return
	}
	for i := range events {
		c.Audience.Heard(&events[i], looked)
	}
}

// wanted returns the function that reports whether an event is worth making; nil if every one is.
func (c *current) wanted() func(event string) bool {
	if c.Audience != nil {
		return nil
	}
	return c.Hooks.Wants
}
