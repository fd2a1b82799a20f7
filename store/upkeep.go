package store

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"ringhook/failpoint"
	"ringhook/hooks"
	"ringhook/store/sqlite"
	"ringhook/store/throttle"
)

const (
	// upkeepRows is the maximum number of rows of each kind that one step removes, so
	// that calls do not wait long.
	upkeepRows = 100
	// maintainEvery is the pause when there is nothing to do, and recoverEvery the
	// pause between attempts to recover.
	maintainEvery = time.Minute
	recoverEvery  = 5 * time.Second
)

// farthest is the latest time at which an attempt can be due by any schedule: a
// day, and as much again if the receiver asked for it. A later one was written
// before the clock was set back.
const farthest = 48 * time.Hour

// maintain removes what is old in small steps, returns free pages to the file
// system, and recovers from commits that failed. The first commit that fails
// wakes it.
func (s *Store) maintain(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	p := throttle.New()
	recovering := false // the timer is set to recoverEvery at most
	var tidied time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.w.troubled:
			s.giveBack()
			if !recovering { // further failures must not put the recovery off
				recovering = true
				timer.Reset(s.recoverEvery)
			}
			continue
		case <-timer.C:
		}
		start := time.Now()
		more, err := s.maintainOnce(ctx)
		wait := s.maintainEvery
		if more {
			wait = p.After(time.Since(start), s.behind)
		} else {
			p = throttle.New()
		}
		if err != nil && ctx.Err() == nil && !errors.Is(err, ErrClosed) {
			s.limited.Warn("upkeep", "upkeep of the outbox failed, it is tried again", "err", err)
		}
		if since := time.Since(tidied); since < 0 || since >= tidyEvery {
			tidied = time.Now()
			s.tidyDesk()
		}
		s.giveBack()
		s.recover()
		recovering = s.Ready() != nil || !s.w.reserve.Held()
		if recovering {
			wait = min(wait, s.recoverEvery)
		}
		timer.Reset(wait)
	}
}

// tidyEvery is the time between two removals of what desk.db keeps long enough.
const tidyEvery = time.Hour

func (s *Store) tidyDesk() {
	if s.desk == nil || s.desk.Err() != nil {
		return
	}
	if err := s.desk.Tidy(s.now()); err != nil {
		s.log.Warn("cannot remove old commands, it is tried again", "in", tidyEvery, "err", err)
	}
}

// giveBack deletes what can be rebuilt if the outbox lacks room on the disk, or
// soon will.
func (s *Store) giveBack() {
	if !s.room.Scarce() {
		return
	}
	freed := s.traces.GiveBack() + s.cache.GiveBack()
	if freed > 0 {
		s.log.Warn("disk is nearly full: cache and trace are deleted", "folder", s.folder, "bytes", freed)
	}
}

// probe writes and deletes as much as an event may need.
const probe = `insert into call (linkedid, state, seen_ms) values ('', zeroblob(65536), 0); delete from call where linkedid = ''`

// recover takes the reserve back if there is room again, and tries to commit
// if commits fail: while ringhook is not ready, no call may come to try it.
func (s *Store) recover() {
	s.recoverReserve()
	if s.w.failed.Load() != nil {
		// The writer reports the outcome.
		_ = s.w.do(context.Background(), acceptance, 0, func(c *sqlite.Conn) error {
			_, err := c.Exec(probe)
			return err
		})
	}
}

func (s *Store) recoverReserve() {
	if s.w.reserve.Held() || s.w.reserve.Take() != nil {
		return
	}
	err := s.w.do(context.Background(), upkeep, 0, func(*sqlite.Conn) error {
		s.w.tight = false
		s.w.limit(s.w.maxPages)
		return nil
	})
	if err == nil {
		s.limited.Log(slog.LevelInfo, "taken back", "disk has room again: reserve taken back")
	}
}

// maintainOnce takes one step, and reports whether there is more to do.
func (s *Store) maintainOnce(ctx context.Context) (more bool, err error) {
	seen, err := s.clockStep()
	if err != nil {
		return false, err
	}
	var forgotten []string
	// Close lets the writer finish, so that this ends soon in any case.
	err = s.w.do(context.Background(), upkeep, 0, func(c *sqlite.Conn) error {
		m := maintenance{Store: s, c: c, now: s.now()}
		if seen.set(m.now).Abs() >= leastClockStep {
			more = true // the clock was set since: what is stored has to be moved before
			return nil
		}
		var err error
		more, err = m.run()
		s.behind, forgotten = m.behind, m.calls
		return err
	})
	if ctx.Err() != nil {
		return false, ctx.Err()
	}
	if err != nil {
		for _, linkedid := range forgotten { // they are still there
			s.journal.calls.add(linkedid)
		}
		return false, err
	}
	return more, nil
}

// maintenance is one step of upkeep, inside its transaction.
type maintenance struct {
	*Store
	c      *sqlite.Conn
	now    time.Time
	behind time.Duration // for how long what was removed had been due, at most
	calls  []string      // that were removed
}

// run removes up to upkeepRows of each kind, and returns pages to the file
// system if there was nothing to remove.
func (m *maintenance) run() (more bool, err error) {
	if err := clamp(context.Background(), m.c, m.now); err != nil {
		return false, err
	}
	if err := m.clampEnded(); err != nil {
		return false, err
	}
	used, free, err := sqlite.Pages(m.c)
	if err != nil {
		return false, err
	}
	most := 0
	for _, remove := range []func() (int, error){
		func() (int, error) { return m.outbox.withoutHook(m.c, m.now) },
		func() (int, error) { return m.deliveries(hooks.Delivered, m.deliveredKeep(used)) },
		func() (int, error) { return m.deliveries(hooks.Dropped, m.deliveredKeep(used)) },
		func() (int, error) { return m.deliveries(hooks.Dead, m.cfg.KeepDead) },
		m.idleCalls,
	} {
		n, err := remove()
		if err != nil {
			return false, err
		}
		most = max(most, n)
	}
	if most > 0 {
		return most == upkeepRows, nil
	}
	return sqlite.Shrink(m.c, used, free)
}

