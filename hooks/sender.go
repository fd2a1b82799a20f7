package hooks

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"ringhook/web"
)

const (
	// lookAgain is how long a sender sleeps at most: another process may have
	// changed its deliveries.
	lookAgain = 5 * time.Second
	// soonest is how soon it looks again where there is more to do: it hears of
	// everything else in between.
	soonest = time.Millisecond
	// pause is how soon it looks again when something should be due that is
	// not, and after an error of the outbox.
	pause = time.Second
	// everAfter is farther than any next attempt.
	everAfter = 60 * 24 * time.Hour
)

// sender delivers for one hook. Its run alone decides what is attempted and
// hands it to a fixed number of workers.
type sender struct {
	hook    *hook
	client  *web.Client
	send    func(*web.Request, time.Time) (*web.Response, error)
	tokens  *web.Tokens // nil where the receiver wants none
	outbox  Outbox
	log     *slog.Logger
	metrics *metrics
	wake    chan struct{}
	fresh   chan Delivery // just committed and due

	jobs    chan Delivery
	results chan finished
	// flying holds what was handed to the workers and whose result is not
	// committed yet: to the outbox it is still due.
	flying  map[int64]Delivery
	settled []Result  // to be committed
	look    time.Time // when the outbox is asked next for what is due
	more    bool      // it has more that is due than there was room for
	// seen is the highest id that it gave: what is offered and not above it may have been sent already.
	seen    int64
	trouble trouble

	gate      gate
	kept      Standing             // of the gate, as the outbox has it
	tell      func(*Event) []Route // the routes of an event about this hook
	wakeOther func(hook string)
	shut      atomic.Bool // the gate is shut: what the workers have not begun goes back
	cleared   time.Time   // when deliveries were last given up unsent
	asked     time.Time   // when the outbox was last asked whether an operator wants the gate open
	// again is not nil while the receiver is just back: what waits for a later
	// attempt is attempted now, but for those that failed since.
	again map[int64]bool
}

// finished is a delivery that a worker is done with.
type finished struct {
	result  Result
	outcome outcome
	unsent  bool
}

func newSender(h *hook, client *web.Client, outbox Outbox, log *slog.Logger) *sender {
	// Twice the number of workers, so that they go on while results are
	// committed.
	room := 2 * h.cfg.Concurrency
	s := &sender{
		hook: h, client: client, send: client.Do, outbox: outbox, log: log.With("hook", h.name),
		wake: make(chan struct{}, 1), fresh: make(chan Delivery, room), jobs: make(chan Delivery, room), results: make(chan finished, room),
		flying: make(map[int64]Delivery, room),
	}
	if h.cfg.OAuth2.TokenURL != "" {
		s.tokens = web.NewTokens(h.cfg.OAuth2, client)
	}
	return s
}

// run delivers until stopping, then waits for the attempts under way until
// abandoned.
func (s *sender) run(stopping, abandoned context.Context) {
	var workers sync.WaitGroup
	for range s.hook.cfg.Concurrency {
		workers.Go(func() { s.work(stopping) })
	}
	timer := time.NewTimer(pause)
	defer timer.Stop()
	for stopping.Err() == nil && !s.recall() {
		timer.Reset(pause)
		select {
		case <-stopping.Done():
		case <-timer.C:
		}
	}
	for stopping.Err() == nil {
		s.gather()
		s.remember(abandoned)
		if s.settle(abandoned) {
			s.fill(time.Now())
		} else {
			s.look = time.Now().Add(pause)
		}
		timer.Reset(max(time.Until(s.look), soonest))
		select {
		case <-stopping.Done():
		case <-s.wake:
			s.look = time.Time{}
		case <-timer.C:
		case d := <-s.fresh:
			s.accept(&d)
		case f := <-s.results:
			s.take(f)
		}
	}
	close(s.jobs)
	workers.Wait()
	s.jobs = nil // without room: what is offered yet is left in the outbox
	s.gather()
	s.remember(abandoned)
	s.settle(abandoned)
	if s.tokens != nil {
		s.tokens.Close()
	}
	s.client.Close()
}

// lookNow has the sender ask the outbox.
func (s *sender) lookNow() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// gather takes over the results that are there, and what is offered.
func (s *sender) gather() {
	for {
		select {
		case f := <-s.results:
			s.take(f)
		case d := <-s.fresh:
			s.accept(&d)
		default:
			return
		}
	}
}

