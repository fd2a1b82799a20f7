package extensions

import "strings"

// command is an application with its data, as written in the dialplan.
type command struct {
	app, data string
}

// parseCommand parses app(data). closed is false without a closing parenthesis. As in Asterisk, the
// data ends at the last closing parenthesis.
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

// is reports whether the command is one of the applications, without regard to case.
func (c command) is(apps ...string) bool {
	for _, app := range apps {
		if strings.EqualFold(c.app, app) {
			return true
		}
	}
	return false
}

// at returns the index of the first of the characters that is outside parentheses, brackets, braces
// and quotes, or -1. These are the rules by which Asterisk splits arguments.
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

// split splits s at every character that at finds.
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

// arguments returns the arguments of an application, without quotes and backslashes, which Asterisk
// removes.
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

// maxNested is the maximum depth of applications in applications.
const maxNested = 8

// leaves returns the applications that a command runs: those of ExecIf and Exec, and Goto and Gosub
// for GotoIf and GosubIf. For any other command it returns the command itself.
func (c command) leaves() []command { return c.unfold(0) }

// unfold does the work of leaves, down to maxNested.
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

// branches returns the one or two branches of condition?yes:no, nil without a condition.
func (c command) branches() []string {
	i := at(c.data, "?")
	if i < 0 {
		return nil
	}
	return split(c.data[i+1:], ":")
}

// target is the label that a step leads to. An empty context or extension is that of the step.
type target struct {
	context, exten, priority string
	args                     []string // with their quotes, which protect commas until AGI() parses them
	parts                    int      // the number of parts of the label
}

// parseTarget parses [[context,]exten,]priority[(args)]. The separator is a comma, or ^ in an option
// of an application.
func parseTarget(text, sep string) target {
	var t target
	label := text
	if i := at(text, "("); i >= 0 { // at skips those of ${...} and $[...]
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

// parseSubroutine parses the value of the option U(), b() or B(): context^args, or a whole label with
// its arguments in parentheses.
func parseSubroutine(text string) target {
	if at(text, "(") >= 0 {
		return parseTarget(text, "^")
	}
	parts := strings.Split(text, "^")
	return target{context: strings.TrimSpace(parts[0]), exten: "s", priority: "1", args: parts[1:], parts: 3}
}

// option returns the value of an option of Dial() such as U; ok reports whether it is set. If it is set
// twice, the last one counts.
func option(options string, letter byte) (value string, ok bool) {
	all := allOptions(options, letter)
	if len(all) == 0 {
		return "", false
	}
	return all[len(all)-1], true
}

// nextOption returns the value of the first occurrence of an option, and the options after it.
func nextOption(options string, letter byte) (value, rest string, ok bool) {
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
			return value, options[min(i+1, len(options)):], true
		}
	}
	return "", "", false
}

// closing returns the index of the brace that closes the one before s, or -1.
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

// substitute replaces each ${NAME} for which value knows a value. It does not replace functions and
// substrings.
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

// balance returns the first unmatched parenthesis, brace or quote in words, empty if all match.
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
				return "unmatched " + string(c)
			}
			open = open[:len(open)-1]
		}
	}
	switch {
	case len(open) > 0 && open[len(open)-1] == '(':
		return "missing )"
	case len(open) > 0:
		return "missing }"
	case quoted:
		return `missing "`
	}
	return ""
}
