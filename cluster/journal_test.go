package cluster

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"ringhook/dialplan"
	"ringhook/hooks"
	"ringhook/pgstore/pgtest"
	"ringhook/store/storetest"
	"ringhook/test/wait"
)

var faults = []pgtest.Fault{pgtest.Cut, pgtest.Silent, pgtest.OneWay, pgtest.Trickles}

// TestCutOff checks that a call is accepted by the engine, by this machine while the engine does not answer, and by the engine
// again when everything is forwarded: each event once and in order.
func TestCutOff(t *testing.T) {
	for _, fault := range faults {
		t.Run(fault.String(), func(t *testing.T) {
			n := newNode(t, Config{}).begin()
			c := n.call("1.1")
			c.accept(2)
			if n.promised(byCluster) != 2 || n.promised(byMachine) != 0 {
				t.Errorf("promised by the engine %d, by this machine %d", n.promised(byCluster), n.promised(byMachine))
			}
			n.proxy.Set(fault)
			c.accept(3)
			n.opens(true)
			c.accept(2)
			other := n.call("1.2") // begins while the engine is away
			other.accept(2)
			if n.promised(byMachine) == 0 {
				t.Error("nothing is promised by this machine")
			}
			if err := n.Unready(); err != nil {
				t.Errorf("not ready: %v", err)
			}
			n.proxy.Set(pgtest.Well)
			n.opens(false)
			n.forwarded(c)
			n.forwarded(other)
			by := n.promised(byCluster)
			c.accept(2)
			other.accept(1)
			n.forwarded(c)
			n.forwarded(other)
			if now := n.promised(byCluster); now < by+3 {
				t.Errorf("after the end of the fault the engine accepted %d of 3", now-by)
			}
		})
	}
}

// TestQueuedTogether checks records of one call that are queued before the engine has answered: if it does not, they go to
// the local store in their order.
func TestQueuedTogether(t *testing.T) {
	n := newNode(t, Config{}).begin()
	c := n.call("1.1")
	c.accept(1)
	n.proxy.Set(pgtest.Silent)
	var commits []dialplan.Commit
	for range 5 {
		c.seq++
		r := storetest.Record(c.key, c.seq, "a")
		r.Lineage = c.lineage
		r.State = fmt.Appendf(nil, `{"linkedid":"1.1","seq":%d}`, c.seq)
		queued, err := n.Queue(wait.Context(t), r)
		if err != nil {
			t.Fatal(err)
		}
		commits = append(commits, queued)
	}
	for i, queued := range commits {
		if _, err := queued.Wait(wait.Context(t)); err != nil {
			t.Errorf("record %d: %v", i, err)
		}
	}
	if state, _, err := n.Call("1.1", time.Time{}); err != nil || string(state) != `{"linkedid":"1.1","seq":6}` {
		t.Errorf("the call is %s, %v", state, err)
	}
	if doubt := testutil.ToFloat64(n.metrics.doubt); doubt != 5 {
		t.Errorf("%v records are in doubt, want 5", doubt)
	}
	n.proxy.Set(pgtest.Well)
	n.forwarded(c)
}

// TestHardlyAnyTime checks that points which have no time left to wait for the engine do not open the breaker, and lose nothing.
func TestHardlyAnyTime(t *testing.T) {
	n := newNode(t, Config{}).begin()
	n.opens(false)
	c := n.call("1.1")
	for range 3 * maxMisses {
		c.seq++
		r := storetest.Record(c.key, c.seq, "a")
		r.Lineage = c.lineage
		ctx, cancel := context.WithTimeout(wait.Context(t), localTime)
		queued, err := n.Queue(ctx, r)
		cancel()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := queued.Wait(wait.Context(t)); err != nil {
			t.Fatal(err)
		}
		if !n.breaker.closed() {
			t.Fatal("the breaker is open")
		}
		n.forwarded(c)
	}
}

// TestPromiseClusterOnly checks that an event which only this machine has is not promised, also not to a repeat, and is
// forwarded all the same.
func TestPromiseClusterOnly(t *testing.T) {
	n := newNode(t, Config{Promise: ClusterOnly}).begin()
	c := n.call("1.1")
	c.accept(1)
	n.proxy.Set(pgtest.Cut)
	for range 3 {
		if err := c.point(); !errors.Is(err, ErrAlone) {
			t.Errorf("got %v, want %v", err, ErrAlone)
		}
		if c.lineage.Broken() {
			t.Error("the records of the call that are queued are refused")
		}
	}
	if n.Unready() == nil {
		t.Error("ringhook is ready")
	}
	if n.promised(byMachine) != 0 {
		t.Error("something is promised by this machine")
	}
	n.proxy.Set(pgtest.Well)
	n.opens(false)
	n.forwarded(c)
	c.accept(1)
	n.forwarded(c)
}

// TestPromiseMachine checks that points do not wait for the engine, which gets everything at once.
func TestPromiseMachine(t *testing.T) {
	n := newNode(t, Config{Promise: Machine}).begin()
	c := n.call("1.1")
	for range 5 {
		c.accept(2)
		n.forwarded(c)
	}
	if n.promised(byMachine) != 10 || n.promised(byCluster) != 0 {
		t.Errorf("promised by the engine %d, by this machine %d", n.promised(byCluster), n.promised(byMachine))
	}
	if got := testutil.ToFloat64(n.metrics.forwarded); got != 10 {
		t.Errorf("%v events are forwarded, want 10", got)
	}
}

