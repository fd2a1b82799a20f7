package pgstore

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"ringhook/hooks"
	"ringhook/store/eventbody"
)

// Outbox stores deliveries until they are delivered or dead. It implements hooks.Outbox.
type Outbox struct{ s *Store }

var _ hooks.Outbox = (*Outbox)(nil)

// The earlier ones of a key are looked up for each delivery: with the offset the planner joins them in no other way, which would
// read all that is pending in a table of which it knows nothing.
const dueDeliveries = `select d.id, d.hook, d.attempts, coalesce(d.begun_at, e.accepted), e.event_id, e.linkedid, e.body
	from ringhook.delivery d join ringhook.event e on e.tenant = $1 and e.id = d.event
	where d.tenant = $1 and d.state = 0 and d.hook = $2 and d.shard = 0 and d.next_at <= $3 and d.id <> all ($5::bigint[])
		and not exists (select from ringhook.delivery b where b.tenant = $1 and b.state = 0 and b.hook = d.hook and b.okey = d.okey
			and b.id < d.id and b.next_at <= $3 offset 0)
	order by d.next_at, d.id limit $4`

// Due implements hooks.Queue.
func (o *Outbox) Due(hook string, now time.Time, limit int, underWay ...int64) (due []hooks.Delivery, err error) {
	if underWay == nil {
		underWay = []int64{}
	}
	at := o.s.clock.engineOf(now)
	err = o.s.query(func(rows pgx.Rows) error {
		var d hooks.Delivery
		var accepted time.Time
		var id, linkedid, body string
		if err := rows.Scan(&d.ID, &d.Hook, &d.Attempts, &accepted, &id, &linkedid, &body); err != nil {
			return err
		}
		// From now on the monotonic clock measures its age.
		d.Accepted = now.Add(-at.Sub(accepted))
		var err error
		d.Event, err = eventbody.Decode(id, linkedid, []byte(body))
		due = append(due, d)
		return err
	}, dueDeliveries, o.s.tenant, hook, at, limit, underWay)
	return due, wrap("list due deliveries", err)
}

// Next implements hooks.Queue.
func (o *Outbox) Next(hook string) (next time.Time, err error) {
	err = o.s.query(func(rows pgx.Rows) error { return rows.Scan(&next) }, `select next_at from ringhook.delivery
		where tenant = $1 and state = 0 and hook = $2 and shard = 0 and next_at is not null order by next_at limit 1`, o.s.tenant, hook)
	return o.s.clock.localOf(next), wrap("find the next delivery", err)
}

// IsPending implements hooks.Queue.
func (o *Outbox) IsPending(id int64) (pending bool, err error) {
	err = o.s.query(func(rows pgx.Rows) error { return rows.Scan(&pending) },
		"select exists (select from ringhook.delivery where tenant = $1 and id = $2 and state = 0)", o.s.tenant, id)
	return pending, wrap("look a delivery up", err)
}

// Remembered implements hooks.Memory.
func (o *Outbox) Remembered(hook, call string) (values map[string]string, err error) {
	err = o.s.query(func(rows pgx.Rows) error {
		var name, value string
		err := rows.Scan(&name, &value)
		if values == nil {
			values = make(map[string]string)
		}
		values[name] = value
		return err
	}, "select name, value from ringhook.remembered where tenant = $1 and hook = $2 and call = $3", o.s.tenant, hook, printable(call))
	return values, wrap("read remembered values", err)
}

// What is kept of attempts: how many of a delivery, as SQL, and how many bytes of each answer.
const (
	maxAttempts = "20"
	maxExcerpt  = 2048
)

