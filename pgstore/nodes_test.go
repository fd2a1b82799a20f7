package pgstore

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"ringhook/hooks"
	"ringhook/pgstore/node"
	"ringhook/store/browse"
	"ringhook/store/storetest"
	"ringhook/test/wait"
)

// serveAs opens a database as the server of a node does.
func serveAs(t *testing.T, dsn, name string, log *slog.Logger, reg prometheus.Registerer) *Store {
	t.Helper()
	s, err := OpenServer(wait.Context(t), Config{DSN: dsn, Node: node.Self{Name: name, Version: "test"}}, log, reg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if s.ctx.Err() == nil {
			closeStore(t, s)
		}
	})
	return s
}

// wants has a node want leases, and has each returned at once when it is to be. The function that it returns ends that.
func wants(s *Store, names ...string) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	for _, name := range names {
		all.Go(func() {
			for {
				lease := s.Leases().Acquire(ctx, name)
				if lease == nil {
					return
				}
				<-lease.Context().Done()
				lease.Release()
			}
		})
	}
	return func() {
		cancel()
		all.Wait()
	}
}

// TestNodes checks that nodes share the leases equally, that one which ends hands over its leases, and that each lease has an
// epoch of its own.
func TestNodes(t *testing.T) {
	dsn := database(t)
	log := slog.New(slog.DiscardHandler)
	names := []string{"h1", "h2", "h3", "h4", "h5", "h6"}
	var stores []*Store
	shares := func(want ...int) {
		t.Helper()
		var got []int
		wait.Until(t, func() bool {
			got = nil
			all := map[string]bool{}
			for _, s := range stores {
				held := s.member.Held()
				got = append(got, len(held))
				for _, name := range held {
					all[name] = true
				}
			}
			slices.Sort(got)
			return slices.Equal(got, want) && len(all) == len(names)
		}, "the nodes have %v leases, want %v", got, want)
	}
	var stops []func()
	for n, want := range [][]int{{6}, {3, 3}, {2, 2, 2}} {
		s := serveAs(t, dsn, fmt.Sprint("node", n+1), log, nil)
		stores, stops = append(stores, s), append(stops, wants(s, names...))
		t.Cleanup(stops[n])
		shares(want...)
	}
	tool := openStore(t, dsn, time.Now)
	nodes, leases, err := tool.Nodes()
	if err != nil || len(nodes) != 3 || len(leases) != 6 || !nodes[0].Live || nodes[0].Name != "node1" || nodes[0].Version != "test" {
		t.Fatalf("nodes %+v, leases %+v, %v", nodes, leases, err)
	}
	stops[1]()
	closeStore(t, stores[1])
	stores = slices.Delete(stores, 1, 2)
	shares(3, 3)
	after, granted, err := tool.Nodes()
	if err != nil || len(after) != 2 {
		t.Errorf("nodes %+v, %v", after, err)
	}
	seen := map[int64]bool{}
	for _, l := range append(leases, granted...) {
		if same := slices.Contains(leases, l); seen[l.Epoch] && !same && !sameHolder(leases, l) {
			t.Errorf("two leases have the epoch %d", l.Epoch)
		}
		seen[l.Epoch] = true
	}
}

// sameHolder reports whether a lease is one of a list that was renewed.
func sameHolder(list []node.Granted, l node.Granted) bool {
	return slices.ContainsFunc(list, func(o node.Granted) bool { return o.Name == l.Name && o.Node == l.Node && o.Epoch == l.Epoch })
}

// TestNodeNames checks that a second server with the name of another one is refused, that its name is free when that has ended, and
// that a server from before there were several nodes is alone.
func TestNodeNames(t *testing.T) {
	dsn := database(t)
	log := slog.New(slog.DiscardHandler)
	first := serveAs(t, dsn, "pbx", log, nil)
	refused := func(name, want string) {
		t.Helper()
		short, cancel := context.WithTimeout(wait.Context(t), time.Second)
		defer cancel()
		if _, err := OpenServer(short, Config{DSN: dsn, Node: node.Self{Name: name}}, log, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("node %s: %v, want %s", name, err, want)
		}
	}
	refused("pbx", `another ringhook serves from this database as node "pbx": stop it, or set [store] node`)
	closeStore(t, serveAs(t, dsn, "pbx2", log, nil))
	closeStore(t, first)
	closeStore(t, serveAs(t, dsn, "pbx", log, nil))

	old, err := connect(wait.Context(t), dsn, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer old.Close(wait.Context(t))
	if _, err := old.Exec(wait.Context(t), "select pg_advisory_lock($1::integer, 0)", serverLock); err != nil {
		t.Fatal(err)
	}
	refused("pbx", "of a version that shares it with none")
}

// member returns a node whose beats the test makes, and its connection.
func member(t *testing.T, dsn, name string) (*node.Member, func()) {
	t.Helper()
	conn, err := connect(wait.Context(t), dsn, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(context.Background()) })
	m := node.NewMember(node.Self{Name: name}, 0, slog.New(slog.DiscardHandler), func() {}, func() {})
	return m, func() {
		t.Helper()
		if err := m.Beat(wait.Context(t), conn, func() error { return nil }); err != nil {
			t.Fatal(err)
		}
	}
}

