package store

import (
	"cmp"
	"context"
	"hash/maphash"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"ringhook/dialplan"
	"ringhook/hooks"
	"ringhook/store/eventbody"
	"ringhook/store/sqlite"
)

// Journal stores calls and their events. It implements dialplan.Journal. Records are
// committed in the order of Keep, Queue and KeepLater.
type Journal struct {
	s     *Store
	calls callSet
	// former reports that deliveries may be pending whose key is a linkedid, see orderKey.
	former atomic.Bool
}

var _ dialplan.Journal = (*Journal)(nil)

// Call returns the state of the call of that key as last committed, nil if it is not known. With one
// writer no other server changes calls: the version is always 0. A key
// that is a linkedid alone also finds the latest call of that linkedid on any Asterisk. A
// call that was never kept costs no read: which ones were is in memory. The deadline is not used: no network is waited for.
func (j *Journal) Call(key string, _ time.Time) (state []byte, version int64, err error) {
	if !j.calls.has(key) {
		return nil, 0, nil
	}
	found, err := sqlite.One(j.s.read, "select state from call where linkedid = ?", []any{key}, &state)
	if err == nil && !found && dialplan.IdentityOf(key).LinkedID == key {
		_, err = sqlite.One(j.s.read, latestOf, []any{key}, &state)
	}
	return state, 0, j.s.reading("read a call's state", err)
}

// latestOf is the latest call of a linkedid on any Asterisk, as dialplan.Identity.Key makes keys.
const latestOf = "select state from call where linkedid > ?1 || ' @' and linkedid < ?1 || ' A' order by seen_ms desc limit 1"

// knows remembers that the file has a call, by its key and by its linkedid alone.
func (j *Journal) knows(key string) {
	j.calls.add(key)
	if linkedid := dialplan.IdentityOf(key).LinkedID; linkedid != key {
		j.calls.add(linkedid)
	}
}

// Queue queues a record; the context bounds the wait for room. A Fault says why
// a record was lost. An event whose id is already kept is left out.
func (j *Journal) Queue(ctx context.Context, r dialplan.Record) (dialplan.Commit, error) {
	rec, err := j.encode(r)
	if err != nil {
		return nil, err
	}
	rec.task = task{rank: acceptance, bytes: rec.bytes, apply: rec.apply, lineage: r.Lineage, awaited: true}
	if err := j.s.w.queue(ctx, &rec.task); err != nil {
		return nil, err
	}
	return (*commit)(rec), nil
}

// commit is a queued record.
type commit record

// Wait implements dialplan.Commit.
func (c *commit) Wait(ctx context.Context) (due []hooks.Delivery, err error) {
	if err := c.journal.s.w.wait(ctx, &c.task); err != nil {
		return nil, err
	}
	return c.due, nil
}

// Keep queues a record and waits for its commit.
func (j *Journal) Keep(ctx context.Context, r dialplan.Record) (due []hooks.Delivery, err error) {
	c, err := j.Queue(ctx, r)
	if err != nil {
		return nil, err
	}
	return c.Wait(ctx)
}

// KeepLater queues a record of which no session waits for the commit: it is
// committed before any record given after it. If the queue is full, or an earlier
// record of the call was lost, it is dropped and counted.
func (j *Journal) KeepLater(r dialplan.Record) {
	rec, err := j.encode(r)
	if err == nil {
		rec.task = task{rank: acceptance, bytes: rec.bytes, apply: rec.apply, lineage: r.Lineage}
	}
	if err != nil || !j.s.w.later(&rec.task) {
		j.s.metrics.unsaved.Inc()
	}
}

// Trace stores the record of a point, or drops it if the buffer is full.
func (j *Journal) Trace(at time.Time, record []byte) { j.s.traces.Add(at, record) }

// Barrier returns when every record given before it is kept or lost.
func (j *Journal) Barrier(ctx context.Context) error {
	return j.s.w.do(ctx, acceptance, 0, func(*sqlite.Conn) error { return nil })
}

// record is a dialplan.Record in the form in which it is stored. All that can be
// done beforehand is done by the caller, not by the one writer.
type record struct {
	linkedid string
	state    []byte
	events   []event
	now      time.Time
	nowMS    int64 // the same
	bytes    int
	journal  *Journal
	task     task
	due      []hooks.Delivery // once it is applied
}

type event struct {
	*hooks.Event
	linkedid string
	body     []byte
	routes   []hooks.Route
}

func (j *Journal) encode(r dialplan.Record) (*record, error) {
	now := j.s.now()
	rec := &record{linkedid: r.Call, state: r.State, now: now, nowMS: now.UnixMilli(), bytes: len(r.State), journal: j}
	for i := range r.Events {
		a := &r.Events[i]
		if len(a.Hooks) == 0 {
			continue // no hook gets it
		}
		body, err := eventbody.Encode(&a.Event)
		if err != nil {
			return nil, err
		}
		linkedid := cmp.Or(a.Event.LinkedID, dialplan.IdentityOf(r.Call).LinkedID)
		rec.events = append(rec.events, event{Event: &a.Event, linkedid: linkedid, body: body, routes: a.Hooks})
		rec.bytes += len(body)
	}
	return rec, nil
}

