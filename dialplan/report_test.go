package dialplan

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"ringhook/hooks"
	"ringhook/lookup/number"
)

// report applies a report of the manager interface at a second of the call and returns a summary of its events.
func (p *pbx) report(second float64, r Report) []string {
	p.t.Helper()
	r.At = p.began.Add(time.Duration(second * float64(time.Second)))
	c := newCall(Identity{LinkedID: "call-1"}, r.At)
	if p.kept != nil {
		var err error
		if c, err = decodeCall(p.kept); err != nil {
			p.t.Fatal(err)
		}
	}
	s := &reportSession{current: &current{settings: p.settings, Parts: Parts{Numbers: p.numbers}}, report: &r}
	t := s.begin(c)
	t.wanted = nil
	if t.locate(&r) {
		t.mergeChannel()
		t.spec.step(t)
	}
	var err error
	if p.kept, err = c.encode(); err != nil {
		p.t.Fatal(err)
	}
	p.events = append(p.events, t.events...)
	var short []string
	for _, ev := range t.events {
		short = append(short, inShort(ev))
	}
	return short
}

// stay is the caller's stay in queue 500 since a second of the call.
func (p *pbx) stay(second float64) *Stay {
	return &Stay{Channel: "caller", Queue: "500", Joined: p.began.Add(time.Duration(second * float64(time.Second)))}
}

// queueCall is a call to queue 500 whose first phone is busy and whose second answers, with each fact as the
// dialplan asks it and as the manager interface reports it.
type queueCall struct {
	agi, ami [2][]func() // what happens up to the answer, and the end
}

func newQueueCall(p *pbx, at func(float64) float64) queueCall {
	busy := func(point Point, args map[string]string) Report {
		return Report{Point: point, Channel: "local1", Phone: "local1", Stay: p.stay(1.1), Args: with(args, "agent_phone", "101")}
	}
	answered := func(point Point, args map[string]string) Report {
		return Report{Point: point, Channel: "local2", Phone: "local2", Stay: p.stay(1.1), Args: with(args, "agent_phone", "102")}
	}
	var c queueCall
	c.agi[0] = []func(){
		func() { p.dial("caller", "local1"); p.at(at(2), "local1", AgentDial, "agent_phone=101") },
		func() {
			p.set("local1", "DIALSTATUS", "BUSY")
			p.set("local1", "HANGUPCAUSE", "17")
			p.at(at(3), "local1", AgentHangup, "agent_phone=101")
		},
		func() { p.dial("caller", "local2"); p.at(at(4), "local2", AgentDial, "agent_phone=102") },
		func() { p.dial("local2", "phone2"); p.at(at(9), "phone2", AgentAnswer, "agent_phone=102") },
	}
	c.ami[0] = []func(){
		func() { p.report(at(2), busy(AgentDial, nil)) },
		func() { p.report(at(3), busy(AgentHangup, map[string]string{"status": "BUSY", "cause": "17"})) },
		func() { p.report(at(4), answered(AgentDial, nil)) },
		func() { p.report(at(9), answered(AgentAnswer, map[string]string{"wait_time": "8"})) },
	}
	c.agi[1] = []func(){
		func() {
			p.set("local2", "DIALSTATUS", "ANSWER")
			p.set("local2", "ANSWEREDTIME", "60")
			p.set("local2", "HANGUPCAUSE", "16")
			p.at(at(69), "local2", AgentHangup, "agent_phone=102")
		},
		func() {
			for name, value := range map[string]string{"MEMBERINTERFACE": "Local/102@agents/n", "QEHOLDTIME": "8", "QEORIGINALPOS": "1", "HANGUPCAUSE": "16"} {
				p.set("caller", name, value)
			}
			p.at(at(69), "caller", QueueHangup)
		},
		func() { p.set("caller", "HANGUPCAUSE", "16"); p.at(at(69), "caller", CallHangup) },
	}
	c.ami[1] = []func(){
		func() {
			p.report(at(69), answered(AgentHangup, map[string]string{"status": "ANSWER", "answered_time": "60", "cause": "16"}))
		},
		func() {
			p.report(at(69), Report{Point: QueueHangup, Channel: "caller", Stay: p.stay(1.1), Args: map[string]string{
				"agent_phone": "Local/102@agents/n", "wait_time": "8", "queue_position": "1", "cause": "16",
			}})
		},
		func() {
			p.report(at(69), Report{Point: CallHangup, Channel: "caller", Args: map[string]string{"cause": "16"}})
		},
	}
	return c
}

