package dialplan

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"ringhook/fastagi"
)

// Report is a point that Asterisk's manager interface reports instead of the dialplan.
type Report struct {
	Point Point
	At    time.Time
	Call  Identity
	// Exact reports that Call is the whole identity: an empty Asterisk is not that of any call of the linkedid.
	Exact bool
	// Channel is the uniqueid of the channel on which the dialplan would ask the point, and Name its name.
	Channel, Name string
	// Phone is the uniqueid of the phone's own channel at points of an agent; empty if it is not known. Two
	// reports of one Phone are about the same ring.
	Phone string
	// Began is when the phone's channel was made, zero if it is not known.
	Began time.Time
	// Stay is the stay in a queue that the report is about, nil if there is none.
	Stay *Stay
	// Server is the name of the [[ami]] table whose events are reported; empty if a command reports. It distinguishes copies of
	// one machine, whose calls have the same identity.
	Server string
	// First is the call's first channel, nil if it is not known.
	First *First
	// Caller is set if a call of which no point was asked is reported too.
	Caller *Caller
	// Args are the arguments and the values that the dialplan would read from the channel.
	Args map[string]string
	// Left is the channel's RINGHOOK_LEFT, with which another server says how the caller left the queue before; empty if it
	// is not set. Without a Stay the report is about that queue.
	Left string
	// Presumed is true if what is reported was not seen but concluded from what Asterisk lists.
	Presumed bool
	// Only is true if the report is ignored unless the call has the ring or visit that it ends.
	Only bool
	// Lost is called if the event is not stored after Report has returned ReportMade. It may be nil.
	Lost func()
}

// Stay is the stay of a caller in a queue.
type Stay struct {
	Channel string // uniqueid of the caller's
	Queue   string
	Joined  time.Time
}

// First distinguishes the first channel of a call from that of another call with the same identity.
type First struct {
	Name     string // with which it was made, empty if that is not known or it was renamed since
	Number   string // of the caller when it was made, empty if that is not known
	Withheld bool
}

// Caller is what the first channel of a call shows.
type Caller struct {
	Number, Name, DNID string
	Withheld           bool
}

// ReportOutcome is what became of a Report, as the metric's label.
type ReportOutcome string

// The outcomes of reports.
const (
	ReportMade       ReportOutcome = "made"       // its event was made
	ReportRecognised ReportOutcome = "recognised" // it was reported before
	ReportUnknown    ReportOutcome = "unknown"    // no point of the call was asked
	ReportFailed     ReportOutcome = "failed"     // its event is not stored
)

var reportOutcomes = []ReportOutcome{ReportMade, ReportRecognised, ReportUnknown, ReportFailed}

// reportable are the points that the manager interface can report.
var reportable = []Point{
	AgentAnswer, AgentCancel, AgentCustom, AgentDial, AgentDialoutAnswer, AgentDialoutHangup, AgentHangup, CallAnswer, CallHangup, QueueHangup,
}

// ReportablePoints returns the names of the points that the manager interface can report, sorted.
func ReportablePoints() []string {
	names := make([]string, len(reportable))
	for i, p := range reportable {
		names[i] = string(p)
	}
	return names
}

// Agent reports whether a phone is that of an [[agent]].
func (d *Dialplan) Agent(phone string) bool {
	return d.current.Load().isAgent(phone)
}

// Report applies a report like a point that the dialplan asks. It returns after the event is queued for the
// journal, so that reports of a call keep their order, and does not wait for the disk.
func (d *Dialplan) Report(ctx context.Context, r *Report) ReportOutcome {
	s := &reportSession{Dialplan: d, current: d.enter(), report: r, began: time.Now()}
	defer s.leave()
	outcome, err := s.run(ctx)
	if outcome != ReportMade { // finish counts it
		s.note(outcome, err)
	}
	return outcome
}

// reportSession is the state of one report.
type reportSession struct {
	*Dialplan
	*current
	report     *Report
	began      time.Time
	entry      *entry // while its lock is held
	transition *transition
	nth        int  // the number of this point in the call
	continued  bool // finish ends the session
}

// leave ends the session, and unlocks the call after a panic.
func (s *reportSession) leave() {
	if s.entry != nil {
		s.calls.release(s.entry, false)
	}
	if !s.continued {
		s.sessions.Done()
	}
}