const (
	keepCall = `insert into call (linkedid, state, seen_ms) values (?1, ?2, ?3)
		on conflict (linkedid) do update set state = excluded.state, seen_ms = excluded.seen_ms`
	keepEvent = `insert into event (linkedid, event_id, accepted_ms, body) values (?1, ?2, ?3, ?4)
		on conflict do nothing`
)

func (r *record) apply(c *sqlite.Conn) error {
	r.due = r.due[:0]
	if r.state != nil {
		if _, err := c.Exec(keepCall, r.linkedid, r.state, r.nowMS); err != nil {
			return err
		}
		r.journal.knows(r.linkedid)
	}
	for i := range r.events {
		if err := r.insert(c, &r.events[i]); err != nil {
			return err
		}
	}
	return nil
}

func (r *record) insert(c *sqlite.Conn, e *event) error {
	done, err := c.Exec(keepEvent, e.linkedid, e.ID, r.nowMS, e.body)
	if err != nil {
		return err
	}
	if n, err := done.RowsAffected(); err != nil || n == 0 {
		return err
	}
	number, err := done.LastInsertId()
	if err != nil {
		return err
	}
	for i, route := range e.routes {
		if slices.ContainsFunc(e.routes[:i], func(before hooks.Route) bool { return before.Hook == route.Hook }) {
			continue
		}
		key, err := r.orderKey(c, e, route)
		if err != nil {
			return err
		}
		var id int64
		var due bool
		if _, err := c.One(keepDelivery, []any{number, route.Hook, key, route.Hold.Milliseconds(), r.nowMS}, &id, &due); err != nil {
			return err
		}
		if due {
			r.due = append(r.due, hooks.Delivery{ID: id, Hook: route.Hook, Event: *e.Event, Accepted: r.now})
		}
	}
	return nil
}

// orderKey returns the key of a delivery's order. Deliveries that an older ringhook queued have the linkedid of their call
// as their key: while such are pending, the later ones of that linkedid follow them.
func (r *record) orderKey(c *sqlite.Conn, e *event, route hooks.Route) (string, error) {
	if e.LinkedID != "" && route.Key == e.LinkedID {
		r.journal.former.Store(true)
	}
	if !r.journal.former.Load() || e.LinkedID == "" || route.Key == e.LinkedID || route.Key != e.Call() {
		return route.Key, nil
	}
	var one int
	former, err := c.One("select 1 from delivery indexed by delivery_order where state = 0 and hook = ?1 and okey = ?2 limit 1", []any{route.Hook, e.linkedid}, &one)
	if former {
		return e.linkedid, err
	}
	return route.Key, err
}

// findFormer looks for pending deliveries whose key is no call_uuid. Without them no event is to be compared with them.
func (j *Journal) findFormer(c *sqlite.Conn) error {
	var one int
	former, err := c.One("select 1 from delivery indexed by delivery_order where state = 0 and okey not glob '????????-????-????-????-????????????' limit 1", nil, &one)
	j.former.Store(former)
	return err
}

// callSetParts is the number of parts of a callSet: small enough for an empty set, and
// large enough that a part has some sixty calls if the file has a million.
const callSetParts = 1 << 14

// callSet holds a hash of 46 bits of every stored call: some 6 MB for a million calls,
// where a map takes 35. Two calls with the same hash cost a needless read. If one of them
// is removed, the state of the other is not found: once in many thousands of days.
type callSet struct {
	seed  maphash.Seed
	mu    sync.Mutex
	parts [][]uint32
}

func newCallSet() callSet {
	return callSet{seed: maphash.MakeSeed(), parts: make([][]uint32, callSetParts)}
}

func (s *callSet) has(linkedid string) bool {
	set, h := s.part(linkedid)
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Contains(*set, h)
}

func (s *callSet) add(linkedid string) {
	set, h := s.part(linkedid)
	s.mu.Lock()
	defer s.mu.Unlock()
	if !slices.Contains(*set, h) {
		*set = append(*set, h)
	}
}

func (s *callSet) remove(linkedid string) {
	set, h := s.part(linkedid)
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := slices.Index(*set, h); i >= 0 {
		last := len(*set) - 1
		(*set)[i] = (*set)[last]
		*set = (*set)[:last]
	}
}

// part returns the part of a call, and its hash within the part.
func (s *callSet) part(linkedid string) (set *[]uint32, h uint32) {
	hash := maphash.String(s.seed, linkedid)
	return &s.parts[hash>>32%callSetParts], uint32(hash)
}
