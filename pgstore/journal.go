package pgstore

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"ringhook/dialplan"
	"ringhook/hooks"
	"ringhook/store/eventbody"
	"ringhook/store/spooled"
)

// Journal stores calls and their events. It implements dialplan.Calls and dialplan.Acceptor. Records of this node are
// committed in the order of Queue and KeepLater.
type Journal struct{ s *Store }

var (
	_ dialplan.Calls    = (*Journal)(nil)
	_ dialplan.Acceptor = (*Journal)(nil)
)

const (
	selectCall = "select state, version from ringhook.call where tenant = $1 and key = $2"
	// The latest call of a linkedid on any Asterisk, as dialplan.Identity.Key makes keys.
	latestOf = `select state, version from ringhook.call where tenant = $1 and key > $2 || ' @' and key < $2 || ' A'
		order by seen desc, key desc limit 1`
)

// Call implements dialplan.Calls.
func (j *Journal) Call(key string, deadline time.Time) (state []byte, version int64, err error) {
	key = printable(key)
	limit := j.s.readTime
	if j.s.guard != nil {
		limit = min(limit, callTime)
	}
	point := j.s.ctx
	if !deadline.IsZero() {
		var cancel context.CancelFunc
		point, cancel = context.WithDeadline(point, deadline)
		defer cancel()
	}
	err = j.s.read(point, limit, func(ctx context.Context) error {
		var text string
		err := j.s.reads.QueryRow(ctx, selectCall, j.s.tenant, key).Scan(&text, &version)
		if errors.Is(err, pgx.ErrNoRows) && dialplan.IdentityOf(key).LinkedID == key {
			err = j.s.reads.QueryRow(ctx, latestOf, j.s.tenant, key).Scan(&text, &version)
		}
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		state = []byte(text)
		if point.Err() == nil { // its end says nothing of the engine
			j.s.suspect(err)
		}
		return err
	})
	if err != nil {
		return nil, 0, wrap("read a call's state", err)
	}
	return state, version, nil
}

// IdleCalls implements dialplan.Calls.
func (j *Journal) IdleCalls(after, until time.Time, limit int) (list []dialplan.IdleCall, err error) {
	clock := j.s.clock
	err = j.s.query(func(rows pgx.Rows) error {
		var u dialplan.IdleCall
		err := rows.Scan(&u.Call, &u.Seen)
		u.Seen = clock.localOf(u.Seen)
		list = append(list, u)
		return err
	}, `select key, seen from ringhook.call where tenant = $1 and seen > $2 and seen <= $3
		order by seen fetch first ($4) rows with ties`, j.s.tenant, clock.engineOf(after), clock.engineOf(until), limit)
	return list, wrap("list idle calls", err)
}

// Queue implements dialplan.Acceptor.
func (j *Journal) Queue(ctx context.Context, r dialplan.Record) (dialplan.Commit, error) {
	rec, err := encode(r)
	if err != nil {
		return nil, err
	}
	t := &task{rec: rec, lineage: r.Lineage, awaited: true}
	if err := j.s.w.put(ctx, t); err != nil {
		return nil, err
	}
	return &commit{j.s.w, t}, nil
}

// commit is a queued record.
type commit struct {
	w *writer
	t *task
}

// Wait implements dialplan.Commit.
func (c *commit) Wait(ctx context.Context) (due []hooks.Delivery, err error) {
	if err := c.w.wait(ctx, c.t); err != nil {
		return nil, err
	}
	return c.t.due, nil
}

// KeepLater implements dialplan.Acceptor. If the queue is full, or an earlier record of the call was lost, the record is
// dropped.
func (j *Journal) KeepLater(r dialplan.Record) {
	rec, err := encode(r)
	if err == nil {
		err = j.s.w.later(&task{rec: rec, lineage: r.Lineage, moved: r.Moved})
	}
	if err != nil {
		j.s.limit.Warn("unsaved", "state of a call not kept", "linkedid", dialplan.IdentityOf(r.Call).LinkedID, "err", err)
	}
}

// Barrier implements dialplan.Acceptor.
func (j *Journal) Barrier(ctx context.Context) error {
	t := &task{awaited: true}
	if err := j.s.w.put(ctx, t); err != nil {
		return err
	}
	return j.s.w.wait(ctx, t)
}

// TryCommit commits as much as a new call may need, after all records that are queued. The context ends only the wait.
func (j *Journal) TryCommit(ctx context.Context) error {
	t := &task{probe: true, awaited: true}
	if err := j.s.w.put(ctx, t); err != nil {
		return err
	}
	return j.s.w.wait(ctx, t)
}

const (
	selectCalls  = "select key, state, version from ringhook.call where tenant = $1 and key = any ($2::text[])"
	selectEvents = `select e.linkedid, e.event_id from unnest($2::text[], $3::text[]) as g (linkedid, event_id)
		join ringhook.event e on e.tenant = $1 and e.linkedid = g.linkedid and e.event_id = g.event_id`
)

