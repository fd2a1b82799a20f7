package pgstore

import (
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"ringhook/store/browse"
	"ringhook/store/eventbody"
	"ringhook/store/mention"
)

// Person returns what the engine has of the holder of a number, given in all its spellings. Traces of points are not among
// it.
func (s *Store) Person(numbers ...string) (p browse.Person, err error) {
	if p.Calls, err = s.heldOf(numbers); err != nil {
		return p, err
	}
	events, _, err := s.eventsOf(numbers)
	if err != nil {
		return p, err
	}
	err = s.search(func(rows pgx.Rows) error {
		item, err := scanItem(rows)
		p.Deliveries = append(p.Deliveries, item)
		return err
	}, items+" and d.event = any ($2::bigint[]) order by d.event, d.id", s.tenant, events)
	return p, wrap("list deliveries of a number", err)
}

// Sole returns the linkedids of a person's calls that no call of another person has: their traces are the person's alone.
func (s *Store) Sole(numbers ...string) (map[string]bool, error) {
	held, err := s.heldOf(numbers)
	if err != nil {
		return nil, err
	}
	_, own, err := s.eventsOf(numbers)
	if err != nil {
		return nil, err
	}
	return browse.Sole(append(own, browse.OwnCalls(held)...), s)
}

// heldOf returns the stored calls that mention one of the numbers.
func (s *Store) heldOf(numbers []string) (held []browse.HeldCall, err error) {
	err = s.search(func(rows pgx.Rows) error {
		c, err := scanCall(rows)
		if mention.In(c.State, numbers) {
			held = append(held, c)
		}
		return err
	}, heldCalls+" and exists (select from unnest($2::text[]) w where position(w in state) > 0) order by seen, key", s.tenant, wordsOf(numbers))
	return held, wrap("list calls of a number", err)
}

func wordsOf(numbers []string) []string {
	words := mention.Words(numbers)
	for i := range words {
		words[i] = printable(words[i])
	}
	return words
}

// eventsOf returns the events that mention one of the numbers, and their calls.
func (s *Store) eventsOf(numbers []string) (ids []int64, calls []browse.OwnCall, err error) {
	err = s.search(func(rows pgx.Rows) error {
		var id int64
		var name, linkedid, body string
		err := rows.Scan(&id, &name, &linkedid, &body)
		if err != nil || !mention.In([]byte(body), numbers) {
			return err
		}
		ev, err := eventbody.Decode(name, linkedid, []byte(body))
		ids, calls = append(ids, id), append(calls, browse.OwnCall{LinkedID: linkedid, Call: ev.Call()})
		return err
	}, `select id, event_id, linkedid, body from ringhook.event
		where tenant = $1 and exists (select from unnest($2::text[]) w where position(w in body) > 0) order by id`, s.tenant, wordsOf(numbers))
	return ids, calls, wrap("list events of a number", err)
}

// The statements of Erase for events, in one transaction after the lanes of their deliveries and of replays are locked: those that
// waited for a delivery of theirs continue.
var (
	eraseStates, eraseRelease = drop("event = any ($3::bigint[])")

	countDeliveries = "select count(*), count(*) filter (where state = 0) from ringhook.delivery where tenant = $1 and event = any ($2::bigint[])"
	eraseEvents     = `with old as materialized (
			select id, event, hook, state from ringhook.delivery where tenant = $1 and event = any ($2::bigint[])
		), ` + removeOld + `event as (
			delete from ringhook.event where tenant = $1 and id = any ($2::bigint[]) returning id, linkedid
		), call as (select ''::text as key where false) ` + forget

	eraseCalls = `with call as (
			delete from ringhook.call where tenant = $1 and key = any ($2::text[]) returning key
		), ` + linkedidsOfCalls + forget

	// An event that names no number may keep the values of its call.
	eraseRemembered = `delete from ringhook.remembered r using unnest($2::text[], $3::text[], $4::boolean[]) as g (linkedid, call, sole)
		where r.tenant = $1 and r.linkedid = g.linkedid and (r.call = g.call or g.sole)`
)

// Erase removes what the engine has of the holder of a number, given in all its spellings: calls, and events with their
// deliveries and attempts. A call in progress is stored again by its next point. Deliveries that waited for an erased one
// continue. If another person's call has the same linkedid, what is stored of that stays.
//
// The rows are deleted at once and cannot be read by queries any more. Their bytes are not: dead rows stay in the files of the
// tables and indexes until vacuum has removed them and the space was written again. The write-ahead log, its archive, standbys
// that lag behind, and backups contain them for as long as they are kept. ringhook cannot erase those.
func (s *Store) Erase(ctx context.Context, numbers ...string) (e browse.Erased, err error) {
	held, err := s.heldOf(numbers)
	if err != nil {
		return e, err
	}
	var keys []string
	for _, c := range held {
		keys = append(keys, c.Key)
	}
	for step := range slices.Chunk(keys, upkeepRows) {
		b := &pgx.Batch{}
		queueLock(b, s.tenant, callLanes(step))
		b.Queue(eraseCalls, s.tenant, step)
		if err := s.write(ctx, b, nil); err != nil {
			return e, wrap("erase calls", err)
		}
		e.Calls += len(step)
	}
	events, own, err := s.eventsOf(numbers)
	if err != nil {
		return e, err
	}
	for step := range slices.Chunk(events, upkeepRows) {
		deliveries, pending, err := s.eraseEvents(ctx, step)
		if err != nil {
			return e, wrap("erase events", err)
		}
		e.Events, e.Deliveries, e.Pending = e.Events+len(step), e.Deliveries+deliveries, e.Pending+pending
	}
	return e, s.eraseRemembered(ctx, append(own, browse.OwnCalls(held)...))
}

func (s *Store) eraseEvents(ctx context.Context, events []int64) (deliveries, pending int, err error) {
	now := s.now().Round(time.Microsecond)
	b := &pgx.Batch{}
	b.Queue(lockLanesOfEvents, s.tenant, events, []string{replayLane})
	b.Queue(countDeliveries, s.tenant, events)
	b.Queue(eraseStates, s.tenant, now, events)
	b.Queue(eraseRelease, s.tenant, now, events)
	b.Queue(eraseEvents, s.tenant, events)
	var all, waiting int
	err = s.write(ctx, b, func(br pgx.BatchResults) error {
		if _, err := br.Exec(); err != nil {
			return err
		}
		return br.QueryRow().Scan(&all, &waiting)
	})
	if err != nil {
		return 0, 0, err
	}
	return all, waiting, nil
}

func (s *Store) eraseRemembered(ctx context.Context, own []browse.OwnCall) error {
	sole, err := browse.Sole(own, s)
	if err != nil {
		return err
	}
	linkedids, calls, alone := []string{}, []string{}, []bool{}
	for _, o := range own {
		linkedids, calls, alone = append(linkedids, o.LinkedID), append(calls, o.Call), append(alone, sole[o.LinkedID])
	}
	// Also if there is nothing: the commits of an erasure before may be in doubt, and this one waits for the standby.
	b := &pgx.Batch{}
	b.Queue(eraseRemembered, s.tenant, linkedids, calls, alone)
	return wrap("erase remembered values", s.write(ctx, b, nil))
}
