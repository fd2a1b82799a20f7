package conf

import (
	"cmp"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
)

// Mistake is one thing that is wrong in a configuration file, or doubtful.
type Mistake struct {
	File    string
	Line    int    // counted from 1; 0 where it belongs to no line
	Key     string // with its tables, such as "lookup.timeout"; empty where it belongs to no key
	Problem string // what is wrong, and what would be right
}

// String gives the mistake as file:line: key: problem.
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

// Error says everything that is wrong in a configuration file, in order of
// its lines.
type Error struct {
	Mistakes []Mistake
}

// Error gives the mistakes, one a line, and how many they are.
func (e *Error) Error() string {
	var b strings.Builder
	for _, m := range e.Mistakes {
		b.WriteString(m.String() + "\n")
	}
	if n := len(e.Mistakes); n == 1 {
		b.WriteString("1 mistake; nothing of the file is in force")
	} else {
		fmt.Fprintf(&b, "%d mistakes; nothing of the file is in force", n)
	}
	return b.String()
}

// report collects what is wrong with one file.
type report struct {
	file     string
	mistakes []Mistake
	secrets  []Mistake // where a secret stands in the file itself
	hidden   []secret
}

// secret is a value that no message may show.
type secret struct {
	value, shown string
}

// wrong notes a mistake, once for each place.
func (r *report) wrong(at *place, key, format string, args ...any) {
	if !at.wrong {
		at.wrong = true
		r.mistakes = append(r.mistakes, Mistake{r.file, at.line, key, fmt.Sprintf(format, args...)})
	}
}

// hide keeps a value out of every message.
func (r *report) hide(value, shown string) {
	// What is shorter is no secret, and would be found in words of the messages.
	if len(value) >= 4 {
		r.hidden = append(r.hidden, secret{value, shown})
	}
}

// done gives all mistakes in order of the lines, nil where there is none.
func (r *report) done() error {
	if len(r.mistakes) == 0 {
		return nil
	}
	hide := r.hiding()
	for i := range r.mistakes {
		r.mistakes[i].Problem = hide.Replace(r.mistakes[i].Problem)
	}
	slices.SortStableFunc(r.mistakes, byLine)
	return &Error{Mistakes: r.mistakes}
}

// readable gives a warning for each secret in a file that everybody may read.
func (r *report) readable(mode os.FileMode) []Mistake {
	for i := range r.secrets {
		r.secrets[i].Problem = fmt.Sprintf("is a secret, and everybody on this machine may read the file (mode %04o); "+
			"forbid it (chmod o-r), or write ${NAME} here and set it in the service's environment", mode)
	}
	return r.secrets
}

func byLine(a, b Mistake) int { return cmp.Compare(a.Line, b.Line) }

// hiding replaces what no message may show, plain and quoted.
func (r *report) hiding() *strings.Replacer {
	// The longest first: a secret may be part of another.
	slices.SortStableFunc(r.hidden, func(a, b secret) int { return cmp.Compare(len(b.value), len(a.value)) })
	var pairs []string
	for _, s := range r.hidden {
		quoted := strconv.Quote(s.value)
		pairs = append(pairs, s.value, s.shown, quoted[1:len(quoted)-1], s.shown)
	}
	return strings.NewReplacer(pairs...)
}
