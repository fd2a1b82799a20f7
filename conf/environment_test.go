package conf

import (
	"slices"
	"testing"
)

// TestEnvironmentIsHidden checks that each hook, lookup and pop knows the values that it took from the environment, in order to
// hide them, and not those of the others.
func TestEnvironmentIsHidden(t *testing.T) {
	env := func(name string) (string, bool) {
		if name == "FIVE" { // stands in a URL
			return "value-5", true
		}
		return "value of " + name, true
	}
	c, err := Parse("f.toml", []byte(`
[[hook]]
name = "a"
url = "https://crm.example/a"
events = ["*"]
headers = { X-Plain = "${ONE}" }
params = { x = "y ${TWO}" }

[[hook]]
name = "b"
url = "https://crm.example/b"
events = ["*"]

[number]
country = "DE"

[[pop]]
name = "card"
events = ["agent-dial"]
open = "hook:a"
title = "x ${FOUR}"

[[lookup]]
name = "crm"
url = "https://crm.example/"
headers = { X-Plain = "${THREE}" }
points = ["queue-dial"]

[recordings]
url = "https://rec.example/%file%?from=${FIVE}&key=of-the-links"
`), env)
	if err != nil {
		t.Fatal(err)
	}
	// Events bring the links to recordings to hooks and pops.
	links := []string{"value-5", "of-the-links"}
	if got := c.Hooks[0].Environment; !slices.Equal(got, append([]string{"value of ONE", "value of TWO"}, links...)) {
		t.Errorf("first hook has %q", got)
	}
	if got := c.Hooks[1].Environment; !slices.Equal(got, links) {
		t.Errorf("second hook has %q", got)
	}
	if got := c.Pops[0].Environment; !slices.Equal(got, append([]string{"value of FOUR"}, links...)) {
		t.Errorf("pop has %q", got)
	}
	if got := c.Lookups[0].Environment; !slices.Equal(got, []string{"value of THREE"}) {
		t.Errorf("lookup has %q", got)
	}
}
