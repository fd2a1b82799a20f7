package hooks

import (
	"encoding/json"
	"testing"
)

// TestOmitEmpty checks what is left of a JSON text.
func TestOmitEmpty(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		if got := string(omitEmpty([]byte(text))); got != want {
			t.Errorf("%s: got %s, want %s", text, got, want)
		}
	}
	f(`{"b": "x", "a": "", "c": null, "d": 0, "e": false, "f": true}`, `{"b":"x","d":0,"e":false,"f":true}`)
	f(`{"a": "", "b": 12345678901234567890, "c": 1.50}`, `{"b":12345678901234567890,"c":1.50}`)
	f(`{"data": [{"Who_Id": {"id": ""}, "Subject": "a\"b\\c\u00e9"}]}`, `{"data":[{"Subject":"a\"b\\cé"}]}`)
	f(`[{"a": {"b": [null, ""]}}, "x", [], 1]`, `["x",1]`)
	f(`{"a": {"b": ""}}`, `{}`)
	f(`[""]`, `[]`)
	f(`""`, `""`)
	f(`null`, `null`)
	f(`{"a": `, `{"a": `)
	f(`{} ""`, `{} ""`)
	f(`no JSON`, `no JSON`)
}

// TestOmitEmptyTemplate checks that omit_empty holds for a template whose body is JSON, and for no other.
func TestOmitEmptyTemplate(t *testing.T) {
	f := func(contentType, body, want string) {
		t.Helper()
		c := DefaultConfig()
		c.Name, c.URL, c.Events = "crm", Addresses{"https://crm.example/"}, []string{"call-hangup"}
		c.Format, c.ContentType, c.Body, c.OmitEmpty = "template", contentType, body, true
		h := testBuild(t, &c)
		req, err := h.render(&Event{Name: "call-hangup", Params: map[string]any{"callerid": "+4930"}})
		if err != nil || string(req.Body) != want {
			t.Errorf("got %s, %v; want %s", req.Body, err, want)
		}
	}
	f("application/json", `{"phone": "%callerid%", "who": {"id": "%customer_id%"}, "n": %talk_time:0%}`, `{"phone":"+4930"}`)
	f("text/plain", `{"phone": "%callerid%", "who": "%customer_id%"}`, `{"phone": "+4930", "who": ""}`)
}

func FuzzOmitEmpty(f *testing.F) {
	f.Add([]byte(`{"a": [null, {"b": ""}, "x"], "c": 1e5}`))
	f.Add([]byte(`[[[[""]]], true]`))
	f.Fuzz(func(t *testing.T, text []byte) {
		out := omitEmpty(text)
		if !json.Valid(text) {
			return
		}
		if !json.Valid(out) {
			t.Fatalf("%q became %q", text, out)
		}
		if again := omitEmpty(out); string(again) != string(out) {
			t.Fatalf("%q became %q, and then %q", text, out, again)
		}
	})
}