func with(args map[string]string, name, value string) map[string]string {
	args = maps.Clone(args)
	if args == nil {
		args = map[string]string{}
	}
	args[name] = value
	return args
}

// TestReportsAreEvents checks that a call that the manager interface reports has the events of the same call reported by
// the dialplan, with the same ids, parameters and numbers.
func TestReportsAreEvents(t *testing.T) {
	play := func(ami bool) []hooks.Event {
		p := newPBX(t)
		p.at(0, "caller", CallDial)
		p.at(1, "caller", QueueDial, "queue_id=500")
		c := newQueueCall(p, func(second float64) float64 { return second })
		for _, part := range [...]int{0, 1} {
			steps := c.agi[part]
			if ami {
				steps = c.ami[part]
			}
			for _, step := range steps {
				step()
			}
		}
		p.done()
		return p.events
	}
	want, got := play(false), play(true)
	if len(got) != len(want) || len(want) != 9 {
		t.Fatalf("got %d events, want %d", len(got), len(want))
	}
	for i := range want {
		if got[i].ID != want[i].ID || !maps.Equal(got[i].Params, want[i].Params) {
			t.Errorf("got  %s %v\nwant %s %v", got[i].Name, got[i].Params, want[i].Name, want[i].Params)
		}
	}
}

// TestBothReporters checks that a call has each event once if dialplan and manager interface both report it, in every
// order, with reports of either missing.
func TestBothReporters(t *testing.T) {
	for seed := range uint64(500) {
		p := newPBX(t)
		chance := rand.New(rand.NewPCG(seed, 12))
		p.at(0, "caller", CallDial)
		p.at(1, "caller", QueueDial, "queue_id=500")
		now := 1.0
		c := newQueueCall(p, func(float64) float64 { now++; return now })
		for part := range c.agi {
			agi, ami := c.agi[part], c.ami[part]
			if part == 1 {
				chance.Shuffle(len(agi), func(i, j int) { agi[i], agi[j] = agi[j], agi[i] })
				chance.Shuffle(len(ami), func(i, j int) { ami[i], ami[j] = ami[j], ami[i] })
			}
			for len(agi)+len(ami) > 0 {
				from := &agi
				if len(agi) == 0 || len(ami) > 0 && chance.IntN(2) == 0 {
					from = &ami
				}
				(*from)[0]()
				if chance.IntN(8) == 0 {
					(*from)[0]() // repeated
				}
				*from = (*from)[1:]
			}
		}
		p.done()
		count := map[string]int{}
		for _, ev := range p.events {
			count[fmt.Sprint(ev.Name, " ", ev.Params["agent_phone"])]++
			if ev.Params["correction"] != nil {
				t.Errorf("seed %d: %s is a correction", seed, ev.Name)
			}
		}
		for _, want := range []string{
			"call-dial <nil>", "queue-dial <nil>", "agent-dial 101", "agent-cancel 101", "agent-dial 102", "agent-answer 102", "agent-hangup 102",
			"queue-hangup 102", "call-hangup 102",
		} {
			if count[want] != 1 {
				t.Errorf("seed %d: %s came %d times", seed, want, count[want])
			}
		}
		if len(count) != 9 || t.Failed() {
			t.Fatalf("seed %d: got %v", seed, count)
		}
	}
}

