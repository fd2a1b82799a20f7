package store

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"ringhook/dialplan"
	"ringhook/hooks"
	"ringhook/store/sqlite"
	"ringhook/store/trace"
)

// Person holds the stored data about the holder of a number, without the cache and the
// phonebook.
type Person struct {
	Calls      []HeldCall
	Deliveries []Item // of every state
	Points     []dialplan.PointTrace
}

// longNumber is the length from which a number is also found inside other text. A
// shorter one must be a whole JSON string, because it may be part of any number.
const longNumber = 7

// mentions reports whether JSON contains one of the numbers.
func mentions(text []byte, numbers []string) bool {
	for _, number := range numbers {
		if bytes.Contains(text, []byte(`"`+number+`"`)) {
			return true
		}
		for rest := text; len(number) >= longNumber; {
			i := bytes.Index(rest, []byte(number))
			if i < 0 {
				break
			}
			end := i + len(number)
			if (i == 0 || !isDigit(rest[i-1])) && (end == len(rest) || !isDigit(rest[end])) {
				return true
			}
			rest = rest[end:]
		}
	}
	return false
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// mentionSQL returns the SQL condition that a column may contain one of the numbers. It
// scans the whole table, so only operators' commands use it.
func mentionSQL(column string, numbers []string) (condition string, args []any) {
	var parts []string
	for _, number := range numbers {
		if len(number) < longNumber {
			number = `"` + number + `"`
		}
		parts = append(parts, "instr("+column+", ?) > 0")
		args = append(args, []byte(number))
	}
	return "(" + strings.Join(parts, " or ") + ")", args
}

// Person returns the stored data about the holder of a number, given in all its spellings.
func (s *Store) Person(numbers ...string) (Person, error) {
	var p Person
	where, args := mentionSQL("state", numbers)
	rows, err := s.read.Query(heldCalls+" where "+where+" order by id", args...)
	err = sqlite.Each(rows, err, func(scan func(...any) error) error {
		c, err := scanCall(scan)
		if mentions(c.State, numbers) {
			p.Calls = append(p.Calls, c)
		}
		return err
	})
	if err != nil {
		return p, sqlite.Wrap("list calls of a number", err)
	}
	events, linkedids, err := s.eventsOf(numbers)
	if err != nil {
		return p, err
	}
	for _, id := range events {
		rows, err = s.read.Query(items+" where e.id = ? order by d.id", id)
		err = sqlite.Each(rows, err, func(scan func(...any) error) error {
			item, err := scanItem(scan)
			p.Deliveries = append(p.Deliveries, item)
			return err
		})
		if err != nil {
			return p, sqlite.Wrap("list deliveries of a number", err)
		}
	}
	for _, c := range p.Calls {
		linkedids = append(linkedids, c.LinkedID)
	}
	p.Points, err = s.traces.Find(pointsOf(linkedids, numbers))
	return p, err
}

// eventsOf returns the events that mention one of the numbers, and their calls.
func (s *Store) eventsOf(numbers []string) (ids []int64, linkedids []string, err error) {
	where, args := mentionSQL("body", numbers)
	rows, err := s.read.Query("select id, linkedid, body from event where "+where+" order by id", args...)
	err = sqlite.Each(rows, err, func(scan func(...any) error) error {
		var id int64
		var linkedid string
		var body sql.RawBytes
		err := scan(&id, &linkedid, &body)
		if mentions(body, numbers) {
			ids, linkedids = append(ids, id), append(linkedids, linkedid)
		}
		return err
	})
	return ids, linkedids, sqlite.Wrap("list events of a number", err)
}

// pointsOf selects the trace records of a person: those that mention a number, and all
// others of these calls, because they may contain the caller's name.
func pointsOf(linkedids, numbers []string) (words [][]byte, fits func(*dialplan.PointTrace) bool) {
	for _, w := range slices.Concat(linkedids, numbers) {
		words = append(words, []byte(w))
	}
	return words, func(p *dialplan.PointTrace) bool {
		if slices.Contains(linkedids, p.LinkedID) {
			return true
		}
		text, err := json.Marshal(p)
		return err != nil || mentions(text, numbers)
	}
}

// Erased counts what Erase removed.
type Erased struct {
	Calls, Events, Deliveries int
	Pending                   int // of the deliveries: they are never sent
	Points                    int // trace records
}

// Erase removes the stored data about the holder of a number, given in all its
// spellings: calls, events with their deliveries and attempts, and trace records. A
// call in progress is stored again by its next point. Deliveries that waited for an
// erased one continue.
func (s *Store) Erase(ctx context.Context, numbers ...string) (Erased, error) {
	var e Erased
	p, err := s.Person(numbers...)
	if err != nil {
		return e, err
	}
	var keys, linkedids []string
	for _, c := range p.Calls {
		keys, linkedids = append(keys, c.Key), append(linkedids, c.LinkedID)
	}
	err = inSteps(ctx, s.w, keys, func(c *sqlite.Conn, key string) error {
		_, err := c.Exec("delete from call where linkedid = ?", key)
		s.journal.calls.remove(key)
		return err
	})
	if err != nil {
		return e, err
	}
	e.Calls = len(p.Calls)
	events, others, err := s.eventsOf(numbers)
	if err != nil {
		return e, err
	}
	var d Erased
	err = inSteps(ctx, s.w, events, func(c *sqlite.Conn, event int64) error { return s.eraseEvent(c, event, &d) })
	e.Events, e.Deliveries, e.Pending = len(events), d.Deliveries, d.Pending
	if err != nil {
		return e, err
	}
	// A running server writes the trace records that it has buffered.
	select {
	case <-ctx.Done():
		return e, ctx.Err()
	case <-time.After(2 * trace.Delay):
	}
	e.Points, err = s.traces.Erase(pointsOf(slices.Concat(linkedids, others), numbers))
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
func inSteps[T any](ctx context.Context, w *writer, names []T, change func(*sqlite.Conn, T) error) error {
	for len(names) > 0 {
		step := names[:min(len(names), upkeepRows)]
		names = names[len(step):]
		err := w.do(ctx, upkeep, 0, func(c *sqlite.Conn) error {
			for _, name := range step {
				if err := change(c, name); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}
