package pgstore

import (
	"context"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	// leastClockStep is the smallest change of the engine's clock that counts as a step. A smaller one is a
	// correction.
	leastClockStep = time.Minute
	// leastCorrection is the smallest correction that a node follows. Less may be the duration of the question, and times that
	// were read would change when they are given back.
	leastCorrection = time.Second
)

// clock is the engine's clock as this node knows it: the engine's time at the last look, and what has passed since by the
// node's monotonic clock. The times of calls and deliveries are on this clock, so that a node whose own clock is wrong, or is set, writes
// what the other nodes and a restart understand.
type clock struct {
	local  func() time.Time
	since  func(last, now time.Time) time.Duration // by the monotonic clock; a test has its own
	awake  func(last, now *look) time.Duration     // and with the time for which the machine was suspended; a test has its own
	engine func(asked time.Time) time.Time         // the engine's time; a test has its own

	looking sync.Mutex // one look at a time; last is written under it
	mu      sync.RWMutex
	last    look      // the node's clock before the first look; guarded by mu
	looked  bool      // guarded by looking
	odd     time.Time // when a step was first seen that another node is to follow; zero if there is none; guarded by looking
}

// look is a moment at which the engine was asked for its time.
type look struct {
	engine, local time.Time
	boot          time.Duration
	steps         int64 // that stored times had been moved by, see moveTimes
}

// newClock returns the clock of a store that has not looked yet. If now is not nil, it is the engine's clock and the node's.
func newClock(now func() time.Time) *clock {
	c := &clock{
		local: time.Now, engine: func(asked time.Time) time.Time { return asked },
		since: func(last, now time.Time) time.Duration { return now.Sub(last) },
	}
	c.awake = func(last, now *look) time.Duration { return now.boot - last.boot }
	if now != nil {
		c.local, c.engine = now, func(time.Time) time.Time { return now() }
		c.awake = func(last, now *look) time.Duration { return c.since(last.local, now.local) }
	}
	at := c.local()
	c.last = look{engine: at.Round(0), local: at, boot: sinceBoot()}
	return c
}

// now returns the time of the engine's clock. It waits while stored times are moved.
func (c *clock) now() time.Time {
	at, _ := c.both()
	return at
}

// both returns the time of the engine's clock and of the node's.
func (c *clock) both() (engine, local time.Time) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	local = c.local()
	return c.last.engine.Add(c.since(c.last.local, local)), local
}

// engineOf returns a time of the node's clock on the engine's. The zero time stays zero.
func (c *clock) engineOf(local time.Time) time.Time {
	if local.IsZero() {
		return local
	}
	engine, now := c.both()
	return engine.Add(local.Sub(now))
}

// localOf returns a time of the engine's clock on the node's. The zero time stays zero.
func (c *clock) localOf(engine time.Time) time.Time {
	if engine.IsZero() {
		return engine
	}
	at, now := c.both()
	return engine.Add(now.Round(0).Sub(at))
}

const selectClock = "select clock_timestamp(), coalesce((select steps from ringhook.clock where tenant = $1), 0)"

// What has a time of its own is moved with the engine's clock, but for what was written since that was set: going forward that
// is what would lie in the future, going back what does not. $2 is by how much the clock was set, $3 is now, $4 the number of steps
// at the last look: another node that has noticed the same step is the one that moves the times then, and this statement
// changes nothing. It does not either if $5, the epoch of this node's lease, is an old one: a node that was suspended may take
// that for a step.
const moveTimes = `
with stepped as (
	insert into ringhook.clock as c (tenant, steps) select $1, $4::bigint + 1
		where $5::bigint = 0 or exists (select from ringhook.lease l where l.tenant = $1 and l.epoch = $5)
	on conflict (tenant) do update set steps = c.steps + 1 where c.steps = $4
	returning steps
), begun as (
	select d.id, coalesce(d.begun_at, e.accepted) as at from ringhook.delivery d
		join ringhook.event e on e.tenant = $1 and e.id = d.event where d.tenant = $1 and d.state = 0
), pending as (
	update ringhook.delivery d set next_at = d.next_at + $2::interval, pass_at = d.pass_at + $2, begun_at = b.at + $2
		from begun b where d.tenant = $1 and d.id = b.id and d.state = 0 and exists (select from stepped)
			and case when $2 > interval '0' then b.at + $2 <= $3::timestamptz else b.at > $3 end
), dead as (
	update ringhook.delivery d set finished_at = d.finished_at + $2 where d.tenant = $1 and d.state = 2 and exists (select from stepped)
		and case when $2 > interval '0' then d.finished_at + $2 <= $3 else d.finished_at > $3 end
), gone as (
	update ringhook.tally t set removed_at = t.removed_at + $2 where t.tenant = $1 and t.removed_at is not null and exists (select from stepped)
		and case when $2 > interval '0' then t.removed_at + $2 <= $3 else t.removed_at > $3 end
), calls as (
	update ringhook.call c set seen = c.seen + $2 where c.tenant = $1 and exists (select from stepped)
		and case when $2 > interval '0' then c.seen + $2 <= $3 else c.seen > $3 end
)
select exists (select from stepped)`

