package test

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"

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
		for _, secret := range []string{"open-sesame", "sesame-open", "whsec_", "AAEC"} {
			if strings.Contains(out.String(), secret) {
				t.Errorf("%s: says %q:\n%s", c.args, secret, &out)
			}
		}
	}
	if n := len(receiver.Requests()); n != 3 {
		t.Errorf("the receiver got %d requests, want 3", n)
	}
}

// TestSampleEvents checks that the sample of each event of a preset fulfils its condition.
func TestSampleEvents(t *testing.T) {
	for _, name := range hooks.Presets() {
		var out bytes.Buffer
		file, _, _ := config(t, fmt.Sprintf("[[hook]]\nname = \"crm\"\npreset = %q\nurl = \"http://127.0.0.1:1/x\"\n", name))
		run(context.Background(), []string{"hook", "test", "-c", file, "crm"}, &out, &out)
		if !strings.Contains(out.String(), "connect after") {
			t.Errorf("%s: the sample is not sent:\n%s", name, &out)
		}
	}
}
