package store

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"ringhook/dialplan"
	"ringhook/loglimit"
	"ringhook/store/disk"
	"ringhook/store/sqlite"
)

// rank is the priority of a task: records that calls wait for, then results of
// deliveries, then upkeep of the file.
type rank int

const (
	acceptance rank = iota
	result
	upkeep
	ranks = 3
)

// The number of tasks of each rank in a batch, and the length of each rank's queue.
// The lower ranks have shares of their own, so that none of them starves.
var (
	shares = [ranks]int{192, 63, 1}
	rooms  = [ranks]int{8192, 1024, 16}
)

// batchBytes ends a batch early, so that no commit takes long enough for a caller to
// notice.
const batchBytes = 1 << 20

// slowCommit is the duration of a commit after which the store reports itself unhealthy.
const slowCommit = 5 * time.Second

// task is one operation in a batch. It may be applied twice: if another task makes the
// batch fail, the batch is rolled back and tried without that task.
type task struct {
	rank    rank
	bytes   int
	apply   func(*sqlite.Conn) error
	lineage *dialplan.Lineage // of the call's record; nil for any other task
	awaited bool
	done    chan struct{} // closed when the task is committed or has failed
	err     error         // valid after done is closed
}

// writer owns the connection that writes to the outbox. While one commit waits for the
// disk, the next batch fills. So many calls share one commit, and a single call waits
// for no other.
type writer struct {
	open     func() (*sqlite.Conn, error)
	c        *sqlite.Conn // nil after the disk failed, until it can be opened again
	queues   [ranks]chan *task
	quit     chan struct{}      // closed to end the writer
	gone     chan struct{}      // closed when the writer has ended
	after    func(*sqlite.Conn) // called between two batches
	damaged  func(error)        // called if the file is damaged
	log      *slog.Logger
	limited  *loglimit.Limiter
	metrics  *metrics
	maxPages int64
	reserve  *disk.Reserve // nil for a tool
	tight    bool          // the reserve is released
	room     *disk.Room    // for files that can be rebuilt; nil for a tool
	troubled chan struct{} // receives after a failed batch

	rounds atomic.Int64 // finished batches
	began  atomic.Int64 // start of the current commit in Unix nanoseconds, 0 if there is none
	failed atomic.Pointer[error]
}

func newWriter(c *sqlite.Conn, open func() (*sqlite.Conn, error), maxPages int64, log *slog.Logger, limited *loglimit.Limiter, m *metrics) *writer {
	w := &writer{
		open: open, c: c, maxPages: maxPages, log: log, limited: limited, metrics: m,
		troubled: make(chan struct{}, 1),
		quit:     make(chan struct{}), gone: make(chan struct{}), after: func(*sqlite.Conn) {}, damaged: func(error) {},
	}
	for r := range w.queues {
		w.queues[r] = make(chan *task, rooms[r])
	}
	return w
}

// do queues a task and waits until it is committed. The context ends only the wait: a
// queued task is still applied.
func (w *writer) do(ctx context.Context, r rank, bytes int, apply func(*sqlite.Conn) error) error {
	t := &task{rank: r, bytes: bytes, apply: apply, awaited: true}
	if err := w.queue(ctx, t); err != nil {
		return err
	}
	return w.wait(ctx, t)
}

// queue queues a task; the context bounds the wait for room.
func (w *writer) queue(ctx context.Context, t *task) error {
	t.done = make(chan struct{})
	select {
	case <-w.quit:
		return ErrClosed
	default:
	}
	select {
	case w.queues[t.rank] <- t:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-w.gone:
		return ErrClosed
	}
}

// wait returns when a queued task is committed or has failed.
func (w *writer) wait(ctx context.Context, t *task) error {
	select {
	case <-t.done:
		return t.err
	case <-ctx.Done():
		return ctx.Err()
	case <-w.gone:
	}
	select { // it may have been in the last batch
	case <-t.done:
		return t.err
	default:
		return ErrClosed
	}
}

// later queues a task without waiting for it, and reports whether the queue had room.
func (w *writer) later(t *task) bool {
	select {
	case <-w.quit:
		return false
	default:
	}
	select {
	case w.queues[t.rank] <- t:
		return true
	default:
		return false
	}
}

// run commits batches until the writer is closed and its queues are empty.
func (w *writer) run() {
	defer close(w.gone)
	batch := make([]*task, 0, shares[acceptance]+shares[result]+shares[upkeep])
	for {
		batch = w.collect(batch[:0])
		if len(batch) == 0 {
			return
		}
		w.commit(batch)
		w.rounds.Add(1)
		clear(batch)
		if w.c != nil {
			w.after(w.c)
		}
	}
}

// collect waits for a first task and adds those that are already queued. It returns an
// empty batch after the writer is closed.
func (w *writer) collect(batch []*task) []*task {
	select {
	case t := <-w.queues[acceptance]:
		batch = append(batch, t)
	case t := <-w.queues[result]:
		batch = append(batch, t)
	case t := <-w.queues[upkeep]:
		batch = append(batch, t)
	case <-w.quit:
	}
	bytes := 0
	for _, t := range batch {
		bytes += t.bytes
	}
	for r, queue := range w.queues {
	taking:
		for range shares[r] {
			if bytes >= batchBytes && r == int(acceptance) {
				break
			}
			select {
			case t := <-queue:
				batch = append(batch, t)
				bytes += t.bytes
			default:
				break taking
			}
		}
	}
	if len(batch) > 0 && batch[0].rank != acceptance {
		slices.SortStableFunc(batch, func(a, b *task) int { return int(a.rank - b.rank) })
	}
	return batch
}

// idle reports whether no record or result waits to be committed.
func (w *writer) idle() bool {
	return len(w.queues[acceptance]) == 0 && len(w.queues[result]) == 0
}

// healthy returns why commits fail or are slow now, nil if they work.
func (w *writer) healthy() error {
	if began := w.began.Load(); began != 0 {
		if took := time.Since(time.Unix(0, began)); took > slowCommit {
			return errors.New("a commit to the outbox takes longer than " + slowCommit.String())
		}
	}
	if err := w.failed.Load(); err != nil {
		return *err
	}
	return nil
}

// end makes the writer commit all queued tasks and end, and waits for it.
func (w *writer) end() {
	close(w.quit)
	<-w.gone
}

// close closes the connection after the writer has ended and all readers are closed: the
// last connection merges the write-ahead log into the file, which readers cannot do.
func (w *writer) close() error {
	if w.c == nil {
		return nil
	}
	return w.c.Close()
}
