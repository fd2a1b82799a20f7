package cache

import (
	"crypto/rand"
	"errors"
	"os"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"ringhook/lookup"
	"ringhook/pgstore"
	"ringhook/store/cache"
)

// shared is the part of the cache that all nodes share.
type shared struct{ db *pgstore.Side }

const columns = "key, lookup, number, missing, vars, stored, expires"

// get returns the entry of a key, within a limit.
func (s *shared) get(key string, limit time.Duration) (e lookup.Entry, found bool, err error) {
	err = s.db.QueryLoose("read the cache", limit, pgstore.Do("select "+columns+" from ringhook.cache where tenant = $1 and id = $2", cache.EntryID(key)), func(scan func(...any) error) error {
		e, err = s.scan(scan)
		found = e.Key == key
		return err
	})
	return e, found && err == nil, err
}

func (s *shared) scan(scan func(...any) error) (e lookup.Entry, err error) {
	err = scan(&e.Key, &e.Lookup, &e.Number, &e.Missing, &e.Vars, &e.Stored, &e.Expires)
	e.Stored, e.Expires = s.db.LocalTime(e.Stored), s.db.LocalTime(e.Expires)
	return e, err
}

// show returns the entries of a number.
func (s *shared) show(number string) (list []lookup.Entry, err error) {
	err = s.db.QueryLoose("read the cache", 0, pgstore.Do("select "+columns+" from ringhook.cache where tenant = $1 and number = $2 order by lookup, id", number), func(scan func(...any) error) error {
		e, err := s.scan(scan)
		list = append(list, e)
		return err
	})
	return list, err
}

// An answer for which the source was asked before its number was forgotten is not stored.
const putEntries = `insert into ringhook.cache as c (tenant, id, ` + columns + `)
	select $1, id, key, lookup, number, missing, vars, stored, expires
	from unnest($2::bigint[], $3::text[], $4::text[], $5::text[], $6::boolean[], $7::bytea[], $8::timestamptz[], $9::timestamptz[], $10::timestamptz[])
		u (id, key, lookup, number, missing, vars, stored, expires, asked)
	where not exists (select from ringhook.forgotten f where f.tenant = $1 and f.number in ('', u.number) and f.at >= u.asked)
	order by id
	on conflict (tenant, id) do update set key = excluded.key, lookup = excluded.lookup, number = excluded.number, missing = excluded.missing,
		vars = excluded.vars, stored = excluded.stored, expires = excluded.expires where c.stored < excluded.stored`

// put stores entries. Of several for one key, the last counts.
func (s *shared) put(batch []lookup.Entry) error {
	last := make(map[int64]int, len(batch))
	for i := range batch {
		last[cache.EntryID(batch[i].Key)] = i
	}
	var ids []int64
	var keys, lookups, numbers []string
	var missing []bool
	var vars [][]byte
	var stored, expires, asked []time.Time
	for i, e := range batch {
		id := cache.EntryID(e.Key)
		if last[id] != i {
			continue
		}
		if e.Asked.IsZero() {
			e.Asked = e.Stored
		}
		ids, keys, lookups, numbers, missing, vars = append(ids, id), append(keys, e.Key), append(lookups, e.Lookup), append(numbers, e.Number), append(missing, e.Missing), append(vars, e.Vars)
		stored, expires, asked = append(stored, s.db.EngineTime(e.Stored)), append(expires, s.db.EngineTime(e.Expires)), append(asked, s.db.EngineTime(e.Asked))
	}
	_, err := s.db.WriteLoose("write to the cache", pgstore.Do(putEntries, ids, keys, lookups, numbers, missing, vars, stored, expires, asked))
	return err
}

// forget removes the entries of a number, of all for "", and has all nodes do the same. It returns how many those were.
func (s *shared) forget(number string) (n int, err error) {
	// The row of the state is locked until the commit, so that generations are committed in their order.
	var removed int64
	err = s.db.Write("forget answers of lookups", func(br pgx.BatchResults) error {
		for range 2 {
			if _, err := br.Exec(); err != nil {
				return err
			}
		}
		done, err := br.Exec()
		removed = done.RowsAffected()
		return err
	}, pgstore.Do(`insert into ringhook.forgotten_state as s (tenant, id, generation) values ($1, $2, 1)
			on conflict (tenant) do update set generation = s.generation + 1`, rand.Text()),
		pgstore.Do(`insert into ringhook.forgotten (tenant, number, generation, at)
			select $1, $2, generation, clock_timestamp() from ringhook.forgotten_state where tenant = $1
			on conflict (tenant, number) do update set generation = excluded.generation, at = excluded.at`, number),
		pgstore.Do("delete from ringhook.cache where tenant = $1 and ($2 = '' or number = $2)", number))
	if err != nil {
		return 0, err
	}
	return int(removed), nil
}

// countTime bounds the count of all entries.
const countTime = time.Minute

// len returns the number of entries, 0 if they cannot be counted.
func (s *shared) len() (n int) {
	// It is for people: without the engine, they see what the node has.
	_ = s.db.QueryLoose("count the cache", countTime, pgstore.Do("select count(*) from ringhook.cache where tenant = $1"), func(scan func(...any) error) error { return scan(&n) })
	return n
}

func contains(list []lookup.Entry, key string) bool {
	return slices.ContainsFunc(list, func(e lookup.Entry) bool { return e.Key == key })
}

// present returns err, nil if it says that the node has no cache.
func present(err error) error {
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}
