package pgstore

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"ringhook/hooks"
	"ringhook/store/browse"
	"ringhook/store/eventbody"
)

// Operator lists, shows and changes deliveries, for the administrator's commands and the API.
type Operator struct{ s *Store }

const items = `select d.id, d.hook, d.attempts, e.accepted, e.event_id, e.linkedid, e.body,
	d.state, d.next_at, d.finished_at, d.last_class, d.last_status, coalesce(d.replay_of, 0)
	from ringhook.delivery d join ringhook.event e on e.tenant = $1 and e.id = d.event where d.tenant = $1`

// List returns the newest deliveries that match the filter, the newest first.
func (o *Operator) List(f browse.Filter) (list []browse.Item, err error) {
	where, args := condition(&f, o.s.tenant)
	args = append(args, cmp.Or(f.Limit, 100))
	err = o.s.search(func(rows pgx.Rows) error {
		item, err := scanItem(rows)
		list = append(list, item)
		return err
	}, fmt.Sprint(items, where, " order by d.id desc limit $", len(args)), args...)
	return list, wrap("list deliveries", err)
}

// IDs returns the numbers of all deliveries that match the filter, or up to its limit if it has one, the oldest first.
func (o *Operator) IDs(f browse.Filter) (ids []int64, err error) {
	where, args := condition(&f, o.s.tenant)
	sql := "select d.id from ringhook.delivery d join ringhook.event e on e.tenant = $1 and e.id = d.event where d.tenant = $1" + where + " order by d.id"
	if f.Limit > 0 {
		args = append(args, f.Limit)
		sql += fmt.Sprint(" limit $", len(args))
	}
	err = o.s.search(func(rows pgx.Rows) error {
		ids = append(ids, 0)
		return rows.Scan(&ids[len(ids)-1])
	}, sql, args...)
	return ids, wrap("choose deliveries", err)
}

// Changeable returns the numbers of the deliveries that match a filter. If the filter names no state, delivered and
// dropped ones are left out.
func (o *Operator) Changeable(filter browse.Filter) ([]int64, error) {
	if filter.States == nil {
		filter.States = []hooks.State{hooks.Pending, hooks.Dead}
	}
	return o.IDs(filter)
}

// condition returns the SQL of a filter, which continues a condition, and its arguments, the tenant first.
func condition(f *browse.Filter, tenant int) (sql string, args []any) {
	args = []any{tenant}
	var b strings.Builder
	add := func(condition string, value any) {
		args = append(args, value)
		fmt.Fprintf(&b, " and "+condition, len(args))
	}
	if f.Hook != "" {
		add("d.id > 0 and d.hook = $%d", printable(f.Hook)) // as the index of the oldest pending ones has it
	}
	if len(f.States) > 0 {
		states := make([]int16, len(f.States))
		for i, state := range f.States {
			states[i] = int16(state)
		}
		add("d.state = any ($%d::smallint[])", states)
	}
	if encoded := browse.EncodedCall(f.Call); encoded != "" {
		add("(position($%d in e.body) > 0", encoded)
		args = append(args, f.Call)
		fmt.Fprintf(&b, " or e.linkedid = $%d)", len(args))
	} else if f.Call != "" {
		add("e.linkedid = $%d", printable(f.Call))
	}
	if !f.Since.IsZero() {
		add("e.accepted >= $%d", f.Since)
	}
	if !f.Until.IsZero() {
		add("e.accepted < $%d", f.Until)
	}
	return b.String(), args
}

const attemptsOf = `select started, took_us, class, status, excerpt from (
	select n, started, took_us, class, status, excerpt from ringhook.attempt where tenant = $1 and delivery = $2
	union all select attempts, started_at, took_us, last_class, last_status, excerpt from ringhook.delivery
		where tenant = $1 and id = $2 and started_at is not null) a order by n`

