package store

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"ringhook/failpoint"
	"ringhook/hooks"
	"ringhook/store/sqlite"
)

const (
	// upkeepRows is how much one step removes of each kind: so few that the call
	// that comes meanwhile does not notice.
	upkeepRows = 100
	// upkeepShare is how many times as long as a step took upkeep waits before the
	// next, so that no call notices it, and upkeepLeast where that is not enough.
	upkeepShare = 10
	upkeepLeast = 2
	// paceEvery is how often it looks whether that is enough.
	paceEvery = 5 * time.Second
	// upkeepEvery is how often it looks whether there is something to do, and
	// mendEvery how often whether what failed works again.
	upkeepEvery = time.Minute
	mendEvery   = 5 * time.Second
)

// farthest is the latest that an attempt can be due by any schedule: a day,
// and as much again where the receiver asked for it. What is later was
// written by a clock that has been set back since.
const farthest = 48 * time.Hour

// keepHouse removes what is old in small steps, and gives room back.
func (s *Store) keepHouse(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	p := newPace()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		start := time.Now()
		more, err := s.tidy(ctx)
		wait := upkeepEvery
		if more {
			wait = p.after(time.Since(start), s.behind)
		} else {
			p = newPace()
		}
		if err != nil && ctx.Err() == nil && !errors.Is(err, ErrClosed) {
			s.log.Warn("upkeep of the outbox failed, it is tried again", "in", upkeepEvery, "err", err)
		}
		s.mend()
		if s.Ready() != nil || !s.w.reserve.Held() {
			wait = min(wait, mendEvery)
		}
		timer.Reset(wait)
	}
}

// upkeepPace is how much of the time upkeep takes for itself: more and more where what falls due is more
// than it removes, so that what is due waits longer and longer, or the file would grow without end.
type upkeepPace struct {
	share  time.Duration
	passed time.Duration // since it was looked at
	behind time.Duration // then
}

func newPace() upkeepPace { return upkeepPace{share: upkeepShare} }

// after says how long to wait after a step that took so long, and removed what had been due for
// as long as behind.
func (p *upkeepPace) after(took, behind time.Duration) time.Duration {
	wait := p.share * took
	if p.passed += took + wait; p.passed >= paceEvery {
		if p.behind > 0 && behind > p.behind && p.share > upkeepLeast {
			p.share--
		}
		p.passed, p.behind = 0, behind
	}
	return wait
}

// probe takes and gives back as much room as an event may need.
const probe = `insert into call (linkedid, state, seen_ms) values ('', zeroblob(65536), 0); delete from call where linkedid = ''`

// mend takes the reserve back where there is room again, and tries to commit
// where that failed: no call may come to try it while ringhook is not ready.
func (s *Store) mend() {
	if !s.w.reserve.Held() && s.w.reserve.Take() == nil {
		err := s.w.do(context.Background(), upkeep, 0, func(*sqlite.Conn) error {
			s.w.tight = false
			s.w.limit(s.w.maxPages)
			return nil
		})
		if err == nil {
			s.log.Info("disk has room again: the reserve is taken back")
		}
	}
	if s.w.failed.Load() != nil {
		// What comes of it the writer tells everybody.
		_ = s.w.do(context.Background(), acceptance, 0, func(c *sqlite.Conn) error {
			_, err := c.Exec(probe)
			return err
		})
	}
}

