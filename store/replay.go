package store

import (
	"context"
	"crypto/rand"
	"strings"
	"time"

	"ringhook/failpoint"
	"ringhook/store/sqlite"
)

// replayLane is the key of everything that is sent again: one delivery of a
// hook at a time, and the next no sooner than replayPace after it. So what
// is new goes first, however much is sent again. No call's linkedid begins with a blank.
const (
	replayLane = " replay"
	replayPace = 100 * time.Millisecond
)

// pace tells for how many milliseconds the next of a key has to wait.
func pace(okey string) int64 {
	if okey == replayLane {
		return replayPace.Milliseconds()
	}
	return 0
}

const (
	replayable = `select d.id from delivery d join event e on e.id = d.event
		where d.id > ?1 and d.hook = ?2 and d.state <> 0 and d.replay_of is null and e.accepted_ms >= ?3 and e.accepted_ms < ?4
		order by d.id limit ?5`
	// What is on its way again already is left out.
	replayOne = `insert or ignore into delivery (id, event, hook, okey, hold_ms, begun_ms, replay_of)
		select ` + newNumber + `, event, hook, '` + replayLane + `', hold_ms, ?2, id from delivery where id = ?1 and state <> 0 returning hook, id`
)

// Replay sends the events again that were accepted for a hook in a span of
// time, until excluded, and that are delivered, dead or dropped; it tells how
// many. Each is a new delivery with the same event, and a full time to be tried. Asked
// twice, it adds only what is not on its way.
// With newID each is a new event too, under an id of its own, for receivers that
// drop what they know.
func (o *Outbox) Replay(ctx context.Context, hook string, since, until time.Time, newID bool) (int, error) {
	total, last := 0, int64(0)
	for {
		ids, err := o.replayable(last, hook, since, until)
		if err != nil || len(ids) == 0 {
			return total, err
		}
		nowMS := o.s.now().UnixMilli()
		n, err := o.mend(ctx, ids, func(c *sqlite.Conn, id int64) (bool, error) {
			if err := failpoint.Hit(failpoint.ReplayMid); err != nil {
				return false, err
			}
			var hook string
			var added int64
			found, err := c.One(replayOne, []any{id, nowMS}, &hook, &added)
			if err == nil && found && newID {
				err = renew(c, added, nowMS)
			}
			if err == nil && found {
				_, err = c.Exec(releaseNext, hook, replayLane, nowMS)
			}
			return found, err
		})
		if total += n; err != nil {
			return total, err
		}
		last = ids[len(ids)-1]
	}
}

// renew gives a delivery an event of its own: the same but for its id.
func renew(c *sqlite.Conn, delivery, nowMS int64) error {
	var id, linkedid string
	var text []byte
	if _, err := c.One(`select e.event_id, e.linkedid, e.body from event e join delivery d on d.event = e.id where d.id = ?`,
		[]any{delivery}, &id, &linkedid, &text); err != nil {
		return err
	}
	ev, err := decodeEvent(id, linkedid, text)
	if err != nil {
		return err
	}
	ev.ID = "msg_" + strings.ToLower(rand.Text())
	if _, told := ev.Params["event_id"]; told {
		ev.Params["event_id"] = ev.ID
	}
	if text, err = encodeEvent(&ev); err != nil {
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

func (o *Outbox) replayable(after int64, hook string, since, until time.Time) (ids []int64, err error) {
	rows, err := o.s.read.Query(replayable, after, hook, since.UnixMilli(), until.UnixMilli(), mendRows)
	err = sqlite.Each(rows, err, func(scan func(...any) error) error {
		var id int64
		err := scan(&id)
		ids = append(ids, id)
		return err
	})
	return ids, o.s.reading("list what can be sent again", err)
}
