package hooks

import (
	"encoding/base64"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"
	"time"

	"ringhook/httpclient"
)

// TestSecretsAreHidden checks that no secret of a hook is shown or stored, even if the receiver repeats it.
func TestSecretsAreHidden(t *testing.T) {
	secrets := []string{"env<value>1", "param-value-1", "header-value-1", "path4key9with0digits", "pass-word-1"}
	h := testHook(t, func(c *Config) {
		c.URL = Addresses{"https://user:pass-word-1@crm.example/hook/path4key9with0digits?x=%setting%"}
		c.Settings, c.Environment = map[string]string{"setting": "env<value>1"}, []string{"env<value>1"}
		c.Format, c.Params = "json", map[string]string{"api_key": "param-value-1", "plain": "%setting%"}
		c.Headers = map[string]string{"X-Token": "header-value-1"}
	})
	s, _ := newSender(h, nil, Shared{}, nil, slog.New(slog.DiscardHandler))
	p, err := h.preview(&Event{ID: "msg_1", Name: "queue-dial"}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	shown, _ := json.Marshal(p)
	echo := ""
	for _, secret := range secrets {
		quoted, _ := json.Marshal(secret)
		echo += secret + " " + string(quoted) + " " + base64.StdEncoding.EncodeToString([]byte("user:"+secret)) + " "
	}
	// The last secret is at the place where an excerpt is cut.
	echo += strings.Repeat("-", excerptSize-len(echo)+60) + "pass-word-1"
	for n := range 200 {
		o := outcomeOf(&httpclient.Response{Status: 500, Body: []byte(echo[min(n, 60):])}, nil, time.Now())
		text := s.excerpt(&o)
		if len(text) > excerptSize {
			t.Fatalf("excerpt has %d bytes", len(text))
		}
		for _, secret := range secrets {
			if strings.Contains(text, secret[:len(secret)-2]) || strings.Contains(string(shown), secret) {
				t.Fatalf("%s is in %s or in %s", secret, text, shown)
			}
		}
		if strings.Contains(text, "pass-w") || strings.Contains(text, `env\u003c`) {
			t.Fatalf("a part of a secret is in %s", text)
		}
	}
}

// TestSecretsInPathsAreHidden checks that the secrets of every address of a hook are hidden, also those of the paths that
// are appended to one.
func TestSecretsInPathsAreHidden(t *testing.T) {
	secrets := []string{"path4key9with0digits", "query-value-1", "other5key8with1digits", "query-value-2", "whole6key7with2digits", "query-value-3"}
	h := testHook(t, func(c *Config) {
		c.URL, c.Path = Addresses{"https://crm.example"}, "/rest/1/path4key9with0digits/add?api_key=query-value-1"
		c.Events = []string{"agent-dial", "agent-hangup", "call-hangup"}
		c.On = map[string]Variant{
			"agent-dial":   {Path: "rest/1/other5key8with1digits/pop?auth=query-value-2"},
			"agent-hangup": {URL: "https://crm.example/rest/1/whole6key7with2digits/end?token=query-value-3"},
		}
	})
	s, err := newSender(h, nil, Shared{}, nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	for _, event := range h.cfg.Events {
		p, err := h.preview(&Event{ID: "msg_1", Name: event}, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		o := outcomeOf(&httpclient.Response{Status: 500, Body: []byte(p.Raw)}, nil, time.Now())
		shown := p.URL + s.excerpt(&o)
		for _, secret := range secrets {
			if strings.Contains(shown, secret) {
				t.Errorf("%s: %s is in %s", event, secret, shown)
			}
		}
		if strings.Count(shown, httpclient.Masked) < 4 {
			t.Errorf("%s: nothing is hidden in %s", event, shown)
		}
	}
}
