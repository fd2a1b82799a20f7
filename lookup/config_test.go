package lookup

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"ringhook/httpclient"
)

// TestConfigCheck checks the keys that Check reports.
func TestConfigCheck(t *testing.T) {
	good := func() Config {
		c := DefaultConfig()
		c.Name, c.Points = "crm", []string{"queue-dial"}
		c.URL = "https://crm.example/who?phone=%callerid%&queue=%queue_id%"
		return c
	}
	f := func(change func(*Config), keys ...string) {
		t.Helper()
		c := good()
		change(&c)
		var got []string
		c.Check(func(key, problem string) {
			got = append(got, key)
			if strings.Contains(problem, "s3cret") {
				t.Errorf("%s: the problem contains the secret: %s", key, problem)
			}
		})
		slices.Sort(got)
		if !slices.Equal(got, keys) {
			t.Errorf("Check(%+v) reports %q, want %q", c, got, keys)
		}
	}
	f(func(c *Config) {})
	f(func(c *Config) { c.Headers = map[string]string{"Authorization": "Bearer x", "X-Caller": "%callerid%"} })
	f(func(c *Config) { c.Cache, c.CacheMissing, c.Stale = 0, 0, 0 })
	f(func(c *Config) { *c = Config{Type: typeHTTP} }, "ambiguous", "body_type", "concurrency", "format", "identity", "name", "points", "spellings", "timeout", "url")
	f(func(c *Config) { c.Name = "CRM 1" }, "name")
	f(func(c *Config) { c.Name = strings.Repeat("a", 33) }, "name")
	f(func(c *Config) { c.URL = "crm.example/who" }, "url")
	f(func(c *Config) { c.URL = "ftp://crm.example/who" }, "url")
	f(func(c *Config) { c.URL = "https://%queue_id%.crm.example/?token=s3cret" }, "url")
	f(func(c *Config) { c.Headers = map[string]string{"X Y": "z"} }, "headers.X Y")
	f(func(c *Config) { c.Headers = map[string]string{"X": "s3cret\r\nY: z"} }, "headers.X")
	f(func(c *Config) { c.Headers = map[string]string{"host": "other.example"} }, "headers.host")
	f(func(c *Config) { c.Format = "csv" }, "format")
	f(func(c *Config) { c.Format = "json" }, "map")
	f(func(c *Config) { c.Format, c.Map = "json", map[string]string{"CALLERID(name)": ".name"} })
	f(func(c *Config) { c.Format, c.Map = "json", map[string]string{"name": ".name |"} }, "map.name")
	f(func(c *Config) { c.Format, c.Map = "json", map[string]string{"name": "nofunction(1)"} }, "map.name")
	f(func(c *Config) { c.Format, c.Map = "json", map[string]string{"a b": ".name"} }, "map.a b")
	f(func(c *Config) { c.Format, c.Map, c.Records = "json", map[string]string{"name": ".name"}, ".[" }, "records")
	f(func(c *Config) {
		c.Format, c.Map, c.Records = "xml", map[string]string{"name": "//name/@x"}, "//contact"
	})
	f(func(c *Config) { c.Format, c.Map = "xml", map[string]string{"name": "//["} }, "map.name")
	f(func(c *Config) { c.Format, c.Map, c.Records = "xml", map[string]string{"name": "name"}, "" })
	f(func(c *Config) { c.Map, c.Records = map[string]string{"name": ".name"}, ".x" }, "map", "records")
	f(func(c *Config) { c.Format, c.Variable = "text", "" }, "variable")
	f(func(c *Config) { c.Charset = "windows-1255" })
	f(func(c *Config) { c.Charset = "cyrillic-dos" }, "charset")
	f(func(c *Config) { c.Charset = "iso-2022-kr" }, "charset")
	f(func(c *Config) { c.Identity = "" }, "identity")
	f(func(c *Config) { c.Ambiguous = "all" }, "ambiguous")
	f(func(c *Config) { c.Method = "DELETE" }, "method")
	f(func(c *Config) { c.Method, c.Body = "GET", "a=b" }, "method")
	f(func(c *Config) { c.Body, c.BodyType = "a", "csv" }, "body_type")
	f(func(c *Config) { c.Body, c.BodyType = `{"a":%callerid%}`, "json" })
	f(func(c *Config) { c.Spellings = nil }, "spellings")
	f(func(c *Config) { c.Spellings = []string{"e164", "last:9", "last:3"} }, "spellings")
	f(func(c *Config) { c.Username, c.Password = "a", "b" })
	f(func(c *Config) { c.Password = "s3cret" }, "username")
	f(func(c *Config) { c.Username = "a:b" }, "username")
	f(func(c *Config) { c.OAuth2.TokenURL = "https://crm.example/token" }, "oauth2.client_id", "oauth2.client_secret")
	f(func(c *Config) { c.OAuth2 = httpclient.OAuth2{ClientID: "a", ClientSecret: "s3cret"} }, "oauth2.token_url")
	oauth := httpclient.OAuth2{ClientID: "a", ClientSecret: "s3cret", TokenURL: "https://crm.example/token", Scope: "read write"}
	f(func(c *Config) { c.OAuth2 = oauth })
	f(func(c *Config) { c.OAuth2, c.Username = oauth, "a" }, "oauth2")
	f(func(c *Config) { c.OAuth2, c.Headers = oauth, map[string]string{"authorization": "Bearer y"} }, "headers.authorization")
	f(func(c *Config) { c.OAuth2, c.OAuth2.TokenURL = oauth, "https://crm.example/%callerid%" }, "oauth2.token_url")
	f(func(c *Config) { c.CAFile = filepath.Join(t.TempDir(), "none") }, "ca_file")
	f(func(c *Config) { c.CertFile = "cert.pem" }, "cert_file")
	f(func(c *Config) { c.Rank = -1 }, "rank")
	f(func(c *Config) { c.Shadow, c.Fill = true, true }, "shadow")
	f(func(c *Config) { c.Concurrency = 0 }, "concurrency")
	f(func(c *Config) { c.Renew = "behind" })
	f(func(c *Config) { c.Renew = "ahead" }, "renew")
	f(func(c *Config) { c.Renew, c.Stale = "behind", 0 }, "renew")
	f(func(c *Config) { c.MinLength = -1 }, "min_length")
	f(func(c *Config) { c.Timeout = 0 }, "timeout")
	f(func(c *Config) { c.Timeout = time.Hour }, "timeout")
	f(func(c *Config) { c.Cache = -1 }, "cache")
	f(func(c *Config) { c.CacheMissing = -1 }, "cache_missing")
	f(func(c *Config) { c.Stale = 1 << 62 }, "stale")
}
