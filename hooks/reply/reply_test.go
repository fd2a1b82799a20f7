package reply

import (
	"maps"
	"strings"
	"testing"
)

// TestRead checks what answers say about an event.
func TestRead(t *testing.T) {
	f := func(cfg Config, body string, taken bool, values map[string]string) {
		t.Helper()
		r, problems := New(cfg)
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		contentType := "application/json"
		if cfg.XML {
			contentType = "text/xml"
		}
		got := r.Read([]byte(body), contentType)
		if got.Taken != taken || !maps.Equal(got.Values, values) {
			t.Errorf("%s of %s: got %+v", cfg.Taken, body, got)
		}
		if taken == (got.Why != "") && cfg.Taken != "" && !taken {
			t.Errorf("%s of %s: no reason", cfg.Taken, body)
		}
	}
	success := Config{Taken: ".success != false"}
	f(success, `{"success": true}`, true, nil)
	f(success, `{"success": false}`, false, nil)
	f(success, `{}`, true, nil)
	f(success, ``, false, nil)
	f(success, `<html>login</html>`, false, nil)
	f(Config{Taken: ".error == null"}, `{"result": {"id": 7}}`, true, nil)
	f(Config{Taken: ".error == null"}, `{"error": "NO"}`, false, nil)
	f(Config{Taken: ".id"}, `{"id": 0}`, true, nil)
	f(Config{Taken: ".id"}, `{"id": null}`, false, nil)
	f(Config{Taken: "length == 0"}, `[]`, true, nil)

	call := Config{Remember: map[string]string{"crm_call": ".result.CALL_ID", "user": ".result.USER"}}
	f(call, `{"result": {"CALL_ID": "externalCall.1", "USER": 12}}`, true, map[string]string{"crm_call": "externalCall.1", "user": "12"})
	f(call, `{"result": {"CALL_ID": "`+strings.Repeat("x", MaxValue+1)+`", "USER": 12}}`, true, map[string]string{"user": "12"})
	f(call, `{"result": false}`, true, nil)
	f(call, ``, true, nil)
	f(call, `no JSON`, true, nil)

	soap := Config{XML: true, Taken: "//code = '0'", Remember: map[string]string{"id": "//id"}}
	f(soap, `<r><code>0</code><id>77</id></r>`, true, map[string]string{"id": "77"})
	f(soap, `<r><code>5</code></r>`, false, nil)
}

// TestNew checks the mistakes of a configuration.
func TestNew(t *testing.T) {
	f := func(cfg Config, want ...string) {
		t.Helper()
		_, problems := New(cfg)
		if len(problems) != len(want) {
			t.Errorf("got %v, want %v", problems, want)
			return
		}
		for i, p := range problems {
			if p.Key != want[i] {
				t.Errorf("got %v, want %v", problems, want)
			}
		}
	}
	if r, _ := New(Config{}); r != nil {
		t.Error("nothing to read, and a reader")
	}
	f(Config{Taken: ".["}, "taken")
	f(Config{Taken: "input"}, "taken")
	f(Config{Remember: map[string]string{"a": ".a", "b": ".["}}, "remember.b")
	f(Config{Remember: map[string]string{"A b": ".a", "c": ".c"}}, "remember")
	many := map[string]string{}
	for _, name := range strings.Split("a b c d e f g h i", " ") {
		many[name] = ".x"
	}
	f(Config{Remember: many}, "remember")
	f(Config{XML: true, Taken: "//a["}, "taken")
}

// FuzzRead checks that no answer makes the reader fail, and that values stay within their bounds.
func FuzzRead(f *testing.F) {
	for _, body := range []string{`{"id": 7}`, `[`, `{"id": "x"}`, ``, "\xff", `[[[[`} {
		f.Add([]byte(body))
	}
	r, _ := New(Config{Taken: ".ok", Remember: map[string]string{"id": ".id"}})
	f.Fuzz(func(t *testing.T, body []byte) {
		if got := r.Read(body, "application/json"); len(got.Values["id"]) > MaxValue || strings.ContainsAny(got.Values["id"], "\r\n\x00") {
			t.Errorf("%q: %q", body, got.Values)
		}
	})
}
