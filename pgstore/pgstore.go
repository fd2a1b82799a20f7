// Package pgstore keeps calls, their events and deliveries in PostgreSQL, which several
// machines share and which can keep each commit on two of them.
//
// What a commit has returned from is stored as safely as the engine's configuration promises: on
// a second machine if synchronous_standby_names is set. A commit that the engine has not confirmed, or
// only with a warning, is in doubt and counts as failed: its record may be stored. Repeats of it are
// recognised.
//
// Each node has one writer, which commits the records that wait at the same moment together. Results of
// deliveries and operators' changes have connections of their own. What keeps them apart is described in
// order.go.
package pgstore

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	"ringhook/hooks"
	"ringhook/loglimit"
	"ringhook/pgstore/node"
	"ringhook/store/browse"
)

// Config says where the engine is.
type Config struct {
	// DSN is the address of the database, as libpq takes it: a URL or key=value pairs. Hosts after the first are tried in
	// turn; target_session_attrs=read-write chooses the primary among them.
	DSN string
	// Tenant is the number of the customer whose data are used, for installations that several customers share.
	Tenant int
	// Node is what a server says of itself to the others. Its name is by default that of the host.
	Node node.Self
	// Keep has the store remove what is no longer needed after these times. Nil, as for commands: it removes nothing.
	Keep *Keep
}

// Store is an open database.
type Store struct {
	tenant int
	log    *slog.Logger
	limit  *loglimit.Limiter // for log lines that calls can cause
	clock  *clock
	reads  *pgxpool.Pool
	// searches are reads of operators, which may take long.
	searches *pgxpool.Pool
	// changes commits everything but records. Reads have connections of their own: commits may keep theirs for as long as
	// the standby is away.
	changes *pgxpool.Pool
	side    *Side
	w       *writer
	dsn     string
	guard   *guard       // nil for a command
	member  *node.Member // nil for a command
	wire    *node.Wire   // nil for a command
	wired   sync.WaitGroup

	ctx       context.Context // of reads; ends when the store is closed
	stop      context.CancelFunc
	commits   context.Context // ends when commits are not waited for any longer
	abandon   context.CancelFunc
	closeTime time.Duration // closeTime; a test has its own
	readTime  time.Duration // readTime; a test has its own

	maintainEvery, recoverEvery time.Duration // likewise

	configured atomic.Pointer[[]string] // the configured hooks; nil before SetConfiguredHooks
	endUpkeep  context.CancelFunc
	upkeep     sync.WaitGroup

	mu     sync.Mutex
	closed bool           // guarded by mu
	writes sync.WaitGroup // Go is guarded by mu
}

// closeTime is the maximum time that Close waits for commits.
const closeTime = 10 * time.Second

// Open opens a database for a command, whether a server is running or not. Migrate must have brought its schema up to date.
// The context bounds the time.
func Open(ctx context.Context, cfg Config, log *slog.Logger) (*Store, error) {
	return open(ctx, cfg, log, nil)
}

