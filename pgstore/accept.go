package pgstore

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"ringhook/dialplan"
	"ringhook/hooks"
	"ringhook/store/eventbody"
)

// record is a dialplan.Record in the form in which it is stored. All that can be
// done beforehand is done by the caller, not by the one writer.
type record struct {
	call   string
	state  []byte // nil if only the events are stored
	events []event
	lanes  []string // of the call and the deliveries, each once
	bytes  int
}

type event struct {
	*hooks.Event
	linkedid string
	body     []byte
	routes   []hooks.Route
}

func encode(r dialplan.Record) (*record, error) {
	rec := &record{call: printable(r.Call), state: r.State, bytes: len(r.State)}
	if r.State != nil {
		rec.lanes = append(rec.lanes, callLane(rec.call))
	}
	for i := range r.Events {
		a := &r.Events[i]
		if len(a.Hooks) == 0 {
			continue // no hook gets it
		}
		if err := rec.add(&a.Event, cmp.Or(a.Event.LinkedID, dialplan.IdentityOf(r.Call).LinkedID), a.Hooks); err != nil {
			return nil, err
		}
	}
	return rec, nil
}

func (r *record) add(ev *hooks.Event, linkedid string, routes []hooks.Route) error {
	body, err := eventbody.Encode(ev)
	if err != nil {
		return err
	}
	e := event{Event: ev, linkedid: printable(linkedid), body: body, routes: routes}
	for _, route := range routes {
		r.lock(laneOf(route.Hook, printable(route.Key)))
		if former := e.former(route); former != "" {
			r.lock(former)
		}
	}
	r.events = append(r.events, e)
	r.bytes += len(body)
	return nil
}

func (r *record) lock(lane string) {
	if !slices.Contains(r.lanes, lane) {
		r.lanes = append(r.lanes, lane)
	}
}

// former returns the key under which an older ringhook queued deliveries of the order of a route, empty if that is no other.
func (e *event) former(route hooks.Route) string {
	if e.LinkedID != "" && route.Key != e.LinkedID && route.Key == e.Call() {
		return e.linkedid
	}
	return ""
}

// acceptance is what one statement stores: several records, as columns.
type acceptance struct {
	tenant int
	now    time.Time // of the engine's clock
	local  time.Time // the same by the node's
	again  bool      // after a commit in doubt
	probe  bool      // as much is written as a new call needs, and removed again
	lanes  []string

	keys, states []string
	versions     []int64 // that the stored calls get; 0: whatever they have now
	place        map[string]int

	calls, linkedids, ids, bodies []string // of events; an event without a call is stored in any case
	have                          map[[2]string]bool

	of                    []int32 // the event of each delivery, from 0
	hooks, okeys, formers []string
	holds                 []time.Duration
	owners                []*event
	takers                []*task // of the deliveries; nil: the due ones are not reported
}

// add adds a record. version is that of the stored state which the record replaces.
func (a *acceptance) add(r *record, version int64, checked bool, t *task) {
	call := ""
	a.lanes = append(a.lanes, r.lanes...)
	if r.state != nil {
		call = r.call
		a.setState(r, version, checked)
	}
	for i := range r.events {
		a.addEvent(call, &r.events[i], t)
	}
}

// setState adds the state of a call. It replaces that of an earlier record, which it was built on.
func (a *acceptance) setState(r *record, version int64, checked bool) {
	if a.place == nil {
		a.place = map[string]int{}
	}
	i, have := a.place[r.call]
	if !have {
		i = len(a.keys)
		a.place[r.call] = i
		a.keys, a.states, a.versions = append(a.keys, r.call), append(a.states, ""), append(a.versions, -1)
	}
	a.states[i] = printable(string(r.state))
	if checked {
		a.versions[i] = version
	}
}

func (a *acceptance) addEvent(call string, e *event, t *task) {
	id := printable(e.ID)
	if a.have[[2]string{e.linkedid, id}] {
		return // a repeat
	}
	if a.have == nil {
		a.have = map[[2]string]bool{}
	}
	a.have[[2]string{e.linkedid, id}] = true
	n := int32(len(a.ids))
	a.calls, a.linkedids, a.ids, a.bodies = append(a.calls, call), append(a.linkedids, e.linkedid), append(a.ids, id), append(a.bodies, printable(string(e.body)))
	for i, route := range e.routes {
		if slices.ContainsFunc(e.routes[:i], func(before hooks.Route) bool { return before.Hook == route.Hook }) {
			continue
		}
		key := printable(route.Key)
		a.of, a.hooks, a.okeys, a.formers = append(a.of, n), append(a.hooks, route.Hook), append(a.okeys, key), append(a.formers, e.former(route))
		a.holds, a.owners, a.takers = append(a.holds, route.Hold), append(a.owners, e), append(a.takers, t)
	}
}

