package conf

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Mistake is one mistake in a configuration file, or one likely mistake.
type Mistake struct {
	File    string
	Line    int    // counted from 1; 0 if it concerns the whole file
	Key     string // with its tables, such as "lookup.timeout"; empty if it concerns no key
	Problem string // the mistake, and how to correct it
}

// String returns the mistake as file:line: key: problem.
func (m Mistake) String() string {
	var b strings.Builder
	b.WriteString(m.File)
	if m.Line > 0 {
		fmt.Fprintf(&b, ":%d", m.Line)
	}
	b.WriteString(": ")
	if m.Key != "" {
		b.WriteString(m.Key + ": ")
	}
	b.WriteString(m.Problem)
	return b.String()
}

// Error holds all mistakes of a configuration, in the order of their lines.
type Error struct {
	Mistakes []Mistake
}

// maxShown is the number of mistakes that a message shows.
const maxShown = 100

// Error returns the first 100 mistakes, one per line, and the number of all.
func (e *Error) Error() string {
	var b strings.Builder
	for _, m := range e.Mistakes[:min(len(e.Mistakes), maxShown)] {
		b.WriteString(m.String() + "\n")
	}
	if more := len(e.Mistakes) - maxShown; more > 0 {
		fmt.Fprintf(&b, "... and %d more\n", more)
	}
	if n := len(e.Mistakes); n == 1 {
		b.WriteString("1 mistake; the file was not applied")
	} else {
		fmt.Fprintf(&b, "%d mistakes; the file was not applied", n)
	}
	return b.String()
}

// report collects the mistakes of one configuration.
type report struct {
	files    []string // in the order in which they are read
	mistakes []Mistake
	secrets  []Mistake // positions of secrets that are written in the file
	hidden   []secret
}

// secret is a value that must not appear in a message.
type secret struct {
	value, shown string
}

// wrong adds a mistake, once for each position.
func (r *report) wrong(at *position, key, format string, args ...any) {
	if !at.wrong {
		at.wrong = true
		r.mistakes = append(r.mistakes, Mistake{at.file, at.line, key, fmt.Sprintf(format, args...)})
	}
}

// hide keeps a value out of every message.
func (r *report) hide(value, shown string) {
	// A shorter value is not a secret, and would match words of the messages.
	if len(value) >= 4 {
		r.hidden = append(r.hidden, secret{value, shown})
	}
}

// done returns all mistakes in the order of their lines, nil if there are none.
func (r *report) done() error {
	if len(r.mistakes) == 0 {
		return nil
	}
	hide := r.hiding()
	for i := range r.mistakes {
		r.mistakes[i].Problem = hide.Replace(r.mistakes[i].Problem)
	}
	slices.SortStableFunc(r.mistakes, r.order)
	return &Error{Mistakes: r.mistakes}
}

// readable returns a warning for each secret in a file that every user may read.
func (r *report) readable(texts []source) []Mistake {
	var found []Mistake
	for _, m := range r.secrets {
		mode := texts[slices.Index(r.files, m.File)].mode.Perm()
		if mode&0o004 == 0 {
			continue
		}
		m.Problem = fmt.Sprintf("is a secret, and every user of this machine may read the file (mode %04o); "+
			"run chmod o-r, or write ${NAME} here and set NAME in the service's environment", mode)
		found = append(found, m)
	}
	return found
}

// order compares mistakes by file and line.
func (r *report) order(a, b Mistake) int {
	return cmp.Or(cmp.Compare(slices.Index(r.files, a.File), slices.Index(r.files, b.File)), cmp.Compare(a.Line, b.Line))
}

// hiding returns a replacer that hides secrets, plain and quoted.
func (r *report) hiding() *strings.Replacer {
	// The longest first, because a secret may be part of another one.
	slices.SortStableFunc(r.hidden, func(a, b secret) int { return cmp.Compare(len(b.value), len(a.value)) })
	var pairs []string
	for _, s := range r.hidden {
		quoted := strconv.Quote(s.value)
		pairs = append(pairs, s.value, s.shown, quoted[1:len(quoted)-1], s.shown)
	}
	return strings.NewReplacer(pairs...)
}
