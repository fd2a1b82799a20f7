package store

import (
	"database/sql"
	"encoding/json"
	"time"
)

// HeldCall is what is known of a call.
type HeldCall struct {
	LinkedID string          `json:"linkedid"`
	Seen     time.Time       `json:"seen"` // when it was last heard of
	State    json.RawMessage `json:"state"`
}

const heldCalls = "select linkedid, seen_ms, state from call"

func scanCall(scan func(...any) error) (HeldCall, error) {
	var c HeldCall
	var seenMS int64
	var state sql.RawBytes
	err := scan(&c.LinkedID, &seenMS, &state)
	c.Seen, c.State = fromMS(seenMS), json.RawMessage(string(state))
	return c, err
}

// Call gives what is known of a call; false where nothing is.
func (s *Store) Call(linkedid string) (c HeldCall, known bool, err error) {
	rows, err := s.read.Query(heldCalls+" where linkedid = ?", linkedid)
	err = each(rows, err, func(scan func(...any) error) error {
		var err error
		c, err = scanCall(scan)
		known = err == nil
		return err
	})
	return c, known, s.reading("read a call", err)
}

// CallsSince gives to f every call that was heard of since a moment, the
// longest unheard first, until f says that it is enough.
func (s *Store) CallsSince(since time.Time, f func(HeldCall) (more bool)) error {
	rows, err := s.read.Query(heldCalls+" where seen_ms >= ? order by seen_ms", since.UnixMilli())
	more := true
	err = each(rows, err, func(scan func(...any) error) error {
		if !more {
			return nil
		}
		c, err := scanCall(scan)
		more = err == nil && f(c)
		return err
	})
	return s.reading("list calls", err)
}
