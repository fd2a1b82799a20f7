package dialplan

import (
	"cmp"
	"encoding/binary"
	"errors"
	"regexp"
	"strings"
	"sync"
	"time"

	"ringhook/fastagi"
	"ringhook/lookup"
)

// PointTrace is the trace of one point: its request, the lookups, and the results. It explains to an
// administrator what ringhook did. Values are cut.
type PointTrace struct {
	At         time.Time      `json:"at"`   // when Asterisk asked
	Took       time.Duration  `json:"took"` // until the call continued, in nanoseconds
	Point      string         `json:"point"`
	LinkedID   string         `json:"linkedid"`
	UniqueID   string         `json:"uniqueid"`
	Channel    string         `json:"channel"`
	Caller     string         `json:"caller,omitempty"` // number, name and DNID as the channel shows them
	CallerName string         `json:"caller_name,omitempty"`
	DNID       string         `json:"dnid,omitempty"`
	Kind       string         `json:"callerid_kind,omitempty"` // set if no source is asked about the caller
	Query      string         `json:"query,omitempty"`         // of the AGI URL
	Given      []string       `json:"given,omitempty"`         // arguments of the AGI() line
	Read       []TracedValue  `json:"read,omitempty"`          // arguments read from the channel
	Lookups    []TracedLookup `json:"lookups,omitempty"`
	Events     []TracedEvent  `json:"events,omitempty"`
	Set        []TracedValue  `json:"set,omitempty"`     // variables of the channel
	Refused    []TracedValue  `json:"refused,omitempty"` // variables of an answer, each with the reason
	Status     string         `json:"status"`            // RINGHOOK_STATUS; none if it was not set
	Hungup     bool           `json:"hungup,omitempty"`  // the channel was hung up before the end of the point
	By         string         `json:"by,omitempty"`      // ByManager, or empty if the dialplan asked the point
	Why        string         `json:"why,omitempty"`     // the reason why no event was made; empty for a repeat
	Error      string         `json:"error,omitempty"`   // why the request was rejected or its event not stored
}

// ByManager is the reporter of a point that the dialplan did not ask.
const ByManager = "AMI"

// TracedValue is a name with a value or a reason.
type TracedValue struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// TracedLookup is the result of one source.
type TracedLookup struct {
	Lookup  string        `json:"lookup"`
	Outcome string        `json:"outcome"`       // as the metric's label; empty if the source was not asked
	Why     string        `json:"why,omitempty"` // why it was not asked, or returned no answer or a part of it
	Took    time.Duration `json:"took"`          // in nanoseconds
	Age     time.Duration `json:"age,omitempty"` // of a cached answer, in nanoseconds
	Shadow  bool          `json:"shadow,omitempty"`
}

// TracedEvent is an event of a point, with the number of hooks that take it.
type TracedEvent struct {
	Name  string `json:"name"`
	Hooks int    `json:"hooks"`
}

// Limits of the record of a point: values, the texts that explain a failure, the entries of each list,
// and the total.
const (
	maxTracedValue  = 120
	maxTracedReason = 240
	maxTracedList   = 24
	maxTrace        = 2 << 10
	// maxTracedPoints is the maximum number of recorded points of a call: otherwise
	// a loop in a dialplan would remove the traces of all other calls.
	maxTracedPoints = 500
)

// traceVersion is the version of new records; version 1 has no Why, and version 2 no By.
const traceVersion = 3

var errTrace = errors.New("record of a point is cut short or of another version")

// traceBuffer encodes a record: a version, then texts and numbers in a fixed order. Each text follows
// its length. Every point is traced: as JSON a record takes twenty times as long and twice the room.
type traceBuffer []byte

func (b *traceBuffer) number(n int64) { *b = binary.AppendVarint(*b, n) }

func (b *traceBuffer) truth(v bool) {
	n := int64(0)
	if v {
		n = 1
	}
	b.number(n)
}

// text adds a text, cut to a number of bytes and to the space left in the record.
func (b *traceBuffer) text(s string, most int) {
	s = cut(s, max(0, min(most, maxTrace-len(*b))))
	*b = append(binary.AppendUvarint(*b, uint64(len(s))), s...)
}

