// Package extensions checks an extensions.conf and the files that it includes. It reports lines
// with an unknown point, a missing argument or a place where they cannot work, and lines into
// which a caller can put commands.
//
// It reads the text only. If a variable or a missing file leaves a doubt, it reports nothing.
package extensions

import (
	"fmt"
	"path/filepath"

	"ringhook/dialplan"
)

// Options are the settings of the configuration that the checks depend on.
type Options struct {
	Listen         string          // [fastagi] listen, the address that AGI lines should have
	ExtraVariables map[string]bool // as in dialplan.Config.ExtraVariables
	Reported       []string        // the points that the manager interface reports, whose lines are not missed
}

// asteriskFolder is the folder in which Asterisk looks for included files.
const asteriskFolder = "/etc/asterisk"

// Check checks a dialplan, and the queues.conf in the same folder. It returns an error if the file
// itself cannot be read; an included file that cannot be read is a finding.
func Check(file string, o Options) (*Report, error) {
	r := newReader(file)
	found := r.report
	if err := r.readFile(filepath.Clean(file)); err != nil {
		return nil, fmt.Errorf("dialplan: %w", err)
	}
	r.alone(filepath.Clean(file))
	l := newLinter(newPlan(r), found, o)
	l.lint(place{filepath.Clean(file), 0})
	l.queues(filepath.Clean(file))
	return &Report{Findings: found.sorted(), Files: r.files, Asks: len(l.asks)}, nil
}

// linter checks one dialplan.
type linter struct {
	*report
	plan       *plan
	options    Options
	points     map[string]bool
	pointNames []string
	argNames   []string
	helpers    map[*extension]*helper
	asks       []*ask
	asksAt     map[*step][]*ask
	links      []link
	linksFrom  map[*step][]link
	lives      map[*extension]reach
	visited    int // steps, by reachOf
	running    map[running][]int
	first      map[*extension]int // see firstAsking
	scripts    bool               // another service has ringhook's address
}

func newLinter(p *plan, found *report, o Options) *linter {
	l := &linter{report: found, plan: p, options: o, points: map[string]bool{}, pointNames: dialplan.Points(), argNames: dialplan.Arguments(),
		helpers: map[*extension]*helper{}, asksAt: map[*step][]*ask{}, linksFrom: map[*step][]link{}, lives: map[*extension]reach{},
		running: map[running][]int{}, first: map[*extension]int{}}
	for _, name := range l.pointNames {
		l.points[name] = true
	}
	for name := range o.ExtraVariables {
		l.argNames = append(l.argNames, name)
	}
	return l
}

// lint runs the checks. Findings about the dialplan as a whole are reported at whole.
func (l *linter) lint(whole place) {
	l.findScripts()
	l.each(func(st *step) {
		l.asksAt[st] = l.asksIn(st)
		l.asks = append(l.asks, l.asksAt[st]...)
		l.linksFrom[st] = l.linksOf(st)
		l.links = append(l.links, l.linksFrom[st]...)
	})
	l.each(func(st *step) {
		l.rawIn(st)
		l.syntaxOf(st)
		for _, a := range l.asksAt[st] {
			l.arguments(a)
		}
	})
	l.addresses()
	l.sharedAddress()
	l.inherited()
	l.replacedOptions()
	l.places()
	l.summarizeRaw()
	if len(l.asks) == 0 && len(l.findings) == 0 {
		l.add(whole, Note, "no-ask", "no line of this file or of the files that it includes asks ringhook: is this the right file?")
	}
}

// each calls f for every step, in the order of the file.
func (l *linter) each(f func(*step)) {
	for _, ctx := range l.plan.order {
		for _, ext := range ctx.order {
			for _, st := range ext.steps {
				f(st)
			}
		}
	}
}
