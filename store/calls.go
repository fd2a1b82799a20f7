package store

import (
	"database/sql"
	"encoding/json"
	"time"

	"ringhook/dialplan"
	"ringhook/store/sqlite"
)

// HeldCall is a stored call.
type HeldCall struct {
	LinkedID string          `json:"linkedid"`
	Key      string          `json:"-"`    // see dialplan.Identity
	Seen     time.Time       `json:"seen"` // time of its last record
	State    json.RawMessage `json:"state"`
}

const heldCalls = "select linkedid, seen_ms, state from call"

func scanCall(scan func(...any) error) (HeldCall, error) {
	var c HeldCall
	var seenMS int64
	var state sql.RawBytes
	err := scan(&c.Key, &seenMS, &state)
	c.LinkedID = dialplan.IdentityOf(c.Key).LinkedID
	c.Seen, c.State = sqlite.FromMS(seenMS), json.RawMessage(string(state))
	return c, err
}

// Call returns what is known of a call, by its linkedid: the latest one if several Asterisks
// had calls of that linkedid. It reports false if none is known.
func (s *Store) Call(linkedid string) (c HeldCall, known bool, err error) {
	rows, err := s.read.Query(heldCalls+" where linkedid = ?1 or linkedid > ?1 || ' @' and linkedid < ?1 || ' A' order by seen_ms", linkedid)
	err = sqlite.Each(rows, err, func(scan func(...any) error) error {
		var err error
		c, err = scanCall(scan)
		known = err == nil
		return err
	})
	return c, known, s.reading("read a call", err)
}

// Points returns the trace records of a call, the earliest first. Some may be missing,
// because points do not wait until their records are stored.
func (s *Store) Points(linkedid string) ([]dialplan.PointTrace, error) {
	return s.traces.Find([][]byte{[]byte(linkedid)}, func(p *dialplan.PointTrace) bool { return p.LinkedID == linkedid })
}

// PointsSince calls f with every trace record since a time, in the order in which they
// were added.
func (s *Store) PointsSince(since time.Time, f func(*dialplan.PointTrace)) error {
	return s.traces.Since(since, f)
}

// CallsSince calls f with every call that has a record since a time, the longest idle
// first, until f returns false.
func (s *Store) CallsSince(since time.Time, f func(HeldCall) (more bool)) error {
	rows, err := s.read.Query(heldCalls+" where seen_ms >= ? order by seen_ms", since.UnixMilli())
	more := true
	err = sqlite.Each(rows, err, func(scan func(...any) error) error {
		if !more {
			return nil
		}
		c, err := scanCall(scan)
		more = err == nil && f(c)
		return err
	})
	return s.reading("list calls", err)
}

// IdleCalls lists up to limit calls whose last record is later than after and not later
// than until, the longest idle first.
func (j *Journal) IdleCalls(after, until time.Time, limit int) ([]dialplan.IdleCall, error) {
	if err := j.s.clockStep(); err != nil {
		return nil, err
	}
	rows, err := j.s.read.Query("select linkedid, seen_ms from call where seen_ms > ? and seen_ms <= ? order by seen_ms limit ?",
		after.UnixMilli(), until.UnixMilli(), limit)
	var list []dialplan.IdleCall
	err = sqlite.Each(rows, err, func(scan func(...any) error) error {
		var u dialplan.IdleCall
		var seenMS int64
		err := scan(&u.Call, &seenMS)
		u.Seen = sqlite.FromMS(seenMS)
		list = append(list, u)
		return err
	})
	return list, j.s.reading("list idle calls", err)
}
