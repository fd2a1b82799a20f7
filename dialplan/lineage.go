package dialplan

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
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
	fork    atomic.Pointer[Lineage]
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

// StoredElsewhere notes that a record of the lineage is stored where it may not be safe, as a version that the store does not have.
// A point that repeats it is not answered without another write.
func (l *Lineage) StoredElsewhere(version int64) {
	if l != nil {
		l.version.Store(version)
		l.own.Store(false)
	}
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

// Fork returns the lineage of the same records in a second store, which may lose what the first one keeps: what happens there
// changes only the fork. It is one until it is broken, then another.
func (l *Lineage) Fork() *Lineage {
	if l == nil {
		return nil
	}
	f := l.fork.Load()
	if f == nil || f.Broken() {
		f = NewLineage(l.Version())
		l.fork.Store(f)
	}
	return f
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

// Merged is a call of which two servers have recorded points without each other, because one of them was cut off.
type Merged struct{ call *call }

// Merge joins the state of a call that is stored with one that is added to it. Visits and rings are joined by their markers, and
// of each time the earliest counts. Of two values the one that was known first is kept. Either state may be nil.
func Merge(stored, added []byte) (*Merged, error) {
	if stored == nil || added == nil {
		c, err := decodeCall(slices.Concat(stored, added))
		if err == nil && stored == nil {
			c.Seq = 0 // its events get their own numbers
		}
		return &Merged{c}, err
	}
	a, err := decodeCall(stored)
	if err != nil {
		return nil, err
	}
	b, err := decodeCall(added)
	if err != nil {
		return nil, err
	}
	seq := a.Seq
	if b.Began.Before(a.Began) {
		a, b = b, a
	}
	c := a.join(b)
	c.Seq = seq
	return &Merged{c}, nil
}

// Number sets the number of an event of the added state. It is called for its events in their order. One that a receiver has keeps its
// own number; the others follow all that are numbered.
func (m *Merged) Number(ev *hooks.Event, received bool) {
	if ev.Seq <= m.call.Seq && !received {
		ev.Seq = m.call.Seq + 1
		if ev.Params["seq"] != nil {
			ev.Params["seq"] = int64(ev.Seq)
		}
	}
	m.call.Seq = max(m.call.Seq, ev.Seq)
}

// State returns the joined state. The numbers of later events follow those of both states.
func (m *Merged) State(added []byte) ([]byte, error) {
	if b, err := decodeCall(added); err == nil {
		m.call.Seq = max(m.call.Seq, b.Seq)
	}
	return m.call.encode()
}

// join returns the call with what another state of it has. c began first.
func (c *call) join(other *call) *call {
	j := *c
	j.Asterisk, j.Direction = cmp.Or(c.Asterisk, other.Asterisk), cmp.Or(c.Direction, other.Direction)
	if j.First.UniqueID == "" {
		j.First = other.First
	}
	j.Answered = earliest(c.Answered, other.Answered)
	j.Ended, j.Presumed = ended(c.Ended, c.Presumed, other.Ended, other.Presumed)
	j.Hidden, j.Table = cmp.Or(c.Hidden, other.Hidden), cmp.Or(c.Table, other.Table)
	j.Marks = union(c.Marks, other.Marks, maxMarks)
	j.EmittedIDs = union(c.EmittedIDs, other.EmittedIDs, 2*maxEmitted)
	j.Twins = slices.Clone(c.Twins)
	for _, t := range other.Twins {
		if len(j.Twins) < maxTwins && !slices.ContainsFunc(j.Twins, func(have twin) bool { return have.Asterisk == t.Asterisk }) {
			j.Twins = append(j.Twins, t)
		}
	}
	j.Notes = maps.Clone(other.Notes)
	if c.Notes != nil {
		if j.Notes == nil {
			j.Notes = map[string]string{}
		}
		maps.Copy(j.Notes, c.Notes)
	}
	if slices.Index(foundOrder, other.Looked) > slices.Index(foundOrder, c.Looked) {
		j.Looked = other.Looked
	}
	j.joinKnown(c, other)
	j.Visits = joinParts(c.Visits, other.Visits, func(v *visit) marker { return v.Marker }, (*visit).join, (*visit).first)
	j.Rings = joinParts(c.Rings, other.Rings, func(r *ring) marker { return r.Marker }, (*ring).join, (*ring).first)
	return &j
}

// foundOrder are the values of Looked, those that say more later.
var foundOrder = []string{"", lookedPending, lookedError, lookedNotFound, lookedSeveral, lookedFound}

// joinKnown joins the parameters of two states. If one of them withholds the caller, what the other one knows of the
// caller is left out.
func (c *call) joinKnown(a, b *call) {
	hidden := func(own, other *call) func(name string, value any) bool {
		withheld := other.Known["callerid_withheld"] == true && own.Known["callerid_withheld"] != true
		return func(name string, value any) bool {
			text, _ := value.(string)
			return withheld && (strings.HasPrefix(name, "callerid") || strings.HasPrefix(name, "region_") || !ownArgument(name) && c.marks().in(text))
		}
	}
	known := lasting{}
	maps.Copy(known, b.Known)
	maps.DeleteFunc(known, hidden(b, a))
	first := maps.Clone(a.Known)
	maps.DeleteFunc(first, hidden(a, b))
	maps.Copy(known, first)
	c.Known = known
	if known["callerid_withheld"] == true && c.First.Caller != hiddenCaller && c.marks().in(c.First.Caller) {
		c.First = c.First.hidden()
	}
}

func union(a, b []string, most int) []string {
	u := slices.Clone(a)
	for _, s := range b {
		if len(u) < most && !slices.Contains(u, s) {
			u = append(u, s)
		}
	}
	return u
}

// earliest returns the earlier of two times; a zero time does not count.
func earliest(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// ended returns the end that counts of two: one that was reported before one that is presumed, else the earlier one.
func ended(a time.Time, aPresumed bool, b time.Time, bPresumed bool) (at time.Time, presumed bool) {
	if endsFirst(a, aPresumed, b, bPresumed) {
		return a, aPresumed
	}
	return b, bPresumed
}

// endsFirst reports whether the end a counts, see ended.
func endsFirst(a time.Time, aPresumed bool, b time.Time, bPresumed bool) bool {
	switch {
	case a.IsZero(), b.IsZero():
		return b.IsZero()
	case aPresumed != bPresumed:
		return bPresumed
	}
	return !b.Before(a)
}

// joinParts joins visits or rings: those with one marker become one, and all are in the order of their times.
func joinParts[T any](a, b []*T, marker func(*T) marker, join func(a, b *T) *T, first func(*T) time.Time) (all []*T) {
	all = slices.Clone(a)
	for _, p := range b {
		if i := slices.IndexFunc(all, func(have *T) bool { return marker(have) == marker(p) }); i >= 0 {
			all[i] = join(all[i], p)
		} else {
			all = append(all, p)
		}
	}
	slices.SortStableFunc(all, func(a, b *T) int { return first(a).Compare(first(b)) })
	return all
}

// first returns the first time that is known of the visit.
func (v *visit) first() time.Time { return later(later(v.Began, v.Answered), v.Ended) }

func (v *visit) join(other *visit) *visit {
	if v.Began.IsZero() {
		v, other = other, v // who reported its beginning knows it better
	}
	j := *v
	j.Transfer, j.Agent = cmp.Or(v.Transfer, other.Transfer), cmp.Or(v.Agent, other.Agent)
	j.Began, j.Answered = earliest(v.Began, other.Began), earliest(v.Answered, other.Answered)
	switch {
	case v.Answered.IsZero() || v.Untimed && !other.Answered.IsZero() && !other.Untimed:
		j.Answered, j.Untimed = other.Answered, other.Untimed
	case other.Untimed && !v.Untimed:
		j.Answered, j.Untimed = v.Answered, false
	}
	j.WaitTime, j.Position = cmp.Or(v.WaitTime, other.WaitTime), cmp.Or(v.Position, other.Position)
	j.HungUp, j.Joined = v.HungUp || other.HungUp, v.Joined || other.Joined
	end := v
	if !endsFirst(v.Ended, v.Presumed, other.Ended, other.Presumed) {
		end = other
	}
	j.Ended, j.Presumed, j.Outcome = end.Ended, end.Presumed, end.Outcome
	j.Left, j.EndedBy = cmp.Or(end.Left, v.Left, other.Left), cmp.Or(end.EndedBy, v.EndedBy, other.EndedBy)
	return &j
}

// first returns the first time that is known of the ring.
func (r *ring) first() time.Time { return later(later(r.Began, r.Answered), r.Ended) }

func (r *ring) join(other *ring) *ring {
	if r.Began.IsZero() {
		r, other = other, r // who reported its beginning knows it better
	}
	j := *r
	j.Phone, j.Dialed, j.Transfer = cmp.Or(r.Phone, other.Phone), cmp.Or(r.Dialed, other.Dialed), cmp.Or(r.Transfer, other.Transfer)
	j.Leg, j.Reporter = cmp.Or(r.Leg, other.Leg), cmp.Or(r.Reporter, other.Reporter)
	if j.Visit == (marker{}) {
		j.Visit = other.Visit
	}
	j.Began, j.Answered = earliest(r.Began, other.Began), earliest(r.Answered, other.Answered)
	j.Ended, j.Presumed = ended(r.Ended, r.Presumed, other.Ended, other.Presumed)
	return &j
}
