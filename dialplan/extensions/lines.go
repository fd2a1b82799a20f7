package extensions

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"ringhook/dialplan"
)

// arguments checks the arguments of one ask, as the server does.
func (l *linter) arguments(a *ask) {
	at := a.step.at
	if point, args, old := strings.Cut(string(a.point), "|"); old {
		l.add(at, Error, "separator", "| no longer separates arguments: write /%s,%s", shown(point), shown(strings.ReplaceAll(args, "|", ",")))
		return
	}
	if a.point == "" {
		l.add(at, Error, "point", "the address names no point: write agi://%s/POINT, such as /queue-dial", l.options.Listen)
		return
	}
	if !l.points[string(a.point)] {
		l.add(at, Error, "point", "%s is no point of ringhook's: %s", quoted(string(a.point)), l.meant(string(a.point), l.pointNames, "the points are "+strings.Join(l.pointNames, ", ")))
		return
	}
	values, order, twice, odd := a.given()
	doubt := false
	for _, name := range twice {
		l.add(at, Error, "twice", "the argument %s is given twice, and ringhook refuses the point: leave one out", shown(name))
	}
	for _, arg := range odd {
		if strings.Contains(arg, "$") {
			doubt = true // a variable may hold name=value
			continue
		}
		l.add(at, Error, "argument", "the argument %s is not name=value, and ringhook refuses the point%s", quoted(arg), l.hint(a.point))
	}
	for _, name := range order {
		value := values[name]
		if strings.Contains(name, "$") {
			doubt = true
			continue
		}
		if !a.point.Takes(name) && !l.further(name) {
			if i := slices.IndexFunc(a.point.Needs(), func(need string) bool { return values[need] == "" && strings.Contains(need, name) }); i >= 0 {
				l.add(at, Error, "argument", "the argument %s is unknown, and ringhook refuses the point: did you mean %s?", quoted(name), a.point.Needs()[i])
				doubt = true
				continue
			}
			l.add(at, Error, "argument", "the argument %s is unknown, and ringhook refuses the point: %s", quoted(name), l.meant(name, l.argNames,
				"leave it out, allow it in [dialplan] variables, or send it with /event, which takes any"))
			continue
		}
		if value != strings.Trim(value, " ") {
			l.add(at, Note, "blanks", "the blanks around the value of %s are left out: write %s=%s", shown(name), shown(name), shown(strings.Trim(value, " ")))
		}
		if i := strings.IndexByte(value, '|'); i >= 0 {
			if next, _, ok := strings.Cut(value[i+1:], "="); ok && slices.Contains(l.argNames, next) {
				l.add(at, Error, "separator", "| no longer separates arguments: write a comma before %s=", next)
			}
		}
		if raw := l.rawValue(value); raw != "" && !ownNumber(a.point, raw) {
			l.add(at, Warning, "outside", "%s in the argument %s comes from outside, and a comma in it makes another argument: leave it out where ringhook reads it "+
				"itself (the caller's number and name), else wrap it in FILTER()", shown(raw), name)
		}
	}
	if a.lost > 0 {
		l.add(at, Error, "lost", "the helper %s takes %d arguments fewer, and the last are lost: add ${ARGn} to its AGI line", l.helpers[a.via].name(), a.lost)
		doubt = true
	}
	for _, name := range a.point.Needs() {
		if values[name] == "" && !doubt {
			l.add(at, Error, "missing", "the point %s needs the argument %s: add %s=...", a.point, name, name)
		}
	}
	if name := values["name"]; a.point == dialplan.CustomEvent && name != "" && !strings.Contains(name, "$") && !dialplan.ValidEvent(name) {
		l.add(at, Error, "event", "%s can be no event's name: use letters, digits, - and _ (64 at most), and no name of ringhook's own events", quoted(name))
	}
}

func (l *linter) further(name string) bool {
	_, ok := l.options.ExtraVariables[name]
	return ok
}

// ownNumber reports an agent's own number, which the PBX chose for the phone.
func ownNumber(p dialplan.Point, raw string) bool {
	switch p {
	case dialplan.AgentCustom, dialplan.AgentDialoutAnswer, dialplan.AgentDialoutHangup:
		return strings.HasPrefix(strings.ToLower(raw), "${callerid(num")
	}
	return false
}

// hint names what the point needs, for a line that has only the value.
func (l *linter) hint(p dialplan.Point) string {
	if needs := p.Needs(); len(needs) > 0 {
		return fmt.Sprintf(": write %s=...", needs[0])
	}
	return ""
}

// meant names the one that was probably meant, or says what else to do.
func (l *linter) meant(name string, known []string, otherwise string) string {
	if best := closest(name, known); best != "" {
		return fmt.Sprintf("did you mean %s?", best)
	}
	return otherwise
}

func quoted(s string) string {
	if s == "" {
		return `""`
	}
	return `"` + strings.Trim(shown(s), `"`) + `"`
}

// wrongURL is what looks like a FastAGI address and is none.
var wrongURL = regexp.MustCompile(`(?i)^\s*(?:f(?:ast)?-?agi:|agis:|https?:|agi:/?[^/a]|agi:\\|agi//|agi:///|//|[\w.-]+:[0-9]+/)`)

