package extensions

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"ringhook/dialplan"
)

// arguments checks the point and the arguments of one ask by the rules of the server.
func (l *linter) arguments(a *ask) {
	at := a.step.at
	if point, args, old := strings.Cut(string(a.point), "|"); old {
		l.add(at, Error, "separator", "| no longer separates arguments: write /%s,%s", shown(point), shown(strings.ReplaceAll(args, "|", ",")))
		return
	}
	if a.point == "" {
		l.add(at, Error, "point", "the address has no point: write agi://%s/POINT, for example /queue-dial", l.options.Listen)
		return
	}
	if !l.points[string(a.point)] {
		l.add(at, Error, "point", "%s is not a ringhook point: %s", quoted(string(a.point)), l.meant(string(a.point), l.pointNames, "the points are "+strings.Join(l.pointNames, ", ")))
		return
	}
	values, order, twice, odd := a.given()
	doubt := false
	for _, name := range twice {
		l.add(at, Error, "twice", "the argument %s is given twice, and ringhook rejects the request: remove one", shown(name))
	}
	for _, arg := range odd {
		if strings.Contains(arg, "$") {
			doubt = true // a variable may hold name=value
			continue
		}
		l.add(at, Error, "argument", "the argument %s is not name=value, and ringhook rejects the request%s", quoted(arg), l.hint(a.point))
	}
	for _, name := range order {
		value := values[name]
		if strings.Contains(name, "$") {
			doubt = true
			continue
		}
		if dialplan.Reserved(name) {
			l.add(at, Error, "argument", "the argument %s has the name of a parameter that only ringhook sets, and ringhook rejects the request: choose another name", quoted(name))
			continue
		}
		if !a.point.Takes(name) && !l.further(name) {
			if i := slices.IndexFunc(a.point.Needs(), func(need string) bool { return values[need] == "" && strings.Contains(need, name) }); i >= 0 {
				l.add(at, Error, "argument", "the argument %s is unknown, and ringhook rejects the request: did you mean %s?", quoted(name), a.point.Needs()[i])
				doubt = true
				continue
			}
			l.add(at, Error, "argument", "the argument %s is unknown, and ringhook rejects the request: %s", quoted(name), l.meant(name, l.argNames,
				"remove it, allow it in [dialplan] variables, or send it with /event, which accepts any argument"))
			continue
		}
		if value != strings.Trim(value, " ") {
			l.add(at, Note, "blanks", "ringhook removes the blanks around the value of %s: write %s=%s", shown(name), shown(name), shown(strings.Trim(value, " ")))
		}
		if i := strings.IndexByte(value, '|'); i >= 0 {
			if next, _, ok := strings.Cut(value[i+1:], "="); ok && slices.Contains(l.argNames, next) {
				l.add(at, Error, "separator", "| no longer separates arguments: write a comma before %s=", next)
			}
		}
		if raw := l.rawValue(value); raw != "" && !ownNumber(a.point, raw) {
			l.add(at, Warning, "outside", "%s in the argument %s is chosen by a caller or a CRM, and a comma in it starts another argument: remove the argument if "+
				"ringhook reads the value itself (the caller's number and name), otherwise wrap the value in FILTER()", shown(raw), name)
		}
	}
	if a.lost > 0 {
		l.add(at, Error, "lost", "the helper %s does not pass on its last arguments (%d): add ${ARGn} to its AGI line", l.helpers[a.via].name(), a.lost)
		doubt = true
	}
	for _, name := range a.point.Needs() {
		if values[name] == "" && !doubt {
			l.add(at, Error, "missing", "the point %s requires the argument %s: add %s=...", a.point, name, name)
		}
	}
	if name := values["name"]; a.point == dialplan.CustomEvent && name != "" && !strings.Contains(name, "$") && !dialplan.ValidEvent(name) {
		l.add(at, Error, "event", "%s cannot be the name of an event: use letters, digits, - and _ (at most 64), and not the name of a ringhook event", quoted(name))
	}
}

func (l *linter) further(name string) bool {
	_, ok := l.options.ExtraVariables[name]
	return ok
}

// ownNumber reports whether a value is an agent's own number, which the PBX sets, not a caller.
func ownNumber(p dialplan.Point, raw string) bool {
	switch p {
	case dialplan.AgentCustom, dialplan.AgentDialoutAnswer, dialplan.AgentDialoutHangup:
		return strings.HasPrefix(strings.ToLower(raw), "${callerid(num")
	}
	return false
}