// open is Open with a clock of the test, which stands for the engine's and the node's.
func open(ctx context.Context, cfg Config, log *slog.Logger, now func() time.Time) (*Store, error) {
	conn, err := connect(ctx, cfg.DSN, nil)
	if err != nil {
		return nil, err
	}
	err = checkSchema(ctx, conn)
	if err = errors.Join(err, conn.Close(ctx)); err != nil {
		return nil, err
	}
	s, err := newStore(cfg, log, now)
	if err != nil {
		return nil, err
	}
	if err := s.look(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	s.begin(cfg)
	return s, nil
}

// OpenServer opens a database for a ringhook that serves from it, and applies the steps that its schema lacks. An
// engine that is away is no error: until it is back, all operations fail at once with the class Away. The context bounds
// the wait for another server with the same node name to end. The registerer may be nil.
func OpenServer(ctx context.Context, cfg Config, log *slog.Logger, reg prometheus.Registerer) (*Store, error) {
	if cfg.Node.Name == "" {
		host, err := os.Hostname()
		if err != nil {
			return nil, fmt.Errorf("find the name of the node: %w", err)
		}
		cfg.Node.Name = host
	}
	s, err := newStore(cfg, log, nil)
	if err != nil {
		return nil, err
	}
	s.guard = newGuard(s, cfg.Node.Name)
	s.wire = node.NewWire(cfg.Node, cfg.Tenant, func(ctx context.Context) (*pgx.Conn, error) {
		if err := s.usable(); err != nil {
			return nil, err
		}
		return connect(ctx, cfg.DSN, nil)
	}, s.heard)
	s.member = node.NewMember(cfg.Node, cfg.Tenant, log, s.guard.look, s.wire.NotifyNodes)
	s.w.usable, s.w.lost, s.w.added = s.guard.refusal, s.guard.suspect, s.notifyHooks
	if err := s.guard.start(ctx); err != nil {
		close(s.guard.gone) // it has not begun
		return nil, errors.Join(err, s.Close())
	}
	s.wired.Go(func() { s.wire.Run(s.ctx) })
	s.begin(cfg)
	if reg != nil {
		reg.MustRegister(collector{s})
	}
	return s, nil
}

// newStore returns a store that connects when it is used.
func newStore(cfg Config, log *slog.Logger, now func() time.Time) (*Store, error) {
	s := &Store{tenant: cfg.Tenant, dsn: cfg.DSN, log: log, limit: loglimit.New(log, time.Minute), clock: newClock(now), closeTime: closeTime, readTime: readTime}
	s.maintainEvery, s.recoverEvery = maintainEvery, recoverEvery
	s.ctx, s.stop = context.WithCancel(context.Background())
	s.commits, s.abandon = context.WithCancel(context.Background())
	s.endUpkeep = func() {}
	if err := s.openPools(cfg.DSN); err != nil {
		s.stop()
		s.abandon()
		s.closePools()
		s.limit.Close()
		return nil, err
	}
	s.w = newWriter(s.commits, cfg, s.clock, log, s.limit)
	go s.w.run()
	return s, nil
}

// begin starts the upkeep, if the store is to do it.
func (s *Store) begin(cfg Config) {
	upkeep, end := context.WithCancel(s.ctx)
	s.endUpkeep = end
	if cfg.Keep != nil {
		s.upkeep.Go(func() { s.tend(upkeep) })
		s.upkeep.Go(func() { s.maintain(upkeep, *cfg.Keep) })
	}
}

// Leases returns the leases of this server, nil for a command.
func (s *Store) Leases() hooks.Leases {
	if s.member == nil {
		return nil
	}
	return s.member
}

// SetConfig sets digests of the parts of the configuration, which the nodes compare. The keys are the names of the parts.
func (s *Store) SetConfig(digests map[string]string) {
	if s.member != nil {
		s.member.SetConfig(digests)
	}
}

// heard takes a message of another node into account.
func (s *Store) heard(m node.Message) {
	if m.Nodes {
		s.guard.look()
	}
	if m.All {
		s.member.Wake()
	} else if len(m.Hooks) > 0 {
		s.member.Wake(m.Hooks...)
	}
}

// notifyHooks notifies the nodes that deliver for hooks that deliveries were added.
func (s *Store) notifyHooks(names []string) {
	names = slices.DeleteFunc(names, s.member.Holds)
	if len(names) > 0 && !s.member.Alone() {
		s.wire.NotifyHooks(names)
	}
}

// now returns the time of the engine's clock.
func (s *Store) now() time.Time { return s.clock.now() }

// Journal is the part that stores calls and their events.
func (s *Store) Journal() *Journal { return &Journal{s} }

// Outbox is the part that stores deliveries.
func (s *Store) Outbox() *Outbox { return &Outbox{s} }

// Operator is the part that shows and changes deliveries for people.
func (s *Store) Operator() *Operator { return &Operator{s} }

// Ready returns why commits fail or are slow now, nil if they work.
func (s *Store) Ready() error {
	if s.guard != nil {
		if err := s.guard.unwell(); err != nil {
			return err
		}
	}
	return s.w.healthy()
}

// Browse returns what people and programs see and change. Points are read by another store.
func (s *Store) Browse(points browse.PointReader) browse.Store {
	return browse.Store{Operator: s.Operator(), CallReader: s, PointReader: points}
}

// usable returns why the engine cannot be used now, nil if it can be tried.
func (s *Store) usable() error {
	if s.guard == nil {
		return nil
	}
	return s.guard.refusal()
}

// suspect takes an error of the engine into account.
func (s *Store) suspect(err error) {
	if s.guard != nil && err != nil {
		s.guard.suspect(err)
	}
}

// Close ends the upkeep, commits all queued records and closes the connections. Later operations return ErrClosed. Commits that the engine
// does not confirm in time are abandoned: the engine may confirm them later, and their connections end in the background.
func (s *Store) Close() error {
	s.endUpkeep()
	s.upkeep.Wait()
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	timer := time.AfterFunc(s.closeTime, func() {
		s.log.Error("engine does not answer, its commits are abandoned")
		s.abandon()
	})
	s.w.end()
	s.writes.Wait()
	if s.guard != nil { // when nothing needs the node any more
		s.guard.end()
		<-s.guard.gone
	}
	confirmed := timer.Stop()
	s.abandon()
	s.stop()
	s.wired.Wait()
	if confirmed {
		s.closePools()
	} else {
		go s.closePools() // takes as long as pgx waits for the engine to end a connection
	}
	s.limit.Close()
	return nil
}

// openPools makes the pools, which connect when they are used.
func (s *Store) openPools(dsn string) (err error) {
	if s.reads, err = newPool(s.ctx, dsn, poolSize, false); err != nil {
		return err
	}
	if s.searches, err = newPool(s.ctx, dsn, searchSize, false); err != nil {
		return err
	}
	if s.changes, err = newPool(s.ctx, dsn, poolSize, true); err != nil {
		return err
	}
	s.side, err = openSide(s, dsn)
	return err
}

// closePools closes the connections that are open.
func (s *Store) closePools() {
	for _, pool := range []*pgxpool.Pool{s.reads, s.searches, s.changes} {
		if pool != nil {
			pool.Close()
		}
	}
	if s.side != nil {
		s.side.close()
	}
}

const (
	// readTime is the maximum duration of a read.
	readTime = 10 * time.Second
	// searchTime is that of a read which may have to look at whole tables, for operators.
	searchTime = 5 * time.Minute
	// callTime is that of a read for which a call waits.
	callTime = 250 * time.Millisecond
)

// read calls f with a context that bounds a read.
func (s *Store) read(ctx context.Context, limit time.Duration, f func(context.Context) error) error {
	if err := s.usable(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	defer context.AfterFunc(s.ctx, cancel)()
	return s.closedOr(f(ctx))
}

// closedOr returns ErrClosed in place of an error of a closed store.
func (s *Store) closedOr(err error) error {
	if err != nil && s.ctx.Err() != nil {
		return ErrClosed
	}
	return err
}

// query calls each with every row of a query that an index answers.
func (s *Store) query(each func(pgx.Rows) error, sql string, args ...any) error {
	return s.rows(s.reads, s.readTime, each, sql, args)
}

// search is query for one that may have to look at whole tables.
func (s *Store) search(each func(pgx.Rows) error, sql string, args ...any) error {
	return s.rows(s.searches, searchTime, each, sql, args)
}

func (s *Store) rows(pool *pgxpool.Pool, limit time.Duration, each func(pgx.Rows) error, sql string, args []any) error {
	return s.read(s.ctx, limit, func(ctx context.Context) error {
		rows, err := pool.Query(ctx, sql, args...)
		if err == nil {
			defer rows.Close()
			for rows.Next() {
				if err := each(rows); err != nil {
					return err
				}
			}
			err = rows.Err()
		}
		if limit < searchTime { // a search may be too much for an engine that is well
			s.suspect(err)
		}
		return err
	})
}

// write sends a batch as one transaction and returns after its commit. The context ends only the wait: a
// commit is never cancelled, and its outcome is in doubt then. read reads the batch's results; nil ignores them. What it
// sets is not to be used if write fails.
func (s *Store) write(ctx context.Context, b *pgx.Batch, read func(pgx.BatchResults) error) error {
	if err := s.usable(); err != nil {
		return err
	}
	done := make(chan error, 1)
	if !s.goWrite(func() { done <- s.send(b, read) }) {
		return ErrClosed
	}
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return doubt(ctx.Err())
	}
}

// goWrite runs what writes to the engine in the background, and Close waits for it. It reports false if the store is closed.
func (s *Store) goWrite(write func()) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.writes.Go(write)
	return true
}

