package hooks_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"ringhook/hooks"
	"ringhook/hooks/hooktest"
)

// once checks the error of sending an event once; it is none if want is empty.
func once(t *testing.T, d *hooks.Dispatcher, ev hooks.Event, want string) {
	t.Helper()
	err := d.Once("crm", &ev)
	if err == nil != (want == "") || err != nil && err.Error() != want {
		t.Errorf("got %v, want %q", err, want)
	}
}

// TestOnce checks an event that is sent without the outbox: it has the remembered values of its call, counts for the rate,
// and its error has no word of the answer.
func TestOnce(t *testing.T) {
	crm, outbox := hooktest.NewReceiver(t), hooktest.NewOutbox()
	cfg := remembering(crm.URL())
	cfg.Rate, cfg.Burst, cfg.Taken = "1/h", 5, ".ok"
	crm.Play(hooktest.Step{Body: `{"ok": 1, "id": 7}`}, hooktest.Step{Body: `{"ok": 1}`}, hooktest.Step{Body: `{"customer": "Anna"}`}, hooktest.Step{Status: 503, Body: "Anna"})
	d, _ := start(t, outbox, cfg)
	outbox.Add(calling("1.1", "call-dial", 1), "crm")
	d.Wake("crm")
	waitUntil(t, outbox, func() bool { return outbox.Pending() == 0 })

	pop := calling("1.1", "pop", 2)
	once(t, d, pop, "")
	if got := crm.Requests(); len(got) != 2 || got[1].Body != `{"id":"7","seq":2}` {
		t.Errorf("got %+v", got)
	}
	once(t, d, pop, "refused: the answer does not say that the event was taken")
	once(t, d, pop, "server: status 503")
	once(t, d, calling("2.1", "pop", 1), "needs: no answer of the call has left crm_call")
	once(t, d, pop, "rate: no further attempt is allowed now")
	if err := d.Once("other", &pop); err == nil || !strings.Contains(err.Error(), "not in the configuration") {
		t.Errorf("unknown hook: %v", err)
	}
}

// TestOnceWithoutTheOutbox checks an event whose remembered values cannot be read.
func TestOnceWithoutTheOutbox(t *testing.T) {
	crm, outbox := hooktest.NewReceiver(t), hooktest.NewOutbox()
	d, _ := start(t, outbox, remembering(crm.URL()))
	outbox.Fail(errors.New("disk error"))
	defer outbox.Fail(nil)
	once(t, d, calling("1.1", "pop", 1), "read remembered values: disk error")
}

// TestOnceAfterAReload checks that an event handed to the dispatcher before a reload is sent as the hook is configured now.
func TestOnceAfterAReload(t *testing.T) {
	crm, outbox := hooktest.NewReceiver(t), hooktest.NewOutbox()
	cfg := hookTo("crm", crm.URL())
	first, _ := start(t, outbox, cfg)
	cfg.Headers = map[string]string{"X-Second": "yes"}
	second := replace(t, first, outbox, cfg)
	once(t, first, event("1.1", 1), "")
	if got := crm.Requests(); len(got) != 1 || got[0].Header.Get("X-Second") != "yes" {
		t.Errorf("got %+v", got)
	}
	third := replace(t, second, outbox)
	if err := third.Close(t.Context()); err != nil { // waits for the hook that is no longer configured
		t.Fatal(err)
	}
	once(t, first, event("1.1", 1), `hook "crm" sends nothing any more: it is no longer in the configuration, or ringhook stops`)
}

// TestOnceAfterTheEnd checks an event that comes when the hook of the configuration has ended.
func TestOnceAfterTheEnd(t *testing.T) {
	d, _ := start(t, hooktest.NewOutbox(), hookTo("crm", "http://crm.example/"))
	if err := d.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	once(t, d, event("1.1", 1), `hook "crm" sends nothing any more: it is no longer in the configuration, or ringhook stops`)
}

// TestOncePaused checks that nothing is sent at once to a hook that is paused or disabled, until it sends again.
func TestOncePaused(t *testing.T) {
	pop := calling("1.1", "pop", 2)
	for _, c := range []struct {
		name   string
		status int
		want   string
		enable func(o *hooktest.Outbox)
	}{
		{"paused", 503, "paused: nothing is sent until ", nil},
		{"disabled", 410, "disabled: its receiver answered 410", func(o *hooktest.Outbox) { o.Enable("crm") }},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				outbox := hooktest.NewOutbox()
				inBubble(t, outbox, hookTo("crm", "http://crm.example/"), func(d *hooks.Dispatcher, crm *crm) {
					once(t, d, pop, "")
					crm.answer(c.status)
					for seq := range 12 {
						outbox.Add(event(fmt.Sprint("2.", seq), 1), "crm")
					}
					d.Wake("crm")
					time.Sleep(time.Second)
					sent := len(crm.attempts())
					if err := d.Once("crm", &pop); err == nil || !strings.HasPrefix(err.Error(), c.want) || len(crm.attempts()) != sent {
						t.Errorf("%v, want %q; %d of %d requests are for the pop", err, c.want, len(crm.attempts())-sent, len(crm.attempts()))
					}
					crm.answer(200)
					if c.enable != nil {
						c.enable(outbox)
					}
					d.Wake("crm")
					time.Sleep(time.Hour)
					once(t, d, pop, "")
				})
			})
		})
	}
}
