package pgstore

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"ringhook/dialplan"
	"ringhook/hooks"
	"ringhook/loglimit"
)

const (
	// batchRecords and batchBytes bound a batch, so that no commit takes long enough for a caller to notice.
	batchRecords = 192
	batchBytes   = 1 << 20
	// room is the length of the queue.
	room = 8192
	// slowCommit is the duration of a commit after which the store reports itself unhealthy.
	slowCommit = 5 * time.Second
)

// task is a record in the writer's queue, or a barrier if it has none.
type task struct {
	rec     *record
	lineage *dialplan.Lineage
	awaited bool
	probe   bool   // commits even if there is nothing to store
	moved   func() // see dialplan.Record; nil for none
	done    chan struct{}
	due     []hooks.Delivery
	err     error // valid after done is closed, like due
}

// writer owns the connection on which records are accepted. While one commit waits for the engine, the next batch fills.
// A commit is never cancelled: the engine would report it as done although the standby may not have it.
type writer struct {
	ctx    context.Context // ends when commits are not waited for any longer
	dsn    string
	tenant int
	clock  *clock
	log    *slog.Logger
	limit  *loglimit.Limiter // for log lines that calls can cause
	queue  chan *task
	quit   chan struct{} // closed to end the writer
	gone   chan struct{} // closed when the writer has ended
	failed atomic.Pointer[error]
	began  atomic.Pointer[time.Time] // start of the commit in progress, nil if there is none
	slow   time.Duration             // slowCommit; a test has its own
	usable func() error              // returns why the engine cannot be used now
	lost   func(error)               // is called with the error of a commit that is not a record's own; nil for none
	added  func(hooks []string)      // is called with the hooks for which a commit added deliveries; nil for none
	moved  atomic.Int64              // records that were refused because another server had changed their call

	conn   *pgx.Conn // nil until it is needed, and after it broke
	warned string    // by the engine, since the batch began
}

func newWriter(ctx context.Context, cfg Config, clock *clock, log *slog.Logger, limit *loglimit.Limiter) *writer {
	return &writer{
		ctx: ctx, dsn: cfg.DSN, tenant: cfg.Tenant, clock: clock, log: log, limit: limit, slow: slowCommit,
		usable: func() error { return nil },
		queue:  make(chan *task, room), quit: make(chan struct{}), gone: make(chan struct{}),
	}
}

// put queues a task; the context bounds the wait for room.
func (w *writer) put(ctx context.Context, t *task) error {
	if err := w.takes(t); err != nil {
		return err
	}
	t.done = make(chan struct{})
	select {
	case <-w.quit:
		return ErrClosed
	default:
	}
	select {
	case w.queue <- t:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-w.gone:
		return ErrClosed
	}
}

// takes returns why a task is not queued now. A barrier needs no engine.
func (w *writer) takes(t *task) error {
	if t.rec == nil && !t.probe {
		return nil
	}
	return w.usable()
}

// errRoom means that the engine commits more slowly than records come.
var errRoom = errors.New("too many records wait for the engine")

// later queues a task without waiting for room.
func (w *writer) later(t *task) error {
	if err := w.takes(t); err != nil {
		return err
	}
	t.done = make(chan struct{})
	select {
	case <-w.quit:
		return ErrClosed
	default:
	}
	select {
	case w.queue <- t:
		return nil
	default:
		return errRoom
	}
}