// TestReportOnly checks reports of what a call does not have.
func TestReportOnly(t *testing.T) {
	p := newPBX(t)
	defer p.done()
	p.at(0, "caller", CallDial)
	p.want(p.report(1, Report{Point: AgentHangup, Channel: "local1", Phone: "local1", Only: true}))
	p.want(p.report(1, Report{Point: QueueHangup, Channel: "caller", Stay: p.stay(0), Only: true}))
	// A member's phone that rang unseen: its end is known all the same.
	p.want(p.report(9, Report{Point: AgentHangup, Channel: "local1", Phone: "local1", Stay: p.stay(1), Args: map[string]string{"agent_phone": "101", "status": "BUSY"}}),
		"agent-cancel queue_id=500 agent_phone=101 status=busy wait_time=8")
}

// TestReportAgain checks that one channel's second stay in the same queue, and its second dial of the same phone,
// are others, also if the manager interface alone reports them.
func TestReportAgain(t *testing.T) {
	p := newPBX(t)
	defer p.done()
	p.at(0, "caller", CallDial)
	hangup := func(second, joined float64, status string) []string {
		return p.report(second, Report{Point: QueueHangup, Channel: "caller", Stay: p.stay(joined), Args: map[string]string{"queue_status": status}})
	}
	p.want(hangup(5, 1, "TIMEOUT"), "queue-hangup queue_id=500 status=noanswer wait_time=4", "queue-failover queue_id=500 status=noanswer wait_time=4")
	p.want(hangup(6, 1, "TIMEOUT"))
	p.want(hangup(9, 7, "TIMEOUT"), "queue-hangup queue_id=500 status=noanswer wait_time=2", "queue-failover queue_id=500 status=noanswer wait_time=2")
	phone := func(second float64, point Point, leg string, began float64, args ...string) []string {
		r := Report{Point: point, Channel: "caller", Phone: leg, Began: p.began.Add(time.Duration(began) * time.Second), Args: map[string]string{"agent_phone": "101"}}
		if len(args) > 0 {
			r.Args["status"] = args[0]
		}
		return p.report(second, r)
	}
	p.want(phone(10, AgentDial, "phone1", 10), "agent-dial agent_phone=101")
	p.want(phone(10, AgentDial, "phone1", 10))
	p.want(phone(12, AgentHangup, "phone1", 10, "BUSY"), "agent-cancel agent_phone=101 status=busy ring_time=2")
	p.want(phone(14, AgentDial, "phone2", 14), "agent-dial agent_phone=101")
	p.want(phone(15, AgentHangup, "phone1", 10, "BUSY"))
	p.want(phone(17, AgentHangup, "phone2", 14, "NOANSWER"), "agent-cancel agent_phone=101 status=noanswer ring_time=3")
}

// TestReportLate checks that a ring is not made again if the dialplan reported its end before the manager interface
// reported its beginning.
func TestReportLate(t *testing.T) {
	p := newPBX(t)
	defer p.done()
	p.at(0, "caller", CallDial)
	for i, channel := range []string{"caller", "local1"} { // of a direct call, and of a queue's member
		if channel != "caller" {
			p.dial("caller", channel)
		}
		second := float64(10 * (i + 1))
		p.at(second, channel, AgentDial, "agent_phone=101")
		p.set(channel, "DIALSTATUS", "BUSY")
		p.at(second+0.2, channel, AgentHangup, "agent_phone=101")
		report := func(at float64, point Point) []string {
			leg := map[string]string{"caller": "phone1"}[channel]
			return p.report(at, Report{
				Point: point, Channel: channel, Phone: cmp.Or(leg, channel), Began: p.began.Add(time.Duration(1000*(second+0.9)) * time.Millisecond),
				Args: map[string]string{"agent_phone": "101", "status": "BUSY"},
			})
		}
		p.want(report(second+0.9, AgentDial))
		p.want(report(second+1.1, AgentHangup))
	}
}

