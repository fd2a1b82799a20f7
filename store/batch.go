package store

import (
	"errors"
	"log/slog"
	"slices"
	"strconv"
	"time"

	"ringhook/failpoint"
	"ringhook/store/sqlite"
)

// commit commits a batch and reports the outcome to those that wait. An error is
// met by the remedies of its class, in their order; if none helps, the batch fails.
func (w *writer) commit(batch []*task) {
	t := try{writer: w, batch: w.refuseBroken(batch, 0)}
	for len(t.batch) > 0 {
		t.bad, t.err = w.try(t.batch)
		if t.err == nil {
			w.wrote(t.batch)
			finish(t.batch, nil)
			break
		}
		if !slices.ContainsFunc(remedies[sqlite.ClassOf(t.err)], func(helps func(*try) bool) bool { return helps(&t) }) {
			w.fail(t.batch, t.err)
			break
		}
	}
	if t.raised && w.c != nil {
		w.limit(w.most())
	}
	if w.room != nil {
		err := w.failed.Load()
		w.room.SetShort(w.tight || err != nil && sqlite.ClassOf(*err) == sqlite.Full)
	}
}

// try is a batch that is being committed.
type try struct {
	*writer
	batch  []*task
	bad    int // place of the task at fault, -1 if it was the transaction
	err    error
	waited bool
	raised bool // max_size is raised
}

// remedies are what commit does about an error, by its class. Each reports
// whether what is left of the batch may be tried again. Any other class fails the batch.
var remedies = map[sqlite.Class][]func(*try) bool{
	sqlite.Other: {(*try).dropOne},
	sqlite.Busy:  {(*try).retry},
	sqlite.Full:  {(*try).raiseLimit, (*try).releaseReserve},
}

// dropOne fails the task that is itself at fault, alone.
func (t *try) dropOne() bool {
	if t.bad < 0 {
		return false
	}
	t.metrics.failure(sqlite.Other, 1)
	finish(t.batch[t.bad:t.bad+1], sqlite.Wrap("write to the outbox", t.err))
	t.batch = t.refuseBroken(slices.Delete(t.batch, t.bad, t.bad+1), t.bad)
	return true
}

// retry tries a file that another process holds once more.
func (t *try) retry() bool {
	again := !t.waited
	t.waited = true
	return again
}

// raiseLimit fails the acceptances and lets the rest exceed max_size: what is
// stored can still be delivered and deleted.
func (t *try) raiseLimit() bool {
	if t.raised || t.maxPages == 0 {
		return false
	}
	t.raised = true
	if t.c != nil {
		t.limit(t.maxPages + reservePages)
	}
	n := 0
	for n < len(t.batch) && t.batch[n].rank == acceptance {
		n++
	}
	t.fail(t.batch[:n], t.err)
	t.batch = t.batch[n:]
	return true
}

// releaseReserve releases the reserve, once, because the disk is full. From then on the
// file must not grow for acceptances, because the results need the room.
func (t *try) releaseReserve() bool {
	if t.reserve == nil {
		return false
	}
	released, err := t.reserve.Release()
	if err != nil {
		t.log.Error("cannot release the reserve of the outbox", "err", err)
	}
	if !released || err != nil {
		return false
	}
	t.tight = true
	t.limited.Error("released", "disk is full: reserve released for results of deliveries", "bytes", t.reserve.Size())
	return true
}

// wrote records that commits succeed again. After a full disk, only a batch with
// acceptances shows that.
func (w *writer) wrote(batch []*task) {
	before := w.failed.Load()
	if before == nil || sqlite.ClassOf(*before) == sqlite.Full && batch[0].rank != acceptance {
		return
	}
	w.failed.Store(nil)
	w.limited.Log(slog.LevelInfo, "commits", "outbox commits again")
}

// most returns the maximum number of pages of the file. SQLite does not go below the
// current number, so 1 means no growth.
func (w *writer) most() int64 {
	if w.tight {
		return 1
	}
	return w.maxPages
}

// reservePages is the space that results and upkeep may use beyond max_size: 16 MiB.
const reservePages = 16 << 20 / sqlite.PageSize

func (w *writer) limit(pages int64) {
	if _, err := w.c.Exec("pragma max_page_count = " + strconv.FormatInt(pages, 10)); err != nil {
		w.log.Error("cannot set the size limit of the outbox", "err", err)
	}
}

// try applies and commits a batch. bad is the place of the task that failed,
// -1 if the transaction itself failed.
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
	w.metrics.commit.Observe(time.Since(start).Seconds())
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

// undo rolls back a failed transaction. After a disk error the connection is not used
// again: its page cache may differ from the file.
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

// fail reports an error of the file to the tasks of a batch. It logs the first one.
func (w *writer) fail(batch []*task, err error) {
	if len(batch) == 0 {
		return
	}
	class := sqlite.ClassOf(err)
	err = sqlite.Wrap("commit to the outbox", err)
	if before := w.failed.Swap(&err); before == nil || sqlite.ClassOf(*before) != class {
		w.limited.Error("commits not "+string(class), "outbox does not commit", "class", string(class), "err", err, "hint", "calls continue without RINGHOOK_STATUS")
	}
	w.metrics.failure(class, len(batch))
	select {
	case w.troubled <- struct{}{}:
	default:
	}
	if class == sqlite.Corrupt {
		w.damaged(err)
	}
	finish(batch, err)
}

// errLineage means that an earlier record of the same call was lost.
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
		w.metrics.failure(sqlite.Other, 1)
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
