package report

import (
	"context"
	"log/slog"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"ringhook/ami"
	"ringhook/dialplan"
	"ringhook/loglimit"
)

const (
	// maxQueued is the number of events that may wait: about five seconds of ten calls a second.
	maxQueued = 4096
	// readTime is the longest that one variable of a channel is waited for; most take under 1 ms.
	readTime = time.Second
	// settle is the time after a look at Asterisk's lists at which the open calls are compared with it: what
	// was under way then is reported by its own events.
	settle = 2 * time.Second
)

// Destination takes reports. It is a *dialplan.Dialplan.
type Destination interface {
	Report(ctx context.Context, r *dialplan.Report) dialplan.ReportOutcome
	Agent(phone string) bool
	OpenCalls(ctx context.Context, asterisks []string, until time.Time, f func(dialplan.OpenCall)) error
}

// Variables reads variables of channels. It is an *ami.Client.
type Variables interface {
	Variable(ctx context.Context, channel string, v ami.Variable) (string, error)
}

// Reporter reports the points of one Asterisk. Make one with New.
type Reporter struct {
	to         Destination
	translator *Translator
	log        *slog.Logger
	limited    *loglimit.Limiter
	queue      chan item
	lost       atomic.Bool     // events found no room, so what follows is of no use before a Sync
	resync     func(soon bool) // has the lists read again
	settle     time.Duration

	sweeps      sync.WaitGroup
	cancelSweep context.CancelFunc // nil before the first
}

// item is an event, or a look at Asterisk's lists; both are nil while Asterisk is away.
type item struct {
	event    *Event
	snapshot *Snapshot
}

// New returns a reporter of an [[ami]] table's points. resync is called when events were lost, soon if they found no room,
// and within ten seconds if the disk failed: Sync must follow it.
func New(cfg *ami.Config, to Destination, from Variables, log *slog.Logger, resync func(soon bool)) *Reporter {
	r := &Reporter{to: to, log: log, limited: loglimit.New(log, time.Minute), queue: make(chan item, maxQueued), resync: resync, settle: settle}
	r.translator = &Translator{
		Points: cfg.Points, All: cfg.Calls == ami.AllCalls, Agent: to.Agent, Server: cfg.Name,
		Read: func(channel string, v ami.Variable) string {
			ctx, cancel := context.WithTimeout(context.Background(), readTime)
			defer cancel()
			value, _ := from.Variable(ctx, channel, v) // a channel that is gone has no value
			return value
		},
	}
	r.translator.Reset()
	return r
}

// Event queues an event. It does not block: if there is no room, the lists must be read again.
func (r *Reporter) Event(m ami.Message, at time.Time) {
	if r.lost.Load() || !slices.Contains(events, m.Event()) {
		return
	}
	e := NewEvent(m, at)
	select {
	case r.queue <- item{event: &e}:
	default:
		r.lost.Store(true)
		r.limited.Warn("lost", "manager events arrive faster than they are reported", "hint", "their points are concluded from Asterisk's lists and marked presumed")
		r.resync(true)
	}
}

// Sync queues a look at Asterisk's lists, after which events are reported again.
func (r *Reporter) Sync(ctx context.Context, s *Snapshot) {
	select {
	case r.queue <- item{snapshot: s}:
		r.lost.Store(false)
	case <-ctx.Done():
	}
}

// Away has the reporter wait for the next Sync.
func (r *Reporter) Away() {
	r.lost.Store(true)
	select {
	case r.queue <- item{}:
	default: // it works on older events, and forgets them at the next Sync
	}
}

// Run reports until ctx ends. What is queued then is concluded from the lists at the next start.
func (r *Reporter) Run(ctx context.Context) {
	defer r.limited.Close()
	defer r.sweeps.Wait()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case it := <-r.queue:
			r.guard(func() { r.take(ctx, it) })
		case <-timer.C:
		}
		r.guard(func() {
			reports, next := r.translator.Due(time.Now())
			r.send(ctx, reports)
			if !next.IsZero() {
				timer.Reset(time.Until(next))
			}
		})
	}
}

func (r *Reporter) take(ctx context.Context, it item) {
	switch {
	case it.event != nil:
		r.send(ctx, r.translator.Event(it.event))
	case it.snapshot != nil:
		r.translator.Load(it.snapshot)
		r.startSweep(ctx, it.snapshot)
	default:
		r.translator.Reset()
	}
}

func (r *Reporter) send(ctx context.Context, reports []*dialplan.Report) {
	for _, one := range reports {
		one.Lost = r.again
		if r.to.Report(ctx, one) == dialplan.ReportFailed {
			r.again()
		}
	}
}

// again has the lists read again, because an event was not stored.
func (r *Reporter) again() { r.resync(false) }

// guard keeps a panic over one event from ending the program. What is known is doubtful then, until the next Sync.
func (r *Reporter) guard(f func()) {
	defer func() {
		if v := recover(); v != nil {
			r.limited.Error("panic", "report of a manager event panicked", "err", v, "stack", string(debug.Stack()))
			r.resync(true)
		}
	}()
	f()
}

// startSweep compares the open calls with a look at the lists, in the background. It ends an earlier comparison.
func (r *Reporter) startSweep(ctx context.Context, s *Snapshot) {
	if r.cancelSweep != nil {
		r.cancelSweep()
	}
	ctx, r.cancelSweep = context.WithCancel(ctx)
	r.sweeps.Go(func() {
		select {
		case <-ctx.Done():
			return
		case <-time.After(r.settle):
		}
		sweep := &sweep{Snapshot: s, Translator: &Translator{Points: r.translator.Points, Agent: r.translator.Agent, Read: r.translator.Read, Asterisk: s.Asterisk, Server: r.translator.Server}}
		sweep.prepare()
		err := r.to.OpenCalls(ctx, s.Names, s.At, func(o dialplan.OpenCall) {
			r.guard(func() { r.send(ctx, sweep.compare(&o, time.Now())) })
		})
		if err != nil && ctx.Err() == nil {
			r.log.Error("cannot compare open calls with Asterisk's lists", "err", err)
		}
	})
}
