package store

import (
	"context"
	"database/sql"
	"time"

	"ringhook/dialplan"
	"ringhook/store/eventbody"
	"ringhook/store/spooled"
	"ringhook/store/sqlite"
)

// Spool is the outbox as what waits for another store: calls and events that were accepted here while that was away, with what
// became of their deliveries here.
type Spool struct{ s *Store }

// Spool is the part that shows and removes what waits for another store.
func (s *Store) Spool() *Spool { return &Spool{s} }

// Has reports whether a call of the linkedid may be stored.
func (p *Spool) Has(linkedid string) bool { return p.s.journal.calls.has(linkedid) }

// Place is a place in the list of Next. The zero value is its beginning.
type Place struct {
	kind int // of nextOf
	row  int64
}

// nextOf list linkedids: those of pending deliveries, in the order of their deliveries, those of other events, and those of
// calls.
var nextOf = []string{
	`select e.linkedid, d.id from delivery d join event e on e.id = d.event where d.state = 0 and d.id > ? order by d.id limit ?`,
	`select linkedid, id from event where id > ? order by id limit ?`,
	`select iif(instr(linkedid, ' @'), substr(linkedid, 1, instr(linkedid, ' @') - 1), linkedid), id from call where id > ? order by id limit ?`,
}

// nextRows is the number of rows that Next reads at once.
const nextRows = 256

// Next returns linkedids of which something is stored, from a place on, each once, and the place after them. Without any, the
// list is at its end.
func (p *Spool) Next(from Place) (linkedids []string, next Place, err error) {
	for next = from; next.kind < len(nextOf); next = (Place{kind: next.kind + 1}) {
		seen := map[string]bool{}
		rows, err := p.s.read.Query(nextOf[next.kind], next.row, nextRows)
		err = sqlite.Each(rows, err, func(scan func(...any) error) error {
			var linkedid string
			err := scan(&linkedid, &next.row)
			if !seen[linkedid] {
				seen[linkedid] = true
				linkedids = append(linkedids, linkedid)
			}
			return err
		})
		if err != nil || len(linkedids) > 0 {
			return linkedids, next, p.s.reading("list what waits for the other store", err)
		}
	}
	return nil, next, nil
}

const spooledDeliveries = `select d.event, d.hook, d.okey, d.hold_ms, d.state, d.attempts, d.last_class, d.last_status, coalesce(d.begun_ms, 0),
	coalesce(d.finished_ms, 0), coalesce(d.started_ms, 0), coalesce(d.took_us, 0), coalesce(d.excerpt, '') from delivery d`

// spooledDelivery reads a row of spooledDeliveries.
func spooledDelivery(scan func(...any) error) (event int64, d spooled.Delivery, err error) {
	var holdMS, begunMS, finishedMS, startedMS, tookUS int64
	err = scan(&event, &d.Route.Hook, &d.Route.Key, &holdMS, &d.State, &d.Attempts, &d.Last.Class, &d.Last.Status, &begunMS, &finishedMS, &startedMS, &tookUS, &d.Last.Excerpt)
	d.Route.Hold = time.Duration(holdMS) * time.Millisecond
	d.Begun, d.Finished = sqlite.FromMS(begunMS), sqlite.FromMS(finishedMS)
	d.Last.Started, d.Last.Took = sqlite.FromMS(startedMS), time.Duration(tookUS)*time.Microsecond
	return event, d, err
}

// Read returns what is stored of a linkedid at one moment. Of several deliveries of an event for one hook it has the last one.
func (p *Spool) Read(ctx context.Context, linkedid string) (g spooled.Group, err error) {
	g.LinkedID = linkedid
	tx, err := p.s.read.BeginTx(ctx, nil)
	if err != nil {
		return g, p.s.reading("read what waits for the other store", err)
	}
	defer func() { _ = tx.Rollback() }() // it has only read
	rows, err := tx.QueryContext(ctx, "select linkedid, state from call where linkedid = ?1 or linkedid > ?1 || ' @' and linkedid < ?1 || ' A' order by id", linkedid)
	err = sqlite.Each(rows, err, func(scan func(...any) error) error {
		var c spooled.Call
		err := scan(&c.Key, &c.State)
		g.Calls = append(g.Calls, c)
		return err
	})
	if err == nil {
		err = p.readEvents(ctx, tx, &g)
	}
	if err == nil {
		rows, err = tx.QueryContext(ctx, "select hook, call, name, value from remembered where linkedid = ? order by hook, call, name", linkedid)
		err = sqlite.Each(rows, err, func(scan func(...any) error) error {
			var v spooled.Value
			err := scan(&v.Hook, &v.Call, &v.Name, &v.Text)
			g.Values = append(g.Values, v)
			return err
		})
	}
	return g, p.s.reading("read what waits for the other store", err)
}

