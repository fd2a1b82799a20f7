package test

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/BurntSushi/toml"

	"ringhook/hooks"
	"ringhook/hooks/hooktest"
)

// TestHookTest checks that ringhook hook test prints the request and the answer without secrets, even if the
// receiver repeats them.
func TestHookTest(t *testing.T) {
	receiver := hooktest.NewReceiver(t)
	file, _, _ := config(t, fmt.Sprintf(`
[[hook]]
name = "journal"
events = ["agent-*", "queue-abandon"]
when = "status == 'cancel'"
url = "%[1]s/cti?key=sesame-open"
headers = { Authorization = "Bearer open-sesame" }
secret = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="

[[hook]]
name = "sipsim"
preset = "sipsim"
url = "%[1]s/sipsim"
`, receiver.URL()))
	for _, c := range []struct {
		args string
		step hooktest.Step
		code int
		want []string
	}{
		{"journal", hooktest.Step{Body: "taken, sesame-open"}, exitOK, []string{"POST " + receiver.URL(), `"event":"queue-abandon"`, "delivered after", "status 200", "taken, ***"}},
		{"journal agent-answer", hooktest.Step{Status: 404, Body: "no page"}, exitFailure, []string{"would not get this sample", `"event":"agent-answer"`, "rejected", "status 404", "no page", "did not take"}},
		{"journal agent-anwser", hooktest.Step{}, exitUsage, []string{"no point makes an event \"agent-anwser\"", "agent-answer", "queue-abandon"}},
		{"journal queue-abandon --set wait_time=77 --set callerid=+33199001234 --set presumed=true --set directid=", hooktest.Step{}, exitOK,
			[]string{`"wait_time":77`, `"callerid":"+33199001234"`, `"presumed":true`}},
		{"journal --set wait_time=long", hooktest.Step{}, exitUsage, []string{`--set wait_time is a number, "long" is none`}},
		{"journal --set presumed=1", hooktest.Step{}, exitUsage, []string{`--set presumed is true or false, not "1"`}},
		{"journal --set event_id=x", hooktest.Step{}, exitUsage, []string{"--set event_id belongs to the event"}},
		{"sipsim call-hangup", hooktest.Step{}, exitOK, []string{`"event":"incoming_call_end"`, `"duration":"102.0"`, "delivered"}},
	} {
		receiver.Play(c.step)
		var out bytes.Buffer
		code := run(context.Background(), strings.Fields("hook test -c "+file+" "+c.args), &out, &out)
		if code != c.code {
			t.Errorf("%s: ended with %d, want %d", c.args, code, c.code)
		}
		for _, want := range c.want {
			if !strings.Contains(out.String(), want) {
				t.Errorf("%s: does not say %q:\n%s", c.args, want, &out)
			}
		}
		if strings.Contains(c.args, "directid=") && strings.Contains(out.String(), "directid") {
			t.Errorf("%s: has directid:\n%s", c.args, &out)
		}
		for _, secret := range []string{"open-sesame", "sesame-open", "whsec_", "AAEC"} {
			if strings.Contains(out.String(), secret) {
				t.Errorf("%s: says %q:\n%s", c.args, secret, &out)
			}
		}
	}
	if n := len(receiver.Requests()); n != 4 {
		t.Errorf("the receiver got %d requests, want 4", n)
	}
}

// TestSampleEvents checks that the sample of the first event of a preset fulfils its condition, which is for callers who
// are customers or for those who are not.
func TestSampleEvents(t *testing.T) {
	for _, name := range hooks.Presets() {
		product, _, _ := strings.Cut(name, "-")
		file, _, _ := config(t, fmt.Sprintf("[[hook]]\nname = \"crm\"\npreset = %q\nurl = \"http://127.0.0.1:1/x\"\n%s", name, required(t, name)))
		args := []string{"hook", "test", "-c", file, "crm", "--set", "agent_id_" + product + "=9101"}
		var customer, unknown bytes.Buffer
		run(context.Background(), append(args, "--set", "customer_id=4711"), &customer, &customer)
		run(context.Background(), args, &unknown, &unknown)
		for _, out := range []*bytes.Buffer{&customer, &unknown} {
			// What another hook remembers is not there without a call.
			if !strings.Contains(out.String(), "connect after") && !strings.Contains(out.String(), "no answer of the call to the hook") {
				t.Errorf("%s: the sample is not sent:\n%s", name, out)
			}
		}
		refused := "would not get this sample"
		if name != "freshdesk" && strings.Contains(customer.String(), refused) && strings.Contains(unknown.String(), refused) { // the sample is no missed call
			t.Errorf("%s: the sample does not fit:\n%s", name, &customer)
		}
	}
}

// required returns the keys, and the tables after them, that a preset leaves to the administrator.
func required(t *testing.T, preset string) (keys string) {
	t.Helper()
	text, _ := hooks.Preset(preset)
	var c hooks.Config
	if _, err := toml.Decode(string(text), &c); err != nil {
		t.Fatal(err)
	}
	for name, value := range c.Settings {
		if value == "(required)" {
			keys += fmt.Sprintf("settings.%s = \"77\"\n", name)
		}
	}
	if c.Password != "" {
		keys += "username = \"key\"\n"
	}
	if other := c.RememberedBy; other != "" {
		keys += fmt.Sprintf("[[hook]]\nname = %q\npreset = %q\nurl = \"http://127.0.0.1:1/x\"\n%s", other, other, required(t, other))
	}
	if c.File != "" {
		keys += fmt.Sprintf("[recordings]\nfolder = %q\n", t.TempDir())
	}
	return keys
}
