package report

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"ringhook/ami"
	"ringhook/dialplan"
)

// destination collects reports, and has open calls.
type destination struct {
	open    []dialplan.OpenCall
	block   chan struct{} // nil, or what each report waits for
	outcome dialplan.ReportOutcome

	mu  sync.Mutex
	got []string // guarded by mu
}

func (d *destination) Report(_ context.Context, r *dialplan.Report) dialplan.ReportOutcome {
	if d.block != nil {
		<-d.block
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	line := short(r)
	if r.Presumed {
		line = "presumed " + line
	}
	d.got = append(d.got, line)
	return d.outcome
}

func (d *destination) Agent(string) bool { return false }

func (d *destination) OpenCalls(_ context.Context, names []string, _ time.Time, f func(dialplan.OpenCall)) error {
	for _, o := range d.open {
		if slices.Contains(names, o.Call.Asterisk) {
			f(o)
		}
	}
	return nil
}

func (d *destination) reports() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.got)
}

type variables map[string]string

func (v variables) Variable(_ context.Context, _ string, name ami.Variable) (string, error) {
	return v[name.String()], nil
}

func newReporter(d *destination, resync func(bool)) *Reporter {
	cfg := ami.DefaultConfig()
	cfg.Points = dialplan.ReportablePoints()
	return New(&cfg, d, variables{}, slog.New(slog.DiscardHandler), resync)
}

func message(name string, fields ...string) ami.Message {
	m := ami.Message{{Key: "Event", Value: name}}
	for i := 0; i < len(fields); i += 2 {
		m = append(m, ami.Field{Key: fields[i], Value: fields[i+1]})
	}
	return m
}

// TestOverflow checks that a flood of events neither blocks nor grows, and asks for the lists once, from which it goes on.
func TestOverflow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &destination{block: make(chan struct{}), outcome: dialplan.ReportMade}
		var asked atomic.Int32
		r := newReporter(d, func(bool) { asked.Add(1) })
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { defer close(ended); r.Run(ctx) }()
		r.Sync(ctx, &Snapshot{At: time.Now(), Asterisk: "pbx"})
		call := func(id string) {
			r.Event(message("Newchannel", "Uniqueid", id, "Linkedid", id, "Channel", "PJSIP/trunk-00000001"), time.Now())
			r.Event(message("Hangup", "Uniqueid", id, "Linkedid", id, "Channel", "PJSIP/trunk-00000001", "Cause", "16"), time.Now())
		}
		call("1.1")
		synctest.Wait() // the first report has begun
		for range maxQueued {
			call("1.1")
		}
		if asked.Load() != 1 || len(r.queue) != maxQueued {
			t.Errorf("the lists were asked for %d times, %d events wait", asked.Load(), len(r.queue))
		}
		close(d.block)
		synctest.Wait() // else there may be no room for the next events, and the lists are asked for again
		r.Sync(ctx, &Snapshot{At: time.Now(), Asterisk: "pbx"})
		call("2.1")
		synctest.Wait()
		if got := d.reports(); len(got) < 2 || got[len(got)-1] != "call-hangup on PJSIP/trunk cause=16" || asked.Load() != 1 {
			t.Errorf("after the lists were read, the reports end with %q", got[max(0, len(got)-1):])
		}
		cancel()
		<-ended
	})
}

// TestLost checks that the lists are read again for an event that was not stored.
func TestLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &destination{outcome: dialplan.ReportFailed}
		var asked atomic.Int32
		r := newReporter(d, func(bool) { asked.Add(1) })
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { defer close(ended); r.Run(ctx) }()
		r.Event(message("Newchannel", "Uniqueid", "1.1", "Linkedid", "1.1"), time.Now())
		r.Event(message("Hangup", "Uniqueid", "1.1", "Linkedid", "1.1"), time.Now())
		synctest.Wait()
		if asked.Load() != 1 {
			t.Errorf("the lists were asked for %d times, want 1", asked.Load())
		}
		cancel()
		<-ended
	})
}

