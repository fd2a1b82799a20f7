package cluster

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"ringhook/dialplan"
	"ringhook/pgstore"
	"ringhook/store"
	"ringhook/store/spooled"
)

const (
	// pause is the time between two looks at the spool and at the engine.
	pause = time.Second
	// maxGroups and maxEvents bound what is forwarded in one transaction, whose locks new records may wait for.
	maxGroups = 32
	maxEvents = 192
	// maxJoins is the number of times that a call is joined because other nodes change it meanwhile.
	maxJoins = 3
	// takeTime bounds the wait for the engine. After it, what was forwarded is in doubt.
	takeTime = 5 * time.Second
	// endedRows and resultRows are the number of ended deliveries that are read and stored at once.
	endedRows  = 1000
	resultRows = 100
)

// run forwards what is spooled while the engine can be used, and delivers it while it cannot.
func (c *Cluster) run(ctx context.Context) {
	defer c.endAlone()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-c.kicked:
		case <-timer.C:
		}
		wait := pause
		if c.restart.Swap(false) {
			c.endAlone()
		}
		if c.breaker.closed() {
			c.endAlone()
			if err := c.forwardAll(ctx); err != nil && ctx.Err() == nil {
				if unusable(err) {
					c.breaker.trip(err)
				}
				c.limit.Warn("forward", "events of this machine not forwarded, it is tried again", "err", err)
			}
		} else {
			wait = c.deliverAlone()
		}
		timer.Reset(wait)
	}
}

// unusable reports whether an error of forwarding means that the engine cannot be used. Other faults are of what is forwarded:
// the breaker would open and close again each time that it is tried.
func unusable(err error) bool {
	f := (*pgstore.Fault)(nil)
	return errors.As(err, &f) && (f.Class == pgstore.Away || f.Class == pgstore.Doubt || f.Class == pgstore.Full)
}

// forwardAll forwards what is spooled, the results of deliveries first.
func (c *Cluster) forwardAll(ctx context.Context) error {
	if !c.latch.opened() {
		if err := c.forwardResults(ctx); err != nil {
			return err
		}
		c.latch.open()
		c.wake()
	}
	before := c.localLanes()
	if err := c.local.Barrier(ctx); err != nil {
		return err
	}
	for place := (store.Place{}); ctx.Err() == nil && c.breaker.closed(); {
		linkedids, next, err := c.spool.Next(place)
		if err != nil {
			return err
		}
		if len(linkedids) == 0 { // the lanes that are left have nothing in the spool
			c.openLanes(before)
			break
		}
		for _, linkedid := range linkedids {
			delete(before, linkedid)
		}
		for part := range slices.Chunk(linkedids, maxGroups) {
			if err := c.forward(ctx, part); err != nil {
				return err
			}
		}
		place = next
	}
	return ctx.Err()
}

// localLanes returns the lanes whose records go to the local store, with the number of these records.
func (c *Cluster) localLanes() map[string]int {
	c.mu.Lock()
	list := slices.Collect(maps.Keys(c.lanes))
	c.mu.Unlock()
	local := map[string]int{}
	for _, linkedid := range list {
		l := c.enter(linkedid)
		l.mu.Lock()
		if l.local {
			local[linkedid] = l.records
		}
		l.mu.Unlock()
		c.leave(l)
	}
	return local
}

// openLanes lets the records of lanes go to the engine again of which the spool has nothing, unless there were any since.
func (c *Cluster) openLanes(lanes map[string]int) {
	for linkedid, records := range lanes {
		c.openLane(c.enter(linkedid), records)
	}
}

// openLane lets the records of a lane go to the engine again, unless the local store was given any since, and leaves it.
func (c *Cluster) openLane(l *lane, records int) {
	l.mu.Lock()
	if l.records == records {
		l.local = false
	}
	l.mu.Unlock()
	c.leave(l)
}

// forwardResults reports to the engine what became of deliveries that it may have too, before it makes any: a record whose commit
// was in doubt may have been delivered by this machine.
func (c *Cluster) forwardResults(ctx context.Context) error {
	for from := int64(0); ; {
		events, next, err := c.spool.Ended(ctx, from, endedRows)
		if err != nil || len(events) == 0 {
			return err
		}
		have, err := c.have(ctx, []spooled.Group{{Events: events}})
		if err != nil {
			return err
		}
		events = slices.DeleteFunc(events, func(e spooled.Event) bool { return !have.Events[nameOf(&e)] })
		for part := range slices.Chunk(events, resultRows) {
			if err := c.takeResults(ctx, part); err != nil {
				return err
			}
		}
		from = next
	}
}

// takeResults has the engine take over results. One that it refuses is left out: the engine may make that delivery again, but
// it makes none at all before it knows the results.
func (c *Cluster) takeResults(ctx context.Context, events []spooled.Event) error {
	wait, cancel := context.WithTimeout(ctx, takeTime)
	err := c.engine.TakeResults(wait, events)
	cancel()
	switch {
	case !divisible(err):
		return err
	case len(events) == 1:
		c.limit.Error("result", "PostgreSQL does not take the result of a delivery", "linkedid", events[0].LinkedID, "err", err)
		return nil
	}
	half := len(events) / 2
	if err := c.takeResults(ctx, events[:half]); err != nil {
		return err
	}
	return c.takeResults(ctx, events[half:])
}

