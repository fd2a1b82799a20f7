// Package node lets several ringhooks serve from one database. It lists those that are alive,
// and grants leases: what only one of them may do at a time is done by the one that has its lease.
//
// Time is that of the engine alone, so that the nodes' clocks need not agree. A node that does not
// reach the engine notices by its own monotonic clock that its leases end.
package node

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"ringhook/hooks"
)

const (
	// duration is the time for which a lease is granted, and after which a node that was not seen is not alive.
	duration = 15 * time.Second
	// renewEvery is the time after which a lease is renewed.
	renewEvery = 5 * time.Second
	// useFor is the time after the last renewal for which a lease may be used, by the node's monotonic clock: what was begun
	// at its end has the rest of the lease to be finished.
	useFor = 10 * time.Second
)

// Self is what this ringhook says of itself.
type Self struct {
	// Name is the name of the node, which no other one of the database has.
	Name string
	// Version is that of ringhook.
	Version string
}

// Node is a ringhook that serves from the database.
type Node struct {
	Name    string
	Address string // as the engine sees it; empty for a socket
	Version string
	Seen    time.Duration // ago
	Live    bool
	Config  map[string]string // digests of the parts of its configuration, by their names
	Hooks   []string          // that its configuration has
	Ahead   time.Duration     // of its clock against the engine's
	wants   []string
}

// Member is this node. Leases are granted and renewed by Beat.
type Member struct {
	self   Self
	tenant int
	log    *slog.Logger
	kick   func() // makes this node call Beat soon
	notify func() // makes the other nodes call Beat soon
	now    func() time.Time

	mu       sync.Mutex
	hooks    []string          // configured; guarded by mu
	config   map[string]string // guarded by mu
	works    map[string]*work  // that wait for a lease or have it, by its name; guarded by mu
	returned []*Lease          // not in the table yet; guarded by mu
	live     []Node            // at the last Beat, in the order of their names; guarded by mu
	lost     int               // leases; guarded by mu
	ahead    time.Duration     // of this node's clock; guarded by mu
	differs  string            // what of the configuration differs, as it was logged; guarded by mu
}

// NewMember returns a node. kick makes this node call Beat soon, and notify the other nodes; neither may wait.
func NewMember(self Self, tenant int, log *slog.Logger, kick, notify func()) *Member {
	return &Member{self: self, tenant: tenant, log: log, kick: kick, notify: notify, now: time.Now, works: map[string]*work{}}
}

// SetHooks sets the hooks of the configuration.
func (m *Member) SetHooks(names []string) {
	m.mu.Lock()
	m.hooks = slices.Clone(names)
	m.mu.Unlock()
	m.kick()
}

// SetConfig sets digests of the parts of the configuration, by the names of the parts.
func (m *Member) SetConfig(digests map[string]string) {
	m.mu.Lock()
	m.config = maps.Clone(digests)
	m.mu.Unlock()
	m.kick()
}

// Configured reports whether the configuration of a live node has a hook.
func (m *Member) Configured(hook string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.ContainsFunc(m.live, func(n Node) bool { return slices.Contains(n.Hooks, hook) })
}

// Alone reports whether no other node was alive at the last Beat.
func (m *Member) Alone() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.live) < 2
}

// Facts is what a node knows of itself and the others.
type Facts struct {
	Nodes   int             // that are alive
	Differs bool            // the configuration of one of them differs
	Lost    int             // leases that this node did not return
	Ahead   time.Duration   // of this node's clock against the engine's
	Holds   map[string]bool // by the names of this node's leases and of those that it wants
}

// Facts returns what was known at the last Beat.
func (m *Member) Facts() Facts {
	m.mu.Lock()
	defer m.mu.Unlock()
	f := Facts{Nodes: len(m.live), Differs: m.differs != "", Lost: m.lost, Ahead: m.ahead, Holds: make(map[string]bool, len(m.works))}
	for name, w := range m.works {
		f.Holds[name] = w.lease != nil && w.lease.Valid()
	}
	return f
}

