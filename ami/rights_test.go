package ami

import (
	"os"
	"slices"
	"strings"
	"testing"

	"ringhook/ami/amitest"
)

// TestInspect plays what accounts of both versions were answered in the lab.
func TestInspect(t *testing.T) {
	f := func(version, account, read, missing, excess string) {
		t.Helper()
		s := amitest.New()
		defer s.Close()
		commands, err := os.ReadFile("amitest/testdata/" + version + "/commands-" + account)
		if err != nil {
			t.Fatal(err)
		}
		s.Answer("ListCommands", strings.Replace(string(commands), "ActionID: 1\r\n", "ActionID: {id}\r\n", 1))
		if read != "denied" {
			s.Answer("Getvar", amitest.Text("Response: Success", "ActionID: {id}", "Variable: x", "Value: "+read))
		} else {
			s.Answer("Getvar", amitest.Text("Response: Error", "ActionID: {id}", "Message: Permission denied"))
		}
		address, err := s.Listen()
		if err != nil {
			t.Fatal(err)
		}
		r, err := Inspect(t.Context(), Config{Name: "pbx", Address: address, Username: amitest.Username, Secret: amitest.Secret})
		if err != nil {
			t.Fatal(err)
		}
		if got := rights(r.Missing(Use{})); got != missing {
			t.Errorf("%s, %s: missing %q, want %q", version, account, got, missing)
		}
		if got := rights(r.Excess(Use{})); got != excess {
			t.Errorf("%s, %s: excess %q, want %q", version, account, got, excess)
		}
		for use, right := range map[Use]string{{Accounts: true}: "write=config", {Notify: true}: "write=system"} {
			if got, rich := rights(r.Missing(use)), account == "rich"; strings.HasSuffix(got, right) == rich {
				t.Errorf("%s, %s: missing for %+v %q", version, account, use, got)
			}
			want := strings.Join(strings.Fields(strings.Replace(excess, right, "", 1)), " ")
			if got := rights(r.Excess(use)); got != want {
				t.Errorf("%s, %s: excess with %+v %q, want %q", version, account, use, got, want)
			}
		}
		if asked := s.Requests("Getvar"); len(asked) != 1 || asked[0].Get("Variable") != "AST_CONFIG(manager.conf,ringhook,read)" {
			t.Errorf("asked %q", asked)
		}
	}
	for _, version := range []string{"16", "22"} {
		f(version, "least", "system,call,agent", "", "")
		f(version, "least", " system, call", "read=agent", "")
		f(version, "poor", "denied", "write=reporting write=call write=originate", "")
		f(version, "rich", "all", "", "write=command write=config write=system")
	}
}

func rights(gaps []Gap) string {
	var names []string
	for _, g := range gaps {
		names = append(names, g.Right)
	}
	return strings.Join(names, " ")
}

// FuzzRights reads any answer to ListCommands and any value of manager.conf: every right is named once, and none is made of
// nothing.
func FuzzRights(f *testing.F) {
	f.Add("CoreShowChannels", "List.  (Priv: system,reporting,all)", "system,call")
	f.Add("Ping", "Keepalive.  (Priv: <none>)", "")
	f.Add("X", "(Priv: ,all)", ", ,all,")
	f.Add("X", "(Priv: call,all", "call\x00")
	f.Fuzz(func(t *testing.T, action, about, read string) {
		r := &Rights{actions: map[string]bool{}}
		r.take(Message{{"Response", "Success"}, {action, about}, {action, about}}, read)
		for _, list := range [][]string{r.Write, r.Read} {
			if slices.Contains(list, "") {
				t.Fatalf("%q %q: %q", about, read, list)
			}
		}
		if len(slices.Compact(slices.Clone(r.Write))) != len(r.Write) {
			t.Fatalf("%q: %q", about, r.Write)
		}
		r.Missing(Use{})
		r.Excess(Use{})
	})
}
