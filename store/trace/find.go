package trace

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"slices"
	"time"

	"ringhook/dialplan"
	"ringhook/store/sqlite"
)

// Since gives to f what happened at points since a moment, in the order in
// which it was kept.
func (t *File) Since(since time.Time, f func(*dialplan.PointTrace)) error {
	err := t.beside(func(c *sqlite.Conn) error {
		return c.All("select body from batch where last_ms >= ? order by id", []any{since.UnixMilli()}, func(scan func(...any) error) error {
			var batch []byte
			if err := scan(&batch); err != nil {
				return err
			}
			return eachRecord(batch, func(record []byte) error {
				if p, err := dialplan.DecodeTrace(record); err == nil && !p.At.Before(since) {
					f(&p)
				}
				return nil
			})
		})
	})
	return sqlite.Wrap("read the records of points", err)
}

// Find gives the records that fit, of batches that have one of the words in
// them. It walks over the whole file, and is for operators alone.
func (t *File) Find(words [][]byte, fits func(*dialplan.PointTrace) bool) ([]dialplan.PointTrace, error) {
	var list []dialplan.PointTrace
	err := t.beside(func(c *sqlite.Conn) error {
		return walk(c, words, func(_ int64, batch []byte) error {
			return eachRecord(batch, func(record []byte) error {
				if p, err := dialplan.DecodeTrace(record); err == nil && fits(&p) {
					list = append(list, p)
				}
				return nil
			})
		})
	})
	slices.SortStableFunc(list, func(a, b dialplan.PointTrace) int { return a.At.Compare(b.At) })
	return list, sqlite.Wrap("read the records of points", err)
}

// beside gives f a connection of its own, none where there is no file.
func (t *File) beside(f func(*sqlite.Conn) error) error {
	if _, err := os.Stat(t.opening.Path); err != nil {
		return nil
	}
	c, err := t.connect(t.opening.Beside(), sqlite.Schema.Current)
	if err != nil {
		return err
	}
	return errors.Join(f(c), c.Close())
}

// walk gives to f every batch that has one of the words in it.
func walk(c *sqlite.Conn, words [][]byte, f func(id int64, batch []byte) error) error {
	return c.All("select id, body from batch order by id", nil, func(scan func(...any) error) error {
		var id int64
		var batch []byte
		if err := scan(&id, &batch); err != nil {
			return err
		}
		if !slices.ContainsFunc(words, func(w []byte) bool { return bytes.Contains(batch, w) }) {
			return nil
		}
		return f(id, batch)
	})
}

// Erase removes the records that fit, and tells how many there were.
func (t *File) Erase(words [][]byte, fits func(*dialplan.PointTrace) bool) (erased int, err error) {
	err = t.beside(func(c *sqlite.Conn) error {
		var ids []int64
		err := walk(c, words, func(id int64, _ []byte) error {
			ids = append(ids, id)
			return nil
		})
		for _, id := range ids {
			if err == nil {
				var n int
				n, err = eraseOf(c, id, fits)
				erased += n
			}
		}
		return err
	})
	return erased, sqlite.Wrap("erase records of points", err)
}

// eraseOf removes records of one batch, which nobody but upkeep changes once it is written.
func eraseOf(c *sqlite.Conn, id int64, fits func(*dialplan.PointTrace) bool) (erased int, err error) {
	var batch, rest []byte
	if found, err := c.One("select body from batch where id = ?", []any{id}, &batch); !found || err != nil {
		return 0, err
	}
	err = eachRecord(batch, func(record []byte) error {
		// What cannot be read cannot be told to be somebody else's.
		if p, err := dialplan.DecodeTrace(record); err != nil || fits(&p) {
			erased++
			return nil
		}
		rest = append(binary.AppendUvarint(rest, uint64(len(record))), record...)
		return nil
	})
	switch {
	case err != nil || erased == 0:
	case len(rest) == 0:
		_, err = c.Exec("delete from batch where id = ?", id)
	default:
		_, err = c.Exec("update batch set body = ?2 where id = ?1", id, rest)
	}
	return erased, err
}
