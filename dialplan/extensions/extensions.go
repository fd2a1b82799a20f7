// Package extensions reads an extensions.conf, with what it includes, and finds
// what keeps ringhook from working in it: lines that name no point, miss an
// argument, or stand where they cannot work, and what lets a caller put commands into it.
//
// It judges by the text alone, and holds its tongue where variables or missing
// files leave a doubt.
package extensions

import (
	"fmt"
	"path/filepath"

	"ringhook/dialplan"
)

// Options are what the configuration says of the dialplan.
type Options struct {
	Listen         string          // [fastagi] listen: the address that AGI lines should have
	ExtraVariables map[string]bool // see dialplan.Config.ExtraVariables
}

// asteriskFolder is where Asterisk looks for a file that another includes.
const asteriskFolder = "/etc/asterisk"

// Check reads a dialplan. An error says that the file itself cannot be read.
func Check(file string, o Options) (*Report, error) {
	found := &report{}
	r := &reader{folders: []string{filepath.Dir(file), asteriskFolder}, report: found, sections: map[string]*section{}, whole: true}
	if err := r.readFile(filepath.Clean(file)); err != nil {
		return nil, fmt.Errorf("dialplan: %w", err)
	}
	l := newLinter(newPlan(r), found, o)
	l.lint(place{filepath.Clean(file), 0})
	l.queues(filepath.Clean(file))
	return &Report{Findings: found.sorted(), Files: r.files, Asks: len(l.asks)}, nil
}

// linter looks at one dialplan.
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
}

func newLinter(p *plan, found *report, o Options) *linter {
	l := &linter{report: found, plan: p, options: o, points: map[string]bool{}, pointNames: dialplan.Points(), argNames: dialplan.Arguments(),
		helpers: map[*extension]*helper{}, asksAt: map[*step][]*ask{}, linksFrom: map[*step][]link{}, lives: map[*extension]reach{}}
	for _, name := range l.pointNames {
		l.points[name] = true
	}
	for name := range o.ExtraVariables {
		l.argNames = append(l.argNames, name)
	}
	return l
}

// lint makes every check.
func (l *linter) lint(whole place) {
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
	l.places()
	if len(l.asks) == 0 && len(l.findings) == 0 {
		l.add(whole, Note, "no-ask", "no line here asks ringhook, nor in the files that it includes: is this the right one?")
	}
}

func (l *linter) each(f func(*step)) {
	for _, ctx := range l.plan.order {
		for _, ext := range ctx.order {
			for _, st := range ext.steps {
				f(st)
			}
		}
	}
}
