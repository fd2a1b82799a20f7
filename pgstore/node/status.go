package node

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
)

// Granted is a lease as the engine has it.
type Granted struct {
	Name  string // of the hook or other work
	Node  string // that has it
	Epoch int64
	Left  time.Duration // until it ends, unless it is renewed
}

// Status returns the nodes in the order of their names, and the leases that some node has.
func Status(ctx context.Context, conn *pgx.Conn, tenant int) (nodes []Node, leases []Granted, err error) {
	rows, err := conn.Query(ctx, selectNodes, tenant, duration)
	if err == nil {
		nodes, err = collectNodes(rows)
	}
	if err != nil {
		return nil, nil, err
	}
	rows, err = conn.Query(ctx, `select hook, node, epoch, until - clock_timestamp() from ringhook.lease
		where tenant = $1 and shard = 0 and node <> '' and until > clock_timestamp() order by hook`, tenant)
	if err == nil {
		leases, err = pgx.CollectRows(rows, pgx.RowToStructByPos[Granted])
	}
	return nodes, leases, err
}