func (s *reportSession) run(ctx context.Context) (ReportOutcome, error) {
	r := s.report
	if r.Caller == nil {
		known, err := s.calls.has(r.Call, time.Now().Add(s.lockWait()))
		if err != nil {
			return ReportFailed, err
		}
		if !known {
			return ReportUnknown, nil
		}
	}
	acquire := s.calls.acquire
	if r.Exact {
		acquire = s.calls.acquireExact
	}
	e, err := acquire(r.Call, r.At, time.Now().Add(s.lockWait()))
	if err != nil {
		if e != nil { // the journal cannot be read: an event without the call's past would repeat earlier ones
			s.calls.release(e, false)
		}
		return ReportFailed, err
	}
	s.entry = e
	if e, err = s.ownCall(e); err != nil {
		return ReportFailed, err
	}
	if e == nil {
		return ReportUnknown, nil
	}
	if r.Caller == nil && e.call.Direction == "" && e.call.Seq == 0 { // noted by a command only
		s.entry = nil
		s.calls.release(e, true)
		return ReportUnknown, nil
	}
	t := s.apply(e.call)
	s.transition = t
	if !t.news {
		s.entry = nil
		s.calls.release(e, true)
		return ReportRecognised, nil
	}
	e.call.points++
	s.nth = e.call.points
	c, err := s.queue(ctx, time.Now().Add(s.lockWait()), s.current, t, e, s.apply)
	s.entry = nil
	s.calls.unlock(e, err == nil)
	if err != nil {
		s.calls.leave(e)
		return ReportFailed, err
	}
	s.continued = true
	s.late.Go(func() { s.finish(e, c) })
	return ReportMade, nil
}

// ownCall returns the call of the report, locked: e, or that of another Asterisk with the same identity. It is nil if a report
// that was concluded from the lists of one Asterisk is about the call of another.
func (s *reportSession) ownCall(e *entry) (*entry, error) {
	r, first := s.report, s.report.channel()
	if first == nil {
		first = &channel{UniqueID: r.Channel, Server: r.Server, Caller: e.call.First.Caller} // its caller proves nothing
	}
	other := e.call.twinOf(*first, "")
	if other == "" && r.Presumed && r.Server != "" && e.call.server() != "" && e.call.server() != r.Server {
		s.entry = nil
		s.calls.release(e, true)
		return nil, nil
	}
	if other == "" && e.call.contradicts(*first) {
		other = s.separate(e, *first)
	}
	if other == "" {
		return e, nil
	}
	s.entry = nil
	s.calls.release(e, true)
	next, err := s.calls.acquireExact(Identity{LinkedID: r.Call.LinkedID, Asterisk: other}, r.At, time.Now().Add(s.lockWait()))
	if err != nil {
		if next != nil {
			s.calls.release(next, false)
		}
		return nil, err
	}
	s.entry = next
	if next.call.First.UniqueID == "" {
		s.limited.Warn("twin", "two Asterisks use the same linkedid", "linkedid", cut(r.Call.LinkedID, 64), "server", r.Server,
			"hint", "set systemname in each asterisk.conf")
	}
	return next, nil
}

// channel returns the first channel of the report's call, nil if it is not known.
func (r *Report) channel() *channel {
	if r.First == nil {
		return nil
	}
	ch := channel{UniqueID: r.Call.LinkedID, Name: cut(clean(r.First.Name), 128), Caller: cut(clean(r.First.Number), 64), Server: r.Server}
	if r.First.Withheld {
		ch = ch.hidden()
	}
	return &ch
}

// apply applies the report to a call. It is a step.
func (s *reportSession) apply(c *call) *transition {
	t := s.begin(c)
	if t.locate(s.report) {
		t.mergeChannel()
		t.spec.step(t)
	}
	return t
}

