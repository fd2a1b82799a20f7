package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"ringhook/hooks"
	"ringhook/store/sqlite"
)

// Salvaged counts the deliveries that Salvage found in a damaged outbox.
type Salvaged struct {
	Copied     int // copied as pending or dead, as they were in the damaged file
	Known      int // already in the outbox
	Unreadable int // the row or its event cannot be read; deleted rows may be included
}

// salvageSpan is the number of rows read at once. If that fails, each is read alone.
const salvageSpan = 64

// salvageBlind is the number of consecutive unreadable rows after which the search ends
// if the highest row number cannot be read.
const salvageBlind = 20_000

// salvageRead is the time limit of one read: the pages of a damaged file may form a cycle.
const salvageRead = 10 * time.Second

// salvagedRow is a delivery read from a damaged file.
type salvagedRow struct {
	id, event, holdMS, finishedMS, acceptedMS int64
	hook, okey, class                         string
	state                                     hooks.State
	attempts, status                          int
	linkedid, eventID                         string
	body                                      []byte
}

// Salvage copies the readable pending and dead deliveries of an outbox that was moved
// aside. The time limit of a pending delivery starts again. A second run adds nothing
// that is already there. The damaged file is not changed.
func (o *Operator) Salvage(ctx context.Context, path string) (Salvaged, error) {
	var s Salvaged
	db, columns, err := o.openDamaged(path)
	if err != nil {
		return s, fmt.Errorf("%s: %w", path, err)
	}
	last, known := lastRow(db)
	blind := 0
	for low := int64(1); err == nil && (known && low <= last || !known && blind < salvageBlind); low += salvageSpan {
		found, unreadable := readSpan(db, columns, low)
		s.Unreadable += unreadable
		if blind += salvageSpan; len(found) > 0 {
			blind = 0
		}
		if err = ctx.Err(); err != nil || len(found) == 0 {
			continue
		}
		var copied int
		err = o.s.w.do(ctx, result, 1024*len(found), func(c *sqlite.Conn) error {
			copied = 0
			for i := range found {
				added, err := found[i].insert(c, o.s.now().UnixMilli())
				if err != nil {
					return err
				}
				copied += added
			}
			return nil
		})
		if err == nil {
			s.Copied += copied
			s.Known += len(found) - copied
		}
	}
	return s, errors.Join(err, db.Close())
}

// openDamaged opens a file for reading, and returns the columns of its delivery table.
func (o *Operator) openDamaged(path string) (*sql.DB, []string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, nil, err
	}
	if own, err := os.Stat(o.s.outboxOptions().Path); err == nil && os.SameFile(info, own) {
		return nil, nil, errors.New("is the outbox in use: give the path of the file that was moved aside")
	}
	db, err := sqlite.Options{Path: path, Busy: time.Second, CacheKiB: 16 << 10}.Pool(1)
	if err != nil {
		return nil, nil, fmt.Errorf("cannot be read; `sqlite3 FILE .recover` may read more: %w", err)
	}
	var appID, tables int64
	var columns string
	_, err = sqlite.One(db, "pragma application_id", nil, &appID)
	if err == nil && appID != outboxSchema.AppID {
		err = errors.New("is not a ringhook outbox")
	}
	if err == nil { // a view in place of a table may return rows without end
		_, err = sqlite.One(db, "select count(*) from sqlite_schema where name in ('event', 'delivery') and type = 'table' and rootpage > 0", nil, &tables)
	}
	if err == nil && tables != 2 {
		err = fmt.Errorf("%w: event and delivery are not tables", sqlite.ErrTampered)
	}
	if err == nil {
		_, err = sqlite.One(db, "select coalesce(group_concat(name), '') from pragma_table_info('delivery')", nil, &columns)
	}
	if err == nil && columns == "" {
		err = errors.New("has no delivery table")
	}
	if err != nil {
		return nil, nil, errors.Join(err, db.Close())
	}
	return db, strings.Split(columns, ","), nil
}