// acquire has a member acquire a lease of which the engine says that it may.
func acquire(t *testing.T, m *node.Member, beat func(), name string) hooks.Lease {
	t.Helper()
	got := make(chan hooks.Lease, 1)
	go func() { got <- m.Acquire(wait.Context(t), name) }()
	for {
		beat()
		select {
		case l := <-got:
			return l
		case <-time.After(time.Millisecond):
		}
	}
}

// TestDeadNode checks that the leases of a node that is not seen any more go to another one when their time is over by the
// engine's clock, also if that was set back, and that the former holder notices.
func TestDeadNode(t *testing.T) {
	for name, expire := range map[string]string{
		"its time is over":                     "update ringhook.lease set until = clock_timestamp()",
		"the engine's clock has been set back": "update ringhook.lease set until = clock_timestamp() + interval '1 day'",
	} {
		t.Run(name, func(t *testing.T) {
			dsn := database(t)
			a, beatA := member(t, dsn, "a")
			b, beatB := member(t, dsn, "b")
			of := acquire(t, a, beatA, "crm")
			waiting := make(chan hooks.Lease, 1)
			go func() { waiting <- b.Acquire(wait.Context(t), "crm") }()
			wait.Until(t, func() bool {
				beatB()
				return value[int](t, dsn, "select count(*)::integer from ringhook.node where name = 'b' and wants = '{crm}'") == 1
			}, "the node does not want the lease")
			if b.Holds("crm") {
				t.Fatal("two nodes have one lease")
			}
			exec(t, dsn, "update ringhook.node set seen = clock_timestamp() - interval '1 day' where name = 'a'")
			exec(t, dsn, expire)
			beatB()
			if l := <-waiting; l.Epoch() <= of.Epoch() || !l.Valid() {
				t.Errorf("epoch %d after %d", l.Epoch(), of.Epoch())
			}
			beatA()
			if n := a.Facts().Lost; n != 1 || of.Context().Err() == nil || of.Valid() {
				t.Errorf("the former holder does not notice: %d leases lost", n)
			}
		})
	}
}

// TestStaleResults checks that a result which schedules or gives up a delivery is stored under the present lease alone, and that a
// delivery is made under any.
func TestStaleResults(t *testing.T) {
	dsn := database(t)
	s := openStore(t, dsn, time.Now)
	exec(t, dsn, "insert into ringhook.lease (tenant, hook, node, epoch, until) values (0, 'a', 'x', 7, now())")
	states := []hooks.State{hooks.Pending, hooks.Dead, hooks.Dropped, hooks.Delivered}
	for n := range states {
		storetest.Keep(t, s.Journal(), storetest.Record(fmt.Sprint("1.", n), 1, "a"))
	}
	_, list := storetest.Due(t, s.Outbox(), "a", time.Now())
	settle := func(epoch int64) (states []hooks.State, attempts int) {
		t.Helper()
		var results []hooks.Result
		for n, d := range list {
			results = append(results, hooks.Result{
				Delivery: d.ID, State: []hooks.State{hooks.Pending, hooks.Dead, hooks.Dropped, hooks.Delivered}[n], Next: time.Now().Add(time.Hour),
				Attempt: hooks.Attempt{Started: time.Now(), Class: "x"}, Epoch: epoch,
			})
		}
		if _, err := s.Outbox().Settle(wait.Context(t), results); err != nil {
			t.Fatal(err)
		}
		for _, d := range list {
			item, _, err := s.Operator().Show(d.ID)
			if err != nil {
				t.Fatal(err)
			}
			states, attempts = append(states, item.State), attempts+item.Attempts
		}
		return states, attempts
	}
	if got, attempts := settle(6); !slices.Equal(got, []hooks.State{hooks.Pending, hooks.Pending, hooks.Pending, hooks.Delivered}) || attempts != 1 {
		t.Errorf("results of an earlier lease: %v, %d attempts", got, attempts)
	}
	if names, _ := storetest.Due(t, s.Outbox(), "a", time.Now()); len(names) != 3 {
		t.Errorf("due are %v", names)
	}
	if got, attempts := settle(7); !slices.Equal(got, states) || attempts != 4 {
		t.Errorf("results of the present lease: %v, %d attempts", got, attempts)
	}
}

