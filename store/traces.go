package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// Traces keeps what happened at points, so that people can ask for it. It
// never makes a call wait or fail: records are gathered in memory and written
// together by a goroutine of its own, to a file of its own which may be lost.
type Traces struct {
	opening opening
	keep    time.Duration
	size    int64 // that the file may take, in bytes
	log     *slog.Logger
	meter   *meter
	now     func() time.Time

	mu     sync.Mutex
	batch  []byte // gathered; guarded by mu
	lastMS int64  // when the latest of it was asked; guarded by mu

	wake   chan struct{} // something is gathered
	quit   chan struct{}
	c      *conn // the writer's own; nil while there is no file
	tried  time.Time
	tidied time.Time
	failed bool
}

const (
	// traceEvery is how long records are gathered. Whoever asks sees them that
	// much later.
	traceEvery = 200 * time.Millisecond
	// traceRoom is how much is gathered at most, in bytes.
	traceRoom = 1 << 20
	// maxTraces is the most that the file takes, in bytes: some million points.
	maxTraces = 512 << 20
	// traceSteps is how many rows one step of upkeep removes.
	traceSteps = 100
)

func newTraces(path string, cfg Config, log *slog.Logger, m *meter, now func() time.Time) *Traces {
	return &Traces{
		opening: opening{path: path, synchronous: "NORMAL", checkpoint: 1000, cacheKiB: 2 << 10, busy: time.Second},
		keep:    cfg.KeepCalls, size: maxTraces, log: log, meter: m, now: now,
		wake: make(chan struct{}, 1), quit: make(chan struct{}),
	}
}

// add gathers a record, or drops and counts it where the writer is behind.
func (t *Traces) add(at time.Time, record []byte) {
	t.mu.Lock()
	first, full := len(t.batch) == 0, len(t.batch)+len(record)+binary.MaxVarintLen32 > traceRoom
	if !full {
		t.batch = binary.AppendUvarint(t.batch, uint64(len(record)))
		t.batch = append(t.batch, record...)
		t.lastMS = max(t.lastMS, at.UnixMilli())
	}
	t.mu.Unlock()
	if full {
		t.meter.traceLost.Inc()
	}
	if first {
		select {
		case t.wake <- struct{}{}:
		default:
		}
	}
}

// run writes what is gathered until it is closed.
func (t *Traces) run() {
	var spare []byte
	minute := time.NewTicker(upkeepEvery)
	defer minute.Stop()
	for quit := false; !quit; {
		select {
		case <-t.quit:
			quit = true
		case <-minute.C:
		case <-t.wake:
			timer := time.NewTimer(traceEvery)
			select {
			case <-timer.C:
			case <-t.quit:
				quit = true
			}
			timer.Stop()
		}
		t.mu.Lock()
		batch, lastMS := t.batch, t.lastMS
		t.batch, t.lastMS = spare[:0], 0
		t.mu.Unlock()
		t.settle(t.write(batch, lastMS), batch)
		spare = batch
	}
}

// settle tells of a failure once, and has a damaged file begun anew.
func (t *Traces) settle(err error, batch []byte) {
	if err == nil {
		t.failed = false
		return
	}
	_ = eachTrace(batch, func([]byte) error {
		t.meter.traceLost.Inc()
		return nil
	})
	if !t.failed {
		t.log.Warn("records of points are lost, calls go on without them", "file", t.opening.path, "err", err)
	}
	t.failed = true
	if classOf(err) == Corrupt {
		t.replace()
	}
}

func (t *Traces) write(batch []byte, lastMS int64) error {
	if now := t.now(); t.c == nil && now.Sub(t.tried) >= time.Second {
		t.tried = now
		if err := t.try(); err != nil {
			return err
		}
	}
	if t.c == nil {
		return t.missing()
	}
	if len(batch) > 0 {
		if _, err := t.c.exec("insert into batch (last_ms, body) values (?1, ?2)", lastMS, batch); err != nil {
			return err
		}
	}
	now := t.now()
	if now.Sub(t.tidied) < upkeepEvery {
		return nil
	}
	t.tidied = now
	return t.tidy()
}

// tidy removes what is too old or too much, the oldest first.
func (t *Traces) tidy() error {
	const oldest = "delete from batch where id in (select id from batch order by id limit ?2) and last_ms < ?1"
	for {
		n, err := t.c.changes(oldest, t.now().Add(-t.keep).UnixMilli(), traceSteps)
		if err != nil {
			return err
		}
		used, _, err := pages(t.c)
		if err == nil && n == 0 && used > t.size/pageSize {
			n, err = t.c.changes(oldest, int64(1)<<62, 1)
		}
		if n == 0 || err != nil {
			return errors.Join(err, t.shrink())
		}
	}
}

func (t *Traces) shrink() error {
	used, free, err := pages(t.c)
	if err == nil {
		_, err = shrink(t.c, used, free)
	}
	return err
}

// open opens the file for a daemon, a new one where the old one is no good.
func (t *Traces) open() {
	t.tried = t.now()
	if err := t.try(); classOf(err) == Corrupt || errors.Is(err, errNewer) || errors.Is(err, errForeign) {
		t.log.Warn("records of points are no good, a new file is begun", "file", t.opening.path, "err", err)
		t.replace()
	}
}

func (t *Traces) try() (err error) {
	t.c, err = t.connect(schema.migrate)
	return err
}

func (t *Traces) connect(prepare func(schema, *conn) error) (*conn, error) {
	c, err := t.opening.writer()
	if err != nil {
		return nil, err
	}
	if err := prepare(traceSchema, c); err != nil {
		return nil, errors.Join(fmt.Errorf("%s %w", t.opening.path, err), c.close())
	}
	return c, nil
}

// replace deletes a file that is no good and begins a new one.
func (t *Traces) replace() {
	_ = t.shut() // of a file that is no good anyway
	for _, part := range []string{"", "-wal", "-shm"} {
		if err := os.Remove(t.opening.path + part); err != nil && !os.IsNotExist(err) {
			t.log.Error("records of points cannot be deleted, calls go on without them", "err", err)
			return
		}
	}
	if err := t.try(); err != nil {
		t.log.Error("records of points cannot be begun, calls go on without them", "file", t.opening.path, "err", err)
	}
}

func (t *Traces) shut() error {
	if t.c == nil {
		return nil
	}
	err := t.c.close()
	t.c = nil
	return err
}

// close has the writer write what is gathered. The file is closed once it has ended.
func (t *Traces) close() { close(t.quit) }

func (t *Traces) missing() error {
	return fmt.Errorf("records of points %s: %w", t.opening.path, os.ErrNotExist)
}

// eachTrace gives every record of a batch to f, until f has an error.
func eachTrace(batch []byte, f func(record []byte) error) error {
	for len(batch) > 0 {
		n, size := binary.Uvarint(batch)
		if size <= 0 || n > uint64(len(batch)-size) {
			return errBatch
		}
		if err := f(batch[size : size+int(n)]); err != nil {
			return err
		}
		batch = batch[size+int(n):]
	}
	return nil
}

var errBatch = errors.New("batch of records of points is cut short")
