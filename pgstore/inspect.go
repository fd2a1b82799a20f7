package pgstore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"ringhook/pgstore/node"
)

// Report is what Inspect found out about an engine.
type Report struct {
	Server    string        // the version of PostgreSQL
	RoundTrip time.Duration // of a statement
	Commit    time.Duration // of a commit that writes; 0 if none was made
	Schema    int           // the number of steps that the schema has; 0 without a schema
	// Synchronous and Standbys are the settings synchronous_commit and synchronous_standby_names. ringhook sets the
	// first itself, for its own connections.
	Synchronous, Standbys string
	Replicas              []Replica
	Ahead                 time.Duration // by which this machine's clock is ahead of the engine's
	Served                bool          // a ringhook serves from the database now
	Nodes                 []node.Node   // that serve from the database, or did
	Faults                []string      // why ringhook cannot work, or loses what it promises
	Doubts                []string      // what may be a mistake
}

// Replica is a server that copies the engine's data.
type Replica struct{ Name, Address, State, Sync string }

// Safe reports whether a commit is on a second machine before it returns.
func (r *Report) Safe() bool {
	return r.Standbys != "" && slices.ContainsFunc(r.Replicas, func(p Replica) bool { return p.Sync == "sync" || p.Sync == "quorum" })
}

const (
	// inspectTime bounds the commit that is tried: without its standby the engine does not return from it.
	inspectTime = 5 * time.Second
	// skewDoubt is the difference of clocks that is pointed out.
	skewDoubt = time.Second
	// oldestServer is the oldest version of PostgreSQL that has what ringhook needs, as server_version_num.
	oldestServer = 130000
)

// Inspect looks at an engine. The error says why it cannot be reached. The context bounds the time.
func Inspect(ctx context.Context, cfg Config) (r *Report, err error) {
	conn, err := connect(ctx, cfg.DSN, nil)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, conn.Close(ctx)) }()
	r = &Report{}
	if err := r.server(ctx, conn); err != nil {
		return nil, err
	}
	if err := r.replication(ctx, conn); err != nil {
		return nil, err
	}
	if err := r.clock(ctx, conn); err != nil {
		return nil, err
	}
	if err := r.schema(ctx, conn, cfg.Tenant); err != nil {
		return nil, err
	}
	r.tryCommit(ctx, cfg.DSN)
	return r, nil
}

func (r *Report) fault(format string, args ...any) {
	r.Faults = append(r.Faults, fmt.Sprintf(format, args...))
}

func (r *Report) doubt(format string, args ...any) {
	r.Doubts = append(r.Doubts, fmt.Sprintf(format, args...))
}

// server reads what the server is and how it is set.
func (r *Report) server(ctx context.Context, conn *pgx.Conn) error {
	var number int
	var encoding, readOnly, fsync string
	err := conn.QueryRow(ctx, `select current_setting('server_version'), current_setting('server_version_num')::integer, current_setting('server_encoding'),
		current_setting('transaction_read_only'), current_setting('fsync'), current_setting('synchronous_commit'), current_setting('synchronous_standby_names')`).
		Scan(&r.Server, &number, &encoding, &readOnly, &fsync, &r.Synchronous, &r.Standbys)
	if err != nil {
		return wrap("read the settings of the engine", err)
	}
	if number < oldestServer {
		r.fault("PostgreSQL %s is too old: ringhook needs %d", r.Server, oldestServer/10000)
	}
	if encoding != "UTF8" {
		r.fault("the database is in %s: create one with encoding UTF8", encoding)
	}
	if readOnly == "on" {
		r.fault("the server accepts no changes: it is a standby; name the primary in dsn, or all servers with target_session_attrs=read-write")
	}
	if fsync == "off" {
		r.fault("fsync is off: a power cut loses what was acknowledged, and may destroy the database")
	}
	return nil
}

// replication finds out whether commits wait for a second machine.
func (r *Report) replication(ctx context.Context, conn *pgx.Conn) error {
	rows, err := conn.Query(ctx, `select coalesce(application_name, ''), coalesce(host(client_addr), ''), coalesce(state, ''), coalesce(sync_state, '')
		from pg_stat_replication order by 1, 2`)
	if err != nil {
		return wrap("list the replicas of the engine", err)
	}
	r.Replicas, err = pgx.CollectRows(rows, pgx.RowToStructByPos[Replica])
	if err != nil {
		return wrap("list the replicas of the engine", err)
	}
	hidden := slices.ContainsFunc(r.Replicas, func(p Replica) bool { return p.State == "" })
	switch {
	case r.Standbys == "":
	case hidden:
		r.doubt("the user may not see which standby commits wait for: GRANT pg_monitor TO the user of dsn")
	case !r.Safe():
		r.fault("commits wait for a second machine (synchronous_standby_names = %s), and none of them is connected: they do not return", r.Standbys)
	}
	return nil
}