// The statements of Settle, in one transaction after the lanes are locked. A delivery that is no longer pending, because
// an operator dropped it, is not changed. Results may come again, because the first commit of them is in doubt: they
// change nothing then but what they release.
var (
	// A result of a lease that another node has meanwhile is not stored, unless the delivery is made. lockEpochs keeps the leases of
	// a transaction from being granted again before its commit.
	lockEpochs = `select from ringhook.lease where tenant = $1 and epoch = any ($2::bigint[]) order by hook, shard for share`
	valid      = `(g.epoch = 0 or exists (select from ringhook.lease l where l.tenant = $1 and l.hook = d.hook and l.shard = d.shard and l.epoch = g.epoch))`

	settleFinished = `with given as materialized (
			select * from unnest($3::bigint[], $4::smallint[], $5::timestamptz[], $6::bigint[], $7::text[], $8::integer[], $9::text[], $10::bigint[])
				as g (id, state, started, took_us, class, status, excerpt, epoch)
		), done as (
			update ringhook.delivery d set state = g.state, next_at = null, finished_at = $2,
				attempts = d.attempts + case when g.started is null then 0 else 1 end,
				last_class = case when g.started is null then d.last_class else g.class end,
				last_status = case when g.started is null then d.last_status else g.status end,
				started_at = g.started, took_us = case when g.started is null then null else g.took_us end,
				excerpt = case when g.started is null then null else g.excerpt end
			from given g where d.tenant = $1 and d.id = g.id and d.state = 0 and ` + valid + ` returning d.hook, d.state
		)
		insert into ringhook.tally_change (tenant, hook, pending, dead)
		select $1, hook, -count(*), count(*) filter (where state = 2) from done group by hook`

	// The time from which others may pass is set first: the due time of a later one depends on it.
	settlePending = `with given as materialized (
			select * from unnest($3::bigint[], $4::timestamptz[], $5::bigint[], $6::text[], $7::integer[], $8::text[], $9::bigint[])
				as g (id, started, took_us, class, status, excerpt, epoch)
		), failed as (
			update ringhook.delivery d set attempts = d.attempts + 1, last_class = g.class, last_status = g.status,
				pass_at = coalesce(d.pass_at, $2::timestamptz + d.hold)
			from given g where d.tenant = $1 and d.id = g.id and d.state = 0 and g.started is not null and ` + valid + `
				and not exists (select from ringhook.attempt a where a.tenant = $1 and a.delivery = d.id and a.started = g.started)
			returning d.id, d.attempts, g.started, g.took_us, g.class, g.status, g.excerpt
		), trimmed as (
			delete from ringhook.attempt a using failed f where a.tenant = $1 and a.delivery = f.id and a.n <= f.attempts - ` + maxAttempts + `
		)
		insert into ringhook.attempt (tenant, delivery, n, started, took_us, class, status, excerpt)
		select $1, id, attempts, started, took_us, class, status, excerpt from failed
		on conflict (tenant, delivery, n) do update set started = excluded.started, took_us = excluded.took_us,
			class = excluded.class, status = excluded.status, excerpt = excluded.excerpt`

	settleNext = `update ringhook.delivery d set next_at = ` + ownTurn("g.next") + `
		from unnest($2::bigint[], $3::timestamptz[], $4::bigint[]) as g (id, next, epoch) where d.tenant = $1 and d.id = g.id and d.state = 0 and ` + valid

	// Deliveries of one call may be attempted at the same moment. Of values with the same name the last one counts.
	remember = `insert into ringhook.remembered (tenant, hook, call, name, value, linkedid)
		select distinct on (d.hook, g.call, g.name) $1, d.hook, g.call, g.name, g.value, e.linkedid
			from unnest($3::bigint[], $4::text[], $5::text[], $6::text[]) with ordinality as g (id, call, name, value, n)
			join ringhook.delivery d on d.tenant = $1 and d.id = g.id and (d.state = 0 or d.finished_at = $2)
			join ringhook.event e on e.tenant = $1 and e.id = d.event
			order by d.hook, g.call, g.name, g.n desc
		on conflict (tenant, hook, call, name) do update set value = excluded.value`

	// Those that were attempted or have ended may have others waiting for them.
	releaseSettled = releaseNext(`select d.hook, d.okey from ringhook.delivery d
		where d.tenant = $1 and (d.id = any ($3::bigint[]) and d.state <> 0 or d.id = any ($4::bigint[]) and d.state = 0)`, pace)
)

