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
)

// connectTime is the maximum duration of connecting to the engine, unless the DSN has connect_timeout.
const connectTime = 5 * time.Second

// tune sets what every connection needs. notice is called for each notice of the server; nil keeps warnings for takeWarning.
func tune(cfg *pgx.ConnConfig, notice func(*pgconn.Notice)) {
	if cfg.ConnectTimeout == 0 {
		cfg.ConnectTimeout = connectTime
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
	cfg, err := pgx.ParseConfig(dsn)
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
	cfg, err := pgxpool.ParseConfig(dsn)
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
