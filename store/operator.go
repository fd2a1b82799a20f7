package store

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"strings"
	"time"

	"ringhook/hooks"
	"ringhook/store/browse"
	"ringhook/store/eventbody"
	"ringhook/store/sqlite"
)

// Operator lists, shows and changes deliveries, for the administrator's commands and
// the API.
type Operator struct{ s *Store }

// Filter selects deliveries.
type Filter = browse.Filter

// Item is a delivery as an operator sees it.
type Item = browse.Item

// HookCounts holds the numbers of a hook's deliveries.
type HookCounts = browse.HookCounts

const items = `select d.id, d.hook, d.attempts, e.accepted_ms, e.event_id, e.linkedid, e.body,
	d.state, coalesce(d.next_ms, 0), coalesce(d.finished_ms, 0), d.last_class, d.last_status, coalesce(d.replay_of, 0)
	from delivery d join event e on e.id = d.event`

// List returns the newest deliveries that match the filter, the newest first.
func (o *Operator) List(f Filter) ([]Item, error) {
	where, args := whereOf(&f)
	rows, err := o.s.read.Query(items+where+" order by d.id desc limit ?", append(args, cmp.Or(f.Limit, 100))...)
	var list []Item
	err = sqlite.Each(rows, err, func(scan func(...any) error) error {
		item, err := scanItem(scan)
		list = append(list, item)
		return err
	})
	return list, o.s.reading("list deliveries", err)
}

// IDs returns the numbers of all deliveries that match the filter, or up to its limit if
// it has one, the oldest first.
func (o *Operator) IDs(f Filter) ([]int64, error) {
	where, args := whereOf(&f)
	rows, err := o.s.read.Query("select d.id from delivery d join event e on e.id = d.event"+where+" order by d.id limit ?",
		append(args, cmp.Or(f.Limit, -1))...)
	var ids []int64
	err = sqlite.Each(rows, err, func(scan func(...any) error) error {
		ids = append(ids, 0)
		return scan(&ids[len(ids)-1])
	})
	return ids, o.s.reading("choose deliveries", err)
}

// whereOf returns the SQL condition of a filter and its arguments.
func whereOf(f *Filter) (condition string, args []any) {
	where := []string{"true"}
	add := func(condition string, values ...any) {
		where = append(where, condition)
		args = append(args, values...)
	}
	if f.Hook != "" {
		add("d.hook = ?", f.Hook)
	}
	if len(f.States) > 0 {
		marks := make([]string, len(f.States))
		for i, state := range f.States {
			marks[i] = "?"
			args = append(args, int(state))
		}
		where = append(where, "d.state in ("+strings.Join(marks, ", ")+")")
	}
	if encoded := browse.EncodedCall(f.Call); encoded != "" {
		add("(e.linkedid = ? or "+ofCall+")", f.Call, encoded)
	} else if f.Call != "" {
		add("e.linkedid = ?", f.Call)
	}
	if !f.Since.IsZero() {
		add("e.accepted_ms >= ?", f.Since.UnixMilli())
	}
	if !f.Until.IsZero() {
		add("e.accepted_ms < ?", f.Until.UnixMilli())
	}
	return " where " + strings.Join(where, " and "), args
}

const attemptsOf = `select started_ms, took_us, class, status, excerpt from (
	select n, started_ms, took_us, class, status, excerpt from attempt where delivery = ?1
	union all select attempts, started_ms, took_us, last_class, last_status, excerpt from delivery where id = ?1 and started_ms is not null
	) order by n`

// Show returns one delivery and its stored attempts, the oldest first. The error is
// ErrNotFound if no delivery has that number.
func (o *Operator) Show(id int64) (Item, []hooks.Attempt, error) {
	rows, err := o.s.read.Query(items+" where d.id = ?", id)
	var item Item
	err = sqlite.Each(rows, err, func(scan func(...any) error) error {
		var err error
		item, err = scanItem(scan)
		return err
	})
	if err != nil {
		return Item{}, nil, o.s.reading("show a delivery", err)
	}
	if item.ID == 0 {
		return Item{}, nil, ErrNotFound
	}
	var attempts []hooks.Attempt
	rows, err = o.s.read.Query(attemptsOf, id)
	err = sqlite.Each(rows, err, func(scan func(...any) error) error {
		var a hooks.Attempt
		var startedMS, tookUS int64
		err := scan(&startedMS, &tookUS, &a.Class, &a.Status, &a.Excerpt)
		a.Started, a.Took = sqlite.FromMS(startedMS), time.Duration(tookUS)*time.Microsecond
		attempts = append(attempts, a)
		return err
	})
	if err == nil {
		item.Remembered, err = o.s.outbox.Remembered(item.Hook, item.Event.Call())
	}
	return item, attempts, o.s.reading("show the attempts of a delivery", err)
}

func scanItem(scan func(...any) error) (Item, error) {
	var i Item
	var acceptedMS, nextMS, finishedMS int64
	var id, linkedid string
	var text sql.RawBytes
	err := scan(&i.ID, &i.Hook, &i.Attempts, &acceptedMS, &id, &linkedid, &text, &i.State, &nextMS, &finishedMS, &i.Class, &i.Status, &i.ReplayOf)
	if err != nil {
		return i, err
	}
	i.Accepted, i.Next, i.Finished = sqlite.FromMS(acceptedMS), sqlite.FromMS(nextMS), sqlite.FromMS(finishedMS)
	i.Held = i.State == hooks.Pending && nextMS == 0
	i.Event, err = eventbody.Decode(id, linkedid, text)
	return i, err
}