// syntaxOf checks how a line that asks ringhook is written.
func (l *linter) syntaxOf(st *step) {
	for _, c := range st.leaves() {
		switch {
		case c.is("AGI", "EAGI", "DeadAGI"):
			l.agiSyntax(st, c)
		case c.is("Gosub"):
			l.gosubSyntax(st, c)
		}
	}
	lower := strings.ToLower(st.app)
	if strings.HasPrefix(lower, "agi,") || strings.HasPrefix(lower, "agi|") {
		l.add(st.at, Error, "separator", "an application's arguments stand in parentheses: write AGI(agi://%s/POINT,name=value)", l.options.Listen)
	}
	if !l.asking(st) {
		return
	}
	if problem := balance(st.text); problem != "" {
		if strings.HasSuffix(problem, "missing") {
			problem += " (a ; begins a comment, unless it is written \\;)"
		}
		l.add(st.at, Error, "unbalanced", "%s: %s", problem, shown(st.text))
	}
}

// asking reports whether a step asks ringhook, also as a helper or by a name misspelt.
func (l *linter) asking(st *step) bool {
	if len(l.asksAt[st]) > 0 {
		return true
	}
	h := l.helpers[st.ext]
	return h != nil && h.step == st
}

func (l *linter) agiSyntax(st *step, c command) {
	data := l.plan.global(c.data)
	first := strings.TrimSpace(arguments(data)[0])
	u, _, ok := l.agi(c.data)
	if !ok {
		last := strings.TrimSpace(first[strings.LastIndexByte(first, '/')+1:])
		last, _, _ = strings.Cut(last, "?")
		if strings.HasPrefix(strings.ToLower(first), "agi:async") {
			return
		}
		if l.points[last] && (wrongURL.MatchString(first) || !common(dialplan.Point(last))) {
			l.add(st.at, Error, "url", "%s is no address of a FastAGI server, and Asterisk looks for a script of that name: write agi://%s/%s", quoted(first), l.options.Listen, last)
		}
		return
	}
	if !l.asking(st) {
		return
	}
	if c.is("EAGI") {
		l.add(st.at, Error, "eagi", "EAGI() fails with every agi:// address: write AGI()")
	}
	if c.is("DeadAGI") {
		l.add(st.at, Warning, "deadagi", "DeadAGI() is deprecated: write AGI(), which works after the hangup too")
	}
	if u.scheme == "hagi" {
		l.add(st.at, Note, "hagi", "hagi:// asks DNS before each call goes on: agi:// with an address does not, and a second line asks a second server")
	}
}

func (l *linter) gosubSyntax(st *step, c command) {
	t := gosubTarget(c)
	label, _, _ := strings.Cut(c.data, "(")
	name, _, _ := strings.Cut(label, ",")
	name, _, _ = strings.Cut(name, "|")
	name = strings.TrimSpace(name)
	if !l.helperContext(name) {
		return
	}
	const right = "write Gosub(%s,ask,1(POINT,name=value))"
	switch {
	case strings.Contains(label, "|"):
		l.add(st.at, Error, "separator", "| no longer separates arguments: "+right, shown(name))
	case t.parts > 3:
		l.add(st.at, Error, "gosub", "the arguments of Gosub() stand in parentheses behind the priority: "+right, shown(name))
	case t.parts < 3 && st.ctx.extens[name] == nil:
		l.add(st.at, Error, "gosub", "Gosub() misses a part of context,extension,priority: "+right, shown(name))
	}
}

// helperContext reports whether a context asks ringhook for others.
func (l *linter) helperContext(name string) bool {
	ctx := l.plan.contexts[name]
	if ctx == nil {
		return name == "ringhook"
	}
	return slices.ContainsFunc(ctx.order, func(ext *extension) bool { return l.helperOf(ext) != nil })
}

// addresses notes, once for each, addresses that are not the server's own,
// unless the line beside asks that.
func (l *linter) addresses() {
	noted := map[string]bool{}
	l.each(func(st *step) {
		if !l.asking(st) {
			// A helper's second AGI() is no ask of its own.
			return
		}
		for _, u := range l.urls(st) {
			address := u.host + ":" + u.port
			if u.dynamic || noted[address] || u.meets(l.options.Listen) || l.secondServer(st, u) {
				continue
			}
			noted[address] = true
			l.add(st.at, Note, "address", "this asks %s, and [fastagi] listen is %s: mend one of them, unless another server is meant", shown(address), l.options.Listen)
		}
	})
}

// urls are the FastAGI addresses of a step.
func (l *linter) urls(st *step) []agiURL {
	var all []agiURL
	for _, c := range st.leaves() {
		if c.is("AGI", "EAGI", "DeadAGI") {
			if u, _, ok := l.agi(c.data); ok {
				all = append(all, u)
			}
		}
	}
	return all
}

// secondServer reports whether another line of the extension asks the server's
// own address the same.
func (l *linter) secondServer(st *step, u agiURL) bool {
	return slices.ContainsFunc(st.ext.steps, func(other *step) bool {
		return slices.ContainsFunc(l.urls(other), func(o agiURL) bool { return o.path == u.path && o.meets(l.options.Listen) })
	})
}
