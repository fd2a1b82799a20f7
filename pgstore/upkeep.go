package pgstore

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"ringhook/hooks"
	"ringhook/pgstore/node"
	"ringhook/store/browse"
	"ringhook/store/throttle"
)

// Keep is the time for which Store keeps what is no longer needed.
type Keep struct {
	Delivered time.Duration // delivered and dropped deliveries
	Dead      time.Duration // dead deliveries
	Calls     time.Duration // states of calls, since their last record
}

const (
	// upkeepRows is the maximum number of rows of each kind that one transaction removes, so that calls do not wait long
	// for its locks.
	upkeepRows = 100
	// foldRows is the maximum number of changes of counts that one transaction adds up. Nothing waits for these rows.
	foldRows = 10_000
	// maintainEvery is the pause when there is nothing to do, and recoverEvery the pause between attempts to recover.
	// HookCounts reads the changes of counts that come in the pause.
	maintainEvery = 10 * time.Second
	recoverEvery  = 5 * time.Second
)

// farthest is the latest time at which an attempt can be due by any schedule: a day, and as much again if the receiver
// asked for it. A later one was written before the clock was set back.
const farthest = 48 * time.Hour

// tend follows the engine's clock, and recovers from commits that failed, until the context ends. Each node does that.
func (s *Store) tend(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		timer.Reset(s.maintainEvery)
		if s.usable() != nil { // the guard reports it
			timer.Reset(s.recoverEvery)
			continue
		}
		s.complain(ctx, s.look(ctx))
		if s.Ready() != nil {
			s.w.probe()
			timer.Reset(min(s.maintainEvery, s.recoverEvery))
		}
	}
}

// maintain removes what is old in small steps, and adds up the counts, until the context ends. Of several nodes one does it
// at a time.
func (s *Store) maintain(ctx context.Context, keep Keep) {
	if s.member == nil {
		s.maintainWhile(ctx, keep)
		return
	}
	for {
		lease := s.member.Acquire(ctx, node.Upkeep)
		if lease == nil {
			return
		}
		s.maintainWhile(lease.Context(), keep)
		lease.Release()
	}
}

func (s *Store) maintainWhile(ctx context.Context, keep Keep) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	p := throttle.New()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		if s.usable() != nil || !s.keeps() { // the guard reports why
			timer.Reset(s.recoverEvery)
			continue
		}
		start := time.Now()
		more, behind, err := s.maintainOnce(ctx, keep)
		wait := s.maintainEvery
		if more {
			wait = p.After(time.Since(start), behind)
		} else {
			p = throttle.New()
		}
		s.complain(ctx, err)
		timer.Reset(wait)
	}
}

// keeps reports whether this node does the upkeep now.
func (s *Store) keeps() bool { return s.member == nil || s.member.Holds(node.Upkeep) }

// upkeepEpoch returns the epoch of the lease of the upkeep, 0 for a command.
func (s *Store) upkeepEpoch() int64 {
	if s.member == nil {
		return 0
	}
	return s.member.Epoch(node.Upkeep)
}

// complain logs an error of the upkeep, unless the guard has logged why.
func (s *Store) complain(ctx context.Context, err error) {
	if err != nil && ctx.Err() == nil && !errors.Is(err, ErrClosed) && s.usable() == nil {
		s.limit.Warn("upkeep", "upkeep of the engine's tables failed, it is tried again", "err", err)
	}
}

// maintenance is one step of upkeep.
type maintenance struct {
	s      *Store
	now    time.Time
	behind time.Duration // for how long what was removed had been due, at most
}

// maintainOnce takes one step, and reports whether there is more to do and for how long what it removed had been due.
func (s *Store) maintainOnce(ctx context.Context, keep Keep) (more bool, behind time.Duration, err error) {
	if err := s.look(ctx); err != nil {
		return false, 0, err
	}
	m := maintenance{s: s, now: s.now().Round(time.Microsecond)}
	for _, part := range []struct {
		rows int
		step func() (int, error)
	}{
		{upkeepRows, func() (int, error) { return m.clamp(ctx) }},
		{upkeepRows, func() (int, error) { return m.withoutHook(ctx) }},
		{upkeepRows, func() (int, error) { return m.deliveries(ctx, hooks.Delivered, keep.Delivered) }},
		{upkeepRows, func() (int, error) { return m.deliveries(ctx, hooks.Dropped, keep.Delivered) }},
		{upkeepRows, func() (int, error) { return m.deliveries(ctx, hooks.Dead, keep.Dead) }},
		{upkeepRows, func() (int, error) { return m.idleCalls(ctx, keep.Calls) }},
		{foldRows, func() (int, error) { return m.fold(ctx) }},
		{upkeepRows, func() (int, error) { return m.gone(ctx) }},
	} {
		n, err := part.step()
		if err != nil {
			return false, m.behind, err
		}
		more = more || n >= part.rows
	}
	return more, m.behind, nil
}