// count begins a list, and returns the number of its entries that the record has space for.
func (b *traceBuffer) count(n int) int {
	n = min(n, maxTracedList)
	b.number(int64(n))
	return n
}

// point encodes a whole record, in the order of DecodeTrace.
func (b *traceBuffer) point(p *PointTrace) {
	b.text(p.LinkedID, maxTracedValue)
	b.number(p.At.UnixMicro())
	b.number(p.Took.Microseconds())
	b.truth(p.Hungup)
	for _, s := range [...]string{p.Point, p.UniqueID, p.Channel, p.Status} {
		b.text(s, maxTracedValue)
	}
	b.text(p.Error, maxTracedReason)
	for _, s := range [...]string{p.Caller, p.CallerName, p.DNID, p.Kind} {
		b.text(s, maxTracedValue)
	}
	for _, l := range p.Lookups[:b.count(len(p.Lookups))] {
		b.text(l.Lookup, maxTracedValue)
		b.text(l.Outcome, maxTracedValue)
		b.text(l.Why, maxTracedReason)
		b.number(l.Took.Microseconds())
		b.number(l.Age.Microseconds())
		b.truth(l.Shadow)
	}
	for _, e := range p.Events[:b.count(len(p.Events))] {
		b.text(e.Name, maxTracedValue)
		b.number(int64(e.Hooks))
	}
	for _, list := range [...][]TracedValue{p.Refused, p.Set} {
		b.values(list)
	}
	b.text(p.Query, maxTracedReason)
	for _, arg := range p.Given[:b.count(len(p.Given))] {
		b.text(arg, maxTracedValue)
	}
	b.values(p.Read)
	b.text(p.Why, maxTracedReason)
	b.text(p.By, maxTracedValue)
}

func (b *traceBuffer) values(list []TracedValue) {
	for _, v := range list[:b.count(len(list))] {
		b.text(v.Name, maxTracedValue)
		b.text(v.Value, maxTracedValue)
	}
}

// traceReader decodes a record. After the end of the record it returns zeros and sets bad.
type traceReader struct {
	b   []byte
	bad bool
}

func (r *traceReader) number() int64 {
	n, size := binary.Varint(r.b)
	if size <= 0 {
		r.b, r.bad = nil, true
		return 0
	}
	r.b = r.b[size:]
	return n
}

func (r *traceReader) text() string {
	n, size := binary.Uvarint(r.b)
	if size <= 0 || n > uint64(len(r.b)-size) {
		r.b, r.bad = nil, true
		return ""
	}
	s := string(r.b[size : size+int(n)])
	r.b = r.b[size+int(n):]
	return s
}

func (r *traceReader) duration() time.Duration { return time.Duration(r.number()) * time.Microsecond }

func (r *traceReader) truth() bool { return r.number() == 1 }

func readList[T any](r *traceReader, one func() T) (list []T) {
	n := r.number()
	if n < 0 || n > maxTracedList {
		r.bad = true
		return nil
	}
	for range n {
		list = append(list, one())
	}
	return list
}

func (r *traceReader) value() TracedValue { return TracedValue{Name: r.text(), Value: r.text()} }

// DecodeTrace decodes a record that Tracer.Trace received. It returns an error for an unknown version or
// a damaged record.
func DecodeTrace(record []byte) (PointTrace, error) {
	if len(record) == 0 || record[0] < 1 || record[0] > traceVersion {
		return PointTrace{}, errTrace
	}
	r := &traceReader{b: record[1:]}
	p := PointTrace{
		LinkedID: r.text(), At: time.UnixMicro(r.number()), Took: r.duration(), Hungup: r.truth(),
		Point: r.text(), UniqueID: r.text(), Channel: r.text(), Status: r.text(), Error: r.text(), Caller: r.text(), CallerName: r.text(), DNID: r.text(), Kind: r.text(),
	}
	p.Lookups = readList(r, func() TracedLookup {
		return TracedLookup{Lookup: r.text(), Outcome: r.text(), Why: r.text(), Took: r.duration(), Age: r.duration(), Shadow: r.truth()}
	})
	p.Events = readList(r, func() TracedEvent { return TracedEvent{Name: r.text(), Hooks: int(r.number())} })
	p.Refused = readList(r, r.value)
	p.Set = readList(r, r.value)
	p.Query = r.text()
	p.Given = readList(r, r.text)
	p.Read = readList(r, r.value)
	if record[0] > 1 {
		p.Why = r.text()
	}
	if record[0] > 2 {
		p.By = r.text()
	}
	if r.bad || len(r.b) > 0 {
		return PointTrace{}, errTrace
	}
	return p, nil
}

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

