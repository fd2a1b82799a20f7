package hooks

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestNewFormat checks that a payload format needs only one value and one entry in formats.
func TestNewFormat(t *testing.T) {
	lines := format{name: "lines", contentType: "text/plain", write: func(v view) []byte {
		var b []byte
		for _, f := range v.fields() {
			b = append(append(b, f.name+"="+textOf(f.value)...), '\n')
		}
		return b
	}}
	old := formats
	t.Cleanup(func() { formats = old })
	formats = append(slices.Clone(formats), &lines)

	h := testHook(t, func(c *Config) {
		c.Format, c.Params = "lines", map[string]string{"caller": "%callerid%", "n": "%seq%"}
	})
	req, err := h.request(&Event{ID: "msg_1", Name: "queue-dial", Seq: 3, Params: map[string]any{"callerid": "+4930123"}}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if req.Method != http.MethodPost || req.ContentType != "text/plain" || string(req.Body) != "caller=+4930123\nn=3\n" {
		t.Errorf("request is %s %q %q", req.Method, req.ContentType, req.Body)
	}
	c := sample()
	c.Format, c.Body = "lines", "text"
	var problems []string
	c.Check(func(key, problem string) { problems = append(problems, key+": "+problem) })
	if len(problems) != 1 || !strings.HasPrefix(problems[0], "body: ") {
		t.Errorf("a body with the new format is reported as %q", problems)
	}
}

// TestEventJSON checks the stored form of an event with encoding/json.
func TestEventJSON(t *testing.T) {
	at := time.Date(2026, 1, 15, 9, 30, 0, 250e6, time.UTC)
	ev := &Event{ID: "msg_1", LinkedID: "1.1", Name: `a "b"`, Seq: 7, Final: true, Time: at, Params: map[string]any{
		"callerid_name": "Anna \u2028<&>\n", "talk_time": int64(9007199254740993), "final": true, "": "empty",
	}}
	var got struct {
		Name   string
		Seq    int
		Final  bool
		Time   time.Time
		Params map[string]json.RawMessage
	}
	text := ev.AppendJSON([]byte("kept"))
	if err := json.Unmarshal(text[4:], &got); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	if got.Name != ev.Name || got.Seq != 7 || !got.Final || !got.Time.Equal(at) {
		t.Errorf("read back as %+v", got)
	}
	if n := string(got.Params["talk_time"]); n != "9007199254740993" {
		t.Errorf("talk_time is %s", n)
	}
	var name string
	if err := json.Unmarshal(got.Params["callerid_name"], &name); err != nil || name != ev.Params["callerid_name"] {
		t.Errorf("callerid_name is %q, %v", name, err)
	}
}

// TestNames checks the names of hooks with several URLs, and Render and Try of a copy.
func TestNames(t *testing.T) {
	one, two := sample(), sample()
	one.Name, two.Name = "one", "two"
	two.URL = Addresses{"https://a.example/", "https://b.example/%seq%"}
	cfgs := []Config{one, two}
	if got := Names(cfgs); !slices.Equal(got, []string{"one", "two", "two.2"}) {
		t.Errorf("names are %q", got)
	}
	p, err := Render(cfgs, &Event{ID: "msg_1", Name: "queue-dial", Seq: 4}, "two.2")
	if err != nil || p.URL != "https://b.example/4" {
		t.Errorf("request of the copy is %+v, %v", p, err)
	}
	if _, err := Render(cfgs, &Event{}, "three"); err == nil || !strings.Contains(err.Error(), "one, two, two.2") {
		t.Errorf("an unknown hook returns %v", err)
	}
}
