package conf

import (
	"cmp"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"ringhook/dialplan"
	"ringhook/directory"
	"ringhook/hooks"
	"ringhook/pops"
)

// warnings reports names that look like typos: events that no point emits, and
// parameters that no event has. These are not mistakes, because the dialplan can emit
// events of its own, and an answer can contain any name. It also reports what is allowed and
// risky.
func (r *report) warnings(c *Config, root *position) []Mistake {
	d := warner{report: r, parameters: parameters(c)}
	for i := range c.Lookups {
		d.table, d.at, d.extra = "lookup", root.key("lookup").item(i), dialplan.Arguments()
		c.Lookups[i].Parameters(d.parameter)
		d.settings(c.Lookups[i].Settings)
	}
	d.country(c, root)
	for i := range c.Hooks {
		d.table, d.at, d.extra = "hook", root.key("hook").item(i), c.remembers(&c.Hooks[i])
		if slices.Contains(c.Hooks[i].Events, hooks.HookDisabled) {
			d.extra = append(d.extra, "hook", "reason") // of that event
		}
		if slices.Contains(c.Hooks[i].Events, dialplan.AgentNote) {
			d.extra = append(d.extra, "note")
		}
		if slices.Contains(c.Hooks[i].Events, pops.PopEvent) {
			d.extra = append(d.extra, pops.PopParameters()...)
		}
		if d.events(c.Hooks[i].Events) {
			c.Hooks[i].Parameters(d.parameter)
		}
		d.settings(c.Hooks[i].Settings)
	}
	for i := range c.Pops {
		d.table, d.at, d.extra = "pop", root.key("pop").item(i), nil
		if d.events(c.Pops[i].Events) {
			c.Pops[i].Parameters(d.parameter)
		}
		d.settings(c.Pops[i].Settings)
	}
	for i := range c.AMI {
		if key, problem := c.AMI[i].Doubt(); problem != "" {
			d.table, d.at = "ami", root.key("ami").item(i)
			d.warn(d.at.key(key), key, problem)
		}
	}
	for i := range c.Clicks {
		d.table, d.at = "click_from", root.key("click_from").item(i)
		d.product(c, c.Clicks[i].Product())
	}
	slices.SortFunc(d.found, func(a, b Mistake) int {
		return cmp.Or(r.order(a, b), strings.Compare(a.Key+a.Problem, b.Key+b.Problem))
	})
	return slices.Compact(d.found)
}

// parameters returns the names of the parameters that a call may have, as far as the
// configuration shows.
func parameters(c *Config) []string {
	names := dialplan.Parameters()
	for name := range c.Dialplan.Variables {
		names = append(names, dialplan.Parameter(name))
	}
	for _, a := range c.Agents {
		for product := range a.IDs {
			names = append(names, directory.Parameter(product))
		}
	}
	for _, k := range c.Clicks {
		names = slices.AppendSeq(names, maps.Keys(k.Params))
	}
	for _, l := range c.Lists {
		names = append(names, directory.Parameter(l.Name))
	}
	for _, l := range c.Lookups {
		for name := range l.Map {
			names = append(names, dialplan.Parameter(name))
		}
		for name := range l.Then.Map {
			names = append(names, dialplan.Parameter(name))
		}
		names = append(names, dialplan.Parameter(l.Variable))
	}
	return names
}

// warner checks one table after the other.
type warner struct {
	*report
	parameters []string // known in every table
	extra      []string // known in this table only
	table      string
	at         *position
	found      []Mistake
}

// events warns about names and patterns that match no event, and reports whether all
// match one: an event that the dialplan emits itself has parameters of its own.
func (d *warner) events(names []string) (all bool) {
	known := append(dialplan.Events(), hooks.HookDisabled, pops.PopEvent, pops.OnDemand, dialplan.AgentNote)
	all = true
	for i, name := range names {
		if slices.ContainsFunc(known, func(event string) bool { ok, _ := path.Match(name, event); return ok }) {
			continue
		}
		all = false
		hint := fmt.Sprintf("it comes only if the dialplan asks /event?name=%s", name)
		if strings.ContainsAny(name, `*?[\`) {
			hint = "such events come only if the dialplan asks /event with such names"
		} else if k := near(name, known); k != "" {
			hint = fmt.Sprintf("did you mean %s?", k)
		}
		at := d.at.key("events").item(i)
		d.warn(at, "events", fmt.Sprintf("no point emits %q; %s", name, hint))
	}
	return all
}

// settings warns about settings with the name of a parameter.
func (d *warner) settings(settings map[string]string) {
	known := slices.Concat(d.parameters, d.extra, []string{"callerid_all"})
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		if slices.Contains(known, name) {
			key := "settings." + name
			d.warn(d.at.key("settings").key(name), key, fmt.Sprintf("has the name of a parameter of calls: %%%s%% is this value for every call; give it another name", name))
		}
	}
}

// country warns about lookups by the caller's number without the country whose national
// numbers the trunks deliver: only numbers with + or 00 are read then.
func (d *warner) country(c *Config, root *position) {
	if c.Number.Country != "" {
		return
	}
	for i := range c.Lookups {
		if c.Lookups[i].ByNumber() {
			d.table = "number"
			d.warn(root.key("lookup").item(i), "country", "is missing: without it the lookup knows only numbers with + or 00; set it to the country of your trunks, such as \"DE\"")
			return
		}
	}
}

// parameter warns about the name of an unknown parameter.
func (d *warner) parameter(key, name string) {
	known := slices.Concat(d.parameters, d.extra)
	if slices.Contains(known, name) {
		return
	}
	problem := fmt.Sprintf("%q is not a parameter of a call; ", name)
	if k := near(name, known); secretKey(d.table + "." + key) {
		problem = "the text between two percent signs is not a parameter of a call" // but may be part of the secret
	} else if k != "" {
		problem += fmt.Sprintf("did you mean %s?", k)
	} else {
		problem += "if a lookup returns it, add it to [dialplan] variables"
	}
	d.warn(d.at.dotted(key), key, problem)
}

// product warns about a product in which no agent has an id.
func (d *warner) product(c *Config, name string) {
	of := func(a dialplan.Agent) bool { return a.IDs[name] != "" }
	if name == "" || slices.ContainsFunc(c.Agents, of) || slices.ContainsFunc(c.Lists, func(l directory.Config) bool { return l.Name == name }) {
		return
	}
	d.warn(d.at.key("agent_by"), "agent_by", fmt.Sprintf("no [[agent]] has ids.%s, and there is no [[agents]] table %s: no agent is found", name, name))
}

func (d *warner) warn(at *position, key, problem string) {
	d.found = append(d.found, Mistake{at.file, at.line, d.table + "." + key, d.hiding().Replace(problem)})
}
