package test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"ringhook/conf"
	"ringhook/fastagi"
	"ringhook/fastagi/asterisk"
	"ringhook/hooks/hooktest"
	"ringhook/test/wait"
)

// T-LOG-02, T-LOG-03, T-SEC-01: in a call in which everything fails, neither the caller nor the text of a
// receiver is in the log, and no secret is shown.
func TestNothingPrivateIsLogged(t *testing.T) {
	const number, name, said, secret = "+442079460142", "Wanamaker", "no such customer", "s3cretKey4you9"
	crm := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("queue") == "500" {
			fmt.Fprintf(w, "CALLERID(name)=%s&SHELL(%s)=1&QUEUE_PRIO=%s", name, number[1:], name)
			return
		}
		w.WriteHeader(http.StatusInternalServerError)
		fmt.Fprint(w, said, number)
	}))
	defer crm.Close()
	receiver := hooktest.NewReceiver(t)
	receiver.Answer(func(hooktest.Request) hooktest.Step { return hooktest.Step{Status: 404, Body: said + " " + number} })
	signing := "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	more := fmt.Sprintf(`
[number]
country = "GB"
[[lookup]]
name = "crm"
points = ["queue-dial"]
url = "%[1]s/?api_key=%[4]s&phone=%%callerid%%&queue=%%queue_id%%"
headers = { Authorization = "Bearer %[4]s" }
[[lookup]]
name = "gone"
points = ["agent-dial"]
url = "http://127.0.0.1:1/%%callerid%%?token=%[4]s&name=%%callerid_name%%"
[[hook]]
name = "refuses"
events = ["*"]
url = "%[2]s/?number=%%callerid%%&key=%[4]s"
headers = { Authorization = "Bearer %[4]s" }
secret = "%[3]s"
[[hook]]
name = "gone"
events = ["*"]
when = "len(callerid) > 5"
url = "http://127.0.0.1:1/%%callerid%%?token=%[4]s&name=%%callerid_name%%"
`, crm.URL, receiver.URL(), signing, secret)
	var log bytes.Buffer
	seen := map[string]string{} // the text of each output
	t.Run("calls", func(t *testing.T) {
		file, web := daemonLogging(t, secret+"-long-enough-for-a-token", more, &log)
		cfg, err := conf.Load(file)
		if err != nil {
			t.Fatal(err)
		}
		ask := func(point string, args ...string) {
			ctx := wait.Context(t)
			_, err := asterisk.Call(ctx, cfg.FastAGI.Listen, asterisk.CallRequest{
				Env: fastagi.Env{Point: point, Channel: "Local/" + number + "@agents-1", UniqueID: "1.1", CallerNum: number, CallerName: name, Args: args},
			})
			if err != nil {
				t.Error(err)
			}
		}
		ask("queue-dial", "queue_id=500")
		ask("queue-dial", "queue_id=501")
		ask("agent-dial", "agent_phone=101")
		ask("queue-dail")
		ask("queue-dial", number)
		ask("queue-dial", name)
		ask("event", "name="+number)
		ask("lookup", "country="+number)
		ask("call-hangup")
		if _, err := receiver.Wait(t.Context(), 1); err != nil {
			t.Error(err)
		}
		for _, args := range [][]string{
			{"outbox", "list"}, {"outbox", "show", "1"}, {"outbox", "show", "2"}, {"trace"}, {"trace", "1.1"}, {"trace", "1.1", "--json"}, {"export", number}, {"check"},
			{"lookup", number}, {"lookup", number, "--json"}, {"hook", "test", "refuses"}, {"hook", "test", "gone"}, {"cache", "show", number},
		} {
			var out bytes.Buffer
			run(t.Context(), append(args, "-c", file), &out, &out)
			seen[strings.Join(args, " ")] = out.String()
		}
		resp, err := http.Get(web + "/metrics")
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		seen["metrics"] = string(text)
	})
	seen["log"] = log.String()
	for _, private := range []string{number[1:], number[3:], name, said} {
		for _, surface := range []string{"log", "metrics"} {
			if strings.Contains(seen[surface], private) {
				t.Errorf("%q is in the %s:\n%s", private, surface, seen[surface])
			}
		}
	}
	for surface, text := range seen {
		if strings.Contains(text, secret) || strings.Contains(text, signing[6:]) {
			t.Errorf("a secret is in %s:\n%s", surface, text)
		}
	}
	for _, want := range []string{"request rejected", "lookup fails", "delivery failed", "variable of an answer refused"} {
		if !strings.Contains(seen["log"], want) {
			t.Errorf("the log does not say %q:\n%s", want, seen["log"])
		}
	}
}