// clock compares the clocks.
func (r *Report) clock(ctx context.Context, conn *pgx.Conn) error {
	for range 5 { // the shortest round trip is the most exact one
		var now time.Time
		start := time.Now()
		if err := conn.QueryRow(ctx, "select clock_timestamp()").Scan(&now); err != nil {
			return wrap("read the clock of the engine", err)
		}
		if took := time.Since(start); r.RoundTrip == 0 || took < r.RoundTrip {
			r.RoundTrip, r.Ahead = took, start.Add(took/2).Sub(now)
		}
	}
	if r.Ahead.Abs() >= skewDoubt {
		r.doubt("the clocks of this machine and of the engine differ by %s: check both", r.Ahead.Abs().Round(time.Millisecond))
	}
	return nil
}

// schema checks the schema, and the rights in it.
func (r *Report) schema(ctx context.Context, conn *pgx.Conn, tenant int) error {
	version, err := schemaVersion(ctx, conn)
	switch denied := codeOf(err) == "42501"; {
	case errors.Is(err, ErrNoSchema), errors.Is(err, ErrNewer):
		r.Schema = version
		r.fault("%v", err)
		return nil
	case denied:
		r.fault("the user of dsn may not use the schema ringhook: run ringhook engine init as its owner, or GRANT USAGE ON SCHEMA ringhook and all rights on its tables")
		return nil
	case err != nil:
		return err
	}
	r.Schema = version
	if err := checkSchema(ctx, conn); err != nil {
		r.fault("%v", err)
	}
	var missing []string
	rows, err := conn.Query(ctx, `
		select 'usage on ' || relname from pg_class c join pg_namespace n on n.oid = c.relnamespace
			where n.nspname = 'ringhook' and case when c.relkind = 'S' then not has_sequence_privilege(c.oid, 'usage') else false end
				and not exists (select from pg_depend d where d.objid = c.oid and d.deptype = 'i')
		union all select right_ || ' on ' || relname from pg_class c join pg_namespace n on n.oid = c.relnamespace,
			unnest(array['select', 'insert', 'update', 'delete']) right_
		where n.nspname = 'ringhook' and c.relkind = 'r' and not has_table_privilege(c.oid, right_) order by 1`) // identity columns need no right of their own
	if err == nil {
		missing, err = pgx.CollectRows(rows, pgx.RowTo[string])
	}
	if err != nil {
		return wrap("check the rights", err)
	}
	if len(missing) > 0 {
		r.fault("the user of dsn lacks rights in the schema ringhook: %s", strings.Join(missing, ", "))
	}
	if codes := []string{"42P01", "42501"}; version > 0 {
		r.Nodes, _, err = node.Status(ctx, conn, tenant)
		if slices.Contains(codes, codeOf(err)) { // the faults have it
			err = nil
		}
	}
	r.Served = slices.ContainsFunc(r.Nodes, func(n node.Node) bool { return n.Live })
	r.compare()
	return wrap("list the nodes", err)
}

// compare points out what the nodes do not agree about.
func (r *Report) compare() {
	var first *node.Node
	for i := range r.Nodes {
		n := &r.Nodes[i]
		if !n.Live {
			continue
		}
		if n.Ahead.Abs() >= skewDoubt {
			r.doubt("the clocks of node %s and of the engine differ by %s: check both", n.Name, n.Ahead.Abs().Round(time.Millisecond))
		}
		if first == nil {
			first = n
			continue
		}
		if parts := node.Different(first.Config, n.Config); len(parts) > 0 {
			r.doubt("the configurations of the nodes %s and %s differ in %s: give both the same files and reload them", first.Name, n.Name, strings.Join(parts, ", "))
		}
		if n.Version != first.Version {
			r.doubt("node %s has version %s of ringhook, and %s has %s", first.Name, first.Version, n.Name, n.Version)
		}
	}
}

// tryCommit measures a commit. It has a connection of its own, which is left to the engine if the commit does not return.
func (r *Report) tryCommit(ctx context.Context, dsn string) {
	if len(r.Faults) > 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, inspectTime)
	defer cancel()
	conn, err := connect(ctx, dsn, nil)
	if err != nil {
		r.fault("%v", err)
		return
	}
	start := time.Now()
	if _, err = conn.PgConn().Exec(ctx, written).ReadAll(); err != nil {
		r.fault("a commit has not returned within %s: %v", inspectTime, err)
		return
	}
	r.Commit = time.Since(start)
	if err := takeWarning(conn.PgConn()); err != nil {
		r.fault("%v", err)
	}
	if err := conn.Close(ctx); err != nil {
		r.fault("%v", err)
	}
}

// Nodes returns the ringhooks that serve from the database, or did in the last days, and the leases that they have.
func (s *Store) Nodes() (nodes []node.Node, leases []node.Granted, err error) {
	err = s.read(s.ctx, s.readTime, func(ctx context.Context) error {
		return s.reads.AcquireFunc(ctx, func(conn *pgxpool.Conn) (err error) {
			nodes, leases, err = node.Status(ctx, conn.Conn(), s.tenant)
			return err
		})
	})
	return nodes, leases, wrap("list the nodes", err)
}