// Show returns one delivery and its stored attempts, the oldest first. The error is browse.ErrNotFound if no delivery has
// that number.
func (o *Operator) Show(id int64) (item browse.Item, attempts []hooks.Attempt, err error) {
	err = o.s.query(func(rows pgx.Rows) error {
		item, err = scanItem(rows)
		return err
	}, items+" and d.id = $2", o.s.tenant, id)
	if err != nil {
		return browse.Item{}, nil, wrap("show a delivery", err)
	}
	if item.ID == 0 {
		return browse.Item{}, nil, browse.ErrNotFound
	}
	err = o.s.query(func(rows pgx.Rows) error {
		var a hooks.Attempt
		var took int64
		err := rows.Scan(&a.Started, &took, &a.Class, &a.Status, &a.Excerpt)
		a.Took = time.Duration(took) * time.Microsecond
		attempts = append(attempts, a)
		return err
	}, attemptsOf, o.s.tenant, id)
	if err == nil {
		item.Remembered, err = o.s.Outbox().Remembered(item.Hook, item.Event.Call())
	}
	return item, attempts, wrap("show the attempts of a delivery", err)
}

func scanItem(rows pgx.Rows) (browse.Item, error) {
	var i browse.Item
	var next, finished *time.Time
	var id, linkedid, body string
	err := rows.Scan(&i.ID, &i.Hook, &i.Attempts, &i.Accepted, &id, &linkedid, &body, &i.State, &next, &finished, &i.Class, &i.Status, &i.ReplayOf)
	if err != nil {
		return i, err
	}
	i.Next, i.Finished = timeOf(next), timeOf(finished)
	i.Held = i.State == hooks.Pending && next == nil
	i.Event, err = eventbody.Decode(id, linkedid, []byte(body))
	return i, err
}

// operatorRows is the maximum number of deliveries changed in one commit.
const operatorRows = maxLanes

// The statements of Retry, in one transaction after the lanes are locked. $3 are the deliveries. What a statement does
// to one delivery must not depend on what it does to another, because it does not see that.
var (
	// After a retry, the attempt that ended the delivery is one like the others.
	retryAttempts = `insert into ringhook.attempt (tenant, delivery, n, started, took_us, class, status, excerpt)
		select $1, id, attempts, started_at, took_us, last_class, last_status, excerpt from ringhook.delivery d
			where tenant = $1 and id = any ($2::bigint[]) and state in (2, 3) and started_at is not null and ` + retriable("$2") + `
		on conflict (tenant, delivery, n) do update set started = excluded.started, took_us = excluded.took_us,
			class = excluded.class, status = excluded.status, excerpt = excluded.excerpt`
	retryStates = `with given as materialized (
			select id, hook, state from ringhook.delivery d
				where tenant = $1 and id = any ($3::bigint[]) and (state = 0 or state in (2, 3) and ` + retriable("$3") + `)
		), counted as (
			insert into ringhook.tally_change (tenant, hook, pending, dead)
			select $1, hook, count(*), -count(*) filter (where state = 2) from given where state <> 0 group by hook
		), resumed as (
			update ringhook.hook_state s set until = null where s.tenant = $1 and s.until is not null and s.disabled_reason = ''
				and s.hook in (select hook from given)
		)
		update ringhook.delivery d set begun_at = case when d.state = 0 then d.begun_at else $2 end, state = 0,
			finished_at = null, started_at = null, excerpt = null, took_us = null, pass_at = null, next_at = null
		from given g where d.tenant = $1 and d.id = g.id`
	retryNext = `update ringhook.delivery d set next_at = ` + ownTurn("$2::timestamptz") + `
		where d.tenant = $1 and d.id = any ($3::bigint[]) and d.state = 0`
	// Later ones of a key wait again for a retried one that is due now.
	retryHold = `update ringhook.delivery d set next_at = null from ringhook.delivery r
		where r.tenant = $1 and r.id = any ($2::bigint[]) and r.state = 0 and r.next_at is not null
			and d.tenant = $1 and d.state = 0 and d.hook = r.hook and d.okey = r.okey and d.id > r.id and d.next_at is not null`

	dropStates, dropRelease = drop("id = any ($3::bigint[])")
)

