package hooks

import (
	"context"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"ringhook/httpclient"
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
	// linger is how long what went well waits for others to share a commit
	// with, while nothing waits for it. It bounds what is sent a second time after
	// ringhook was killed.
	linger = 20 * time.Millisecond
	// company is how many of them need wait for no more.
	company = 64
	// unsettled is how many results may wait for a commit before nothing more is attempted.
	unsettled = 512
	// ahead is how many deliveries wait for a worker, so that the workers go on
	// while results are committed and the outbox is asked.
	ahead = 128
	// spare is how many more may, of those that are just committed: where much is
	// overdue they need not stand in line behind all of it.
	spare = 64
)

// sender delivers for one hook. Its run alone decides what is attempted and
// hands it to a fixed number of workers.
type sender struct {
	hook    *hook
	client  *httpclient.Client
	send    func(*httpclient.Request, time.Time) (*httpclient.Response, error)
	tokens  *httpclient.Tokens // nil where the receiver wants none
	outbox  Outbox
	log     *slog.Logger
	metrics *metrics
	wake    chan struct{}
	fresh   chan Delivery // just committed and due

	jobs    chan Delivery
	results chan finished
	// flying holds what was handed to the workers and whose result is not
	// committed yet: to the outbox it is still due.
	flying    map[int64]Delivery
	settled   []Result        // to be committed
	urgent    bool            // one of them shall not linger
	oldest    time.Time       // when the first of them came
	settling  []Result        // being committed
	committed chan settlement // once that is over
	refused   time.Time       // when the outbox last took no results, zero where it does
	look      time.Time       // when the outbox is asked next for what is due
	more      bool            // it has more that is due than there was room for
	// seen is the highest id that it gave: what is offered and not above it may have been sent already.
	seen    int64
	trouble trouble
	skew    time.Duration // of the receiver's clock, in whole seconds, as the metric has it

	dispatcher atomic.Pointer[Dispatcher] // the present one, for events about this hook
	next       atomic.Pointer[sender]     // that of a changed configuration, which takes over
	files      [sha256.Size]byte          // a digest of the certificates' files
	stop       context.CancelFunc         // no new attempts
	abandon    context.CancelFunc         // and no waiting for those in progress
	ended      chan struct{}              // nil before start

	gate    gate
	kept    HookState   // of the gate, as the outbox has it
	shut    atomic.Bool // the gate is shut: what the workers have not begun goes back
	cleared time.Time   // when deliveries were last given up unsent
	asked   time.Time   // when the outbox was last asked whether an operator wants the gate open
	// again is not nil while the receiver is just back: what waits for a later
	// attempt is attempted now, but for those that failed since.
	again map[int64]bool
}

// finished is a delivery that a worker is done with.
type finished struct {
	result  Result
	outcome outcome
	unsent  bool
	noted   chan struct{} // where the worker waits until what failed is noted
}

// settlement is how a commit of results ended.
type settlement struct {
	released bool
	err      error
}

func newSender(h *hook, client *httpclient.Client, outbox Outbox, log *slog.Logger) *sender {
	room := h.cfg.Concurrency + ahead + spare
	s := &sender{
		hook: h, client: client, send: client.Do, outbox: outbox, log: log.With("hook", h.name),
		wake: make(chan struct{}, 1), fresh: make(chan Delivery, room), jobs: make(chan Delivery, room), results: make(chan finished, room),
		committed: make(chan settlement, 1),
		flying:    make(map[int64]Delivery, room),
		skew:      -1, // which none is, in whole seconds
		files:     digestFiles(h.cfg.CAFile, h.cfg.CertFile, h.cfg.KeyFile),
	}
	if h.cfg.OAuth2.TokenURL != "" {
		s.tokens = httpclient.NewTokens(h.cfg.OAuth2, client)
	}
	return s
}

