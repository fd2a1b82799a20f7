// Command sampleday fills a new store with the calls of the last hours, for the pictures and the browser tests of the
// supervisors' pages: their figures need a day of work.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"ringhook/dialplan"
	"ringhook/dialplan/kept"
	"ringhook/pops"
	"ringhook/store"
	"ringhook/store/desk"
)

// agent is one of the agents of the sample, with the queues of the agent.
type agent struct {
	id, phone, name string
	queues          []string
}

var agents = []agent{
	{"7", "101", "Anna Schmidt", []string{"500", "501"}}, {"8", "102", "Boris Ivanov", []string{"500"}}, {"10", "103", "Chloé Martin", []string{"500", "501"}},
	{"11", "104", "Dana Levi", []string{"501"}}, {"12", "105", "Emil Novák", []string{"500"}}, {"13", "106", "Farah Haddad", []string{"500", "501"}},
}

var callers = [][2]string{
	{"+442079460142", "Zoë Müller"}, {"+442079460171", "Acme Ltd"}, {"+442079460113", "Жанна Орлова"}, {"+442079460188", "שלום בע״מ"}, {"+442079460125", "Hélène Dupré"},
	{"+442079460160", ""}, {"+442079460134", "Northwind Traders"}, {"+442079460199", "<img src=x onerror=document.title=1>"},
}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: sampleday FOLDER")
		os.Exit(2)
	}
	if err := fill(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func fill(folder string) (err error) {
	cfg := store.DefaultConfig()
	cfg.Folder, cfg.Synchronous, cfg.MaxSize = folder, "normal", 64<<20
	s, err := store.Open(cfg, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	d := &day{s: s, r: rand.New(rand.NewPCG(1, 2)), now: time.Now()}
	began := d.now.Add(-8*time.Hour - 10*time.Minute)
	for at := began; at.Before(d.now.Add(-2 * time.Minute)); at = at.Add(time.Duration(40+d.r.IntN(100)) * time.Second) {
		if err := d.call(at); err != nil {
			return err
		}
	}
	var in []desk.AgentState
	for _, a := range agents {
		in = append(in, desk.AgentState{Agent: a.id, State: desk.AgentIn})
		for _, queue := range a.queues {
			in = append(in, desk.AgentState{Agent: a.id, State: desk.AgentServes, Reason: queue})
		}
	}
	paused := slices.DeleteFunc(slices.Clone(in), func(s desk.AgentState) bool { return s.Agent == "8" && s.State == desk.AgentServes })
	paused = append(paused, desk.AgentState{Agent: "8", State: desk.AgentPaused, Reason: "lunch"})
	return errors.Join(s.Desk().ObserveStates(in, began), s.Desk().ObserveStates(paused, d.now.Add(-3*time.Hour)), s.Desk().ObserveStates(in, d.now.Add(-150*time.Minute)),
		s.Desk().ObserveStates(in, d.now))
}

// day makes calls.
type day struct {
	s   *store.Store
	r   *rand.Rand
	now time.Time
	n   int
}

// call stores one call: most are answered, some are given up, few leave the queue.
func (d *day) call(at time.Time) error {
	d.n++
	id := fmt.Sprintf("%d.%d", at.Unix(), d.n)
	queue := []string{"500", "500", "500", "501", "501"}[d.r.IntN(5)]
	who := callers[d.r.IntN(len(callers))]
	m := kept.Marker{UniqueID: id, N: 1, What: queue}
	c := &kept.Call{
		LinkedID: id, Direction: "incoming", Began: at,
		Known: map[string]any{"callerid": who[0], "callerid_name": who[1], "directid": "+442079460500", "queue_name": map[string]string{"500": "Sales", "501": "Support"}[queue]},
	}
	v := kept.Visit{Marker: m, Began: at}
	wait := time.Duration(3+d.r.ExpFloat64()*14) * time.Second
	a := agents[d.r.IntN(len(agents))]
	for !slices.Contains(a.queues, queue) {
		a = agents[d.r.IntN(len(agents))]
	}
	ring := kept.Ring{Phone: a.phone, Visit: m, Began: at.Add(wait / 3)}
	switch n := d.r.IntN(100); {
	case n < 8:
		c.Ended = at.Add(wait + 15*time.Second)
		v.Ended, v.Outcome, ring.Ended = c.Ended, "cancel", c.Ended
	case n < 11:
		c.Ended = at.Add(90 * time.Second)
		v.Ended, v.Outcome, ring.Ended = c.Ended, "noanswer", at.Add(60*time.Second)
	default:
		v.Answered = at.Add(wait)
		v.Ended = v.Answered.Add(time.Duration(20+d.r.ExpFloat64()*150) * time.Second)
		if v.Ended.After(d.now) {
			v.Ended = d.now
		}
		v.Agent, v.Outcome, c.Answered, c.Ended = a.phone, "answer", v.Answered, v.Ended
		ring.Answered, ring.Ended = v.Answered, v.Ended
	}
	c.Visits, c.Rings = []kept.Visit{v}, []kept.Ring{ring}
	state, err := json.Marshal(c)
	if err != nil {
		return err
	}
	if _, err := d.s.Journal().Keep(context.Background(), dialplan.Record{Call: id, State: state}); err != nil {
		return err
	}
	d.trace(id, who, &ring, &a)
	return nil
}

// trace stores what happened at the ring, and the decision about the screen pop.
func (d *day) trace(id string, who [2]string, ring *kept.Ring, a *agent) {
	put := func(at time.Time, p dialplan.PointTrace) {
		p.At, p.LinkedID, p.UniqueID = at, id, id
		d.s.Journal().Trace(at, dialplan.EncodeTrace(&p))
	}
	put(ring.Began, dialplan.PointTrace{
		Point: "agent-dial", Channel: "PJSIP/trunk-0000002a", Caller: who[0], CallerName: who[1], Status: "FOUND", Took: 3 * time.Millisecond,
		Given: []string{"agent_phone=" + a.phone}, Lookups: []dialplan.TracedLookup{{Lookup: "crm", Outcome: "found", Took: 2 * time.Millisecond}},
		Events: []dialplan.TracedEvent{{Name: "agent-dial", Hooks: 1}},
	})
	named := pops.Agent{ID: a.id, Phone: a.phone, Name: a.name}
	values := []dialplan.TracedValue{{Name: "event", Value: "agent-dial"}, {Name: "agent", Value: named.String()}, {Name: "rule", Value: "card"}}
	reasons := []pops.Reason{pops.Busy, pops.SignedOut, pops.Unknown, pops.Anonymous}
	if d.r.IntN(4) == 0 {
		put(ring.Began.Add(time.Millisecond), dialplan.PointTrace{Point: pops.TracePoint, Caller: who[0], Status: string(reasons[d.r.IntN(len(reasons))]), Set: values})
		return
	}
	put(ring.Began.Add(time.Millisecond), dialplan.PointTrace{
		Point: pops.TracePoint, Caller: who[0], Status: string(pops.Popped),
		Set: append(values, dialplan.TracedValue{Name: "action", Value: "force"}, dialplan.TracedValue{Name: "way", Value: "frame"}, dialplan.TracedValue{Name: "url", Value: "https://crm.example/card/4711"}),
	})
	fate := func(f pops.Fate, after time.Duration) {
		put(ring.Began.Add(after), dialplan.PointTrace{
			Point: pops.TracePoint, Caller: who[0], Status: string(f), Took: after,
			Set: []dialplan.TracedValue{{Name: "agent", Value: named.String()}, {Name: "rule", Value: "card"}, {Name: "way", Value: "frame"}},
		})
	}
	fate(pops.Shown, time.Duration(4+d.r.IntN(20))*time.Millisecond)
	if ring.Answered.IsZero() {
		fate(pops.Abandoned, ring.Ended.Sub(ring.Began))
	}
}
