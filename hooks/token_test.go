package hooks_test

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"ringhook/hooks"
	"ringhook/hooks/hooktest"
	"ringhook/httpclient"
)

// guarded is a receiver with its token endpoint. Tokens are valid for life seconds. The first is refused from
// its second use on.
func guarded(t *testing.T, life int) (cfg hooks.Config, crm *hooktest.Receiver, fetched *atomic.Int32) {
	crm, fetched = hooktest.NewReceiver(t), new(atomic.Int32)
	var first atomic.Int32
	crm.Answer(func(r hooktest.Request) hooktest.Step {
		if r.URL == "/token" {
			return hooktest.Step{Type: "application/json", Body: fmt.Sprintf(`{"access_token":"hush-%d","token_type":"Bearer","expires_in":%d}`, fetched.Add(1), life)}
		}
		if r.Header.Get("Authorization") == "Bearer hush-1" && first.Add(1) > 1 {
			return hooktest.Step{Status: 401, Body: "hush-1 is not good"}
		}
		return hooktest.Step{}
	})
	cfg = hookTo("crm", crm.URL()+"/cti")
	cfg.OAuth2 = httpclient.OAuth2{TokenURL: crm.URL() + "/token", ClientID: "ring:hook", ClientSecret: "s3cret&", Scope: "events calls"}
	return cfg, crm, fetched
}

func TestToken(t *testing.T) {
	cfg, crm, fetched := guarded(t, 3600)
	outbox := hooktest.NewOutbox()
	outbox.Hurry()
	first := outbox.Add(event("1.1", 1), "crm")[0]
	second := outbox.Add(event("1.1", 2), "crm")[0]
	start(t, outbox, cfg)
	waitUntil(t, outbox, func() bool { return outbox.Pending() == 0 })
	if n := len(outbox.Row(first).Attempts); n != 1 {
		t.Errorf("%d attempts of the first event", n)
	}
	row := outbox.Row(second)
	if len(row.Attempts) != 2 || row.Attempts[0].Class != "rejected" || row.Attempts[0].Excerpt != "*** is not good" {
		t.Errorf("got %+v", row)
	}
	if n := fetched.Load(); n != 2 {
		t.Errorf("%d tokens were fetched, want one, and another after it was refused", n)
	}
	got := crm.Requests()[0]
	if got.Method != "POST" || got.Body != "grant_type=client_credentials&scope=events+calls" || got.Header.Get("Authorization") != "Basic cmluZyUzQWhvb2s6czNjcmV0JTI2" {
		t.Errorf("got %+v", got)
	}
}

func TestTokenThatEnds(t *testing.T) {
	cfg, _, fetched := guarded(t, 0)
	outbox := hooktest.NewOutbox()
	for call := range 20 {
		outbox.Add(event(fmt.Sprint("1.", call), 1), "crm")
	}
	outbox.Hurry()
	start(t, outbox, cfg)
	waitUntil(t, outbox, func() bool { return outbox.Pending() == 0 })
	if n := fetched.Load(); n != 2 {
		t.Errorf("%d tokens were fetched", n)
	}
}

func TestNoToken(t *testing.T) {
	f := func(step hooktest.Step, class, excerpt string) {
		t.Helper()
		crm, outbox := hooktest.NewReceiver(t), hooktest.NewOutbox()
		crm.Answer(func(hooktest.Request) hooktest.Step { return step })
		cfg := hookTo("crm", crm.URL())
		cfg.OAuth2 = httpclient.OAuth2{TokenURL: crm.URL() + "/token", ClientID: "ringhook", ClientSecret: "s3cret"}
		id := outbox.Add(event("1.1", 1), "crm")[0]
		_, stop := start(t, outbox, cfg)
		waitUntil(t, outbox, func() bool { return len(outbox.Row(id).Attempts) == 1 })
		stop()
		row := outbox.Row(id)
		if row.State != hooks.Pending || row.Attempts[0].Class != class || !strings.Contains(row.Attempts[0].Excerpt, excerpt) || strings.Contains(row.Attempts[0].Excerpt, "s3cret") {
			t.Errorf("got %+v", row)
		}
		for _, r := range crm.Requests() {
			if r.URL != "/token" {
				t.Errorf("the receiver got a request without a token: %+v", r)
			}
		}
	}
	f(hooktest.Step{Status: 401, Body: "s3cret is wrong"}, "rejected", "get token: status 401")
	f(hooktest.Step{Status: 410}, "rejected", "get token: status 410")
	f(hooktest.Step{Status: 503}, "server", "get token: status 503")
	f(hooktest.Step{Body: "{}"}, "rejected", "the response is not a token")
	f(hooktest.Step{Body: "<html>s3cret"}, "rejected", "the response is a page for people, such as a login")
	f(hooktest.Step{Body: " <!DOCTYPE html><p>s3cret"}, "rejected", "the response is a page for people")
}
