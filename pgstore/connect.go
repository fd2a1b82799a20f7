package pgstore

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"ringhook/store/browse"
)

// connectTime is the maximum duration of connecting to the engine, unless the DSN has connect_timeout, which is that of each of
// its servers.
const connectTime = 5 * time.Second

// tune sets what every connection needs. notice is called for each notice of the server; nil keeps warnings for takeWarning.
func tune(cfg *pgx.ConnConfig, notice func(*pgconn.Notice)) {
	if cfg.ConnectTimeout == 0 {
		// pgx waits this long for each server. The last one must have its turn in the time that callers have.
		cfg.ConnectTimeout = connectTime / time.Duration(servers(cfg))
	}
	if cfg.RuntimeParams["application_name"] == "" {
		cfg.RuntimeParams["application_name"] = "ringhook"
	}
	// A prepared statement would keep the plan that fits an empty table.
	cfg.RuntimeParams["plan_cache_mode"] = "force_custom_plan"
	// What is acknowledged must be on disk, and on the synchronous standby if there is one.
	cfg.RuntimeParams["synchronous_commit"] = "on"
	// Each statement must see what others did before its locks were granted.
	cfg.RuntimeParams["default_transaction_isolation"] = "read committed"
	// Limits of the role or the database are meant for other programs: a commit waits for others as long as it has to.
	for _, limit := range []string{"statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"} {
		cfg.RuntimeParams[limit] = "0"
	}
	// A machine that is gone must not keep its locks for the two hours after which the engine would notice by default.
	cfg.RuntimeParams["tcp_keepalives_idle"] = seconds(silence / probes)
	cfg.RuntimeParams["tcp_keepalives_interval"] = seconds(silence / probes)
	cfg.RuntimeParams["tcp_keepalives_count"] = strconv.Itoa(probes)
	cfg.DialFunc = dialer().DialContext
	cfg.OnNotice = noteWarning
	if notice != nil {
		cfg.OnNotice = func(_ *pgconn.PgConn, n *pgconn.Notice) { notice(n) }
	}
}

// servers returns the number of servers of a DSN. pgx lists one that may be used with and without TLS twice.
func servers(cfg *pgx.ConnConfig) int {
	list := map[string]bool{net.JoinHostPort(cfg.Host, strconv.Itoa(int(cfg.Port))): true}
	for _, f := range cfg.Fallbacks {
		list[net.JoinHostPort(f.Host, strconv.Itoa(int(f.Port)))] = true
	}
	return len(list)
}

// A connection ends if the server's machine has not answered a probe or acknowledged data for silence. Without that, the
// kernel waits a quarter of an hour for a machine that is gone, and the writer with it. A server that lets a commit wait
// for the standby answers probes.
const (
	silence = 15 * time.Second
	probes  = 3
)

func seconds(d time.Duration) string { return strconv.Itoa(int(d / time.Second)) }

func dialer() *net.Dialer {
	return &net.Dialer{
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: silence / probes, Interval: silence / probes, Count: probes},
		Control:         setOptions,
	}
}

var errNoCancel = errors.New("a statement of ringhook is not cancelled")

// forbidCancel keeps a connection from cancelling its statement on the server when it breaks or its context ends, as pgx
// does by a connection of its own. A commit that waits for the standby would then count as done although the standby
// does not have it. The configuration must be used for one connection.
func forbidCancel(cfg *pgx.ConnConfig) {
	var connected atomic.Bool
	dial := cfg.DialFunc
	cfg.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		if connected.Load() {
			return nil, errNoCancel
		}
		return dial(ctx, network, address)
	}
	cfg.AfterConnect = func(context.Context, *pgconn.PgConn) error {
		connected.Store(true)
		return nil
	}
}

// warning is the name of the engine's last warning among what belongs to a connection.
const warning = "ringhook.warning"

// noteWarning keeps a warning for takeWarning. It is called while the connection is read from.
func noteWarning(conn *pgconn.PgConn, n *pgconn.Notice) {
	if n.SeverityUnlocalized == "WARNING" {
		conn.CustomData()[warning] = n.Message
	}
}

