package account

import (
	"fmt"
	"slices"
	"testing"
)

// TestUnclosedPlaceholder checks that a placeholder without its second percent sign is a mistake in the body, headers and
// values of a login.
func TestUnclosedPlaceholder(t *testing.T) {
	const want = "login: request 2: %challenge is a placeholder that is not closed: write %challenge%"
	for name, last := range map[string]Step{
		"body":    {URL: "https://crm.example/login", Body: "key=%challenge"},
		"headers": {URL: "https://crm.example/login", Headers: map[string]string{"X-Key": "%challenge"}},
		"values":  {URL: "https://crm.example/login?key=%key%", Values: map[string]string{"key": "%challenge"}},
	} {
		last.Take = map[string]string{session: ".session"}
		c := Config{Login: []Step{{URL: "https://crm.example/", Take: map[string]string{"challenge": ".token"}}, last}}
		var got []string
		c.checkLogin(func(key, problem string) { got = append(got, fmt.Sprint(key, ": ", problem)) })
		if !slices.Equal(got, []string{want}) {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
}
