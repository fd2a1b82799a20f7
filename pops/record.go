package pops

import (
	"time"

	"ringhook/dialplan"
	"ringhook/hooks"
)

// TracePoint is the name of a decision, and of a fate, in the trace of a call.
const TracePoint = "pop"

// decisionRecord returns the record of a decision.
func decisionRecord(ev *hooks.Event, a *Agent, d *Decision, now time.Time) []byte {
	p := &dialplan.PointTrace{
		At: now, Point: TracePoint, LinkedID: ev.LinkedID, UniqueID: text(ev, "uniqueid"), Caller: Other(ev), Status: string(d.Reason), Why: d.mask.Replace(d.Note),
	}
	add := func(name, value string) {
		if value != "" {
			p.Set = append(p.Set, dialplan.TracedValue{Name: name, Value: value})
		}
	}
	add("event", ev.Name)
	add("agent", a.String())
	add("rule", d.Rule)
	if d.Pops() {
		add("action", string(d.Action))
		for _, w := range d.Ways {
			add("way", string(w))
		}
		url, title := d.Shown()
		add("url", url)
		add("title", title)
	}
	return dialplan.EncodeTrace(p)
}

// fateRecord returns the record of a fate.
func fateRecord(p *Pop, now time.Time) []byte {
	return dialplan.EncodeTrace(&dialplan.PointTrace{
		At: now, Point: TracePoint, LinkedID: p.LinkedID, Caller: p.Number, Status: string(p.Life.Fate), Took: now.Sub(p.At), Why: p.why,
		Set: []dialplan.TracedValue{{Name: "agent", Value: p.Agent.String()}, {Name: "rule", Value: p.Rule}, {Name: "way", Value: string(p.Way)}},
	})
}

// Values returns the values of a record of a screen pop by their names, and its ways.
func Values(p *dialplan.PointTrace) (values map[string]string, ways []string) {
	values = map[string]string{}
	for _, v := range p.Set {
		if v.Name == "way" {
			ways = append(ways, v.Value)
		}
		values[v.Name] = v.Value
	}
	return values, ways
}