// Have is what the engine has of calls that another store has too.
type Have struct {
	Calls  map[string]*dialplan.Moved // by key
	Events map[[2]string]bool         // by linkedid and id
}

// Have returns what the engine has of groups.
func (j *Journal) Have(ctx context.Context, groups []spooled.Group) (h Have, err error) {
	h = Have{map[string]*dialplan.Moved{}, map[[2]string]bool{}}
	keys, linkedids, ids := []string{}, []string{}, []string{}
	for i := range groups {
		for _, c := range groups[i].Calls {
			keys = append(keys, printable(c.Key))
		}
		for k := range groups[i].Events {
			e := &groups[i].Events[k]
			linkedids, ids = append(linkedids, printable(e.LinkedID)), append(ids, printable(e.ID))
		}
	}
	err = j.s.rowsUntil(ctx, func(rows pgx.Rows) error {
		var key, state string
		m := &dialplan.Moved{}
		err := rows.Scan(&key, &state, &m.Version)
		m.State = []byte(state)
		h.Calls[key] = m
		return err
	}, selectCalls, j.s.tenant, keys)
	if err == nil {
		err = j.s.rowsUntil(ctx, func(rows pgx.Rows) error {
			var name [2]string
			err := rows.Scan(&name[0], &name[1])
			h.Events[name] = true
			return err
		}, selectEvents, j.s.tenant, linkedids, ids)
	}
	return h, wrap("read what the engine has of calls", err)
}

// rowsUntil is query with a context that ends the read.
func (s *Store) rowsUntil(ctx context.Context, each func(pgx.Rows) error, sql string, args ...any) error {
	return s.read(ctx, s.readTime, func(ctx context.Context) error {
		rows, err := s.reads.Query(ctx, sql, args...)
		if err == nil {
			defer rows.Close()
			for rows.Next() {
				if err := each(rows); err != nil {
					return err
				}
			}
			err = rows.Err()
		}
		s.suspect(err)
		return err
	})
}

// The statements that take over what another store has, in one transaction after the lanes are locked and accept. A
// delivery that has ended here is not changed.
var (
	takeAges = `update ringhook.event e set accepted = least(e.accepted, g.accepted) from unnest($2::text[], $3::text[], $4::timestamptz[]) as g (linkedid, event_id, accepted)
		where e.tenant = $1 and e.linkedid = g.linkedid and e.event_id = g.event_id`

	takeResults = `with given as materialized (
			select * from unnest($3::text[], $4::text[], $5::text[], $6::smallint[], $7::integer[], $8::timestamptz[], $9::timestamptz[],
				$10::text[], $11::integer[], $12::timestamptz[], $13::bigint[], $14::text[])
				as g (linkedid, event_id, hook, state, attempts, begun, finished, class, status, started, took_us, excerpt)
		), done as (
			update ringhook.delivery d set state = g.state, attempts = greatest(d.attempts, g.attempts), last_class = g.class, last_status = g.status,
				begun_at = coalesce(g.begun, d.begun_at), finished_at = case when g.state <> 0 then coalesce(g.finished, $2) end,
				next_at = case when g.state = 0 then d.next_at end,
				pass_at = case when g.state = 0 then coalesce(d.pass_at, $2::timestamptz + d.hold) else d.pass_at end,
				started_at = case when g.state <> 0 then g.started end, took_us = case when g.state <> 0 and g.started is not null then g.took_us end,
				excerpt = case when g.state <> 0 and g.started is not null then g.excerpt end
			from given g join ringhook.event e on e.tenant = $1 and e.linkedid = g.linkedid and e.event_id = g.event_id
			where d.tenant = $1 and d.event = e.id and d.hook = g.hook and d.state = 0 and d.replay_of is null and (g.state <> 0 or g.attempts > d.attempts)
			returning d.hook, d.state
		)
		insert into ringhook.tally_change (tenant, hook, pending, dead)
		select $1, hook, -count(*), count(*) filter (where state = 2) from done where state <> 0 group by hook`

	takeNext = releaseNext(`select d.hook, d.okey from unnest($3::text[], $4::text[], $5::text[]) as g (linkedid, event_id, hook)
		join ringhook.event e on e.tenant = $1 and e.linkedid = g.linkedid and e.event_id = g.event_id
		join ringhook.delivery d on d.tenant = $1 and d.event = e.id and d.hook = g.hook and d.state <> 0`, pace)

	takeValues = `insert into ringhook.remembered (tenant, hook, call, name, value, linkedid)
		select $1, * from unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::text[]) on conflict (tenant, hook, call, name) do nothing`
)

// takeover is what another store has, as columns.
type takeover struct {
	clock    *clock
	a        *acceptance
	accepted []time.Time // of the events of the acceptance

	results struct {
		linkedids, ids, hooks []string
		states                []int16
		attempts              []int32
		begun, finished       []*time.Time
		attempt               attempts
	}
	values struct{ hooks, calls, names, texts, linkedids []string }
}

