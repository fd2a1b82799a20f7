package getevent

import (
	"encoding/json"
	"encoding/xml"
	"net/netip"
	"strings"
	"testing"
	"time"
)

const secret = "0123456789abcdef"

// phones ring with their numbers.
type phones map[string]string

func (p phones) Poll(phone string, _ time.Duration) (string, bool) {
	number, rings := p[phone]
	return number, rings
}

func testService(change func(*Config)) *Service {
	c := DefaultConfig()
	c.Path, c.Token = "/getevent", secret
	if change != nil {
		change(&c)
	}
	return New(c, phones{"101": "+33612345678", "102": "anna", "103": `<&"'`})
}

// TestAnswer is for rows D14 (no server of its own is needed), D16, D17, D18, D19, D20 and D21.
func TestAnswer(t *testing.T) {
	attributes := func(c *Config) { c.XML = XMLNames{Root: "cti", Tel: "num", Event: "etat", Attributes: true} }
	f := func(name string, change func(*Config), r Request, status int, kind, body string) {
		t.Helper()
		got := testService(change).Answer(&r)
		if got.Status != status || !strings.HasPrefix(got.Type, kind) || string(got.Body) != body {
			t.Errorf("%s: got %d %s %q, want %d %s %q", name, got.Status, got.Type, got.Body, status, kind, body)
		}
	}
	const ok = "ident=" + secret + "&"
	f("json", nil, Request{Query: ok + "telorg=101"}, 200, "application/json", `{"tel":"0612345678","event":"ring"}`+"\n")
	f("nothing rings", nil, Request{Query: ok + "telorg=199"}, 200, "application/json", `{"tel":"","event":""}`+"\n")
	f("no number", nil, Request{Query: ok + "telorg=102"}, 200, "application/json", `{"tel":"anna","event":"ring"}`+"\n")
	f("own names", func(c *Config) { c.JSON = Names{"numero", "evenement"}; c.Tel = "e164" }, Request{Query: ok + "telorg=101"}, 200, "application/json", `{"numero":"+33612345678","evenement":"ring"}`+"\n")
	f("escaped", nil, Request{Query: ok + "telorg=103"}, 200, "application/json", `{"tel":"<&\"'","event":"ring"}`+"\n")
	f("xml", nil, Request{Query: ok + "telorg=101&type=xml"}, 200, "application/xml", `<?xml version="1.0" encoding="UTF-8"?>`+"\n<cti><tel>0612345678</tel><event>ring</event></cti>\n")
	f("xml by header", nil, Request{Query: ok + "telorg=199", Accept: "text/xml"}, 200, "application/xml", `<?xml version="1.0" encoding="UTF-8"?>`+"\n<cti><tel></tel><event></event></cti>\n")
	f("attributes", attributes, Request{Query: ok + "telorg=103&type=XML"}, 200, "application/xml", `<?xml version="1.0" encoding="UTF-8"?>`+"\n"+`<cti num="&lt;&amp;&#34;&#39;" etat="ring"/>`+"\n")
	f("form", nil, Request{Query: "ident=" + secret, Body: "telorg=101"}, 200, "application/json", `{"tel":"0612345678","event":"ring"}`+"\n")
	f("json body", nil, Request{Body: `{"ident":"` + secret + `","telorg":"101","more":1}`}, 200, "application/json", `{"tel":"0612345678","event":"ring"}`+"\n")
	f("json number", nil, Request{Body: `{"ident":"` + secret + `","telorg":101}`}, 200, "application/json", `{"tel":"0612345678","event":"ring"}`+"\n")
	f("bearer", nil, Request{Query: "telorg=101", Bearer: secret}, 200, "application/json", `{"tel":"0612345678","event":"ring"}`+"\n")
	f("x-token, own ident", nil, Request{Query: "telorg=101&ident=anna", XToken: secret}, 200, "application/json", `{"tel":"0612345678","event":"ring"}`+"\n")
	f("no phone", nil, Request{Query: ok}, 400, "text/plain", "telorg is missing: the phone of the agent\n")
	f("bad query", nil, Request{Query: "%zz", Bearer: secret}, 400, "text/plain", "telorg is missing: the phone of the agent\n")
	f("no token", nil, Request{Query: "telorg=101"}, 401, "text/plain", "the token is missing or wrong\n")
	f("wrong token", nil, Request{Query: "telorg=101&ident=x"}, 401, "text/plain", "the token is missing or wrong\n")
	allow := func(c *Config) { c.Token, c.Allow = "", []string{"192.0.2.0/24", "::1"} }
	f("allowed", allow, Request{Query: "telorg=101&ident=anna", From: netip.MustParseAddr("::ffff:192.0.2.7")}, 200, "application/json", `{"tel":"0612345678","event":"ring"}`+"\n")
	f("not allowed", allow, Request{Query: "telorg=101&ident=", From: netip.MustParseAddr("198.51.100.7")}, 401, "text/plain", "the token is missing or wrong\n")
	f("no address", allow, Request{Query: "telorg=101"}, 401, "text/plain", "the token is missing or wrong\n")
}