// settlement is the results of attempts, as columns.
type settlement struct {
	now      time.Time
	epochs   []int64 // of leases that must be the present ones
	finished struct {
		ids     []int64
		states  []int16
		epochs  []int64
		attempt attempts
	}
	pending struct {
		ids     []int64
		next    []time.Time
		epochs  []int64
		attempt attempts
		failed  []int64 // those that were attempted
	}
	values struct {
		ids                 []int64
		calls, names, texts []string
	}
}

// attempts are the columns of attempts. Without an attempt, started is nil.
type attempts struct {
	started  []*time.Time
	took     []int64
	classes  []string
	statuses []int32
	excerpts []string
}

func (a *attempts) add(at *hooks.Attempt) {
	var started *time.Time
	if !at.Started.IsZero() {
		started = &at.Started
	}
	a.started, a.took = append(a.started, started), append(a.took, at.Took.Microseconds())
	a.classes, a.statuses, a.excerpts = append(a.classes, at.Class), append(a.statuses, int32(at.Status)), append(a.excerpts, excerpt(at.Excerpt))
}

func (s *settlement) add(r *hooks.Result) {
	epoch := r.Epoch
	if r.State == hooks.Delivered {
		epoch = 0 // it is true under any lease
	} else if epoch != 0 && !slices.Contains(s.epochs, epoch) {
		s.epochs = append(s.epochs, epoch)
	}
	if r.State == hooks.Pending {
		s.pending.ids, s.pending.next, s.pending.epochs = append(s.pending.ids, r.Delivery), append(s.pending.next, r.Next), append(s.pending.epochs, epoch)
		s.pending.attempt.add(&r.Attempt)
		if !r.Attempt.Started.IsZero() {
			s.pending.failed = append(s.pending.failed, r.Delivery)
		}
	} else {
		f := &s.finished
		f.ids, f.states, f.epochs = append(f.ids, r.Delivery), append(f.states, int16(r.State)), append(f.epochs, epoch)
		s.finished.attempt.add(&r.Attempt)
	}
	for name, value := range r.Values {
		v := &s.values
		v.ids, v.calls = append(v.ids, r.Delivery), append(v.calls, printable(r.Call))
		v.names, v.texts = append(v.names, printable(name)), append(v.texts, printable(value))
	}
}

// batch returns the transaction that stores the results. Its last statement changes the deliveries that are released.
func (s *settlement) batch(tenant int) *pgx.Batch {
	b := &pgx.Batch{}
	b.Queue(lockLanesOf, tenant, append(append([]int64{}, s.finished.ids...), s.pending.ids...), nil)
	if len(s.epochs) > 0 {
		b.Queue(lockEpochs, tenant, s.epochs)
	}
	if len(s.finished.ids) > 0 {
		a := &s.finished.attempt
		b.Queue(settleFinished, tenant, s.now, s.finished.ids, s.finished.states, a.started, a.took, a.classes, a.statuses, a.excerpts, s.finished.epochs)
	}
	if len(s.pending.ids) > 0 {
		a := &s.pending.attempt
		b.Queue(settlePending, tenant, s.now, s.pending.ids, a.started, a.took, a.classes, a.statuses, a.excerpts, s.pending.epochs)
		b.Queue(settleNext, tenant, s.pending.ids, s.pending.next, s.pending.epochs)
	}
	if v := &s.values; len(v.ids) > 0 {
		b.Queue(remember, tenant, s.now, v.ids, v.calls, v.names, v.texts)
	}
	b.Queue(releaseSettled, tenant, s.now, s.finished.ids, s.pending.failed)
	return b
}

