package cluster

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"ringhook/hooks"
	"ringhook/pgstore/pgtest"
	"ringhook/store/storetest"
	"ringhook/test/wait"
)

// receiver counts the deliveries of each event.
type receiver struct {
	mu   sync.Mutex
	came map[string]int
	list []string
}

func (r *receiver) ServeHTTP(_ http.ResponseWriter, in *http.Request) {
	_, _ = io.Copy(io.Discard, in.Body)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.came[in.Header.Get("webhook-id")]++
	r.list = append(r.list, in.Header.Get("webhook-id"))
}

func (r *receiver) has(ids ...string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return !slices.ContainsFunc(ids, func(id string) bool { return r.came[id] == 0 })
}

// dispatching is a node whose hook "a" is delivered, by the engine's dispatcher and by one of its own while that is away.
func dispatching(t *testing.T, cfg Config) (n *node, got *receiver) {
	t.Helper()
	got = &receiver{came: map[string]int{}}
	web := httptest.NewServer(got)
	t.Cleanup(web.Close)
	hook := hooks.DefaultConfig()
	hook.Name, hook.Events, hook.URL, hook.Schedule = "a", []string{"*"}, hooks.Addresses{web.URL}, "fast"
	n = newNode(t, cfg)
	reg := prometheus.NewRegistry()
	n.deliver = func(o hooks.Outbox) (Deliverer, error) {
		return hooks.New([]hooks.Config{hook}, o, slog.New(slog.DiscardHandler), reg)
	}
	n.begin()
	d, err := hooks.New([]hooks.Config{hook}, engineOutbox{n.engine.Outbox(), Queue{n.engine.Outbox(), n.Cluster}}, slog.New(slog.DiscardHandler), reg)
	if err != nil {
		t.Fatal(err)
	}
	d.Start()
	t.Cleanup(func() { _ = d.Close(wait.Context(t)) })
	return n, got
}

// engineOutbox is the engine's outbox as a dispatcher uses it.
type engineOutbox struct {
	hooks.Outbox
	queue Queue
}

// Due implements hooks.Queue.
func (o engineOutbox) Due(hook string, now time.Time, limit int, underWay ...int64) ([]hooks.Delivery, error) {
	return o.queue.Due(hook, now, limit, underWay...)
}

func ids(linkedid string, from, to int) (list []string) {
	for ; from <= to; from++ {
		list = append(list, fmt.Sprintf("msg_%s_%d", linkedid, from))
	}
	return list
}

// TestAlone checks that this machine delivers its events if the engine stays away, and that nothing of that is delivered
// again when it is back, also not what the engine has stored without having said so.
func TestAlone(t *testing.T) {
	for _, fault := range []pgtest.Fault{pgtest.Cut, pgtest.OneWay} {
		t.Run(fault.String(), func(t *testing.T) {
			n, got := dispatching(t, Config{AloneAfter: time.Millisecond})
			c := n.call("1.1")
			c.accept(2)
			wait.Until(t, func() bool { return got.has(ids("1.1", 1, 2)...) }, "the engine's deliveries are not made")
			n.proxy.Set(fault)
			c.accept(4)
			other := n.call("1.2")
			other.accept(3)
			wait.Until(t, func() bool { return got.has(ids("1.1", 3, 6)...) && got.has(ids("1.2", 1, 3)...) }, "this machine delivers nothing")
			n.proxy.Set(pgtest.Well)
			n.opens(false)
			n.forwarded(c)
			n.forwarded(other)
			c.accept(1)
			wait.Until(t, func() bool { return got.has(ids("1.1", 7, 7)...) }, "the engine's deliveries are not made")
			wait.Until(t, func() bool {
				due, err := n.engine.Outbox().Due("a", time.Now(), 10)
				counts, countErr := n.engine.Operator().HookCounts()
				return err == nil && countErr == nil && len(due) == 0 && len(counts) == 1 && counts[0].Pending == 0
			}, "deliveries are left")
			for id, times := range got.came {
				if times != 1 {
					t.Errorf("%s came %d times", id, times)
				}
			}
			var order []string
			for _, id := range got.list {
				if strings.HasPrefix(id, "msg_1.1_") {
					order = append(order, id)
				}
			}
			if !slices.Equal(order, ids("1.1", 1, 7)) {
				t.Errorf("the events came as %v", order)
			}
		})
	}
}

// TestNeverAlone checks that this machine delivers nothing itself if it is not to: what it has waits.
func TestNeverAlone(t *testing.T) {
	for name, cfg := range map[string]Config{"alone_after 0s": {}, "cluster-only": {Promise: ClusterOnly, AloneAfter: time.Millisecond}} {
		t.Run(name, func(t *testing.T) {
			n := newNode(t, cfg)
			n.deliver = func(hooks.Outbox) (Deliverer, error) {
				t.Error("a dispatcher is made")
				return nil, nil
			}
			n.begin()
			n.proxy.Set(pgtest.Cut)
			c := n.call("1.1")
			_ = c.point()
			n.opens(true)
			for range 3 {
				if waits := n.deliverAlone(); waits <= 0 {
					t.Errorf("asked again after %v", waits)
				}
			}
			n.proxy.Set(pgtest.Well)
			n.forwarded(c)
		})
	}
}

// TestNothingBeforeResults checks that the engine makes no delivery before it knows what this machine has delivered.
func TestNothingBeforeResults(t *testing.T) {
	n := newNode(t, Config{}).begin()
	wait.Until(t, n.latch.opened, "the results are not reported")
	n.call("1.1").accept(1)
	q := Queue{n.engine.Outbox(), n.Cluster}
	if got, _ := storetest.Due(t, q, "a", time.Now()); len(got) != 1 {
		t.Errorf("due are %v", got)
	}
	n.latch.close()
	if got, _ := storetest.Due(t, q, "a", time.Now()); len(got) != 0 {
		t.Errorf("due are %v, want nothing", got)
	}
}

// lateQueue answers when the latch was closed and opened meanwhile.
type lateQueue struct {
	hooks.Queue
	c *Cluster
}

func (q lateQueue) Due(hook string, now time.Time, limit int, underWay ...int64) ([]hooks.Delivery, error) {
	due, err := q.Queue.Due(hook, now, limit, underWay...)
	q.c.latch.close()
	q.c.latch.open()
	return due, err
}

// TestLateAnswer checks that what the engine said was due before this machine delivered by itself is not made after that.
func TestLateAnswer(t *testing.T) {
	n := newNode(t, Config{}).begin()
	wait.Until(t, n.latch.opened, "the results are not reported")
	n.call("1.1").accept(1)
	late := Queue{lateQueue{n.engine.Outbox(), n.Cluster}, n.Cluster}
	if got, _ := storetest.Due(t, late, "a", time.Now()); len(got) != 0 {
		t.Errorf("due are %v, want nothing", got)
	}
}
