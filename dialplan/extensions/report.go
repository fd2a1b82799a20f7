package extensions

import (
	"cmp"
	"fmt"
	"slices"
)

// Severity is how bad a finding is.
type Severity int

// The severities. An Error does not work, a Warning works badly or at a risk, and
// a Note may be meant so.
const (
	Note Severity = iota
	Warning
	Error
)

// String is the word for it, as it is printed.
func (s Severity) String() string { return [...]string{"note", "warning", "error"}[s] }

// Finding is one thing that is wrong with a dialplan, or doubtful.
type Finding struct {
	File     string
	Line     int // counted from 1; 0 where it is about the whole file
	Severity Severity
	Code     string // of the kind of finding, as the documentation lists them
	Text     string // what is wrong, and what to do
}

// String returns the finding as file:line: severity: text [code].
func (f Finding) String() string {
	at := f.File
	if f.Line > 0 {
		at = fmt.Sprintf("%s:%d", f.File, f.Line)
	}
	return fmt.Sprintf("%s: %s: %s [%s]", at, f.Severity, f.Text, f.Code)
}

// Report is what was found.
type Report struct {
	Findings []Finding // in the order in which the files were read, and of their lines
	Files    int       // that were read
	Asks     int       // places that ask ringhook
}

// Count returns the number of findings of one severity.
func (r *Report) Count(s Severity) int {
	n := 0
	for _, f := range r.Findings {
		if f.Severity == s {
			n++
		}
	}
	return n
}

// report collects findings, each once: a template's line is checked in every
// context that takes it over.
type report struct {
	findings []Finding
	seen     map[Finding]bool
	files    map[string]int // in which order they were first heard of
}

func (r *report) add(at place, s Severity, code, format string, args ...any) {
	f := Finding{at.file, at.line, s, code, fmt.Sprintf(format, args...)}
	if r.seen[f] {
		return
	}
	if r.seen == nil {
		r.seen, r.files = map[Finding]bool{}, map[string]int{}
	}
	r.seen[f] = true
	if _, ok := r.files[f.File]; !ok {
		r.files[f.File] = len(r.files)
	}
	r.findings = append(r.findings, f)
}

func (r *report) sorted() []Finding {
	slices.SortStableFunc(r.findings, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(r.files[a.File], r.files[b.File]), cmp.Compare(a.Line, b.Line), cmp.Compare(b.Severity, a.Severity))
	})
	return r.findings
}
