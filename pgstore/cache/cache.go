// Package cache shares the answers of lookups between nodes by PostgreSQL. Each node has a cache of its own, from which it
// answers first.
package cache

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"ringhook/lookup"
	"ringhook/pgstore"
	"ringhook/store/cache"
)

// Cache stores the answers of lookups. It implements lookup.Cache. It never makes a call fail: an engine that is away or slow
// counts as empty.
type Cache struct {
	shared
	local   *cache.Cache
	limits  Limits
	askTime time.Duration // askTime; a test has its own
	log     *slog.Logger
	dropped prometheus.Counter

	queue chan lookup.Entry
	bytes atomic.Int64 // of the queue
	quiet atomic.Int64 // until when the engine is not asked, in nanoseconds of the node's clock

	// What was forgotten while this node had no connection may still be in its own cache. Then that is not used until Follow has
	// removed it, for behindTime at most.
	behind    atomic.Bool
	connected atomic.Int64 // since when the engine can be used while behind is set, in nanoseconds; 0 if it cannot

	stop  context.CancelFunc
	ended sync.WaitGroup
}

var _ lookup.Cache = (*Cache)(nil)

// Limits bound what the engine keeps.
type Limits struct {
	Rows  int64
	Bytes int64
}

const (
	// askTime is the maximum time that a lookup waits for the engine.
	askTime = 20 * time.Millisecond
	// quietTime is the time for which the engine is not asked after it has not answered in time.
	quietTime = time.Second
	// behindTime bounds the time for which the node's own cache is not used after a lost connection.
	behindTime = 5 * time.Second

	// queueSize is the maximum number of answers that wait to be stored in the engine, and queueBytes of their bytes.
	queueSize  = 4096
	queueBytes = 16 << 20
	// batchSize is the maximum number of answers that are stored at once.
	batchSize = 256
	// commitDelay is the time for which an answer waits for others, to be stored with them.
	commitDelay = 100 * time.Millisecond
)

// New returns the cache of a node. dropped counts the answers that are not stored in the engine. Close ends it.
func New(engine *pgstore.Store, local *cache.Cache, limits Limits, log *slog.Logger, dropped prometheus.Counter) *Cache {
	c := newCache(engine, local, limits, log, dropped)
	ctx, stop := context.WithCancel(context.Background())
	c.stop = stop
	c.ended.Go(func() { c.store(ctx) })
	c.ended.Go(func() { c.follow(ctx) })
	c.ended.Go(func() { c.upkeep(ctx) })
	return c
}

// Beside returns the cache for a command: nothing is done in the background, and Put stores nothing in the engine.
func Beside(engine *pgstore.Store, local *cache.Cache) *Cache {
	return newCache(engine, local, Limits{}, slog.New(slog.DiscardHandler), prometheus.NewCounter(prometheus.CounterOpts{Name: "unused"}))
}

func newCache(engine *pgstore.Store, local *cache.Cache, limits Limits, log *slog.Logger, dropped prometheus.Counter) *Cache {
	c := &Cache{shared: shared{engine.Side()}, local: local, limits: limits, askTime: askTime, log: log, dropped: dropped, queue: make(chan lookup.Entry, queueSize)}
	c.behind.Store(true) // until the first look
	return c
}

// Close stores what is queued, for a moment, and ends. The node's own cache is closed by its owner.
func (c *Cache) Close() error {
	c.stop()
	c.ended.Wait()
	return nil
}

// Get finds an entry that has not expired: in the node's own cache, or else in the engine, for askTime at most and not while the
// engine is away.
func (c *Cache) Get(key string) (lookup.Entry, bool) {
	away := c.db.Usable() != nil
	if c.trusted(away) {
		if e, found := c.local.Get(key); found {
			return e, true
		}
	}
	now := time.Now()
	if away || now.UnixNano() < c.quiet.Load() {
		return lookup.Entry{}, false
	}
	e, found, err := c.get(key, c.askTime)
	if err != nil {
		c.quiet.Store(now.Add(quietTime).UnixNano())
	}
	if err != nil || !found || !now.Before(e.Expires) {
		return lookup.Entry{}, false
	}
	c.local.Put(e)
	return e, true
}

// trusted reports whether the node's own cache may answer.
func (c *Cache) trusted(away bool) bool {
	if !c.behind.Load() {
		return true
	}
	if away {
		c.connected.Store(0)
		return true
	}
	now := time.Now().UnixNano()
	c.connected.CompareAndSwap(0, now)
	return now-c.connected.Load() > int64(behindTime)
}

// Put keeps an entry in the node's own cache and, in the background, in the engine. It is not stored in the engine and counted
// while that is away or slow.
func (c *Cache) Put(e lookup.Entry) {
	c.local.Put(e)
	if c.db.Usable() == nil && c.bytes.Add(int64(len(e.Vars))) <= queueBytes {
		select {
		case c.queue <- e:
			return
		default:
		}
		c.bytes.Add(-int64(len(e.Vars)))
	}
	c.dropped.Inc()
}

// store stores what is queued, until the context ends.
func (c *Cache) store(ctx context.Context) {
	for failing := false; ; {
		var batch []lookup.Entry
		select {
		case <-ctx.Done():
			if batch = c.more(nil); len(batch) == 0 || c.put(batch) != nil {
				return
			}
			continue
		case e := <-c.queue:
			timer := time.NewTimer(commitDelay)
			select {
			case <-timer.C:
			case <-ctx.Done():
			}
			timer.Stop()
			batch = c.more([]lookup.Entry{e})
		}
		err := c.put(batch)
		if err != nil {
			c.dropped.Add(float64(len(batch)))
		}
		if err != nil && !failing && c.db.Usable() == nil { // else the log has it
			c.log.Warn("cannot store answers of lookups in PostgreSQL, lookups continue", "err", err)
		}
		failing = err != nil
	}
}

// more adds to a batch what is waiting already.
func (c *Cache) more(batch []lookup.Entry) []lookup.Entry {
	for len(batch) < batchSize && len(c.queue) > 0 {
		batch = append(batch, <-c.queue) // only this goroutine takes from it
	}
	for _, e := range batch {
		c.bytes.Add(-int64(len(e.Vars)))
	}
	return batch
}

// Show returns all entries of a number, including expired ones, of the engine and of this node.
func (c *Cache) Show(number string) ([]lookup.Entry, error) {
	list, err := c.show(number)
	if err != nil {
		return nil, err
	}
	own, err := c.local.Show(number)
	for _, e := range own {
		if !contains(list, e.Key) {
			list = append(list, e)
		}
	}
	return list, present(err)
}

// Forget removes what is kept for a number, and returns how much that was in the engine, or here if that is more. Other nodes
// follow within a second. An answer for which the source was asked before is not kept, on any node.
func (c *Cache) Forget(ctx context.Context, number string) (int, error) {
	n, err := c.forget(number)
	if err != nil {
		return 0, err
	}
	own, err := c.local.Forget(ctx, number)
	return max(n, own), present(err)
}

// Clear removes everything, on all nodes.
func (c *Cache) Clear(ctx context.Context) error {
	if _, err := c.forget(""); err != nil {
		return err
	}
	return present(c.local.Clear(ctx))
}

// Len returns the number of entries in the engine, including expired ones, or here if that is more.
func (c *Cache) Len() int {
	return max(c.len(), c.local.Len())
}