// probe commits something in the background: while the store is not ready, no call may come to try it.
func (w *writer) probe() {
	// If there is no room, there is something to commit.
	_ = w.later(&task{probe: true})
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

// run commits batches until the writer is closed and its queue is empty.
func (w *writer) run() {
	defer close(w.gone)
	defer func() {
		if w.conn != nil {
			// The server may be gone; there is nothing more to do with the connection.
			_ = w.conn.Close(w.ctx)
		}
	}()
	for {
		batch := w.collect()
		if len(batch) == 0 {
			return
		}
		for len(batch) > 0 {
			batch = w.commitSome(batch)
		}
	}
}

// collect waits for a first task and adds those that are already queued. It returns an empty batch after the writer is
// closed.
func (w *writer) collect() (batch []*task) {
	bytes := 0
	add := func(t *task) {
		batch = append(batch, t)
		if t.rec != nil {
			bytes += t.rec.bytes
		}
	}
	select {
	case t := <-w.queue:
		add(t)
	case <-w.quit:
	}
	for len(batch) < batchRecords && bytes < batchBytes {
		select {
		case t := <-w.queue:
			add(t)
		default:
			return batch
		}
	}
	return batch
}

// commitSome commits the beginning of a batch and returns the rest: one statement stores one state of each call, which all
// its records of one lineage share, and locks as many lanes as it may at most.
func (w *writer) commitSome(batch []*task) (rest []*task) {
	lineages := map[string]*dialplan.Lineage{}
	lanes := map[string]bool{}
	for n, t := range batch {
		if t.rec == nil {
			continue
		}
		l, have := lineages[t.rec.call]
		for _, lane := range t.rec.lanes {
			lanes[lane] = true
		}
		if n > 0 && len(lanes) > maxLanes || have && t.rec.state != nil && l != t.lineage {
			w.commit(batch[:n])
			return batch[n:]
		}
		if t.rec.state != nil {
			lineages[t.rec.call] = t.lineage
		}
	}
	w.commit(batch)
	return nil
}

// commit commits a batch and reports the outcome to those that wait. If a record is itself at fault, it fails alone.
func (w *writer) commit(batch []*task) {
	batch = refuseBroken(batch)
	if len(batch) == 0 {
		return
	}
	got, err := w.tryTwice(batch)
	switch {
	case err == nil:
		if got.wrote { // without a write, the engine may be unable to commit
			w.wrote()
		}
		for _, t := range batch {
			t.stored(got)
		}
		w.moved.Add(int64(len(got.moved)))
		w.notify(got.hooks)
	case divisible(err) && len(batch) > 1:
		half := len(batch) / 2
		w.commit(batch[:half])
		w.commit(batch[half:])
	default:
		w.fail(batch, err)
	}
}

// notify reports that a commit added deliveries for hooks.
func (w *writer) notify(names []string) {
	if w.added != nil && len(names) > 0 {
		w.added(names)
	}
}

// tryTwice commits a batch, and repeats that if it is in doubt or had to make way for others. What is stored already is
// recognised, and the repeat waits until that is safe. Without a repeat that clears it up, the batch stays in doubt.
func (w *writer) tryTwice(batch []*task) (*accepted, error) {
	got, err := w.try(batch, false)
	class := classOf(err)
	if class != Doubt && class != Conflict || w.ctx.Err() != nil {
		return got, err
	}
	got, err = w.try(batch, class == Doubt)
	if again := classOf(err); class == Doubt && err != nil && again != Doubt && again != Refused {
		err = wrap(commitOp, doubt(errors.Unwrap(err)))
	}
	return got, err
}

const commitOp = "commit to the engine"

// try commits a batch once, again if a first commit of it is in doubt. So is the error if the engine may have stored it.
func (w *writer) try(batch []*task, again bool) (*accepted, error) {
	a := &acceptance{tenant: w.tenant, again: again}
	a.now, a.local = w.clock.both()
	for _, t := range batch {
		if t.rec != nil {
			a.add(t.rec, t.version(), t.lineage != nil, t)
		}
		a.probe = a.probe || t.probe
	}
	if len(a.keys) == 0 && len(a.ids) == 0 && !a.probe {
		return &accepted{}, nil // barriers
	}
	start := time.Now()
	w.began.Store(&start)
	defer w.began.Store(nil)
	if w.conn == nil {
		var err error
		if w.conn, err = connect(w.ctx, w.dsn, w.notice); err != nil {
			return nil, err
		}
	}
	w.warned = ""
	got, err := a.run(w.ctx, w.conn)
	if err == nil {
		got.wrote = a.probe || len(got.stored) > 0
	}
	if w.conn.IsClosed() {
		w.conn = nil
		err = doubt(err) // the commit may have come before the end of the connection
	}
	if err == nil && w.warned != "" {
		err = doubt(errors.New(w.warned))
	}
	return got, wrap(commitOp, err)
}

// notice is called by the connection while the writer reads from it.
func (w *writer) notice(n *pgconn.Notice) {
	if n.SeverityUnlocalized == "WARNING" {
		w.warned = n.Message
	}
}

func (t *task) version() int64 {
	if t.lineage == nil {
		return 0
	}
	return t.lineage.Version()
}

// stored reports a committed task.
func (t *task) stored(got *accepted) {
	if t.rec != nil && t.rec.state != nil {
		if moved := got.moved[t.rec.call]; moved != nil {
			t.refuse(moved)
			return
		}
		if t.lineage != nil {
			t.lineage.Stored(got.stored[t.rec.call])
		}
	}
	t.due = got.due[t]
	close(t.done)
}

// refuse reports a task whose call another server has changed.
func (t *task) refuse(moved *dialplan.Moved) {
	if t.lineage != nil {
		t.lineage.Move(moved)
	}
	t.err = moved
	close(t.done)
	if t.moved != nil {
		t.moved()
	}
}

// ErrLineage means that an earlier record of the same call was lost.
var ErrLineage = errors.New("an earlier record of the call was lost")

// refuseBroken takes from the batch the records of calls of which an earlier record was refused or lost.
func refuseBroken(batch []*task) (kept []*task) {
	for _, t := range batch {
		switch {
		case !t.lineage.Broken():
			kept = append(kept, t)
		case t.lineage.Newer() != nil:
			t.refuse(t.lineage.Newer())
		default:
			t.lose(wrap("accept a record", ErrLineage))
		}
	}
	return kept
}

// lose reports a lost task. A barrier has nothing to lose.
func (t *task) lose(err error) {
	if t.rec == nil && !t.probe {
		err = nil
	}
	if t.awaited {
		t.lineage.Break()
	}
	t.err = err
	close(t.done)
}

// fail reports an error of the engine to the tasks of a batch. It logs the first one.
func (w *writer) fail(batch []*task, err error) {
	if classOf(err) == Refused { // of one record
		w.limit.Error("record", "record not accepted", "err", err)
		for _, t := range batch {
			t.lose(err)
		}
		return
	}
	class := classOf(err)
	if w.lost != nil {
		w.lost(err)
	}
	if before := w.failed.Swap(&err); before == nil || classOf(*before) != class {
		w.log.Error("engine does not commit", "class", string(class), "err", err, "hint", "see ringhook engine check")
	}
	for _, t := range batch {
		t.lose(err)
	}
}

// wrote records that commits succeed again.
func (w *writer) wrote() {
	if w.failed.Swap(nil) != nil {
		w.log.Info("engine commits again")
	}
}

// healthy returns why commits fail or are slow now, nil if they work.
func (w *writer) healthy() error {
	if began := w.began.Load(); began != nil && time.Since(*began) > w.slow {
		return errors.New("a commit to the engine takes longer than " + w.slow.String())
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
