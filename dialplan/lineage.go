package dialplan

import "sync/atomic"

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
