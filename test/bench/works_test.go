package main

import (
	"strings"
	"testing"

	"ringhook/dialplan"
)

// TestArguments holds what is played against what a point reads from the channel:
// one argument less, and a session is measured with a read that its name denies.
func TestArguments(t *testing.T) {
	check := func(name, script string, args []string, read bool) {
		given := map[string]bool{}
		for _, a := range args {
			argument, _, _ := strings.Cut(a, "=")
			given[argument] = true
		}
		var missing []string
		// A point reads the Asterisk too if the linkedid does not name it.
		for _, argument := range append([]string{"server"}, dialplan.Point(script).Reads()...) {
			if !given[argument] {
				missing = append(missing, argument)
			}
		}
		if (len(missing) > 0) != read {
			t.Errorf("%s: %s reads %v from the channel, want a read: %v", name, script, missing, read)
		}
	}
	for _, w := range works {
		check(w.name, w.script, w.args, w.read)
	}
	for name, a := range map[string]asked{"lookupPoint": lookupPoint, "eventPoint": eventPoint, "endPoint": endPoint} {
		check(name, a.script, a.args, false)
	}
}