// lastRow returns the highest delivery number, and whether it can be read.
func lastRow(db *sql.DB) (last int64, known bool) {
	ctx, cancel := context.WithTimeout(context.Background(), salvageRead)
	defer cancel()
	err := db.QueryRowContext(ctx, "select coalesce(max(id), 0) from delivery").Scan(&last)
	return last, err == nil
}

// readSpan reads the pending and dead deliveries of salvageSpan rows from low on, with
// their events.
func readSpan(db *sql.DB, columns []string, low int64) (found []salvagedRow, unreadable int) {
	found, err := readSalvaged(db, columns, low, low+salvageSpan-1)
	if err != nil {
		found = nil
		for id := low; id < low+salvageSpan; id++ {
			alone, err := readSalvaged(db, columns, id, id)
			if err != nil {
				unreadable++
			}
			found = append(found, alone...)
		}
	}
	whole := found[:0]
	for _, d := range found {
		there, err := sqlite.One(db, "select linkedid, event_id, accepted_ms, body from event where id = ?", []any{d.event}, &d.linkedid, &d.eventID, &d.acceptedMS, &d.body)
		if err == nil && there {
			_, err = decodeEvent(d.eventID, d.linkedid, d.body)
		}
		if err != nil || !there {
			unreadable++
			continue
		}
		whole = append(whole, d)
	}
	return whole, unreadable
}

func readSalvaged(db *sql.DB, columns []string, low, high int64) (found []salvagedRow, err error) {
	hold := "hold_ms"
	if !slices.Contains(columns, hold) {
		hold = "900000" // the fixed value before the column was added
	}
	// By row number only: the indexes may be damaged.
	ctx, cancel := context.WithTimeout(context.Background(), salvageRead)
	defer cancel()
	rows, err := db.QueryContext(ctx, `select id, event, hook, okey, state, attempts, coalesce(finished_ms, 0), last_class, last_status, `+hold+`
		from delivery not indexed where id between ? and ? and +state in (0, 2) order by id limit ?`, low, high, salvageSpan)
	err = sqlite.Each(rows, err, func(scan func(...any) error) error {
		var d salvagedRow
		err := scan(&d.id, &d.event, &d.hook, &d.okey, &d.state, &d.attempts, &d.finishedMS, &d.class, &d.status, &d.holdMS)
		found = append(found, d)
		return err
	})
	return found, err
}

// insert adds the delivery unless its event already has one for this hook, and returns
// the number of deliveries added.
func (d *salvagedRow) insert(c *sqlite.Conn, nowMS int64) (added int, err error) {
	if _, err := c.Exec(keepEvent, d.linkedid, d.eventID, d.acceptedMS, d.body); err != nil {
		return 0, err
	}
	var event, there int64
	if _, err := c.One("select id from event where linkedid = ? and event_id = ?", []any{d.linkedid, d.eventID}, &event); err != nil {
		return 0, err
	}
	if _, err := c.One("select count(*) from delivery where event = ? and hook = ?", []any{event, d.hook}, &there); err != nil || there > 0 {
		return 0, err
	}
	if d.state == hooks.Dead {
		_, err = c.Exec(`insert into delivery (id, event, hook, okey, hold_ms, state, attempts, finished_ms, last_class, last_status)
			values (`+newNumber+`, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
			event, d.hook, d.okey, d.holdMS, int(d.state), d.attempts, d.finishedMS, d.class, d.status)
		return 1, err
	}
	var id int64
	var due bool
	if _, err := c.One(keepDelivery, []any{event, d.hook, d.okey, d.holdMS, nowMS}, &id, &due); err != nil {
		return 0, err
	}
	_, err = c.Exec("update delivery set attempts = ?2, last_class = ?3, last_status = ?4, begun_ms = ?5 where id = ?1", id, d.attempts, d.class, d.status, nowMS)
	return 1, err
}
