package extensions

import "strings"

// A value that a caller or a CRM chose must not become part of a command, of
// a dial string or of another application: it may hold quotes, commas and
// parentheses, and Asterisk puts it in before it takes the line apart.

// sink is where such a value does harm.
type sink struct {
	name, harm, cure string
	shell            bool // QUOTE() is no help
}

var (
	shell = sink{harm: "a shell runs what stands in it", cure: "keep letters and digits alone: ${FILTER(A-Za-z0-9,...)}; QUOTE() does not stop $( ) and backquotes", shell: true}
	mix   = sink{harm: "what follows a comma in it becomes options and a command, which a shell runs", cure: "keep letters and digits alone: ${FILTER(A-Za-z0-9,...)}", shell: true}
	dial  = sink{harm: "an & or a comma in it makes another destination or option", cure: "wrap it in ${FILTER(+0-9,...)}, or pass it on in a variable with __ before its name"}
	exec  = sink{harm: "a ) and a : in it make another application", cure: "wrap it in FILTER(), or use GotoIf() and a line of its own"}
	again = sink{harm: "what stands in it is expanded once more", cure: "wrap it in FILTER()"}
	sql   = sink{harm: "it is part of a query", cure: "wrap it in FILTER(), or in SQL_ESC() between single quotes"}
	web   = sink{harm: "an & in it makes another parameter", cure: "wrap it in ${URIENCODE(...)}"}
)

func appSink(app string) (s sink, ok bool) {
	switch strings.ToLower(app) {
	case "system", "trysystem":
		s = shell
	case "mixmonitor":
		s = mix
	case "dial":
		s = dial
	default:
		return s, false
	}
	s.name = app + "()"
	return s, true
}

func functionSink(function string) (s sink, ok bool) {
	switch upper := strings.ToUpper(function); {
	case upper == "SHELL":
		s = shell
	case upper == "EVAL":
		s = again
	case upper == "CURL":
		s = web
	case strings.HasPrefix(upper, "ODBC_"):
		s = sql
	default:
		return s, false
	}
	s.name = function + "()"
	return s, true
}

// passes reports of a function that its argument comes out of it as it was.
func passes(function string) bool {
	switch strings.ToUpper(function) {
	case "TOUPPER", "TOLOWER", "CUT", "IF":
		return true
	}
	return false
}

// chosen reports whether a caller or a CRM chooses what an expression stands for:
// the caller, or a CRM.
func (l *linter) chosen(expression string) bool {
	name, args, function := strings.Cut(expression, "(")
	name = strings.ToUpper(strings.TrimSpace(name))
	if !function {
		name, _, _ = strings.Cut(strings.TrimSpace(expression), ":") // ${NAME:1}
		return name == "call_info" || name == "agent_info" || name == "CALLERIDNAME" || name == "CALLERIDNUM" || l.options.ExtraVariables[name]
	}
	args = strings.ToLower(strings.TrimSpace(args))
	switch name {
	case "CALLERID":
		return strings.HasPrefix(args, "name") && !strings.HasPrefix(args, "name-pres") && !strings.HasPrefix(args, "name-valid") ||
			strings.HasPrefix(args, "num") && !strings.HasPrefix(args, "num-p") && !strings.HasPrefix(args, "num-valid") || strings.HasPrefix(args, "all")
	case "SIP_HEADER", "PJSIP_HEADERS":
		return true
	case "PJSIP_HEADER":
		return strings.HasPrefix(args, "read")
	}
	return false
}

// use is one value from outside, and what it is put into.
type use struct {
	expression string
	into       sink
}

// uses finds the values from outside in a text that goes into a sink, or into
// none where into is nil, and those in functions that are sinks themselves.
func (l *linter) uses(text string, into *sink) []use {
	var all []use
	l.walk(text, into, 0, &all)
	return all
}

func (l *linter) walk(text string, into *sink, depth int, all *[]use) {
	if depth > 32 {
		return
	}
	for {
		i := strings.IndexByte(text, '{')
		if i < 0 {
			return
		}
		// ^{X} is MixMonitor's own way to write ${X}.
		begins := i > 0 && (text[i-1] == '$' || text[i-1] == '^' && into != nil && strings.EqualFold(into.name, "MixMonitor()"))
		text = text[i+1:]
		if !begins {
			continue
		}
		end := closing(text)
		if end < 0 {
			return
		}
		inner := text[:end]
		text = text[end+1:]
		if l.chosen(inner) {
			if into != nil {
				*all = append(*all, use{"${" + inner + "}", *into})
			}
			continue
		}
		function, args, ok := strings.Cut(inner, "(")
		if !ok {
			l.walk(inner, into, depth+1, all)
			continue
		}
		l.walk(args, within(strings.TrimSpace(function), into), depth+1, all)
	}
}

// within is what a function's arguments go into. What a function makes of
// them that is neither a sink nor hands them through is taken for harmless.
func within(function string, into *sink) *sink {
	if s, ok := functionSink(function); ok {
		return &s
	}
	if passes(function) || strings.EqualFold(function, "QUOTE") && into != nil && into.shell {
		return into
	}
	return nil
}

// rawIn reports values from outside that a step puts where they do harm.
func (l *linter) rawIn(st *step) {
	report := func(all []use) {
		for _, u := range all {
			l.add(st.at, Warning, "raw", "%s comes from outside and goes into %s as it is: %s; %s", shown(u.expression), u.into.name, u.into.harm, u.into.cure)
		}
	}
	report(l.uses(st.data, nil))
	if st.is("ExecIf") {
		s := exec
		s.name = "ExecIf()"
		for _, branch := range st.branches() {
			report(l.uses(branch, &s))
		}
		return
	}
	for _, c := range st.leaves() {
		if s, ok := appSink(c.app); ok {
			report(l.uses(c.data, &s))
		}
	}
}

// rawValue is the first value from outside in an argument for ringhook.
func (l *linter) rawValue(value string) string {
	for _, u := range l.uses(value, &sink{name: "argument"}) {
		if u.into.name == "argument" {
			return u.expression
		}
	}
	return ""
}
