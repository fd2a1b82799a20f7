package hooks

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write the golden files")

// hangup is the end of a call with values that need every escaping.
func hangup() *Event {
	return &Event{
		ID: "msg_01RINGHOOKVECTOR0000000001", Name: "agent-hangup", LinkedID: "1768469300.17", Seq: 5, Final: true,
		Time: time.Date(2026, 1, 15, 9, 30, 0, 250e6, time.UTC),
		Params: map[string]any{
			"event": "agent-hangup", "event_id": "msg_01RINGHOOKVECTOR0000000001", "seq": int64(5), "final": true,
			"time": "2026-01-15T09:30:00Z", "linkedid": "1768469300.17", "uniqueid": "1768469300.17", "direction": "incoming",
			"callerid": "+79161234567", "callerid_name": "Zoë \"the\" <boss> & שלום\u200e", "queue_id": "500", "agent_phone": "101",
			"call_info": "https://crm.example/c?id=7&x=%41", "talk_time": int64(102), "status": "answer", "cause": int64(16),
		},
	}
}

// golden compares a request with a file of testdata.
func golden(t *testing.T, name string, h *hook, ev *Event) {
	t.Helper()
	compare(t, name, written(t, h, ev))
}

// written returns a request as text.
func written(t *testing.T, h *hook, ev *Event) string {
	t.Helper()
	req, err := h.request(ev, time.Date(2026, 1, 15, 9, 30, 0, 0, time.UTC))
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s\n", req.Method, req.URL)
	if req.ContentType != "" {
		fmt.Fprintf(&b, "Content-Type: %s\n", req.ContentType)
	}
	for _, header := range req.Header {
		fmt.Fprintf(&b, "%s: %s\n", header[0], header[1])
	}
	showFile(req, h.of(ev.Name), ev)
	fmt.Fprintf(&b, "\n%s", strings.ReplaceAll(string(req.Body), "\r\n", "\n"))
	return b.String()
}

// compare compares a text with a file of testdata.
func compare(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Error(err)
		return
	}
	if got != string(want) {
		t.Errorf("%s: got\n%s\nwant\n%s", name, got, want)
	}
}

func TestFormats(t *testing.T) {
	f := func(name string, change func(*Config)) {
		t.Helper()
		golden(t, name, testHook(t, change), hangup())
	}
	chosen := map[string]string{
		"src": "%callerid%", "when": "%time:2006-01-02 15:04:05%", "talk": "%talk_time%", "seconds": "%talk_time:0.0%",
		"type": "call", "who": "%callerid_name% (%agent_phone%)", "none": "%recording_file%", "last": "%final%", "how": "%status%",
	}
	words := map[string]map[string]string{"status": {"answer": "ANSWERED", "*": "MISSED"}, "direction": {"*": "in"}}
	for _, format := range []string{"query", "form", "json", "xml", "standard"} {
		f(format, func(c *Config) { c.Format = format })
		f(format+"-chosen", func(c *Config) {
			c.Format, c.Params, c.Words, c.TimeZone = format, chosen, words, "Europe/Moscow"
		})
	}
	f("query-url", func(c *Config) {
		c.URL, c.Format, c.Method = Addresses{"https://crm.example/%queue_id%/call?ext=%agent_phone%&who=%callerid_name%"}, "query", "POST"
		c.Params, c.OmitEmpty = map[string]string{"rec": "%recording_file%", "n": "%seq%"}, true
	})
	f("headers", func(c *Config) {
		c.Headers = map[string]string{"Authorization": "Bearer s3cr3t-t0ken", "X-Caller": "%callerid_name%", "Content-Type": "application/vnd.crm+json"}
		c.Params = map[string]string{"n": "%seq%", "at": "%time:unix%"}
	})
	f("template-json", func(c *Config) {
		c.Format, c.ContentType = "template", "application/json"
		c.Body = `{"caller": "%callerid%", "name": "%callerid_name%", "talk": %talk_time%, "file": %recording_file%, "final": %final%, "key": "%api_key%"}`
		c.Settings = map[string]string{"api_key": "k-12345"}
	})
	f("template-soap", func(c *Config) {
		c.Format, c.ContentType = "template", "text/xml; charset=utf-8"
		c.Headers = map[string]string{"SOAPAction": `"urn:crm#%method%"`}
		c.Settings = map[string]string{"method": "CallEnded", "password": "p&ss<word>"}
		c.Params = map[string]string{"from": "%callerid%"}
		c.Body = `<Envelope><Body><%method%><pw>%password%</pw><from>%from%</from><name>%callerid_name%</name></%method%></Body></Envelope>`
	})
	f("template-text", func(c *Config) {
		c.Format, c.ContentType, c.Body = "template", "text/plain; charset=utf-8", "%callerid% talked 100% of %talk_time% s\n"
	})
	f("template-form", func(c *Config) {
		c.Format, c.ContentType, c.Body = "template", "application/x-www-form-urlencoded", "c=%callerid%&n=%callerid_name%"
	})
	f("variant", func(c *Config) {
		c.Params = map[string]string{"event": "%event%", "receiver": "%queue_id%", "status": "%status%"}
		c.Words = map[string]map[string]string{"event": {"agent-hangup": "call_end"}, "status": {"answer": "ANSWER"}}
		c.On = map[string]Variant{
			"agent-hangup": {Params: map[string]string{"receiver": "%agent_phone%"}, Words: map[string]map[string]string{"status": {"answer": "ok"}}},
			"call-hangup":  {Params: map[string]string{"receiver": "none"}},
		}
	})
}

