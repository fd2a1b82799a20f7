package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"ringhook/dialplan"
	"ringhook/hooks"
	"ringhook/store"
)

// fillers is the number of records that are offered to the store at once, so that a
// commit takes many.
const fillers = 400

// fillOutbox makes a store in a folder, in which n calls have one event each that is
// pending for a hook.
func fillOutbox(ctx context.Context, folder, hook string, n int) (err error) {
	cfg := store.DefaultConfig()
	cfg.Folder, cfg.Synchronous, cfg.MaxSize = folder, "normal", 64<<30
	s, err := store.Open(cfg, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var all sync.WaitGroup
	var next atomic.Int64
	began := time.Now()
	for range fillers {
		all.Go(func() {
			for i := next.Add(1); i <= int64(n) && ctx.Err() == nil; i = next.Add(1) {
				if _, err := s.Journal().Keep(ctx, pendingCall(began, i, hook)); err != nil {
					cancel(fmt.Errorf("fill the outbox: %w", err))
				}
			}
		})
	}
	all.Wait()
	return context.Cause(ctx)
}

// pendingCall is a call that has ended, with its last event.
func pendingCall(now time.Time, i int64, hook string) dialplan.Record {
	linkedid := fmt.Sprintf("%d.%d", now.Unix(), i)
	number := fmt.Sprintf("+4930%07d", i)
	return dialplan.Record{
		Call: linkedid,
		State: fmt.Appendf(nil, `{"linkedid":%q,"direction":"incoming","began":%q,"ended":%q,"seq":4,"known":{"callerid":%q}}`,
			linkedid, now.Format(time.RFC3339), now.Format(time.RFC3339), number),
		Events: []dialplan.Accepted{{
			Event: hooks.Event{
				ID: fmt.Sprintf("msg_bench_%d", i), Name: "call-hangup", LinkedID: linkedid, Seq: 4, Final: true, Time: now,
				Params: map[string]any{
					"event": "call-hangup", "event_id": fmt.Sprintf("msg_bench_%d", i), "seq": int64(4), "final": true,
					"time": now.Format(time.RFC3339), "uniqueid": linkedid, "linkedid": linkedid, "direction": "incoming",
					"callerid": number, "callerid_name": "Muster GmbH", "directid": "+4930555500", "queue_id": "500",
					"call_info": "customer 4711, contract gold", "duration": int64(48), "billsec": int64(31), "status": "answer", "cause": int64(16),
				},
			},
			Hooks: []hooks.Route{{Hook: hook, Key: linkedid, Hold: 15 * time.Minute}},
		}},
	}
}

// openFile opens a file of a store that no ringhook has open, to change it in bulk.
func openFile(folder, name string) (*sql.DB, error) {
	db, err := sql.Open("sqlite3", "file:"+filepath.Join(folder, name)+"?mode=rw&_synchronous=off")
	if err == nil {
		db.SetMaxOpenConns(1) // pragmas are per connection
	}
	return db, err
}

// expire makes all pending deliveries of a store and its calls so old that they expire.
func expire(ctx context.Context, folder string) (err error) {
	db, err := openFile(folder, "outbox.db")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	old := time.Now().Add(-60 * 24 * time.Hour).UnixMilli()
	for _, statement := range []string{
		"insert into attempt (delivery, n, started_ms, took_us, class, status, excerpt) select id, 1, ?1, 2000, 'delivered', 200, '' from delivery",
		"update delivery set state = 1, attempts = 1, next_ms = null, last_class = 'delivered', last_status = 200, finished_ms = ?1 + id % 86400000",
		"update event set accepted_ms = ?1",
		"update call set seen_ms = ?1 + id % 86400000",
	} {
		if _, err := db.ExecContext(ctx, statement, old); err != nil {
			return fmt.Errorf("expire deliveries: %w", err)
		}
	}
	return nil
}

// expired counts the expired deliveries that are left, while ringhook serves.
func expired(ctx context.Context, folder string) (n int, err error) {
	db, err := sql.Open("sqlite3", "file:"+filepath.Join(folder, "outbox.db")+"?mode=ro&_busy_timeout=5000")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	before := time.Now().Add(-30 * 24 * time.Hour).UnixMilli()
	err = db.QueryRowContext(ctx, "select count(*) from delivery where state = 1 and finished_ms < ?", before).Scan(&n)
	return n, err
}

// fillCache adds n entries to a cache, made after one that it has. They are
// never asked for. Rows are inserted in key order, and indexes and triggers are created after them; otherwise it takes
// hours.
func fillCache(ctx context.Context, folder string, n int) (err error) {
	db, err := openFile(folder, "cache.db")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	var stored, expires, used int64
	var name string
	var vars []byte
	err = db.QueryRowContext(ctx, "select lookup, vars, stored_ms, expires_ms, used_ms from entry limit 1").Scan(&name, &vars, &stored, &expires, &used)
	if err != nil {
		return fmt.Errorf("read the entry that is the pattern: %w", err)
	}
	kept, err := setAside(ctx, db)
	if err != nil {
		return err
	}
	if _, err := db.ExecContext(ctx, "pragma journal_mode = off; begin"); err != nil {
		return err
	}
	rows := make([]int64, n)
	for i := range rows {
		rows[i] = int64(rand.Uint64())
	}
	slices.Sort(rows)
	const at = 50 // rows in a statement
	insert, err := db.PrepareContext(ctx, "insert or ignore into entry values "+strings.Repeat(",(?,?,?,?,0,?,?,?,?)", at)[1:])
	if err != nil {
		return err
	}
	args := make([]any, 0, 8*at)
	for i := 0; i+at <= n; i += at {
		args = args[:0]
		for k := i; k < i+at; k++ {
			// The length of a key, and a number.
			args = append(args, rows[k], fmt.Sprintf("%024d", k), name, fmt.Sprintf("+4989%08d", rows[k]&(1<<26-1)), vars, stored, expires, used)
		}
		if _, err := insert.ExecContext(ctx, args...); err != nil {
			return errors.Join(err, insert.Close())
		}
	}
	if err := insert.Close(); err != nil {
		return err
	}
	_, err = db.ExecContext(ctx, "update size set entries = (select count(*) from entry); commit; "+strings.Join(kept, ";"))
	return err
}

// setAside drops indexes and triggers, and returns the statements that create them again.
func setAside(ctx context.Context, db *sql.DB) (texts []string, err error) {
	rows, err := db.QueryContext(ctx, "select type, name, sql from sqlite_schema where type in ('index', 'trigger') and sql is not null")
	if err != nil {
		return nil, err
	}
	var drops []string
	for rows.Next() {
		var kind, name, text string
		if err := rows.Scan(&kind, &name, &text); err != nil {
			return nil, errors.Join(err, rows.Close())
		}
		texts, drops = append(texts, text), append(drops, "drop "+kind+" "+name)
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return nil, err
	}
	_, err = db.ExecContext(ctx, strings.Join(drops, ";"))
	return texts, err
}

// copyStore copies the outbox of a store that no ringhook has open into a new folder.
func copyStore(from, to string) error {
	if err := os.MkdirAll(to, 0o700); err != nil {
		return err
	}
	return os.CopyFS(to, os.DirFS(from))
}
