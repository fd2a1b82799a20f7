package hooks

import (
	"context"
	"crypto/sha256"
	"log/slog"
	"reflect"
	"sync"
	"sync/atomic"
	"time"

	"ringhook/httpclient"
	"ringhook/loglimit"
)

const (
	// lookAgain is the maximum time between two reads of the outbox: another process may have changed it.
	lookAgain = 5 * time.Second
	// minWait is the minimum time between two rounds without an event. Everything else wakes the sender.
	minWait = time.Millisecond
	// pause is the wait after an error of the outbox, and if something should be due that is not.
	pause = time.Second
)

// sender delivers for one hook. Its run alone decides what is attempted, and hands it to a fixed number of workers.
type sender struct {
	hook       *hook
	client     *httpclient.Client
	send       func(*httpclient.Request, time.Time) (*httpclient.Response, error)
	tokens     *httpclient.Tokens // nil if the receiver wants none
	own        bool               // tokens are of this sender alone
	outbox     Outbox
	leases     Leases
	recordings Recordings // nil if there are none
	log        *slog.Logger
	metrics    *metrics

	wake    chan struct{}
	fresh   chan Delivery // just committed and due
	results chan finished

	lease     Lease // under which it delivers now
	feed      feed
	committer committer
	breaker   breaker
	stored    HookState               // of the breaker, as the outbox has it
	paused    atomic.Bool             // the breaker is open: what the workers have not begun goes back
	blocked   atomic.Pointer[blocked] // of the breaker, for attempts of Once; nil before it is known
	cleared   time.Time               // when deliveries were last given up unsent
	asked     time.Time               // when the outbox was last asked whether an operator wants an attempt
	failures  failureLog
	skew      time.Duration // of the receiver's clock, in whole seconds, as the metric has it

	dispatcher atomic.Pointer[Dispatcher] // the present one, for events about this hook
	next       atomic.Pointer[sender]     // that of a changed configuration, which takes over
	files      [sha256.Size]byte          // a digest of the certificates' files
	stop       context.CancelFunc         // no new attempts
	abandon    context.CancelFunc         // and no waiting for those in progress
	drained    chan struct{}              // closed when the last delivery has ended
	ended      chan struct{}              // closed when attempts of Once have ended too; nil before start

	using  sync.RWMutex // held for reading by attempts beside those of the workers
	closed bool         // guarded by using
}

// finished is a delivery that a worker has attempted or returns.
type finished struct {
	result  Result
	outcome outcome
	unsent  bool
	err     error         // of the outbox, which does not return the remembered values
	noted   chan struct{} // receives when a failure is taken into account; the worker waits for it
}

func newSender(h *hook, client *httpclient.Client, with Shared, outbox Outbox, log *slog.Logger) (*sender, error) {
	room := h.cfg.Concurrency + prefetch + prefetchFresh
	s := &sender{
		hook: h, client: client, send: client.Do, outbox: outbox, leases: with.Leases, recordings: with.Recordings, log: log.With("hook", h.name),
		wake: make(chan struct{}, 1), fresh: make(chan Delivery, room), results: make(chan finished, room),
		committer: newCommitter(outbox),
		skew:      -1, // no clock is, in whole seconds
		files:     httpclient.DigestFiles(h.cfg.CAFile, h.cfg.CertFile, h.cfg.KeyFile),
	}
	if s.leases == nil {
		s.leases = only{}
	}
	s.failures.limited = loglimit.New(s.log, logInterval)
	var err error
	s.tokens, s.own, err = h.cfg.Tokens(with.Accounts, client)
	s.feed = newFeed(outbox, h.name, h.limiter, s.tokens.Quota(), room)
	return s, err
}

// start begins to deliver when another sender, which may be nil, has ended.
func (s *sender) start(d *Dispatcher, after *sender) {
	s.dispatcher.Store(d)
	stopping, stop := context.WithCancel(context.Background())
	abandoned, abandon := context.WithCancel(context.Background())
	s.stop, s.abandon, s.drained, s.ended = stop, abandon, make(chan struct{}), make(chan struct{})
	go func() {
		defer close(s.ended)
		defer abandon()
		if after != nil {
			<-after.drained // also when stopped: what waits for this sender waits for both
		}
		s.run(stopping, abandoned)
		close(s.drained)
		s.close()
		if after != nil {
			<-after.ended
		}
	}()
}

func (s *sender) hasEnded() bool {
	select {
	case <-s.ended:
		return true
	default:
		return false
	}
}