// deliveredKeep returns how long delivered ones stay. If room is scarce, they go at
// once: room for what is still to be delivered comes first.
func (m *maintenance) deliveredKeep(used int64) time.Duration {
	if limit := int64(m.cfg.MaxSize) / sqlite.PageSize; limit > 0 && used > limit/5*4 || m.w.tight {
		return 0
	}
	return m.cfg.KeepDelivered
}

// removed notes that something was removed which fell due at dueMS.
func (m *maintenance) removed(sinceMS, dueMS int64) {
	m.behind = max(m.behind, time.Duration(dueMS-sinceMS)*time.Millisecond)
}

// deliveries removes deliveries that ended in a state longer than keep ago, and
// the events to which no delivery refers any more. It returns the number of deliveries.
func (m *maintenance) deliveries(state hooks.State, keep time.Duration) (n int, err error) {
	beforeMS := m.now.Add(-keep).UnixMilli()
	var events []int64
	err = m.c.All(`delete from delivery where id in
		(select id from delivery where state = ? and finished_ms < ? order by finished_ms limit ?) returning event, finished_ms`,
		[]any{int(state), beforeMS, upkeepRows}, func(scan func(...any) error) error {
			var id, finishedMS int64
			err := scan(&id, &finishedMS)
			events = append(events, id)
			m.removed(finishedMS, beforeMS)
			return err
		})
	if err == nil && len(events) > 0 {
		err = failpoint.Hit(failpoint.RetentionMid)
	}
	for _, id := range events {
		if err == nil {
			_, err = m.c.Exec("delete from event where id = ?1 and not exists (select 1 from delivery where event = ?1)", id)
		}
	}
	return len(events), err
}

// idleCalls removes calls of which nothing was heard for keep_calls.
func (m *maintenance) idleCalls() (n int, err error) {
	beforeMS := m.now.Add(-m.cfg.KeepCalls).UnixMilli()
	err = m.c.All(`delete from call where id in (select id from call where seen_ms < ? order by seen_ms limit ?) returning linkedid, seen_ms`,
		[]any{beforeMS, upkeepRows}, func(scan func(...any) error) error {
			var linkedid string
			var seenMS int64
			err := scan(&linkedid, &seenMS)
			m.journal.calls.remove(linkedid)
			m.calls = append(m.calls, linkedid)
			m.removed(seenMS, beforeMS)
			n++
			return err
		})
	return n, err
}

// clamp moves attempts that are due later than any schedule allows.
func clamp(ctx context.Context, c *sqlite.Conn, now time.Time) error {
	latest := now.Add(farthest).UnixMilli()
	var names []string
	err := c.AllContext(ctx, "select hook from tally where pending > 0", nil, func(scan func(...any) error) error {
		var name string
		err := scan(&name)
		names = append(names, name)
		return err
	})
	for _, name := range names {
		if err == nil {
			_, err = c.ExecContext(ctx, "update delivery set next_ms = ?2 where state = 0 and hook = ?1 and next_ms > ?2", name, latest)
		}
	}
	return err
}

// clampEnded sets what lies in the future to the present time: the clock was ahead when it was written, and it would be kept
// until that time.
func (m *maintenance) clampEnded() error {
	nowMS, latestMS := m.now.UnixMilli(), m.now.Add(time.Hour).UnixMilli()
	for _, state := range []hooks.State{hooks.Delivered, hooks.Dropped, hooks.Dead} {
		_, err := m.c.Exec("update delivery set finished_ms = ?1 where id in (select id from delivery where state = ?2 and finished_ms > ?3 limit ?4)",
			nowMS, int(state), latestMS, upkeepRows)
		if err != nil {
			return err
		}
	}
	_, err := m.c.Exec("update call set seen_ms = ?1 where id in (select id from call where seen_ms > ?2 limit ?3)", nowMS, latestMS, upkeepRows)
	return err
}

// checkpoints copies the write-ahead log into the file between two batches, on
// the writer's connection, so that no commit pays for it.
type checkpoints struct {
	log     *slog.Logger
	idle    func() bool
	tight   func() bool // the disk is full: the log must not grow
	batches int
	failing bool
}

// The maximum length of the write-ahead log, in pages: 4 MiB if no task waits,
// 16 MiB if one does, and 64 MiB before the log is truncated.
const (
	walIdle = 4 << 20 / sqlite.PageSize
	walBusy = 16 << 20 / sqlite.PageSize
	walCut  = 64 << 20 / sqlite.PageSize
)

func (p *checkpoints) between(c *sqlite.Conn) {
	p.batches++
	idle := p.idle()
	if !idle && p.batches%16 != 0 {
		return
	}
	var busy, length, done int64
	_, err := c.One("pragma wal_checkpoint(noop)", nil, &busy, &length, &done)
	if err == nil {
		due := length-done > walBusy || idle && length-done > walIdle || p.tight() && length > done
		if due {
			_ = failpoint.Hit(failpoint.CheckpointMid)
		}
		switch {
		case idle && length > walCut:
			_, err = c.One("pragma wal_checkpoint(truncate)", nil, &busy, &length, &done)
		case due:
			_, err = c.One("pragma wal_checkpoint(passive)", nil, &busy, &length, &done)
		}
	}
	if err != nil && !p.failing {
		p.log.Warn("checkpoint of the outbox failed, it is tried again", "err", err)
	}
	p.failing = err != nil
}
