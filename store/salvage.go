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
	"unicode/utf8"

	"ringhook/hooks"
	"ringhook/hooks/reply"
	"ringhook/store/eventbody"
	"ringhook/store/sqlite"
)

// Salvaged counts the deliveries that Salvage found in a damaged outbox.
type Salvaged struct {
	Copied     int // copied as pending or dead, as they were in the damaged file
	Known      int // already in the outbox
	Unreadable int // cannot be read, by what the file counted or by the rows; deleted rows may be included
}

// salvageSpan is the number of rows read at once. If that fails, each is read alone.
const salvageSpan = 64

// salvageBlind is the number of consecutive unreadable rows after which the search ends
// if the highest row number cannot be read.
const salvageBlind = 20_000

// salvageRead is the time limit of one read: the pages of a damaged file may refer to each
// other, so that a read does not end. After salvageEndless of these the search ends.
const (
	salvageRead    = 10 * time.Second
	salvageEndless = 6
)

var errEndless = errors.New("its pages refer to each other, so that reading it does not end; `sqlite3 FILE .recover` may read the rest")

// damagedFile is an outbox that is salvaged.
type damagedFile struct {
	db      *sql.DB
	columns []string // of the delivery table
	values  bool     // it has remembered values
	limit   time.Duration
	endless int // reads that took longer than limit
}

// salvagedRow is a delivery read from a damaged file.
type salvagedRow struct {
	id, event, holdMS, finishedMS, acceptedMS int64
	hook, okey, class                         string
	state                                     hooks.State
	attempts, status                          int
	linkedid, eventID                         string
	body                                      []byte
	call                                      string            // see hooks.Event.Call
	values                                    map[string]string // that answers left for it
}

// Salvage copies the readable pending and dead deliveries of an outbox that was moved
// aside, with the values that answers left for them. The time limit of a pending
// delivery starts again. A second run adds nothing that is already there. The damaged
// file is not changed.
func (o *Operator) Salvage(ctx context.Context, path string) (Salvaged, error) {
	var s Salvaged
	f, err := o.openDamaged(path)
	if err != nil {
		return s, fmt.Errorf("%s: %w", path, err)
	}
	last, known := f.lastRow()
	blind := 0
	for low := int64(1); err == nil && (known && low <= last && low < maxRow || !known && blind < salvageBlind); low += salvageSpan {
		found, unreadable := f.readSpan(low)
		s.Unreadable += unreadable
		if blind += salvageSpan; len(found) > 0 {
			blind = 0
		}
		if f.endless >= salvageEndless {
			err = fmt.Errorf("%s: %w", path, errEndless)
		}
		if len(found) == 0 && unreadable == 0 {
			low = f.nextRow(low+salvageSpan) - salvageSpan // the numbers between are of no rows
		}
		if err = errors.Join(err, ctx.Err()); ctx.Err() != nil || len(found) == 0 {
			continue
		}
		var copied int
		kept := o.s.w.do(ctx, result, 1024*len(found), func(c *sqlite.Conn) error {
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
		if kept == nil {
			s.Copied += copied
			s.Known += len(found) - copied
		}
		err = errors.Join(err, kept)
		if err == nil {
			err = o.s.yield(ctx)
		}
	}
	// Damaged rows may look like finished ones, or like none.
	if counted, counts := f.number("select coalesce(sum(pending + dead), 0) from tally"); counts == nil {
		s.Unreadable = max(s.Unreadable, int(min(counted, maxCounted))-s.Copied-s.Known)
	}
	return s, errors.Join(err, f.db.Close())
}

// maxCounted bounds the number of deliveries that a damaged file claims to have.
const maxCounted = 1 << 30

// openDamaged opens a file for reading.
func (o *Operator) openDamaged(path string) (*damagedFile, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if own, err := os.Stat(o.s.outboxOptions().Path); err == nil && os.SameFile(info, own) {
		return nil, errors.New("is the outbox in use: give the path of the file that was moved aside")
	}
	db, err := sqlite.Options{Path: path, Busy: time.Second, CacheKiB: 16 << 10}.Pool(1)
	if err != nil {
		return nil, fmt.Errorf("cannot be read; `sqlite3 FILE .recover` may read more: %w", err)
	}
	var appID, tables, values int64
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
		_, err = sqlite.One(db, "select count(*) from sqlite_schema where name = 'remembered' and type = 'table' and rootpage > 0", nil, &values)
	}
	if err == nil {
		_, err = sqlite.One(db, "select coalesce(group_concat(name), '') from pragma_table_info('delivery')", nil, &columns)
	}
	if err == nil && columns == "" {
		err = errors.New("has no delivery table")
	}
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return &damagedFile{db: db, columns: strings.Split(columns, ","), values: values > 0, limit: o.s.salvageRead}, nil
}

// lastRow returns the highest delivery number, and whether it can be read.
func (f *damagedFile) lastRow() (last int64, known bool) {
	last, err := f.number("select coalesce(max(id), 0) from delivery")
	return min(last, maxRow), err == nil
}

// maxRow is higher than any delivery number in use.
const maxRow = int64(1) << 60

// nextRow returns the first delivery number from low on, maxRow if there is none, and low if that cannot be read.
func (f *damagedFile) nextRow(low int64) int64 {
	next, err := f.number("select coalesce(min(id), ?2) from delivery where id >= ?1", low, maxRow)
	if err != nil {
		return low
	}
	return min(next, maxRow)
}

func (f *damagedFile) number(query string, args ...any) (n int64, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), f.limit)
	defer cancel()
	err = f.db.QueryRowContext(ctx, query, args...).Scan(&n)
	return n, f.noted(ctx, err)
}

