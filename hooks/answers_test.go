package hooks_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"ringhook/hooks"
	"ringhook/hooks/hooktest"
	"ringhook/httpclient"
)

// calling returns an event of a name.
func calling(call, name string, seq int) hooks.Event {
	ev := event(call, seq)
	ev.Name, ev.Params["event"] = name, name
	return ev
}

// TestAnswers checks what taken, known and final make of an answer.
func TestAnswers(t *testing.T) {
	f := func(step hooktest.Step, state hooks.State, class string) {
		t.Helper()
		crm, outbox := hooktest.NewReceiver(t), hooktest.NewOutbox()
		crm.Play(step)
		id := outbox.Add(event("1.1", 1), "crm")[0]
		c := hookTo("crm", crm.URL())
		c.Taken, c.Known, c.Final = ".success", map[string]string{"400": "already exist", "409": "", "500": "already exist"}, []int{400, 403, 422}
		c.Refused = []string{"Authentication>Failure", "\"refused\": true"}
		_, stop := start(t, outbox, c)
		waitUntil(t, outbox, func() bool { return len(outbox.Row(id).Attempts) > 0 })
		stop()
		if row := outbox.Row(id); row.State != state || row.Attempts[0].Class != class || row.Attempts[0].Status != step.Status {
			t.Errorf("%+v: got %+v", step, row)
		}
	}
	f(hooktest.Step{Status: 200, Body: `{"success": true}`}, hooks.Delivered, "delivered")
	f(hooktest.Step{Status: 200, Body: `{"success": false}`}, hooks.Pending, "refused")
	f(hooktest.Step{Status: 200, Body: `good`}, hooks.Pending, "refused")
	f(hooktest.Step{Status: 200, Body: `{"success": true, "refused": true}`}, hooks.Pending, "refused")
	f(hooktest.Step{Status: 200, Body: `{"success": true, "x": "` + strings.Repeat("x", 100<<10) + `"}`}, hooks.Pending, "refused")
	f(hooktest.Step{Status: 400, Body: `{"error": "The record already exists: already exist"}`}, hooks.Delivered, "delivered")
	f(hooktest.Step{Status: 400, Body: `{"error": "no such field"}`}, hooks.Dead, "rejected")
	f(hooktest.Step{Status: 409}, hooks.Delivered, "delivered")
	f(hooktest.Step{Status: 422}, hooks.Dead, "rejected")
	f(hooktest.Step{Status: 401}, hooks.Pending, "rejected")
	f(hooktest.Step{Status: 500}, hooks.Pending, "server")
	f(hooktest.Step{Status: 500, Body: `{"error": "Object already exists!"}`}, hooks.Delivered, "delivered")
}

// remembering is a hook whose first event fetches an id that the others need.
func remembering(url string) hooks.Config {
	c := hookTo("crm", url)
	c.Events, c.Needs = []string{"call-dial", "agent-dial", "call-hangup"}, []string{"crm_call"}
	c.Params = map[string]string{"id": "%crm_call%", "seq": "%seq%"}
	c.On = map[string]hooks.Variant{
		"call-dial":  {Path: "register", Params: map[string]string{"id": "none"}, Remember: map[string]string{"crm_call": ".id"}},
		"agent-dial": {Path: "show", Without: "drop"},
	}
	return c
}