// drop returns the statements that mark pending and dead deliveries as dropped, and release those that waited for them. $2 is
// now, $3 chooses the deliveries.
func drop(chosen string) (states, release string) {
	states = `with given as materialized (
			select id, hook, state from ringhook.delivery where tenant = $1 and ` + chosen + ` and state in (0, 2)
		), counted as (
			insert into ringhook.tally_change (tenant, hook, pending, dead)
			select $1, hook, -count(*) filter (where state = 0), -count(*) filter (where state = 2) from given group by hook
		)
		update ringhook.delivery d set state = 3, next_at = null, finished_at = $2 from given g where d.tenant = $1 and d.id = g.id`
	return states, releaseNext("select hook, okey from ringhook.delivery where tenant = $1 and "+chosen+" and state = 3 and finished_at = $2", pace)
}

// retriable returns the SQL for a delivery d that has ended and may be made pending again with others of ids: of the replays
// of one delivery only one may be pending.
func retriable(ids string) string {
	const another = "not exists (select from ringhook.delivery x where x.tenant = $1 and x.replay_of = d.replay_of and "
	return another + "x.state = 0) and " + another + "x.id = any (" + ids + "::bigint[]) and x.state in (2, 3) and x.id < d.id)"
}

// Retry makes pending, dead and dropped deliveries due now, and returns their number. The order is kept: a delivery
// still waits for earlier ones of its key, and later ones wait for it again. If the hook is paused, one of
// its deliveries is attempted now. A disabled hook stays disabled.
func (o *Operator) Retry(ctx context.Context, ids ...int64) (int, error) {
	return o.inBatches(ctx, ids, func(b *pgx.Batch, ids []int64, now time.Time) (counts int) {
		b.Queue(retryAttempts, o.s.tenant, ids)
		b.Queue(retryStates, o.s.tenant, now, ids)
		b.Queue(retryNext, o.s.tenant, now, ids)
		b.Queue(retryHold, o.s.tenant, ids)
		return 1
	})
}

// Drop marks pending and dead deliveries as dropped, and returns their number. Deliveries that waited for them continue.
func (o *Operator) Drop(ctx context.Context, ids ...int64) (int, error) {
	return o.inBatches(ctx, ids, func(b *pgx.Batch, ids []int64, now time.Time) (counts int) {
		b.Queue(dropStates, o.s.tenant, now, ids)
		b.Queue(dropRelease, o.s.tenant, now, ids)
		return 0
	})
}

// inBatches changes deliveries, at most operatorRows in one commit, after their lanes are locked. add adds the statements and
// returns which of them changes the rows that count.
func (o *Operator) inBatches(ctx context.Context, ids []int64, add func(b *pgx.Batch, ids []int64, now time.Time) (counts int)) (total int, err error) {
	for chunk := range slices.Chunk(ids, operatorRows) {
		b := &pgx.Batch{}
		b.Queue(lockLanesOf, o.s.tenant, chunk, nil)
		counts := add(b, chunk, o.s.now().Round(time.Microsecond)) + 1
		changed := 0
		err := o.s.write(ctx, b, func(br pgx.BatchResults) error {
			for n := range b.Len() {
				done, err := br.Exec()
				if err != nil {
					return err
				}
				if n == counts {
					changed = int(done.RowsAffected())
				}
			}
			return nil
		})
		if err != nil {
			return total, wrap("change deliveries", err)
		}
		total += changed
	}
	return total, nil
}