// noted counts a read that did not end.
func (f *damagedFile) noted(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		f.endless++
	}
	return err
}

// readSpan reads the pending and dead deliveries of salvageSpan rows from low on, with
// their events.
func (f *damagedFile) readSpan(low int64) (found []salvagedRow, unreadable int) {
	found, err := f.read(low, low+salvageSpan-1)
	if err != nil {
		found = nil
		for id := low; id < low+salvageSpan && f.endless < salvageEndless; id++ {
			alone, err := f.read(id, id)
			if err != nil {
				unreadable++
			}
			found = append(found, alone...)
		}
	}
	whole := found[:0]
	for _, d := range found {
		there, err := sqlite.One(f.db, "select linkedid, event_id, accepted_ms, body from event where id = ?", []any{d.event}, &d.linkedid, &d.eventID, &d.acceptedMS, &d.body)
		var ev hooks.Event
		if err == nil && there {
			ev, err = eventbody.Decode(d.eventID, d.linkedid, d.body)
		}
		if err != nil || !there {
			unreadable++
			continue
		}
		d.call = ev.Call()
		d.values = f.remembered(d.hook, d.call)
		whole = append(whole, d)
	}
	return whole, unreadable
}

// salvageValues is the maximum number of values of a call for one hook that are copied.
const salvageValues = 100

// remembered returns the values of a call for a hook, those that can be read.
func (f *damagedFile) remembered(hook, call string) map[string]string {
	if !f.values {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), f.limit)
	defer cancel()
	values := map[string]string{}
	rows, err := f.db.QueryContext(ctx, "select name, value from remembered where hook = ? and call = ? limit ?", hook, call, salvageValues)
	err = sqlite.Each(rows, err, func(scan func(...any) error) error {
		var name, value string
		err := scan(&name, &value)
		if reply.Name.MatchString(name) && len(value) <= reply.MaxValue && utf8.ValidString(value) {
			values[name] = value
		}
		return err
	})
	_ = f.noted(ctx, err) // a delivery without its values is better than none
	return values
}

// read reads the pending and dead deliveries of a range of numbers.
func (f *damagedFile) read(low, high int64) (found []salvagedRow, err error) {
	hold := "hold_ms"
	if !slices.Contains(f.columns, hold) {
		hold = "900000" // the fixed value before the column was added
	}
	// By row number only: the indexes may be damaged.
	ctx, cancel := context.WithTimeout(context.Background(), f.limit)
	defer cancel()
	rows, err := f.db.QueryContext(ctx, `select id, event, hook, okey, state, attempts, coalesce(finished_ms, 0), last_class, last_status, `+hold+`
		from delivery not indexed where id between ? and ? and +state in (0, 2) order by id limit ?`, low, high, salvageSpan)
	err = sqlite.Each(rows, err, func(scan func(...any) error) error {
		var d salvagedRow
		err := scan(&d.id, &d.event, &d.hook, &d.okey, &d.state, &d.attempts, &d.finishedMS, &d.class, &d.status, &d.holdMS)
		found = append(found, d)
		return err
	})
	return found, f.noted(ctx, err)
}

// keepRemembered adds a value; a newer answer has left another one.
const keepRemembered = "insert into remembered (hook, call, name, value, linkedid) values (?, ?, ?, ?, ?) on conflict do nothing"

// insert adds the delivery and its values unless its event already has one for this hook, and returns
// the number of deliveries added.
func (d *salvagedRow) insert(c *sqlite.Conn, nowMS int64) (added int, err error) {
	if _, err := c.Exec(keepEvent, d.linkedid, d.eventID, d.acceptedMS, d.body); err != nil {
		return 0, err
	}
	for name, value := range d.values {
		if _, err := c.Exec(keepRemembered, d.hook, d.call, name, value, d.linkedid); err != nil {
			return 0, err
		}
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
