package extensions

import (
	"slices"
	"strings"
)

// allOptions returns the values of all occurrences of an option of Dial().
func allOptions(options string, letter byte) (values []string) {
	for {
		value, rest, ok := nextOption(options, letter)
		if !ok {
			return values
		}
		values = append(values, value)
		options = rest
	}
}

// replacedOptions reports a subroutine in Dial's U() that does not run, because another U() follows: if an option
// occurs twice, Asterisk takes the last.
func (l *linter) replacedOptions() {
	l.each(func(st *step) {
		for _, c := range st.leaves() {
			switch {
			case c.is("Dial"):
				if args := arguments(l.plan.global(c.data)); len(args) > 2 {
					all := allOptions(args[2], 'U')
					for _, value := range all[:max(0, len(all)-1)] {
						l.replaced(st, value, all[len(all)-1])
					}
				}
			case c.is("Set"):
				l.setOptions(st, c.data)
			}
		}
	})
}

// replaced reports a subroutine that asks ringhook and is replaced by another one.
func (l *linter) replaced(st *step, value, by string) {
	if !l.asksFor(st, value) {
		return
	}
	l.add(st.at, Error, "replaced", "another U() follows this one in Dial's options, and Asterisk runs only the last: U(%s) does not run; ask ringhook in the subroutine of the last one, %s",
		shown(value), shown(by))
}

// asksFor reports whether the subroutine of an option asks ringhook.
func (l *linter) asksFor(st *step, value string) bool {
	to, _, _ := l.plan.resolve(parseSubroutine(value), st.ctx, st.ext)
	return to != nil && len(l.reachOf(to).points) > 0
}

// strippedVariables are those of FreePBX with options of Dial(), from which it removes every T.
var strippedVariables = []string{"D_OPTIONS", "DIAL_TRUNK_OPTIONS"}

// setOptions checks a line that adds an option to a variable which a Dial() uses.
func (l *linter) setOptions(st *step, data string) {
	name, value, ok := strings.Cut(data, "=")
	name = strings.TrimLeft(strings.TrimSpace(name), "_")
	if !ok {
		return
	}
	for _, u := range allOptions(value, 'U') {
		if !l.asksFor(st, u) {
			continue
		}
		if context, _, _ := strings.Cut(u, "^"); slices.Contains(strippedVariables, name) && strings.Contains(context, "T") {
			l.add(st.at, Error, "capital", "FreePBX removes every capital T from %s, also from the name %s: give the context a name without T", name, quoted(context))
		}
		if by := l.laterOption(name); by != "" {
			l.replaced(st, u, by)
		}
	}
}

// laterOption returns the U() that a Dial() has after a variable in its options, empty if there is none.
func (l *linter) laterOption(name string) (by string) {
	l.each(func(st *step) {
		for _, c := range st.leaves() {
			if !c.is("Dial") {
				continue
			}
			for _, arg := range arguments(c.data) {
				_, after, ok := strings.Cut(arg, "${"+name+"}")
				if all := allOptions(after, 'U'); ok && len(all) > 0 {
					by = all[len(all)-1]
				}
			}
		}
	})
	return by
}

// inherited reports a helper that is asked in a macro with fewer arguments than it takes: Gosub() leaves the
// others as they are, and they are those of the macro.
func (l *linter) inherited() {
	for _, a := range l.asks {
		h := l.helpers[a.via]
		if a.via == nil || h == nil || a.passed >= h.args || h.args >= 1000 || !strings.HasPrefix(a.step.ctx.name, "macro-") || !l.runsAsMacro(a.step.ext) {
			continue
		}
		l.add(a.step.at, Error, "inherited", "in a macro the helper %s gets the macro's own arguments in place of those that are not passed: it takes %d, pass all of them, such as 1(%s%s)",
			h.name(), h.args, a.point, strings.Repeat(",", h.args-1))
	}
}

// runsAsMacro reports whether an extension is reached by Macro() or M(), or by nothing that is known.
func (l *linter) runsAsMacro(ext *extension) bool {
	reached := false
	for _, k := range l.links {
		if k.to != ext {
			continue
		}
		if k.macro {
			return true
		}
		reached = true
	}
	return !reached
}
