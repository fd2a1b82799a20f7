package extensions

import (
	"net"
	"net/url"
	"strconv"
	"strings"

	"github.com/agnivade/levenshtein"

	"ringhook/dialplan"
)

// ask is a step that asks ringhook.
type ask struct {
	step    *step
	point   dialplan.Point // as written; may be unknown
	query   string
	args    []string
	inQueue bool       // it is the AGI argument of Queue()
	via     *extension // the helper that asks, nil if there is none
	lost    int        // the number of arguments that the helper does not pass on
	passed  int        // the number of arguments that are passed to the helper
}

// agiURL is the first argument of AGI().
type agiURL struct {
	scheme      string // agi, hagi
	host, port  string // empty if a variable holds them
	path, query string
	dynamic     bool // part of the address is in a variable
}

// parseURL parses the address of a FastAGI server; ok is false for the name of a script.
func parseURL(text string) (u agiURL, ok bool) {
	scheme, rest, ok := strings.Cut(strings.TrimSpace(text), "://")
	u.scheme = strings.ToLower(scheme)
	if !ok {
		// A variable at the beginning may hold the scheme.
		if !strings.HasPrefix(scheme, "${") || strings.IndexByte(scheme, '/') < 0 {
			return u, false
		}
		u.scheme, rest = "agi", scheme
	} else if u.scheme != "agi" && u.scheme != "hagi" {
		return u, false
	}
	address, path := rest, ""
	if i := at(rest, "/"); i >= 0 {
		address, path = rest[:i], rest[i+1:]
	}
	path, u.query, _ = strings.Cut(path, "?")
	u.path = strings.Trim(path, "/")
	if u.dynamic = strings.Contains(address, "$"); u.dynamic {
		return u, true
	}
	var err error
	if u.host, u.port, err = net.SplitHostPort(address); err != nil {
		u.host, u.port = strings.Trim(address, "[]"), "4573"
	}
	return u, true
}

// meets reports whether the address may be the one that ringhook listens on. It does not query DNS:
// a host name always may be.
func (u agiURL) meets(listen string) bool {
	host, port, err := net.SplitHostPort(listen)
	if err != nil || u.dynamic || u.port != port {
		return u.dynamic
	}
	there, here := net.ParseIP(u.host), net.ParseIP(host)
	switch {
	case strings.EqualFold(u.host, "localhost"):
		there = net.IPv4(127, 0, 0, 1)
	case there == nil:
		return true // a name
	}
	return here == nil || here.IsUnspecified() || here.Equal(there) || here.IsLoopback() && there.IsLoopback() && here.To4() == nil
}

// common reports whether other FastAGI services may have a path with the name of the point.
func common(p dialplan.Point) bool { return p == dialplan.Lookup || p == dialplan.CustomEvent }

// ours reports whether an address is one of ringhook, and not of another FastAGI service.
func (l *linter) ours(u agiURL) bool {
	path, _, _ := strings.Cut(u.path, "|")
	p := dialplan.Point(path)
	switch {
	case !u.dynamic && l.foreign(u):
		return false
	case l.points[string(p)] && !common(p):
		return true
	case u.meets(l.options.Listen) && !u.dynamic:
		return true
	case u.dynamic && l.points[string(p)]:
		return true
	}
	near := closest(path, l.pointNames)
	return near != "" && !common(dialplan.Point(near))
}

// agi parses the data of AGI(), EAGI() or DeadAGI(). ok is false if the first argument is not the
// address of a FastAGI server.
func (l *linter) agi(data string) (u agiURL, args []string, ok bool) {
	args = arguments(l.plan.global(data))
	u, ok = parseURL(args[0])
	return u, args[1:], ok
}

// asksIn returns the asks of one step.
func (l *linter) asksIn(st *step) []*ask {
	var all []*ask
	for _, c := range st.leaves() {
		switch {
		case c.is("AGI", "EAGI", "DeadAGI"):
			u, args, ok := l.agi(c.data)
			if ok && !strings.Contains(u.path, "$") && l.ours(u) {
				all = append(all, &ask{step: st, point: dialplan.Point(u.path), query: u.query, args: args})
			}
		case c.is("Queue"):
			if args := arguments(l.plan.global(c.data)); len(args) > 5 {
				inner := arguments(args[5])
				if u, ok := parseURL(inner[0]); ok && !strings.Contains(u.path, "$") && l.ours(u) {
					all = append(all, &ask{step: st, point: dialplan.Point(u.path), query: u.query, args: inner[1:], inQueue: true})
				}
			}
		case c.is("Gosub", "Macro"):
			if a := l.asksVia(st, gosubTarget(c)); a != nil {
				all = append(all, a)
			}
		}
	}
	return all
}

