package command

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ringhook/ami/amitest"
	"ringhook/app"
)

// A right that is missing fails the check; the secret is never printed.
func TestAMICheck(t *testing.T) {
	s := amitest.New()
	defer s.Close()
	address, err := s.Listen()
	if err != nil {
		t.Fatal(err)
	}
	s.Answer("Getvar", amitest.Text("Response: Success", "ActionID: {id}", "Value: system,call"))
	commands := []string{
		"Response: Success", "ActionID: {id}", "CoreShowChannels: List.  (Priv: system,reporting,all)", "Setvar: Set.  (Priv: call,all)",
		"QueuePause: Pause.  (Priv: agent,all)", "Originate: Originate.  (Priv: originate,all)",
	}
	s.Answer("ListCommands", amitest.Text(commands...))
	file := filepath.Join(t.TempDir(), "ringhook.toml")
	check := func(args ...string) (code int, out string) {
		t.Helper()
		text := fmt.Sprintf("[[ami]]\naddress = %q\nusername = %q\nsecret = %q\n", address, amitest.Username, amitest.Secret)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		var b strings.Builder
		code = Run(context.Background(), app.Build{}, append([]string{"-c", file, "ami", "check"}, args...), &b, &b)
		if strings.Contains(b.String(), amitest.Secret) {
			t.Errorf("the secret is in %s", b.String())
		}
		return code, b.String()
	}
	f := func(code int, want string, args ...string) {
		t.Helper()
		if got, out := check(args...); got != code || !strings.Contains(out, want) {
			t.Errorf("%q: exit code %d, want %d and %q:\n%s", args, got, code, want, out)
		}
	}
	f(1, "missing   read=agent")
	s.Answer("Getvar", amitest.Text("Response: Success", "ActionID: {id}", "Value: system,call,agent"))
	f(0, "permit = 127.0.0.1/255.255.255.255\nread = system,call,agent\nwrite = agent,call,originate,reporting\n", "pbx")
	f(2, `no [[ami]] table "x", only pbx`, "x")
	s.Secret = "another"
	f(1, "user name or secret not accepted")
}