// TestRemember checks that an answer's value reaches the later events of the same call, also over a restart, and no other.
func TestRemember(t *testing.T) {
	crm, outbox := hooktest.NewReceiver(t), hooktest.NewOutbox()
	crm.Answer(func(r hooktest.Request) hooktest.Step {
		return hooktest.Step{Body: fmt.Sprintf(`{"id": "for-%s"}`, r.Header.Get("webhook-id"))}
	})
	c := remembering(crm.URL())
	_, stop := start(t, outbox, c)
	for _, call := range []string{"1.1", "1.2"} {
		outbox.Add(calling(call, "call-dial", 1), "crm")
		outbox.Add(calling(call, "agent-dial", 2), "crm")
	}
	waitUntil(t, outbox, func() bool { return outbox.Pending() == 0 })
	stop()
	outbox.Add(calling("1.2", "call-hangup", 3), "crm")
	start(t, outbox, c)
	waitUntil(t, outbox, func() bool { return outbox.Pending() == 0 })
	got := map[string]int{}
	for _, r := range crm.Requests() {
		got[r.URL+" "+r.Body]++
	}
	for _, want := range []string{
		`/register {"id":"none","seq":1}`, `/show {"id":"for-msg_1_1_1","seq":2}`, `/show {"id":"for-msg_1_2_1","seq":2}`, `/ {"id":"for-msg_1_2_1","seq":3}`,
	} {
		if n := got[want]; n != 1 && !(strings.HasPrefix(want, "/register") && n == 2) {
			t.Errorf("%s came %d times: %v", want, n, got)
		}
	}
}

// TestNeeds checks what becomes of events whose value no answer had: a screen is dropped, the rest is dead, and an argument
// of the dialplan stands in for it.
func TestNeeds(t *testing.T) {
	crm, outbox := hooktest.NewReceiver(t), hooktest.NewOutbox()
	crm.Answer(func(hooktest.Request) hooktest.Step { return hooktest.Step{Body: `{"error": "no"}`} })
	ids := append(outbox.Add(calling("1.1", "call-dial", 1), "crm"), outbox.Add(calling("1.1", "agent-dial", 2), "crm")...)
	ids = append(ids, outbox.Add(calling("1.1", "call-hangup", 3), "crm")...)
	passed := calling("1.1", "call-hangup", 4)
	passed.Params["crm_call"] = "passed"
	ids = append(ids, outbox.Add(passed, "crm")...)
	start(t, outbox, remembering(crm.URL()))
	waitUntil(t, outbox, func() bool { return outbox.Pending() == 0 })
	for i, want := range []hooks.State{hooks.Delivered, hooks.Dropped, hooks.Dead, hooks.Delivered} {
		row := outbox.Row(ids[i])
		if row.State != want || len(row.Attempts) != 1 {
			t.Errorf("delivery %d: got %+v, want %v", i, row, want)
		}
		if a := row.Attempts[0]; want != hooks.Delivered && (a.Class != "needs" || a.Status != 0 || !strings.Contains(a.Excerpt, "crm_call")) {
			t.Errorf("delivery %d: %+v", i, a)
		}
	}
	if got := crm.Requests(); len(got) != 2 || got[1].Body != `{"id":"passed","seq":4}` {
		t.Errorf("got %+v", got)
	}
}

// TestNeedsWaits checks that an event waits while the one that fetches its value fails.
func TestNeedsWaits(t *testing.T) {
	crm, outbox := hooktest.NewReceiver(t), hooktest.NewOutbox()
	outbox.Hurry()
	crm.Play(hooktest.Step{Status: 500}, hooktest.Step{Status: 500}, hooktest.Step{Body: `{"id": 7}`})
	outbox.Add(calling("1.1", "call-dial", 1), "crm")
	outbox.Add(calling("1.1", "call-hangup", 2), "crm")
	start(t, outbox, remembering(crm.URL()))
	waitUntil(t, outbox, func() bool { return outbox.Pending() == 0 })
	got := crm.Requests()
	if len(got) != 4 || got[3].Body != `{"id":"7","seq":2}` {
		t.Errorf("got %+v", got)
	}
}

// forgetful is an outbox that does not return remembered values.
type forgetful struct {
	*hooktest.Outbox
	asked chan bool
}

func (o forgetful) Remembered(string, string) (map[string]string, error) {
	select {
	case o.asked <- true:
	default:
	}
	return nil, errors.New("disk error")
}