const (
	setNode = `insert into ringhook.node (tenant, name, address, seen, version, config, hooks, wants, ahead)
		values ($1, $2, coalesce(host(inet_client_addr()), ''), clock_timestamp(), $3, $4, $5, $6, $7)
		on conflict (tenant, name) do update set address = excluded.address, seen = excluded.seen, version = excluded.version,
			config = excluded.config, hooks = excluded.hooks, wants = excluded.wants, ahead = excluded.ahead`
	returnLeases = `update ringhook.lease set node = '', until = clock_timestamp()
		where tenant = $1 and node = $2 and (hook, epoch) in (select * from unnest($3::text[], $4::bigint[]))`
	renewLeases = `update ringhook.lease set until = clock_timestamp() + $5::interval
		where tenant = $1 and node = $2 and (hook, epoch) in (select * from unnest($3::text[], $4::bigint[]))`
	selectNodes = `select name, address, version, config, hooks, wants, ahead, clock_timestamp() - seen,
			seen > clock_timestamp() - $2::interval and seen <= clock_timestamp() + $2::interval
		from ringhook.node where tenant = $1 order by name`
	// A lease that lasts longer than any is from before the engine's clock was set back.
	free         = "(node in ('', $2) or until <= clock_timestamp() or until > clock_timestamp() + $3::interval)"
	selectLeases = `select hook, node, epoch, ` + free + ` from ringhook.lease where tenant = $1 and shard = 0`
	addLeases    = `insert into ringhook.lease (tenant, hook, node, epoch, until)
		select $1, hook, '', 0, clock_timestamp() from unnest($2::text[]) hook order by hook on conflict do nothing`
	takeLeases = `with chosen as materialized (
			select hook from ringhook.lease where tenant = $1 and shard = 0 and hook = any ($4::text[]) and ` + free + ` order by hook for update skip locked
		)
		update ringhook.lease l set node = $2, epoch = nextval('ringhook.lease_epoch'), until = clock_timestamp() + $3::interval
			from chosen where l.tenant = $1 and l.shard = 0 and l.hook = chosen.hook returning l.hook, l.epoch`
	removeNode = "delete from ringhook.node where tenant = $1 and name = $2"
	returnAll  = "update ringhook.lease set node = '', until = clock_timestamp() where tenant = $1 and node = $2"
)

// row is a lease in the table.
type row struct {
	node  string
	epoch int64
	free  bool // or this node's own
}

// Beat reports to the engine that this node is alive, renews and returns its leases, and takes those that it is to have. It
// commits at least one change. The context must not end while a commit may be waited for. confirmed returns why the last commit
// may not be on the standby: what it changed does not count then, because a failover would undo it.
func (m *Member) Beat(ctx context.Context, conn *pgx.Conn, confirmed func() error) error {
	b := m.begin()
	rows, err := m.exchange(ctx, conn, &b, confirmed)
	if err != nil {
		return err
	}
	if len(b.returned) > 0 {
		m.notify() // others may want them
	}
	wanted := m.decide(rows)
	if len(wanted) == 0 {
		return nil
	}
	return m.take(ctx, conn, wanted, confirmed)
}

// beat is what Beat sends.
type beat struct {
	at       time.Time
	config   string
	hooks    []string
	wants    []string
	ahead    time.Duration
	renew    []*Lease
	returned []*Lease
}

func (m *Member) begin() beat {
	m.mu.Lock()
	defer m.mu.Unlock()
	b := beat{at: m.now(), hooks: append([]string{}, m.hooks...), wants: []string{}, ahead: m.ahead, returned: slices.Clone(m.returned)}
	for name, w := range m.works {
		b.wants = append(b.wants, name)
		if w.lease != nil && b.at.Sub(*w.lease.renewed.Load()) >= renewEvery {
			b.renew = append(b.renew, w.lease)
		}
	}
	slices.Sort(b.hooks)
	slices.Sort(b.wants)
	text, err := json.Marshal(m.config)
	if err != nil { // of texts there is no error
		text = []byte("{}")
	}
	b.config = string(text)
	return b
}

// columns returns the names and epochs of leases.
func columns(list []*Lease) (names []string, epochs []int64) {
	names, epochs = []string{}, []int64{}
	for _, l := range list {
		names, epochs = append(names, l.name), append(epochs, l.epoch)
	}
	return names, epochs
}

// exchange sends a beat in one transaction, and takes what the engine says of nodes and leases into account.
func (m *Member) exchange(ctx context.Context, conn *pgx.Conn, b *beat, confirmed func() error) (rows map[string]row, err error) {
	batch := &pgx.Batch{}
	if len(b.returned) > 0 {
		names, epochs := columns(b.returned)
		batch.Queue(returnLeases, m.tenant, m.self.Name, names, epochs)
	}
	if len(b.renew) > 0 {
		names, epochs := columns(b.renew)
		batch.Queue(renewLeases, m.tenant, m.self.Name, names, epochs, duration)
	}
	batch.Queue(setNode, m.tenant, m.self.Name, m.self.Version, b.config, b.hooks, b.wants, b.ahead)
	var nodes []Node
	batch.Queue(selectNodes, m.tenant, duration).Query(func(rows pgx.Rows) (err error) {
		nodes, err = collectNodes(rows)
		return err
	})
	rows = map[string]row{}
	batch.Queue(selectLeases, m.tenant, m.self.Name, duration).Query(func(found pgx.Rows) error {
		var name string
		var r row
		_, err := pgx.ForEachRow(found, []any{&name, &r.node, &r.epoch, &r.free}, func() error {
			rows[name] = r
			return nil
		})
		return err
	})
	var engine time.Time
	batch.Queue("select clock_timestamp()").QueryRow(func(found pgx.Row) error { return found.Scan(&engine) })
	if err = conn.SendBatch(ctx, batch).Close(); err == nil {
		err = confirmed()
	}
	if err != nil {
		return nil, err
	}
	m.see(b, rows, nodes, engine)
	return rows, nil
}

