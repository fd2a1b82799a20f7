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

// A missing right fails the check. The secret is never printed.
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
	tables := ""
	check := func(args ...string) (code int, out string) {
		t.Helper()
		text := tables + fmt.Sprintf("[[ami]]\naddress = %q\nusername = %q\nsecret = %q\n", address, amitest.Username, amitest.Secret)
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
	tables = "[accounts]\ntemplate = \"phone\"\n"
	f(1, "missing   write=config")
	s.Answer("ListCommands", amitest.Text(append(commands, "UpdateConfig: Update.  (Priv: config,all)")...))
	f(0, "write = agent,call,originate,reporting,config\n")
	tables = "[[agent]]\nid = \"7\"\nphone = \"101\"\nhold = \"notify\"\n"
	f(1, "missing   write=system")
	s.Answer("ListCommands", amitest.Text(append(commands, "PJSIPNotify: Notify.  (Priv: system,all)")...))
	f(0, "write = agent,call,originate,reporting,system\n")
	tables = ""
	f(0, "too much  write=system")
	s.Secret = "another"
	f(1, "user name or secret not accepted")
}

// The lists are printed as they are at that moment, and what a caller chose cannot reach the terminal's controls.
func TestLiveLists(t *testing.T) {
	s := amitest.New()
	defer s.Close()
	address, err := s.Listen()
	if err != nil {
		t.Fatal(err)
	}
	s.AnswerList("QueueStatus",
		amitest.Text("Event: QueueParams", "Queue: 500", "Strategy: linear", "Completed: 3", "Abandoned: 1"),
		amitest.Text("Event: QueueMember", "Queue: 500", "Name: Anna", "Location: Local/101@agents/n", "StateInterface: PJSIP/101", "Status: 2", "Paused: 1", "PausedReason: lunch"),
		amitest.Text("Event: QueueEntry", "Queue: 500", "Position: 1", "Uniqueid: 7.1", "CallerIDNum: 79161234567", "CallerIDName: a\x1b[31mb", "Wait: 75", "Priority: 2"))
	s.Answer("Getvar", amitest.Text("Response: Success", "ActionID: {id}", "Value: allowed_not_screened"))
	s.AnswerList("CoreShowChannels", amitest.Text("Event: CoreShowChannel", "Channel: PJSIP/trunk-1", "Uniqueid: 7.1", "Linkedid: 7.1", "CallerIDNum: 79161234567", "Exten: 500", "Duration: 00:01:20"))
	file := filepath.Join(t.TempDir(), "ringhook.toml")
	text := fmt.Sprintf("[[ami]]\naddress = %q\nusername = %q\nsecret = %q\n", address, amitest.Username, amitest.Secret)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	f := func(code int, args string, want ...string) {
		t.Helper()
		var b strings.Builder
		got := Run(context.Background(), app.Build{}, append([]string{"-c", file}, strings.Fields(args)...), &b, &b)
		out := strings.Join(strings.Fields(b.String()), " ")
		for _, w := range want {
			if got != code || !strings.Contains(out, w) {
				t.Errorf("%s: exit code %d, want %d and %q:\n%s", args, got, code, w, b.String())
			}
		}
		if strings.Contains(b.String(), "\x1b") {
			t.Errorf("%s: a control character in %q", args, b.String())
		}
	}
	f(0, "queue list", "pbx 500 1 1m15s 0 0 1 1 3 1")
	f(0, "queue show 500", "1 2 1m15s 79161234567 a [31mb 7.1", "Local/101@agents/n Anna busy lunch 0 0")
	f(1, "queue show 501", `there is no queue "501"`)
	f(0, "queue show 500 --json", `"phone": "101"`, `"longest": "2`)
	f(0, "calls list", "pbx 7.1 waiting 1m20s 79161234567 - 500 500 1")
	f(0, "calls list --json", `"linkedid": "7.1"`)
	f(2, "calls list --server x", `no [[ami]] table "x"`)
	s.Close()
	f(1, "queue list", "connection refused")
}
