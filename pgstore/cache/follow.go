package cache

import (
	"context"
	"crypto/rand"
	"errors"
	"time"

	"ringhook/pgstore"
	"ringhook/store/browse"
	"ringhook/store/cache"
)

const (
	// followEvery is the time between two looks for numbers that were forgotten.
	followEvery = 500 * time.Millisecond
	// upkeepEvery is the time between two removals of what is old or too much.
	upkeepEvery = time.Minute
	// upkeepRows is the maximum number of entries that one statement removes.
	upkeepRows = 5000
)

// follow removes from the node's own cache what was forgotten on other nodes, until the context ends.
func (c *Cache) follow(ctx context.Context) {
	tick := time.NewTicker(followEvery)
	defer tick.Stop()
	for failing := false; ; {
		err := c.step(ctx)
		if err == nil {
			c.behind.Store(false)
			c.connected.Store(0)
		} else {
			c.behind.Store(true)
		}
		if err != nil && !failing && ctx.Err() == nil && !errors.Is(err, browse.ErrAway) { // else the log has it
			c.log.Warn("cannot remove forgotten numbers from the cache, it is tried again", "err", err)
		}
		failing = err != nil
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// state is the state of the forgotten numbers in the engine.
type state struct {
	id                string // empty if none was forgotten yet
	generation, floor int64
}

// step removes what was forgotten since the last step. If that is not known, it removes everything.
func (c *Cache) step(ctx context.Context) error {
	var now state
	err := c.db.Query("read the generation of forgotten numbers", 0, pgstore.Do("select id, generation, floor from ringhook.forgotten_state where tenant = $1"),
		func(scan func(...any) error) error { return scan(&now.id, &now.generation, &now.floor) })
	if err == nil && now.id == "" { // this is the first node
		return c.db.Write("prepare the cache", nil, pgstore.Do("insert into ringhook.forgotten_state (tenant, id, generation) values ($1, $2, 0) on conflict (tenant) do nothing", rand.Text()))
	}
	if err != nil {
		return err
	}
	source, generation, err := c.local.Followed()
	switch {
	case err != nil:
		return present(err) // nothing is cached without the file
	case source == now.id && generation == now.generation:
		return nil
	case source == now.id && generation < now.generation && generation >= now.floor:
		err = c.forgetSince(ctx, generation)
	default:
		err = c.local.Clear(ctx)
	}
	if err == nil {
		err = c.local.SetFollowed(ctx, now.id, now.generation)
	}
	return present(err)
}

// forgetSince removes from the node's own cache what was forgotten after a generation.
func (c *Cache) forgetSince(ctx context.Context, generation int64) error {
	var numbers []string
	err := c.db.Query("read forgotten numbers", 0, pgstore.Do("select number from ringhook.forgotten where tenant = $1 and generation > $2 order by generation", generation),
		func(scan func(...any) error) error {
			var number string
			err := scan(&number)
			numbers = append(numbers, number)
			return err
		})
	for _, number := range numbers {
		if err != nil {
			return err
		}
		if number == "" {
			err = c.local.Clear(ctx)
			continue
		}
		_, err = c.local.Forget(ctx, number)
	}
	return err
}

// upkeep removes what is old or too much from the engine, until the context ends. Several nodes may do it at the same time.
func (c *Cache) upkeep(ctx context.Context) {
	c.db.Repeat(ctx, upkeepEvery, func(ctx context.Context) error { return c.tidy(ctx, cache.RememberForgotten) }, func(err error) {
		c.log.Warn("upkeep of the cache in PostgreSQL failed, it is tried again", "err", err)
	})
}

// tidy removes what has expired, and what is over the limits: first entries that know no customer, so that a flood of unknown
// numbers cannot push customers out, then the oldest. It also drops what was remembered of forgotten numbers.
func (c *Cache) tidy(ctx context.Context, remember time.Duration) error {
	if err := c.removeAll(ctx, "select id from ringhook.cache where tenant = $1 and expires <= $2 order by expires limit $3", c.db.Now()); err != nil {
		return err
	}
	over, err := c.over()
	for err == nil && over > 0 && ctx.Err() == nil {
		var n int
		n, err = c.db.WriteLoose("tidy the cache", pgstore.Do(`delete from ringhook.cache where tenant = $1 and id in
			(select id from ringhook.cache where tenant = $1 order by missing desc, stored limit $2)`, min(over, upkeepRows)))
		if over -= int64(n); n == 0 {
			break
		}
	}
	if err != nil {
		return err
	}
	return c.db.Write("drop forgotten numbers", nil, pgstore.Do(`with old as (
			delete from ringhook.forgotten where tenant = $1 and at < clock_timestamp() - $2::interval returning generation
		)
		update ringhook.forgotten_state set floor = greatest(floor, (select max(generation) from old)) where tenant = $1 and exists (select from old)`, remember))
}

// removeAll removes the entries that a query of ids names, in steps.
func (c *Cache) removeAll(ctx context.Context, ids string, arg any) error {
	for ctx.Err() == nil {
		n, err := c.db.WriteLoose("tidy the cache", pgstore.Do("delete from ringhook.cache where tenant = $1 and id in ("+ids+")", arg, upkeepRows))
		if n < upkeepRows || err != nil {
			return err
		}
	}
	return nil
}

// over returns the number of entries that are too many. The size of an entry is estimated by a sample of them.
func (c *Cache) over() (over int64, err error) {
	var rows int64
	var size float64
	err = c.db.QueryLoose("count the cache", countTime, pgstore.Do(`select (select count(*) from ringhook.cache where tenant = $1),
		coalesce((select avg(octet_length(key) + coalesce(octet_length(vars), 0) + 200) from ringhook.cache tablesample system (1) where tenant = $1), 0)::float8`),
		func(scan func(...any) error) error { return scan(&rows, &size) })
	over = rows - c.limits.Rows
	if most := float64(c.limits.Bytes) / max(size, 1); float64(rows) > most {
		over = max(over, rows-int64(most))
	}
	return over, err
}
