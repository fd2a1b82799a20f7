package dialplan

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"
)

// errNoVisit is the reason why the end of a visit cannot be noted: no point has reported its beginning.
var errNoVisit = errors.New("the call has no open visit of this channel")

// NoteEnd notes in a call that a command takes a waiting caller out of a queue. The visit then ends with the status
// other and ended_by, and is neither abandoned nor a failover. undo removes the note, because the command failed. A
// call of which no point was heard has no events, and no note.
func (d *Dialplan) NoteEnd(ctx context.Context, call Identity, uniqueID, by string) (undo func(), err error) {
	set := func(by string) error { return d.noteEnd(ctx, d.calls.knownAs(call), uniqueID, by) }
	if err := set(by); err != nil && !errors.Is(err, errNoVisit) {
		return nil, err
	}
	return func() { _ = set("") }, nil // without it the visit ends as that of a caller who was taken out
}

func (d *Dialplan) noteEnd(ctx context.Context, id Identity, uniqueID, by string) error {
	deadline := time.Now().Add(d.lockWait())
	if end, ok := ctx.Deadline(); ok && end.Before(deadline) {
		deadline = end
	}
	e, err := d.calls.acquire(id, d.now(), deadline)
	if err != nil {
		if e != nil {
			d.calls.release(e, false)
		}
		return err
	}
	note := func(c *call) (noted bool) {
		v := c.openVisit(func(v *visit) bool { return v.Marker.UniqueID == uniqueID && v.Answered.IsZero() })
		if v != nil {
			v.EndedBy = by
		}
		return v != nil
	}
	if !note(e.call) {
		d.calls.release(e, true)
		return errNoVisit
	}
	err = d.keepLater(e, func(c *call) { note(c) })
	d.calls.release(e, err == nil)
	return err
}

// TraceCommand adds a command to the trace of a call.
func (d *Dialplan) TraceCommand(p *PointTrace) {
	b := traceBuffers.Get().(*traceBuffer)
	*b = append((*b)[:0], traceVersion)
	b.point(p)
	d.journal.Trace(p.At, *b)
	traceBuffers.Put(b)
}

const (
	// maxExpected is the maximum number of calls whose parameters are kept, and expectTime the time for which they are.
	maxExpected = 10000
	expectTime  = time.Hour
)

// expected holds parameters of calls of which no point was heard yet.
type expected struct {
	mu    sync.Mutex
	calls map[string]expectation // by linkedid; guarded by mu
}

type expectation struct {
	params map[string]string
	until  time.Time
}

// Expect has parameters added to the events of a call that is about to begin: its linkedid is known, because ringhook
// chose it. Names that have a meaning in the contract are left out.
func (d *Dialplan) Expect(linkedid string, params map[string]string) {
	now := d.now()
	x := d.calls.expected
	x.mu.Lock()
	defer x.mu.Unlock()
	if len(x.calls) >= maxExpected {
		for id, e := range x.calls {
			if !now.Before(e.until) {
				delete(x.calls, id)
			}
		}
		if len(x.calls) >= maxExpected {
			return
		}
	}
	if x.calls == nil {
		x.calls = map[string]expectation{}
	}
	x.calls[linkedid] = expectation{params, now.Add(expectTime)}
}

// CheckExpected returns why Expect cannot add a parameter of a name, empty if it can or if the name is malformed.
func CheckExpected(name string) string {
	if _, ours := parameters[name]; ours || slices.Contains(reservedNames, name) {
		return "is a name that only ringhook sets: choose another one"
	}
	return ""
}

// meet adds to a new call the parameters that are expected of it. They stay known, because the call may be made again
// if its first record is lost.
func (x *expected) meet(c *call) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for name, value := range x.calls[c.LinkedID].params {
		if validName(name) && CheckExpected(name) == "" {
			c.keep(name, clean(value))
		}
	}
}

// AgentNote is the event of a note that an agent writes about a call. It may follow call-hangup: agents write after
// the call.
const AgentNote = "agent-note"

// Note makes the event of a note of an agent, or of an empty one if the agent removed it. It reports false if the call
// is not known any more, the note is the same as before, or the event is not kept.
func (d *Dialplan) Note(ctx context.Context, call Identity, agentPhone, note string) bool {
	return d.Report(ctx, &Report{
		Point: CustomEvent, At: d.now(), Call: call, Exact: true, Channel: call.LinkedID,
		Args: map[string]string{"name": AgentNote, "agent_phone": agentPhone, "note": note},
	}) == ReportMade
}