// start begins to deliver when another sender, which may be nil, has ended.
func (s *sender) start(d *Dispatcher, after *sender) {
	s.dispatcher.Store(d)
	stopping, stop := context.WithCancel(context.Background())
	abandoned, abandon := context.WithCancel(context.Background())
	s.stop, s.abandon, s.ended = stop, abandon, make(chan struct{})
	go func() {
		defer close(s.ended)
		defer abandon()
		if after != nil {
			<-after.ended // also when it is stopped: whoever waits for this sender waits for both
		}
		s.run(stopping, abandoned)
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

// current returns the sender that delivers for the hook today.
func (s *sender) current() *sender {
	for next := s.next.Load(); next != nil; next = s.next.Load() {
		s = next
	}
	return s
}

// sameAs reports whether two senders deliver in the same way, so that one may go on in place of the other.
func (s *sender) sameAs(other *sender) bool {
	return s.hook.address == other.hook.address && s.files == other.files && reflect.DeepEqual(s.hook.cfg, other.hook.cfg)
}

// digestFiles returns a digest of the contents of files. An empty path, or a file that cannot be read, is an empty file.
func digestFiles(paths ...string) (sum [sha256.Size]byte) {
	h := sha256.New()
	for _, path := range paths {
		var text []byte
		if path != "" {
			text, _ = os.ReadFile(path) // newClient reports that it cannot be read
		}
		fmt.Fprintf(h, "%d %s", len(text), text)
	}
	h.Sum(sum[:0])
	return sum
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
	// What was offered before now is in the outbox, where an operator may have changed it.
	for len(s.fresh) > 0 {
		<-s.fresh
	}
	for stopping.Err() == nil {
		s.gather()
		s.remember(abandoned)
		s.settle(abandoned)
		s.fill(time.Now())
		timer.Reset(max(time.Until(s.nextLook()), soonest))
		select {
		case <-stopping.Done():
		case <-s.wake:
			s.look, s.urgent = time.Time{}, true
		case <-timer.C:
		case d := <-s.fresh:
			s.accept(&d)
		case f := <-s.results:
			s.take(f)
		case c := <-s.committed:
			s.confirm(c)
		}
	}
	close(s.jobs)
	workers.Wait()
	s.jobs = nil // without room: what is offered yet is left in the outbox
	s.gather()
	s.remember(abandoned)
	s.finish(abandoned)
	s.close()
}

// close releases what the sender holds. No attempt may be in progress.
func (s *sender) close() {
	if s.tokens != nil {
		s.tokens.Close()
	}
	s.client.Close()
}

// finish commits every result that there is, and waits for that.
func (s *sender) finish(ctx context.Context) {
	for range 2 {
		if s.settling != nil {
			s.confirm(<-s.committed)
		}
		s.urgent, s.refused = true, time.Time{}
		s.settle(ctx)
	}
	if s.settling != nil {
		s.confirm(<-s.committed)
	}
}

// underWay tells how many deliveries the workers have.
func (s *sender) underWay() int { return len(s.flying) - len(s.settled) - len(s.settling) }

// behind tells whether the outbox does not take results, or not so fast as they come.
func (s *sender) behind() bool { return !s.refused.IsZero() || len(s.settled) >= unsettled }

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
	if flying || d.ID <= s.seen || s.again != nil || s.shut.Load() || s.underWay() >= cap(s.jobs) || s.behind() || s.gate.room(time.Now(), cap(s.jobs)) < cap(s.jobs) {
		s.more = true
		return
	}
	s.flying[d.ID] = *d
	s.jobs <- *d
}

// keep has a result committed. Only what went well may wait: where it failed,
// the time of the next attempt has to be safe, and in a strict order the next
// delivery waits for this one.
func (s *sender) keep(r *Result) {
	if len(s.settled) == 0 {
		s.oldest = time.Now()
	}
	s.urgent = s.urgent || r.State != Delivered || s.hook.cfg.Order == orderStrict
	s.settled = append(s.settled, *r)
}

// take learns from what a worker is done with.
func (s *sender) take(f finished) {
	if f.unsent {
		delete(s.flying, f.result.Delivery)
		s.more = true
		return
	}
	s.keep(&f.result)
	s.trouble.clock(s.log, f.outcome.skew)
	if skew := f.outcome.skew.Round(time.Second); skew != s.skew && f.outcome.status != 0 {
		s.skew = skew
		s.metrics.skew.WithLabelValues(s.hook.name).Set(skew.Seconds())
	}
	if f.result.State != Delivered {
		defer func() { f.noted <- struct{}{} }()
	}
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

// nextLook returns when there is something to do though nothing happens.
func (s *sender) nextLook() time.Time {
	switch {
	case s.behind() && s.settling != nil: // its end will tell
		return time.Now().Add(pause)
	case !s.refused.IsZero():
		return s.refused.Add(pause)
	case len(s.settled) == 0 || s.settling != nil:
		return s.look
	case s.oldest.Add(linger).Before(s.look):
		return s.oldest.Add(linger)
	}
	return s.look
}

// settle begins to commit the gathered results, one commit at a time, so that
// the attempts and what they tell of the receiver wait for none. Those that the outbox cannot take
// now are kept, and nothing is attempted before they are committed.
func (s *sender) settle(ctx context.Context) {
	now := time.Now()
	switch {
	case len(s.settled) == 0 || s.settling != nil || ctx.Err() != nil:
		return
	case now.Before(s.refused.Add(pause)):
		return
	case !s.urgent && !s.more && len(s.settled) < company && now.Before(s.oldest.Add(linger)):
		return
	}
	s.settling, s.settled, s.urgent = s.settled, nil, false
	results := s.settling
	go func() { // finish waits for it
		released, err := s.outbox.Settle(ctx, results)
		s.committed <- settlement{released, err}
	}()
}

// confirm notes that results are committed, or are to be once more.
func (s *sender) confirm(c settlement) {
	s.trouble.outbox(s.log, c.err)
	if c.err != nil {
		s.settled, s.settling = append(s.settling, s.settled...), nil
		s.refused = time.Now()
		return
	}
	if at := s.client.CertificateExpiry(); !at.IsZero() {
		s.metrics.expiry.WithLabelValues(s.hook.name).Set(float64(at.Unix()))
	}
	s.more = s.more || c.released
	for i := range s.settling {
		r := &s.settling[i]
		d := s.flying[r.Delivery]
		delete(s.flying, r.Delivery)
		if r.State == Pending && r.Next.Before(s.look) {
			s.look = r.Next
		}
		s.trouble.result(s.log, &d, r)
	}
	s.settling, s.refused = nil, time.Time{}
}

// fill hands what is due to the workers, and decides when to look again.
func (s *sender) fill(now time.Time) {
	if s.behind() {
		return
	}
	room := s.gate.room(now, s.hook.cfg.Concurrency+ahead)
	if room == 0 {
		s.look = now.Add(s.clear(now))
		return
	}
	s.more = s.more || s.again != nil || !now.Before(s.look)
	if !s.more {
		return
	}
	if s.underWay() > room/2 {
		s.look = now.Add(lookAgain)
		return
	}
	if s.shut.Load() {
		if s.underWay() > 0 {
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
	until, limit := now, room-s.underWay()
	if s.again != nil {
		until, limit = now.Add(everAfter), limit+len(s.again)
	}
	due, err := s.outbox.Due(s.hook.name, until, limit, slices.Collect(maps.Keys(s.flying))...)
	if err != nil {
		s.trouble.outbox(s.log, err)
		return pause
	}
	handed := 0
	for _, d := range due {
		s.seen = max(s.seen, d.ID)
		if s.underWay() < room && !s.again[d.ID] {
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