const (
	holdLater = `update delivery set next_ms = null
		where state = 0 and hook = ?1 and okey = ?2 and id > ?3 and next_ms is not null`
	dropOne = `update delivery set state = 3, next_ms = null, finished_ms = ?2
		where id = ?1 and state in (0, 2) returning hook, okey`
	attemptNow = "update hook_state set until_ms = 0 where hook = ? and until_ms > 0 and disabled_reason = ''"
)

// Retry makes pending, dead and dropped deliveries due now, and returns their number.
// The order is kept: a delivery still waits for earlier ones of its key, and later
// ones wait for it again. If the hook is paused, one of its deliveries is attempted
// now. A disabled hook stays disabled.
func (o *Operator) Retry(ctx context.Context, ids ...int64) (int, error) {
	nowMS := o.s.now().UnixMilli()
	return o.inBatches(ctx, ids, func(c *sqlite.Conn, id int64) (bool, error) {
		var hook, okey string
		var next sql.NullInt64
		if _, err := c.Exec(retryAttempt, id); err != nil {
			return false, err
		}
		found, err := c.One(retryFirst, []any{id, nowMS}, &hook, &okey, &next)
		if err == nil && next.Valid {
			_, err = c.Exec(holdLater, hook, okey, id)
		}
		if err == nil && found {
			_, err = c.Exec(attemptNow, hook)
		}
		return found, err
	})
}

// Drop marks pending and dead deliveries as dropped, and returns their number.
// Deliveries that waited for them continue.
func (o *Operator) Drop(ctx context.Context, ids ...int64) (int, error) {
	nowMS := o.s.now().UnixMilli()
	return o.inBatches(ctx, ids, func(c *sqlite.Conn, id int64) (bool, error) {
		var hook, okey string
		found, err := c.One(dropOne, []any{id, nowMS}, &hook, &okey)
		if err == nil && found {
			_, err = c.Exec(releaseNext, hook, okey, nowMS+pace(okey))
		}
		return found, err
	})
}

// operatorRows is the maximum number of deliveries changed in one commit, so that calls do not wait long.
const operatorRows = 250

func (o *Operator) inBatches(ctx context.Context, ids []int64, change func(*sqlite.Conn, int64) (bool, error)) (int, error) {
	total := 0
	for len(ids) > 0 {
		chunk := ids[:min(len(ids), operatorRows)]
		ids = ids[len(chunk):]
		n := 0
		err := o.s.w.do(ctx, result, 0, func(c *sqlite.Conn) error {
			n = 0
			for _, id := range chunk {
				found, err := change(c, id)
				if err != nil {
					return err
				}
				if found {
					n++
				}
			}
			return nil
		})
		if err != nil {
			return total, err
		}
		total += n
		if err := o.s.yield(ctx); err != nil {
			return total, err
		}
	}
	return total, nil
}

// yieldTime is the time for which a command leaves the outbox to the server between two batches. SQLite looks for the lock
// of a file at least every 25 ms in the first tenth of a second of a wait.
const yieldTime = 30 * time.Millisecond

// yield leaves the outbox to the server. A command that began its next batch at once would have the lock of the file nearly
// always, and calls would wait too long for their commits.
func (s *Store) yield(ctx context.Context) error {
	if s.lock != nil {
		return nil // the server's own batches share the commits of calls
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(s.yieldTime):
		return nil
	}
}

// Changeable returns the numbers of the deliveries that match a filter. If the filter
// names no state, delivered and dropped ones are left out.
func (o *Operator) Changeable(filter Filter) ([]int64, error) {
	if filter.States == nil {
		filter.States = []hooks.State{hooks.Pending, hooks.Dead}
	}
	return o.IDs(filter)
}

// EnsureHooks adds a row of counts for each hook that has none, so that the hook has
// metrics before its first event. A full disk is not an error: the first delivery adds
// the row too.
func (o *Outbox) EnsureHooks(ctx context.Context, names []string) error {
	err := o.s.w.do(ctx, result, 0, func(c *sqlite.Conn) error {
		for _, name := range names {
			if _, err := c.Exec("insert into tally (hook) values (?) on conflict (hook) do update set removed_ms = null where removed_ms is not null", name); err != nil {
				return err
			}
		}
		return nil
	})
	if f := (*sqlite.Fault)(nil); errors.As(err, &f) && f.Class == sqlite.Full {
		return nil
	}
	return err
}

// HookCounts returns the counts of every hook that was given to EnsureHooks or has
// deliveries. The cost does not depend on the number of deliveries.
func (o *Operator) HookCounts() ([]HookCounts, error) {
	rows, err := o.s.read.Query(`select hook, pending, dead, coalesce((select accepted_ms from event where id =
		(select event from delivery d where d.state = 0 and d.hook = tally.hook order by d.id limit 1)), 0), coalesce(removed_ms, 0) from tally`)
	var list []HookCounts
	err = sqlite.Each(rows, err, func(scan func(...any) error) error {
		var t HookCounts
		var oldestMS, removedMS int64
		err := scan(&t.Hook, &t.Pending, &t.Dead, &oldestMS, &removedMS)
		t.Oldest, t.Removed = sqlite.FromMS(oldestMS), sqlite.FromMS(removedMS)
		list = append(list, t)
		return err
	})
	return list, o.s.reading("count deliveries", err)
}
