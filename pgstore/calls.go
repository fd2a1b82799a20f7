package pgstore

import (
	"cmp"
	"errors"
	"math"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"ringhook/dialplan"
	"ringhook/store/browse"
	"ringhook/store/eventbody"
)

var (
	_ browse.CallReader = (*Store)(nil)
	_ browse.Operator   = (*Operator)(nil)
)

// row is the SQL of a number that orders the calls of one time.
const row = "hashtextextended(key, 0)"

const heldCalls = "select key, seen, state, " + row + " from ringhook.call where tenant = $1"

func scanCall(rows pgx.Rows) (browse.HeldCall, error) {
	var c browse.HeldCall
	var state string
	err := rows.Scan(&c.Key, &c.Seen, &state, &c.Row)
	c.LinkedID, c.State = dialplan.IdentityOf(c.Key).LinkedID, []byte(state)
	return c, err
}

// Calls implements browse.CallReader.
func (s *Store) Calls(linkedid string) (list []browse.HeldCall, err error) {
	err = s.query(func(rows pgx.Rows) error {
		c, err := scanCall(rows)
		list = append(list, c)
		return err
	}, heldCalls+" and (key = $2 or key > $2 || ' @' and key < $2 || ' A') order by seen, key", s.tenant, printable(linkedid))
	return list, wrap("read the calls of a linkedid", err)
}

// EventCalls implements browse.CallReader.
func (s *Store) EventCalls(linkedid string) (calls []string, err error) {
	linkedid = printable(linkedid)
	err = s.query(func(rows pgx.Rows) error {
		var id, body string
		if err := rows.Scan(&id, &body); err != nil {
			return err
		}
		ev, err := eventbody.Decode(id, linkedid, []byte(body))
		if err == nil && !slices.Contains(calls, ev.Call()) {
			calls = append(calls, ev.Call())
		}
		return err
	}, "select event_id, body from ringhook.event where tenant = $1 and linkedid = $2 order by id", s.tenant, linkedid)
	return calls, wrap("list the calls of events", err)
}

// errEnough ends a query whose other rows are not wanted.
var errEnough = errors.New("the other rows are not wanted")

// LinkedIDOf implements browse.CallReader. It looks at every call.
func (s *Store) LinkedIDOf(call string) (linkedid string, err error) {
	encoded := browse.EncodedCall(call)
	if encoded == "" {
		return call, nil
	}
	err = s.search(func(rows pgx.Rows) error {
		var key string
		err := rows.Scan(&key)
		if id := dialplan.IdentityOf(key); err == nil && id.UUID() == call {
			linkedid, err = id.LinkedID, errEnough
		}
		return err
	}, "select key from ringhook.call where tenant = $1", s.tenant)
	if err == nil { // its state is not kept any more, or under the linkedid alone
		err = s.search(func(rows pgx.Rows) error { return rows.Scan(&linkedid) },
			"select linkedid from ringhook.event where tenant = $1 and position($2 in body) > 0 limit 1", s.tenant, encoded)
	}
	if errors.Is(err, errEnough) {
		err = nil
	}
	return cmp.Or(linkedid, call), wrap("find the linkedid of a call", err)
}

// CallsSince implements browse.CallReader.
func (s *Store) CallsSince(since time.Time, f func(browse.HeldCall) (more bool)) error {
	err := s.search(func(rows pgx.Rows) error {
		c, err := scanCall(rows)
		if err == nil && !f(c) {
			err = errEnough
		}
		return err
	}, heldCalls+" and seen >= $2 order by seen, key", s.tenant, s.clock.engineOf(since))
	if errors.Is(err, errEnough) {
		err = nil
	}
	return wrap("list calls", err)
}

// CallsAfter implements browse.CallReader.
func (s *Store) CallsAfter(at browse.Place, limit int) (list []browse.HeldCall, next browse.Place, err error) {
	before, after := at.Before, at.Row
	if after == 0 { // the time is of this node's clock, and all calls of that time are before the place
		before, after = s.clock.engineOf(at.Before), math.MinInt64
	}
	next = at
	// The first condition is the index's.
	err = s.search(func(rows pgx.Rows) error {
		c, err := scanCall(rows)
		list, next = append(list, c), c.Place()
		return err
	}, heldCalls+" and seen <= $2 and (seen < $2 or "+row+" < $3) order by seen desc, "+row+" desc limit $4", s.tenant, before, after, limit)
	return list, next, wrap("list calls", err)
}
