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
	s := newSender(h, nil, nil, slog.New(slog.DiscardHandler))
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