// takeWarning returns the engine's last warning on a connection since the last call, as an error of a commit in doubt. With a
// warning the engine acknowledges a commit of which the standby may not have everything.
func takeWarning(conn *pgconn.PgConn) error {
	message, warned := conn.CustomData()[warning].(string)
	if !warned {
		return nil
	}
	delete(conn.CustomData(), warning)
	return doubt(errors.New(message))
}

func connect(ctx context.Context, dsn string, notice func(*pgconn.Notice)) (*pgx.Conn, error) {
	cfg, err := parse(dsn)
	if err != nil {
		return nil, fmt.Errorf("read the dsn: %w", err)
	}
	tune(cfg, notice)
	forbidCancel(cfg)
	conn, err := pgx.ConnectConfig(ctx, cfg)
	return conn, wrap("connect to PostgreSQL", err)
}

// poolSize is the maximum number of connections of each pool, searchSize that of searches.
const (
	poolSize   = 8
	searchSize = 2
)

// newPool returns connections that are made when they are used. If they commit, no statement of them is cancelled.
func newPool(ctx context.Context, dsn string, size int32, commits bool) (*pgxpool.Pool, error) {
	cfg, err := parsePool(dsn)
	if err != nil {
		return nil, fmt.Errorf("read the dsn: %w", err)
	}
	tune(cfg.ConnConfig, nil)
	if commits {
		cfg.BeforeConnect = func(_ context.Context, conn *pgx.ConnConfig) error {
			forbidCancel(conn)
			return nil
		}
	}
	cfg.MaxConns = size
	return pgxpool.NewWithConfig(ctx, cfg)
}

// sideSize is the maximum number of connections of each pool of Side.
const sideSize = 3

// sideTime is the maximum time that a change of Side waits for its commit, and a read for its answer.
const sideTime = 5 * time.Second

// Side is the engine for data beside calls and deliveries, which other packages store. It has connections of its own, so
// that what waits for them delays neither calls nor deliveries. Each statement has the tenant as its first argument, which
// the methods add. Their errors are browse.ErrAway if the engine cannot be used.
type Side struct {
	s              *Store
	reads, changes *pgxpool.Pool
	loose          *pgxpool.Pool // for data that can be rebuilt; its commits wait for no disk
}

// Side is the part for other data.
func (s *Store) Side() *Side { return s.side }

func openSide(s *Store, dsn string) (d *Side, err error) {
	d = &Side{s: s}
	if d.reads, err = newPool(s.ctx, dsn, sideSize, false); err != nil {
		return nil, err
	}
	if d.changes, err = newPool(s.ctx, dsn, sideSize, true); err != nil {
		d.reads.Close()
		return nil, err
	}
	if d.loose, err = newLoosePool(s.ctx, dsn); err != nil {
		d.reads.Close()
		d.changes.Close()
		return nil, err
	}
	return d, nil
}

// newLoosePool returns connections whose commits are acknowledged before they are on a disk.
func newLoosePool(ctx context.Context, dsn string) (*pgxpool.Pool, error) {
	cfg, err := parsePool(dsn)
	if err != nil {
		return nil, fmt.Errorf("read the dsn: %w", err)
	}
	tune(cfg.ConnConfig, nil)
	cfg.ConnConfig.RuntimeParams["synchronous_commit"] = "off"
	cfg.MaxConns = sideSize
	return pgxpool.NewWithConfig(ctx, cfg)
}

func (d *Side) close() {
	d.reads.Close()
	d.changes.Close()
	d.loose.Close()
}

// Usable returns why the engine cannot be used now, nil if it can be tried.
func (d *Side) Usable() error { return d.s.usable() }

// Now returns the time of the engine's clock.
func (d *Side) Now() time.Time { return d.s.now() }

// EngineTime returns a time of the node's clock on the engine's, LocalTime the reverse.
func (d *Side) EngineTime(local time.Time) time.Time { return d.s.clock.engineOf(local) }

// LocalTime returns a time of the engine's clock on the node's.
func (d *Side) LocalTime(engine time.Time) time.Time { return d.s.clock.localOf(engine) }

// Repeat does some work after each interval, until the context ends. failed gets the first of several errors in a row, unless
// the engine is away, which the log has already.
func (d *Side) Repeat(ctx context.Context, every time.Duration, work func(context.Context) error, failed func(error)) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for failing := false; ; {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		err := work(ctx)
		if err != nil && !failing && ctx.Err() == nil && !errors.Is(err, browse.ErrAway) {
			failed(err)
		}
		failing = err != nil
	}
}

