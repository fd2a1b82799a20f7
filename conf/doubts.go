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

// doubts gives a warning for each name that looks like a slip of the pen: of an
// event that no point makes, of a parameter that no event has. It is no mistake,
// since the dialplan may make events of its own, and an answer may have any name.
func (r *report) doubts(c *Config, root *place) []Mistake {
	d := doubter{report: r, parameters: dialplan.Parameters()}
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
		d.table, d.at, d.further = "lookup", root.key("lookup").item(i), dialplan.Arguments()
		c.Lookups[i].Parameters(d.parameter)
	}
	for i := range c.Hooks {
		d.table, d.at, d.further = "hook", root.key("hook").item(i), nil
		if slices.Contains(c.Hooks[i].Events, hooks.HookDisabled) {
			d.further = []string{"hook", "reason"} // of that event
		}
		if d.events(c.Hooks[i].Events) {
			c.Hooks[i].Parameters(d.parameter)
		}
	}
	slices.SortFunc(d.found, func(a, b Mistake) int {
		return cmp.Or(byLine(a, b), strings.Compare(a.Key+a.Problem, b.Key+b.Problem))
	})
	return slices.Compact(d.found)
}

// doubter looks at one table after the other.
type doubter struct {
	*report
	parameters []string // that there are everywhere
	further    []string // that this table knows besides
	table      string
	at         *place
	found      []Mistake
}

// events doubts names and patterns that fit none, and tells whether all fit one: an
// event of the dialplan's own has parameters of its own, too.
func (d *doubter) events(names []string) (all bool) {
	known := append(dialplan.Events(), hooks.HookDisabled)
	all = true
	for i, name := range names {
		if slices.ContainsFunc(known, func(event string) bool { ok, _ := path.Match(name, event); return ok }) {
			continue
		}
		all = false
		hint := fmt.Sprintf("unless the dialplan has /event?name=%s, it never comes", name)
		if strings.ContainsAny(name, `*?[\`) {
			hint = "unless the dialplan makes events of such names, none ever comes"
		} else if k := near(name, known); k != "" {
			hint = fmt.Sprintf("did you mean %s?", k)
		}
		at := d.at.key("events").item(i)
		d.doubt(at, "events", fmt.Sprintf("no point makes %q; %s", name, hint))
	}
	return all
}

// parameter doubts the name of a parameter that is not known.
func (d *doubter) parameter(key, name string) {
	known := slices.Concat(d.parameters, d.further)
	if slices.Contains(known, name) {
		return
	}
	problem := fmt.Sprintf("%q is no parameter of a call; ", name)
	if k := near(name, known); secretKey(d.table + "." + key) {
		problem = "what stands between two percent signs is no parameter of a call" // but maybe a part of the secret
	} else if k != "" {
		problem += fmt.Sprintf("did you mean %s?", k)
	} else {
		problem += "where a lookup answers it, list it in [dialplan] variables"
	}
	d.doubt(d.at.dotted(key), key, problem)
}

func (d *doubter) doubt(at *place, key, problem string) {
	d.found = append(d.found, Mistake{d.file, at.line, d.table + "." + key, d.hiding().Replace(problem)})
}
