package pops

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
)

// TestSecretsOfPages checks that the trace of a pop has no secret of the rule's pages: supervisors read it, and it is stored.
// The agent's browser gets the whole address.
func TestSecretsOfPages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := polling(func(c *Config) {
			c.URL = "https://crm.example/card?from=env<&1>&p=%callerid%"
			c.Title, c.Params, c.Settings = "env<&1>", map[string]string{"token": "of-params-1", "set": "%api_key%"}, map[string]string{"api_key": "of-settings-1"}
			c.SetEnvironment([]string{"env<&1>"})
		})
		s := newStage(t, c)
		defer s.Close()
		s.say("1", "agent-dial", "101")
		text := fmt.Sprint(s.notes.list)
		for _, secret := range []string{"env", "of-params-1", "of-settings-1"} {
			if strings.Contains(text, secret) {
				t.Errorf("the trace has %s: %s", secret, text)
			}
		}
		if !strings.Contains(text, "https://crm.example/card?") || !strings.Contains(text, "p=%2B49301") {
			t.Errorf("the trace has no page: %s", text)
		}
	})
}
