package recordings

import "testing"

// TestShown checks that the secrets of a link are hidden where an event or a call is shown, and nothing else.
func TestShown(t *testing.T) {
	cfg := Config{URL: "https://user:pass-word-1@rec.example/k7qp0z2mw4xr8vt1/%file%?key=query-value-1&x=1", Environment: []string{"query-value-1"}}
	link := "https://user:pass-word-1@rec.example/k7qp0z2mw4xr8vt1/a.wav?key=query-value-1&x=1"
	const hidden = "https://***@rec.example/***/a.wav?key=***&x=1"
	params := map[string]any{"recording_url": link, "seq": int64(9007199254740993), "callerid": "query-value-1"}
	got := cfg.Shown().Params(params)
	if got["recording_url"] != hidden || got["seq"] != params["seq"] || got["callerid"] != params["callerid"] || params["recording_url"] != link {
		t.Errorf("got %v, and it was changed to %v", got, params)
	}
	state := `{"known":{"big":9007199254740993,"recording_url":"` + link + `"},"seq":3}`
	want := `{"known":{"big":9007199254740993,"recording_url":"` + hidden + `"},"seq":3}`
	// Encoded as encoding/json does.
	if got := string(cfg.Shown().State([]byte(state))); got != `{"known":{"big":9007199254740993,"recording_url":"https://***@rec.example/***/a.wav?key=***\u0026x=1"},"seq":3}` {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	for _, same := range []string{`{"known":{}}`, "recording_url", `{"known":{"recording_url":7}}`} {
		if got := string((&Config{}).Shown().State([]byte(same))); got != same {
			t.Errorf("%s becomes %s", same, got)
		}
	}
	if got := (*Shown)(nil).Params(params); got["recording_url"] != link {
		t.Errorf("without a configuration: %v", got)
	}
}
