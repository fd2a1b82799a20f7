package hooks

import (
	"strings"
	"testing"
	"time"

	"ringhook/httpclient"
)

func sample() Config {
	c := DefaultConfig()
	c.Name, c.Events, c.URL = "crm", []string{"*"}, Addresses{"https://crm.example/cti"}
	return c
}

func problems(c Config) []string {
	var all []string
	c.Check(func(key, problem string) { all = append(all, key+": "+problem) })
	return all
}

// TestDefaultsServe checks that a hook with the defaults is valid.
func TestDefaultsServe(t *testing.T) {
	if got := problems(sample()); got != nil {
		t.Errorf("got %q", got)
	}
}

// TestCheck checks the problems that Check reports.
func TestCheck(t *testing.T) {
	f := func(change func(*Config), want string) {
		t.Helper()
		c := sample()
		change(&c)
		got := problems(c)
		if len(got) != 1 || !strings.Contains(got[0], want) {
			t.Errorf("got %q, want one with %q", got, want)
		}
	}
	f(func(c *Config) { c.Name = "" }, "name: ")
	f(func(c *Config) { c.Name = "Über" }, "name: ")
	f(func(c *Config) { c.Name = strings.Repeat("a", 33) }, "name: ")
	f(func(c *Config) { c.Events = nil }, "events: the hook has no events")
	f(func(c *Config) { c.Events = []string{"agent-["} }, "events: ")
	f(func(c *Config) { c.Events = []string{""} }, "events: ")
	f(func(c *Config) { c.When = "talk_time <" }, "when: ")
	f(func(c *Config) { c.When = "talk_time < 'ten'" }, "when: ")
	f(func(c *Config) { c.When = "talk_time" }, "when: ")
	f(func(c *Config) { c.When = "all(1..1000000, # > 0)" }, "when: ")
	f(func(c *Config) { c.URL = Addresses{""} }, "url: ")
	f(func(c *Config) { c.URL = Addresses{"https://%callerid%/"} }, "url: ")
	f(func(c *Config) { c.URL = Addresses{"https://crm.example/?t=%callerid:15%"} }, "url: ")
	f(func(c *Config) { c.Method = "DELETE" }, "method: ")
	f(func(c *Config) { c.Method = "GET" }, "method: GET carries no body")
	f(func(c *Config) { c.Format = "yaml" }, "format: ")
	f(func(c *Config) { c.URL = nil }, "url: ")
	f(func(c *Config) { c.URL = append(c.URL, "https://%callerid%/") }, "url: ")
	f(func(c *Config) { c.URL = append(c.URL, c.URL[0]) }, "url: the 2. URL stands there already")
	f(func(c *Config) {
		for n := range maxAddresses {
			c.URL = append(c.URL, "https://crm.example/"+strings.Repeat("x", n))
		}
	}, "url: 17 URLs are too many, 16 at most")
	f(func(c *Config) { c.Body = "x" }, "body: ")
	f(func(c *Config) { c.ContentType = "text/plain" }, "content_type: ")
	f(func(c *Config) { c.Format, c.ContentType = "template", "text/plain" }, "body: ")
	f(func(c *Config) { c.Format, c.Body = "template", "x" }, "content_type: ")
	f(func(c *Config) { c.Format, c.Body, c.ContentType = "template", "x", "image/png" }, "content_type: ")
	f(func(c *Config) {
		c.Format, c.ContentType, c.Body = "template", "application/json", `{"a": "%callerid%",}`
	}, "body: body is no JSON: ")
	f(func(c *Config) {
		c.Format, c.ContentType, c.Body = "template", "text/xml; charset=utf-8", "<a><b>%callerid%</a>"
	}, "body: body is no XML: ")
	f(func(c *Config) { c.Headers = map[string]string{"X Y": "1"} }, "headers.X Y: ")
	f(func(c *Config) { c.Headers = map[string]string{"Webhook-Id": "1"} }, "headers.Webhook-Id: ")
	f(func(c *Config) { c.Headers = map[string]string{"X": "a\r\nb"} }, "headers.X: ")
	f(func(c *Config) { c.Params = map[string]string{"a b": "1"} }, "params: ")
	f(func(c *Config) { c.Params = map[string]string{"a": "%callerid:0.0%"} }, "params.a: ")
	f(func(c *Config) { c.Settings = map[string]string{"A": "1"} }, "settings: ")
	f(func(c *Config) {
		c.Events, c.On = []string{"agent-*"}, map[string]Variant{"queue-dial": {}}
	}, "on.queue-dial: ")
	f(func(c *Config) { c.On = map[string]Variant{"x": {Params: map[string]string{"?": "1"}}} }, "on.x.params: ")
	f(func(c *Config) { c.TimeZone = "Mars/Olympus" }, "time_zone: ")
	f(func(c *Config) { c.Secret = "hush" }, "secret: ")
	f(func(c *Config) { c.OldSecret = newSecret }, "old_secret: ")
	f(func(c *Config) { c.Password = "hush" }, "username: ")
	f(func(c *Config) { c.Username = "a:b" }, "username: ")
	f(func(c *Config) { c.Username, c.Headers = "a", map[string]string{"authorization": "x"} }, "headers.authorization: ")
	f(func(c *Config) { c.OAuth2 = httpclient.OAuth2{TokenURL: "x", ClientID: "a", ClientSecret: "b"} }, "oauth2.token_url: ")
	f(func(c *Config) {
		c.OAuth2 = httpclient.OAuth2{TokenURL: "http://crm.example/%callerid%", ClientID: "a", ClientSecret: "b"}
	}, "oauth2.token_url: ")
	f(func(c *Config) { c.OAuth2 = httpclient.OAuth2{TokenURL: "http://crm.example/", ClientID: "a"} }, "oauth2.client_secret: ")
	f(func(c *Config) {
		c.OAuth2, c.Username = httpclient.OAuth2{TokenURL: "http://crm.example/", ClientID: "a", ClientSecret: "b"}, "u"
	}, "oauth2: ")
	f(func(c *Config) { c.CAFile = "testdata/none.pem" }, "ca_file: ")
	f(func(c *Config) { c.CAFile = "config.go" }, "ca_file: ")
	f(func(c *Config) { c.CertFile = "config.go" }, "cert_file: ")
	f(func(c *Config) { c.KeyFile = "config.go" }, "cert_file: ")
	f(func(c *Config) { c.Timeout = 0 }, "timeout: ")
	f(func(c *Config) { c.Timeout = time.Hour }, "timeout: ")
	f(func(c *Config) { c.GiveUp = 0 }, "give_up: ")
	f(func(c *Config) { c.Schedule = "slow" }, "schedule: \"slow\" is not a schedule: one of fast, standard")
	f(func(c *Config) { c.Order = "chaos" }, "order: ")
	f(func(c *Config) { c.OrderHold = 0 }, "order_hold: ")
	f(func(c *Config) { c.Concurrency = 0 }, "concurrency: ")
	f(func(c *Config) { c.Concurrency = 65 }, "concurrency: ")
}

func TestCheckReportsAllAtOnce(t *testing.T) {
	if got := problems(Config{}); len(got) < 6 {
		t.Errorf("got only %q", got)
	}
}