// FuzzFormats checks that each format can be parsed for all parameters.
func FuzzFormats(f *testing.F) {
	f.Add("callerid", "+7916", int64(1))
	f.Add(":", "0", int64(73))
	f.Add("x y", "a&b=<\"\x00\xff\u2028", int64(-1))
	hooks := make(map[string]*hook)
	for _, format := range []string{"query", "form", "json", "xml"} {
		hooks[format] = testHook(f, func(c *Config) { c.Format = format })
	}
	f.Fuzz(func(t *testing.T, name, value string, n int64) {
		ev := &Event{ID: "msg_1", Name: "x", Params: map[string]any{name: value, "talk_time": n}}
		for format, h := range hooks {
			req, err := h.request(ev, time.Now())
			if err != nil {
				t.Fatalf("%s: %v", format, err)
			}
			switch format {
			case "query":
				u, err := url.Parse(req.URL)
				if err != nil || u.Host != "crm.example" {
					t.Fatalf("%q: %v", req.URL, err)
				}
				readForm(t, u.RawQuery, name, value)
			case "form":
				readForm(t, string(req.Body), name, value)
			case "json":
				var got map[string]any
				if err := json.Unmarshal(req.Body, &got); err != nil {
					t.Fatalf("%s: %v", req.Body, err)
				}
			case "xml":
				d := xml.NewDecoder(strings.NewReader(string(req.Body)))
				for err == nil {
					_, err = d.Token()
				}
				if !errors.Is(err, io.EOF) {
					t.Fatalf("%s: %v", req.Body, err)
				}
			}
		}
	})
}

func readForm(t *testing.T, text, name, value string) {
	t.Helper()
	got, err := url.ParseQuery(text)
	if err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	if name != "talk_time" && name != "time" && got.Get(name) != value {
		t.Fatalf("%q: %s is %q, want %q", text, name, got.Get(name), value)
	}
}

func BenchmarkRender(b *testing.B) {
	for _, format := range []string{"query", "form", "json", "xml", "standard", "template"} {
		b.Run(format, func(b *testing.B) {
			h, ev := testHook(b, func(c *Config) {
				c.Format = format
				if format == "template" {
					c.ContentType, c.Body = "application/json", `{ "who": "%callerid%", "name": "%callerid_name%", "phone": "%agent_phone%", "talk": %talk_time% }`
				}
			}), hangup()
			b.ReportAllocs()
			for b.Loop() {
				if _, err := h.request(ev, ev.Time); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// TestTimeFormats checks the formats of times, and of a number that the event does not have.
func TestTimeFormats(t *testing.T) {
	at := time.Date(2026, 1, 15, 9, 30, 0, 250e6, time.FixedZone("", 3*3600))
	ev := &Event{ID: "msg_1", Name: "call-hangup", Time: at, Params: map[string]any{
		"time": "2026-01-15T09:30:00.250+03:00", "started": "2026-01-15T06:29:00.500Z", "answered": "", "duration": int64(7),
	}}
	f := func(zone, format string, omit bool, text string, want any) {
		t.Helper()
		h := testHook(t, func(c *Config) {
			c.TimeZone, c.TimeFormat, c.OmitEmpty, c.Params = zone, format, omit, map[string]string{"x": text}
		})
		got := view{h.of(ev.Name), ev}.fields()
		if omit && want == nil {
			if len(got) != 0 {
				t.Errorf("%s is %v, want it left out", text, got)
			}
		} else if len(got) != 1 || got[0].value != want {
			t.Errorf("%s is %v, want %v", text, got, want)
		}
	}
	f("", "", false, "%time%", "2026-01-15T09:30:00.250+03:00")
	f("", "", false, "%started%", "2026-01-15T06:29:00.500Z")
	f("", "", false, "%started:2006-01-02 15:04:05%", "2026-01-15 09:29:00") // in the zone of the server
	f("America/New_York", "", false, "%started:15:04%", "01:29")
	f("Europe/Moscow", "", false, "%started%", "2026-01-15T09:29:00+03:00")
	f("", "unix", false, "%started%", int64(1768458540))
	f("", "", false, "%started:unix-ms%", int64(1768458540500))
	f("", "", false, "%answered:15:04%", nil)
	f("", "", false, "%ended:unix%", nil)
	f("", "", true, "%ended:unix%", nil)
	f("", "", false, "%wait_time%", nil)
	f("", "", false, "%wait_time:0%", int64(0))
	f("", "", false, "%wait_time:0.00%", "0.00")
	f("", "", true, "%wait_time:0%", nil)
	f("", "", false, "%duration:0%", int64(7))
	f("", "", false, "%duration:0.0%", "7.0")
}