// gosubTarget returns the target of a Gosub() or a Macro().
func gosubTarget(c command) target {
	if c.is("Macro") {
		args := arguments(c.data)
		return target{context: "macro-" + strings.TrimSpace(args[0]), exten: "s", priority: "1", args: args[1:], parts: 3}
	}
	return parseTarget(c.data, ",")
}

// helper is a subroutine that asks ringhook for its callers: its arguments name the point.
type helper struct {
	step *step // with AGI()
	data string
	args int // the highest n of the ${ARGn} that it uses
}

// name returns context,extension, the name of the helper in messages.
func (h *helper) name() string { return shown(h.step.ctx.name + "," + h.step.ext.name) }

// helperOf returns the helper that an extension is, nil if it is none. Only the first AGI() counts:
// the others ask a second server.
func (l *linter) helperOf(ext *extension) *helper {
	if h, known := l.helpers[ext]; known {
		return h
	}
	var h *helper
	highest := 0
	for _, st := range ext.steps {
		highest = max(highest, highestArgument(st.text))
		for _, c := range st.leaves() {
			if h != nil || !c.is("AGI", "DeadAGI", "EAGI") {
				continue
			}
			if u, _, ok := l.agi(c.data); ok && strings.Contains(u.path, "${ARG") {
				h = &helper{step: st, data: c.data}
			}
		}
	}
	if h != nil {
		h.args = highest
	}
	l.helpers[ext] = h
	return h
}

// highestArgument returns the highest n of the ${ARGn} in a text, 0 if there is none. If the text
// computes n, it returns 1000: all arguments are used.
func highestArgument(text string) int {
	highest := 0
	for {
		_, rest, ok := strings.Cut(text, "ARG")
		if !ok {
			return highest
		}
		digits := 0
		for digits < len(rest) && rest[digits] >= '0' && rest[digits] <= '9' {
			digits++
		}
		n, err := strconv.Atoi(rest[:digits])
		if err != nil {
			n = 1000
		}
		highest = max(highest, n)
		text = rest
	}
}

// asksVia returns the ask that a Gosub() to a helper leads to, nil if it leads to none. If the helper
// is missing, the arguments of the Gosub() show whether it was meant to ask ringhook.
func (l *linter) asksVia(st *step, t target) *ask {
	ext, _, _ := l.plan.resolve(t, st.ctx, st.ext)
	if ext == nil {
		args := make([]string, len(t.args))
		for i := range args {
			args[i] = unquote(t.args[i])
		}
		if len(args) == 0 || !l.points[args[0]] || common(dialplan.Point(args[0])) {
			return nil
		}
		return &ask{step: st, point: dialplan.Point(args[0]), args: args[1:]}
	}
	h := l.helperOf(ext)
	if h == nil || len(t.args) == 0 {
		return nil
	}
	data := substitute(h.data, func(name string) (string, bool) {
		rest, ok := strings.CutPrefix(name, "ARG")
		n, err := strconv.Atoi(rest)
		if !ok || err != nil || n < 1 {
			return "", false
		}
		if n > len(t.args) {
			return "", true
		}
		return t.args[n-1], true
	})
	u, args, ok := l.agi(data)
	if !ok || strings.Contains(u.path, "$") || !l.ours(u) {
		return nil
	}
	return &ask{step: st, point: dialplan.Point(u.path), query: u.query, args: args, via: ext, lost: max(0, len(t.args)-h.args), passed: len(t.args)}
}

// given returns the arguments of an ask by name, their names in order, the names that are given
// twice, and the arguments that are not name=value.
func (a *ask) given() (values map[string]string, order, twice, odd []string) {
	values = map[string]string{}
	add := func(name, value string) {
		if _, ok := values[name]; ok {
			twice = append(twice, name)
			return
		}
		values[name] = value
		order = append(order, name)
	}
	for _, pair := range strings.Split(a.query, "&") {
		name, value, _ := strings.Cut(pair, "=")
		if name == "" {
			continue
		}
		if plain, err := url.QueryUnescape(value); err == nil {
			value = plain
		}
		add(name, value)
	}
	for _, arg := range a.args {
		name, value, ok := strings.Cut(arg, "=")
		switch {
		case strings.TrimSpace(arg) == "":
		case !ok:
			odd = append(odd, arg)
		default:
			add(strings.TrimSpace(name), value)
		}
	}
	return values, order, twice, odd
}

// closest returns the known name that was probably meant, empty if none is close.
func closest(name string, known []string) string {
	best, least := "", 3
	for _, k := range known {
		if d := levenshtein.ComputeDistance(strings.ToLower(name), k); d < least && d < len(k)/2 {
			best, least = k, d
		}
	}
	return best
}
