package extensions

import "strings"

// sink is an application or a function in which a value that a caller or a CRM chose does harm.
// Such a value may contain quotes, commas and parentheses, and Asterisk replaces variables before
// it parses the line, so that the value can become part of a command or of a dial string.
type sink struct {
	name, harm, cure string
	shell            bool // a shell runs the value, even in QUOTE()
}

var (
	shell = sink{harm: "a shell runs commands in it", cure: "keep only letters and digits: ${FILTER(A-Za-z0-9,...)}; QUOTE() does not stop $( ) and backquotes", shell: true}
	mix   = sink{harm: "the text after a comma becomes options and a command, which a shell runs", cure: "keep only letters and digits: ${FILTER(A-Za-z0-9,...)}", shell: true}
	dial  = sink{harm: "an & or a comma in it adds a destination or an option", cure: "wrap it in ${FILTER(+0-9,...)}, or pass it to the other channel in a variable with the prefix __"}
	exec  = sink{harm: "a ) and a : in it add another application", cure: "wrap it in FILTER(), or use GotoIf() and a separate line"}
	again = sink{harm: "variables and functions in it are expanded", cure: "wrap it in FILTER()"}
	sql   = sink{harm: "it becomes part of an SQL query", cure: "wrap it in FILTER(), or in SQL_ESC() between single quotes"}
	web   = sink{harm: "an & in it adds a parameter", cure: "wrap it in ${URIENCODE(...)}"}
)

// appSink returns the sink of an application; ok is false if it is harmless.
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

// functionSink returns the sink of a function; ok is false if it is harmless.
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

// passes reports whether a function returns its argument without removing special characters.
func passes(function string) bool {
	switch strings.ToUpper(function) {
	case "TOUPPER", "TOLOWER", "CUT", "IF":
		return true
	}
	return false
}

// chosen reports whether a caller or a CRM chooses the value of an expression.
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

// use is a value that a caller or a CRM chose, and the sink that it is passed to.
type use struct {
	expression string
	into       sink
}

// uses returns the values that a caller or a CRM chose in a text that is passed to into, nil for
// no sink, and those that the text passes to functions that are sinks.
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
		// MixMonitor also replaces ^{X} by the value of X.
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

// within returns the sink that the arguments of a function are passed to, nil if there is none.
// The result of a function that is not a sink and not in passes counts as harmless.
func within(function string, into *sink) *sink {
	if s, ok := functionSink(function); ok {
		return &s
	}
	if passes(function) || strings.EqualFold(function, "QUOTE") && into != nil && into.shell {
		return into
	}
	return nil
}

// rawIn reports values that a caller or a CRM chose and a step passes to a sink.
func (l *linter) rawIn(st *step) {
	report := func(all []use) {
		for _, u := range all {
			l.add(st.at, Warning, "raw", "%s is chosen by a caller or a CRM and passed to %s unfiltered: %s; %s", shown(u.expression), u.into.name, u.into.harm, u.into.cure)
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

// rawValue returns the first value that a caller or a CRM chose in an argument for ringhook, empty
// if there is none.
func (l *linter) rawValue(value string) string {
	for _, u := range l.uses(value, &sink{name: "argument"}) {
		if u.into.name == "argument" {
			return u.expression
		}
	}
	return ""
}
