package test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"

	"ringhook/api"
	"ringhook/hooks/hooktest"
	"ringhook/test/wait"
)

// until polls until a condition is true.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	wait.Until(t, ok, "%s: not in time", what)
}

// ringhook runs a command, checks that it ends with 0, and returns its output.
func ringhook(t *testing.T, args ...string) string {
	t.Helper()
	var out bytes.Buffer
	if code := run(context.Background(), args, &out, &out); code != exitOK {
		t.Fatalf("ringhook %s ended with %d: %s", strings.Join(args, " "), code, &out)
	}
	return out.String()
}

// TestHookDisabled checks a hook of which one of two receivers answers 410 (F34): it is listed as disabled,
// the other hooks get an event about it, and it gets nothing after a restart. After it is enabled it gets
// events again.
func TestHookDisabled(t *testing.T) {
	t.Parallel()
	good, bad, ops := hooktest.NewReceiver(t), hooktest.NewReceiver(t), hooktest.NewReceiver(t)
	bad.Play(hooktest.Step{Status: http.StatusGone})
	file, agi, web := config(t, fmt.Sprintf(`
[[hook]]
name = "journal"
events = ["*"]
url = ["%s/cti", "%s/copy?key=sesame-open"]
[[hook]]
name = "ops"
events = ["ringhook.hook_disabled"]
url = "%s/"
`, good.URL(), bad.URL(), ops.URL()))
	text, err := os.ReadFile(file)
	if err == nil {
		err = os.WriteFile(file, bytes.Replace(text, []byte("[http]\n"), []byte("[http]\ntoken = \""+testToken+"\"\n"), 1), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	call := func(id string) {
		t.Helper()
		ringhook(t, "call", "queue-dial", "queue_id=500", "--uniqueid", id, "--server", agi, "-c", file)
	}
	c := spawn(t, file, web)
	call("1.1")
	until(t, "the hook is disabled", func() bool { return len(ops.Requests()) > 0 })
	if got := ops.Requests()[0]; !strings.Contains(got.Body, `"hook":"journal.2"`) || !strings.Contains(got.Body, `"reason":"gone"`) {
		t.Errorf("others get %s", got.Body)
	}
	if one, two := good.Requests(), bad.Requests(); len(one) != 1 || one[0].Header.Get("webhook-id") != two[0].Header.Get("webhook-id") {
		t.Errorf("the copies got %+v and %+v", one, two)
	}
	c.untilMetric(web, `ringhook_hook_disabled{hook="journal.2"} 1`)
	c.stop()

	c = spawn(t, file, web)
	c.untilMetric(web, `ringhook_hook_disabled{hook="journal.2"} 1`)
	call("1.2")
	c.untilMetric(web, `ringhook_hook_dead{hook="journal.2"} 2`)
	c.untilMetric(web, `ringhook_hook_pending{hook="journal"} 0`)
	list := ringhook(t, "hook", "list", "-c", file)
	for _, want := range []string{"journal.2  0        -       2     disabled since", "answered 410", "journal    0        -       0     fine"} {
		if !strings.Contains(list, want) {
			t.Errorf("the list does not say %q:\n%s", want, list)
		}
	}
	if dead := ringhook(t, "outbox", "list", "-c", file, "--hook", "journal.2", "--state", "dead"); strings.Count(dead, "gone") != 2 {
		t.Errorf("want two dead letters:\n%s", dead)
	}
	var api struct{ Hooks []api.HookReport }
	_, _, answer := request(t, web+"/v1/hooks", "", func(r *http.Request) { r.Method = http.MethodGet })
	if err := json.Unmarshal([]byte(answer), &api); err != nil || len(api.Hooks) != 3 || api.Hooks[1].State != "disabled" || api.Hooks[1].Reason != "gone" {
		t.Errorf("/v1/hooks: got %s, %v", answer, err)
	}
	if out := ringhook(t, "hook", "enable", "ops", "-c", file); !strings.Contains(out, "is not disabled") {
		t.Errorf("got %s", out)
	}
	if out := ringhook(t, "hook", "enable", "journal.2", "-c", file); !strings.Contains(out, "is enabled") {
		t.Errorf("got %s", out)
	}
	c.untilMetric(web, `ringhook_hook_disabled{hook="journal.2"} 0`)
	call("1.3")
	until(t, "the hook has events again", func() bool { return len(bad.Requests()) == 2 })
	if got := bad.Requests()[1]; !strings.Contains(got.Body, `"linkedid":"1.3"`) {
		t.Errorf("after it was enabled came %s", got.Body)
	}

	bad.Play(hooktest.Step{Status: http.StatusGone})
	call("1.4")
	c.untilMetric(web, `ringhook_hook_disabled{hook="journal.2"} 1`)
	for _, f := range []struct {
		body   string
		status int
		want   string
	}{
		{`{"hook": "journal.2"}`, 200, `{"enabled":true}`}, {`{"hook": "journal.2"}`, 200, `{"enabled":false}`},
		{`{"hook": "nobody"}`, 404, "no hook"}, {`{}`, 404, "no hook"},
	} {
		if status, _, answer := request(t, web+"/v1/hooks/enable", f.body, func(*http.Request) {}); status != f.status || !strings.Contains(answer, f.want) {
			t.Errorf("%s: got %d %s, want %d %s", f.body, status, answer, f.status, f.want)
		}
	}
	c.untilMetric(web, `ringhook_hook_disabled{hook="journal.2"} 0`)
	c.stop()
	if strings.Contains(c.log.String(), "sesame-open") {
		t.Errorf("the log shows a secret:\n%s", c.log)
	}

	var out bytes.Buffer
	if code := run(t.Context(), []string{"hook", "enable", "nobody", "-c", file}, &out, &out); code != exitFailure || !strings.Contains(out.String(), "journal.2") {
		t.Errorf("ended with %d: %s", code, &out)
	}
	if out := ringhook(t, "hook", "test", "journal.2", "-c", file); !strings.Contains(out, "/copy") || strings.Contains(out, "sesame-open") {
		t.Errorf("hook test of the copy: %s", out)
	}
}

// TestHookListUnknown checks that pending deliveries of a removed hook are listed.
func TestHookListUnknown(t *testing.T) {
	receiver := hooktest.NewReceiver(t)
	receiver.Answer(func(hooktest.Request) hooktest.Step { return hooktest.Step{Status: 500} })
	file, agi, web := config(t, fmt.Sprintf("[[hook]]\nname = \"old\"\nevents = [\"*\"]\nurl = %q\n", receiver.URL()))
	c := spawn(t, file, web)
	ringhook(t, "call", "queue-dial", "queue_id=500", "--uniqueid", "1.1", "--server", agi, "-c", file)
	until(t, "an attempt", func() bool { return len(receiver.Requests()) > 0 })
	c.stop()
	text, err := os.ReadFile(file)
	if err == nil {
		err = os.WriteFile(file, bytes.Replace(text, []byte(`"old"`), []byte(`"new"`), 1), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	if list := ringhook(t, "hook", "list", "-c", file); !strings.Contains(list, "old   1 ") || !strings.Contains(list, "of that name until 2") || !strings.Contains(list, "new   0 ") {
		t.Errorf("got\n%s", list)
	}
	c = spawn(t, file, web)
	c.stop()
	if text := c.log.String(); !strings.Contains(text, "hook=old pending=1 until=") {
		t.Errorf("the start does not warn:\n%s", text)
	}
}

// TestHookListFailing checks that a hook of which the first attempt failed is not shown as fine, but with the reason and the
// time of the next attempt.
func TestHookListFailing(t *testing.T) {
	file, _ := daemon(t, "", "[[hook]]\nname = \"crm\"\nevents = [\"*\"]\nurl = \"http://127.0.0.1:1/\"\n")
	ringhook(t, "call", "queue-dial", "queue_id=500", "--uniqueid", "1.1", "-c", file)
	shown := ""
	wait.Until(t, func() bool {
		shown = ringhook(t, "hook", "list", "-c", file)
		return strings.Contains(shown, "failing: connection refused, next at 2")
	}, "hook list does not come to say why the hook fails")
}

// TestRaw checks that --raw prints the request as it is sent, with its secrets, and that nothing else does.
func TestRaw(t *testing.T) {
	receiver := hooktest.NewReceiver(t)
	file, _ := daemon(t, "", fmt.Sprintf("[[hook]]\nname = \"crm\"\nevents = [\"*\"]\nurl = \"%s/x\"\nheaders = { X-Key = \"sesame-open\" }\n", receiver.URL()))
	ringhook(t, "call", "queue-dial", "queue_id=500", "--uniqueid", "1.1", "-c", file)
	if _, err := receiver.Wait(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"hook", "test", "crm"}, {"outbox", "show", "1"}} {
		args = append(args, "-c", file)
		if got := ringhook(t, args...); strings.Contains(got, "sesame-open") || !strings.Contains(got, "X-Key: ***") {
			t.Errorf("%q prints\n%s", args, got)
		}
		if got := ringhook(t, append(args, "--raw")...); !strings.Contains(got, " /x HTTP/1.1\r\n") || !strings.Contains(got, "X-Key: sesame-open\r\n") {
			t.Errorf("%q --raw prints\n%s", args, got)
		}
	}
}