// begin returns the transition of the report.
func (s *reportSession) begin(c *call) *transition {
	r := s.report
	env := &fastagi.Env{Point: string(r.Point), UniqueID: r.Channel, Channel: r.Name}
	if r.Caller != nil {
		env.CallerNum, env.CallerName, env.DNID = r.Caller.Number, r.Caller.Name, r.Caller.DNID
		if r.Caller.Withheld {
			env.CallingPres = presentationRestricted
		}
	}
	args := make(map[string]string, len(r.Args)+2)
	req := &request{point: r.Point, spec: specs[r.Point], env: env, args: args, event: string(r.Point)}
	for name, value := range r.Args {
		if req.set(name, value); args[name] == "" {
			delete(args, name)
		}
	}
	if r.Point == CustomEvent {
		req.event = args["name"]
		delete(args, "name")
	}
	t := &transition{
		request: req, call: c, settings: s.settings, now: r.At, numbers: s.Numbers, wanted: s.Hooks.Wants, presumed: r.Presumed, manager: true,
	}
	t.marks, t.hidden = c.marks(), t.withheld() && !s.settings.withheldEvents // also for a repeat, which changes nothing
	return t
}

// finish waits for the commit of an event.
func (s *reportSession) finish(e *entry, c *pendingCommit) {
	defer s.sessions.Done()
	outcome := ReportMade
	made, err := s.await(context.Background(), time.Now().Add(maxLate), s.current, e, c)
	if made != nil {
		s.transition = made
		if !made.news { // another server has stored it meanwhile
			outcome = ReportRecognised
		}
	}
	if err != nil {
		outcome = ReportFailed
		if s.report.Lost != nil {
			s.report.Lost()
		}
	}
	s.note(outcome, err)
}

// note records a report in the metrics, the log and, unless it is a repeat, the trace.
func (s *reportSession) note(outcome ReportOutcome, err error) {
	r, channel := s.report, s.report.Name
	switch {
	case s.transition != nil:
		channel = s.transition.shownChannel()
	case s.settings.withheldEvents:
	case r.First != nil && r.First.Withheld:
		channel = HideNumber(channel, r.First.Number)
	case r.Caller != nil && r.Caller.Withheld:
		channel = HideNumber(channel, r.Caller.Number)
	}
	s.metrics.report(r.Point, outcome)
	about := []any{"point", string(r.Point), "channel", cut(channel, 128), "uniqueid", cut(r.Channel, 64), "linkedid", cut(r.Call.LinkedID, 64)}
	if outcome == ReportFailed || err != nil {
		s.limited.Log(slog.LevelError, "report not kept", "event reported by the manager interface not kept", append(about, "err", err)...)
	} else if s.Dialplan.log.Enabled(context.Background(), slog.LevelDebug) {
		s.Dialplan.log.Debug("point reported by the manager interface", append(about, "outcome", string(outcome), "presumed", r.Presumed)...)
	}
	if s.transition == nil || outcome == ReportRecognised || s.nth > maxTracedPoints {
		return
	}
	p := PointTrace{
		At: r.At, Took: time.Since(s.began), Point: string(r.Point), LinkedID: r.Call.LinkedID, UniqueID: r.Channel, Channel: channel,
		Status: string(outcome), Events: s.transition.recorded, By: ByManager,
	}
	if err != nil {
		p.Error = fmt.Sprintf("event not kept: %v", err)
	}
	for _, name := range sortedKeys(r.Args) {
		value := r.Args[name]
		if s.transition.hidden && value != "" && s.transition.reveals(name, value) {
			value = withheldText
		}
		p.Read = append(p.Read, TracedValue{name, value})
	}
	b := traceBuffers.Get().(*traceBuffer)
	*b = append((*b)[:0], traceVersion)
	b.point(&p)
	s.journal.Trace(r.At, *b)
	traceBuffers.Put(b)
}

// locate finds the visit and the ring that the report is about, as the channel's variables name them at a
// point that the dialplan asks. It returns false if the report is a repeat.
func (t *transition) locate(r *Report) bool {
	switch first := r.channel(); {
	case first == nil:
	case t.call.First.UniqueID != "":
		t.call.joinServer(*first)
	case r.Caller != nil:
		t.call.First = *first
	}
	if r.Stay == nil && r.Left != "" {
		return t.locateLeft(r.Left, nil)
	}
	if r.Stay != nil {
		v := t.stay(r.Stay, !r.Only)
		if v == nil {
			return false
		}
		t.args["visit"] = v.Marker.String()
		if t.point == QueueHangup && !v.Ended.IsZero() {
			return false
		}
		t.locateLeft(r.Left, v)
	}
	switch t.point {
	case AgentDial, AgentCustom:
		return t.locateBegin(r)
	case AgentAnswer, AgentHangup, AgentCancel, AgentDialoutAnswer, AgentDialoutHangup:
		return t.locateRing(r)
	}
	return true
}