func (p *Spool) readEvents(ctx context.Context, tx *sql.Tx, g *spooled.Group) error {
	place := map[int64]int{}
	keys := map[string]string{} // of the calls, by their names in events
	for _, c := range g.Calls {
		keys[dialplan.IdentityOf(c.Key).UUID()] = c.Key
	}
	if len(g.Calls) == 1 {
		keys[g.LinkedID] = g.Calls[0].Key // as events without a call_uuid name it
	}
	rows, err := tx.QueryContext(ctx, "select id, event_id, accepted_ms, body from event where linkedid = ? order by id", g.LinkedID)
	err = sqlite.Each(rows, err, func(scan func(...any) error) error {
		var acceptedMS int64
		var id string
		var text sql.RawBytes
		e := spooled.Event{LinkedID: g.LinkedID}
		if err := scan(&e.Row, &id, &acceptedMS, &text); err != nil {
			return err
		}
		ev, err := eventbody.Decode(id, g.LinkedID, text)
		e.Event, e.Accepted, e.Call = ev, sqlite.FromMS(acceptedMS), keys[ev.Call()]
		place[e.Row] = len(g.Events)
		g.Events = append(g.Events, e)
		return err
	})
	if err != nil || len(g.Events) == 0 {
		return err
	}
	rows, err = tx.QueryContext(ctx, spooledDeliveries+" where d.event in (select id from event where linkedid = ?) order by d.id", g.LinkedID)
	return sqlite.Each(rows, err, func(scan func(...any) error) error {
		event, d, err := spooledDelivery(scan)
		i, known := place[event]
		if err != nil || !known {
			return err
		}
		list := &g.Events[i].Deliveries
		for k := range *list {
			if (*list)[k].Route.Hook == d.Route.Hook {
				(*list)[k] = d
				return nil
			}
		}
		*list = append(*list, d)
		return nil
	})
}

// Ended returns up to limit events that have ended deliveries, with these alone, in the order of their deliveries from a row on,
// and the row after them.
func (p *Spool) Ended(ctx context.Context, from int64, limit int) (events []spooled.Event, next int64, err error) {
	rows, err := p.s.read.QueryContext(ctx, `select d.id, e.event_id, e.linkedid, d.hook, d.okey, d.state, d.attempts, d.last_class, d.last_status,
		coalesce(d.finished_ms, 0), coalesce(d.started_ms, 0), coalesce(d.took_us, 0), coalesce(d.excerpt, '')
		from delivery d join event e on e.id = d.event where d.id > ? and d.state <> 0 order by d.id limit ?`, from, limit)
	next = from
	err = sqlite.Each(rows, err, func(scan func(...any) error) error {
		var e spooled.Event
		var d spooled.Delivery
		var finishedMS, startedMS, tookUS int64
		err := scan(&next, &e.ID, &e.LinkedID, &d.Route.Hook, &d.Route.Key, &d.State, &d.Attempts, &d.Last.Class, &d.Last.Status, &finishedMS, &startedMS, &tookUS, &d.Last.Excerpt)
		d.Finished, d.Last.Started, d.Last.Took = sqlite.FromMS(finishedMS), sqlite.FromMS(startedMS), time.Duration(tookUS)*time.Microsecond
		e.Event.LinkedID = e.LinkedID
		e.Deliveries = []spooled.Delivery{d}
		events = append(events, e)
		return err
	})
	return events, next, p.s.reading("list ended deliveries", err)
}

// Remove removes what Read returned, but for calls that have changed since. It returns when that is committed.
func (p *Spool) Remove(ctx context.Context, groups []spooled.Group) error {
	var removed []string
	err := p.s.w.do(ctx, result, 0, func(c *sqlite.Conn) error {
		removed = removed[:0]
		for i := range groups {
			g := &groups[i]
			for k := range g.Events {
				if err := removeEvent(c, g.Events[k].Row); err != nil {
					return err
				}
			}
			for _, call := range g.Calls {
				n, err := c.Changes("delete from call where linkedid = ? and state = ?", call.Key, call.State)
				if err != nil {
					return err
				}
				if n > 0 {
					removed = append(removed, call.Key)
					p.s.journal.forgets(call.Key)
				}
			}
		}
		return nil
	})
	if err != nil {
		for _, key := range removed { // they are still there
			p.s.journal.knows(key)
		}
	}
	return err
}

func removeEvent(c *sqlite.Conn, row int64) error {
	if _, err := c.Exec("delete from delivery where event = ?", row); err != nil {
		return err
	}
	_, err := c.Exec("delete from event where id = ?", row)
	return err
}

// forgets removes a call from those that the file has, by its key and by its linkedid alone.
func (j *Journal) forgets(key string) {
	j.calls.remove(key)
	if linkedid := dialplan.IdentityOf(key).LinkedID; linkedid != key {
		j.calls.remove(linkedid)
	}
}

// Waiting returns the number of events that wait for the other store, and when the oldest was accepted.
func (p *Spool) Waiting() (events int, oldest time.Time, err error) {
	var oldestMS int64
	_, err = sqlite.One(p.s.read, "select (select count(*) from event), coalesce((select accepted_ms from event order by id limit 1), 0)", nil, &events, &oldestMS)
	return events, sqlite.FromMS(oldestMS), p.s.reading("count what waits for the other store", err)
}