// TestSweep checks what is concluded from Asterisk's lists about calls that were open before.
func TestSweep(t *testing.T) {
	caller := Channel{UniqueID: "1.1", LinkedID: "1.1", Name: "PJSIP/trunk-00000001"}
	half := Channel{UniqueID: "1.3", LinkedID: "1.1", Name: "Local/101@agents-00000001;2"}
	other := Channel{UniqueID: "1.2", LinkedID: "1.1", Name: "Local/101@agents-00000001;1"}
	phone := Channel{UniqueID: "1.4", LinkedID: "1.1", Name: "PJSIP/101-00000002"}
	stay := dialplan.Stay{Channel: "1.1", Queue: "500"}
	ring := dialplan.OpenRing{Channel: "1.3", Leg: "1.3", Phone: "101", Stay: &stay}
	talks := func(c Channel) Channel { c.Bridged = true; return c }
	f := func(name string, o dialplan.OpenCall, channels []Channel, waits bool, want ...string) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			o.Call = dialplan.Identity{Asterisk: "pbx", LinkedID: "1.1"}
			d := &destination{open: []dialplan.OpenCall{o, {Call: dialplan.Identity{Asterisk: "another", LinkedID: "9.9"}}}, outcome: dialplan.ReportMade}
			r := newReporter(d, func(bool) { t.Error("the lists are asked for") })
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan struct{})
			go func() { defer close(ended); r.Run(ctx) }()
			s := &Snapshot{At: time.Now(), Asterisk: "pbx", Names: []string{"pbx"}, Channels: channels, Members: []string{"Local/101@agents/n", "PJSIP/102"}}
			if waits {
				s.Waiting = []Waiting{{UniqueID: "1.1", Queue: "500", Since: time.Now()}}
			}
			r.Sync(ctx, s)
			time.Sleep(settle)
			synctest.Wait()
			for i := range want {
				want[i] = "presumed " + want[i]
			}
			if got := d.reports(); strings.Join(got, "\n") != strings.Join(want, "\n") {
				t.Errorf("%s: got\n\t%s\nwant\n\t%s", name, strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
			}
			cancel()
			<-ended
		})
	}
	waiting := dialplan.OpenCall{Visits: []dialplan.OpenVisit{{Stay: stay}}}
	ringing := dialplan.OpenCall{Visits: waiting.Visits, Rings: []dialplan.OpenRing{ring}}
	talking := dialplan.OpenCall{Visits: []dialplan.OpenVisit{{Stay: stay, Answered: true}}, Rings: []dialplan.OpenRing{ring}}
	talking.Rings[0].Answered = true
	merged := talks(caller)
	merged.LinkedID = "0.9"
	f("merged with another call", dialplan.OpenCall{Visits: talking.Visits}, []Channel{merged}, false)
	f("over", talking, nil, false, "call-hangup on ")
	f("still waits", waiting, []Channel{caller}, true)
	f("rings as before", ringing, []Channel{caller, other, half, phone}, true)
	f("talks as before", talking, []Channel{talks(caller), talks(other), talks(half), talks(phone)}, false)
	f("rings now", waiting, []Channel{caller, other, half, phone}, true, "agent-dial on  in 500 agent_phone=101")
	f("a phone without a Local channel rings now", waiting, []Channel{caller, {UniqueID: "1.5", LinkedID: "1.1", Name: "PJSIP/102-00000002"}}, true,
		"agent-dial on  in 500 agent_phone=102")
	f("was answered", ringing, []Channel{talks(caller), talks(other), talks(half), talks(phone)}, false, "agent-answer on  in 500 agent_phone=101")
	f("was rung and answered", waiting, []Channel{talks(caller), talks(other), talks(half), talks(phone)}, false,
		"agent-dial on  in 500 agent_phone=101", "agent-answer on  in 500 agent_phone=101")
	f("phone is gone", ringing, []Channel{caller}, true, "agent-hangup on  in 500 agent_phone=101")
	f("agent is gone", talking, []Channel{caller}, false, "agent-hangup on  in 500 agent_phone=101")
	f("caller left", waiting, []Channel{caller}, false, "queue-hangup on  in 500")
}

// TestPanic checks that a panic over one event does not end the reports.
func TestPanic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &destination{outcome: dialplan.ReportMade}
		var asked atomic.Int32
		r := newReporter(d, func(bool) { asked.Add(1) })
		r.translator.Points = nil
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { defer close(ended); r.Run(ctx) }()
		read := r.translator.Read
		r.translator.Points, r.translator.Read = dialplan.ReportablePoints(), func(string, ami.Variable) string { panic("test") }
		queue := func(name string) {
			r.Event(message(name, "Uniqueid", "1.1", "Linkedid", "1.1", "Queue", "500"), time.Now())
		}
		queue("Newchannel")
		queue("QueueCallerJoin")
		queue("QueueCallerLeave")
		synctest.Wait()
		r.translator.Read = read
		queue("Newchannel")
		queue("Hangup")
		synctest.Wait()
		if got := d.reports(); asked.Load() != 1 || len(got) != 1 || got[0] != "call-hangup on " {
			t.Errorf("got %q, the lists were asked for %d times", got, asked.Load())
		}
		cancel()
		<-ended
	})
}

// FuzzEvents feeds any events: nothing panics, and a call that has hung up leaves nothing behind.
func FuzzEvents(f *testing.F) {
	for _, scenario := range []string{"answered-agent-ends", "busy-declined-answered", "queue-times-out", "ring-group", "out-busy", "transferred"} {
		f.Add(scenario, "")
	}
	f.Add("", "Event: AgentConnect\r\nUniqueid: 1\r\nDestUniqueid: 1\r\n\r\nEvent: Newchannel\r\nUniqueid: 1\r\nChannel: Local/1@a;2\r\n\r\nEvent: LocalBridge\r\nLocalOneUniqueid: 1\r\nLocalTwoUniqueid: 1\r\n\r\nEvent: DialBegin\r\nUniqueid: 1\r\nDestUniqueid: 1\r\n\r\nEvent: AgentCalled\r\nUniqueid: 1\r\nDestUniqueid: 1\r\n\r\nEvent: Hangup\r\nUniqueid: 1\r\n\r\n")
	f.Fuzz(func(t *testing.T, scenario, text string) {
		events := parse(text)
		if scenario != "" && !strings.ContainsAny(scenario, "/.\x00") {
			if _, err := readScenario(scenario); err == nil {
				events = append(recorded(t, "22", scenario), events...)
			}
		}
		tr := newTranslator(map[string]string{"QUEUESTATUS": ""})
		for i := range events {
			tr.Event(&events[i])
		}
		for _, c := range tr.channels {
			tr.Event(&Event{Name: "Hangup", UniqueID: c.id, LinkedID: c.linkedID, At: time.Now()})
		}
		tr.Due(time.Now().Add(time.Hour))
		if len(tr.channels) > 0 || len(tr.pending) > 0 {
			t.Errorf("%d channels and %d stays are left", len(tr.channels), len(tr.pending))
		}
	})
}
