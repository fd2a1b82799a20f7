package command

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"ringhook/dialplan"
	"ringhook/pops"
)

// pointIndent begins the lines below a point's own.
const pointIndent = "\n                "

// point adds what happened at a point.
func (t *trace) point(p *dialplan.PointTrace) {
	if p.Point == pops.TracePoint {
		t.pop(p)
		return
	}
	var b strings.Builder
	say := func(format string, args ...any) { b.WriteString(pointIndent + fmt.Sprintf(format, args...)) }
	by := ""
	if p.By != "" {
		by = " by " + printable(p.By)
	}
	fmt.Fprintf(&b, "%s on %s: %s%s after %s", printable(p.Point), printable(p.Channel), p.Status, by, milliseconds(p.Took))
	if p.Hungup {
		b.WriteString(", the channel was hung up")
	}
	if p.Error != "" {
		say("failed: %s", printable(p.Error))
	}
	if values := pairs([]dialplan.TracedValue{{Name: "caller", Value: p.Caller}, {Name: "name", Value: p.CallerName}, {Name: "dnid", Value: p.DNID}}, true); values != "" {
		say("channel: %s", values)
	}
	if len(p.Given) > 0 || p.Query != "" {
		say("given: %s", printable(strings.TrimSpace(p.Query+" "+strings.Join(p.Given, " "))))
	}
	if values := pairs(p.Read, true); values != "" {
		say("read: %s", values)
	} else if len(p.Read) > 0 {
		say("read: nothing is set of the %d variables asked for", len(p.Read))
	}
	for _, l := range p.Lookups {
		say("%s", lookupLine(&l, p.Kind))
	}
	if values := pairs(p.Set, false); values != "" {
		say("set: %s", values)
	}
	for _, r := range p.Refused {
		say("refused: %s (%s)", printable(r.Name), refusalReasons[r.Value])
	}
	switch {
	case p.Error != "" || p.Point == string(dialplan.Lookup):
	case len(p.Events) == 0:
		say("no event: %s", cmp.Or(printable(p.Why), "reported before"))
	default:
		for _, e := range p.Events {
			if e.Hooks == 0 {
				say("event %s: no hook wants it", printable(e.Name))
			}
		}
	}
	t.lines = append(t.lines, traceLine{p.At, -1, b.String()})
}

func lookupLine(l *dialplan.TracedLookup, kind string) string {
	name := "lookup " + l.Lookup
	if l.Shadow {
		name += " (shadow)"
	}
	if l.Outcome == "" {
		why := printable(l.Why)
		if kind != "" {
			why += ": " + printable(kind)
		}
		return name + ": not asked, " + why
	}
	line := fmt.Sprintf("%s: %s after %s", name, l.Outcome, milliseconds(l.Took))
	if l.Age > 0 {
		line += fmt.Sprintf(", answered %s ago", l.Age.Round(time.Second))
	}
	if l.Why != "" {
		line += ", " + printable(l.Why)
	}
	return line
}

// pairs writes names and values, without those that are empty if so wished.
func pairs(values []dialplan.TracedValue, filled bool) string {
	var list []string
	for _, v := range values {
		if filled && v.Value == "" {
			continue
		}
		value := printable(v.Value)
		if strings.Contains(value, " ") || value == "" {
			value = `"` + value + `"`
		}
		list = append(list, printable(v.Name)+"="+value)
	}
	return strings.Join(list, " ")
}

// pop adds a decision about a screen pop, or what became of one.
func (t *trace) pop(p *dialplan.PointTrace) {
	values, ways := pops.Values(p)
	for name, value := range values {
		values[name] = printable(value)
	}
	for i, w := range ways {
		ways[i] = printable(w)
	}
	line := fmt.Sprintf("  pop for %s: ", values["agent"])
	way := strings.Join(ways, ", then ")
	switch {
	case values["event"] == "": // a fate
		line += fmt.Sprintf("%s %s after %s", way, printable(p.Status), milliseconds(p.Took))
		if p.Why != "" {
			line += ": " + printable(p.Why)
		}
	case p.Status == string(pops.Popped):
		line += fmt.Sprintf("rule %s, %s by %s", values["rule"], values["action"], way)
		if values["url"] != "" {
			line += " -> " + values["url"]
		}
		if values["title"] != "" {
			line += fmt.Sprintf(" %q", values["title"])
		}
	default:
		line = fmt.Sprintf("  no pop for %s at %s: %s", values["agent"], values["event"], printable(p.Status))
		if values["rule"] != "" {
			line += ", rule " + values["rule"]
		}
		if p.Why != "" {
			line += ": " + printable(p.Why)
		}
	}
	t.lines = append(t.lines, traceLine{p.At, maxSeq, line})
}

// maxSeq sorts a line behind those of the same moment.
const maxSeq = 1 << 30