// due notes that something is removed which has been due since a time.
func (m *maintenance) due(before, since time.Time) { m.behind = max(m.behind, before.Sub(since)) }

const (
	endedBefore = `select id, finished_at from ringhook.delivery where tenant = $1 and state = $2 and finished_at < $3
		order by finished_at limit $4`

	// The statements that remove rows run after the lanes are locked, and look at the rows again: a retry may have changed them.
	// An event stays as long as a delivery refers to it. The lane of replays keeps replays from adding one meanwhile.
	removeDeliveries = `with old as materialized (
			select id, event, hook, state from ringhook.delivery where tenant = $1 and id = any ($2::bigint[]) and state = $3 and finished_at < $4
		), ` + removeOld + `event as (
			delete from ringhook.event e using (select distinct event from old) o where e.tenant = $1 and e.id = o.event
				and not exists (select from ringhook.delivery d where d.tenant = $1 and d.event = e.id and d.id not in (select id from old))
			returning e.id, e.linkedid
		), call as (select ''::text as key where false) ` + forget

	// The CTEs that remove the deliveries of the CTE old (id, event, hook, state) with their attempts.
	removeOld = `gone as (
			delete from ringhook.delivery d using old where d.tenant = $1 and d.id = old.id
		), attempts as (
			delete from ringhook.attempt a using old where a.tenant = $1 and a.delivery = old.id
		), counted as (
			insert into ringhook.tally_change (tenant, hook, pending, dead) 
			select $1, hook, -count(*) filter (where state = 0), -count(*) filter (where state = 2) from old where state in (0, 2) group by hook
		), `

	seenBefore = `select key, seen from ringhook.call where tenant = $1 and seen < $2 order by seen limit $3`

	removeCalls = `with call as (
			delete from ringhook.call where tenant = $1 and key = any ($2::text[]) and seen < $3
			returning key
		), ` + linkedidsOfCalls + forget

	// The CTE event (id, linkedid) of the CTE call (key), without events. A system name may have " @" in it, so that the whole key
	// or what stands before the first one is the linkedid. Values are kept under the linkedid alone.
	linkedidsOfCalls = `event as (
			select 0::bigint as id, l.linkedid from call cross join lateral (values (call.key), (split_part(call.key, ' @', 1))) as l (linkedid)
		) `

	// Remembered values stay as long as the call or an event of it is stored. The CTEs event (id, linkedid) and call (key) are
	// what the statement removes.
	forget = `delete from ringhook.remembered r using (select distinct linkedid from event) g where r.tenant = $1 and r.linkedid = g.linkedid
		and not exists (select from ringhook.event e where e.tenant = $1 and e.linkedid = r.linkedid and e.id not in (select id from event))
		and not exists (select from ringhook.call c where c.tenant = $1 and (c.key = r.linkedid or c.key > r.linkedid || ' @' and c.key < r.linkedid || ' A')
			and c.key not in (select key from call))`
)

// deliveries removes deliveries that ended in a state longer than keep ago, and the events to which no delivery refers any
// more. It returns the number of deliveries.
func (m *maintenance) deliveries(ctx context.Context, state hooks.State, keep time.Duration) (n int, err error) {
	before := m.now.Add(-keep)
	var ids []int64
	err = m.s.query(func(rows pgx.Rows) error {
		var id int64
		var finished time.Time
		err := rows.Scan(&id, &finished)
		ids = append(ids, id)
		m.due(before, finished)
		return err
	}, endedBefore, m.s.tenant, int16(state), before, upkeepRows)
	if err == nil && len(ids) > 0 {
		b := &pgx.Batch{}
		b.Queue(lockLanesOf, m.s.tenant, ids, []string{replayLane})
		b.Queue(removeDeliveries, m.s.tenant, ids, int16(state), before)
		err = m.s.write(ctx, b, nil)
	}
	return len(ids), wrap("remove old deliveries", err)
}