// current returns the sender that delivers for the hook now.
func (s *sender) current() *sender {
	for next := s.next.Load(); next != nil; next = s.next.Load() {
		s = next
	}
	return s
}

// sameAs reports whether two senders deliver in the same way, so that one can go on in place of the other.
func (s *sender) sameAs(other *sender) bool {
	shared := s.own || s.tokens == other.tokens // an account of the same name may be another one
	return shared && s.hook.address == other.hook.address && s.files == other.files && reflect.DeepEqual(s.hook.cfg, other.hook.cfg)
}

// run delivers until stopping, whenever this server has the lease of the hook.
func (s *sender) run(stopping, abandoned context.Context) {
	for {
		lease := s.leases.Acquire(stopping, s.hook.name)
		if lease == nil {
			return
		}
		s.deliver(abandoned, lease)
		lease.Release()
		if lease.Epoch() != 0 { // the server that has the lease shows it
			s.metrics.disabled.WithLabelValues(s.hook.name).Set(0)
		}
	}
}

// deliver delivers until the lease ends, then waits for the attempts in progress until abandoned.
func (s *sender) deliver(abandoned context.Context, lease Lease) {
	stopping := lease.Context()
	s.lease = lease
	s.feed.begin()
	var workers sync.WaitGroup
	for range s.hook.cfg.Concurrency {
		workers.Go(func() { s.work(stopping) })
	}
	timer := time.NewTimer(pause)
	defer timer.Stop()
	for stopping.Err() == nil && !s.restoreState() {
		timer.Reset(pause)
		select {
		case <-stopping.Done():
		case <-timer.C:
		}
	}
	// What was offered before now is in the outbox, where an operator may have changed it.
	for len(s.fresh) > 0 {
		<-s.fresh
	}
	for stopping.Err() == nil {
		s.gather()
		s.showBlocked()
		s.storeState(abandoned)
		s.committer.begin(abandoned, s.feed.outboxHasMore)
		mayFill := s.feed.turnCame()
		s.fill(time.Now())
		if mayFill { // and did not; a turn that came meanwhile wakes the sender
			s.feed.leaveQueue()
		}
		timer.Reset(max(time.Until(s.committer.next(s.feed.look)), minWait))
		select {
		case <-stopping.Done():
		case <-s.wake:
			s.feed.readNow()
			s.committer.commitNow = true
		case <-lease.Woken():
			s.feed.readNow()
		case <-timer.C:
		case <-s.feed.turned():
			s.feed.readNow()
		case d := <-s.fresh:
			s.accept(&d)
		case f := <-s.results:
			s.take(f)
		case c := <-s.committer.done:
			s.confirm(c)
		}
	}
	s.feed.leaveQueue()
	close(s.feed.jobs)
	workers.Wait()
	s.feed.jobs = nil // without room: what is still offered stays in the outbox
	s.gather()
	s.storeState(abandoned)
	s.committer.drain(abandoned, s.confirm)
}

// close releases what the sender holds. The workers must have ended; an attempt of Once is waited for.
func (s *sender) close() {
	s.using.Lock()
	defer s.using.Unlock()
	s.closed = true
	if s.own {
		s.tokens.Close()
	}
	s.client.Close()
	s.failures.limited.Close()
}

// atWorkers is the number of deliveries that the workers have.
func (s *sender) atWorkers() int { return len(s.feed.inFlight) - s.committer.uncommitted() }

// lookNow has the sender read the outbox.
func (s *sender) lookNow() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// gather takes the results and offers that are there.
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

// accept hands an offered delivery to the workers if it may be attempted now. Otherwise the outbox returns it in its turn:
// it is not kept here, where an operator could not take it back.
func (s *sender) accept(d *Delivery) {
	if !s.canAccept(d.ID) || s.feed.take(1) == 0 {
		s.feed.outboxHasMore = true
		return
	}
	s.feed.hand(d)
	s.feed.giveBack(1, 1)
}

func (s *sender) canAccept(id int64) bool {
	room := cap(s.feed.jobs)
	return s.feed.canTake(id) &&
		s.feed.allowed(time.Now()) > 0 &&
		!s.paused.Load() &&
		s.lease.Valid() &&
		!s.committer.overloaded() &&
		s.atWorkers() < room &&
		s.breaker.room(time.Now(), room) >= room
}

