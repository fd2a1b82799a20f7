package dialplan

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"ringhook/hooks"
)

// Lineage joins the records of one call that were built on each other. A record
// whose Lineage is broken holds effects of a record that was lost, so the journal
// must refuse it.
//
// In a store that several servers write to, each state of a call has a version above 0, which
// no state of the call had before. The journal accepts a record only if the stored version is that of
// the lineage, and then raises both. A store with one writer has no versions: they are 0.
type Lineage struct {
	broken  atomic.Bool
	version atomic.Int64
	own     atomic.Bool // the stored state is that of a record of the lineage
	newer   atomic.Pointer[Moved]
}

// NewLineage returns a lineage that begins with a stored state of this version; 0 if nothing is stored.
func NewLineage(version int64) *Lineage {
	l := &Lineage{}
	l.version.Store(version)
	return l
}

// Version returns the version of the stored state that the next record replaces.
func (l *Lineage) Version() int64 { return l.version.Load() }

// Stored sets the version that a record of the lineage was stored as. The journal calls it before it reports the
// commit, in the order of the commits.
func (l *Lineage) Stored(version int64) {
	l.version.Store(version)
	l.own.Store(true)
}

// Move breaks the lineage, because another server has changed the call. The journal calls it before it
// reports m for a record of the lineage.
func (l *Lineage) Move(m *Moved) {
	l.newer.Store(m)
	l.Break()
}

// Break marks the lineage as broken. The journal calls it before it reports that a
// record of the lineage was lost.
func (l *Lineage) Break() {
	if l != nil {
		l.broken.Store(true)
	}
}

// Broken reports whether a record of the lineage was lost. A nil Lineage is never broken.
func (l *Lineage) Broken() bool { return l != nil && l.broken.Load() }

// Newer returns the state that another server stored, nil if the lineage was not broken by Move.
func (l *Lineage) Newer() *Moved {
	if l == nil {
		return nil
	}
	return l.newer.Load()
}

// foreign reports whether the stored state is that of another server or of an earlier lineage.
func (l *Lineage) foreign() bool { return l.version.Load() > 0 && !l.own.Load() }

// Moved is the error of a record that was refused because another server has changed its call since the call was
// read. It holds the newer state.
type Moved struct {
	State   []byte
	Version int64
}

// Error implements error.
func (*Moved) Error() string { return "another server has changed the call" }

// maxRepeats is the maximum number of times that a step is applied again because another server has changed the call.
const maxRepeats = 3

// errMovedAgain reports a call that other servers change faster than this one.
var errMovedAgain = errors.New("other servers changed the call again and again")

// outcome waits for a commit. As long as another server has changed the call before, it applies the step to the newer
// state. It returns the last commit, and why that is lost or not known.
func (d *Dialplan) outcome(ctx context.Context, deadline time.Time, cur *current, e *entry, c *pendingCommit) (last *pendingCommit, err error) {
	for range maxRepeats + 1 {
		due, err := c.commit.Wait(ctx)
		notifyHooks(cur.Hooks, c.events, due)
		if moved := (*Moved)(nil); !errors.As(err, &moved) {
			return c, err
		}
		e.ended(c.commit)
		next, err := d.repeat(ctx, deadline, cur, e, c)
		if err != nil {
			return c, err
		}
		if next.commit == nil {
			return next, nil
		}
		c = next
	}
	return c, errMovedAgain
}

// repeat applies the step of a refused record to the call's newer state and queues the result. Without anything to
// wait for, the commit of the result is nil. If the deadline comes first, the error is context.DeadlineExceeded.
func (d *Dialplan) repeat(ctx context.Context, deadline time.Time, cur *current, e *entry, before *pendingCommit) (*pendingCommit, error) {
	d.calls.use(e)
	locked, err := d.calls.lockEntry(e, d.now(), deadline)
	if errors.Is(err, errCallBusy) {
		err = fmt.Errorf("%w: %w", err, context.DeadlineExceeded)
	}
	if locked == nil {
		return nil, err
	}
	queued := false
	defer func() { d.calls.release(e, queued) }()
	if err != nil {
		return nil, err
	}
	t := before.again(e.call)
	t.hearNew(d, cur, before.made)
	c, err := d.record(ctx, deadline, cur, t, e, before.again)
	if err != nil {
		return nil, err
	}
	queued = true
	if c == nil {
		c = &pendingCommit{made: t}
	}
	return c, nil
}

// hearNew counts the events of a repeated step that the step did not make before, and passes them to the audience.
func (t *transition) hearNew(d *Dialplan, cur *current, before *transition) {
	if t.quiet {
		return
	}
	if n := len(before.recorded); n < len(t.recorded) {
		d.metrics.emitted(t.recorded[n:])
	}
	var fresh []hooks.Event
	for _, ev := range t.events {
		if !slices.ContainsFunc(before.events, func(b hooks.Event) bool { return b.ID == ev.ID }) {
			fresh = append(fresh, ev)
		}
	}
	cur.tell(fresh, t.call.Looked)
}

// separate makes a twin of a locked call, and returns its name. The call is stored, so that its
// twin's phones are known after a restart too.
func (d *Dialplan) separate(e *entry, here channel) string {
	twins := len(e.call.Twins)
	name := e.call.separate(here)
	if len(e.call.Twins) > twins {
		// If the call cannot be encoded, its next point reports that.
		_ = d.keepLater(e, func(c *call) { c.separate(here) })
	}
	return name
}

// keepLater queues the state of a locked call of which no session waits for the commit. If another server has changed
// the call, change is applied to its newer state.
func (d *Dialplan) keepLater(e *entry, change func(*call)) error {
	return d.keepAgain(e, change, maxRepeats)
}

func (d *Dialplan) keepAgain(e *entry, change func(*call), repeats int) error {
	state, err := e.call.encode()
	if err != nil {
		return err
	}
	id := e.call.id()
	r := Record{Call: id.Key(), State: state, Lineage: e.lineage}
	if repeats > 0 {
		r.Moved = func() { d.inBackground(func() { d.changeAgain(id, change, repeats-1) }) }
	}
	d.journal.KeepLater(r)
	return nil
}

// changeAgain applies a change to the newer state of a call.
func (d *Dialplan) changeAgain(id Identity, change func(*call), repeats int) {
	e, err := d.calls.acquireExact(id, d.now(), time.Now().Add(d.lockWait()))
	if err == nil {
		change(e.call)
		err = d.keepAgain(e, change, repeats)
	}
	if e != nil {
		d.calls.release(e, err == nil)
	}
	if err != nil {
		d.limited.Warn("moved", "change of a call not kept: another server changed the call", "linkedid", id.LinkedID, "err", err)
	}
}

// inBackground runs f before Close returns. After Close it does nothing.
func (d *Dialplan) inBackground(f func()) {
	d.closing.Lock()
	defer d.closing.Unlock()
	if !d.closed {
		d.late.Go(f)
	}
}