// TestRememberedFails checks that an event waits, and the log says why, while the values of its call cannot be read.
func TestRememberedFails(t *testing.T) {
	crm, outbox := hooktest.NewReceiver(t), forgetful{hooktest.NewOutbox(), make(chan bool, 1)}
	id := outbox.Add(calling("1.1", "call-hangup", 1), "crm")[0]
	var text bytes.Buffer
	d, err := hooks.New([]hooks.Config{remembering(crm.URL())}, outbox, slog.New(slog.NewTextHandler(&text, nil)), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	d.Start()
	<-outbox.asked
	if err := d.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := text.String(); !strings.Contains(got, `msg="cannot read remembered values, the delivery waits"`) || !strings.Contains(got, "disk error") {
		t.Errorf("logged %q", got)
	}
	if row := outbox.Row(id); row.State != hooks.Pending || len(row.Attempts) != 0 || len(crm.Requests()) != 0 {
		t.Errorf("got %+v", row)
	}
}

// TestRateHolds checks that no more attempts are made than the burst while the rate allows no further one, and that a hook
// that waits for its rate ends at once.
func TestRateHolds(t *testing.T) {
	crm, outbox := hooktest.NewReceiver(t), hooktest.NewOutbox()
	c := hookTo("crm", crm.URL())
	c.Rate, c.Burst = "1/h", 3
	for n := range 10 {
		outbox.Add(event(fmt.Sprintf("1.%d", n), 1), "crm")
	}
	_, stop := start(t, outbox, c)
	waitUntil(t, outbox, func() bool { return outbox.Pending() == 7 })
	stop()
	if n := len(crm.Requests()); n != 3 || outbox.Pending() != 7 {
		t.Errorf("%d requests, %d deliveries wait", n, outbox.Pending())
	}
}

// TestUnreadAnswer checks that the log has an answer of which nothing can be remembered because it cannot be read.
func TestUnreadAnswer(t *testing.T) {
	crm, outbox := hooktest.NewReceiver(t), hooktest.NewOutbox()
	crm.Play(hooktest.Step{Body: `{"id": `})
	var text bytes.Buffer
	d, err := hooks.New([]hooks.Config{remembering(crm.URL())}, outbox, slog.New(slog.NewTextHandler(&text, nil)), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	d.Start()
	id := outbox.Add(calling("1.1", "call-dial", 1), "crm")[0]
	d.Wake("crm")
	waitUntil(t, outbox, func() bool { return outbox.Row(id).State == hooks.Delivered })
	if err := d.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if got := text.String(); !strings.Contains(got, `msg="answer cannot be read, nothing is remembered of it"`) {
		t.Errorf("logged %q", got)
	}
}

// TestRememberedSecret checks that a secret of the request which a receiver repeats is not remembered: remembered values are
// stored, shown and sent in later requests.
func TestRememberedSecret(t *testing.T) {
	secrets := []string{"header-value-1", "param-value-1", "setting-value-1", "query-value-1", "access-token-1"}
	crm, outbox := hooktest.NewReceiver(t), hooktest.NewOutbox()
	crm.Answer(func(r hooktest.Request) hooktest.Step {
		if r.URL == "/token" {
			return hooktest.Step{Type: "application/json", Body: `{"access_token": "access-token-1", "token_type": "Bearer"}`}
		}
		return hooktest.Step{Body: `{"id": "7 ` + strings.Join(secrets, " ") + `"}`}
	})
	cfg := remembering(crm.URL())
	cfg.Headers, cfg.Settings = map[string]string{"X-Api-Key": "header-value-1"}, map[string]string{"token": "setting-value-1"}
	cfg.Params["api_key"], cfg.Path = "param-value-1", "call?auth=query-value-1"
	cfg.OAuth2 = httpclient.OAuth2{TokenURL: crm.URL() + "/token", ClientID: "ringhook", ClientSecret: "client-secret-1"}
	d, _ := start(t, outbox, cfg)
	outbox.Add(calling("1.1", "call-dial", 1), "crm")
	d.Wake("crm")
	waitUntil(t, outbox, func() bool { return outbox.Pending() == 0 })
	ev := calling("1.1", "call-dial", 1)
	got, err := outbox.Remembered("crm", ev.Call())
	if want := "7" + strings.Repeat(" ***", len(secrets)); err != nil || got["crm_call"] != want {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
}