func TestGuess(t *testing.T) {
	s := testService(nil)
	if s.Answer(&Request{Query: "telorg=101"}).Guess {
		t.Error("a request without a token counts as a guess")
	}
	if !s.Answer(&Request{Query: "telorg=101&ident=x"}).Guess {
		t.Error("a wrong token does not count as a guess")
	}
}

func TestCheck(t *testing.T) {
	f := func(key string, change func(*Config)) {
		t.Helper()
		c := DefaultConfig()
		c.Path, c.Token = "/getevent", secret
		change(&c)
		var keys []string
		c.Check(func(key, _ string) { keys = append(keys, key) })
		if strings.Join(keys, " ") != key {
			t.Errorf("got %q, want %q", keys, key)
		}
	}
	f("", func(*Config) {})
	f("", func(c *Config) { c.Path, c.Token = "", "" })
	f("path", func(c *Config) { c.Path = "getevent" })
	f("path", func(c *Config) { c.Path = "/v1/getevent" })
	f("path", func(c *Config) { c.Path = "/metrics" })
	f("hold", func(c *Config) { c.Hold = 0 })
	f("tel", func(c *Config) { c.Tel = "roman" })
	f("json.tel", func(c *Config) { c.JSON.Tel = "" })
	f("json.event", func(c *Config) { c.JSON.Event = "tel" })
	f("xml.root", func(c *Config) { c.XML.Root = "1" })
	f("xml.event", func(c *Config) { c.XML.Event = "tel" })
	f("token", func(c *Config) { c.Token = "short" })
	f("token", func(c *Config) { c.Token = "" })
	f("allow", func(c *Config) { c.Allow = []string{"0.0.0.0/0"} })
	f("allow", func(c *Config) { c.Allow = []string{"pbx"} })
}

// FuzzAnswer checks that every answer is valid JSON or XML.
func FuzzAnswer(f *testing.F) {
	f.Add("telorg=101", `{"telorg":"101"}`, "application/xml", "+33612345678")
	f.Add("telorg=101&type=xml", "a=b", "", "]]><x>\x00\xff")
	f.Fuzz(func(t *testing.T, query, body, accept, number string) {
		c := DefaultConfig()
		c.Path, c.Token, c.Allow, c.Tel = "/g", secret, []string{"192.0.2.7"}, "e164"
		r := New(c, phones{"101": number, "": number}).Answer(&Request{Query: query, Body: body, Accept: accept, From: netip.MustParseAddr("192.0.2.7")})
		switch {
		case r.Status == 400:
		case r.Type == "application/json":
			if !json.Valid(r.Body) {
				t.Fatalf("%q", r.Body)
			}
		default:
			var v struct {
				XMLName xml.Name
				Tel     string `xml:"tel"`
			}
			if err := xml.Unmarshal(r.Body, &v); err != nil {
				t.Fatalf("%q: %v", r.Body, err)
			}
		}
	})
}
