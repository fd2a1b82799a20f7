package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"slices"
	"time"

	"ringhook/dialplan"
)

// Points gives what happened at the points of a call, the first asked first:
// as far as it was kept, which nobody waits for.
func (s *Store) Points(linkedid string) ([]dialplan.PointTrace, error) {
	return s.traces.find([][]byte{[]byte(linkedid)}, func(p *dialplan.PointTrace) bool { return p.LinkedID == linkedid })
}

// PointsSince gives to f what happened at points since a moment, in the order in
// which it was kept.
func (s *Store) PointsSince(since time.Time, f func(*dialplan.PointTrace)) error {
	err := s.traces.beside(func(c *conn) error {
		return c.all("select body from batch where last_ms >= ? order by id", []any{since.UnixMilli()}, func(scan func(...any) error) error {
			var batch []byte
			if err := scan(&batch); err != nil {
				return err
			}
			return eachTrace(batch, func(record []byte) error {
				if p, err := dialplan.DecodeTrace(record); err == nil && !p.At.Before(since) {
					f(&p)
				}
				return nil
			})
		})
	})
	return fault("read the records of points", err)
}

// find gives the records that fit, of batches that have one of the words in
// them. It walks over the whole file, and is for operators alone.
func (t *Traces) find(words [][]byte, fits func(*dialplan.PointTrace) bool) ([]dialplan.PointTrace, error) {
	var list []dialplan.PointTrace
	err := t.beside(func(c *conn) error {
		return walk(c, words, func(_ int64, batch []byte) error {
			return eachTrace(batch, func(record []byte) error {
				if p, err := dialplan.DecodeTrace(record); err == nil && fits(&p) {
					list = append(list, p)
				}
				return nil
			})
		})
	})
	slices.SortStableFunc(list, func(a, b dialplan.PointTrace) int { return a.At.Compare(b.At) })
	return list, fault("read the records of points", err)
}

// beside gives f a connection of its own, none where there is no file.
func (t *Traces) beside(f func(*conn) error) error {
	if _, err := os.Stat(t.opening.path); err != nil {
		return nil
	}
	c, err := t.connect(schema.current)
	if err != nil {
		return err
	}
	return errors.Join(f(c), c.close())
}

// walk gives to f every batch that has one of the words in it.
func walk(c *conn, words [][]byte, f func(id int64, batch []byte) error) error {
	return c.all("select id, body from batch order by id", nil, func(scan func(...any) error) error {
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

// erase removes the records that fit, and tells how many there were.
func (t *Traces) erase(words [][]byte, fits func(*dialplan.PointTrace) bool) (erased int, err error) {
	err = t.beside(func(c *conn) error {
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
	return erased, fault("erase records of points", err)
}

// eraseOf removes records of one batch, which nobody but upkeep changes once it is written.
func eraseOf(c *conn, id int64, fits func(*dialplan.PointTrace) bool) (erased int, err error) {
	var batch, rest []byte
	if found, err := c.one("select body from batch where id = ?", []any{id}, &batch); !found || err != nil {
		return 0, err
	}
	err = eachTrace(batch, func(record []byte) error {
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
		_, err = c.exec("delete from batch where id = ?", id)
	default:
		_, err = c.exec("update batch set body = ?2 where id = ?1", id, rest)
	}
	return erased, err
}
