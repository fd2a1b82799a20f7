package cluster

import (
	"context"
	"sync"
	"time"

	"ringhook/dialplan"
	"ringhook/hooks"
)

// drainTime is the maximum time that attempts of the local dispatcher are waited for when the engine is back.
const drainTime = 8 * time.Second

// aloneState is the dispatcher that delivers from the local store while the engine is away.
type aloneState struct {
	mu sync.Mutex
	d  Deliverer // nil if there is none; guarded by mu
}

func (a *aloneState) dispatcher() Deliverer {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.d
}

// offer passes what was committed on the local disk to the local dispatcher, if there is one.
func (c *Cluster) offer(events []dialplan.Accepted, due []hooks.Delivery) {
	d := c.alone.dispatcher()
	if d == nil {
		return
	}
	var routes []hooks.Route
	for i := range events {
		routes = append(routes, events[i].Hooks...)
	}
	d.Committed(routes, numbered(due))
}

// deliverAlone starts the local dispatcher if the engine has been away long enough, and returns when it should be asked
// again.
func (c *Cluster) deliverAlone() (wait time.Duration) {
	since, err := c.breaker.state()
	if err == nil || c.cfg.AloneAfter == 0 || c.cfg.Promise == ClusterOnly || c.alone.dispatcher() != nil {
		return pause
	}
	if wait = c.cfg.AloneAfter - time.Since(since); wait > 0 {
		return min(wait, pause)
	}
	c.latch.close()
	d, err := c.deliverer(c.outbox)
	if err != nil {
		c.limit.Error("alone", "cannot deliver without PostgreSQL", "err", err)
		return pause
	}
	if d == nil {
		return pause
	}
	c.log.Warn("PostgreSQL stays away: this machine delivers its events itself", "after", c.cfg.AloneAfter)
	c.alone.mu.Lock()
	c.alone.d = d
	c.alone.mu.Unlock()
	d.Start()
	return pause
}

// endAlone ends the local dispatcher. What is not attempted to its end then stays pending.
func (c *Cluster) endAlone() {
	c.alone.mu.Lock()
	d := c.alone.d
	c.alone.d = nil
	c.alone.mu.Unlock()
	if d == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), drainTime)
	defer cancel()
	if err := d.Close(ctx); err != nil {
		c.log.Warn("attempts of this machine cut short", "err", err)
	}
}

// Reconfigured has the local dispatcher replaced by one of the present configuration.
func (c *Cluster) Reconfigured() {
	c.restart.Store(true)
	c.kick()
}