// have asks the engine what it has of groups.
func (c *Cluster) have(ctx context.Context, groups []spooled.Group) (pgstore.Have, error) {
	ctx, cancel := context.WithTimeout(ctx, takeTime)
	defer cancel()
	return c.engine.Have(ctx, groups)
}

// nameOf returns the name of an event in pgstore.Have.
func nameOf(e *spooled.Event) [2]string { return [2]string{e.LinkedID, e.ID} }

// forward forwards what is spooled of linkedids.
func (c *Cluster) forward(ctx context.Context, linkedids []string) error {
	lanes := map[string]*lane{}
	records := map[string]int{}
	for _, linkedid := range linkedids {
		l := c.enter(linkedid)
		l.mu.Lock()
		l.local = true // further records follow these
		lanes[linkedid], records[linkedid] = l, l.records
		l.mu.Unlock()
	}
	forwarded := map[string]bool{}
	defer func() {
		for linkedid, l := range lanes {
			if forwarded[linkedid] {
				c.openLane(l, records[linkedid])
			} else {
				c.leave(l)
			}
		}
	}()
	if err := c.local.Barrier(ctx); err != nil { // what was queued before can be read
		return err
	}
	var groups []spooled.Group
	events := 0
	flush := func() error {
		done, err := c.take(ctx, groups)
		for _, g := range done {
			forwarded[g.LinkedID] = true
		}
		groups, events = nil, 0
		return err
	}
	for _, linkedid := range linkedids {
		g, err := c.spool.Read(ctx, linkedid)
		if err != nil {
			return err
		}
		if len(g.Calls)+len(g.Events) == 0 { // forwarded since it was listed
			forwarded[linkedid] = true
			continue
		}
		groups, events = append(groups, g), events+len(g.Events)
		if events >= maxEvents {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	return flush()
}

// take has the engine take groups over and removes them from the spool. It returns those that are forwarded. If the engine
// refuses what is in one, it is left where it is, and the others are forwarded.
func (c *Cluster) take(ctx context.Context, groups []spooled.Group) (done []spooled.Group, err error) {
	if len(groups) == 0 {
		return nil, nil
	}
	done, err = c.join(ctx, groups)
	if err == nil || !divisible(err) {
		return done, err
	}
	if len(groups) == 1 {
		c.limit.Error("refused", "PostgreSQL does not take what this machine has of a call", "linkedid", groups[0].LinkedID, "err", err)
		return nil, nil
	}
	half := len(groups) / 2
	first, err := c.take(ctx, groups[:half])
	if err != nil {
		return first, err
	}
	second, err := c.take(ctx, groups[half:])
	return append(first, second...), err
}

// divisible reports whether the engine may take a part of what it does not take together.
func divisible(err error) bool {
	class := pgstore.ClassOf(err)
	return class == pgstore.Refused || class == pgstore.Crowded
}

// join joins groups with what the engine has of their calls. Calls that other nodes change again and again are left for the
// next time.
func (c *Cluster) join(ctx context.Context, groups []spooled.Group) (done []spooled.Group, err error) {
	for range maxJoins {
		if len(groups) == 0 {
			break
		}
		have, err := c.have(ctx, groups)
		if err != nil {
			return done, err
		}
		joined := make([]spooled.Group, len(groups))
		for i := range groups {
			joined[i] = c.joined(groups[i], have)
		}
		wait, cancel := context.WithTimeout(ctx, takeTime)
		moved, err := c.engine.Take(wait, joined)
		cancel()
		if err != nil {
			return done, err
		}
		var taken, left []spooled.Group
		for _, g := range groups {
			if slices.ContainsFunc(g.Calls, func(call spooled.Call) bool { return slices.Contains(moved, call.Key) }) {
				left = append(left, g)
			} else {
				taken = append(taken, g)
			}
		}
		if err := c.spool.Remove(ctx, taken); err != nil {
			return done, err
		}
		for _, g := range taken {
			c.metrics.forwarded.Add(float64(len(g.Events)))
		}
		if len(taken) > 0 {
			c.wake()
		}
		done, groups = append(done, taken...), left
	}
	return done, nil
}

// joined returns a group with its calls joined with what the engine has. The group itself is not changed.
func (c *Cluster) joined(g spooled.Group, have pgstore.Have) spooled.Group {
	merged := map[string]*dialplan.Merged{}
	j := spooled.Group{LinkedID: g.LinkedID, Values: g.Values}
	for _, call := range g.Calls {
		m, err := c.merge(&call, have.Calls[call.Key])
		if err != nil {
			c.limit.Error("merge", "state of a call cannot be joined, its events are forwarded", "linkedid", g.LinkedID, "err", err)
			continue
		}
		merged[call.Key] = m
		j.Calls = append(j.Calls, call)
	}
	for _, e := range g.Events {
		if m := merged[e.Call]; m == nil {
			e.Call = ""
		} else if !have.Events[nameOf(&e)] {
			m.Number(&e.Event, e.Received())
		}
		j.Events = append(j.Events, e)
	}
	for i := range j.Calls {
		call := &j.Calls[i]
		state, err := merged[call.Key].State(call.State)
		if err == nil {
			call.State = state
		}
	}
	return j
}

// merge joins a call with what the engine has of it, and sets the version that it replaces.
func (c *Cluster) merge(call *spooled.Call, stored *dialplan.Moved) (*dialplan.Merged, error) {
	if stored == nil {
		call.Version = 0
		return dialplan.Merge(nil, call.State)
	}
	call.Version = stored.Version
	return dialplan.Merge(stored.State, call.State)
}
