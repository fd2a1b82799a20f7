package hooks_test

import (
	"net/http"
	"strings"
	"testing"

	"ringhook/hooks"
	"ringhook/hooks/hooktest"
	"ringhook/httpclient"
)

// TestCredentialsStayOnTheirServer checks that a request of on.EVENT.url carries the hook's credentials to the hook's own
// server only, and that user info in it is used.
func TestCredentialsStayOnTheirServer(t *testing.T) {
	const user = "Basic YW5uYTpvdGhlcg==" // anna:other
	for name, tc := range map[string]struct {
		change func(c *hooks.Config, url string)
		header string
		want   string // of the hook's own server
	}{
		"password": {func(c *hooks.Config, _ string) { c.Username, c.Password = "hook", "secret" }, "Authorization", "Basic aG9vazpzZWNyZXQ="},
		"header": {func(c *hooks.Config, _ string) {
			c.Settings = map[string]string{"token": "secret-1"}
			c.Headers = map[string]string{"Authorization": "Bearer %token%"}
		}, "Authorization", "Bearer secret-1"},
		"environment": {func(c *hooks.Config, _ string) {
			c.Headers, c.Environment = map[string]string{"X-Shop": "shop-1"}, []string{"shop-1"}
		}, "X-Shop", "shop-1"},
		"setting from the environment": {func(c *hooks.Config, _ string) {
			c.Settings, c.Environment = map[string]string{"shop": "shop-1"}, []string{"shop-1"}
			c.Headers = map[string]string{"X-Shop": "%shop:html%"}
		}, "X-Shop", "shop-1"},
		"environment beside a parameter": {func(c *hooks.Config, _ string) {
			c.Settings, c.Environment = map[string]string{"shop": "shop-1"}, []string{"shop-1"}
			c.Headers = map[string]string{"X-Shop": "%shop%/%linkedid%"}
		}, "X-Shop", "shop-1/1.1"},
		"secret setting": {func(c *hooks.Config, _ string) {
			c.Settings, c.Headers = map[string]string{"token": "secret-1"}, map[string]string{"X-Shop": "%token%"}
		}, "X-Shop", "secret-1"},
		"oauth2": {func(c *hooks.Config, url string) {
			c.OAuth2 = httpclient.OAuth2{TokenURL: url + "/token", ClientID: "ringhook", ClientSecret: "client-secret-1"}
		}, "Authorization", "Bearer access-token-1"},
		"no secret": {func(c *hooks.Config, _ string) {
			c.Headers = map[string]string{"Idempotency-Key": "%linkedid%", "X-Plain": "plain"}
		}, "X-Plain", "plain"},
	} {
		t.Run(name, func(t *testing.T) {
			crm, other, outbox := hooktest.NewReceiver(t), hooktest.NewReceiver(t), hooktest.NewOutbox()
			crm.Answer(func(r hooktest.Request) hooktest.Step {
				if r.URL == "/token" {
					return hooktest.Step{Type: "application/json", Body: `{"access_token": "access-token-1", "token_type": "Bearer"}`}
				}
				return hooktest.Step{}
			})
			cfg := hookTo("crm", crm.URL())
			tc.change(&cfg, crm.URL())
			cfg.On = map[string]hooks.Variant{
				"agent-dial":   {URL: other.URL() + "/dial"},
				"agent-answer": {URL: strings.Replace(other.URL(), "://", "://anna:other@", 1) + "/answer"},
				"agent-hangup": {URL: strings.Replace(crm.URL(), "http", "HTTP", 1) + "/hangup?from=%callerid%"},
			}
			cfg.Events = []string{"*"}
			for i, event := range []string{"agent-dial", "agent-answer", "agent-hangup", "call-hangup"} {
				outbox.Add(calling("1.1", event, i+1), "crm")
			}
			start(t, outbox, cfg)
			waitUntil(t, outbox, func() bool { return outbox.Pending() == 0 })
			own := 0
			for _, r := range crm.Requests() {
				if r.URL == "/token" {
					continue
				}
				own++
				check(t, r.URL, r.Header, tc.header, tc.want)
			}
			if got := other.Requests(); own != 2 || len(got) != 2 {
				t.Fatalf("%d requests to the hook's server, %+v to the other one", own, got)
			}
			want := ""
			if name == "no secret" {
				want = tc.want
				check(t, "other", other.Requests()[0].Header, "Idempotency-Key", "1.1")
			}
			check(t, "other", other.Requests()[0].Header, tc.header, want)
			check(t, "user info", other.Requests()[1].Header, "Authorization", user)
		})
	}
}

func check(t *testing.T, request string, header http.Header, name, want string) {
	t.Helper()
	if got := header.Get(name); got != want {
		t.Errorf("%s: %s is %q, want %q", request, name, got, want)
	}
}