// hint returns the name of the first required argument, for a line that has only its value.
func (l *linter) hint(p dialplan.Point) string {
	if needs := p.Needs(); len(needs) > 0 {
		return fmt.Sprintf(": write %s=...", needs[0])
	}
	return ""
}

// meant returns the known name that was probably meant, or the other remedy if no name is close.
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

// wrongURL matches a misspelt FastAGI address.
var wrongURL = regexp.MustCompile(`(?i)^\s*(?:f(?:ast)?-?agi:|agis:|https?:|agi:/?[^/a]|agi:\\|agi//|agi:///|//|[\w.-]+:[0-9]+/)`)

// syntaxOf checks the syntax of a line that asks ringhook.
func (l *linter) syntaxOf(st *step) {
	for _, c := range st.leaves() {
		switch {
		case c.is("AGI", "EAGI", "DeadAGI"):
			l.agiSyntax(st, c)
		case c.is("Gosub"):
			l.gosubSyntax(st, c)
		case c.is("FastAGI"):
			l.add(st.at, Error, "url", "there is no application FastAGI(), and the call ends: write AGI(agi://%s/POINT)", l.options.Listen)
		}
	}
	lower := strings.ToLower(st.app)
	if strings.HasPrefix(lower, "agi,") || strings.HasPrefix(lower, "agi|") {
		l.add(st.at, Error, "separator", "an application takes its arguments in parentheses: write AGI(agi://%s/POINT,name=value)", l.options.Listen)
	}
	if !l.asking(st) {
		return
	}
	if problem := balance(st.text); problem != "" {
		if strings.HasPrefix(problem, "missing") {
			problem += " (a ; starts a comment unless it is written \\;)"
		}
		l.add(st.at, Error, "unbalanced", "%s: %s", problem, shown(st.text))
	}
}

// asking reports whether a step asks ringhook, also for its callers or with a misspelt point.
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
			l.add(st.at, Error, "url", "%s is not the address of a FastAGI server, and Asterisk looks for a script with that name: write agi://%s/%s", quoted(first), l.options.Listen, last)
		}
		return
	}
	if !l.asking(st) {
		return
	}
	if c.is("EAGI") {
		l.add(st.at, Error, "eagi", "EAGI() does not work with agi:// addresses: write AGI()")
	}
	if c.is("DeadAGI") {
		l.add(st.at, Warning, "deadagi", "DeadAGI() is deprecated: write AGI(), which also works after the hangup")
	}
	if u.scheme == "hagi" {
		l.add(st.at, Note, "hagi", "hagi:// queries DNS while the call waits: write agi:// with an IP address, and a second AGI line for a second server")
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
		l.add(st.at, Error, "gosub", "Gosub() takes its arguments in parentheses after the priority: "+right, shown(name))
	case t.parts < 3 && st.ctx.extens[name] == nil:
		l.add(st.at, Error, "gosub", "Gosub() needs context,extension,priority: "+right, shown(name))
	}
}

// helperContext reports whether a context has an extension that asks ringhook for its callers.
func (l *linter) helperContext(name string) bool {
	ctx := l.plan.contexts[name]
	if ctx == nil {
		return name == "ringhook"
	}
	return slices.ContainsFunc(ctx.order, func(ext *extension) bool { return l.helperOf(ext) != nil })
}

// addresses notes each address that is not the server's own, once, unless another line of the
// extension asks the server with the same point.
func (l *linter) addresses() {
	noted := map[string]bool{}
	l.each(func(st *step) {
		if !l.asking(st) {
			// The second AGI() of a helper goes to a second server.
			return
		}
		for _, u := range l.urls(st) {
			address := u.host + ":" + u.port
			if u.dynamic || noted[address] || u.meets(l.options.Listen) || l.secondServer(st, u) {
				continue
			}
			noted[address] = true
			l.add(st.at, Note, "address", "this line asks %s, but [fastagi] listen is %s: correct one of them, unless another server is intended", shown(address), l.options.Listen)
		}
	})
}

// urls returns the FastAGI addresses of a step.
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

// secondServer reports whether another line of the extension asks the server's own address with
// the same point.
func (l *linter) secondServer(st *step, u agiURL) bool {
	return slices.ContainsFunc(st.ext.steps, func(other *step) bool {
		return slices.ContainsFunc(l.urls(other), func(o agiURL) bool { return o.path == u.path && o.meets(l.options.Listen) })
	})
}