// Settle implements hooks.Queue. A result without Attempt.Started moves the delivery and counts no attempt. Of several
// results of one delivery only the last counts. Many results are stored in several transactions.
func (o *Outbox) Settle(ctx context.Context, results []hooks.Result) (released bool, err error) {
	last := make(map[int64]int, len(results))
	for i := range results {
		last[results[i].Delivery] = i
	}
	var list []hooks.Result
	for i, r := range results {
		if last[r.Delivery] == i {
			r.Next = o.s.clock.engineOf(r.Next)
			list = append(list, r)
		}
	}
	for part := range slices.Chunk(list, maxLanes) {
		freed, partErr := o.settle(ctx, part)
		released, err = released || freed, errors.Join(err, partErr)
		if partErr != nil && !divisible(partErr) {
			break // the others would fare no better
		}
	}
	return err == nil && released, wrap("store results of deliveries", err)
}

// settle stores results in one transaction. If the engine refuses one of them, it stores the others.
func (o *Outbox) settle(ctx context.Context, results []hooks.Result) (released bool, err error) {
	released, err = o.settleOnce(ctx, results)
	switch {
	case !divisible(err):
	case len(results) > 1:
		half := len(results) / 2
		first, err1 := o.settle(ctx, results[:half])
		second, err2 := o.settle(ctx, results[half:])
		return first || second, errors.Join(err1, err2)
	case classOf(err) == Refused:
		// What it means for the delivery comes before what the receiver answered.
		o.s.limit.Error("result", "answer of a receiver not stored", "delivery", results[0].Delivery, "err", err)
		return o.settleOnce(ctx, []hooks.Result{bare(&results[0], o.s.now())})
	}
	return released, err
}

// bare returns a result without what a receiver can put into it, and with an attempt that is due within bounds.
func bare(r *hooks.Result, now time.Time) hooks.Result {
	b := hooks.Result{Delivery: r.Delivery, State: r.State, Next: r.Next, Epoch: r.Epoch}
	if r.State == hooks.Pending && (r.Next.Before(now) || r.Next.After(now.Add(farthest))) {
		b.Next = now.Add(time.Minute)
	}
	if !r.Attempt.Started.IsZero() {
		b.Attempt = hooks.Attempt{Started: r.Attempt.Started, Class: printable(r.Attempt.Class)}
	}
	return b
}

func (o *Outbox) settleOnce(ctx context.Context, results []hooks.Result) (bool, error) {
	s := &settlement{now: o.s.now().Round(time.Microsecond)}
	for i := range results {
		s.add(&results[i])
	}
	b := s.batch(o.s.tenant)
	var released bool
	err := o.s.write(ctx, b, func(br pgx.BatchResults) error {
		for n := range b.Len() {
			done, err := br.Exec()
			if err != nil {
				return err
			}
			released = n == b.Len()-1 && done.RowsAffected() > 0
		}
		return nil
	})
	return err == nil && released, err
}

func excerpt(text string) string {
	if len(text) > maxExcerpt {
		text = text[:maxExcerpt]
	}
	return printable(text)
}

// Crashed records that ringhook crashed during an attempt at a delivery, see hooks.AfterCrash. dead reports that the
// delivery is given up. A delivery that is not pending is not changed.
func (o *Outbox) Crashed(ctx context.Context, delivery int64, at time.Time, why string) (dead bool, err error) {
	var before int
	err = o.s.query(func(rows pgx.Rows) error { return rows.Scan(&before) },
		"select count(*) from ringhook.attempt where tenant = $1 and delivery = $2 and class = $3", o.s.tenant, delivery, hooks.Crash)
	if err != nil {
		return false, wrap("count the crashes of a delivery", err)
	}
	r := hooks.AfterCrash(delivery, before, at, o.s.clock.local(), why)
	_, err = o.Settle(ctx, []hooks.Result{r})
	return err == nil && r.State == hooks.Dead, err
}
