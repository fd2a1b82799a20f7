package hooks

import (
	"slices"
	"strings"
	"testing"
)

// TestNeedsOfEveryAnswer checks that needs of a value which every event fetches are a mistake.
func TestNeedsOfEveryAnswer(t *testing.T) {
	fetch, needs := map[string]string{"crm_call": ".id"}, []string{"crm_call"}
	for _, tc := range []struct {
		name   string
		change func(*Config)
		want   []string
	}{
		{"hook", func(c *Config) { c.Remember, c.Needs = fetch, needs }, []string{"needs"}},
		{"event", func(c *Config) { c.Remember, c.On = fetch, map[string]Variant{"agent-hangup": {Needs: needs}} }, []string{"on.agent-hangup.needs"}},
		{"fetched by one event", func(c *Config) { c.Needs, c.On = needs, map[string]Variant{"agent-dial": {Remember: fetch}} }, nil},
	} {
		c := sample()
		c.Events = []string{"agent-dial", "agent-hangup"}
		tc.change(&c)
		var got []string
		c.Check(func(key, problem string) {
			if strings.Contains(problem, "has no effect") {
				got = append(got, key)
			} else {
				t.Errorf("%s: %s: %s", tc.name, key, problem)
			}
		})
		if !slices.Equal(got, tc.want) {
			t.Errorf("%s: got %q, want %q", tc.name, got, tc.want)
		}
	}
}