// accept hands an offered delivery to the workers, where nothing speaks against it. Else the
// outbox gives it in its turn: it is not kept here, where an operator could
// not take it back.
func (s *sender) accept(d *Delivery) {
	_, flying := s.flying[d.ID]
	if flying || d.ID <= s.seen || s.again != nil || s.shut.Load() || len(s.flying) >= cap(s.jobs) || s.gate.room(time.Now(), cap(s.jobs)) < cap(s.jobs) {
		s.more = true
		return
	}
	s.flying[d.ID] = *d
	s.jobs <- *d
}

// take learns from what a worker is done with.
func (s *sender) take(f finished) {
	if f.unsent {
		delete(s.flying, f.result.Delivery)
		s.more = true
		return
	}
	s.settled = append(s.settled, f.result)
	s.trouble.clock(s.log, f.outcome.skew)
	if s.gate.disabled != "" {
		return
	}
	now := time.Now()
	switch back := s.gate.record(now, &f.outcome); {
	case back:
		s.again = make(map[int64]bool)
	case s.again != nil && f.result.State == Pending && len(s.again) < clearing:
		s.again[f.result.Delivery] = true
	case f.result.State == Pending:
		s.again = nil
	}
	switch {
	case f.outcome.class == classGone:
		s.disable(now, Gone)
	case f.result.State != Delivered && s.gate.silent(now):
		s.disable(now, Silent)
	}
	s.shut.Store(s.gate.room(now, 1) == 0)
}

// settle commits the gathered results. Those that the outbox cannot take now
// are kept, and their deliveries not attempted again before they are
// committed.
func (s *sender) settle(ctx context.Context) bool {
	if len(s.settled) == 0 {
		return true
	}
	if ctx.Err() != nil {
		return false
	}
	released, err := s.outbox.Settle(ctx, s.settled)
	if err != nil {
		s.trouble.outbox(s.log, err)
		return false
	}
	s.more = s.more || released
	s.trouble.outbox(s.log, nil)
	for _, r := range s.settled {
		d := s.flying[r.Delivery]
		delete(s.flying, r.Delivery)
		if r.State == Pending && r.Next.Before(s.look) {
			s.look = r.Next
		}
		s.trouble.result(s.log, &d, &r)
	}
	s.settled = s.settled[:0]
	return true
}

// fill hands what is due to the workers, and decides when to look again.
func (s *sender) fill(now time.Time) {
	room := s.gate.room(now, cap(s.jobs))
	if room == 0 {
		s.look = now.Add(s.clear(now))
		return
	}
	s.more = s.more || s.again != nil || !now.Before(s.look)
	if !s.more {
		return
	}
	if len(s.flying) > room/2 {
		s.look = now.Add(lookAgain)
		return
	}
	if s.shut.Load() {
		if len(s.flying) > 0 {
			s.look = now.Add(pause)
			return
		}
		s.shut.Store(false)
	}
	s.look = now.Add(s.ask(now, room))
}

// ask hands out what the outbox has, and tells how long nothing more will be
// due.
func (s *sender) ask(now time.Time, room int) time.Duration {
	until, limit := now, room
	if s.again != nil {
		until, limit = now.Add(everAfter), room+len(s.again)
	}
	due, err := s.outbox.Due(s.hook.name, until, limit)
	if err != nil {
		s.trouble.outbox(s.log, err)
		return pause
	}
	handed := 0
	for _, d := range due {
		s.seen = max(s.seen, d.ID)
		if _, ok := s.flying[d.ID]; !ok && len(s.flying) < room && !s.again[d.ID] {
			s.flying[d.ID] = d
			s.jobs <- d
			handed++
		}
	}
	s.more = len(due) == limit && handed > 0
	if s.more {
		return lookAgain
	}
	if handed == 0 {
		s.again = nil
	}
	return s.untilNext(now)
}

// untilNext tells how long nothing will be due.
func (s *sender) untilNext(now time.Time) time.Duration {
	next, err := s.outbox.Next(s.hook.name)
	if err != nil {
		s.trouble.outbox(s.log, err)
		return pause
	}
	if next.IsZero() {
		return lookAgain
	}
	// What is due and was not handed out now is under way already.
	if wait := next.Sub(now); wait > 0 {
		return min(wait, lookAgain)
	}
	return pause
}
