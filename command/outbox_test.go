package command

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ringhook/app"
	"ringhook/store"
)

// TestUnknownHook wants a mistyped hook to be an error, not a change of nothing.
func TestUnknownHook(t *testing.T) {
	cfg := store.DefaultConfig()
	cfg.Folder = filepath.Join(t.TempDir(), "data")
	s, err := store.Open(cfg, slog.New(slog.DiscardHandler), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "ringhook.toml")
	text := "[store]\nfolder = '" + cfg.Folder + "'\n[[hook]]\nname = 'crm'\nurl = 'http://127.0.0.1:9/'\nevents = ['*']\nformat = 'json'\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args string
		code int
		want string
	}{
		{"replay --hook crm --since 1h", 0, "0 deliveries are queued"},
		{"replay --hook cmr --since 1h", 1, `has a hook "cmr"; the configuration has crm`},
		{"replay --hook crm --from cmr --since 1h", 1, `has a hook "cmr"`},
		{"retry --hook crm", 0, "0 deliveries"},
		{"retry --hook cmr", 1, `has a hook "cmr"`},
		{"drop --hook cmr", 1, `has a hook "cmr"`},
	} {
		var b strings.Builder
		code := Run(context.Background(), app.Build{}, append([]string{"-c", file, "outbox"}, strings.Fields(c.args)...), &b, &b)
		if code != c.code || !strings.Contains(b.String(), c.want) {
			t.Errorf("outbox %s: exit code %d, want %d and %q:\n%s", c.args, code, c.code, c.want, b.String())
		}
	}
}
