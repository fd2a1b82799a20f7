package hooks

import (
	"maps"
	"math"
	"slices"
	"time"

	"golang.org/x/time/rate"

	"ringhook/httpclient"
)

const (
	// prefetch is the number of deliveries that wait for a worker, so that the workers continue while results are committed
	// and the outbox is read.
	prefetch = 128
	// prefetchFresh is the number of deliveries that may wait beside those, if they were just committed: they need not queue
	// behind all that is overdue.
	prefetchFresh = 64
	// farFuture is later than any next attempt.
	farFuture = 60 * 24 * time.Hour
	// checkAfter is the time for which a delivery may wait for a worker without being looked up again: after that, an operator
	// who dropped or erased it meanwhile would see it sent all the same.
	checkAfter = time.Second
	// maxRetryNow bounds the deliveries that are attempted ahead of their time when a receiver is back.
	maxRetryNow = 200
)

// feed decides which deliveries of a hook are handed to the workers: those that were just committed and offered, and those
// that the outbox returns as due.
type feed struct {
	queue Queue
	hook  string
	jobs  chan job // nil while nothing is handed out
	room  int      // of jobs
	// limiter limits what is handed out, nil if nothing does. What waits for the rate is not taken from the outbox, where it
	// may still be dropped or erased.
	limiter *rate.Limiter
	// quota limits it together with what others do with the hook's account, nil if nothing does; turn is the place in its
	// queue, nil if the feed does not wait.
	quota *httpclient.Quota
	turn  *httpclient.Turn
	// waited reports that a request was taken after a wait in the queue.
	waited bool
	// inFlight are the deliveries that were handed to the workers and whose result is not committed yet. To the outbox they
	// are still due.
	inFlight      map[int64]Delivery
	look          time.Time // when the outbox is read next
	outboxHasMore bool      // more is due than could be handed out
	// highestID is the highest id that the outbox returned. What is offered and not above it may have been sent already.
	highestID int64
	// retryNow is not nil while the receiver is just back. What waits for a later attempt is then attempted at once, except
	// for those that failed since.
	retryNow map[int64]bool
}

// job is a delivery for a worker.
type job struct {
	Delivery
	handed time.Time
}

func newFeed(queue Queue, hook string, limiter *rate.Limiter, quota *httpclient.Quota, room int) feed {
	return feed{queue: queue, hook: hook, limiter: limiter, quota: quota, room: room, inFlight: make(map[int64]Delivery, room)}
}

// begin begins to hand out deliveries, which were not handed out for a while.
func (f *feed) begin() {
	f.jobs = make(chan job, f.room)
	f.look, f.outboxHasMore, f.retryNow = time.Time{}, false, nil
}

// allowed is the number of deliveries that the rate lets be handed out now.
func (f *feed) allowed(now time.Time) int {
	if f.limiter == nil {
		return math.MaxInt
	}
	return int(f.limiter.TokensAt(now))
}

// untilAllowed returns how long the rate allows no delivery.
func (f *feed) untilAllowed(now time.Time) time.Duration {
	missing := 1 - f.limiter.TokensAt(now)
	return time.Duration(missing / float64(f.limiter.Limit()) * float64(time.Second))
}

// take takes up to n requests from the quota of the account. If there is none now, the feed waits in its queue, whose turn
// wakes the sender. What is taken and not handed out is to be given back.
func (f *feed) take(n int) int {
	switch {
	case f.quota == nil || n == 0:
		return n
	case f.turn == nil:
		if taken := f.quota.Take(n); taken > 0 {
			return taken
		}
		f.turn = f.quota.Join()
		return 0
	case !f.turn.Come():
		return 0
	}
	f.turn = nil
	f.waited = true
	return 1 + f.quota.Take(n-1)
}

// giveBack returns what was taken and not handed out.
func (f *feed) giveBack(taken, handed int) {
	if f.waited && handed > 0 {
		f.quota.Used()
	}
	f.waited = false
	f.quota.Return(taken - handed)
}

// turned returns a channel that is closed when the feed's turn has come; nil if it waits for none.
func (f *feed) turned() <-chan struct{} {
	if f.turn == nil {
		return nil
	}
	return f.turn.Granted()
}

// turnCame reports whether the feed's turn has come.
func (f *feed) turnCame() bool { return f.turn != nil && f.turn.Come() }

// leaveQueue gives up the feed's place or turn in the quota's queue.
func (f *feed) leaveQueue() {
	if f.turn != nil {
		f.turn.Leave()
		f.turn = nil
	}
}

// hand passes a delivery to the workers. There must be room for it, and the rate must allow it.
func (f *feed) hand(d *Delivery) {
	if f.limiter != nil {
		f.limiter.ReserveN(time.Now(), 1)
	}
	f.inFlight[d.ID] = *d
	f.jobs <- job{*d, time.Now()}
}

// canTake reports whether an offered delivery may be handed out before the outbox returns it.
func (f *feed) canTake(id int64) bool {
	_, flying := f.inFlight[id]
	return !flying && id > f.highestID && f.retryNow == nil
}

// readNow has the outbox read at the next opportunity.
func (f *feed) readNow() { f.look = time.Time{} }

// due returns up to limit deliveries that are due until a time and are not in flight.
func (f *feed) due(until time.Time, limit int) ([]Delivery, error) {
	return f.queue.Due(f.hook, until, limit, slices.Collect(maps.Keys(f.inFlight))...)
}

// read hands out what the outbox has for the given number of places, and sets when to look again. It returns the number
// of deliveries that were handed out.
func (f *feed) read(now time.Time, places int) (handed int, err error) {
	until, limit := now, places
	if f.retryNow != nil {
		until, limit = now.Add(farFuture), limit+len(f.retryNow)
	}
	due, err := f.due(until, limit)
	if err != nil {
		f.look = now.Add(pause)
		return 0, err
	}
	for i := range due {
		d := &due[i]
		f.highestID = max(f.highestID, d.ID)
		if handed < places && !f.retryNow[d.ID] {
			f.hand(d)
			handed++
		}
	}
	if f.outboxHasMore = len(due) == limit && handed > 0; f.outboxHasMore {
		f.look = now.Add(lookAgain)
		return handed, nil
	}
	if handed == 0 {
		f.retryNow = nil
	}
	wait, err := f.untilNext(now)
	f.look = now.Add(wait)
	return handed, err
}

// untilNext returns how long nothing will be due, at most lookAgain.
func (f *feed) untilNext(now time.Time) (time.Duration, error) {
	next, err := f.queue.Next(f.hook)
	switch {
	case err != nil:
		return pause, err
	case next.IsZero():
		return lookAgain, nil
	case next.After(now):
		return min(next.Sub(now), lookAgain), nil
	}
	return pause, nil // what is due and was not handed out is in flight
}

// failed notes a delivery that failed while the receiver is just back.
func (f *feed) failed(id int64) {
	switch {
	case f.retryNow == nil:
	case len(f.retryNow) < maxRetryNow:
		f.retryNow[id] = true
	default:
		f.retryNow = nil
	}
}