// look asks the engine for its time. If its clock was set since the last look, which a failover to a server with a wrong
// clock does as well, it moves the times of what waits, is dead or is known of calls with it. Otherwise they would be given up or
// removed too early or too late.
func (s *Store) look(ctx context.Context) error {
	c := s.clock
	c.looking.Lock()
	defer c.looking.Unlock()
	l, err := s.askClock(ctx)
	if err != nil {
		return err
	}
	set := l.engine.Sub(c.last.engine) - c.since(c.last.local, l.local)
	c.mu.Lock() // no time may be taken until all are on the same clock
	defer c.mu.Unlock()
	if c.looked && c.stepped(set, &l) {
		if !s.keeps() && !c.overdue(l.local) {
			return nil // the node that does the upkeep moves the times, and then all follow
		}
		if s.keeps() {
			moved, err := s.moveTimes(ctx, set, l)
			if err != nil {
				return err
			}
			if moved {
				l.steps++
				s.log.Warn("engine's clock was set: stored times are moved with it", "by", set.Round(time.Second))
			}
		}
	}
	c.odd = time.Time{}
	if !c.looked || set.Abs() >= leastCorrection || l.steps != c.last.steps {
		c.last, c.looked = l, true
	}
	return nil
}

// stepped reports whether the engine's clock was set since the last look, and no node has moved the times yet. It was not if
// the machine was suspended meanwhile, and its monotonic clock stood still.
func (c *clock) stepped(set time.Duration, l *look) bool {
	return set.Abs() >= leastClockStep && l.steps == c.last.steps &&
		(l.engine.Sub(c.last.engine)-c.awake(&c.last, l)).Abs() >= leastClockStep
}

// overdue reports whether another node should have followed a step long ago. If it has not, there is no step: the clocks of this
// node stood still, as those of a virtual machine that is paused.
func (c *clock) overdue(now time.Time) bool {
	if c.odd.IsZero() {
		c.odd = now
	}
	return now.Sub(c.odd) >= leastClockStep
}

// beginClock takes the first look, on a connection that may be used before the store is.
func (s *Store) beginClock(ctx context.Context, conn querier) error {
	c := s.clock
	c.looking.Lock()
	defer c.looking.Unlock()
	if c.looked {
		return nil
	}
	l, err := s.clockOf(ctx, conn)
	if err == nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.last, c.looked = l, true
	}
	return err
}

func (s *Store) askClock(ctx context.Context) (l look, err error) {
	err = s.read(ctx, s.readTime, func(ctx context.Context) error {
		l, err = s.clockOf(ctx, s.reads)
		return err
	})
	return l, err
}

// querier is a connection, or a pool of them.
type querier interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

func (s *Store) clockOf(ctx context.Context, conn querier) (l look, err error) {
	err = conn.QueryRow(ctx, selectClock, s.tenant).Scan(&l.engine, &l.steps)
	l.engine, l.local, l.boot = s.clock.engine(l.engine).Round(0), s.clock.local(), sinceBoot()
	return l, wrap("read the engine's clock", err)
}

func (s *Store) moveTimes(ctx context.Context, by time.Duration, l look) (moved bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, s.readTime)
	defer cancel()
	b := &pgx.Batch{}
	b.Queue(moveTimes, s.tenant, by, l.engine, l.steps, s.upkeepEpoch())
	var done bool
	err = s.write(ctx, b, func(br pgx.BatchResults) error { return br.QueryRow().Scan(&done) })
	return err == nil && done, wrap("move stored times with the engine's clock", err)
}
