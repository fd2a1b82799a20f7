package extensions

import "strings"

// command is an application with its data, as they stand in the dialplan.
type command struct {
	app, data string
}

// parseCommand takes app(data) apart. Asterisk ends the data at the last
// parenthesis of the line.
func parseCommand(text string) (c command, closed bool) {
	app, data, ok := strings.Cut(text, "(")
	app = strings.TrimSpace(app)
	if !ok {
		return command{app: app}, true
	}
	end := strings.LastIndexByte(data, ')')
	if end < 0 {
		return command{app, data}, false
	}
	return command{app, data[:end]}, true
}

// is reports whether the command is one of these applications, whose case does not count.
func (c command) is(apps ...string) bool {
	for _, app := range apps {
		if strings.EqualFold(c.app, app) {
			return true
		}
	}
	return false
}

// at finds the first of the characters that stands in no parentheses,
// brackets, braces or quotes, by the rules by which Asterisk splits arguments.
func at(s, chars string) int {
	depth, quoted := 0, false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case depth == 0 && !quoted && strings.IndexByte(chars, c) >= 0:
			return i
		case c == '(' || c == '[' || c == '{':
			depth++
		case (c == ')' || c == ']' || c == '}') && depth > 0:
			depth--
		}
	}
	return -1
}

// split cuts at every such character.
func split(s string, sep string) []string {
	var parts []string
	for {
		i := at(s, sep)
		if i < 0 {
			return append(parts, s)
		}
		parts = append(parts, s[:i])
		s = s[i+1:]
	}
}

// arguments are an application's, without the quotes, which Asterisk drops.
func arguments(data string) []string {
	parts := split(data, ",")
	for i := range parts {
		parts[i] = unquote(parts[i])
	}
	return parts
}

func unquote(s string) string {
	if !strings.ContainsAny(s, `"\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '"':
		case s[i] == '\\' && i+1 < len(s):
			i++
			b.WriteByte(s[i])
		default:
			b.WriteByte(s[i])
		}
	}
	return b.String()
}

// maxNested bounds how deep applications stand in applications.
const maxNested = 8

// leaves returns the applications that a command comes down to: ExecIf's two, what
// Exec runs, and Goto and Gosub for GotoIf and GosubIf. The command itself is
// the first where it is none of these.
func (c command) leaves() []command { return c.unfold(0) }

func (c command) unfold(depth int) []command {
	if depth > maxNested {
		return nil
	}
	var all []command
	switch {
	case c.is("ExecIf"):
		for _, branch := range c.branches() {
			inner, _ := parseCommand(branch)
			all = append(all, inner.unfold(depth+1)...)
		}
	case c.is("Exec", "TryExec"):
		inner, _ := parseCommand(c.data)
		all = inner.unfold(depth + 1)
	case c.is("GosubIf", "GotoIf", "GotoIfTime", "MacroIf"):
		app := strings.TrimSuffix(strings.ToLower(c.app), "time")
		app = strings.TrimSuffix(app, "if")
		for _, branch := range c.branches() {
			if strings.TrimSpace(branch) != "" {
				all = append(all, command{app, branch})
			}
		}
	default:
		all = []command{c}
	}
	return all
}

// branches are the one or two after a condition?yes:no.
func (c command) branches() []string {
	i := at(c.data, "?")
	if i < 0 {
		return nil
	}
	return split(c.data[i+1:], ":")
}

// target is a place in the dialplan that something goes to; what is empty is
// the place's own.
type target struct {
	context, exten, priority string
	args                     []string // with their quotes, which protect a comma until AGI() has them
	parts                    int      // of the label
}

// parseTarget reads [[context,]exten,]priority[(args)], with another separator
// where it is the option of an application.
func parseTarget(text, sep string) target {
	var t target
	label := text
	if i := at(text, "("); i >= 0 { // not one of an expression
		label = text[:i]
		args := text[i+1:]
		if end := strings.LastIndexByte(args, ')'); end >= 0 {
			args = args[:end]
		}
		t.args = split(args, sep)
	}
	parts := split(label, sep)
	for i := range parts {
		parts[i] = strings.TrimSpace(parts[i])
	}
	t.parts = len(parts)
	switch len(parts) {
	case 1:
		t.priority = parts[0]
	case 2:
		t.exten, t.priority = parts[0], parts[1]
	default:
		t.context, t.exten, t.priority = parts[0], parts[1], parts[2]
	}
	return t
}

// parseSubroutine reads the option U(), b() or B(): context^args, or the whole
// label with its arguments in parentheses.
func parseSubroutine(text string) target {
	if at(text, "(") >= 0 {
		return parseTarget(text, "^")
	}
	parts := strings.Split(text, "^")
	return target{context: strings.TrimSpace(parts[0]), exten: "s", priority: "1", args: parts[1:], parts: 3}
}

// option finds the value of a letter such as U in Dial's options.
func option(options string, letter byte) (value string, ok bool) {
	for i := 0; i < len(options); i++ {
		c := options[i]
		if c == '$' { // ${OPTIONS}
			if end := strings.IndexByte(options[i:], '}'); end > 0 {
				i += end
			}
			continue
		}
		value := ""
		if i+1 < len(options) && options[i+1] == '(' {
			depth, start := 0, i+2
			for i++; i < len(options); i++ {
				if options[i] == '(' {
					depth++
				} else if options[i] == ')' {
					if depth--; depth == 0 {
						break
					}
				}
			}
			value = options[min(start, len(options)):min(i, len(options))]
		}
		if c == letter {
			return value, true
		}
	}
	return "", false
}

// closing finds the brace that closes the one before s.
func closing(s string) int {
	depth := 1
	for i := range len(s) {
		switch s[i] {
		case '{':
			depth++
		case '}':
			if depth--; depth == 0 {
				return i
			}
		}
	}
	return -1
}

// substitute puts known variables in: ${NAME} and no function or part of one.
func substitute(s string, value func(name string) (string, bool)) string {
	if !strings.Contains(s, "${") {
		return s
	}
	var b strings.Builder
	for {
		before, rest, ok := strings.Cut(s, "${")
		b.WriteString(before)
		if !ok {
			return b.String()
		}
		end := closing(rest)
		if end < 0 {
			b.WriteString("${" + rest)
			return b.String()
		}
		if v, known := value(rest[:end]); known {
			b.WriteString(v)
		} else {
			b.WriteString("${" + rest[:end+1])
		}
		s = rest[end+1:]
	}
}

// balance says what of parentheses, braces and quotes does not match.
func balance(text string) string {
	var open []byte
	quoted := false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; c {
		case '\\':
			i++
		case '"':
			quoted = !quoted
		case '(', '{':
			open = append(open, c)
		case ')', '}':
			want := byte('(')
			if c == '}' {
				want = '{'
			}
			if len(open) == 0 || open[len(open)-1] != want {
				return "a " + string(c) + " is too many"
			}
			open = open[:len(open)-1]
		}
	}
	switch {
	case len(open) > 0 && open[len(open)-1] == '(':
		return "a ) is missing"
	case len(open) > 0:
		return "a } is missing"
	case quoted:
		return `a " is missing`
	}
	return ""
}