// accept stores the calls whose stored version is the one that the record was built on, their events unless they are
// stored already, and a delivery for each hook. Each state gets a version that no state had before: a node may still hold the
// version of a call that was removed since. After a commit in doubt, a call that it has stored is stored again. A new delivery whose call has pending ones under its linkedid follows these: an older ringhook queued them.
// Of the deliveries of a key that are new together only the first gets a due time. The rows of the result are the calls
// that were stored, those that others have changed, and the deliveries that are due now.
var accept = `
with given_call as materialized (
	select * from unnest($3::text[], $4::text[], $5::bigint[]) as g (key, state, version)
), stored as (
	insert into ringhook.call as c (tenant, key, state, version, seen)
	select $1, key, state, nextval('ringhook.call_version'), $2 from given_call order by key
	on conflict (tenant, key) do update set state = excluded.state, seen = excluded.seen, version = excluded.version
		where (c.key, c.version) in (select key, version from given_call) or c.key in (select key from given_call where version < 0)
			or $15 and excluded.state = c.state
	returning key, version
), given_event as materialized (
	select * from unnest($6::text[], $7::text[], $8::text[], $9::text[]) with ordinality as g (call, linkedid, event_id, body, n)
), kept as (
	insert into ringhook.event (tenant, linkedid, event_id, accepted, body)
	select $1, linkedid, event_id, $2, body from given_event where call = '' or call in (select key from stored) order by n
	on conflict (tenant, linkedid, event_id) do nothing
	returning id, linkedid, event_id
), given_delivery as materialized (
	select k.id as event, g.hook, g.hold, g.place, case when g.former <> '' and exists (
		select from ringhook.delivery b where b.tenant = $1 and b.state = 0 and b.hook = g.hook and b.okey = g.former) then g.former else g.okey end as okey
	from unnest($10::integer[], $11::text[], $12::text[], $13::text[], $14::interval[]) with ordinality as g (event, hook, okey, former, hold, place)
		join given_event e on e.n = g.event + 1
		join kept k on k.linkedid = e.linkedid and k.event_id = e.event_id
), added as (
	insert into ringhook.delivery (tenant, event, hook, okey, hold, next_at)
	select $1, event, hook, okey, hold, case when row_number() over (partition by hook, okey order by place) > 1 then null
		else ` + turn("g.hook", "g.okey", "", "$2::timestamptz") + ` end
	from given_delivery g order by place
	returning id, event, hook, next_at
), counted as (
	insert into ringhook.tally_change (tenant, hook, pending, dead) select $1, hook, count(*), 0 from added group by hook
)
select 0::integer as kind, key, version, null::text as state, 0::bigint as id from stored
union all
select 1, c.key, c.version, c.state, 0 from given_call g join ringhook.call c on c.tenant = $1 and c.key = g.key
	where g.key not in (select key from stored)
union all
select 2, null, g.place, null, a.id from added a join given_delivery g on g.event = a.event and g.hook = a.hook where a.next_at <= $2
`

// The kinds of rows of accept.
const (
	callStored = iota
	callMoved
	deliveryDue
)

// probe writes and removes as much as a call may need. No call has an empty key.
const (
	probe        = "insert into ringhook.call (tenant, key, state, version, seen) values ($1, '', repeat('x', 65536), 0, $2) on conflict do nothing"
	removeProbed = "delete from ringhook.call where tenant = $1 and key = ''"
)

// queue adds the locks and the statements to a batch.
func (a *acceptance) queue(b *pgx.Batch) {
	queueLock(b, a.tenant, a.lanes)
	b.Queue(accept, a.args()...)
	if len(a.keys) == 0 {
		b.Queue(written) // the events may be stored already
	}
	if a.probe {
		b.Queue(probe, a.tenant, a.now)
		b.Queue(removeProbed, a.tenant)
	}
}

func (a *acceptance) args() []any {
	return []any{a.tenant, a.now, a.keys, a.states, a.versions, a.calls, a.linkedids, a.ids, a.bodies, a.of, a.hooks, a.okeys, a.formers, a.holds, a.again}
}

// accepted is the result of an acceptance.
type accepted struct {
	stored map[string]int64
	moved  map[string]*dialplan.Moved
	due    map[*task][]hooks.Delivery
	hooks  []string // for which deliveries were added
	wrote  bool     // the commit was one of the engine's, not of nothing
}

// read reads the results of what queue added.
func (a *acceptance) read(br pgx.BatchResults) (*accepted, error) {
	if _, err := br.Exec(); err != nil {
		return nil, err
	}
	rows, err := br.Query()
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	got := &accepted{stored: map[string]int64{}, moved: map[string]*dialplan.Moved{}, due: map[*task][]hooks.Delivery{}}
	got.hooks = slices.Compact(slices.Sorted(slices.Values(a.hooks)))
	for rows.Next() {
		var kind int
		var key, state *string
		var n, id int64
		if err := rows.Scan(&kind, &key, &n, &state, &id); err != nil {
			return nil, err
		}
		switch kind {
		case callStored:
			got.stored[*key] = n
		case callMoved:
			got.moved[*key] = &dialplan.Moved{State: []byte(*state), Version: n}
		case deliveryDue:
			if t := a.takers[n-1]; t != nil {
				got.due[t] = append(got.due[t], hooks.Delivery{ID: id, Hook: a.hooks[n-1], Event: *a.owners[n-1].Event, Accepted: a.local})
			}
		}
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	for _, key := range a.keys {
		if _, stored := got.stored[key]; !stored && got.moved[key] == nil {
			return nil, doubt(errUnlocked)
		}
	}
	return got, nil
}

// errUnlocked reports a call that was changed while the statement ran, by something that does not lock its lane. The
// statement has neither stored the call nor seen what is stored.
var errUnlocked = errors.New("a call was changed without its lock")

// run stores an acceptance in a transaction of its own.
func (a *acceptance) run(ctx context.Context, conn *pgx.Conn) (got *accepted, err error) {
	b := &pgx.Batch{}
	a.queue(b)
	br := conn.SendBatch(ctx, b)
	got, err = a.read(br)
	if closing := br.Close(); err == nil {
		err = closing
	}
	return got, err
}