func collectNodes(rows pgx.Rows) (nodes []Node, err error) {
	var n Node
	var config string
	_, err = pgx.ForEachRow(rows, []any{&n.Name, &n.Address, &n.Version, &config, &n.Hooks, &n.wants, &n.Ahead, &n.Seen, &n.Live}, func() error {
		n.Config = nil
		if err := json.Unmarshal([]byte(config), &n.Config); err != nil {
			return fmt.Errorf("read the configuration of node %s: %w", n.Name, err)
		}
		nodes = append(nodes, n)
		n.Hooks, n.wants = nil, nil
		return nil
	})
	return nodes, err
}

// see takes the engine's answer to a beat into account.
func (m *Member) see(b *beat, rows map[string]row, nodes []Node, engine time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.now()
	if took := now.Sub(b.at); took < duration/10 { // else the measurement is too inexact
		m.ahead = now.Sub(engine) - took/2
	}
	for name, w := range m.works {
		switch r := rows[name]; {
		case w.lease == nil:
		case r.node != m.self.Name || r.epoch != w.lease.epoch:
			m.lose(name, w)
		case slices.Contains(b.renew, w.lease):
			w.lease.renewed.Store(&b.at)
		}
	}
	m.returned = m.returned[len(b.returned):]
	m.live = slices.DeleteFunc(nodes, func(n Node) bool { return !n.Live })
	m.compare()
}

// lose ends a lease that another node has. The caller holds mu.
func (m *Member) lose(name string, w *work) {
	w.lease.renewed.Store(&time.Time{})
	w.lease.cancel()
	w.lease = nil
	m.lost++
	m.log.Warn("lease lost: another node does the work now", "of", strings.TrimSpace(name))
}

// decide returns the leases that this node is to take, and ends those that others are to have.
func (m *Member) decide(rows map[string]row) (wanted []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	holders := map[string]string{}
	for name, r := range rows {
		if !r.free || r.node == m.self.Name {
			holders[name] = r.node
		}
	}
	for name, node := range assign(m.live, holders) {
		w := m.works[name]
		switch {
		case w == nil:
		case w.lease != nil && node != m.self.Name:
			w.lease.cancel() // what uses it returns it
		case w.lease == nil && w.granted != nil && node == m.self.Name && (rows[name].free || rows[name].node == ""):
			wanted = append(wanted, name)
		}
	}
	slices.Sort(wanted)
	return wanted
}

// take takes leases in the table and grants them.
func (m *Member) take(ctx context.Context, conn *pgx.Conn, wanted []string, confirmed func() error) error {
	at := m.now()
	batch := &pgx.Batch{}
	batch.Queue(addLeases, m.tenant, wanted)
	epochs := map[string]int64{}
	batch.Queue(takeLeases, m.tenant, m.self.Name, duration, wanted).Query(func(rows pgx.Rows) error {
		var name string
		var epoch int64
		_, err := pgx.ForEachRow(rows, []any{&name, &epoch}, func() error {
			epochs[name] = epoch
			return nil
		})
		return err
	})
	err := conn.SendBatch(ctx, batch).Close()
	if err == nil {
		err = confirmed()
	}
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for name, epoch := range epochs {
		m.grant(name, epoch, at)
	}
	return nil
}

// Leave removes the node and returns its leases, so that the others need not wait for their end.
func (m *Member) Leave(ctx context.Context, conn *pgx.Conn) error {
	batch := &pgx.Batch{}
	batch.Queue(returnAll, m.tenant, m.self.Name)
	batch.Queue(removeNode, m.tenant, m.self.Name)
	err := conn.SendBatch(ctx, batch).Close()
	m.notify()
	return err
}

// compare logs once which parts of the configuration differ from those of other live nodes. The caller holds mu.
func (m *Member) compare() {
	var parts, nodes []string
	for i := range m.live {
		n := &m.live[i]
		if n.Name == m.self.Name {
			continue
		}
		if different := Different(m.config, n.Config); len(different) > 0 {
			nodes = append(nodes, n.Name)
			parts = append(parts, different...)
		}
	}
	differs := ""
	if len(nodes) > 0 {
		slices.Sort(parts)
		differs = strings.Join(slices.Compact(parts), ", ") + " at " + strings.Join(nodes, ", ")
	}
	if differs != "" && differs != m.differs {
		m.log.Warn("configurations of the nodes differ", "parts", differs,
			"hint", "each node accepts events by its own configuration: give all nodes the same files and reload them")
	}
	m.differs = differs
}

// Different returns the parts whose digests differ between two configurations. Nodes that have not said theirs yet differ in
// nothing.
func Different(a, b map[string]string) (parts []string) {
	if len(a) == 0 || len(b) == 0 {
		return nil
	}
	for part, digest := range a {
		if b[part] != digest {
			parts = append(parts, part)
		}
	}
	for part := range b {
		if _, has := a[part]; !has {
			parts = append(parts, part)
		}
	}
	slices.Sort(parts)
	return parts
}

var _ hooks.Leases = (*Member)(nil)
