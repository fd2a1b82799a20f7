package pgstore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// ErrServed reports that another ringhook with the same node name serves from the database.
var ErrServed = errors.New("another ringhook serves from this database")

const (
	// probeEvery is the time between two looks at the engine.
	probeEvery = time.Second
	// probeTime is the time after which an engine that has not confirmed a commit counts as away.
	probeTime = time.Second
	// enterTime bounds what comes before the first commit, with the steps of a migration.
	enterTime = time.Minute
	// serverLock is the advisory lock that all ringhooks share which serve from the database, with the tenant as its second
	// number. A ringhook from before there were several has it alone.
	serverLock = 0x52485356
	// leaveTime bounds what a node says at its end.
	leaveTime = 2 * time.Second
)

var (
	errNotYet  = errors.New("not connected yet")
	errRefused = &Fault{Op: "use PostgreSQL", Class: Away, Err: errors.New("it is away")}
	errSlow    = errors.New("the engine has not confirmed a commit for " + probeTime.String() + ": it is overloaded, or its synchronous standby is away")
)

// guard keeps what a server may use of the engine. It holds the lock of the node's name on a connection of its own, and
// commits every second that the node is alive. While that fails, all operations of the store fail at once: no call waits for an engine
// that is away. While only commits hang, records are still queued: they may be stored later. What an operation finds out about
// the engine has the guard look at once.
type guard struct {
	s      *Store
	name   string        // of the node
	kick   chan struct{} // has the engine looked at now
	gone   chan struct{} // closed when the guard has ended
	ctx    context.Context
	end    context.CancelFunc // ends the guard
	warned string             // by the engine, since the probe began; only start and run use it

	mu     sync.Mutex
	err    error    // why the engine cannot be used, nil if it can; guarded by mu
	slow   error    // why it is not well although it can be used; nil if it is; guarded by mu
	logged Class    // of either, as the log has it; guarded by mu
	hooks  []string // whose counts are to be added when the engine is back; guarded by mu
}

func newGuard(s *Store, name string) *guard {
	g := &guard{s: s, name: name, kick: make(chan struct{}, 1), gone: make(chan struct{}), err: errNotYet}
	g.ctx, g.end = context.WithCancel(s.ctx)
	return g
}

// refusal returns why the engine cannot be used now, nil if it can.
func (g *guard) refusal() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.err == nil {
		return nil
	}
	return errRefused // the log has the cause, once
}

// unwell returns why the engine is not well, nil if it is.
func (g *guard) unwell() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.err != nil {
		return errors.New(oneLine(g.err))
	}
	return g.slow
}

// oneLine returns the text of an error, with each of its lines once: a connection is tried in several ways.
func oneLine(err error) string {
	var lines []string
	for line := range strings.Lines(err.Error()) {
		if line = strings.TrimSpace(line); !slices.Contains(lines, line) {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, " ")
}

// suspect takes an error of an operation into account: until the guard has looked, all operations are refused. It logs
// nothing, because the engine may be well: a connection may have been one from before a restart.
func (g *guard) suspect(err error) {
	if class := classOf(err); class != Away && class != Doubt || g.s.ctx.Err() != nil || errors.Is(err, ErrClosed) {
		return
	}
	g.mu.Lock()
	if g.err == nil {
		g.err = err
	}
	g.mu.Unlock()
	g.look()
}

// look has the engine looked at now. It does not wait.
func (g *guard) look() {
	select {
	case g.kick <- struct{}{}:
	default:
	}
}

// down refuses all operations.
func (g *guard) down(err error) {
	if g.ctx.Err() != nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.err = err
	g.report(err)
}

// hang notes that commits do not return.
func (g *guard) hang() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.slow = errSlow
	g.report(errSlow)
}

// report logs an error, once for each kind. The caller holds mu.
func (g *guard) report(err error) {
	if class := classOf(err); g.logged != class {
		g.logged = class
		g.s.log.Error("PostgreSQL cannot be used", "class", string(class), "err", oneLine(err), "hint", "lookups continue, see ringhook engine check")
	}
}

// up allows operations.
func (g *guard) up() {
	g.mu.Lock()
	if g.logged != "" {
		g.s.log.Info("PostgreSQL can be used again")
	}
	g.err, g.slow, g.logged = nil, nil, ""
	names := g.hooks
	g.hooks = nil
	g.mu.Unlock()
	if g.s.w.failed.Load() != nil {
		g.s.w.probe()
	}
	if names == nil {
		return
	}
	ctx, cancel := context.WithTimeout(g.s.ctx, connectTime)
	defer cancel()
	if err := g.s.Outbox().EnsureHooks(ctx, names); err != nil {
		g.later(names)
	}
}

// later has the counts of hooks added when the engine is back.
func (g *guard) later(names []string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.hooks = names
}

// start connects for the first time. The error says what the administrator has to correct; an engine that is away is none.
// The context bounds the wait for another server that ends.
func (g *guard) start(ctx context.Context) error {
	var served error
	for {
		conn, err := g.enter(ctx)
		switch {
		case err == nil:
			g.up()
		case served != nil && ctx.Err() != nil:
			return served
		case errors.Is(err, ErrServed):
			served = err
			select {
			case <-ctx.Done():
				return err
			case <-time.After(probeEvery):
			}
			continue
		case errors.Is(err, ErrNoSchema), errors.Is(err, ErrNewer), errors.Is(err, ErrOutdated), errors.Is(err, ErrEncoding):
			return err
		default:
			g.down(err)
		}
		go g.run(conn)
		return nil
	}
}