// idleCalls removes calls of which nothing was heard for keep.
func (m *maintenance) idleCalls(ctx context.Context, keep time.Duration) (n int, err error) {
	before := m.now.Add(-keep)
	var keys []string
	err = m.s.query(func(rows pgx.Rows) error {
		var key string
		var seen time.Time
		err := rows.Scan(&key, &seen)
		keys = append(keys, key)
		m.due(before, seen)
		return err
	}, seenBefore, m.s.tenant, before, upkeepRows)
	if err == nil && len(keys) > 0 {
		b := &pgx.Batch{}
		queueLock(b, m.s.tenant, callLanes(keys))
		b.Queue(removeCalls, m.s.tenant, keys, before)
		err = m.s.write(ctx, b, nil)
	}
	return len(keys), wrap("remove idle calls", err)
}

const (
	dueAfter = `select d.id from (select distinct hook from (
			select hook from ringhook.tally where tenant = $1 union all select hook from ringhook.tally_change where tenant = $1) c) h
		cross join lateral (select id from ringhook.delivery d where d.tenant = $1 and d.hook = h.hook and d.shard = 0 and d.state = 0
			and d.next_at > $2 order by d.next_at desc limit $3) d limit $3`
	dueEarlier = `update ringhook.delivery set next_at = $3 where tenant = $1 and id = any ($2::bigint[]) and state = 0 and next_at > $3`
)

// clamp moves attempts that are due later than any schedule allows.
func (m *maintenance) clamp(ctx context.Context) (n int, err error) {
	latest := m.now.Add(farthest)
	var ids []int64
	err = m.s.query(func(rows pgx.Rows) error {
		ids = append(ids, 0)
		return rows.Scan(&ids[len(ids)-1])
	}, dueAfter, m.s.tenant, latest, upkeepRows)
	if err == nil && len(ids) > 0 {
		b := &pgx.Batch{}
		b.Queue(lockLanesOf, m.s.tenant, ids, nil)
		b.Queue(dueEarlier, m.s.tenant, ids, latest)
		err = m.s.write(ctx, b, nil)
	}
	return len(ids), wrap("move attempts that are due too late", err)
}

// foldChanges adds changes of counts to the counts. Changes that another node adds up at the same moment are left to it.
const foldChanges = `with chosen as materialized (
		select id from ringhook.tally_change where tenant = $1 order by id limit $2 for update skip locked
	), given as (
		delete from ringhook.tally_change c using chosen where c.tenant = $1 and c.id = chosen.id returning c.hook, c.pending, c.dead
	), summed as (
		insert into ringhook.tally as t (tenant, hook, pending, dead) select $1, hook, sum(pending), sum(dead) from given group by hook order by hook
		on conflict (tenant, hook) do update set pending = t.pending + excluded.pending, dead = t.dead + excluded.dead
	)
	select count(*) from given`

// fold adds the changes of counts up and returns their number.
func (m *maintenance) fold(ctx context.Context) (int, error) {
	b := &pgx.Batch{}
	b.Queue(foldChanges, m.s.tenant, foldRows)
	var n int
	if err := m.s.write(ctx, b, func(br pgx.BatchResults) error { return br.QueryRow().Scan(&n) }); err != nil {
		return 0, wrap("add up the counts of hooks", err)
	}
	return n, nil
}

// removeGone removes nodes and leases of which nothing was heard for long.
const removeGone = `with nodes as (
		delete from ringhook.node where tenant = $1 and seen < $2 returning 1
	), leases as (
		delete from ringhook.lease where tenant = $1 and until < $2 returning 1
	)
	select (select count(*) from nodes) + (select count(*) from leases)`

// gone removes nodes that have not been seen for as long as removed hooks are kept, and leases that no node has had since.
func (m *maintenance) gone(ctx context.Context) (int, error) {
	before := m.now.Add(-browse.KeepRemoved)
	var old bool
	err := m.s.query(func(rows pgx.Rows) error { return rows.Scan(&old) }, `select exists (select from ringhook.node where tenant = $1 and seen < $2)
		or exists (select from ringhook.lease where tenant = $1 and until < $2)`, m.s.tenant, before)
	if err == nil && old {
		b := &pgx.Batch{}
		b.Queue(removeGone, m.s.tenant, before)
		err = m.s.write(ctx, b, nil)
	}
	return 0, wrap("remove old nodes", err)
}