// EnsureHooks adds a row of counts for each hook that has none, so that the hook has metrics before its first event. A server
// whose engine is away adds them when it is back.
func (o *Outbox) EnsureHooks(ctx context.Context, names []string) error {
	if g := o.s.guard; g != nil && g.refusal() != nil {
		g.later(slices.Clone(names))
		return nil
	}
	b := &pgx.Batch{}
	b.Queue(`insert into ringhook.tally (tenant, hook) select $1, hook from unnest($2::text[]) hook order by hook
		on conflict (tenant, hook) do update set removed_at = null where tally.removed_at is not null`, o.s.tenant, names)
	return wrap("add the counts of hooks", o.s.write(ctx, b, nil))
}

const hookCounts = `select hook, sum(pending)::bigint, sum(dead)::bigint, max(removed_at), (
		select e.accepted from ringhook.delivery d join ringhook.event e on e.tenant = $1 and e.id = d.event
		where d.tenant = $1 and d.state = 0 and d.id > 0 and d.hook = c.hook order by d.id limit 1)
	from (select hook, pending, dead, removed_at from ringhook.tally where tenant = $1
		union all select hook, pending, dead, null from ringhook.tally_change where tenant = $1) c
	group by hook order by hook`

// HookCounts returns the counts of every hook that was given to EnsureHooks or has deliveries. The cost depends on the
// number of changes that are not added up yet, not on that of deliveries.
func (o *Operator) HookCounts() (list []browse.HookCounts, err error) {
	err = o.s.query(func(rows pgx.Rows) error {
		var c browse.HookCounts
		var removed, oldest *time.Time
		err := rows.Scan(&c.Hook, &c.Pending, &c.Dead, &removed, &oldest)
		c.Removed, c.Oldest = timeOf(removed), timeOf(oldest)
		list = append(list, c)
		return err
	}, hookCounts, o.s.tenant)
	return list, wrap("count deliveries", err)
}

// States lists the states of the hooks that fail or are disabled.
func (o *Operator) States() (list []hooks.HookState, err error) {
	err = o.s.query(func(rows pgx.Rows) error {
		st, err := scanHookState(rows)
		list = append(list, st)
		return err
	}, selectHookStates+" order by hook", o.s.tenant)
	return list, wrap("read the states of hooks", err)
}

// Enable enables a disabled hook, and reports whether it was disabled. Dead deliveries stay dead. A running server notices
// it within seconds.
func (o *Operator) Enable(ctx context.Context, hook string) (bool, error) {
	b := &pgx.Batch{}
	b.Queue("delete from ringhook.hook_state where tenant = $1 and hook = $2 and disabled_reason <> ''", o.s.tenant, printable(hook))
	var was bool
	err := o.s.write(ctx, b, func(br pgx.BatchResults) error {
		done, err := br.Exec()
		was = done.RowsAffected() > 0
		return err
	})
	return err == nil && was, wrap("enable a hook", err)
}

// Of many pending deliveries those that are due last are looked at: they are the ones that have been attempted.
const lastFailure = `select a.started, a.took_us, a.class, a.status, a.excerpt, d.next_at from (
		select id, next_at from ringhook.delivery where tenant = $1 and state = 0 and hook = $2 and shard = 0 and next_at is not null
			order by next_at desc, id desc limit 100) d
	join ringhook.attempt a on a.tenant = $1 and a.delivery = d.id order by a.started desc, a.n desc limit 1`

// Failing returns the last attempt of a hook's pending deliveries and when that delivery is attempted again. failing is
// false if no pending delivery has been attempted.
func (o *Operator) Failing(hook string) (last hooks.Attempt, next time.Time, failing bool, err error) {
	err = o.s.query(func(rows pgx.Rows) error {
		var took int64
		failing = true
		err := rows.Scan(&last.Started, &took, &last.Class, &last.Status, &last.Excerpt, &next)
		last.Took = time.Duration(took) * time.Microsecond
		return err
	}, lastFailure, o.s.tenant, hook)
	return last, next, failing, wrap("find the last failure", err)
}
