package extensions

import (
	"path/filepath"
	"slices"
	"strings"

	"ringhook/dialplan"
)

// queues checks the queues that the dialplan uses in the queues.conf of the dialplan's folder. It
// reports nothing if there is no such file.
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
		if s == nil || s.template || enabled(s, "setinterfacevar") {
			continue
		}
		l.add(s.at, Warning, "member", "the queue %s does not report which member answered: events have no agent unless every phone asks agent-answer; "+
			"add setinterfacevar=yes, and setqueueentryvar=yes for the waiting time", shown(name))
	}
}

// queueNames returns the queues that Queue() names without a variable, each once.
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

// enabled reports whether the last setting of a key is true, by the rules of Asterisk (ast_true).
func enabled(s *section, key string) bool {
	for _, set := range slices.Backward(s.settings) {
		if set.key == key {
			return slices.Contains([]string{"yes", "true", "y", "t", "1", "on"}, strings.ToLower(set.value))
		}
	}
	return false
}