// settle has a result committed. Only a success may wait for others: after a failure the time of the next attempt has to be
// safe, and in a strict order, or for a value that was remembered, the next delivery waits for this one.
func (s *sender) settle(r *Result) {
	r.Epoch = s.lease.Epoch()
	s.committer.add(r, r.State != Delivered || s.hook.cfg.Order == orderStrict || len(r.Values) > 0)
}

// take takes a worker's result into account.
func (s *sender) take(f finished) {
	if f.unsent {
		delete(s.feed.inFlight, f.result.Delivery)
		s.feed.outboxHasMore = true
		s.feed.quota.Return(1)
		return
	}
	s.settle(&f.result)
	if f.err != nil {
		s.failures.limited.Error("remembered", "cannot read remembered values, the delivery waits", "delivery", f.result.Delivery, "err", f.err)
	}
	if !f.outcome.used() {
		s.feed.quota.Return(1)
	}
	switch {
	case f.outcome.class == "" || unsentClasses[f.outcome.class]:
		if f.result.State == Pending {
			s.feed.failed(f.result.Delivery)
		}
	default:
		s.noteClock(&f.outcome)
		if s.breaker.disabled == "" {
			s.judge(&f)
		}
	}
	if f.result.State != Delivered {
		f.noted <- struct{}{}
	}
}

// noteClock shows how far the receiver's clock is from ours.
func (s *sender) noteClock(o *outcome) {
	s.failures.clock(o.skew)
	if skew := o.skew.Round(time.Second); skew != s.skew && o.status != 0 {
		s.skew = skew
		s.metrics.skew.WithLabelValues(s.hook.name).Set(skew.Seconds())
	}
}

// judge decides from an attempt whether the receiver is well.
func (s *sender) judge(f *finished) {
	now := time.Now()
	if s.breaker.record(now, &f.outcome) {
		s.feed.retryNow = make(map[int64]bool)
	} else if f.result.State == Pending {
		s.feed.failed(f.result.Delivery)
	}
	switch {
	case f.outcome.class == classGone:
		s.disable(now, Gone)
	case f.result.State != Delivered && s.breaker.silent(now):
		s.disable(now, Silent)
	}
	s.paused.Store(s.breaker.room(now, 1) == 0)
}

// confirm notes that results are committed, or are to be committed again.
func (s *sender) confirm(c settlement) {
	s.failures.outbox(c.err)
	results := s.committer.end(c)
	if c.err != nil {
		return
	}
	if at := s.client.CertificateExpiry(); !at.IsZero() {
		s.metrics.expiry.WithLabelValues(s.hook.name).Set(float64(at.Unix()))
	}
	s.feed.outboxHasMore = s.feed.outboxHasMore || c.released
	for i := range results {
		r := &results[i]
		d := s.feed.inFlight[r.Delivery]
		delete(s.feed.inFlight, r.Delivery)
		if r.State == Pending && r.Next.Before(s.feed.look) {
			s.feed.look = r.Next
		}
		s.failures.result(s.log, &d, r)
	}
}

// fill hands what is due to the workers, and decides when to look again.
func (s *sender) fill(now time.Time) {
	if s.committer.overloaded() {
		return
	}
	if !s.lease.Valid() { // it ends soon, unless the outbox answers again
		s.feed.look = now.Add(pause)
		return
	}
	room := s.breaker.room(now, s.hook.cfg.Concurrency+prefetch)
	if room == 0 {
		s.feed.look = now.Add(s.waitForBreaker(now))
		return
	}
	f := &s.feed
	f.outboxHasMore = f.outboxHasMore || f.retryNow != nil || !now.Before(f.look)
	switch atWorkers := s.atWorkers(); {
	case !f.outboxHasMore:
	case atWorkers > room/2:
		f.look = now.Add(lookAgain)
	case s.paused.Load() && atWorkers > 0:
		f.look = now.Add(pause)
	case f.allowed(now) < 1:
		f.look = now.Add(min(f.untilAllowed(now), lookAgain))
	default:
		s.paused.Store(false)
		wanted := min(room-atWorkers, f.allowed(now))
		taken := f.take(wanted)
		if taken == 0 { // the turn at the account's quota wakes the sender
			f.look = now.Add(lookAgain)
			return
		}
		handed, err := f.read(now, taken)
		f.giveBack(taken, handed)
		if err != nil {
			s.failures.outbox(err)
		} else if f.outboxHasMore && taken < wanted {
			f.look = now // to wait in the account's queue
		} else if f.outboxHasMore && f.limiter != nil {
			f.look = now.Add(min(f.untilAllowed(now), lookAgain))
		}
	}
}
