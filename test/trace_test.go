package test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"ringhook/dialplan"
	"ringhook/hooks/hooktest"
	"ringhook/test/wait"
)

// TestTrace checks that ringhook trace shows why the CRM did not get a call.
func TestTrace(t *testing.T) {
	receiver := hooktest.NewReceiver(t)
	receiver.Answer(func(r hooktest.Request) hooktest.Step {
		if strings.Contains(r.Body, "call-hangup") {
			return hooktest.Step{Status: 500, Body: "database is away"}
		}
		return hooktest.Step{}
	})
	file, _ := daemon(t, "", fmt.Sprintf("[[hook]]\nname = \"crm\"\nevents = [\"*\"]\nurl = %q\n", receiver.URL()))
	ringhook := func(code int, args ...string) string {
		t.Helper()
		var out, errOut bytes.Buffer
		if got := run(t.Context(), append(args, "-c", file), &out, &errOut); got != code {
			t.Fatalf("ringhook %s ended with %d: %s%s", args, got, &out, &errOut)
		}
		return out.String() + errOut.String()
	}
	sent := 0
	for _, c := range []struct {
		point  string
		events int
	}{{"queue-dial", 1}, {"queue-hangup", 2}, {"queue-dail", 0}, {"call-hangup", 1}} {
		code := exitOK
		if c.events == 0 {
			code = exitUsage
		}
		ringhook(code, "call", c.point, "queue_id=500", "--uniqueid", "1.1", "--from", "+442079460142", "--var", "ABANDONED=TRUE")
		sent += c.events
		if _, err := receiver.Wait(t.Context(), sent); err != nil {
			t.Fatal(err)
		}
	}
	if got := ringhook(exitOK, "trace"); !strings.Contains(got, "1.1") || !strings.Contains(got, "+442079460142") {
		t.Errorf("the call is not in the list:\n%s", got)
	}
	if got := ringhook(exitOK, "trace", "--until", "1h"); strings.Contains(got, "1.1") {
		t.Errorf("the call is in the list of an hour ago:\n%s", got)
	}
	deadline := time.Now().Add(wait.Limit)
	got := ""
	for tick := time.NewTicker(20 * time.Millisecond); !strings.Contains(got, "server 500") || strings.Count(got, " on PJSIP") < 4; <-tick.C {
		if got = ringhook(exitOK, "trace", "1.1"); time.Now().After(deadline) {
			break
		}
	}
	rest := got
	for _, want := range []string{
		"call 1.1, incoming", "queue 500: entered ", "callerid = +442079460142",
		"queue-dial on PJSIP/ringhook-call: OK after ", "channel: caller=+442079460142", "given: queue_id=500", "read: linkedid=1.1", "set: __RINGHOOK_VISIT=1.1/1/500 RINGHOOK_STATUS=OK",
		"event 1 queue-dial  queue_id=500", "to crm: queue-dial delivered 200", "queue-hangup on PJSIP", "event 2 queue-hangup  queue_id=500 status=cancel",
		"queue-dail on PJSIP/ringhook-call: ERROR after ", `failed: unknown point "queue-dail"`,
		"event 4 call-hangup", "to crm: call-hangup server 500", "database is away", "to crm: call-hangup is pending (delivery 4), next attempt: 2",
		"Not delivered:", "crm did not get call-hangup (delivery 4), which is pending after 1 attempts, the last: server 500", "ringhook outbox retry --call 1.1",
	} {
		_, after, ok := strings.Cut(rest, want)
		if !ok {
			t.Errorf("%q is missing, or in another place, in\n%s", want, got)
			continue
		}
		rest = after
	}
	if got := ringhook(exitOK, "trace"); !strings.Contains(got, "queue-dail failed; crm: 1 pending, failing (server 500), next at ") {
		t.Errorf("the trouble is not in the list:\n%s", got)
	}
	var report struct {
		Points     []dialplan.PointTrace
		Deliveries []struct{ Event string }
	}
	if err := json.Unmarshal([]byte(ringhook(exitOK, "trace", "1.1", "--json")), &report); err != nil || len(report.Points) != 4 || len(report.Deliveries) != 4 || report.Deliveries[3].Event != "call-hangup" {
		t.Errorf("as JSON: %+v, %v", report, err)
	}
	if got := ringhook(exitFailure, "trace", "9.9"); !strings.Contains(got, "nothing is known") {
		t.Error(got)
	}
}
