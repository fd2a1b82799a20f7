package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"
)

// queue has something written that nobody waits for.
func (c *Cache) queue(apply func(*conn) error) bool {
	select {
	case c.tasks <- cacheTask{apply: apply}:
		return true
	default:
		return false
	}
}

// do has something written and waits for it.
func (c *Cache) do(ctx context.Context, apply func(*conn) error) error {
	t := cacheTask{apply: apply, done: make(chan error, 1)}
	select {
	case c.tasks <- t:
	case <-ctx.Done():
		return ctx.Err()
	case <-c.gone:
		return ErrClosed
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
		return ErrClosed
	}
}

// run writes what is queued until the cache is closed.
func (c *Cache) run() {
	defer close(c.gone)
	for {
		var batch []cacheTask
		select {
		case <-c.quit:
			if batch = c.more(nil); len(batch) == 0 {
				return
			}
		case <-c.broken:
			c.replace()
			continue
		case t := <-c.tasks:
			if t.done == nil && len(c.tasks) < cacheBatch {
				c.linger()
			}
			batch = c.more([]cacheTask{t})
		}
		err := c.write(batch)
		if err != nil {
			c.failed(err)
		}
		c.full = classOf(err) == Full
		for _, t := range batch {
			if t.done != nil {
				t.done <- fault("write to the cache", err)
			}
		}
	}
}

// linger waits for what else is to be written, until somebody waits for it.
func (c *Cache) linger() {
	timer := time.NewTimer(cacheLinger)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-c.hurry:
	case <-c.quit:
	}
}

// more adds to a batch what is waiting already.
func (c *Cache) more(batch []cacheTask) []cacheTask {
	for len(batch) < cacheBatch {
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
func (c *Cache) write(batch []cacheTask) (err error) {
	if c.c == nil {
		if c.reopen(); c.c == nil {
			return c.missing()
		}
	}
	if c.full {
		if err := c.transaction(func() error { return c.evict(4 * cacheBatch) }); err != nil {
			return err
		}
	}
	return c.transaction(func() error {
		for _, t := range batch {
			if err := t.apply(c.c); err != nil {
				return err
			}
		}
		var entries int64
		if _, err := c.c.one("select entries from size", nil, &entries); err != nil {
			return err
		}
		return c.evict(entries - c.rows)
	})
}

func (c *Cache) transaction(do func() error) error {
	if _, err := c.c.exec("begin immediate"); err != nil {
		return err
	}
	err := do()
	if err == nil {
		_, err = c.c.exec("commit")
	}
	if err != nil {
		_, _ = c.c.exec("rollback") // fails where SQLite has done so already
	}
	return err
}

// open opens the cache for a daemon, a new one where the old one is no good.
func (c *Cache) open() {
	c.own = true
	if err := c.try(); err != nil && classOf(err) != IO && classOf(err) != Busy {
		c.log.Warn("cache is no good, a new one is begun", "file", c.opening.path, "err", err)
		c.meter.cacheErrs.Inc()
		c.replace()
	}
}

// openBeside opens a cache that is there, for a tool.
func (c *Cache) openBeside() {
	if _, err := os.Stat(c.opening.path); err == nil {
		_ = c.try() // then there is none, and whoever asks is told so
	}
}

// reopen tries again, now and then, what did not work before.
func (c *Cache) reopen() {
	if now := c.now(); c.own && now.Sub(c.tried) >= time.Second {
		c.tried = now
		_ = c.try() // the metric counts what is lost meanwhile
	}
}

func (c *Cache) try() error {
	w := c.opening
	w.busy = time.Second
	writer, err := w.writer()
	if err != nil {
		return err
	}
	if c.own {
		err = cacheSchema.migrate(writer)
	} else {
		err = cacheSchema.current(writer)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("%s %w", c.opening.path, err), writer.close())
	}
	pool, err := c.opening.cachePool()
	if err != nil {
		return errors.Join(err, writer.close())
	}
	c.c = writer
	c.file.Store(pool)
	return nil
}

// replace deletes a file that is no good and begins a new one.
func (c *Cache) replace() {
	if !c.own {
		return
	}
	if err := c.shut(); err != nil {
		c.log.Warn("damaged cache closed with an error", "err", err)
	}
	for _, part := range []string{"", "-wal", "-shm"} {
		if err := os.Remove(c.opening.path + part); err != nil && !os.IsNotExist(err) {
			c.log.Error("damaged cache cannot be deleted, lookups go on without it", "err", err)
			return
		}
	}
	select {
	case <-c.broken: // it was about the file that is gone
	default:
	}
	if err := c.try(); err != nil {
		c.log.Error("cache cannot be begun, lookups go on without it", "file", c.opening.path, "err", err)
	}
}

func (c *Cache) shut() error {
	var err error
	if p := c.file.Swap(nil); p != nil {
		err = p.close(cacheReaders)
	}
	if c.c != nil {
		err = errors.Join(err, c.c.close())
		c.c = nil
	}
	return err
}

// close writes what is queued and closes the file.
func (c *Cache) close() {
	c.ending.Do(func() { close(c.quit) })
	<-c.gone
	if err := c.shut(); err != nil {
		c.log.Warn("cache closed with an error", "err", err)
	}
}
