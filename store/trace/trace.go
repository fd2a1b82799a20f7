// Package trace keeps what happened at points in a file of its own, which can be rebuilt.
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

// File keeps what happened at points, so that people can ask for it. It
// never makes a call wait or fail: records are gathered in memory and written
// together by a goroutine of its own, to a file of its own which may be lost.
type File struct {
	opening sqlite.Options
	keep    time.Duration
	enough  func() bool
	size    int64 // that the file may take, in bytes
	log     *slog.Logger
	dropped prometheus.Counter
	now     func() time.Time

	mu     sync.Mutex
	batch  []byte // gathered; guarded by mu
	lastMS int64  // when the latest of it was asked; guarded by mu

	wake   chan struct{} // something is gathered
	quit   chan struct{}
	give   chan chan int64 // GiveBack
	gone   chan struct{}   // closed when Run has returned
	c      *sqlite.Conn    // the writer's own; nil while there is no file
	tried  time.Time
	tidied time.Time
	failed bool
}

// Name is the name of the file.
const Name = "trace.db"

//go:embed migrations
var migrations embed.FS

// Schema is that of the file.
var Schema = sqlite.Schema{AppID: 0x52485452, Files: migrations}

const (
	// Delay is how long records are gathered. Whoever asks sees them that
	// much later.
	Delay = 200 * time.Millisecond
	// gatherRoom is how much is gathered at most, in bytes.
	gatherRoom = 1 << 20
	// maxSize is the most that the file takes, in bytes: some million points.
	maxSize = 512 << 20
	// tidyRows is how many rows one step of upkeep removes.
	tidyRows = 100
	// tidyEvery is how often it looks whether something is to be removed.
	tidyEvery = time.Minute
)

// New returns the file at path, which Open opens. Records are kept for so long;
// dropped counts those that are not. The file grows only while enough reports that
// there is room for what can be rebuilt.
func New(path string, keep time.Duration, enough func() bool, log *slog.Logger, dropped prometheus.Counter, now func() time.Time) *File {
	return &File{
		opening: sqlite.Options{Path: path, Synchronous: "NORMAL", Checkpoint: 1000, CacheKiB: 2 << 10, Busy: time.Second},
		keep:    keep, size: maxSize, enough: enough, log: log, dropped: dropped, now: now,
		wake: make(chan struct{}, 1), quit: make(chan struct{}),
		give: make(chan chan int64), gone: make(chan struct{}),
	}
}

// Add gathers a record, or drops and counts it where the writer is behind.
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

// Run writes what is gathered until it is closed.
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

// settle tells of a failure once, and has a damaged file begun anew.
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
		t.log.Warn("records of points are lost, calls go on without them", "file", t.opening.Path, "err", err)
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
	if len(batch) > 0 {
		if _, err := t.c.Exec("insert into batch (last_ms, body) values (?1, ?2)", lastMS, batch); err != nil {
			return err
		}
	}
	now := t.now()
	if now.Sub(t.tidied) < tidyEvery {
		return nil
	}
	t.tidied = now
	return t.tidy()
}

// tidy removes what is too old or too much, the oldest first.
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

// Open opens the file for a daemon, a new one where the old one is no good.
func (t *File) Open() {
	t.tried = t.now()
	if err := t.try(); sqlite.ClassOf(err) == sqlite.Corrupt || errors.Is(err, sqlite.ErrNewer) || errors.Is(err, sqlite.ErrForeign) {
		t.log.Warn("records of points are no good, a new file is begun", "file", t.opening.Path, "err", err)
		t.replace()
	}
}

func (t *File) try() (err error) {
	t.c, err = t.connect(t.opening, sqlite.Schema.Migrate)
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

// GiveBack deletes the file, to make room for what must not be lost, and returns its
// size in bytes. A new one is begun when there is enough room.
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
	_ = t.Shut() // of a file that goes anyway
	freed, err := sqlite.Remove(t.opening.Path)
	if err != nil {
		t.log.Error("records of points cannot be deleted, calls go on without them", "err", err)
	}
	return freed
}

// replace deletes a file that is no good and begins a new one.
func (t *File) replace() {
	t.delete()
	if err := t.try(); err != nil {
		t.log.Error("records of points cannot be begun, calls go on without them", "file", t.opening.Path, "err", err)
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

// End has the writer write what is gathered. The file is closed once it has ended.
func (t *File) End() { close(t.quit) }

func (t *File) missing() error {
	return fmt.Errorf("records of points %s: %w", t.opening.Path, os.ErrNotExist)
}

// eachRecord gives every record of a batch to f, until f has an error.
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

var errNoRoom = errors.New("too little room on the disk for what can be rebuilt")

var errBatch = errors.New("batch of records of points is cut short")