// tidy takes one step, and tells whether there is more to do.
func (s *Store) tidy(ctx context.Context) (more bool, err error) {
	if err := s.leap(); err != nil {
		return false, err
	}
	var forgotten []string
	// Who closes the store lets the writer finish, so that this ends soon in any case.
	err = s.w.do(context.Background(), upkeep, 0, func(c *sqlite.Conn) error {
		forgotten = forgotten[:0]
		var err error
		more, err = s.step(c, &forgotten)
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

func (s *Store) step(c *sqlite.Conn, forgotten *[]string) (more bool, err error) {
	now := s.now()
	if err := clamp(c, now); err != nil {
		return false, err
	}
	used, free, err := sqlite.Pages(c)
	if err != nil {
		return false, err
	}
	before := func(keep time.Duration) int64 { return now.Add(-keep).UnixMilli() }
	delivered := before(s.cfg.KeepDelivered)
	if limit := int64(s.cfg.MaxSize) / sqlite.PageSize; limit > 0 && used > limit/5*4 || s.w.tight {
		delivered = now.UnixMilli() // room for what is still to be delivered comes first
	}
	n, err := s.outbox.withoutHook(c, now)
	if err != nil {
		return false, err
	}
	s.behind = 0
	for _, old := range []struct {
		state    hooks.State
		beforeMS int64
	}{{hooks.Delivered, delivered}, {hooks.Dropped, delivered}, {hooks.Dead, before(s.cfg.KeepDead)}} {
		removed, oldest, err := removeDeliveries(c, old.state, old.beforeMS)
		if err != nil {
			return false, err
		}
		n = max(n, removed)
		s.behind = max(s.behind, time.Duration(old.beforeMS-oldest)*time.Millisecond)
	}
	calls, callsBefore := 0, before(s.cfg.KeepCalls)
	err = c.All(`delete from call where id in (select id from call where seen_ms < ? order by seen_ms limit ?) returning linkedid, seen_ms`,
		[]any{callsBefore, upkeepRows}, func(scan func(...any) error) error {
			var linkedid string
			var seenMS int64
			err := scan(&linkedid, &seenMS)
			s.journal.calls.remove(linkedid)
			*forgotten = append(*forgotten, linkedid)
			calls++
			s.behind = max(s.behind, time.Duration(callsBefore-seenMS)*time.Millisecond)
			return err
		})
	if err != nil {
		return false, err
	}
	if n = max(n, calls); n > 0 {
		return n == upkeepRows, nil
	}
	return sqlite.Shrink(c, used, free)
}

// removeDeliveries removes a step's worth of deliveries that ended before a
// moment, and the events that nobody refers to any more. It tells how many deliveries, and when the
// first of them ended.
func removeDeliveries(c *sqlite.Conn, state hooks.State, beforeMS int64) (n int, oldestMS int64, err error) {
	var events []int64
	oldestMS = beforeMS
	err = c.All(`delete from delivery where id in
		(select id from delivery where state = ? and finished_ms < ? order by finished_ms limit ?) returning event, finished_ms`,
		[]any{int(state), beforeMS, upkeepRows}, func(scan func(...any) error) error {
			var id, finishedMS int64
			err := scan(&id, &finishedMS)
			events = append(events, id)
			oldestMS = min(oldestMS, finishedMS)
			return err
		})
	if err == nil && len(events) > 0 {
		err = failpoint.Hit(failpoint.RetentionMid)
	}
	for _, id := range events {
		if err == nil {
			_, err = c.Exec("delete from event where id = ?1 and not exists (select 1 from delivery where event = ?1)", id)
		}
	}
	return len(events), oldestMS, err
}

// clamp brings back what is planned farther away than any schedule plans.
func clamp(c *sqlite.Conn, now time.Time) error {
	latest := now.Add(farthest).UnixMilli()
	var names []string
	err := c.All("select hook from tally where pending > 0", nil, func(scan func(...any) error) error {
		var name string
		err := scan(&name)
		names = append(names, name)
		return err
	})
	for _, name := range names {
		if err == nil {
			_, err = c.Exec("update delivery set next_ms = ?2 where state = 0 and hook = ?1 and next_ms > ?2", name, latest)
		}
	}
	return err
}

// checkpoints brings the write-ahead log into the file between two batches,
// on the writer's own connection, so that no commit pays for it.
type checkpoints struct {
	log     *slog.Logger
	idle    func() bool
	tight   func() bool // the disk is full: the log shall not grow
	batches int
	failing bool
}

// How long the write-ahead log may become, in pages: 4 MiB where nobody waits,
// 16 MiB where somebody does, and 64 MiB until the log itself is cut.
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
