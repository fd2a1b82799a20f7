package store

import (
	"errors"
	"slices"
	"strconv"
	"time"

	"ringhook/failpoint"
	"ringhook/store/sqlite"
)

// commit makes a batch safe and tells everybody who waits for it. A task that
// is itself at fault fails alone. Where there is no room the acceptances fail,
// and the rest gets more of max_size and, where it is the disk that is full,
// the reserve: what is stored can still be delivered and deleted. A file that
// somebody holds is tried once more.
func (w *writer) commit(batch []*task) {
	waited, raised := false, false
	defer func() {
		if raised && w.c != nil {
			w.limit(w.most())
		}
	}()
	batch = w.refuseBroken(batch, 0)
	for len(batch) > 0 {
		bad, err := w.try(batch)
		class := sqlite.ClassOf(err)
		switch {
		case err == nil:
			w.wrote(batch)
			finish(batch, nil)
			return
		case class == sqlite.Other && bad >= 0:
			w.meter.failure(sqlite.Other, 1)
			finish(batch[bad:bad+1], sqlite.Wrap("write to the outbox", err))
			batch = w.refuseBroken(slices.Delete(batch, bad, bad+1), bad)
		case class == sqlite.Busy && !waited:
			waited = true
		case class == sqlite.Full && !raised && w.maxPages > 0:
			raised = true
			if w.c != nil {
				w.limit(w.maxPages + reservePages)
			}
			n := 0
			for n < len(batch) && batch[n].rank == acceptance {
				n++
			}
			w.fail(batch[:n], err)
			batch = batch[n:]
		case class == sqlite.Full && w.release():
		default:
			w.fail(batch, err)
			return
		}
	}
}

// wrote notes that commits succeed, of acceptances too where those were refused
// for want of room.
func (w *writer) wrote(batch []*task) {
	before := w.failed.Load()
	if before == nil || sqlite.ClassOf(*before) == sqlite.Full && batch[0].rank != acceptance {
		return
	}
	w.failed.Store(nil)
	w.log.Info("outbox commits again")
}

// release gives up the reserve, once, and tells whether it did. From then on what
// is accepted may take no more than the file has already: else it would take
// the room that the results need.
func (w *writer) release() bool {
	if w.reserve == nil {
		return false
	}
	released, err := w.reserve.Release()
	if err != nil {
		w.log.Error("reserve of the outbox not given up", "err", err)
	}
	if !released || err != nil {
		return false
	}
	w.tight = true
	w.log.Error("disk is full: the reserve is given up, so that results of deliveries can be written", "bytes", w.reserve.Size())
	return true
}

// most is how many pages the file may have. SQLite takes one for as many as there are.
func (w *writer) most() int64 {
	if w.tight {
		return 1
	}
	return w.maxPages
}

// reservePages is what results and upkeep may take beyond max_size: 16 MiB.
const reservePages = 16 << 20 / sqlite.PageSize

func (w *writer) limit(pages int64) {
	if _, err := w.c.Exec("pragma max_page_count = " + strconv.FormatInt(pages, 10)); err != nil {
		w.log.Error("limit of the outbox not set", "err", err)
	}
}

// try applies and commits a batch. bad is the place of the task that failed,
// -1 where it was the transaction itself.
func (w *writer) try(batch []*task) (bad int, err error) {
	start := time.Now()
	w.began.Store(start.UnixNano())
	defer w.began.Store(0)
	if w.c == nil {
		if w.c, err = w.open(); err != nil {
			return -1, err
		}
		if w.tight {
			w.limit(w.most())
		}
	}
	if _, err := w.c.Exec("begin immediate"); err != nil {
		if sqlite.ClassOf(err) != sqlite.Busy {
			w.drop()
		}
		return -1, err
	}
	for i, t := range batch {
		if err := t.apply(w.c); err != nil {
			w.undo(err)
			return i, err
		}
	}
	err = reach(batch, beforeCommit)
	if err == nil {
		_, err = w.c.Exec("commit")
	}
	if err != nil {
		w.undo(err)
		return -1, err
	}
	_ = reach(batch, afterCommit) // too late to fail
	w.meter.commit.Observe(time.Since(start).Seconds())
	return -1, nil
}

// The fail points of a commit, by what is in its batch.
var (
	beforeCommit = [ranks]failpoint.Point{acceptance: failpoint.AcceptBeforeCommit, result: failpoint.ResultBeforeCommit}
	afterCommit  = [ranks]failpoint.Point{acceptance: failpoint.AcceptAfterCommit, result: failpoint.ResultAfterCommit}
)

func reach(batch []*task, points [ranks]failpoint.Point) error {
	if !failpoint.On {
		return nil
	}
	var err error
	for i, t := range batch {
		if i == 0 || t.rank != batch[i-1].rank {
			err = errors.Join(err, failpoint.Hit(points[t.rank]))
		}
	}
	return err
}

// undo rolls back what failed. After a failure of the disk the connection is
// not used again: what it remembers of the file may not be what is in it.
func (w *writer) undo(err error) {
	switch sqlite.ClassOf(err) {
	case sqlite.IO, sqlite.Corrupt:
		w.drop()
	default:
		// An error here says that SQLite has rolled back by itself.
		_, _ = w.c.Exec("rollback")
	}
}

func (w *writer) drop() {
	if err := w.c.Close(); err != nil {
		w.log.Warn("outbox connection closed with an error", "err", err)
	}
	w.c = nil
}

// fail tells a batch that the file is at fault. The log says so once.
func (w *writer) fail(batch []*task, err error) {
	if len(batch) == 0 {
		return
	}
	class := sqlite.ClassOf(err)
	err = sqlite.Wrap("commit to the outbox", err)
	if before := w.failed.Swap(&err); before == nil || sqlite.ClassOf(*before) != class {
		w.log.Error("outbox does not commit: calls go on without RINGHOOK_STATUS", "class", string(class), "err", err)
	}
	w.meter.failure(class, len(batch))
	if class == sqlite.Corrupt {
		w.damaged(err)
	}
	finish(batch, err)
}

// errLineage means that a record holds effects of one that was lost.
var errLineage = errors.New("an earlier record of the call was lost")

// refuseBroken takes from the batch, from that place on, the records of calls of which an
// earlier record was lost.
func (w *writer) refuseBroken(batch []*task, from int) []*task {
	kept := batch[:from]
	for _, t := range batch[from:] {
		if !t.lineage.Broken() {
			kept = append(kept, t)
			continue
		}
		w.meter.failure(sqlite.Other, 1)
		finish([]*task{t}, sqlite.Wrap("write to the outbox", errLineage))
	}
	return kept
}

// finish reports the outcome of tasks to those that wait for them.
func finish(batch []*task, err error) {
	for _, t := range batch {
		if !t.awaited {
			continue
		}
		if err != nil {
			t.lineage.Break()
		}
		t.err = err
		close(t.done)
	}
}