// TestUnconfirmedLease checks that a lease is not granted or known by a commit that the standby may not have.
func TestUnconfirmedLease(t *testing.T) {
	dsn := database(t)
	conn, err := connect(wait.Context(t), dsn, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	wanted := make(chan struct{}, 8)
	m := node.NewMember(node.Self{Name: "a"}, 0, slog.New(slog.DiscardHandler), func() { wanted <- struct{}{} }, func() {})
	granted := make(chan hooks.Lease, 1)
	go func() { granted <- m.Acquire(wait.Context(t), "crm") }()
	<-wanted
	commits := 0
	confirmed := func() error {
		if commits++; commits == 1 || commits == 3 { // that the node is alive, and that it takes the lease
			return doubt(nil)
		}
		return nil
	}
	for range 2 {
		if err := m.Beat(wait.Context(t), conn, confirmed); classOf(err) != Doubt || m.Holds("crm") {
			t.Errorf("after %d commits: %v, held: %v", commits, err, m.Holds("crm"))
		}
	}
	if err := m.Beat(wait.Context(t), conn, confirmed); err != nil || !m.Holds("crm") {
		t.Errorf("after a confirmed commit: %v, held: %v", err, m.Holds("crm"))
	}
	(<-granted).Release()
}

// TestHeard checks that the holder of a hook's lease is woken when another node has accepted a delivery for it, with a message
// and without one.
func TestHeard(t *testing.T) {
	dsn := database(t)
	log := slog.New(slog.DiscardHandler)
	holder, other := serveAs(t, dsn, "holder", log, nil), serveAs(t, dsn, "other", log, nil)
	lease := holder.Leases().Acquire(wait.Context(t), "a")
	defer lease.Release()
	wait.Until(t, func() bool { return !other.member.Alone() && !holder.member.Alone() }, "the nodes do not see each other")
	for n := range 3 {
		for len(lease.Woken()) > 0 {
			<-lease.Woken()
		}
		storetest.Keep(t, other.Journal(), storetest.Record(fmt.Sprint("1.", n), 1, "a"))
		<-lease.Woken()
	}
	exec(t, dsn, "update ringhook.delivery set next_at = clock_timestamp() + interval '1 second'")
	for len(lease.Woken()) > 0 {
		<-lease.Woken()
	}
	<-lease.Woken() // what becomes due is found without a message
}

// TestConfigurations checks that nodes whose configurations differ say so once, and that metrics have what a node knows.
func TestConfigurations(t *testing.T) {
	dsn := database(t)
	var log bytes.Buffer
	reg := prometheus.NewRegistry()
	first := serveAs(t, dsn, "first", slog.New(slog.NewTextHandler(&log, nil)), reg)
	second := serveAs(t, dsn, "second", slog.New(slog.DiscardHandler), nil)
	first.SetConfig(map[string]string{"hook": "1", "lookup": "2", "queue": "3"})
	second.SetConfig(map[string]string{"hook": "1", "lookup": "4", "agent": "5"})
	lease := first.Leases().Acquire(wait.Context(t), "crm")
	defer lease.Release()
	metrics := func(differs string) error {
		return testutil.GatherAndCompare(reg, strings.NewReader(strings.ReplaceAll(`
# HELP ringhook_cluster_config_differs 1 if another node has a different configuration: the log says in what.
# TYPE ringhook_cluster_config_differs gauge
ringhook_cluster_config_differs DIFFERS
# HELP ringhook_cluster_nodes Ringhooks that serve from the same PostgreSQL, this one included.
# TYPE ringhook_cluster_nodes gauge
ringhook_cluster_nodes 2
# HELP ringhook_lease_lost_total Leases that ended because this node did not renew them in time.
# TYPE ringhook_lease_lost_total counter
ringhook_lease_lost_total 0
# HELP ringhook_leases 1 if this node delivers for the hook, 0 if another one does.
# TYPE ringhook_leases gauge
ringhook_leases{hook="crm"} 1
# HELP ringhook_moved_total Points that were applied again because another node had changed the call.
# TYPE ringhook_moved_total counter
ringhook_moved_total 0
`, "DIFFERS", differs)), "ringhook_cluster_config_differs", "ringhook_cluster_nodes", "ringhook_lease_lost_total", "ringhook_leases", "ringhook_moved_total")
	}
	wait.Until(t, func() bool { return metrics("1") == nil }, "%v", metrics("1"))
	if r, err := Inspect(wait.Context(t), Config{DSN: dsn}); err != nil || !r.Served || !strings.Contains(strings.Join(r.Doubts, "; "), "the nodes first and second differ in agent, lookup, queue") {
		t.Errorf("inspected: %+v, %v", r, err)
	}
	second.SetConfig(map[string]string{"hook": "1", "lookup": "2", "queue": "3"})
	wait.Until(t, func() bool { return metrics("0") == nil }, "%v", metrics("0"))
	lease.Release()
	closeStore(t, first)
	if n := strings.Count(log.String(), "configurations of the nodes differ"); n != 1 || !strings.Contains(log.String(), "agent, lookup, queue at second") {
		t.Errorf("logged %d times:\n%s", n, &log)
	}
}

// TestHookOfAnotherNode checks that the deliveries of a hook which another live node has are not given up.
func TestHookOfAnotherNode(t *testing.T) {
	dsn := database(t)
	log := slog.New(slog.DiscardHandler)
	s, other := serveAs(t, dsn, "first", log, nil), serveAs(t, dsn, "second", log, nil)
	storetest.Keep(t, s.Journal(), storetest.Record("1.1", 1, "a"))
	storetest.Keep(t, s.Journal(), storetest.Record("1.2", 1, "b"))
	s.Outbox().SetConfiguredHooks(nil)
	other.Outbox().SetConfiguredHooks([]string{"a"})
	wait.Until(t, func() bool { return s.member.Configured("a") }, "the node does not know the other one's hooks")
	m := &maintenance{s: s, now: s.now()}
	for range 2 {
		if _, err := m.withoutHook(wait.Context(t)); err != nil {
			t.Fatal(err)
		}
		m.now = m.now.Add(browse.KeepRemoved)
	}
	exec(t, dsn, "update ringhook.event set accepted = accepted - interval '8 days'")
	if _, err := m.withoutHook(wait.Context(t)); err != nil {
		t.Fatal(err)
	}
	for hook, want := range map[string]int{"a": 1, "b": 0} {
		if n := value[int](t, dsn, "select count(*)::integer from ringhook.delivery where state = 0 and hook = '"+hook+"'"); n != want {
			t.Errorf("hook %s: %d pending, want %d", hook, n, want)
		}
	}
}

// many returns the number of points of a test, or what RINGHOOK_MANY asks for.
func many(t *testing.T, n int) int {
	t.Helper()
	text := os.Getenv("RINGHOOK_MANY")
	if text == "" {
		return n
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("RINGHOOK_MANY is %q, want a number", text)
	}
	return n
}

// TestNothingIsStuck keeps records at three nodes while these settle, retry, drop and replay deliveries, and checks that each
// pending delivery has a time, or one before it that has.
func TestNothingIsStuck(t *testing.T) {
	dsn := database(t)
	var nodes []*Store
	for range 3 {
		nodes = append(nodes, openStore(t, dsn, time.Now))
	}
	points := many(t, 600)
	ctx, cancel := context.WithCancel(wait.Context(t))
	defer cancel()
	var kept, others sync.WaitGroup
	const keepers = 12
	for n := range keepers {
		kept.Go(func() {
			for i := range points / keepers {
				r := storetest.Record(fmt.Sprintf("%d.%d", n%4, i/20), i+1, "a", "strict")
				r.Events[0].Event.ID = fmt.Sprintf("msg_%d_%d", n, i)
				r.Events[0].Hooks[1].Key = "" // one order for all calls
				c, err := nodes[n%3].Journal().Queue(ctx, r)
				if err == nil {
					_, err = c.Wait(ctx)
				}
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	var mu sync.Mutex
	count := map[string]int{}
	note := func(what string, n int, err error) {
		mu.Lock()
		defer mu.Unlock()
		count[what] += n
		if err != nil {
			t.Error(what, err)
		}
	}
	for _, s := range nodes {
		for _, hook := range []string{"a", "strict"} {
			others.Go(func() {
				for ctx.Err() == nil {
					note("settled", settleSome(t, s, hook), nil)
				}
			})
		}
		others.Go(func() {
			for ctx.Err() == nil {
				filter := browse.Filter{Hook: []string{"a", "strict"}[rand.IntN(2)], States: []hooks.State{hooks.State(rand.IntN(4))}, Limit: 20}
				list, err := s.Operator().List(filter)
				if err != nil {
					t.Error(err)
				}
				var ids []int64
				for _, item := range list {
					ids = append(ids, item.ID)
				}
				if rand.IntN(2) == 0 {
					changed, err := s.Operator().Retry(ctx, ids...)
					note("retried", changed, ignoreEnd(ctx, err))
				} else {
					changed, err := s.Operator().Drop(ctx, ids...)
					note("dropped", changed, ignoreEnd(ctx, err))
				}
			}
		})
		others.Go(func() {
			for n := 0; ctx.Err() == nil && n < 10; n++ { // they are delivered one at a time
				since := time.Now().Add(-100 * time.Millisecond)
				changed, err := s.Operator().Replay(ctx, browse.Replay{Hook: "a", Since: since, Until: since.Add(20 * time.Millisecond)})
				note("replayed", changed, ignoreEnd(ctx, err))
			}
		})
	}
	kept.Wait()
	cancel()
	others.Wait()
	t.Logf("%d points, %v", points/keepers*keepers, count)
	if n := value[int](t, dsn, `select count(*)::integer from ringhook.delivery d where d.state = 0 and d.next_at is null and not exists (
			select from ringhook.delivery b where b.state = 0 and b.hook = d.hook and b.okey = d.okey and b.id < d.id)`); n != 0 {
		t.Errorf("%d pending deliveries have neither a time nor one before them", n)
	}
	// What is left is delivered.
	last := nodes[0]
	for n := -1; n != 0; {
		n = 0
		for _, hook := range []string{"a", "strict"} {
			_, list := storetest.Due(t, last.Outbox(), hook, time.Now().Add(24*time.Hour))
			var results []hooks.Result
			for _, d := range list {
				results = append(results, hooks.Result{Delivery: d.ID, State: hooks.Delivered, Attempt: hooks.Attempt{Started: time.Now(), Class: "delivered"}})
			}
			if _, err := last.Outbox().Settle(wait.Context(t), results); err != nil {
				t.Fatal(err)
			}
			n += len(list)
		}
	}
	if n := value[int](t, dsn, "select count(*)::integer from ringhook.delivery where state = 0"); n != 0 {
		t.Errorf("%d deliveries are stuck", n)
	}
}

func ignoreEnd(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// settleSome settles what is due in one way or another, and returns the number.
func settleSome(t *testing.T, s *Store, hook string) int {
	_, list := storetest.Due(t, s.Outbox(), hook, time.Now())
	var results []hooks.Result
	for _, d := range list {
		r := hooks.Result{Delivery: d.ID, Attempt: hooks.Attempt{Started: time.Now(), Class: "x"}}
		switch rand.IntN(10) {
		case 0:
			r.State, r.Next = hooks.Pending, time.Now().Add(time.Duration(rand.IntN(100))*time.Millisecond)
		case 1:
			r.State = hooks.Dead
		default:
			r.State = hooks.Delivered
		}
		results = append(results, r)
	}
	if len(results) > 0 {
		if _, err := s.Outbox().Settle(wait.Context(t), results); err != nil {
			t.Error(err)
		}
	}
	return len(results)
}

// TestOrderWithSeveralNodes checks that a hook with one order for all calls gets its deliveries by their numbers, though several
// nodes accept them: no delivery appears before one that is due already.
func TestOrderWithSeveralNodes(t *testing.T) {
	dsn := database(t)
	var nodes []*Store
	for range 3 {
		nodes = append(nodes, openStore(t, dsn, time.Now))
	}
	var kept sync.WaitGroup
	const each = 30
	for n, s := range nodes {
		for i := range 4 {
			kept.Go(func() {
				for seq := range each {
					r := storetest.Record(fmt.Sprintf("%d.%d", n, i), seq+1, "strict")
					r.Events[0].Hooks[0].Key = ""
					storetest.Keep(t, s.Journal(), r)
				}
			})
		}
	}
	last, total := int64(0), 0
	for total < each*4*len(nodes) {
		_, list := storetest.Due(t, nodes[1].Outbox(), "strict", time.Now())
		for _, d := range list {
			if d.ID <= last {
				t.Fatalf("delivery %d comes after %d", d.ID, last)
			}
			last = d.ID
			total++
			if _, err := nodes[1].Outbox().Settle(wait.Context(t), []hooks.Result{{Delivery: d.ID, State: hooks.Delivered}}); err != nil {
				t.Fatal(err)
			}
		}
	}
	kept.Wait()
}

// TestSuspended checks that a node which was suspended takes that for no step of the engine's clock: neither if its own clock
// says for how long, nor if another node has its lease meanwhile. If another node is to follow a step, it waits for that.
func TestSuspended(t *testing.T) {
	for _, c := range []struct {
		name   string
		lease  bool // it has the lease of the upkeep
		stolen bool // the table says that another node has it
		slept  time.Duration
		moved  bool
	}{
		{"a step", true, false, 0, true},
		{"a machine that slept", true, false, 2 * time.Hour, false},
		{"a virtual machine that was paused", true, true, 0, false},
		{"another node does the upkeep", false, false, 0, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			dsn := database(t)
			s := openStore(t, dsn, nil)
			storetest.Keep(t, s.Journal(), storetest.Record("1.1", 1, "a"))
			m, beat := member(t, dsn, "x")
			s.member = m
			defer func() { s.member = nil }()
			if c.lease {
				defer acquire(t, m, beat, node.Upkeep).Release()
			}
			if c.stolen {
				exec(t, dsn, "update ringhook.lease set epoch = epoch + 1")
			}
			s.clock.engine = func(asked time.Time) time.Time { return asked.Add(2 * time.Hour) }
			s.clock.awake = func(last, now *look) time.Duration { return now.boot - last.boot + c.slept }
			before := value[time.Time](t, dsn, "select next_at from ringhook.delivery")
			if err := s.look(wait.Context(t)); err != nil {
				t.Fatal(err)
			}
			moved := value[time.Time](t, dsn, "select next_at from ringhook.delivery").Sub(before) > time.Hour
			follows := time.Until(s.now()) > time.Hour
			if moved != c.moved || follows != c.lease {
				t.Errorf("times moved: %v, followed: %v", moved, follows)
			}
			if !c.lease { // nothing comes of it: the node's clocks stood still
				s.clock.odd = s.clock.odd.Add(-leastClockStep)
				if err := s.look(wait.Context(t)); err != nil {
					t.Fatal(err)
				}
				if time.Until(s.now()) < time.Hour {
					t.Error("the engine's clock is not followed")
				}
			}
		})
	}
}

// TestPlansOfNewTables checks that in tables of which the planner knows nothing, the order within a key is found by the key, and
// not by reading all that is pending of a hook.
func TestPlansOfNewTables(t *testing.T) {
	dsn := database(t)
	for _, table := range []string{"call", "event", "delivery"} {
		exec(t, dsn, "alter table ringhook."+table+" set (autovacuum_enabled = false)")
	}
	fill(t, dsn, 1, 20_000)
	rec, err := encode(storetest.Record("9.1", 1, "a"))
	if err != nil {
		t.Fatal(err)
	}
	a := &acceptance{now: time.Now()}
	a.add(rec, 0, true, nil)
	results := &settlement{now: time.Now()}
	for id := range int64(20) {
		results.add(resultOf(id + 1))
	}
	plans := map[string]string{"accept": plan(t, dsn, accept, a.args()...), "due": plan(t, dsn, dueDeliveries, 0, "a", time.Now(), 128, []int64{1})}
	for n, q := range results.batch(0).QueuedQueries {
		if n > 0 {
			plans[fmt.Sprint("settle ", n)] = plan(t, dsn, q.SQL, q.Arguments...)
		}
	}
	for name, p := range plans {
		for line := range strings.Lines(p) {
			if strings.Contains(line, "Filter:") && strings.Contains(line, "okey") {
				t.Errorf("%s reads what is pending of a hook:\n%s", name, p)
				break
			}
		}
	}
}
