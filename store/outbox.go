package store

import (
	"context"
	"database/sql"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"ringhook/hooks"
	"ringhook/store/eventbody"
	"ringhook/store/sqlite"
)

// Outbox stores deliveries until they are delivered or dead. It implements hooks.Outbox.
// Operator shows and changes them for administrators.
type Outbox struct {
	s          *Store
	configured atomic.Pointer[[]string] // the configured hooks; nil before SetConfiguredHooks
}

var _ hooks.Outbox = (*Outbox)(nil)

const dueDeliveries = `select d.id, d.hook, d.attempts, coalesce(d.begun_ms, e.accepted_ms), e.event_id, e.linkedid, e.body
	from delivery d join event e on e.id = d.event
	where d.state = 0 and d.hook = ?1 and d.next_ms <= ?2 and d.id not in (select value from json_each(?4)) and not exists (select 1 from delivery b indexed by delivery_order
		where b.state = 0 and b.hook = d.hook and b.okey = d.okey and b.id < d.id and b.next_ms <= ?2)
	order by d.next_ms, d.id limit ?3`

// Due lists up to limit pending deliveries of a hook that may be attempted at now,
// the longest due first, never two of one key and never one that an
// earlier pending one of its key holds back. Those in underWay are left out.
func (o *Outbox) Due(hook string, now time.Time, limit int, underWay ...int64) ([]hooks.Delivery, error) {
	if _, err := o.s.clockStep(); err != nil {
		return nil, err
	}
	var due []hooks.Delivery
	without := []byte{'['}
	for i, id := range underWay {
		if i > 0 {
			without = append(without, ',')
		}
		without = strconv.AppendInt(without, id, 10)
	}
	rows, err := o.s.read.Query(dueDeliveries, hook, now.UnixMilli(), limit, string(append(without, ']')))
	err = sqlite.Each(rows, err, func(scan func(...any) error) error {
		var d hooks.Delivery
		var acceptedMS int64
		var id, linkedid string
		var text sql.RawBytes
		if err := scan(&d.ID, &d.Hook, &d.Attempts, &acceptedMS, &id, &linkedid, &text); err != nil {
			return err
		}
		// From now on the monotonic clock measures its age.
		d.Accepted = now.Add(-now.Round(0).Sub(sqlite.FromMS(acceptedMS)))
		var err error
		d.Event, err = eventbody.Decode(id, linkedid, text)
		due = append(due, d)
		return err
	})
	return due, o.s.reading("list due deliveries", err)
}

// Next returns when the hook's next delivery becomes due; zero if none is pending.
func (o *Outbox) Next(hook string) (time.Time, error) {
	var ms int64
	_, err := sqlite.One(o.s.read, `select next_ms from delivery
		where state = 0 and hook = ? and next_ms is not null order by next_ms limit 1`, []any{hook}, &ms)
	return sqlite.FromMS(ms), o.s.reading("find the next delivery", err)
}

// IsPending reports whether a delivery is still to be sent: it was not dropped or erased.
func (o *Outbox) IsPending(id int64) (bool, error) {
	pending, err := sqlite.One(o.s.read, "select 1 from delivery where id = ? and state = 0", []any{id}, new(int))
	return pending, o.s.reading("look a delivery up", err)
}

// Settle stores results of attempts, and returns when they are committed. A result
// without Attempt.Started moves the delivery and counts no attempt. A delivery that is no
// longer pending, because an operator dropped it, is not changed. released reports
// whether another delivery of a key may be attempted, now or later.
func (o *Outbox) Settle(ctx context.Context, results []hooks.Result) (released bool, err error) {
	results = slices.Clone(results)
	nowMS := o.s.now().UnixMilli()
	n := 0
	err = o.s.w.do(ctx, result, 256*len(results), func(c *sqlite.Conn) error {
		n = 0
		for i := range results {
			next, err := settle(c, &results[i], nowMS)
			if err != nil {
				return err
			}
			n += next
		}
		return nil
	})
	return err == nil && n > 0, err
}

// remember keeps a value of an answer with the delivery's hook and call. A later answer replaces it.
const remember = `insert into remembered (hook, call, name, value, linkedid)
	select d.hook, ?2, ?3, ?4, e.linkedid from delivery d join event e on e.id = d.event where d.id = ?1
	on conflict (hook, call, name) do update set value = excluded.value`

// Remembered returns the values that answers left for a hook's later deliveries of a call, by name.
func (o *Outbox) Remembered(hook, call string) (map[string]string, error) {
	rows, err := o.s.read.Query("select name, value from remembered where hook = ? and call = ?", hook, call)
	var values map[string]string
	err = sqlite.Each(rows, err, func(scan func(...any) error) error {
		var name, value string
		err := scan(&name, &value)
		if values == nil {
			values = make(map[string]string)
		}
		values[name] = value
		return err
	})
	return values, o.s.reading("read remembered values", err)
}

const (
	addAttempt  = `insert or replace into attempt (delivery, n, started_ms, took_us, class, status, excerpt) values (?, ?, ?, ?, ?, ?, ?)`
	trimAttempt = `delete from attempt where delivery = ? and n <= ?`
)

// What is kept of attempts: how many of a delivery, and how many bytes of each answer.
const (
	maxAttempts = 20
	maxExcerpt  = 2048
)

func settle(c *sqlite.Conn, r *hooks.Result, nowMS int64) (released int, err error) {
	a := r.Attempt
	made := 0
	if !a.Started.IsZero() {
		made = 1
	}
	var hook, okey string
	var attempts int
	var found bool
	others := made > 0 // whether later ones of its key may wait for it
	if r.State == hooks.Pending {
		found, err = c.One(settlePending, []any{r.Delivery, made, a.Class, a.Status, max(1, sqlite.ToMS(r.Next)), nowMS}, &hook, &okey, &attempts)
		if err == nil && found && made > 0 {
			_, err = c.Exec(addAttempt, r.Delivery, attempts, sqlite.ToMS(a.Started), a.Took.Microseconds(), a.Class, a.Status, excerpt(a.Excerpt))
		}
	} else {
		args := []any{r.Delivery, made, a.Class, a.Status, int(r.State), nowMS, nil, nil, nil}
		if made > 0 {
			args[6], args[7], args[8] = sqlite.ToMS(a.Started), a.Took.Microseconds(), excerpt(a.Excerpt)
		}
		found, err = c.One(settleFinished, args, &hook, &okey, &attempts, &others)
	}
	if err != nil || !found {
		return 0, err
	}
	for name, value := range r.Values {
		if _, err := c.Exec(remember, r.Delivery, r.Call, name, value); err != nil {
			return 0, err
		}
	}
	if others {
		if released, err = c.Changes(releaseNext, hook, okey, nowMS+pace(okey)); err != nil {
			return 0, err
		}
	}
	if attempts > maxAttempts {
		_, err = c.Exec(trimAttempt, r.Delivery, attempts-maxAttempts)
	}
	return released, err
}

func excerpt(text string) string {
	if len(text) > maxExcerpt {
		text = text[:maxExcerpt]
	}
	return strings.ToValidUTF8(text, "\uFFFD")
}
