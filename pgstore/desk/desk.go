// Package desk stores what people and programs do with the PBX in PostgreSQL, for all nodes: what store/desk stores in a file.
// Nothing of it is held in memory, so a change holds on all nodes at once.
//
// Times are those that the callers give. Rows are removed by the engine's clock.
package desk

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"

	"ringhook/pgstore"
	"ringhook/store/desk"
)

// Desk is what one node, or a command, uses. Each change is committed when its method returns. It is safe for concurrent use.
type Desk struct{ db *pgstore.Side }

// New returns the desk of an open engine.
func New(s *pgstore.Store) *Desk { return &Desk{s.Side()} }

// Err returns nil: a database that cannot be used now may be usable later.
func (d *Desk) Err() error { return nil }

// Close does nothing: the engine is closed by itself.
func (d *Desk) Close() error { return nil }

// Shared returns true: several nodes may use the database.
func (d *Desk) Shared() bool { return true }

const (
	// One that lasts longer than a new one would is from before the engine's clock was set back.
	hold = `insert into ringhook.hold as h (tenant, name, holder, until) values ($1, $2, $3, clock_timestamp() + $4::interval)
		on conflict (tenant, name) do update set holder = excluded.holder, until = excluded.until
		where h.until < clock_timestamp() or h.until > greatest(excluded.until, clock_timestamp()) or h.holder = excluded.holder`
	release = "delete from ringhook.hold where tenant = $1 and name = $2 and holder = $3"
)

// Hold makes a holder the only one of a name for a time, or extends that, and reports whether it is the only one.
func (d *Desk) Hold(name, holder string, long time.Duration) (held bool, err error) {
	n, err := d.exec("become the node that does "+name, pgstore.Do(hold, name, holder, long))
	return n > 0, err
}

// Release lets another one become the holder at once.
func (d *Desk) Release(name, holder string) error {
	_, err := d.exec("stop being the node that does "+name, pgstore.Do(release, name, holder))
	return err
}

// all reads every row of a query. The tenant is $1.
func (d *Desk) all(op string, row func(scan func(...any) error) error, query string, args ...any) error {
	return d.db.Query(op, 0, pgstore.Do(query, args...), row)
}

// exec runs statements and returns the number of rows that the first changed, 0 after an error.
func (d *Desk) exec(op string, first pgstore.Statement, more ...pgstore.Statement) (n int, err error) {
	var changed int64
	err = d.db.Write(op, func(br pgx.BatchResults) error {
		done, err := br.Exec()
		changed = done.RowsAffected()
		return err
	}, append([]pgstore.Statement{first}, more...)...)
	if err != nil {
		return 0, err
	}
	return int(changed), nil
}

// one runs a statement that returns at most one row; found is false if it returns none. After an error dest is not to be used.
func (d *Desk) one(op string, q pgstore.Statement, dest ...any) (found bool, err error) {
	var has bool
	err = d.db.Write(op, func(br pgx.BatchResults) error {
		err := br.QueryRow().Scan(dest...)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		has = err == nil
		return err
	}, q)
	return err == nil && has, err
}

// tidyRows is the maximum number of rows of a table that one commit removes.
const tidyRows = 1000

// Tidy removes what is older than it is kept, and commands beyond desk.MaxCommands. A campaign is kept as long as commands,
// counted from its end. Several nodes may do it at the same time.
func (d *Desk) Tidy(now time.Time) error {
	for _, t := range []struct {
		query string
		keep  time.Duration
	}{
		{"delete from ringhook.command where tenant = $1 and id in (select id from ringhook.command where tenant = $1 and at < $2 order by at limit $3)", desk.KeepCommands},
		{`delete from ringhook.campaign_number where tenant = $1 and (campaign, n) in (select n.campaign, n.n from ringhook.campaign_number n
			join ringhook.campaign c on c.tenant = $1 and c.id = n.campaign where n.tenant = $1 and c.ended < $2 limit $3)`, desk.KeepCommands},
		{"delete from ringhook.campaign where tenant = $1 and id in (select id from ringhook.campaign where tenant = $1 and ended < $2 limit $3)", desk.KeepCommands},
		{"delete from ringhook.expected where tenant = $1 and call in (select call from ringhook.expected where tenant = $1 and at < $2 order by at limit $3)", desk.KeepExpected},
		{"delete from ringhook.note where tenant = $1 and (call, agent) in (select call, agent from ringhook.note where tenant = $1 and at < $2 order by at limit $3)", desk.KeepCommands},
		{"delete from ringhook.agent_state where tenant = $1 and id in (select id from ringhook.agent_state where tenant = $1 and until < $2 order by until limit $3)", desk.KeepStates},
		{"delete from ringhook.session where tenant = $1 and hash in (select hash from ringhook.session where tenant = $1 and ends < $2 limit $3)", 0},
		{"delete from ringhook.invitation where tenant = $1 and hash in (select hash from ringhook.invitation where tenant = $1 and ends < $2 limit $3)", 0},
	} {
		if err := d.tidy(pgstore.Do(t.query, now.Add(-t.keep), tidyRows)); err != nil {
			return err
		}
	}
	return d.tidy(pgstore.Do("delete from ringhook.command where tenant = $1 and id in (select id from ringhook.command where tenant = $1 order by id desc offset $2 limit $3)", desk.MaxCommands, tidyRows))
}

// tidy repeats a statement until nothing is left to remove.
func (d *Desk) tidy(q pgstore.Statement) error {
	for {
		if n, err := d.exec("tidy the data of the desk", q); n < tidyRows || err != nil {
			return err
		}
	}
}

// tidyEvery is the time between two removals of what is kept long enough.
const tidyEvery = 10 * time.Minute

// Run removes what is kept long enough, until the context ends.
func (d *Desk) Run(ctx context.Context, log *slog.Logger) {
	d.db.Repeat(ctx, tidyEvery, func(context.Context) error { return d.Tidy(d.db.Now()) }, func(err error) {
		log.Warn("cannot remove old data of the desk, it is tried again", "err", err)
	})
}

// at returns a stored time on this machine's zone, the zero time for null.
func at(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.Local()
}
