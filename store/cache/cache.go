// Package cache keeps the answers of lookups in a file of their own, which can be
// rebuilt: its writes never wait for the outbox, and it can be deleted.
package cache

import (
	"context"
	"crypto/sha256"
	"embed"
	"encoding/binary"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"ringhook/lookup"
	"ringhook/store/sqlite"
)

// Cache stores the answers of lookups. It implements lookup.Cache. It never makes a call
// fail or wait: a locked, full or damaged file counts as empty, and a damaged one is
// replaced. Errors are counted in its metric.
type Cache struct {
	opening sqlite.Options
	rows    int64
	enough  func() bool // there is room for data that can be rebuilt
	log     *slog.Logger
	metrics Metrics
	now     func() time.Time

	file      atomic.Pointer[pool] // to read from; nil while there is none
	recent    recent
	forgotten forgotten
	queued    atomic.Int64 // bytes of what waits to be written
	c         *sqlite.Conn // the writer's own
	tasks     chan task
	hurry     chan struct{} // receives when a caller waits for a task
	broken    chan struct{} // a reader found the file damaged
	quit      chan struct{}
	gone      chan struct{}
	give      chan chan int64 // GiveBack
	ending    sync.Once
	own       bool // this process may delete the file
	full      bool // make room before the next batch
	tried     time.Time
	tidied    time.Time
}

// File is the name of the cache's file.
const File = "cache.db"

//go:embed migrations
var migrations embed.FS

// Schema is the schema of the file.
var Schema = sqlite.Schema{AppID: 0x52484341, Files: migrations}

// Metrics count what goes wrong with the cache.
type Metrics struct {
	Errors  prometheus.Counter // reads and writes that failed
	Dropped prometheus.Counter // answers that were not written because the queue was full
}

var _ lookup.Cache = (*Cache)(nil)

// task is something to write.
type task struct {
	bytes int
	apply func(*sqlite.Conn) error
	done  chan error // nil if none waits: then it adds or changes an entry
}

const (
	// queueSize is the maximum number of answers that wait to be written, and
	// queueBytes of their bytes.
	queueSize  = 4096
	queueBytes = 16 << 20
	// batchSize is the maximum number of answers written in one commit.
	batchSize = 256
	// commitDelay is the time for which an answer waits for others, to be written in
	// one commit. Until then Get returns it from recent.
	commitDelay = 100 * time.Millisecond
	// touchAfter is the precision of the time of last use. Without it, each use of an
	// answer would be a write.
	touchAfter = time.Hour
)

// New returns the cache of a file, which Open or OpenBeside opens. maxSize is the maximum
// size of the file in bytes, and rows the maximum number of entries. Entries are added
// only while enough reports that there is room for data that can be rebuilt.
func New(path string, maxSize, rows int64, enough func() bool, log *slog.Logger, m Metrics, now func() time.Time) *Cache {
	return &Cache{
		opening: sqlite.Options{Path: path, Synchronous: "NORMAL", MaxPages: maxSize / sqlite.PageSize, Checkpoint: 1000, CacheKiB: 8 << 10},
		rows:    rows, enough: enough, log: log, metrics: m, now: now,
		tasks: make(chan task, queueSize), hurry: make(chan struct{}, 1), broken: make(chan struct{}, 1),
		quit: make(chan struct{}), gone: make(chan struct{}), give: make(chan chan int64),
	}
}

// Get finds an entry that has not expired. It does not wait for writers.
func (c *Cache) Get(key string) (lookup.Entry, bool) {
	id, now := entryID(key), c.now()
	slot := c.recent.slot(id)
	before := slot.Load()
	if before.answers(key, now) {
		return before.entry, true
	}
	p := c.file.Load()
	if p == nil {
		return lookup.Entry{}, false
	}
	e, usedMS, found, err := p.get(id)
	if err != nil {
		c.failed(err)
	}
	if err != nil || !found {
		return lookup.Entry{}, false
	}
	if e.Key != key || !now.Before(e.Expires) {
		return lookup.Entry{}, false
	}
	if now.Sub(sqlite.FromMS(usedMS)) > touchAfter {
		c.queue(0, func(c *sqlite.Conn) error {
			_, err := c.Exec("update entry set used_ms = ?2 where id = ?1", id, now.UnixMilli())
			return err
		})
	}
	// An entry that was put meanwhile is newer than the one that was read.
	c.recent.swap(slot, before, e, now.Add(recentFor))
	return e, true
}

const putEntry = `insert into entry (id, key, lookup, number, missing, vars, stored_ms, expires_ms, used_ms)
	select ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9 where not exists (select 1 from forgotten where number in (0, ?10) and at_ms >= ?11)
	on conflict (id) do update set key = ?2, lookup = ?3, number = ?4, missing = ?5, vars = ?6,
		stored_ms = ?7, expires_ms = ?8, used_ms = ?9`

