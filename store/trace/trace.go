// Package trace stores records of what happened at points, in a file of its own.
package trace

import (
	"embed"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"ringhook/store/sqlite"
)

// File stores records of what happened at points, for the trace command and the API. It
// never makes a call wait or fail: records are buffered in memory, and one goroutine
// writes them in batches. The file is disposable.
type File struct {
	opening sqlite.Options
	keep    time.Duration
	enough  func() bool
	size    int64 // maximum size of the file in bytes
	log     *slog.Logger
	dropped prometheus.Counter
	now     func() time.Time

	mu     sync.Mutex
	batch  []byte // buffered records; guarded by mu
	lastMS int64  // time of the latest of them; guarded by mu

	wake   chan struct{} // receives after the first buffered record
	quit   chan struct{}
	give   chan chan int64 // requests of GiveBack
	gone   chan struct{}   // closed when Run has returned
	c      *sqlite.Conn    // the writer's own; nil while there is no file
	tried  time.Time
	tidied time.Time
	failed bool
	// latestMS is the last_ms of the row that was written last.
	latestMS int64
}

// Name is the name of the file.
const Name = "trace.db"

//go:embed migrations
var migrations embed.FS

// Schema is the schema of the file.
var Schema = sqlite.Schema{AppID: 0x52485452, Files: migrations}

const (
	// Delay is the time for which records are buffered before they are written and
	// can be read.
	Delay = 200 * time.Millisecond
	// gatherRoom is the maximum size of the buffer in bytes.
	gatherRoom = 1 << 20
	// maxSize is the maximum size of the file in bytes, enough for some million points.
	maxSize = 512 << 20
	// tidyRows is the number of rows that one step of upkeep removes.
	tidyRows = 100
	// tidyEvery is the interval of upkeep.
	tidyEvery = time.Minute
)

// New returns the file at path; Open opens it. keep is the age at which records are
// removed. dropped counts the records that are not stored. The file grows only while
// enough reports that the disk has room for files that can be rebuilt.
func New(path string, keep time.Duration, enough func() bool, log *slog.Logger, dropped prometheus.Counter, now func() time.Time) *File {
	return &File{
		opening: sqlite.Options{Path: path, Synchronous: "NORMAL", Checkpoint: 1000, CacheKiB: 2 << 10, Busy: time.Second},
		keep:    keep, size: maxSize, enough: enough, log: log, dropped: dropped, now: now,
		wake: make(chan struct{}, 1), quit: make(chan struct{}),
		give: make(chan chan int64), gone: make(chan struct{}),
	}
}

// Add buffers a record. If the buffer is full, it drops and counts the record.
func (t *File) Add(at time.Time, record []byte) {
	t.mu.Lock()
	first, full := len(t.batch) == 0, len(t.batch)+len(record)+binary.MaxVarintLen32 > gatherRoom
	if !full {
		t.batch = binary.AppendUvarint(t.batch, uint64(len(record)))
		t.batch = append(t.batch, record...)
		t.lastMS = max(t.lastMS, at.UnixMilli())
	}
	t.mu.Unlock()
	if full {
		t.dropped.Inc()
	}
	if first {
		select {
		case t.wake <- struct{}{}:
		default:
		}
	}
}

