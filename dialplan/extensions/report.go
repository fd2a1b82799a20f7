package extensions

import (
	"cmp"
	"fmt"
	"slices"
)

// Severity is the severity of a finding. The zero value is Note.
type Severity int

// The severities. An Error does not work, a Warning works badly or is a risk, and a Note may be
// intended.
const (
	Note Severity = iota
	Warning
	Error
)

// String returns note, warning or error.
func (s Severity) String() string { return [...]string{"note", "warning", "error"}[s] }

// Finding is one problem, or possible problem, of a dialplan.
type Finding struct {
	File     string
	Line     int // from 1; 0 for the whole file
	Severity Severity
	Code     string // the kind of finding, as listed in docs/dialplan.md
	Text     string // what is wrong and what to do
}

// String returns the finding as file:line: severity: text [code].
func (f Finding) String() string {
	at := f.File
	if f.Line > 0 {
		at = fmt.Sprintf("%s:%d", f.File, f.Line)
	}
	return fmt.Sprintf("%s: %s: %s [%s]", at, f.Severity, f.Text, f.Code)
}

// Report is the result of Check.
type Report struct {
	Findings []Finding // by file, in the order of their first finding, then by line
	Files    int       // the number of files read
	Asks     int       // the number of places that ask ringhook
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

// report collects findings, each once: the lines of a template are checked in every context that
// inherits them.
type report struct {
	findings []Finding
	seen     map[Finding]bool
	files    map[string]int // the order of the first findings in each file
}

// add adds a finding, unless the report already has it.
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

// sorted returns the findings in the order of Report.Findings.
func (r *report) sorted() []Finding {
	slices.SortStableFunc(r.findings, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(r.files[a.File], r.files[b.File]), cmp.Compare(a.Line, b.Line), cmp.Compare(b.Severity, a.Severity))
	})
	return r.findings
}
