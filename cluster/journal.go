package cluster

import (
	"context"
	"errors"
	"maps"
	"math"
	"slices"
	"sync"
	"time"

	"ringhook/dialplan"
	"ringhook/hooks"
	"ringhook/pgstore"
)

const (
	// maxPatience bounds Config.Patience: no call waits longer for a commit.
	maxPatience = 250 * time.Millisecond
	// localTime is what a point's time to wait leaves for the commit on the local disk.
	localTime = 30 * time.Millisecond
	// leastWait is the shortest wait that says something about the engine: its commits take some milliseconds.
	leastWait = 20 * time.Millisecond
	// fallTime bounds the wait for room in the queue of the local store.
	fallTime = maxPatience
	// spooledVersion is the version of a state that only this machine has. The engine has none of that version.
	spooledVersion = math.MaxInt64
)

var (
	_ dialplan.Calls    = (*Cluster)(nil)
	_ dialplan.Acceptor = (*Cluster)(nil)
)

// ErrAlone reports an event that only this machine has, if the promise is ClusterOnly. It is kept and forwarded.
var ErrAlone = errors.New("PostgreSQL is away, and only this machine has the event: it is forwarded later")

// lane is where the records of a linkedid go. Each record of it is queued while the lane is locked.
type lane struct {
	linkedid string
	mu       sync.Mutex
	local    bool      // records go to the local store until what it has is forwarded; guarded by mu
	records  int       // that were given to the local store; guarded by mu
	flying   []*commit // records that the engine has not answered yet, in their order; guarded by mu
	users    int       // guarded by the cluster's mu
}

// enter returns the lane of a linkedid for one more user.
func (c *Cluster) enter(linkedid string) *lane {
	c.mu.Lock()
	defer c.mu.Unlock()
	l := c.lanes[linkedid]
	if l == nil {
		l = &lane{linkedid: linkedid}
		c.lanes[linkedid] = l
	}
	l.users++
	return l
}

// leave ends a use of a lane.
func (c *Cluster) leave(l *lane) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if l.users--; l.users > 0 {
		return
	}
	if !l.local { // only users change it
		delete(c.lanes, l.linkedid)
	}
}

// isLocal reports whether the state of a linkedid is the local store's.
func (c *Cluster) isLocal(linkedid string) bool {
	c.mu.Lock()
	l := c.lanes[linkedid]
	c.mu.Unlock()
	if l != nil {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.local {
			return true
		}
	}
	return c.spool.Has(linkedid)
}

// toEngine reports whether the next record of a locked lane goes to the engine.
func (c *Cluster) toEngine(l *lane) bool {
	if l.local || !c.breaker.closed() || c.spool.Has(l.linkedid) {
		return false
	}
	return c.cfg.Promise != Machine || c.localReady() != nil
}

// commit is a queued record.
type commit struct {
	c        *Cluster
	l        *lane
	r        dialplan.Record
	fork     *dialplan.Lineage
	patience time.Duration // how long it waits for the engine
	decided  chan struct{} // closed when it is known which store answers; what follows is valid then
	local    dialplan.Commit
	due      []hooks.Delivery // of the engine
	err      error
	once     sync.Once // for what follows a commit on the local disk
}

// Queue implements dialplan.Acceptor. A record goes to the engine, and to the local store if the engine does not answer in
// time. While the local store has records of a call, all further ones follow them there.
func (c *Cluster) Queue(ctx context.Context, r dialplan.Record) (dialplan.Commit, error) {
	l := c.enter(dialplan.IdentityOf(r.Call).LinkedID)
	k := &commit{c: c, l: l, r: r, decided: make(chan struct{})}
	flies, err := k.queue(ctx)
	if !flies {
		c.leave(l)
	}
	if err != nil {
		return nil, err
	}
	return k, nil
}

// queue queues a record. If it is the engine's, flies is true, and the lane is left when it is answered.
func (k *commit) queue(ctx context.Context) (flies bool, err error) {
	c, l := k.c, k.l
	l.mu.Lock()
	defer l.mu.Unlock()
	if !c.toEngine(l) {
		return false, k.keep(ctx)
	}
	k.fork = k.r.Lineage.Fork()
	shared := k.r
	shared.Lineage = k.fork
	start := time.Now()
	k.patience = c.patience(ctx)
	patience, cancel := context.WithTimeout(context.Background(), k.patience)
	queued, err := c.engine.Queue(patience, shared)
	if err != nil {
		cancel()
		c.failed(err, k.patience)
		c.fall(l)
		return false, k.keep(ctx)
	}
	l.flying = append(l.flying, k)
	c.waits.Go(func() {
		defer cancel()
		due, err := queued.Wait(patience)
		k.answered(due, err, time.Since(start))
		c.leave(l)
	})
	return true, nil
}

// patience returns how long a point waits for the engine.
func (c *Cluster) patience(ctx context.Context) time.Duration {
	patience := min(c.cfg.Patience, maxPatience)
	if deadline, bounded := ctx.Deadline(); bounded {
		patience = min(patience, time.Until(deadline)-localTime)
	}
	return max(patience, 0)
}

// failed notes an error of the engine after a wait. An answer that did not come to a point with hardly any time left says
// nothing about the engine.
func (c *Cluster) failed(err error, wait time.Duration) {
	if !late(err) || wait >= min(leastWait, c.cfg.Patience) {
		c.breaker.failed(err)
	}
}

// keep queues a record in the local store.
func (k *commit) keep(ctx context.Context) error {
	defer close(k.decided)
	if k.local, k.err = k.c.local.Queue(ctx, k.r); k.err == nil {
		k.l.local = true
		k.l.records++
	}
	return k.err
}

