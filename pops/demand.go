package pops

import (
	"errors"
	"maps"
	"slices"
	"strconv"

	"ringhook/hooks"
)

// OnDemand is the event of pops that a person or a program asks for. A rule may name it in its events.
const OnDemand = "on-demand"

// Demand asks for a pop.
type Demand struct {
	Agent string // id
	// Sees reports whether who asks sees the calls of a queue, and of none for an empty id. Other calls must be ones that the
	// agent has, had or was rung for; nil if all must.
	Sees func(queue string) bool
	// LinkedID names a call that goes on; the pop has its parameters. Without one Event has them.
	LinkedID string
	Event    *hooks.Event
	Result   Result // of the lookups, for a demand without a call
	Mode     Action // empty is the rule's
	// URL replaces that of the rule. Its origin must be that of a rule's page.
	URL string
}

// Why a pop is not made on demand.
var (
	ErrNoCall  = errors.New("there is no such call now")
	ErrUnclear = errors.New("several Asterisks have a call of this linkedid")
	ErrNoAgent = errors.New("there is no such agent")
	ErrNoPage  = errors.New("no rule has a page for this call and agent")
	ErrNoDesk  = errors.New("no desk of the agent is open")
	ErrURL     = errors.New("the URL is not that of a rule: its origin must be one of a [[pop]] table")
)

// maxDemanded is the maximum number of open pops of an agent that belong to no call; the oldest is replaced.
const maxDemanded = 20

// Demand makes a pop. The suppressions of the rules do not apply: the pop is wanted. It replaces an open one of the same
// call, agent and rule.
func (l *Live) Demand(in Demand) (Pop, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := slices.IndexFunc(l.setup.Agents, func(a Agent) bool { return a.ID == in.Agent && in.Agent != "" })
	if n < 0 {
		return Pop{}, ErrNoAgent
	}
	now, ev, result := l.now(), in.Event, in.Result
	var c *call
	if in.LinkedID != "" {
		var err error
		if c, err = l.demanded(&in, &l.setup.Agents[n]); err != nil {
			return Pop{}, err
		}
		ev, result = c.last, c.result
	}
	own := *ev
	own.Name, own.Time, own.Params = OnDemand, now, maps.Clone(ev.Params)
	own.Params["event"] = OnDemand
	l.setup.Agents[n].stand(own.Params)
	a := l.agentsAt(&own)[n]
	a.Choices = l.personal.choicesOf(a.ID)
	d, err := l.setup.Rules.demand(&own, &a, Situation{Now: now, Result: result, Desks: l.desks(a.ID)}, in.URL)
	if err != nil {
		return Pop{}, err
	}
	if in.Mode != "" {
		d.Action = in.Mode
	}
	if c == nil {
		c = l.callOf("demand\x00"+a.ID, own.LinkedID, now)
		if len(c.pops) >= maxDemanded {
			oldest := c.pops[0]
			l.closeAll(c, func(p *Pop) bool { return p == oldest }, Replaced, now)
		}
	} else {
		l.closeAll(c, func(p *Pop) bool { return p.Agent.key() == a.key() && p.Rule == d.Rule }, Replaced, now)
	}
	l.demands++
	own.ID += "-demand-" + strconv.FormatUint(l.demands, 10) + now.Format("-20060102150405")
	l.metrics.pops.WithLabelValues(d.Rule, string(d.Reason)).Inc()
	l.trace.Trace(now, decisionRecord(&own, &a, &d, now))
	return *l.send(c, &own, &a, d, now), nil
}

// demanded returns the call of a demand. The error says that there is none that the agent may be shown, or more than one.
func (l *Live) demanded(in *Demand, a *Agent) (found *call, err error) {
	for _, c := range l.calls {
		if c.linkedid != in.LinkedID || c.last == nil {
			continue
		}
		_, rang := c.rings[a.Phone]
		seen := in.Sees != nil && (in.Sees("") || slices.ContainsFunc(c.queues, in.Sees))
		if rang && a.Phone != "" || len(c.popped[a.key()]) > 0 || seen {
			if found != nil {
				return nil, ErrUnclear
			}
			found = c
		}
	}
	if found == nil {
		return nil, ErrNoCall
	}
	return found, nil
}

// stand puts the agent into the parameters of an event, in place of the one for whom it was reported.
func (a *Agent) stand(params map[string]any) {
	if params["agent_phone"] != a.Phone {
		delete(params, "agent_info")
	}
	params["agent_id"], params["agent_phone"], params["agent_name"] = a.ID, a.Phone, a.Name
}

// demand decides about a pop that is wanted: by the first rule for the agent that has the event, else by the first whose
// page fits.
func (r *Rules) demand(ev *hooks.Event, a *Agent, s Situation, url string) (Decision, error) {
	d := Decision{Until: ev.Time.Add(Fresh), Reason: Popped}
	for _, named := range []bool{true, false} {
		for _, rule := range r.rules {
			if slices.Contains(rule.Events, OnDemand) != named || !rule.addresses(ev, a) || rule.when != nil && !holds(rule.when, ev) {
				continue
			}
			c := &candidate{rule: rule, ev: ev, agent: a, situation: &s, decision: &d}
			d.mask = rule.mask
			d.Rule, d.Close, d.Action, d.Ways = rule.Name, rule.Close, c.mode(), slices.DeleteFunc(c.waysOf(), func(w Way) bool { return !w.NeedsDesk() })
			if bad, _ := c.page(); bad || len(d.Ways) == 0 || d.URL == "" && url == "" {
				continue
			}
			if url != "" {
				if !rule.owns(url) {
					continue
				}
				d.URL = url
			}
			if s.Desks == 0 {
				return d, ErrNoDesk
			}
			return d, nil
		}
	}
	if url != "" {
		return d, ErrURL
	}
	return d, ErrNoPage
}

func holds(c *hooks.Condition, ev *hooks.Event) bool {
	ok, err := c.Holds(ev)
	return err == nil && ok
}

// owns reports whether a URL could be one of the rule: it has the scheme and host of one of its pages.
func (r *rule) owns(url string) bool {
	for _, a := range []*address{r.found, r.notFound, r.several} {
		if a == nil || a.own || a.ours {
			continue
		}
		if _, err := a.check(url); err == nil {
			return true
		}
	}
	return false
}
