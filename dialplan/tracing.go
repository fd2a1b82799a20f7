package dialplan

import (
	"sync"
	"time"

	"ringhook/fastagi"
	"ringhook/lookup"
)

// traced holds the parts of a point's trace that only the trace needs.
type traced struct {
	pending  *lookup.Pending // nil without a lookup
	refused  []refusal
	recorded []TracedEvent
	set      []fastagi.Variable
	err      string
	nth      int // the number of this point in the call
}

// traceBuffers saves an allocation for each record.
var traceBuffers = sync.Pool{New: func() any {
	b := make(traceBuffer, 0, maxTrace)
	return &b
}}

// record stores the trace of the point. The call has already continued.
func (p *pointSession) record(status string, took time.Duration) {
	if p.traced.nth > maxTracedPoints {
		return
	}
	b := traceBuffers.Get().(*traceBuffer)
	*b = append((*b)[:0], traceVersion)
	p.encode(b, status, took)
	p.journal.Trace(p.session.Started(), *b)
	traceBuffers.Put(b)
}

// encode writes the texts that explain a failure first, because the lists after them may be cut.
func (p *pointSession) encode(b *traceBuffer, status string, took time.Duration) {
	env := p.session.Env()
	linkedid := env.UniqueID
	if p.request != nil {
		linkedid = p.request.linkedid()
	}
	b.text(linkedid, maxTracedValue)
	b.number(p.session.Started().UnixMicro())
	b.number(took.Microseconds())
	b.truth(p.session.Hungup())
	for _, s := range [...]string{env.Point, env.UniqueID, env.Channel, status} {
		b.text(s, maxTracedValue)
	}
	b.text(p.traced.err, maxTracedReason)
	number, name := env.CallerNum, env.CallerName
	if env.CallingPres&presentationBits == presentationRestricted && !p.settings.withheldEvents {
		number, name = "withheld", ""
	}
	for _, s := range [...]string{number, name, env.DNID, p.kind} {
		b.text(s, maxTracedValue)
	}
	p.encodeSources(b)
	for _, e := range p.traced.recorded[:b.count(len(p.traced.recorded))] {
		b.text(e.Name, maxTracedValue)
		b.number(int64(e.Hooks))
	}
	for _, r := range p.traced.refused[:b.count(len(p.traced.refused))] {
		b.text(r.name, maxTracedValue)
		b.text(r.reason, maxTracedValue)
	}
	for _, v := range p.traced.set[:b.count(len(p.traced.set))] {
		b.text(v.Name, maxTracedValue)
		b.text(v.Value, maxTracedValue)
	}
	b.text(env.Query, maxTracedReason)
	for _, arg := range env.Args[:b.count(len(env.Args))] {
		b.text(arg, maxTracedValue)
	}
	var read []string
	if p.request != nil {
		read = p.request.asked
	}
	for _, name := range read[:b.count(len(read))] {
		b.text(name, maxTracedValue)
		b.text(p.request.args[name], maxTracedValue)
	}
	why := ""
	if p.transition != nil {
		why = p.transition.why
	}
	b.text(why, maxTracedReason)
}

func (p *pointSession) encodeSources(b *traceBuffer) {
	if p.traced.pending == nil {
		b.count(0)
		return
	}
	sources := p.traced.pending.Sources()
	for i := range sources[:b.count(len(sources))] {
		l := &sources[i]
		b.text(l.Lookup, maxTracedValue)
		b.text(l.Outcome, maxTracedValue)
		b.text(l.Why, maxTracedReason)
		b.number(l.Took.Microseconds())
		b.number(l.Age.Microseconds())
		b.truth(l.Shadow)
	}
}