// Put keeps an entry, later and in the background. It is dropped and counted if
// the writer is behind, and dropped if its number was forgotten after the source was asked.
func (c *Cache) Put(e lookup.Entry) {
	now := c.now()
	asked := e.Asked
	if asked.IsZero() {
		asked = e.Stored
	}
	if c.forgotten.since(e.Number, asked) {
		return
	}
	e = owned(e)
	id, used := entryID(e.Key), now.UnixMilli()
	slot := c.recent.slot(id)
	c.recent.swap(slot, slot.Load(), e, now.Add(recentFor))
	ok := c.queue(len(e.Vars), func(c *sqlite.Conn) error {
		_, err := c.Exec(putEntry, id, e.Key, e.Lookup, e.Number, e.Missing, e.Vars, sqlite.ToMS(e.Stored), sqlite.ToMS(e.Expires), used,
			entryID(e.Number), sqlite.ToMS(asked))
		return err
	})
	if !ok {
		c.metrics.Dropped.Inc()
	}
}

// Followed returns up to which forgotten number of a shared database, and of which, this cache was purged. source is empty if
// that is not known.
func (c *Cache) Followed() (source string, generation int64, err error) {
	p := c.file.Load()
	if p == nil {
		return "", 0, c.missing()
	}
	_, err = sqlite.One(p.db, "select source, generation from followed", nil, &source, &generation)
	return source, generation, sqlite.Wrap("read the cache", err)
}

// SetFollowed stores that.
func (c *Cache) SetFollowed(ctx context.Context, source string, generation int64) error {
	return c.do(ctx, func(conn *sqlite.Conn) error {
		_, err := conn.Exec("insert or replace into followed values (1, ?, ?)", source, generation)
		return err
	})
}

// EntryID returns the number under which an entry of a key is stored.
func EntryID(key string) int64 { return entryID(key) }

// entryID is the row's number. Two keys with one number replace each other. The
// hash is a good one, so that no caller can aim at an entry.
func entryID(key string) int64 {
	sum := sha256.Sum256([]byte(key))
	return int64(binary.LittleEndian.Uint64(sum[:]))
}

// Show returns all entries of a number, including expired ones.
func (c *Cache) Show(number string) ([]lookup.Entry, error) {
	p := c.file.Load()
	if p == nil {
		return nil, c.missing()
	}
	rows, err := p.db.Query("select key, lookup, number, missing, vars, stored_ms, expires_ms from entry where number = ?", number)
	var list []lookup.Entry
	err = sqlite.Each(rows, err, func(scan func(...any) error) error {
		var e lookup.Entry
		var storedMS, expiresMS int64
		err := scan(&e.Key, &e.Lookup, &e.Number, &e.Missing, &e.Vars, &storedMS, &expiresMS)
		e.Stored, e.Expires = sqlite.FromMS(storedMS), sqlite.FromMS(expiresMS)
		list = append(list, e)
		return err
	})
	return list, sqlite.Wrap("read the cache", err)
}

// Forget removes what is kept for a number, and returns how much that was. An answer
// for which the source was asked before is not kept, in any process.
func (c *Cache) Forget(ctx context.Context, number string) (int, error) {
	c.forgotten.add(number, c.now())
	if err := c.remember(ctx, entryID(number)); err != nil {
		return 0, err
	}
	return c.remove(ctx, "delete from entry where number = ?", number)
}

// Clear removes everything, in steps between which others can write.
func (c *Cache) Clear(ctx context.Context) error {
	c.forgotten.add("", c.now())
	if err := c.remember(ctx, 0); err != nil {
		return err
	}
	for {
		n, err := c.remove(ctx, "delete from entry where id in (select id from entry limit ?)", 10_000)
		if n == 0 || err != nil {
			return err
		}
	}
}

// remember notes in the file that a number is forgotten from now on.
func (c *Cache) remember(ctx context.Context, number int64) error {
	return c.do(ctx, func(conn *sqlite.Conn) error {
		_, err := conn.Exec("insert or replace into forgotten (number, at_ms) values (?, ?)", number, c.now().UnixMilli())
		return err
	})
}

// Len returns the number of entries, including expired ones.
func (c *Cache) Len() int {
	n := 0
	if p := c.file.Load(); p != nil {
		if _, err := sqlite.One(p.db, "select entries from size", nil, &n); err != nil {
			c.failed(err)
		}
	}
	return n
}

func (c *Cache) remove(ctx context.Context, query string, arg any) (int, error) {
	n := 0
	err := c.do(ctx, func(c *sqlite.Conn) (err error) {
		n, err = c.Changes(query, arg)
		return err
	})
	c.recent.clear()
	if err != nil {
		return 0, err
	}
	return n, nil
}

func (c *Cache) missing() error { return fmt.Errorf("cache %s: %w", c.opening.Path, os.ErrNotExist) }

// failed counts an error, and makes the writer replace a damaged file.
func (c *Cache) failed(err error) {
	c.metrics.Errors.Inc()
	if sqlite.ClassOf(err) == sqlite.Corrupt {
		select {
		case c.broken <- struct{}{}:
		default:
		}
	}
}
