package store

import (
	"context"
	"crypto/rand"
	"database/sql"
	"strings"

	"ringhook/failpoint"
	"ringhook/store/browse"
	"ringhook/store/eventbody"
	"ringhook/store/sqlite"
)

// replayLane is the key of all replayed deliveries: a hook gets one at a time, and the
// next at least browse.ReplayPace later. So new deliveries go first, however many are replayed.
// No linkedid begins with a blank.
const replayLane = " replay"

// pace returns the pause in milliseconds before the next delivery of a key.
func pace(okey string) int64 {
	if okey == replayLane {
		return browse.ReplayPace.Milliseconds()
	}
	return 0
}

const (
	// Deliveries that a hook got itself: what is pending is left out.
	replayable = `select d.id, e.event_id, e.linkedid, e.body from delivery d join event e on e.id = d.event
		where d.id > ?1 and d.hook = ?2 and d.state <> 0 and d.replay_of is null and e.accepted_ms >= ?3 and e.accepted_ms < ?4
		and not exists (select 1 from delivery x where x.replay_of = d.id and x.state = 0) order by d.id limit ?5`
	// Deliveries that another hook got: what the hook has had itself is left out.
	fillable = `select d.id, e.event_id, e.linkedid, e.body from delivery d join event e on e.id = d.event
		where d.id > ?1 and d.hook = ?2 and d.replay_of is null and e.accepted_ms >= ?3 and e.accepted_ms < ?4
		and not exists (select 1 from delivery x where x.event = d.event and x.hook = ?6) order by d.id limit ?5`
	// Deliveries that are being sent again are left out, also if another command added them meanwhile.
	replayOne = `insert or ignore into delivery (id, event, hook, okey, hold_ms, begun_ms, replay_of)
		select ` + newNumber + `, event, hook, '` + replayLane + `', hold_ms, ?2, id from delivery where id = ?1 and state <> 0 returning id`
	fillOne = `insert into delivery (id, event, hook, okey, hold_ms, begun_ms)
		select ` + newNumber + `, event, ?3, '` + replayLane + `', hold_ms, ?2 from delivery d where id = ?1
		and not exists (select 1 from delivery x where x.event = d.event and x.hook = ?3) returning id`
)

// Replay chooses events to send again.
type Replay = browse.Replay

// Replay makes new deliveries of events that a hook got, whatever became of them, and
// returns their number. Each has the full time to be delivered. Asked twice, it adds
// only what is not on its way. With another hook in From, events that Hook was given
// already are left out.
func (o *Operator) Replay(ctx context.Context, r Replay) (int, error) {
	total := 0
	err := o.replayable(r, func(ids []int64) error {
		nowMS := o.s.now().UnixMilli()
		n, err := o.inBatches(ctx, ids, func(c *sqlite.Conn, id int64) (bool, error) {
			if err := failpoint.Hit(failpoint.ReplayMid); err != nil {
				return false, err
			}
			insert, args := replayOne, []any{id, nowMS}
			if r.Filled() {
				insert, args = fillOne, append(args, r.Hook)
			}
			var added int64
			found, err := c.One(insert, args, &added)
			if err == nil && found && r.NewID {
				err = renew(c, added, nowMS)
			}
			if err == nil && found {
				_, err = c.Exec(releaseNext, r.Hook, replayLane, nowMS)
			}
			return found, err
		})
		total += n
		return err
	})
	return total, err
}

// Replayable returns the number of deliveries that Replay would make.
func (o *Operator) Replayable(r Replay) (int, error) {
	total := 0
	err := o.replayable(r, func(ids []int64) error {
		total += len(ids)
		return nil
	})
	return total, err
}

// replayable calls use with the deliveries to repeat, some at a time, the oldest first.
func (o *Operator) replayable(r Replay, use func(ids []int64) error) error {
	for last := int64(0); ; {
		query, args := replayable, []any{last, r.Hook, r.Since.UnixMilli(), r.Until.UnixMilli(), operatorRows}
		if r.Filled() {
			query, args[1] = fillable, r.From
			args = append(args, r.Hook)
		}
		var ids []int64
		found := 0
		rows, err := o.s.read.Query(query, args...)
		err = sqlite.Each(rows, err, func(scan func(...any) error) error {
			var id, linkedid string
			var text sql.RawBytes
			if err := scan(&last, &id, &linkedid, &text); err != nil {
				return err
			}
			found++
			ev, err := eventbody.Decode(id, linkedid, text)
			if err == nil && (r.Wants == nil || r.Wants(&ev)) {
				ids = append(ids, last)
			}
			return err
		})
		if err != nil || found == 0 {
			return o.s.reading("list what can be sent again", err)
		}
		if err := use(ids); err != nil {
			return err
		}
	}
}

// renew assigns a delivery a copy of its event with a new id.
func renew(c *sqlite.Conn, delivery, nowMS int64) error {
	var id, linkedid string
	var text []byte
	if _, err := c.One(`select e.event_id, e.linkedid, e.body from event e join delivery d on d.event = e.id where d.id = ?`,
		[]any{delivery}, &id, &linkedid, &text); err != nil {
		return err
	}
	ev, err := eventbody.Decode(id, linkedid, text)
	if err != nil {
		return err
	}
	ev.ID = "msg_" + strings.ToLower(rand.Text())
	if _, told := ev.Params["event_id"]; told {
		ev.Params["event_id"] = ev.ID
	}
	if text, err = eventbody.Encode(&ev); err != nil {
		return err
	}
	done, err := c.Exec(keepEvent, linkedid, ev.ID, nowMS, text)
	if err != nil {
		return err
	}
	number, err := done.LastInsertId()
	if err == nil {
		_, err = c.Exec("update delivery set event = ? where id = ?", number, delivery)
	}
	return err
}
