package extensions

import (
	"slices"
	"strconv"
	"strings"
)

// step is one priority of an extension.
type step struct {
	at       place
	ctx      *context
	ext      *extension
	priority int
	text     string // app(data) as written
	command
	closed bool
}

// extension holds all priorities of one name in one context.
type extension struct {
	name  string
	steps []*step // by priority
}

// context is a dialplan context.
type context struct {
	name     string
	extens   map[string]*extension
	order    []*extension
	includes []string
	open     bool // has a switch, which may add extensions
}

// plan is a parsed dialplan.
type plan struct {
	contexts map[string]*context
	order    []*context
	globals  map[string]string
	whole    bool // everything that is included has been read
	// generated has the files that a program writes.
	generated map[string]bool
}

func newPlan(r *reader) *plan {
	p := &plan{contexts: map[string]*context{}, globals: map[string]string{}, whole: r.whole, generated: r.generated}
	for _, s := range r.order {
		switch {
		case s.template || strings.EqualFold(s.name, "general"):
		case strings.EqualFold(s.name, "globals"):
			for _, line := range s.settings {
				p.globals[strings.ToUpper(line.key)] = line.value
			}
		default:
			p.add(s)
		}
	}
	return p
}

// add adds the context of a section.
func (p *plan) add(s *section) {
	ctx := &context{name: s.name, extens: map[string]*extension{}}
	p.contexts[s.name] = ctx
	p.order = append(p.order, ctx)
	var name string
	var priority int
	for _, line := range s.settings {
		value := line.value
		switch line.key {
		case "include":
			included, _, _ := strings.Cut(value, ",") // the rest are its times
			ctx.includes = append(ctx.includes, strings.TrimSpace(included))
			continue
		case "switch", "lswitch", "eswitch":
			ctx.open = true
			continue
		case "exten":
			exten, rest, _ := strings.Cut(value, ",")
			exten, _, _ = strings.Cut(exten, "/") // the rest is the caller's number
			name, value = strings.TrimSpace(exten), rest
		case "same":
		default:
			continue
		}
		at, text, _ := strings.Cut(value, ",")
		at = strings.TrimSpace(at)
		if strings.EqualFold(at, "hint") || name == "" {
			continue
		}
		priority = nextPriority(at, priority)
		ext := ctx.extens[name]
		if ext == nil {
			ext = &extension{name: name}
			ctx.extens[name] = ext
			ctx.order = append(ctx.order, ext)
		}
		st := &step{at: line.at, ctx: ctx, ext: ext, priority: priority, text: strings.TrimSpace(text)}
		st.command, st.closed = parseCommand(st.text)
		ext.steps = append(ext.steps, st)
	}
	for _, ext := range ctx.order {
		slices.SortStableFunc(ext.steps, func(a, b *step) int { return a.priority - b.priority })
	}
}

// nextPriority returns the priority that a text stands for after the priority last: a number, n, n+2
// or s, each possibly with a (label).
func nextPriority(text string, last int) int {
	text, _, _ = strings.Cut(text, "(")
	text, plus, _ := strings.Cut(text, "+")
	more, _ := strconv.Atoi(strings.TrimSpace(plus))
	switch text = strings.ToLower(strings.TrimSpace(text)); text {
	case "s", "same":
		return last + more
	case "n", "next":
		return last + 1 + more
	}
	if n, err := strconv.Atoi(text); err == nil {
		return n + more
	}
	return last + 1
}

// find returns the extension of a context that matches exten, also from included contexts, and the
// context that has it. known is false if the extension may exist where the plan cannot see it.
func (p *plan) find(name, exten string) (ext *extension, ctx *context, known bool) {
	return p.search(name, exten, map[string]bool{})
}

// search does the work of find, and skips the contexts already seen.
func (p *plan) search(name, exten string, seen map[string]bool) (*extension, *context, bool) {
	ctx := p.contexts[name]
	if ctx == nil || strings.Contains(exten, "$") {
		return nil, nil, false
	}
	seen[name] = true
	if ext := ctx.extens[exten]; ext != nil {
		return ext, ctx, true
	}
	for _, ext := range ctx.order {
		if matches(ext.name, exten) {
			return ext, ctx, true
		}
	}
	known := !ctx.open
	for _, included := range ctx.includes {
		if seen[included] {
			continue
		}
		ext, in, ok := p.search(included, exten, seen)
		if ext != nil {
			return ext, in, true
		}
		known = known && ok
	}
	return nil, nil, known
}

// matches reports whether an extension matches a pattern such as _5XX.
func matches(pattern, exten string) bool {
	rest, ok := strings.CutPrefix(pattern, "_")
	// A single letter is a special extension of Asterisk, such as h, which patterns are not meant for.
	if !ok || len(exten) == 1 && (exten[0] < '0' || exten[0] > '9') {
		return false
	}
	rest = strings.NewReplacer("-", "", " ", "").Replace(strings.ToUpper(outsideSets(rest)))
	exten = strings.ToUpper(exten)
	for i := 0; i < len(rest); i++ {
		switch rest[i] {
		case '.':
			return exten != ""
		case '!':
			return true
		}
		if exten == "" {
			return false
		}
		c := exten[0]
		exten = exten[1:]
		fits := c == rest[i]
		switch rest[i] {
		case 'X':
			fits = c >= '0' && c <= '9'
		case 'Z':
			fits = c >= '1' && c <= '9'
		case 'N':
			fits = c >= '2' && c <= '9'
		case '\x00': // a set such as [135-7], which any character matches here
			fits = true
		}
		if !fits {
			return false
		}
	}
	return exten == ""
}

// outsideSets replaces each [set] by a NUL.
func outsideSets(pattern string) string {
	for {
		before, rest, ok := strings.Cut(pattern, "[")
		if !ok {
			return pattern
		}
		_, after, _ := strings.Cut(rest, "]")
		pattern = before + "\x00" + after
	}
}

// resolve returns what find returns for a target in the context ctx and the extension ext.
func (p *plan) resolve(t target, ctx *context, ext *extension) (*extension, *context, bool) {
	name, exten := p.global(t.context), p.global(t.exten)
	if name == "" {
		name = ctx.name
	}
	switch exten {
	case "":
		exten = ext.name
	case "${EXTEN}":
		exten = ext.name
	}
	if strings.Contains(name, "$") {
		return nil, nil, false
	}
	return p.find(name, exten)
}

// global replaces the global variables that the file itself sets.
func (p *plan) global(s string) string {
	for range 4 { // a global may contain others
		next := substitute(s, func(name string) (string, bool) {
			if inner, ok := strings.CutPrefix(name, "GLOBAL("); ok {
				name = strings.TrimSuffix(inner, ")")
			}
			v, known := p.globals[strings.ToUpper(name)]
			return v, known
		})
		if next == s || len(next) > 8192 {
			return s
		}
		s = next
	}
	return s
}
