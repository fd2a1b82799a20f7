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

// Since calls f with every record since a time, in the order in which they were added.
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
	return sqlite.Wrap("read trace records", err)
}

// Find returns the records that fit, from batches that contain one of the words. It
// reads the whole file, so only operators' commands use it.
func (t *File) Find(words [][]byte, fits func(*dialplan.PointTrace) bool) ([]dialplan.PointTrace, error) {
	return t.FindSince(time.Time{}, words, fits)
}

// FindSince is Find for batches that have a record since a time, of which less has to be read.
func (t *File) FindSince(since time.Time, words [][]byte, fits func(*dialplan.PointTrace) bool) ([]dialplan.PointTrace, error) {
	var list []dialplan.PointTrace
	err := t.beside(func(c *sqlite.Conn) error {
		return walk(c, since, words, func(_ int64, batch []byte) error {
			return eachRecord(batch, func(record []byte) error {
				if p, err := dialplan.DecodeTrace(record); err == nil && fits(&p) {
					list = append(list, p)
				}
				return nil
			})
		})
	})
	slices.SortStableFunc(list, func(a, b dialplan.PointTrace) int { return a.At.Compare(b.At) })
	return list, sqlite.Wrap("read trace records", err)
}

// beside calls f with a connection of its own. If there is no file, it does not call f.
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

// walk calls f with every batch that contains one of the words and has a record since a time.
func walk(c *sqlite.Conn, since time.Time, words [][]byte, f func(id int64, batch []byte) error) error {
	sinceMS := int64(0)
	if !since.IsZero() {
		sinceMS = since.UnixMilli()
	}
	return c.All("select id, body from batch where last_ms >= ? order by id", []any{sinceMS}, func(scan func(...any) error) error {
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

// Erase removes the records that fit, from batches that contain one of the words, and
// returns their number.
func (t *File) Erase(words [][]byte, fits func(*dialplan.PointTrace) bool) (erased int, err error) {
	err = t.beside(func(c *sqlite.Conn) error {
		var ids []int64
		err := walk(c, time.Time{}, words, func(id int64, _ []byte) error {
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
	return erased, sqlite.Wrap("erase trace records", err)
}

// eraseOf removes records of one batch. A written batch is otherwise only deleted, by tidy.
func eraseOf(c *sqlite.Conn, id int64, fits func(*dialplan.PointTrace) bool) (erased int, err error) {
	var batch, rest []byte
	if found, err := c.One("select body from batch where id = ?", []any{id}, &batch); !found || err != nil {
		return 0, err
	}
	err = eachRecord(batch, func(record []byte) error {
		// An unreadable record may belong to the person, so it is erased too.
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
