package pgstore

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// connectTime is the maximum duration of connecting to the engine, unless the DSN has connect_timeout.
const connectTime = 5 * time.Second

// tune sets what every connection needs. notice is called for each notice of the server; nil ignores them.
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
	if notice != nil {
		cfg.OnNotice = func(_ *pgconn.PgConn, n *pgconn.Notice) { notice(n) }
	}
	forbidCancel(cfg)
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

func connect(ctx context.Context, dsn string, notice func(*pgconn.Notice)) (*pgx.Conn, error) {
	cfg, err := pgx.ParseConfig(dsn)
	if err != nil {
		return nil, fmt.Errorf("read the dsn: %w", err)
	}
	tune(cfg, notice)
	conn, err := pgx.ConnectConfig(ctx, cfg)
	return conn, wrap("connect to PostgreSQL", err)
}

// poolSize is the maximum number of connections that read, and that settle deliveries.
const poolSize = 8

// newPool returns the connections for everything but accepting. It connects when they are used.
func newPool(ctx context.Context, dsn string) (*pgxpool.Pool, error) {
	cfg, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		return nil, fmt.Errorf("read the dsn: %w", err)
	}
	cfg.BeforeConnect = func(_ context.Context, conn *pgx.ConnConfig) error {
		tune(conn, nil)
		return nil
	}
	cfg.MaxConns = poolSize
	return pgxpool.NewWithConfig(ctx, cfg)
}