// Take stores groups that another store has accepted, with what became of their deliveries there, and returns the keys of the
// calls that the engine has in another version than theirs. Of these nothing is stored. What is stored already is recognised.
func (j *Journal) Take(ctx context.Context, groups []spooled.Group) (moved []string, err error) {
	t := newTakeover(j.s)
	for i := range groups {
		if err := t.add(&groups[i]); err != nil {
			return nil, err
		}
	}
	b := &pgx.Batch{}
	queueLock(b, j.s.tenant, t.a.lanes)
	b.Queue(accept, t.a.args()...)
	b.Queue(takeAges, j.s.tenant, t.a.linkedids, t.a.ids, t.accepted)
	t.queueResults(b)
	if v := &t.values; len(v.hooks) > 0 {
		b.Queue(takeValues, j.s.tenant, v.hooks, v.calls, v.names, v.texts, v.linkedids)
	}
	var got *accepted
	err = j.s.write(ctx, b, func(br pgx.BatchResults) (err error) {
		got, err = t.a.read(br)
		return err
	})
	if err != nil {
		return nil, wrap("take over what this node has accepted", err)
	}
	j.s.w.notify(got.hooks)
	return slices.Collect(maps.Keys(got.moved)), nil
}

// TakeResults stores what became of deliveries that another store has too. Those that the engine does not have are ignored.
func (j *Journal) TakeResults(ctx context.Context, events []spooled.Event) error {
	t := newTakeover(j.s)
	for i := range events {
		t.addResults(&events[i])
	}
	b := &pgx.Batch{}
	queueLock(b, j.s.tenant, t.a.lanes)
	t.queueResults(b)
	return wrap("take over results of deliveries", j.s.write(ctx, b, nil))
}

func newTakeover(s *Store) *takeover {
	t := &takeover{clock: s.clock, a: &acceptance{tenant: s.tenant}}
	t.a.now, t.a.local = s.clock.both()
	t.a.now = t.a.now.Round(time.Microsecond)
	return t
}

func (t *takeover) add(g *spooled.Group) error {
	for _, c := range g.Calls {
		rec := &record{call: printable(c.Key), state: c.State}
		t.a.lanes = append(t.a.lanes, callLane(rec.call))
		t.a.setState(rec, c.Version, true)
	}
	for i := range g.Events {
		ev := &g.Events[i]
		body, err := eventbody.Encode(&ev.Event)
		if err != nil {
			return err
		}
		e := &event{Event: &ev.Event, linkedid: printable(ev.LinkedID), body: body}
		for k := range ev.Deliveries {
			e.routes = append(e.routes, ev.Deliveries[k].Route)
		}
		known := len(t.a.ids)
		t.a.addEvent(printable(ev.Call), e, nil)
		if len(t.a.ids) > known {
			t.accepted = append(t.accepted, t.clock.engineOf(ev.Accepted))
		}
		for _, r := range e.routes {
			if former := e.former(r); former != "" {
				t.a.lanes = append(t.a.lanes, former)
			}
		}
		t.addResults(ev)
	}
	for _, v := range g.Values {
		w := &t.values
		w.hooks, w.calls, w.names = append(w.hooks, v.Hook), append(w.calls, printable(v.Call)), append(w.names, printable(v.Name))
		w.texts, w.linkedids = append(w.texts, printable(v.Text)), append(w.linkedids, printable(g.LinkedID))
	}
	return nil
}

func (t *takeover) addResults(ev *spooled.Event) {
	r := &t.results
	for i := range ev.Deliveries {
		d := &ev.Deliveries[i]
		t.a.lanes = append(t.a.lanes, laneOf(d.Route.Hook, printable(d.Route.Key)))
		if !d.Tried() {
			continue
		}
		t.a.lanes = append(t.a.lanes, printable(ev.LinkedID)) // that of one whose key is a linkedid, see former
		r.linkedids, r.ids, r.hooks = append(r.linkedids, printable(ev.LinkedID)), append(r.ids, printable(ev.ID)), append(r.hooks, d.Route.Hook)
		r.states, r.attempts = append(r.states, int16(d.State)), append(r.attempts, int32(d.Attempts))
		r.begun, r.finished = append(r.begun, orNull(t.clock.engineOf(d.Begun))), append(r.finished, orNull(t.clock.engineOf(d.Finished)))
		last := d.Last
		last.Started = t.clock.engineOf(last.Started)
		r.attempt.add(&last)
	}
}

// queueResults adds the statements for the results to a batch.
func (t *takeover) queueResults(b *pgx.Batch) {
	r := &t.results
	if len(r.ids) == 0 {
		return
	}
	b.Queue(takeResults, t.a.tenant, t.a.now, r.linkedids, r.ids, r.hooks, r.states, r.attempts, r.begun, r.finished,
		r.attempt.classes, r.attempt.statuses, r.attempt.started, r.attempt.took, r.attempt.excerpts)
	b.Queue(takeNext, t.a.tenant, t.a.now, r.linkedids, r.ids, r.hooks)
}