// Statement is an SQL statement with its arguments after the tenant.
type Statement struct {
	SQL  string
	Args []any
}

// Do returns a statement.
func Do(sql string, args ...any) Statement { return Statement{sql, args} }

// arguments returns the arguments of a statement as the engine accepts them: a text has no NUL and is valid UTF-8.
func (d *Side) arguments(q Statement) []any {
	args := make([]any, 0, len(q.Args)+1)
	args = append(args, d.s.tenant)
	for _, a := range q.Args {
		switch a := a.(type) {
		case string:
			args = append(args, printable(a))
		case []string:
			list := make([]string, len(a))
			for i := range a {
				list[i] = printable(a[i])
			}
			args = append(args, list)
		default:
			args = append(args, a)
		}
	}
	return args
}

// Query calls row with each row of a query. The limit is the maximum duration; 0 is that of other reads.
func (d *Side) Query(op string, limit time.Duration, q Statement, row func(scan func(...any) error) error) error {
	return d.query(d.reads, op, limit, q, row)
}

// QueryLoose is Query for data that can be rebuilt.
func (d *Side) QueryLoose(op string, limit time.Duration, q Statement, row func(scan func(...any) error) error) error {
	return d.query(d.loose, op, limit, q, row)
}

func (d *Side) query(pool *pgxpool.Pool, op string, limit time.Duration, q Statement, row func(scan func(...any) error) error) error {
	if limit == 0 {
		limit = sideTime
	}
	err := d.s.read(d.s.ctx, limit, func(ctx context.Context) error {
		rows, err := pool.Query(ctx, q.SQL, d.arguments(q)...)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			if err := row(rows.Scan); err != nil {
				return err
			}
		}
		return rows.Err()
	})
	return wrap(op, err)
}

// Write runs statements as one transaction and returns after its commit. A commit that takes too long is not cancelled, and in
// doubt. read reads the results of the statements; nil ignores them. What it sets is not to be used after an error.
func (d *Side) Write(op string, read func(pgx.BatchResults) error, statements ...Statement) error {
	return wrap(op, d.write(read, statements))
}

func (d *Side) write(read func(pgx.BatchResults) error, statements []Statement) error {
	if err := d.s.usable(); err != nil {
		return err
	}
	if d.s.guard != nil && d.s.guard.unwell() != nil { // it would only wait
		return errRefused
	}
	ctx, cancel := context.WithTimeout(d.s.ctx, sideTime)
	defer cancel()
	conn, err := d.changes.Acquire(ctx) // nothing was sent if it fails
	if err != nil {
		return d.s.closedOr(err)
	}
	b := &pgx.Batch{}
	for _, q := range statements {
		b.Queue(q.SQL, d.arguments(q)...)
	}
	done := make(chan error, 1)
	if !d.s.goWrite(func() { done <- d.send(conn, b, read) }) {
		conn.Release()
		return ErrClosed
	}
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return doubt(ctx.Err())
	}
}

// WriteLoose runs one statement on data that can be rebuilt, and returns the number of rows that it changed. The commit waits
// for no disk, and may be lost.
func (d *Side) WriteLoose(op string, q Statement) (n int, err error) {
	err = d.s.read(d.s.ctx, sideTime, func(ctx context.Context) error {
		done, err := d.loose.Exec(ctx, q.SQL, d.arguments(q)...)
		n = int(done.RowsAffected())
		return err
	})
	return n, wrap(op, err)
}

func (d *Side) send(conn *pgxpool.Conn, b *pgx.Batch, read func(pgx.BatchResults) error) (err error) {
	defer conn.Release()
	for range sendTries {
		if err = sendOnce(d.s.commits, conn.Conn(), b, read); classOf(err) != Conflict {
			return err
		}
	}
	return err
}

// Is reports whether the fault is browse.ErrAway: it is none of what was asked for.
func (f *Fault) Is(target error) bool {
	return target == browse.ErrAway && (f.Class == Away || f.Class == Doubt || f.Class == Full || f.Class == Conflict || f.Class == Crowded)
}