// EncodeTrace returns the record of a trace, in the format of DecodeTrace, for parts that are no points.
func EncodeTrace(p *PointTrace) []byte {
	b := traceBuffer{traceVersion}
	b.point(p)
	return b
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
	for _, s := range [...]string{env.Point, env.UniqueID, p.channelName(), status} {
		b.text(s, maxTracedValue)
	}
	b.text(p.traced.err, maxTracedReason)
	number, name := env.CallerNum, env.CallerName
	hidden := p.hidesCaller()
	if seen := p.marks(); hidden && (WithheldBits(env.CallingPres) || seen.in(number) || seen.in(name)) {
		number, name = withheldText, ""
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
	p.encodeArguments(b, hidden)
	why := ""
	if p.transition != nil {
		why = p.transition.why
	}
	b.text(why, maxTracedReason)
	b.text("", 0) // asked by the dialplan
}

// hidesCaller reports whether the trace must not show number and name of the caller.
func (p *pointSession) hidesCaller() bool {
	if p.transition != nil {
		return p.transition.hidden
	}
	r := cmp.Or(p.request, &request{env: p.session.Env()})
	return r.restricted() && !p.settings.withheldEvents
}

// marks returns the marks of the call, none if it is not known.
func (p *pointSession) marks() marks {
	if p.transition == nil {
		return marks{}
	}
	return p.transition.marks
}

// channelName returns the name of the channel as traces and the log show it.
func (p *pointSession) channelName() string {
	env := p.session.Env()
	switch {
	case p.transition != nil:
		return p.transition.shownChannel()
	case p.hidesCaller():
		return HideNumber(env.Channel, env.CallerNum)
	}
	return env.Channel
}

func (p *pointSession) encodeArguments(b *traceBuffer, hidden bool) {
	env := p.session.Env()
	r := cmp.Or(p.request, &request{env: env})
	seen := p.marks()
	if p.transition == nil && !p.settings.withheldEvents {
		stray := *r
		stray.stray = true
		r, hidden = &stray, true
	}
	shown := func(text string, show func(string, marks) string) string {
		if hidden {
			return show(text, seen)
		}
		return text
	}
	b.text(withoutSecrets(shown(env.Query, r.shownQuery)), maxTracedReason)
	for _, arg := range env.Args[:b.count(len(env.Args))] {
		b.text(withoutSecrets(shown(arg, r.shownArgument)), maxTracedValue)
	}
	for _, name := range r.asked[:b.count(len(r.asked))] {
		value := withoutSecrets(r.args[name])
		if hidden && value != "" && r.reveals(name, value, seen) {
			value = withheldText
		}
		b.text(name, maxTracedValue)
		b.text(value, maxTracedValue)
	}
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

// The parts of links in a text of the dialplan, plain or as a query has them.
var (
	linkBegin = regexp.MustCompile(`(?i)https?(?:://|%3a%2f%2f)`)
	linkUser  = regexp.MustCompile(`(?i)^[^/?&\s]*(?:@|%40)`)
	linkQuery = regexp.MustCompile(`(?i)\?|%3f`)
)

// withoutSecrets returns a text of the dialplan without what may be secret in the link in it: user info and query. Links to
// recordings may have keys there.
func withoutSecrets(text string) string {
	if !strings.Contains(text, "//") && !strings.Contains(text, "%") { // nearly every one
		return text
	}
	at := linkBegin.FindStringIndex(text)
	if at == nil {
		return text
	}
	begin, rest := text[:at[1]], text[at[1]:]
	if user := linkUser.FindString(rest); user != "" {
		begin, rest = begin+"***@", rest[len(user):]
	}
	if query := linkQuery.FindStringIndex(rest); query != nil {
		rest = rest[:query[1]] + "***"
	}
	return begin + rest
}