// sendTries is the number of times that a transaction is sent which has to make way for others.
const sendTries = 3

func (s *Store) send(b *pgx.Batch, read func(pgx.BatchResults) error) (err error) {
	for range sendTries {
		err = s.changes.AcquireFunc(s.commits, func(conn *pgxpool.Conn) error {
			return sendOnce(s.commits, conn.Conn(), b, read)
		})
		if classOf(err) != Conflict {
			break
		}
	}
	s.suspect(err)
	return err
}

// written makes a transaction write, so that its commit waits for the standby. One that changes nothing, because it repeats a
// commit in doubt, would be acknowledged although the standby does not have that.
const written = "select pg_logical_emit_message(true, 'ringhook', '')"

func sendOnce(ctx context.Context, conn *pgx.Conn, b *pgx.Batch, read func(pgx.BatchResults) error) error {
	fresh := &pgx.Batch{} // one that was sent refers to statements of its connection
	for _, q := range b.QueuedQueries {
		fresh.Queue(q.SQL, q.Arguments...)
	}
	fresh.Queue(written)
	_ = takeWarning(conn.PgConn()) // of something before
	br := conn.SendBatch(ctx, fresh)
	var err error
	if read != nil {
		err = read(br)
	}
	if closing := br.Close(); err == nil {
		err = closing
	}
	if conn.IsClosed() {
		err = doubt(err) // the commit may have come before the end of the connection
	}
	if err == nil {
		err = takeWarning(conn.PgConn())
	}
	return err
}
