package store

import (
	"context"
	"sync"
	"time"

	"ringhook/store/sqlite"
)

// leastClockStep is the smallest change of the wall clock that counts as a clock step. A
// smaller one is a correction.
const leastClockStep = time.Minute

// clockSteps detects that the wall clock was set while the store is open: a clock
// that was wrong until its network came must not end what waits.
type clockSteps struct {
	mu    sync.Mutex
	last  time.Time                                   // of the last look
	since func(last, now time.Time) (d time.Duration) // by the monotonic clock; a test has its own
}

// What has a time of its own is moved with the clock, but for what was written
// since it was set: going forward that is what would lie in the future, going
// back what does not.
const (
	stepPending = `update delivery set next_ms = max(1, next_ms + ?1), pass_ms = pass_ms + ?1,
		begun_ms = coalesce(begun_ms, (select accepted_ms from event where id = delivery.event)) + ?1
		where state = 0 and iif(?1 > 0, coalesce(begun_ms, (select accepted_ms from event where id = delivery.event)) + ?1 <= ?2,
			coalesce(begun_ms, (select accepted_ms from event where id = delivery.event)) > ?2)`
	stepDead  = "update delivery set finished_ms = finished_ms + ?1 where state = 2 and iif(?1 > 0, finished_ms + ?1 <= ?2, finished_ms > ?2)"
	stepGone  = "update tally set removed_ms = removed_ms + ?1 where iif(?1 > 0, removed_ms + ?1 <= ?2, removed_ms > ?2)"
	stepCalls = "update call set seen_ms = seen_ms + ?1 where iif(?1 > 0, seen_ms + ?1 <= ?2, seen_ms > ?2)"
)

// look is a time at which the clocks agreed.
type look struct {
	at    time.Time
	since func(last, now time.Time) time.Duration
}

// set returns by how much the wall clock was set since the look.
func (l look) set(now time.Time) time.Duration {
	return now.Round(0).Sub(l.at.Round(0)) - l.since(l.at, now)
}

// clockStep moves what is pending, dead or known of calls with the wall clock if
// that was set. It must be called before a decision by a stored time.
func (s *Store) clockStep() (look, error) {
	l := &s.steps
	l.mu.Lock()
	defer l.mu.Unlock()
	now := s.now()
	if s.lock == nil {
		return look{now, l.since}, nil // a tool does not run for long
	}
	set := look{l.last, l.since}.set(now)
	if set.Abs() >= leastClockStep {
		err := s.w.do(context.Background(), result, 0, func(c *sqlite.Conn) error {
			for _, move := range []string{stepPending, stepDead, stepGone, stepCalls} {
				if _, err := c.Exec(move, set.Milliseconds(), now.UnixMilli()); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return look{}, err
		}
		s.log.Warn("clock was set: stored times are moved with it", "by", set.Round(time.Second))
	}
	l.last = now
	return look{now, l.since}, nil
}
