package dialplan

import (
	"sync"
	"time"

	"ringhook/fastagi"
	"ringhook/lookup"
)

// traced is what a turn leaves for its record beside what it has anyway.
type traced struct {
	pending *lookup.Pending // nil where nothing was looked up
	refused []refusal
	told    []TracedEvent
	set     []fastagi.Variable
	err     string
	nth     int // of the call's points
}

// traceBuffers spare each record an allocation.
var traceBuffers = sync.Pool{New: func() any {
	b := make(traceBuffer, 0, maxTrace)
	return &b
}}

// record leaves behind what happened. The call goes on already.
func (t *turn) record(status string, took time.Duration) {
	if t.traced.nth > maxTracedPoints {
		return
	}
	b := traceBuffers.Get().(*traceBuffer)
	*b = append((*b)[:0], traceVersion)
	t.encode(b, status, took)
	t.journal.Trace(t.session.Started(), *b)
	traceBuffers.Put(b)
}

// encode writes first what explains a failure: behind it a list may be cut.
func (t *turn) encode(b *traceBuffer, status string, took time.Duration) {
	env := t.session.Env()
	linkedid := env.UniqueID
	if t.request != nil {
		linkedid = t.request.linkedid()
	}
	b.text(linkedid, maxTracedValue)
	b.number(t.session.Started().UnixMicro())
	b.number(took.Microseconds())
	b.truth(t.session.Hungup())
	for _, s := range [...]string{env.Point, env.UniqueID, env.Channel, status} {
		b.text(s, maxTracedValue)
	}
	b.text(t.traced.err, maxTracedReason)
	for _, s := range [...]string{env.CallerNum, env.CallerName, env.DNID, t.kind} {
		b.text(s, maxTracedValue)
	}
	t.encodeLegs(b)
	for _, e := range t.traced.told[:b.count(len(t.traced.told))] {
		b.text(e.Name, maxTracedValue)
		b.number(int64(e.Hooks))
	}
	for _, r := range t.traced.refused[:b.count(len(t.traced.refused))] {
		b.text(r.name, maxTracedValue)
		b.text(r.reason, maxTracedValue)
	}
	for _, v := range t.traced.set[:b.count(len(t.traced.set))] {
		b.text(v.Name, maxTracedValue)
		b.text(v.Value, maxTracedValue)
	}
	b.text(env.Query, maxTracedReason)
	for _, arg := range env.Args[:b.count(len(env.Args))] {
		b.text(arg, maxTracedValue)
	}
	var read []string
	if t.request != nil {
		read = t.request.asked
	}
	for _, name := range read[:b.count(len(read))] {
		b.text(name, maxTracedValue)
		b.text(t.request.args[name], maxTracedValue)
	}
}

func (t *turn) encodeLegs(b *traceBuffer) {
	if t.traced.pending == nil {
		b.count(0)
		return
	}
	legs := t.traced.pending.Legs()
	for i := range legs[:b.count(len(legs))] {
		l := &legs[i]
		b.text(l.Lookup, maxTracedValue)
		b.text(l.Outcome, maxTracedValue)
		b.text(l.Why, maxTracedReason)
		b.number(l.Took.Microseconds())
		b.number(l.Age.Microseconds())
		b.truth(l.Shadow)
	}
}