// locateLeft takes what another server has noted about the visit of this channel that the caller left. It returns false if
// that is another visit than the given one or, if none is given, if the call has no such visit that is open.
func (t *transition) locateLeft(left string, given *visit) bool {
	m, status, ok := parseLeft(left)
	v := t.call.visitOf(m)
	if !ok || m.UniqueID != t.env.UniqueID || v == nil || given != nil && v != given || !v.Ended.IsZero() {
		return false
	}
	t.args["visit"], t.left = m.String(), true
	if status != "" {
		t.args["queue_status"] = status
	}
	return true
}

// stay returns the visit of a caller's stay in a queue, and adds it if its queue-dial was not asked.
func (t *transition) stay(s *Stay, add bool) *visit {
	var found, open *visit
	n := 0
	for _, v := range t.call.Visits {
		if v.Marker.UniqueID != s.Channel || v.Began.After(s.Joined) {
			continue
		}
		n = max(n, v.Marker.N)
		before := !v.Ended.IsZero() && v.Ended.Before(s.Joined)
		late := !v.Joined && v.Ended.Add(maxBehind).After(s.Joined)
		switch {
		case v.Marker.What == s.Queue && (!before || late):
			found = v
		case !before:
			open = v // the dialplan has another name for the queue
		}
	}
	if found == nil {
		found = open
	}
	if found == nil && add {
		found = &visit{Marker: marker{UniqueID: s.Channel, N: n + 1, What: s.Queue}, Began: s.Joined}
		t.call.Visits = append(t.call.Visits, found)
	}
	if found != nil {
		found.Joined = true
	}
	return found
}

// locateBegin names the ring that begins: the one that the call has already, or the next of its channel.
func (t *transition) locateBegin(r *Report) bool {
	outgoing := t.point == AgentCustom
	if known := t.reportedRing(r, outgoing); known != nil {
		known.Leg = r.Phone
		return false
	}
	t.leg = r.Phone
	last := marker{}
	for _, o := range t.call.Rings {
		if o.Marker.UniqueID == r.Channel && o.Marker.N > last.N {
			last = o.Marker
		}
	}
	if last.N > 0 {
		t.args["ring"] = last.String() + markerEnd
	}
	return true
}

// locateRing names the ring whose answer or end is reported.
func (t *transition) locateRing(r *Report) bool {
	outgoing := t.point == AgentDialoutAnswer || t.point == AgentDialoutHangup
	known := t.reportedRing(r, outgoing)
	switch {
	case known == nil:
		t.leg = r.Phone
		return !r.Only
	case !known.Ended.IsZero():
		return false
	}
	if r.Phone != "" {
		known.Leg = r.Phone
	}
	t.args["ring"] = known.Marker.String()
	return true
}

// maxBehind is the longest time by which manager events arrive after the dialplan's reports of the same, on a busy machine.
const maxBehind = 5 * time.Second

// reportedRing returns the ring that a report is about, nil if the call does not have it.
func (t *transition) reportedRing(r *Report, outgoing bool) (found *ring) {
	phone := t.phone()
	for _, o := range t.call.Rings {
		if o.Outgoing != outgoing {
			continue
		}
		if r.Phone != "" && o.Leg == r.Phone {
			return o
		}
		here := o.Marker.UniqueID == r.Channel || r.Phone != "" && o.Marker.UniqueID == r.Phone
		free := o.Leg == "" || r.Phone == ""                   // not known to be another attempt
		before := !o.Ended.IsZero() && o.Ended.Before(r.Began) // an attempt before this one
		if o.Leg == "" {                                       // only the dialplan has reported that attempt
			before = before && o.Marker.UniqueID != r.Phone && o.Ended.Add(maxBehind).Before(r.Began)
		}
		same := phone == "" || o.Phone == phone || outgoing // of this phone
		if here && free && same && !before {
			found = o
		}
	}
	return found
}
