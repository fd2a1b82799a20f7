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

// TestUnknownNames wants a mistyped hook, call, delivery or number to be an error, not a change of nothing.
func TestUnknownNames(t *testing.T) {
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
	run := func(t *testing.T, args string, want int, text string) {
		t.Helper()
		var b strings.Builder
		code := Run(context.Background(), app.Build{}, append([]string{"-c", file}, strings.Fields(args)...), &b, &b)
		if code != want || !strings.Contains(b.String(), text) {
			t.Errorf("%s: exit code %d, want %d and %q:\n%s", args, code, want, text, b.String())
		}
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
		{"list --hook crm", 0, "ID"},
		{"list --hook cmr", 1, `has a hook "cmr"`},
		{"list --call 1.1", 1, "nothing is known of call 1.1"},
		{"retry --call 1.1", 1, "nothing is known of call 1.1"},
		{"drop --call 1.1", 1, "nothing is known of call 1.1"},
		{"retry 17", 1, "delivery 17: no such delivery"},
		{"drop 17 18", 1, "delivery 18: no such delivery"},
		{"show 17", 1, "delivery 17: no such delivery"},
	} {
		run(t, "outbox "+c.args, c.code, c.want)
	}
	for _, c := range []struct {
		args string
		code int
		want string
	}{
		{"forget anna", 2, `"anna" is not a telephone number, and nothing is stored under it`},
		{"forget anonymous", 2, "is not a telephone number"},
		{"forget +442079460142", 0, "erased 0 calls"},
		{"export anna", 2, `"anna" is not a telephone number`},
		{"export +442079460142", 0, `"number": "+442079460142"`},
		{"cache show anna", 2, `"anna" is not a telephone number`},
		{"cache forget anna", 2, `"anna" is not a telephone number`},
		{"cache show +442079460142", 0, "nothing is kept"},
		{"trace anna", 1, "nothing is known of call anna"},
		{"hook test cmr", 1, `no hook "cmr"`},
		{"hook enable cmr", 1, `no hook "cmr"`},
		{"call queue-dail", 2, `unknown point "queue-dail"`},
		{"phonebook remove anna", 1, "anna"},
	} {
		run(t, c.args, c.code, c.want)
	}
}
