package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"maps"
	"slices"
	"time"

	"ringhook/dialplan"
	"ringhook/hooks"
	"ringhook/store/browse"
	"ringhook/store/eventbody"
	"ringhook/store/mention"
	"ringhook/store/sqlite"
	"ringhook/store/trace"
)

// Person is what the store has of the holder of a number, without the cache and the phonebook.
type Person = browse.Person

// Erased counts what Erase removed.
type Erased = browse.Erased

// Person returns the stored data about the holder of a number, given in all its spellings.
func (s *Store) Person(numbers ...string) (Person, error) { return s.PersonOf(nil, numbers...) }

// PersonOf is Person for someone of whom another store has calls too. Linkedids are those of calls there that are the
// person's alone.
func (s *Store) PersonOf(linkedids map[string]bool, numbers ...string) (Person, error) {
	var p Person
	var err error
	if p.Calls, err = s.heldOf(numbers); err != nil {
		return p, err
	}
	events, own, err := s.eventsOf(numbers)
	if err != nil {
		return p, err
	}
	for _, id := range events {
		rows, err := s.read.Query(items+" where e.id = ? order by d.id", id)
		err = sqlite.Each(rows, err, func(scan func(...any) error) error {
			item, err := scanItem(scan)
			p.Deliveries = append(p.Deliveries, item)
			return err
		})
		if err != nil {
			return p, sqlite.Wrap("list deliveries of a number", err)
		}
	}
	sole, err := browse.Sole(append(own, browse.OwnCalls(p.Calls)...), s)
	if err == nil {
		maps.Copy(sole, linkedids)
		p.Points, err = s.traces.Find(PointsOf(sole, numbers))
	}
	return p, err
}

// heldOf returns the stored calls that mention one of the numbers.
func (s *Store) heldOf(numbers []string) (held []HeldCall, err error) {
	where, args := sqlite.MentionSQL("state", numbers)
	rows, err := s.read.Query(heldCalls+" where "+where+" order by id", args...)
	err = sqlite.Each(rows, err, func(scan func(...any) error) error {
		c, err := scanCall(scan)
		if mention.In(c.State, numbers) {
			held = append(held, c)
		}
		return err
	})
	return held, sqlite.Wrap("list calls of a number", err)
}

// eventsOf returns the events that mention one of the numbers, and their calls.
func (s *Store) eventsOf(numbers []string) (ids []int64, calls []browse.OwnCall, err error) {
	where, args := sqlite.MentionSQL("body", numbers)
	rows, err := s.read.Query("select id, event_id, linkedid, body from event where "+where+" order by id", args...)
	err = sqlite.Each(rows, err, func(scan func(...any) error) error {
		var id int64
		var name, linkedid string
		var body sql.RawBytes
		err := scan(&id, &name, &linkedid, &body)
		if err != nil || !mention.In(body, numbers) {
			return err
		}
		ev, err := eventbody.Decode(name, linkedid, body)
		ids, calls = append(ids, id), append(calls, browse.OwnCall{LinkedID: linkedid, Call: ev.Call()})
		return err
	})
	return ids, calls, sqlite.Wrap("list events of a number", err)
}

// PointsOf selects the trace records of a person: those that mention a number, and all
// others of these linkedids, because they may contain the caller's name.
func PointsOf(linkedids map[string]bool, numbers []string) (words [][]byte, fits func(*dialplan.PointTrace) bool) {
	for _, w := range slices.AppendSeq(slices.Clone(numbers), maps.Keys(linkedids)) {
		words = append(words, []byte(w))
	}
	return words, func(p *dialplan.PointTrace) bool {
		if linkedids[p.LinkedID] {
			return true
		}
		text, err := json.Marshal(p)
		return err != nil || mention.In(text, numbers)
	}
}

// Erase removes the stored data about the holder of a number, given in all its
// spellings: calls, events with their deliveries and attempts, and trace records. A
// call in progress is stored again by its next point. Deliveries that waited for an
// erased one continue. If another person's call has the same linkedid, only the trace
// records that mention a number are removed.
func (s *Store) Erase(ctx context.Context, numbers ...string) (Erased, error) {
	return s.EraseOf(ctx, nil, numbers...)
}

// EraseOf is Erase for someone of whom another store has calls too. Linkedids are those of calls there that are the
// person's alone.
func (s *Store) EraseOf(ctx context.Context, linkedids map[string]bool, numbers ...string) (Erased, error) {
	var e Erased
	held, err := s.heldOf(numbers)
	if err != nil {
		return e, err
	}
	var keys []string
	for _, c := range held {
		keys = append(keys, c.Key)
	}
	err = inSteps(ctx, s, keys, func(c *sqlite.Conn, key string) error {
		_, err := c.Exec("delete from call where linkedid = ?", key)
		s.journal.calls.remove(key)
		return err
	})
	if err != nil {
		return e, err
	}
	e.Calls = len(held)
	events, others, err := s.eventsOf(numbers)
	if err != nil {
		return e, err
	}
	var d Erased
	err = inSteps(ctx, s, events, func(c *sqlite.Conn, event int64) error { return s.eraseEvent(c, event, &d) })
	e.Events, e.Deliveries, e.Pending = len(events), d.Deliveries, d.Pending
	if err != nil {
		return e, err
	}
	own := append(others, browse.OwnCalls(held)...)
	sole, err := browse.Sole(own, s)
	if err != nil {
		return e, err
	}
	// An event that names no number may keep those of the call.
	err = inSteps(ctx, s, own, func(c *sqlite.Conn, o browse.OwnCall) error {
		_, err := c.Exec("delete from remembered where linkedid = ?1 and (call = ?2 or ?3)", o.LinkedID, o.Call, sole[o.LinkedID])
		return err
	})
	if err != nil {
		return e, err
	}
	// A running server writes the trace records that it has buffered.
	select {
	case <-ctx.Done():
		return e, ctx.Err()
	case <-time.After(2 * trace.Delay):
	}
	maps.Copy(sole, linkedids)
	e.Points, err = s.traces.Erase(PointsOf(sole, numbers))
	return e, err
}

func (s *Store) eraseEvent(c *sqlite.Conn, event int64, e *Erased) error {
	type key struct{ hook, okey string }
	var freed []key
	err := c.All("delete from delivery where event = ? returning hook, okey, state", []any{event}, func(scan func(...any) error) error {
		var k key
		var state hooks.State
		err := scan(&k.hook, &k.okey, &state)
		e.Deliveries++
		if state == hooks.Pending {
			e.Pending++
			freed = append(freed, k)
		}
		return err
	})
	for _, k := range freed {
		if err == nil {
			_, err = c.Exec(releaseNext, k.hook, k.okey, s.now().UnixMilli()+pace(k.okey))
		}
	}
	if err == nil {
		_, err = c.Exec("delete from event where id = ?", event)
	}
	return err
}

// inSteps applies a change to each name, at most upkeepRows in one commit, so that
// calls do not wait long.
func inSteps[T any](ctx context.Context, s *Store, names []T, change func(*sqlite.Conn, T) error) error {
	for len(names) > 0 {
		step := names[:min(len(names), upkeepRows)]
		names = names[len(step):]
		err := s.w.do(ctx, upkeep, 0, func(c *sqlite.Conn) error {
			for _, name := range step {
				if err := change(c, name); err != nil {
					return err
				}
			}
			return nil
		})
		if err == nil {
			err = s.yield(ctx)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
