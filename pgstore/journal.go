package pgstore

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"ringhook/dialplan"
	"ringhook/hooks"
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
