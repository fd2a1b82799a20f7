package test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"ringhook/api"
	"ringhook/hooks/hooktest"
	"ringhook/test/wait"
)

// TestOutboxAPI checks that the API shows why a receiver refuses an event, and retries it.
func TestOutboxAPI(t *testing.T) {
	receiver := hooktest.NewReceiver(t)
	receiver.Play(hooktest.Step{Status: 404, Body: "no such page, sesame-open"})
	file, web := daemon(t, testToken, fmt.Sprintf(`
[[hook]]
name = "journal"
events = ["queue-dial"]
url = "%s/cti?key=sesame-open"
[recordings]
url = "https://rec.example/%%file%%?key=open-sesame"
`, receiver.URL()))
	var out bytes.Buffer
	if code := run(t.Context(), []string{"call", "queue-dial", "queue_id=500", "callerid=+442079460142", "recording_file=a.wav", "--uniqueid", "1.1", "-c", file}, &out, &out); code != exitOK {
		t.Fatalf("ended with %d: %s", code, &out)
	}
	get := func(path string, status int, into any) {
		t.Helper()
		got, _, answer := request(t, web+path, "", func(r *http.Request) { r.Method = http.MethodGet })
		if got != status || strings.Contains(answer, "sesame-open") || strings.Contains(answer, "open-sesame") {
			t.Fatalf("%s: got %d %s, want %d and no secret", path, got, answer, status)
		}
		if err := json.Unmarshal([]byte(answer), into); err != nil {
			t.Fatalf("%s: %v in %s", path, err, answer)
		}
	}
	post := func(path, body string, status int, want string) {
		t.Helper()
		got, _, answer := request(t, web+path, body, func(*http.Request) {})
		if got != status || !strings.Contains(answer, want) {
			t.Fatalf("%s %s: got %d %s, want %d %s", path, body, got, answer, status, want)
		}
	}
	until := func(state string) (d api.DeliveryReport) {
		t.Helper()
		var list struct{ Deliveries []api.DeliveryReport }
		wait.Until(t, func() bool {
			get("/v1/outbox?hook=journal&call=1.1&since=1h&until=0s&limit=1", 200, &list)
			return len(list.Deliveries) == 1 && list.Deliveries[0].Attempts > 0 && list.Deliveries[0].State == state
		}, "no delivery becomes %s", state)
		return list.Deliveries[0]
	}
	d := until("pending")
	if d.Class != "rejected" || d.Status != 404 || d.Next == nil || d.Event != "queue-dial" {
		t.Errorf("got %+v", d)
	}
	path := fmt.Sprint("/v1/outbox/", d.ID)
	var details api.DeliveryDetails
	get(path, 200, &details)
	if link := details.Params["recording_url"]; link != "https://rec.example/a.wav?key=***" {
		t.Errorf("recording_url is shown as %v", link)
	}
	get("/v1/calls/1.1", 200, &map[string]any{})
	for _, args := range [][]string{{"trace", "1.1"}, {"trace", "1.1", "--json"}, {"export", "+442079460142"}, {"outbox", "show", fmt.Sprint(d.ID)}} {
		var out bytes.Buffer
		code := run(t.Context(), append(args, "-c", file), &out, &out)
		if shown := out.String(); code != exitOK || !strings.Contains(shown, "rec.example/a.wav?key=") || strings.Contains(shown, "open-sesame") {
			t.Errorf("%v ended with %d:\n%s", args, code, shown)
		}
	}
	if len(details.Made) != 1 || !strings.Contains(details.Made[0].Answer, "no such page") || details.Params["queue_id"] != "500" ||
		details.Request == nil || !strings.Contains(details.Request.Body, `"queue_id":"500"`) {
		t.Errorf("got %+v", details)
	}
	post("/v1/outbox/retry", fmt.Sprintf(`{"ids": [%d]}`, d.ID), 200, `{"changed":1}`)
	if d = until("delivered"); d.Attempts != 2 {
		t.Errorf("delivered after %d attempts, want 2", d.Attempts)
	}
	post("/v1/outbox/drop", `{"hook": "journal"}`, 200, `{"changed":0}`)
	post("/v1/outbox/replay", `{"hook": "journal", "since": "1h"}`, 200, `{"replayed":1,"seconds":0}`)
	if again := until("delivered"); again.ReplayOf != d.ID || again.EventID != d.EventID {
		t.Errorf("sent again: %+v, want the event of %+v", again, d)
	}

	var refused map[string]string
	get("/v1/outbox/999", 404, &refused)
	get("/v1/outbox/x", 404, &refused)
	get("/v1/outbox?hook=jornal", 404, &refused)
	for _, path := range []string{"retry", "drop"} {
		post("/v1/outbox/"+path, `{"hook": "jornal"}`, 404, "has journal")
	}
	post("/v1/outbox/replay", `{"hook": "jornal", "since": "1h"}`, 404, "has journal")
	get("/v1/outbox?state=lost", 400, &refused)
	get("/v1/outbox?since=soon", 400, &refused)
	get("/v1/outbox?limit=x", 400, &refused)
	get("/v1/outbox?limit=100000", 400, &refused)
	get("/v1/outbox?hok=journal", 400, &refused)
	post("/v1/outbox/retry", `{}`, 400, "give ids")
	post("/v1/outbox/replay", `{"hook": "journal"}`, 400, "since")
	post("/v1/outbox/17", `{}`, 405, "use GET")
	post("/v1/nothing", `{}`, 404, "POST /v1/outbox/retry")
}

// TestRetryNow checks that the command and the API retry a delivery although the receiver asked for a pause
// of an hour.
func TestRetryNow(t *testing.T) {
	receiver := hooktest.NewReceiver(t)
	receiver.Answer(func(hooktest.Request) hooktest.Step { return hooktest.Step{Status: 503, RetryAfter: "3600"} })
	file, web := daemon(t, testToken, fmt.Sprintf("[[hook]]\nname = \"journal\"\nevents = [\"queue-dial\"]\nurl = %q\n", receiver.URL()))
	ringhook(t, "call", "queue-dial", "queue_id=500", "--uniqueid", "1.1", "-c", file)
	waiting := func() bool { return strings.Contains(ringhook(t, "hook", "list", "-c", file), "paused until") }
	for n, retry := range []func(){
		func() {},
		func() { ringhook(t, "outbox", "retry", "--hook", "journal", "-c", file) },
		func() {
			if status, _, answer := request(t, web+"/v1/outbox/retry", `{"hook": "journal"}`, func(*http.Request) {}); status != 200 {
				t.Fatalf("got %d %s", status, answer)
			}
		},
	} {
		retry()
		until(t, fmt.Sprintf("attempt %d", n+1), func() bool { return len(receiver.Requests()) == n+1 && waiting() })
	}
	receiver.Answer(func(hooktest.Request) hooktest.Step { return hooktest.Step{} })
	ringhook(t, "outbox", "retry", "--hook", "journal", "-c", file)
	until(t, "taken", func() bool { return strings.Contains(ringhook(t, "outbox", "list", "-c", file), "delivered 200") })
}
