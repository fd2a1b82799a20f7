// Package trace stores records of what happened at points of all nodes in PostgreSQL. They may be lost: a call never waits for
// them. While the engine is away, a node stores its own in its folder.
package trace

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"ringhook/dialplan"
	"ringhook/pgstore"
	"ringhook/store/browse"
)

// Writer stores the records of a node. It implements dialplan.Tracer.
type Writer struct {
	db    *pgstore.Side
	local dialplan.Tracer
	keep  time.Duration
	size  int64
	log   *slog.Logger

	mu    sync.Mutex
	batch []record // that waits to be stored; guarded by mu
	bytes int      // of batch; guarded by mu
	wake  chan struct{}

	stop  context.CancelFunc
	ended sync.WaitGroup
}

// record is the record of a point.
type record struct {
	at   time.Time
	body []byte
}

const (
	// delay is the time for which records wait for others, to be stored with them.
	delay = 200 * time.Millisecond
	// gatherRoom is the maximum size of what waits, in bytes. A further record goes to the folder.
	gatherRoom = 1 << 20
	// maxSize is the maximum size of all records in bytes, enough for some million points.
	maxSize = 512 << 20
	// tidyEvery is the interval of upkeep, and tidyRows the maximum number of records that one of its statements removes.
	tidyEvery = time.Minute
	tidyRows  = 5000
)

// New returns the writer of a node. Local stores records while the engine cannot. keep is the age at which records are removed.
// Close ends it.
func New(engine *pgstore.Store, local dialplan.Tracer, keep time.Duration, log *slog.Logger) *Writer {
	w := newWriter(engine, local, keep, log)
	ctx, stop := context.WithCancel(context.Background())
	w.stop = stop
	w.ended.Go(func() { w.run(ctx) })
	w.ended.Go(func() { w.upkeep(ctx) })
	return w
}

func newWriter(engine *pgstore.Store, local dialplan.Tracer, keep time.Duration, log *slog.Logger) *Writer {
	return &Writer{db: engine.Side(), local: local, keep: keep, size: maxSize, log: log, wake: make(chan struct{}, 1)}
}

// Close stores what waits, and ends.
func (w *Writer) Close() error {
	w.stop()
	w.ended.Wait()
	return nil
}

// Trace implements dialplan.Tracer.
func (w *Writer) Trace(at time.Time, body []byte) {
	if w.db.Usable() != nil {
		w.local.Trace(at, body)
		return
	}
	w.mu.Lock()
	first, full := len(w.batch) == 0, w.bytes+len(body) > gatherRoom
	if !full {
		w.batch, w.bytes = append(w.batch, record{at, slices.Clone(body)}), w.bytes+len(body)
	}
	w.mu.Unlock()
	if full {
		w.local.Trace(at, body)
	}
	if first {
		select {
		case w.wake <- struct{}{}:
		default:
		}
	}
}

// run stores what waits, until the context ends.
func (w *Writer) run(ctx context.Context) {
	for failing := false; ; {
		select {
		case <-ctx.Done():
			_ = w.flush() // what the engine does not take is in the folder
			return
		case <-w.wake:
		}
		timer := time.NewTimer(delay)
		select {
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
		err := w.flush()
		if err != nil && !failing && !errors.Is(err, browse.ErrAway) { // else the log has it
			w.log.Warn("cannot store trace records in PostgreSQL, they are stored in the folder", "err", err)
		}
		failing = err != nil
	}
}

// flush stores what waits: in the folder if the engine does not take it.
func (w *Writer) flush() error {
	w.mu.Lock()
	batch := w.batch
	w.batch, w.bytes = nil, 0
	w.mu.Unlock()
	if len(batch) == 0 {
		return nil
	}
	err := w.insert(batch)
	if err != nil {
		for _, r := range batch {
			w.local.Trace(r.at, r.body)
		}
	}
	return err
}

func (w *Writer) insert(batch []record) error {
	linkedids, times, bodies := make([]string, len(batch)), make([]time.Time, len(batch)), make([][]byte, len(batch))
	for i, r := range batch {
		p, _ := dialplan.DecodeTrace(r.body) // an unreadable record is kept until it is old
		linkedids[i], times[i], bodies[i] = p.LinkedID, w.db.EngineTime(r.at), r.body
	}
	_, err := w.db.WriteLoose("write trace records", pgstore.Do(`insert into ringhook.trace (tenant, linkedid, at, body)
		select $1, linkedid, at, body from unnest($2::text[], $3::timestamptz[], $4::bytea[]) u (linkedid, at, body)`, linkedids, times, bodies))
	return err
}

// upkeep removes what is old or too much, until the context ends. Several nodes may do it at the same time.
func (w *Writer) upkeep(ctx context.Context) {
	w.db.Repeat(ctx, tidyEvery, w.tidy, func(err error) {
		w.log.Warn("upkeep of the trace in PostgreSQL failed, it is tried again", "err", err)
	})
}

// tidy removes records older than keep, and the oldest ones while they take more room than size, which is estimated by a sample.
func (w *Writer) tidy(ctx context.Context) error {
	if err := w.removeBefore(ctx, w.db.Now().Add(-w.keep)); err != nil {
		return err
	}
	var rows, size float64
	err := w.db.QueryLoose("count the trace", time.Minute, pgstore.Do(`select (select count(*) from ringhook.trace where tenant = $1)::float8,
		coalesce((select avg(octet_length(body) + 150) from ringhook.trace tablesample system (1) where tenant = $1), 0)::float8`),
		func(scan func(...any) error) error { return scan(&rows, &size) })
	if err != nil || rows*size <= float64(w.size) {
		return err
	}
	for over := int64(rows - float64(w.size)/size); over > 0 && ctx.Err() == nil; over -= tidyRows {
		_, err := w.db.WriteLoose("tidy the trace", pgstore.Do(`delete from ringhook.trace where tenant = $1 and id in
			(select id from ringhook.trace where tenant = $1 order by at limit $2)`, min(over, tidyRows)))
		if err != nil {
			return err
		}
	}
	return nil
}

// removeBefore removes the records from before a time, in steps.
func (w *Writer) removeBefore(ctx context.Context, before time.Time) error {
	for ctx.Err() == nil {
		n, err := w.db.WriteLoose("tidy the trace", pgstore.Do(`delete from ringhook.trace where tenant = $1 and id in
			(select id from ringhook.trace where tenant = $1 and at < $2 order by at limit $3)`, before, tidyRows))
		if n < tidyRows || err != nil {
			return err
		}
	}
	return nil
}