// TestRestartWithSpool checks that what waits is forwarded after a restart, that the engine may be away at it, and that
// deliveries which were made before are not made again. So what an outbox has before PostgreSQL is used is forwarded.
func TestRestartWithSpool(t *testing.T) {
	n := newNode(t, Config{})
	n.proxy.Set(pgtest.Cut)
	n.begin()
	c, other := n.call("1.1"), n.call("1.2")
	c.accept(3)
	other.accept(1)
	_, due := storetest.Due(t, n.local.Outbox(), "a", time.Now())
	storetest.Settle(t, n.local.Outbox(), due[0].ID, hooks.Delivered, time.Time{})
	n.end()

	n.proxy.Set(pgtest.Cut)
	n.begin()
	if state, _, err := n.Call("1.1", time.Time{}); state == nil || err != nil {
		t.Errorf("the call is not known: %v", err)
	}
	c.lineage = nil // it is read again
	c.accept(1)
	n.proxy.Set(pgtest.Well)
	n.forwarded(c)
	n.forwarded(other)
	if ids, _ := storetest.Due(t, n.engine.Outbox(), "a", time.Now()); len(ids) != 2 || ids[0] != "msg_1.2_1" && ids[1] != "msg_1.2_1" {
		t.Errorf("due are %v, want the event of 1.2 and the second one of 1.1", ids)
	}
}

// TestAnyCut checks calls at random moments of random faults: no event that was promised is missing, and none is there twice
// or out of order. RINGHOOK_CUTS sets the number of faults.
func TestAnyCut(t *testing.T) {
	cuts := 4
	if n, err := strconv.Atoi(os.Getenv("RINGHOOK_CUTS")); err == nil {
		cuts = n
	}
	n := newNode(t, Config{Patience: 50 * time.Millisecond}).begin()
	ctx, stop := context.WithCancel(wait.Context(t))
	var callers sync.WaitGroup
	var mu sync.Mutex
	var all []*call
	for caller := range 6 {
		callers.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				c := n.call(fmt.Sprintf("%d.%d", caller+1, i))
				for range 6 {
					if err := c.point(); err != nil {
						t.Errorf("%s %d: %v", c.key, c.seq, err)
						return
					}
				}
				mu.Lock()
				all = append(all, c)
				mu.Unlock()
			}
		})
	}
	for range cuts {
		time.Sleep(time.Duration(rand.IntN(200)) * time.Millisecond)
		n.proxy.Set(faults[rand.IntN(len(faults))])
		n.opens(true)
		time.Sleep(time.Duration(rand.IntN(200)) * time.Millisecond)
		n.proxy.Set(pgtest.Well)
		n.opens(false)
	}
	stop()
	callers.Wait()
	n.forwarded(all...)
	t.Logf("%d calls; promised by the engine %d, by this machine %d, in doubt %v, forwarded %v", len(all),
		n.promised(byCluster), n.promised(byMachine), testutil.ToFloat64(n.metrics.doubt), testutil.ToFloat64(n.metrics.forwarded))
}

// TestLanesEndBesideRefused checks that lanes end of which nothing is stored, also while PostgreSQL refuses what is stored of
// another call.
func TestLanesEndBesideRefused(t *testing.T) {
	n := newNode(t, Config{}).begin()
	conn, err := pgx.Connect(wait.Context(t), n.dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(wait.Context(t))
	_, err = conn.Exec(wait.Context(t), "alter table ringhook.event add constraint refused check (linkedid <> '9.9')")
	if err != nil {
		t.Fatal(err)
	}
	n.proxy.Set(pgtest.Cut)
	n.call("9.9").accept(1)
	l := n.enter("5.5")
	l.local, l.records = true, 1 // a record that the local store has lost
	n.leave(l)
	n.proxy.Set(pgtest.Well)
	wait.Until(t, func() bool {
		n.mu.Lock()
		defer n.mu.Unlock()
		return n.lanes["5.5"] == nil
	}, "the lane is left")
	if !n.isLocal("9.9") {
		t.Error("a call that is refused is not kept")
	}
}

// TestLanesEnd checks that nothing is kept in memory of calls that are forwarded.
func TestLanesEnd(t *testing.T) {
	n := newNode(t, Config{}).begin()
	n.proxy.Set(pgtest.Cut)
	for i := range 20 {
		n.call(fmt.Sprint("1.", i)).accept(1)
		n.KeepLater(dialplan.Record{Call: fmt.Sprint("2.", i), State: []byte(`{"linkedid":"x"}`)})
	}
	n.proxy.Set(pgtest.Well)
	wait.Until(t, func() bool {
		n.mu.Lock()
		defer n.mu.Unlock()
		return len(n.lanes) == 0
	}, "lanes are left")
	if state, _, err := n.engine.Journal().Call("2.7", time.Time{}); state == nil || err != nil {
		t.Errorf("a state without events is not forwarded: %v", err)
	}
}
