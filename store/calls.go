package store

import (
	"cmp"
	"database/sql"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"ringhook/dialplan"
	"ringhook/store/browse"
	"ringhook/store/eventbody"
	"ringhook/store/sqlite"
)

// HeldCall is a stored call.
type HeldCall = browse.HeldCall

const heldCalls = "select linkedid, seen_ms, state, id from call"

func scanCall(scan func(...any) error) (HeldCall, error) {
	var c HeldCall
	var seenMS int64
	var state sql.RawBytes
	err := scan(&c.Key, &seenMS, &state, &c.Row)
	c.LinkedID = dialplan.IdentityOf(c.Key).LinkedID
	c.Seen, c.State = sqlite.FromMS(seenMS), json.RawMessage(string(state))
	return c, err
}

// Calls returns the calls of a linkedid on all Asterisks, the longest idle first.
func (s *Store) Calls(linkedid string) (list []HeldCall, err error) {
	rows, err := s.read.Query(heldCalls+" where linkedid = ?1 or linkedid > ?1 || ' @' and linkedid < ?1 || ' A' order by seen_ms", linkedid)
	err = sqlite.Each(rows, err, func(scan func(...any) error) error {
		c, err := scanCall(scan)
		if err == nil {
			list = append(list, c)
		}
		return err
	})
	return list, s.reading("read the calls of a linkedid", err)
}

// EventCalls returns the calls of the stored events of a linkedid, as hooks.Event.Call names them, each once.
func (s *Store) EventCalls(linkedid string) (calls []string, err error) {
	rows, err := s.read.Query("select event_id, body from event where linkedid = ? order by id", linkedid)
	err = sqlite.Each(rows, err, func(scan func(...any) error) error {
		var id string
		var body sql.RawBytes
		if err := scan(&id, &body); err != nil {
			return err
		}
		ev, err := eventbody.Decode(id, linkedid, body)
		if err == nil && !slices.Contains(calls, ev.Call()) {
			calls = append(calls, ev.Call())
		}
		return err
	})
	return calls, s.reading("list the calls of events", err)
}

// ofCall is true for an event e of the call that browse.EncodedCall encodes.
const ofCall = "instr(cast(e.body as text), ?) > 0"

// LinkedIDOf returns the linkedid of the call with a call_uuid. If there is none, the text may be a linkedid itself: it is
// returned as it is.
func (s *Store) LinkedIDOf(call string) (linkedid string, err error) {
	encoded := browse.EncodedCall(call)
	if encoded == "" {
		return call, nil
	}
	rows, err := s.read.Query("select linkedid from call")
	err = sqlite.Each(rows, err, func(scan func(...any) error) error {
		var key string
		err := scan(&key)
		if id := dialplan.IdentityOf(key); err == nil && id.UUID() == call {
			linkedid, err = id.LinkedID, errEnough
		}
		return err
	})
	if err == nil { // its state is not kept any more, or under the linkedid alone
		_, err = sqlite.One(s.read, "select e.linkedid from event e where "+ofCall+" limit 1", []any{encoded}, &linkedid)
	}
	if errors.Is(err, errEnough) {
		err = nil
	}
	return cmp.Or(linkedid, call), s.reading("find the linkedid of a call", err)
}

// Points returns the trace records of a call, the earliest first. Some may be missing,
// because points do not wait until their records are stored.
func (s *Store) Points(linkedid string) ([]dialplan.PointTrace, error) {
	return s.CallPoints(linkedid, time.Time{})
}

// CallPoints is Points for a call that began after a time, of which less has to be read.
func (s *Store) CallPoints(linkedid string, since time.Time) ([]dialplan.PointTrace, error) {
	return s.traces.FindSince(since, [][]byte{[]byte(linkedid)}, func(p *dialplan.PointTrace) bool { return p.LinkedID == linkedid })
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
	err = sqlite.Each(rows, err, func(scan func(...any) error) error {
		c, err := scanCall(scan)
		if err == nil && !f(c) {
			err = errEnough
		}
		return err
	})
	if errors.Is(err, errEnough) {
		err = nil
	}
	return s.reading("list calls", err)
}

// CallsAfter returns at most limit calls that come after a place in the list, and the place after them. A call that gets
// a record moves to the beginning of the list.
func (s *Store) CallsAfter(at browse.Place, limit int) (list []HeldCall, next browse.Place, err error) {
	rows, err := s.read.Query(heldCalls+" where (seen_ms, id) < (?, ?) order by seen_ms desc, id desc limit ?", at.Before.UnixMilli(), at.Row, limit)
	err = sqlite.Each(rows, err, func(scan func(...any) error) error {
		c, err := scanCall(scan)
		list, at = append(list, c), c.Place()
		return err
	})
	return list, at, s.reading("list calls", err)
}

var errEnough = errors.New("no more rows are wanted")

const idleCalls = `select linkedid, seen_ms from call where seen_ms > ?1 and seen_ms <= coalesce(
	(select seen_ms from call where seen_ms > ?1 and seen_ms <= ?2 order by seen_ms limit 1 offset ?3), ?2) order by seen_ms`

// IdleCalls lists up to limit calls whose last record is later than after and not later
// than until, the longest idle first, and the others of the same time as the last one.
func (j *Journal) IdleCalls(after, until time.Time, limit int) ([]dialplan.IdleCall, error) {
	if _, err := j.s.clockStep(); err != nil {
		return nil, err
	}
	rows, err := j.s.read.Query(idleCalls, after.UnixMilli(), until.UnixMilli(), limit-1)
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