// answered takes the answer of the engine, or its lack, into account.
func (k *commit) answered(due []hooks.Delivery, err error, took time.Duration) {
	c, l := k.c, k.l
	moved := (*dialplan.Moved)(nil)
	l.mu.Lock()
	defer l.mu.Unlock()
	if !slices.Contains(l.flying, k) { // it follows one that went to the local store
		return
	}
	switch {
	case err == nil:
		k.due = due
		if k.r.Lineage != nil {
			k.r.Lineage.Stored(k.fork.Version())
		}
		c.metrics.commit.Observe(took.Seconds())
		c.metrics.promised.WithLabelValues(byCluster).Inc()
		c.breaker.worked()
	case errors.As(err, &moved):
		k.err = moved
		if k.r.Lineage != nil {
			k.r.Lineage.Move(moved)
		}
		c.breaker.worked()
	case pgstore.ClassOf(err) == pgstore.Refused, k.r.Lineage.Broken(): // the record itself is at fault, or one before it
		k.err = err
		k.r.Lineage.Break()
	default:
		if !errors.Is(err, pgstore.ErrLineage) {
			c.failed(err, k.patience)
		}
		c.fall(l)
		return
	}
	l.flying = slices.DeleteFunc(l.flying, func(f *commit) bool { return f == k })
	close(k.decided)
}

// fall queues the records of a locked lane that the engine has not answered in the local store, in their order. They are in doubt:
// the engine may have them.
func (c *Cluster) fall(l *lane) {
	for _, k := range l.flying {
		ctx, cancel := context.WithTimeout(context.Background(), fallTime)
		if k.keep(ctx) != nil {
			k.r.Lineage.Break()
		}
		cancel()
		c.metrics.doubt.Inc()
	}
	l.flying = nil
}

// fallAll does that for all lanes.
func (c *Cluster) fallAll() {
	c.mu.Lock()
	list := slices.Collect(maps.Keys(c.lanes))
	c.mu.Unlock()
	for _, linkedid := range list {
		l := c.enter(linkedid)
		l.mu.Lock()
		c.fall(l)
		l.mu.Unlock()
		c.leave(l)
	}
}

// Wait implements dialplan.Commit. Deliveries of the local store are not due for the dispatcher of the engine.
func (k *commit) Wait(ctx context.Context) (due []hooks.Delivery, err error) {
	select {
	case <-k.decided:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if k.local == nil {
		return k.due, k.err
	}
	if due, err = k.local.Wait(ctx); err != nil {
		return nil, err
	}
	k.once.Do(func() { k.c.kept(k.r.Events, due) })
	if k.c.cfg.Promise == ClusterOnly {
		k.r.Lineage.StoredElsewhere(spooledVersion)
		return nil, ErrAlone
	}
	return nil, nil
}

// kept is called after a record was committed on the local disk.
func (c *Cluster) kept(events []dialplan.Accepted, due []hooks.Delivery) {
	if c.cfg.Promise != ClusterOnly {
		c.metrics.promised.WithLabelValues(byMachine).Inc()
	}
	c.offer(events, due)
	c.kick()
}

// KeepLater implements dialplan.Acceptor.
func (c *Cluster) KeepLater(r dialplan.Record) {
	l := c.enter(dialplan.IdentityOf(r.Call).LinkedID)
	defer c.leave(l)
	l.mu.Lock()
	defer l.mu.Unlock()
	if !c.toEngine(l) {
		l.local = true
		l.records++
		c.local.KeepLater(r)
		return
	}
	shared := r
	shared.Lineage = r.Lineage.Fork()
	if r.Moved != nil && r.Lineage != nil {
		shared.Moved = func() {
			if newer := shared.Lineage.Newer(); newer != nil && !c.isLocal(l.linkedid) {
				r.Lineage.Move(newer)
				r.Moved()
			}
		}
	}
	c.engine.KeepLater(shared)
}

// Barrier implements dialplan.Acceptor. A record that the engine does not answer in time is in the local store then.
func (c *Cluster) Barrier(ctx context.Context) error {
	if c.breaker.closed() {
		wait := c.patience(ctx)
		patience, cancel := context.WithTimeout(ctx, wait)
		err := c.engine.Barrier(patience)
		cancel()
		if err != nil {
			c.failed(err, wait)
			c.fallAll()
		}
	} else {
		c.fallAll()
	}
	return c.local.Barrier(ctx)
}

// Call implements dialplan.Calls. A call that the local store has is read there. While the engine is away, others are not known.
func (c *Cluster) Call(key string, deadline time.Time) (state []byte, version int64, err error) {
	if c.isLocal(dialplan.IdentityOf(key).LinkedID) {
		if state, _, err = c.local.Call(key, deadline); state != nil || err != nil {
			return state, spooledVersion, err
		}
	}
	if !c.breaker.closed() {
		return nil, 0, nil
	}
	wait := min(c.cfg.Patience, maxPatience)
	if !deadline.IsZero() {
		wait = min(wait, time.Until(deadline))
		deadline = time.Now().Add(wait)
	}
	if state, version, err = c.engine.Call(key, deadline); err == nil {
		c.breaker.worked()
		return state, version, nil
	}
	if c.failed(err, wait); !c.breaker.closed() {
		err = nil
	}
	return nil, 0, err
}

// IdleCalls implements dialplan.Calls. Calls of the local store are idle when they are forwarded.
func (c *Cluster) IdleCalls(after, until time.Time, limit int) ([]dialplan.IdleCall, error) {
	return c.engine.IdleCalls(after, until, limit)
}
