package test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ringhook/test/wait"
)

// withToken asks the API with a token, and returns the status and the answer.
func withToken(t *testing.T, url, token string) (status int, answer string) {
	t.Helper()
	req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

// TestEngineSide checks that what a command changes of tokens, the phonebook and the cache in the engine holds in a running server
// with another folder, that lookups go on while the engine is away, and that tokens are not wrong then but unavailable.
func TestEngineSide(t *testing.T) {
	t.Parallel()
	server, dsn := engine(t)
	const lookups = "[[lookup]]\nname = \"own\"\npoints = [\"lookup\"]\ntype = \"phonebook\"\n[number]\ncountry = \"GB\"\n"
	before, _, _ := config(t, lookups)
	run := func(file string, args ...string) string {
		t.Helper()
		code, out := invoke(t, append(args, "-c", file)...)
		if code != exitOK {
			t.Fatalf("%v: %d\n%s", args, code, out)
		}
		return out
	}
	csv := filepath.Join(t.TempDir(), "book.csv")
	book := func(line string) string {
		t.Helper()
		if err := os.WriteFile(csv, []byte("number,name\n"+line+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		return csv
	}
	// The folder has a phonebook and a token from before.
	run(before, "phonebook", "import", book("+442079460142,Ada"))
	old := strings.Fields(run(before, "token", "create", "old", "--administrator"))[0]
	text, err := os.ReadFile(before)
	if err == nil {
		err = os.WriteFile(before, []byte(strings.Replace(string(text), "[store]\n", fmt.Sprintf("[store]\ntype = \"postgres\"\ndsn = %q\n", dsn), 1)), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	if out := run(before, "engine", "init"); !strings.Contains(out, "desk.db") || !strings.Contains(out, "phonebook.db") {
		t.Errorf("engine init:\n%s", out)
	}
	if out := run(before, "engine", "init"); strings.Contains(out, "copied") {
		t.Errorf("engine init again:\n%s", out)
	}

	file, agi, web := onEngine(t, dsn, lookups)
	c := spawn(t, file, web)
	defer c.kill()
	ask := func() string {
		_, out := invoke(t, "call", "lookup", "--from", "+442079460142", "--server", agi)
		return out
	}
	asks := func(want string) {
		t.Helper()
		out := ""
		wait.Until(t, func() bool { out = ask(); return strings.Contains(out, want) }, "lookup does not return %s:\n%s\n%s", want, out, c.log)
	}
	asks("Ada")
	run(before, "phonebook", "import", book("+442079460142,Ada Lovelace"))
	asks("Ada Lovelace")
	token := strings.Fields(run(before, "token", "create", "crm", "--administrator"))[0]
	for _, token := range []string{old, token} {
		if status, answer := withToken(t, web+"/v1/hooks", token); status != http.StatusOK {
			t.Errorf("with a token: %d %s", status, answer)
		}
	}
	run(before, "token", "delete", "crm")
	if status, _ := withToken(t, web+"/v1/hooks", token); status != http.StatusUnauthorized {
		t.Errorf("with a deleted token: %d", status)
	}

	server.Halt()
	c.untilMetric(web, "ringhook_engine_up 0")
	if status, answer := withToken(t, web+"/v1/hooks", old); status != http.StatusServiceUnavailable || !strings.Contains(answer, `"code":"database"`) {
		t.Errorf("with a token while the engine is away: %d %s", status, answer)
	}
	asks("Ada Lovelace")
	if err := server.Resume(); err != nil {
		t.Fatal(err)
	}
	wait.Until(t, func() bool {
		status, _ := withToken(t, web+"/v1/hooks", old)
		return status == http.StatusOK
	}, "with a token after the engine is back:\n%s", c.log)
	run(before, "phonebook", "remove", "+442079460142")
	wait.Until(t, func() bool { return !strings.Contains(ask(), "Ada") }, "the removed number is still found:\n%s", c.log)
	c.stop()
}
