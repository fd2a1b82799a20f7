package extensions

import (
	"path/filepath"
	"slices"
	"strings"

	"ringhook/dialplan"
)

// queues checks the queues that the dialplan uses, by the queues.conf in the folder of the
// dialplan. If there is none it says nothing.
func (l *linter) queues(file string) {
	if !slices.ContainsFunc(l.asks, func(a *ask) bool { return a.point == dialplan.QueueDial }) {
		return
	}
	folder := filepath.Dir(file)
	r := &reader{folders: []string{folder}, report: &report{}, sections: map[string]*section{}, whole: true}
	if err := r.readFile(filepath.Join(folder, "queues.conf")); err != nil {
		return
	}
	for _, name := range l.queueNames() {
		s := r.sections[name]
		if s == nil || s.template || says(s, "setinterfacevar") {
			continue
		}
		l.add(s.at, Warning, "member", "the queue %s does not say which member answered: events have no agent unless every phone asks agent-answer; "+
			"add setinterfacevar=yes, and setqueueentryvar=yes for the time waited", shown(name))
	}
}

// queueNames lists the queues that Queue() names without a variable.
func (l *linter) queueNames() []string {
	var names []string
	l.each(func(st *step) {
		for _, c := range st.leaves() {
			if !c.is("Queue") {
				continue
			}
			name := strings.TrimSpace(arguments(l.plan.global(c.data))[0])
			if name != "" && !strings.Contains(name, "$") && !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	})
	return names
}

// says reports whether the last setting of a name is true, as Asterisk reads it (ast_true).
func says(s *section, key string) bool {
	for _, set := range slices.Backward(s.settings) {
		if set.key == key {
			return slices.Contains([]string{"yes", "true", "y", "t", "1", "on"}, strings.ToLower(set.value))
		}
	}
	return false
}
