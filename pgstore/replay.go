package pgstore

import (
	"context"
	"crypto/rand"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"ringhook/store/browse"
	"ringhook/store/eventbody"
)

const (
	// Deliveries that a hook got itself: what is pending is left out.
	replayable = `select d.id, e.event_id, e.linkedid, e.body from ringhook.delivery d join ringhook.event e on e.tenant = $1 and e.id = d.event
		where d.tenant = $1 and d.id > $2 and d.hook = $3 and d.state <> 0 and d.replay_of is null and e.accepted >= $4 and e.accepted < $5
			and ` + notUnderWay + ` order by d.id limit $6`
	// Deliveries that another hook got: what the hook has had itself is left out.
	fillable = `select d.id, e.event_id, e.linkedid, e.body from ringhook.delivery d join ringhook.event e on e.tenant = $1 and e.id = d.event
		where d.tenant = $1 and d.id > $2 and d.hook = $3 and d.replay_of is null and e.accepted >= $4 and e.accepted < $5
			and not exists (select from ringhook.delivery x where x.tenant = $1 and x.event = d.event and x.hook = $7) order by d.id limit $6`

	notUnderWay = `not exists (select from ringhook.delivery x where x.tenant = $1 and x.replay_of = d.id and x.state = 0)`
)

// The statements of Replay, in one transaction after the lane of replays is locked: what another command has added meanwhile
// is left out. $4 is the hook. Without new ids, the columns of the events are empty.
var (
	replayOwn    = replayed("g.id", "d.state <> 0 and "+notUnderWay)
	replayFilled = replayed("null::bigint", "not exists (select from ringhook.delivery x where x.tenant = $1 and x.event = d.event and x.hook = $4)")

	replayNext = releaseNext("select $3::text as hook, '"+replayLane+"' as okey", "interval '0'")
)

func replayed(of, where string) string {
	return `with given as materialized (
			select g.id, g.event_id, g.linkedid, g.body, g.n, d.event, d.hold, ` + of + ` as replay_of
				from unnest($3::bigint[], $5::text[], $6::text[], $7::text[]) with ordinality as g (id, event_id, linkedid, body, n)
				join ringhook.delivery d on d.tenant = $1 and d.id = g.id
				where ` + where + `
		), renewed as (
			insert into ringhook.event (tenant, linkedid, event_id, accepted, body)
			select $1, linkedid, event_id, $2, body from given where event_id is not null order by n returning id, event_id
		), added as (
			insert into ringhook.delivery (tenant, event, hook, okey, hold, begun_at, replay_of)
			select $1, coalesce(r.id, g.event), $4, '` + replayLane + `', g.hold, $2, g.replay_of
				from given g left join renewed r on r.event_id = g.event_id order by g.n
			returning id
		), counted as (
			insert into ringhook.tally_change (tenant, hook, pending, dead) select $1, $4, count(*), 0 from added having count(*) > 0
		)
		select count(*) from added`
}

// repeats are deliveries to repeat, as columns: each with its event under a new id, or without any event.
type repeats struct {
	ids                         []int64
	eventIDs, linkedids, bodies []string
}

// Replay makes new deliveries of events that a hook got, whatever became of them, and returns their number. Each has the
// full time to be delivered. Asked twice, it adds only what is not on its way. With another hook in From, events that Hook
// was given already are left out.
func (o *Operator) Replay(ctx context.Context, r browse.Replay) (int, error) {
	statement := replayOwn
	if r.Filled() {
		statement = replayFilled
	}
	total := 0
	err := o.replayable(r, func(list repeats) error {
		now := o.s.now().Round(time.Microsecond)
		b := &pgx.Batch{}
		queueLock(b, o.s.tenant, []string{replayLane})
		b.Queue(statement, o.s.tenant, now, list.ids, r.Hook, list.eventIDs, list.linkedids, list.bodies)
		b.Queue(replayNext, o.s.tenant, now, r.Hook)
		var n int
		err := o.s.write(ctx, b, func(br pgx.BatchResults) error {
			if _, err := br.Exec(); err != nil {
				return err
			}
			return br.QueryRow().Scan(&n)
		})
		if err == nil {
			total += n
		}
		return err
	})
	return total, wrap("send events again", err)
}

// Replayable returns the number of deliveries that Replay would make.
func (o *Operator) Replayable(r browse.Replay) (int, error) {
	total := 0
	r.NewID = false
	err := o.replayable(r, func(list repeats) error {
		total += len(list.ids)
		return nil
	})
	return total, wrap("list what can be sent again", err)
}

// replayable calls use with the deliveries to repeat, some at a time, the oldest first.
func (o *Operator) replayable(r browse.Replay, use func(repeats) error) error {
	for last := int64(0); ; {
		query, args := replayable, []any{o.s.tenant, last, r.Hook, r.Since, r.Until, operatorRows}
		if r.Filled() {
			query, args[2] = fillable, r.From
			args = append(args, r.Hook)
		}
		var list repeats
		found := 0
		err := o.s.search(func(rows pgx.Rows) error {
			found++
			return list.scan(rows, &r, &last)
		}, query, args...)
		if err != nil || found == 0 {
			return err
		}
		if len(list.ids) == 0 {
			continue
		}
		if err := use(list); err != nil {
			return err
		}
	}
}

// scan adds a delivery if it is wanted. last is set to its number.
func (l *repeats) scan(rows pgx.Rows, r *browse.Replay, last *int64) error {
	var id, linkedid, body string
	if err := rows.Scan(last, &id, &linkedid, &body); err != nil {
		return err
	}
	ev, err := eventbody.Decode(id, linkedid, []byte(body))
	if err != nil || r.Wants != nil && !r.Wants(&ev) {
		return err
	}
	l.ids = append(l.ids, *last)
	if !r.NewID {
		return nil
	}
	ev.ID = "msg_" + strings.ToLower(rand.Text())
	if _, told := ev.Params["event_id"]; told {
		ev.Params["event_id"] = ev.ID
	}
	text, err := eventbody.Encode(&ev)
	l.eventIDs, l.linkedids, l.bodies = append(l.eventIDs, ev.ID), append(l.linkedids, linkedid), append(l.bodies, string(text))
	return err
}