// run watches the engine until the store is closed. conn is nil if there is no connection yet.
func (g *guard) run(conn *pgx.Conn) {
	defer close(g.gone)
	defer func() {
		if conn != nil { // the store was closed as soon as it was open
			_ = conn.Close(g.s.commits)
		}
	}()
	for g.ctx.Err() == nil {
		err := error(nil)
		if conn == nil {
			conn, err = g.enter(g.ctx)
		}
		if err == nil {
			err = g.watch(conn)
			// It may be broken; there is nothing more to do with it.
			_ = conn.Close(g.s.commits)
			conn = nil
		}
		g.down(err)
		select {
		case <-g.ctx.Done():
		case <-time.After(probeEvery):
		}
	}
}

// enter connects, takes the lock of the node's name and applies the steps that the schema lacks.
func (g *guard) enter(ctx context.Context) (*pgx.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, enterTime)
	defer cancel()
	conn, err := connect(ctx, g.s.dsn, g.notice)
	if err != nil {
		return nil, err
	}
	if err = takeNodeLock(ctx, conn, g.s.tenant, g.name); err == nil {
		err = checkSchema(ctx, conn)
	}
	if errors.Is(err, ErrOutdated) {
		err = migrate(ctx, conn)
		if class := classOf(err); err != nil && class != Away {
			err = fmt.Errorf("%w, and cannot be changed: %w", ErrOutdated, err)
		}
	}
	if err == nil {
		err = g.s.beginClock(ctx, conn)
	}
	if err != nil {
		return nil, errors.Join(err, conn.Close(ctx))
	}
	return conn, nil
}

// takeNodeLock takes the lock of a node's name, which lasts as long as the connection.
func takeNodeLock(ctx context.Context, conn *pgx.Conn, tenant int, name string) error {
	var shared, taken bool
	err := conn.QueryRow(ctx, "select pg_try_advisory_lock_shared($1::integer, $2::integer)", serverLock, tenant).Scan(&shared)
	if err == nil && !shared {
		return fmt.Errorf("%w, of a version that shares it with none: stop it", ErrServed)
	}
	if err == nil { // no lane begins with a blank and these words
		err = conn.QueryRow(ctx, "select pg_try_advisory_lock(hashtextextended($1, $2::integer))", " node "+name, tenant).Scan(&taken)
	}
	if err != nil {
		return wrap("take the lock of the node's name", err)
	}
	if !taken {
		return fmt.Errorf("%w as node %q%s: stop it, or set [store] node to a name of its own", ErrServed, name, addressOf(ctx, conn, tenant, name))
	}
	return nil
}

// addressOf returns where a node is, as the end of a phrase, empty if that is not known.
func addressOf(ctx context.Context, conn *pgx.Conn, tenant int, name string) string {
	var address string
	err := conn.QueryRow(ctx, "select address from ringhook.node where tenant = $1 and name = $2", tenant, name).Scan(&address)
	if err != nil || address == "" {
		return ""
	}
	return " from " + address
}

// watch probes the engine until that fails.
func (g *guard) watch(conn *pgx.Conn) error {
	for {
		if err := g.probe(conn); err != nil {
			return err
		}
		g.up()
		select {
		case <-g.ctx.Done():
			g.leave(conn)
			return ErrClosed
		case <-g.kick:
		case <-time.After(probeEvery):
		}
	}
}

// leave reports the end of the node.
func (g *guard) leave(conn *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.Background(), leaveTime)
	defer cancel()
	if err := g.s.member.Leave(ctx, conn); err != nil {
		g.s.log.Warn("cannot leave the other nodes: they notice it within seconds", "err", oneLine(err))
	}
}

// dueOf returns the hooks of a list for which something is due.
const dueOf = `select h.hook from unnest($2::text[]) h (hook) where exists (select from ringhook.delivery d
	where d.tenant = $1 and d.hook = h.hook and d.shard = 0 and d.state = 0 and d.next_at <= clock_timestamp())`

// poll wakes the hooks of which other nodes may have accepted deliveries without being heard.
func (g *guard) poll(conn *pgx.Conn) error {
	held := g.s.member.Held()
	if g.s.member.Alone() || len(held) == 0 {
		return nil
	}
	rows, err := conn.Query(g.s.commits, dueOf, g.s.tenant, held)
	if err != nil {
		return err
	}
	due, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err == nil && len(due) > 0 {
		g.s.member.Wake(due...)
	}
	return err
}

// probe commits that the node is alive, with its leases, and waits for it in full: a commit is never cancelled.
func (g *guard) probe(conn *pgx.Conn) error {
	told := make(chan struct{})
	slow := time.AfterFunc(probeTime, func() {
		defer close(told)
		g.hang()
	})
	g.warned = ""
	err := g.s.member.Beat(g.s.commits, conn, g.confirmed)
	for range sendTries {
		if classOf(err) == Conflict {
			err = g.s.member.Beat(g.s.commits, conn, g.confirmed)
		}
	}
	if err == nil {
		err = g.poll(conn)
	}
	if !slow.Stop() {
		<-told
	}
	return wrap("commit to PostgreSQL", err)
}

// confirmed returns a warning of the engine since the probe began as an error of a commit in doubt.
func (g *guard) confirmed() error {
	if g.warned == "" {
		return nil
	}
	return doubt(errors.New(g.warned))
}

// notice is called by the connection while the guard reads from it.
func (g *guard) notice(n *pgconn.Notice) {
	if n.SeverityUnlocalized == "WARNING" {
		g.warned = n.Message
	}
}
