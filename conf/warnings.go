package conf

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"strings"

	"ringhook/dialplan"
	"ringhook/hooks"
)

// warnings reports names that look like typos: events that no point emits, and
// parameters that no event has. These are not mistakes, because the dialplan can emit
// events of its own, and an answer can contain any name. It also reports what is allowed and
// risky.
func (r *report) warnings(c *Config, root *position) []Mistake {
	d := warner{report: r, parameters: dialplan.Parameters()}
	for name := range c.Dialplan.Variables {
		d.parameters = append(d.parameters, dialplan.Parameter(name))
	}
	for _, l := range c.Lookups {
		for name := range l.Map {
			d.parameters = append(d.parameters, dialplan.Parameter(name))
		}
		d.parameters = append(d.parameters, dialplan.Parameter(l.Variable))
	}
	for i := range c.Lookups {
		d.table, d.at, d.extra = "lookup", root.key("lookup").item(i), dialplan.Arguments()
		c.Lookups[i].Parameters(d.parameter)
	}
	d.country(c, root)
	for i := range c.Hooks {
		d.table, d.at, d.extra = "hook", root.key("hook").item(i), nil
		if slices.Contains(c.Hooks[i].Events, hooks.HookDisabled) {
			d.extra = []string{"hook", "reason"} // of that event
		}
		if d.events(c.Hooks[i].Events) {
			c.Hooks[i].Parameters(d.parameter)
		}
	}
	for i := range c.AMI {
		if key, problem := c.AMI[i].Doubt(); problem != "" {
			d.table, d.at = "ami", root.key("ami").item(i)
			d.warn(d.at.key(key), key, problem)
		}
	}
	slices.SortFunc(d.found, func(a, b Mistake) int {
		return cmp.Or(r.order(a, b), strings.Compare(a.Key+a.Problem, b.Key+b.Problem))
	})
	return slices.Compact(d.found)
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
	known := append(dialplan.Events(), hooks.HookDisabled)
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

func (d *warner) warn(at *position, key, problem string) {
	d.found = append(d.found, Mistake{at.file, at.line, d.table + "." + key, d.hiding().Replace(problem)})
}