// Run writes buffered records until End is called.
func (t *File) Run() {
	defer close(t.gone)
	var spare []byte
	minute := time.NewTicker(tidyEvery)
	defer minute.Stop()
	for quit := false; !quit; {
		select {
		case <-t.quit:
			quit = true
		case <-minute.C:
		case freed := <-t.give:
			freed <- t.delete()
			continue
		case <-t.wake:
			timer := time.NewTimer(Delay)
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

// settle counts the records of a failed write, logs the first failure, and replaces a
// damaged file.
func (t *File) settle(err error, batch []byte) {
	if err == nil {
		t.failed = false
		return
	}
	_ = eachRecord(batch, func([]byte) error {
		t.dropped.Inc()
		return nil
	})
	if !t.failed {
		t.log.Warn("cannot write trace records, calls continue", "file", t.opening.Path, "err", err)
	}
	t.failed = true
	if sqlite.ClassOf(err) == sqlite.Corrupt {
		t.replace()
	}
}

func (t *File) write(batch []byte, lastMS int64) error {
	switch now := t.now(); {
	case len(batch) > 0 && !t.enough():
		return errNoRoom
	case t.c != nil:
	case len(batch) == 0:
		return nil
	case now.Sub(t.tried) < time.Second:
		return t.missing()
	default:
		t.tried = now
		if err := t.try(); err != nil {
			return err
		}
	}
	now := t.now()
	if err := t.clamp(now); err != nil {
		return err
	}
	if len(batch) > 0 {
		if _, err := t.c.Exec("insert into batch (last_ms, body) values (?1, ?2)", lastMS, batch); err != nil {
			return err
		}
		t.latestMS = lastMS
	}
	if since := now.Sub(t.tidied); since >= 0 && since < tidyEvery {
		return nil
	}
	t.tidied = now
	return t.tidy()
}

// clamp sets records that lie in the future to the present time: the clock was ahead when they were written, and they, and
// those after them, would be kept until that time.
func (t *File) clamp(now time.Time) error {
	latestMS := now.Add(time.Hour).UnixMilli()
	if t.latestMS <= latestMS {
		return nil
	}
	_, err := t.c.Exec("update batch set last_ms = ?1 where last_ms > ?2", now.UnixMilli(), latestMS)
	if err == nil {
		t.latestMS = now.UnixMilli()
	}
	return err
}

// tidy removes records older than keep, and the oldest ones while the file is too large.
func (t *File) tidy() error {
	const oldest = "delete from batch where id in (select id from batch order by id limit ?2) and last_ms < ?1"
	for {
		n, err := t.c.Changes(oldest, t.now().Add(-t.keep).UnixMilli(), tidyRows)
		if err != nil {
			return err
		}
		used, _, err := sqlite.Pages(t.c)
		if err == nil && n == 0 && used > t.size/sqlite.PageSize {
			n, err = t.c.Changes(oldest, int64(1)<<62, 1)
		}
		if n == 0 || err != nil {
			return errors.Join(err, t.shrink())
		}
	}
}

func (t *File) shrink() error {
	used, free, err := sqlite.Pages(t.c)
	if err == nil {
		_, err = sqlite.Shrink(t.c, used, free)
	}
	return err
}

// Open opens the file for a daemon. It replaces a file that it cannot use.
func (t *File) Open() {
	t.tried = t.now()
	if err := t.try(); sqlite.ClassOf(err) == sqlite.Corrupt || errors.Is(err, sqlite.ErrNewer) || errors.Is(err, sqlite.ErrForeign) {
		t.log.Warn("cannot use trace file, creating a new one", "file", t.opening.Path, "err", err)
		t.replace()
	}
}

func (t *File) try() (err error) {
	t.c, err = t.connect(t.opening, sqlite.Schema.Migrate)
	if err == nil {
		t.latestMS = 0
		if _, err = t.c.One("select last_ms from batch order by id desc limit 1", nil, &t.latestMS); err != nil {
			err = errors.Join(err, t.Shut())
		}
	}
	return err
}

func (t *File) connect(o sqlite.Options, prepare func(sqlite.Schema, *sqlite.Conn) error) (*sqlite.Conn, error) {
	c, err := o.Writer()
	if err != nil {
		return nil, err
	}
	if err := prepare(Schema, c); err != nil {
		return nil, errors.Join(fmt.Errorf("%s %w", t.opening.Path, err), c.Close())
	}
	return c, nil
}

// GiveBack deletes the file to make room for the outbox, and returns its size in bytes.
// A new one is created when there is enough room.
func (t *File) GiveBack() int64 {
	freed := make(chan int64, 1)
	select {
	case t.give <- freed:
		return <-freed
	case <-t.gone:
		return 0
	}
}

func (t *File) delete() (freed int64) {
	_ = t.Shut() // the file is deleted anyway
	freed, err := sqlite.Remove(t.opening.Path)
	if err != nil {
		t.log.Error("cannot delete trace file, calls continue", "file", t.opening.Path, "err", err)
	}
	return freed
}

// replace deletes a file that cannot be used and creates a new one.
func (t *File) replace() {
	t.delete()
	if err := t.try(); err != nil {
		t.log.Error("cannot create trace file, calls continue", "file", t.opening.Path, "err", err)
	}
}

// Shut closes the file, after Run has returned.
func (t *File) Shut() error {
	if t.c == nil {
		return nil
	}
	err := t.c.Close()
	t.c = nil
	return err
}

// End makes Run write the buffered records and return. Shut closes the file after that.
func (t *File) End() { close(t.quit) }

func (t *File) missing() error {
	return fmt.Errorf("trace file %s: %w", t.opening.Path, os.ErrNotExist)
}

// eachRecord calls f with every record of a batch until f returns an error.
func eachRecord(batch []byte, f func(record []byte) error) error {
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

var errNoRoom = errors.New("not enough disk space for files that can be rebuilt")

var errBatch = errors.New("batch of trace records is truncated")
