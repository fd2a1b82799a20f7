package command

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ringhook/app"
)

// TestPopTest checks that the sample of every event at which a rule may pop is fresh.
func TestPopTest(t *testing.T) {
	file := filepath.Join(t.TempDir(), "ringhook.toml")
	text := "[getevent]\npath = '/cti'\nallow = ['192.0.2.7']\n[[pop]]\nname = 'crm'\nevents = ['agent-dial', 'agent-answer', 'queue-dial', 'agent-custom', 'agent-dialout-answer']\nopen = 'getevent'\ninternal = true\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, event := range []string{"agent-dial", "agent-answer", "queue-dial", "agent-custom", "agent-dialout-answer"} {
		var b strings.Builder
		code := Run(context.Background(), app.Build{}, []string{"-c", file, "pop", "test", "crm", "--event", event, "--result", "found"}, &b, &b)
		if code != 0 || !strings.Contains(b.String(), "pops: force by getevent") {
			t.Errorf("%s: exit code %d: %s", event, code, b.String())
		}
	}
}
