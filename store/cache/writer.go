package cache

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"ringhook/store/sqlite"
)

// queue queues a write of an entry of so many bytes, for which no caller waits, and
// reports whether there was room.
func (c *Cache) queue(bytes int, apply func(*sqlite.Conn) error) bool {
	if c.queued.Add(int64(bytes)) <= queueBytes {
		select {
		case c.tasks <- task{bytes: bytes, apply: apply}:
			return true
		default:
		}
	}
	c.queued.Add(-int64(bytes))
	return false
}

// do has something written and waits for it.
func (c *Cache) do(ctx context.Context, apply func(*sqlite.Conn) error) error {
	t := task{apply: apply, done: make(chan error, 1)}
	select {
	case c.tasks <- t:
	case <-ctx.Done():
		return ctx.Err()
	case <-c.gone:
		return sqlite.ErrClosed
	}
	select {
	case c.hurry <- struct{}{}:
	default:
	}
	select {
	case err := <-t.done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	case <-c.gone:
		return sqlite.ErrClosed
	}
}

// Run writes what is queued until the cache is closed.
func (c *Cache) Run() {
	defer close(c.gone)
	sweep := time.NewTicker(recentFor)
	defer sweep.Stop()
	for {
		var batch []task
		select {
		case <-c.quit:
			if batch = c.more(nil); len(batch) == 0 {
				return
			}
		case <-c.broken:
			c.replace()
			continue
		case freed := <-c.give:
			freed <- c.delete()
			continue
		case <-sweep.C:
			if c.sweep(); len(c.tasks) > 0 || !c.tidyDue() {
				continue
			}
		case t := <-c.tasks:
			if t.done == nil && len(c.tasks) < batchSize {
				c.linger()
			}
			batch = c.more([]task{t})
		}
		for _, t := range batch {
			c.queued.Add(-int64(t.bytes))
		}
		err := c.write(batch)
		if err != nil {
			c.failed(err)
		}
		c.full = sqlite.ClassOf(err) == sqlite.Full
		for _, t := range batch {
			if t.done != nil {
				t.done <- sqlite.Wrap("write to the cache", err)
			}
		}
	}
}

// tidyEvery is the interval at which expired entries are removed while nothing is written.
const tidyEvery = time.Minute

func (c *Cache) sweep() { c.recent.sweep(c.now()) }

// tidyDue reports whether a file that nothing was written to for a while is to be tidied.
func (c *Cache) tidyDue() bool {
	now := c.now()
	if c.c == nil || now.Sub(c.tidied) < tidyEvery {
		return false
	}
	c.tidied = now
	return true
}

// linger waits for further writes until commitDelay is over or a caller waits for one.
func (c *Cache) linger() {
	timer := time.NewTimer(commitDelay)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-c.hurry:
	case <-c.quit:
	}
}

// more adds to a batch what is waiting already.
func (c *Cache) more(batch []task) []task {
	for len(batch) < batchSize {
		select {
		case t := <-c.tasks:
			batch = append(batch, t)
		default:
			return batch
		}
	}
	return batch
}

// write commits a batch, and makes as much room as the batch may have taken.
func (c *Cache) write(batch []task) (err error) {
	if !c.enough() {
		batch = slices.DeleteFunc(batch, func(t task) bool {
			if t.done == nil {
				c.metrics.Dropped.Inc()
			}
			return t.done == nil
		})
		if c.c == nil && c.own {
			return nil // what is to be removed is not there
		}
	}
	if c.c == nil {
		if c.reopen(); c.c == nil {
			return c.missing()
		}
	}
	if c.full {
		if err := c.transaction(func() error { return c.tidy(tidyRows) }); err != nil {
			return err
		}
	}
	return c.transaction(func() error {
		for _, t := range batch {
			if err := t.apply(c.c); err != nil {
				return err
			}
		}
		if !c.own {
			return nil // the daemon knows the limits
		}
		var entries int64
		if _, err := c.c.One("select entries from size", nil, &entries); err != nil {
			return err
		}
		return c.tidy(entries - c.rows)
	})
}

func (c *Cache) transaction(do func() error) error {
	if _, err := c.c.Exec("begin immediate"); err != nil {
		return err
	}
	err := do()
	if err == nil {
		_, err = c.c.Exec("commit")
	}
	if err != nil {
		_, _ = c.c.Exec("rollback") // fails if SQLite has already rolled back
	}
	return err
}

// Open opens the cache for a daemon. It replaces a file that it cannot use.
func (c *Cache) Open() {
	c.own = true
	if err := c.try(); err != nil && sqlite.ClassOf(err) != sqlite.IO && sqlite.ClassOf(err) != sqlite.Busy {
		c.log.Warn("cannot use cache file, creating a new one", "file", c.opening.Path, "err", err)
		c.metrics.Errors.Inc()
		c.replace()
	}
}

// OpenBeside opens a cache that is there, for a tool.
func (c *Cache) OpenBeside() {
	if _, err := os.Stat(c.opening.Path); err == nil {
		c.opening = c.opening.Beside()
		_ = c.try() // if it fails, every operation returns that there is no cache
	}
}

// reopen tries to open the file again, at most once a second.
func (c *Cache) reopen() {
	if now := c.now(); c.own && now.Sub(c.tried) >= time.Second {
		c.tried = now
		_ = c.try() // the metric counts the errors
	}
}

func (c *Cache) try() error {
	w := c.opening
	w.Busy = time.Second
	writer, err := w.Writer()
	if err != nil {
		return err
	}
	if c.own {
		err = Schema.Migrate(writer)
	} else {
		err = Schema.Current(writer)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("%s %w", c.opening.Path, err), writer.Close())
	}
	pool, err := openPool(c.opening)
	if err != nil {
		return errors.Join(err, writer.Close())
	}
	c.c = writer
	c.file.Store(pool)
	return nil
}

// replace deletes a file that cannot be used and creates a new one.
func (c *Cache) replace() {
	if !c.own {
		return
	}
	c.delete()
	select {
	case <-c.broken: // it was about the file that is gone
	default:
	}
	if err := c.try(); err != nil {
		c.log.Error("cannot create cache file, lookups continue", "file", c.opening.Path, "err", err)
	}
}

// delete deletes the file, and returns its size in bytes.
func (c *Cache) delete() (freed int64) {
	if err := c.shut(); err != nil {
		c.log.Warn("cache closed with an error", "err", err)
	}
	freed, err := sqlite.Remove(c.opening.Path)
	if err != nil {
		c.log.Error("cannot delete cache file, lookups continue", "file", c.opening.Path, "err", err)
	}
	return freed
}

// GiveBack deletes the file to make room for the outbox, and returns its size in bytes. A
// new one is created when there is enough room.
func (c *Cache) GiveBack() int64 {
	freed := make(chan int64, 1)
	select {
	case c.give <- freed:
		return <-freed
	case <-c.gone:
		return 0
	}
}

func (c *Cache) shut() error {
	var err error
	if p := c.file.Swap(nil); p != nil {
		err = p.close(readers)
	}
	if c.c != nil {
		err = errors.Join(err, c.c.Close())
		c.c = nil
	}
	return err
}

// Close writes what is queued and closes the file.
func (c *Cache) Close() {
	c.ending.Do(func() { close(c.quit) })
	<-c.gone
	if err := c.shut(); err != nil {
		c.log.Warn("cache closed with an error", "err", err)
	}
}