// TestReportLateStay checks that a stay in a queue is not made again if the dialplan reported its end before the manager
// interface reported its beginning, and that the next stay is another.
func TestReportLateStay(t *testing.T) {
	p := newPBX(t)
	defer p.done()
	p.at(0, "caller", CallDial)
	p.at(1, "caller", QueueDial, "queue_id=500")
	p.at(1.2, "caller", QueueHangup)
	hangup := func(second, joined float64) []string {
		return p.report(second, Report{Point: QueueHangup, Channel: "caller", Stay: p.stay(joined), Args: map[string]string{"queue_status": "TIMEOUT"}})
	}
	p.want(hangup(1.9, 1.5))
	p.want(hangup(4, 2), "queue-hangup queue_id=500 status=noanswer wait_time=2", "queue-failover queue_id=500 status=noanswer wait_time=2")
}

// TestReport checks outcomes, the metric, and that a report waits for no disk.
func TestReport(t *testing.T) {
	now := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	m := &memory{states: map[string][]byte{}, seen: map[string]time.Time{}, now: func() time.Time { return now }}
	p := newPBX(t)
	p.at(0, "caller", QueueDial, "queue_id=500")
	m.states["call-1"], m.seen["call-1"] = p.kept, now
	hook := hooks.DefaultConfig()
	hook.Name, hook.Events, hook.URL = "all", []string{"*"}, hooks.Addresses{"http://127.0.0.1:1/"}
	dispatcher, err := hooks.New([]hooks.Config{hook}, nil, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	d := New(Settings{Dialplan: Config{MaxCall: time.Hour}}, Parts{Hooks: dispatcher, Numbers: number.NewReader(number.Config{})}, m, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	f := func(linkedid string, caller *Caller, want ReportOutcome, point Point) {
		t.Helper()
		before := testutil.ToFloat64(d.metrics.reports.WithLabelValues(string(point), string(want)))
		r := &Report{Point: point, At: now, Call: Identity{LinkedID: linkedid}, Channel: linkedid, Caller: caller, Args: map[string]string{"cause": "16"}}
		if got := d.Report(context.Background(), r); got != want {
			t.Errorf("%s of %s is %s, want %s", point, linkedid, got, want)
		}
		d.late.Wait()
		if got := testutil.ToFloat64(d.metrics.reports.WithLabelValues(string(point), string(want))); got != before+1 {
			t.Errorf("%s of %s is counted %v times as %s", point, linkedid, got-before, want)
		}
	}
	f("call-1", nil, ReportMade, CallHangup)
	f("call-1", nil, ReportRecognised, CallHangup)
	f("call-2", nil, ReportUnknown, CallHangup)
	if len(m.states) != 1 {
		t.Errorf("%d calls are stored", len(m.states))
	}
	f("call-2", &Caller{Number: "02079460142", DNID: "02079460500"}, ReportMade, CallHangup)
	last := m.events[len(m.events)-1]
	if last.Params["callerid_raw"] != "02079460142" || last.Params["directid"] != "02079460500" || last.Params["direction"] != "incoming" {
		t.Errorf("the event of a call without points has %v", last.Params)
	}
	f("call-3", &Caller{Number: "02079460142", Withheld: true}, ReportMade, CallHangup)
	if last := m.events[len(m.events)-1]; last.Params["callerid_withheld"] != true || last.Params["callerid_raw"] != nil {
		t.Errorf("the event of a caller who withholds the number has %v", last.Params)
	}
	var open []OpenCall
	p.kept = nil
	p.at(0, "caller", QueueDial, "queue_id=500")
	p.dial("caller", "local1")
	p.at(1, "local1", AgentDial, "agent_phone=101")
	m.states["pbx-1.1"], m.seen["pbx-1.1"] = p.kept, now.Add(time.Second)
	err = d.OpenCalls(t.Context(), []string{"pbx"}, now.Add(2*time.Second), func(o OpenCall) { open = append(open, o) })
	if err != nil || len(open) != 1 || len(open[0].Visits) != 1 || len(open[0].Rings) != 1 || open[0].Rings[0].Phone != "101" {
		t.Errorf("open calls are %+v, %v", open, err)
	}
}

// TestNotes checks that each change of an agent's note is an event of its own, and a repeat is none.
func TestNotes(t *testing.T) {
	p := newPBX(t)
	p.report(0, Report{Point: AgentDial, Channel: "caller", Args: map[string]string{"agent_phone": "101"}})
	ids := map[string]bool{}
	f := func(phone, note string, changed bool) {
		t.Helper()
		before := len(p.events)
		p.report(5, Report{Point: CustomEvent, Channel: "call-1", Args: map[string]string{"name": AgentNote, "agent_phone": phone, "note": note}})
		made := p.events[before:]
		if len(made) > 1 || (len(made) == 1) != changed {
			t.Fatalf("%q of %s: %d events", note, phone, len(made))
		}
		for _, ev := range made {
			got, _ := ev.Params["note"].(string)
			if ev.Name != AgentNote || got != note || ev.Params["agent_phone"] != phone || ids[ev.ID] {
				t.Errorf("%q of %s: %+v", note, phone, ev)
			}
			ids[ev.ID] = true
		}
	}
	f("101", "", false)
	f("101", "is angry", true)
	f("101", "is angry", false)
	f("102", "is angry", true)
	f("101", "is calm", true)
	f("101", "is angry", true)
	f("101", "is angry", false)
	f("101", "", true)
	f("101", "", false)
	f("101", "is angry", true)
	f("102", "is angry", false)
}

// TestAnotherAskedFirst checks that two servers make equal events of a caller who goes from one queue to the next, although
// QUEUESTATUS is no longer on the channel when the second is asked.
func TestAnotherAskedFirst(t *testing.T) {
	for _, status := range []string{"TIMEOUT", "FULL", ""} { // none if a program moved the caller
		first, second := newPBX(t), newPBX(t)
		second.channels = first.channels
		for _, p := range []*pbx{first, second} {
			p.at(1, "caller", QueueDial, "queue_id=500")
		}
		first.set("caller", "QUEUESTATUS", status)
		for _, p := range []*pbx{first, second} {
			p.at(20, "caller", QueueDial, "queue_id=600")
		}
		left := first.on("caller")["RINGHOOK_LEFT"]
		if left != "caller/1/500/"+status || first.on("caller")["QUEUESTATUS"] != "" {
			t.Fatalf("the channel has %v", first.on("caller"))
		}
		seen := Report{Point: QueueHangup, Channel: "caller", Stay: second.stay(1.1), Left: left}
		unseen := Report{Point: QueueHangup, Channel: "caller", Only: true, Left: left} // that queue sent no event
		for _, r := range []Report{seen, unseen} {
			kept, before := second.kept, len(second.events)
			second.report(20, r)
			again := second.report(20, unseen)
			if len(again) > 0 {
				t.Errorf("the end is reported twice: %q", again)
			}
			got := map[string]hooks.Event{}
			for _, ev := range second.events {
				got[ev.ID] = ev
			}
			for _, ev := range first.events {
				if o := got[ev.ID]; o.Name != ev.Name || o.Params["status"] != ev.Params["status"] || o.Params["queue_status"] != ev.Params["queue_status"] {
					t.Errorf("%q: the first server has %s, the second %s", status, inShort(ev), inShort(o))
				}
			}
			if len(second.events) != len(first.events) {
				t.Errorf("%q: %d events and %d", status, len(first.events), len(second.events))
			}
			second.kept, second.events = kept, second.events[:before]
		}
	}
}

// TestLeftOfAnotherVisit checks that what another server noted counts for the visit that it names alone.
func TestLeftOfAnotherVisit(t *testing.T) {
	for _, left := range []string{"caller/2/600/TIMEOUT", "other/1/500/TIMEOUT", "caller/1/500", "TIMEOUT", "/"} {
		p := newPBX(t)
		p.at(1, "caller", QueueDial, "queue_id=500")
		if got := p.report(5, Report{Point: QueueHangup, Channel: "caller", Only: true, Left: left}); len(got) > 0 {
			t.Errorf("%q makes %q", left, got)
		}
		p = newPBX(t)
		p.at(1, "caller", QueueDial, "queue_id=500")
		p.want(p.report(5, Report{Point: QueueHangup, Channel: "caller", Stay: p.stay(1.1), Left: left}), "queue-hangup queue_id=500 status=other wait_time=4")
	}
}
