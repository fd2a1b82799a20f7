package command

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ringhook/app"
	"ringhook/store/desk"
)

// TestDeskCommands checks what the commands print of no sessions and of one, and that a mistyped agent is not signed
// out without a word.
func TestDeskCommands(t *testing.T) {
	folder := t.TempDir()
	file := filepath.Join(folder, "ringhook.toml")
	if err := os.WriteFile(file, []byte("[store]\nfolder = \"data\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	f := func(exit int, want string, args ...string) {
		t.Helper()
		var out strings.Builder
		if got := Run(t.Context(), app.Build{}, append(args, "-c", file), &out, &out); got != exit || !strings.Contains(out.String(), want) {
			t.Errorf("%v: exit %d, want %d with %q:\n%s", args, got, exit, want, out.String())
		}
	}
	f(1, "ringhook serve creates it", "desk", "sessions")
	f(1, "ringhook serve creates it", "token", "list")
	d, err := desk.Make(filepath.Join(folder, "data"))
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	f(0, `"sessions": []`, "desk", "sessions", "--json")
	now := time.Now()
	if _, err := d.AddSession(desk.Session{Agent: "7", Created: now, Ends: now.Add(time.Hour), Address: "192.0.2.7", Browser: "Firefox"}); err != nil {
		t.Fatal(err)
	}
	f(0, "192.0.2.7", "desk", "sessions")
	f(1, `agent "8" has no session`, "desk", "sign-out", "8")
	f(0, "1 sessions ended", "desk", "sign-out", "7")
	f(1, `agent "7" has no session`, "desk", "sign-out", "7")
}
