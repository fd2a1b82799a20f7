package hooks_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"mime"
	"mime/multipart"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"ringhook/hooks"
	"ringhook/hooks/hooktest"
	"ringhook/recordings"
)

// uploading returns a hook that sends recordings, and the folder from which it does.
func uploading(t *testing.T, url string) (cfg hooks.Config, with hooks.Shared, folder string) {
	t.Helper()
	folder = t.TempDir()
	settings := recordings.DefaultConfig()
	settings.Folder, settings.MaxUpload = folder, 1<<20
	r := recordings.New(nil, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	r.Exchange(settings, "")
	cfg = hookTo("crm", url)
	cfg.Format, cfg.File, cfg.Params = "multipart", `au"dio`, map[string]string{"title": "Call of %callerid%", "user[]": "%agent_phone%"}
	return cfg, hooks.Shared{Recordings: r}, folder
}

// record writes a file that was closed some time ago.
func record(t *testing.T, file, content string, age time.Duration) {
	t.Helper()
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	at := time.Now().Add(-age)
	if err := os.Chtimes(file, at, at); err != nil {
		t.Fatal(err)
	}
}

func recordedEvent(call int, file string) hooks.Event {
	ev := event(fmt.Sprint("1.", call), 1)
	ev.Params["recording_file"], ev.Params["callerid"], ev.Params["agent_phone"] = file, "+4930123", "101"
	return ev
}

// startShared starts a dispatcher of one hook, and stops it with the test.
func startShared(t *testing.T, outbox hooks.Outbox, with hooks.Shared, cfgs ...hooks.Config) *hooks.Dispatcher {
	t.Helper()
	d, err := hooks.NewShared(cfgs, with, outbox, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	d.Start()
	t.Cleanup(func() {
		if err := d.Close(t.Context()); err != nil && t.Context().Err() == nil {
			t.Error(err)
		}
	})
	return d
}

// TestUpload checks the request that sends a recording: the fields, then the file, with its name and content type.
func TestUpload(t *testing.T) {
	crm, outbox := hooktest.NewReceiver(t), hooktest.NewOutbox()
	outbox.Hurry()
	cfg, with, folder := uploading(t, crm.URL())
	content := strings.Repeat("RIFF\r\n--", 100_000) // larger than any buffer
	record(t, filepath.Join(folder, `q "1".wav`), content, time.Hour)
	crm.Play(hooktest.Step{Status: 500})
	d := startShared(t, outbox, with, cfg)
	id := outbox.Add(recordedEvent(1, filepath.Join(folder, `q "1".wav`)), "crm")[0]
	d.WakeAll()
	waitUntil(t, outbox, func() bool { return outbox.Pending() == 0 })
	if row := outbox.Row(id); row.State != hooks.Delivered || len(row.Attempts) != 2 {
		t.Fatalf("got %+v", row)
	}
	for _, got := range crm.Requests() {
		kind, params, err := mime.ParseMediaType(got.Header.Get("Content-Type"))
		if err != nil || kind != "multipart/form-data" || got.Method != "POST" || got.Header.Get("Content-Length") != fmt.Sprint(len(got.Body)) {
			t.Fatalf("%s %s, length %s of %d, %v", got.Method, kind, got.Header.Get("Content-Length"), len(got.Body), err)
		}
		r := multipart.NewReader(strings.NewReader(got.Body), params["boundary"])
		var parts []string
		for {
			part, err := r.NextPart()
			if err != nil {
				break
			}
			text, err := io.ReadAll(part)
			if err != nil {
				t.Fatal(err)
			}
			if part.FileName() != "" {
				if string(text) != content {
					t.Errorf("the file has %d bytes, want %d", len(text), len(content))
				}
				text = []byte(part.FileName() + " " + part.Header.Get("Content-Type"))
			}
			parts = append(parts, part.FormName()+"="+string(text))
		}
		if text := strings.Join(parts, "; "); text != "title=Call of +4930123; user[]=101; au%22dio=q %221%22.wav audio/wav" {
			t.Errorf("parts %s", text)
		}
	}
}

// TestUploadInJSON checks the request that sends a recording in base64, of every length of its last group.
func TestUploadInJSON(t *testing.T) {
	crm, outbox := hooktest.NewReceiver(t), hooktest.NewOutbox()
	outbox.Hurry()
	cfg, with, folder := uploading(t, crm.URL())
	cfg.Format, cfg.File, cfg.Params = "json", `FILE "1"`, map[string]string{"call": "%callerid%", "seq": "%seq%"}
	bare := cfg
	bare.Name, bare.Params, bare.URL = "bare", nil, hooks.Addresses{crm.URL() + "/bare"}
	contents := map[string]bool{}
	d := startShared(t, outbox, with, cfg, bare)
	for n := range 4 {
		content := strings.Repeat("RIFF\xff\r\n--", 30_000) + strings.Repeat("x", n)
		contents[content] = true
		file := filepath.Join(folder, fmt.Sprint(n, ".wav"))
		record(t, file, content, time.Hour)
		outbox.Add(recordedEvent(n, file), "crm", "bare")
	}
	d.WakeAll()
	waitUntil(t, outbox, func() bool { return outbox.Pending() == 0 })
	seen := map[string]bool{}
	for _, got := range crm.Requests() {
		var fields map[string]any
		if err := json.Unmarshal([]byte(got.Body), &fields); err != nil || got.Header.Get("Content-Type") != "application/json" || got.Header.Get("Content-Length") != fmt.Sprint(len(got.Body)) {
			t.Fatalf("%v: %s, length %s of %d", err, got.Header.Get("Content-Type"), got.Header.Get("Content-Length"), len(got.Body))
		}
		text, err := base64.StdEncoding.DecodeString(fmt.Sprint(fields[`FILE "1"`]))
		if err != nil || !contents[string(text)] {
			t.Fatalf("the file has %d bytes: %v", len(text), err)
		}
		seen[got.URL+string(text)] = true
		delete(fields, `FILE "1"`)
		want := map[string]any{"call": "+4930123", "seq": 1.0}
		if got.URL == "/bare" {
			want = map[string]any{}
		}
		if !maps.Equal(fields, want) {
			t.Errorf("fields %v, want %v", fields, want)
		}
	}
	if len(seen) != 8 {
		t.Errorf("%d recordings came, want 8", len(seen))
	}
	ev := recordedEvent(1, "/monitor/7.wav")
	if p, err := hooks.Render([]hooks.Config{cfg}, &ev, "crm"); err != nil || p.Body != `{"call":"+4930123","seq":1,"FILE \"1\"":"(the recording /monitor/7.wav)"}` {
		t.Errorf("preview: %v\n%s", err, p.Body)
	}
}

// TestUploadWaits checks that nothing is sent until the recording is complete, that it is sent then, and which
// recordings are never sent.
func TestUploadWaits(t *testing.T) {
	crm, outbox := hooktest.NewReceiver(t), hooktest.NewOutbox()
	cfg, with, folder := uploading(t, crm.URL())
	cfg.Concurrency = 1
	record(t, filepath.Join(folder, "now.wav"), "RIFF", 0)
	record(t, filepath.Join(folder, "empty.wav"), "", time.Hour)
	record(t, filepath.Join(folder, "large.wav"), strings.Repeat("x", 1<<20+1), time.Hour)
	record(t, filepath.Join(folder, "notes.txt"), "secret", time.Hour)
	outside := filepath.Join(t.TempDir(), "x.wav")
	record(t, outside, "RIFF", time.Hour)
	if err := os.Symlink(outside, filepath.Join(folder, "link.wav")); err != nil {
		t.Fatal(err)
	}
	d := startShared(t, outbox, with, cfg)
	for i, c := range []struct {
		file string
		dead bool
		why  string
	}{
		{"later.wav", false, "there is no such file"},
		{"now.wav", false, "not complete yet"},
		{"empty.wav", false, "is empty"},
		{"link.wav", false, "cannot be read"},
		{"large.wav", true, "more than max_upload"},
		{"notes.txt", true, "does not end as that of an audio file"},
		{outside, true, "not in the folder"},
		{"../x.wav", true, "not in the folder"},
		{"", true, "when = \"recording_file != ''\""},
	} {
		id := outbox.Add(recordedEvent(i, c.file), "crm")[0]
		d.WakeAll()
		waitUntil(t, outbox, func() bool { return len(outbox.Row(id).Attempts) == 1 })
		row := outbox.Row(id)
		if a := row.Attempts[0]; (row.State == hooks.Dead) != c.dead || a.Class != "recording" || a.Status != 0 || !strings.Contains(a.Excerpt, "not sent: ") || !strings.Contains(a.Excerpt, c.why) {
			t.Errorf("%q: %v, %+v", c.file, row.State, a)
		}
	}
	if n := len(crm.Requests()); n != 0 {
		t.Fatalf("%d requests", n)
	}
	record(t, filepath.Join(folder, "later.wav"), "RIFF", time.Hour)
	id := outbox.Add(recordedEvent(99, "later.wav"), "crm")[0]
	d.WakeAll()
	waitUntil(t, outbox, func() bool { return outbox.Row(id).State == hooks.Delivered })
}

// TestUploadGivesUp checks that a recording that never comes ends the delivery with its reason, and that one which
// comes late is sent when it is complete.
func TestUploadGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		outbox := hooktest.NewOutbox()
		cfg, with, folder := uploading(t, "http://crm.example/")
		cfg.GiveUp, cfg.Schedule = time.Hour, "fast"
		d, err := hooks.NewShared([]hooks.Config{cfg}, with, outbox, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
		if err != nil {
			t.Fatal(err)
		}
		c := &crm{status: 200}
		d.SetSend("crm", c.send)
		d.Start()
		never, late := outbox.Add(recordedEvent(1, "never.wav"), "crm")[0], outbox.Add(recordedEvent(2, "late.wav"), "crm")[0]
		d.WakeAll()
		time.Sleep(10 * time.Minute)
		record(t, filepath.Join(folder, "late.wav"), "RIFF", 0)
		time.Sleep(2 * time.Hour)
		if err := d.Close(t.Context()); err != nil {
			t.Error(err)
		}
		row := outbox.Row(never)
		if last := row.Attempts[len(row.Attempts)-1]; row.State != hooks.Dead || last.Excerpt != "not sent: never.wav: there is no such file in the folder of [recordings]" {
			t.Errorf("%v: %+v", row.State, last)
		}
		if row := outbox.Row(late); row.State != hooks.Delivered || len(c.attempts()) != 1 {
			t.Errorf("%+v, %d requests", row, len(c.attempts()))
		}
		if st, err := outbox.State("crm"); err != nil || !st.Until.IsZero() {
			t.Errorf("the breaker has opened: %+v, %v", st, err)
		}
	})
}

// TestRememberedBy checks that a hook waits until another one has a value, and gets it.
func TestRememberedBy(t *testing.T) {
	crm, outbox := hooktest.NewReceiver(t), hooktest.NewOutbox()
	outbox.Hurry()
	crm.Answer(func(r hooktest.Request) hooktest.Step {
		if r.URL == "/calls" {
			return hooktest.Step{Body: `{"data": {"id": "log-7"}}`}
		}
		return hooktest.Step{}
	})
	journal := hookTo("journal", crm.URL()+"/calls")
	journal.Remember = map[string]string{"call_log": ".data.id"}
	notes := hookTo("notes", crm.URL()+"/calls/%call_log%/notes")
	notes.RememberedBy, notes.Needs = "journal", []string{"call_log"}
	for hook, want := range map[string]string{"journal": "journal", "notes": "journal", "notes.2": "journal", "other": "other"} {
		if got := hooks.RememberedFor([]hooks.Config{journal, notes}, hook); got != want {
			t.Errorf("the values for %s are those of %s, want %s", hook, got, want)
		}
	}
	d := startShared(t, outbox, hooks.Shared{}, journal, notes)
	ev := event("1.1", 1)
	waits := outbox.Add(ev, "notes")[0]
	d.WakeAll()
	waitUntil(t, outbox, func() bool { return len(outbox.Row(waits).Attempts) > 0 })
	if row := outbox.Row(waits); row.State != hooks.Pending || row.Attempts[0].Class != "needs" || !strings.Contains(row.Attempts[0].Excerpt, "the hook journal has left call_log") {
		t.Fatalf("got %+v", row)
	}
	outbox.Add(ev, "journal")
	d.WakeAll()
	waitUntil(t, outbox, func() bool { return outbox.Pending() == 0 })
	if row := outbox.Row(waits); row.State != hooks.Delivered {
		t.Errorf("got %v", row.State)
	}
	if all := crm.Requests(); len(all) != 2 || all[1].URL != "/calls/log-7/notes" {
		t.Errorf("got %+v", all)
	}
}

// TestUploadSettings checks which settings of uploads are refused.
func TestUploadSettings(t *testing.T) {
	for _, c := range []struct {
		change func(*hooks.Config)
		want   string
	}{
		{func(*hooks.Config) {}, ""},
		{func(c *hooks.Config) { c.File = "" }, "file"},
		{func(c *hooks.Config) { c.File = "a\nb" }, "file"},
		{func(c *hooks.Config) { c.Format = "form" }, "file"},
		{func(c *hooks.Config) { c.Format = "json" }, ""},
		{func(c *hooks.Config) { c.Format, c.Secret = "json", "whsec_"+strings.Repeat("A", 32) }, "secret"},
		{func(c *hooks.Config) { c.Body = "x" }, "body"},
		{func(c *hooks.Config) { c.Method = "GET" }, "method"},
		{func(c *hooks.Config) { c.Headers = map[string]string{"content-type": "audio/wav"} }, "headers.content-type"},
		{func(c *hooks.Config) { c.Secret = "whsec_" + strings.Repeat("A", 32) }, "secret"},
		{func(c *hooks.Config) { c.RememberedBy, c.Remember = "calls", map[string]string{"x": ".x"} }, "remember"},
		{func(c *hooks.Config) { c.On = map[string]hooks.Variant{"agent-dial": {Format: "multipart"}} }, ""},
		{func(c *hooks.Config) {
			c.Format, c.File, c.On = "json", "", map[string]hooks.Variant{"agent-dial": {Format: "multipart"}}
		}, "on.agent-dial.file"},
	} {
		cfg, _, _ := uploading(t, "http://crm.example/")
		c.change(&cfg)
		var keys []string
		cfg.Check(func(key, _ string) { keys = append(keys, key) })
		if got := strings.Join(keys, " "); got != c.want {
			t.Errorf("%q is wrong, want %q", got, c.want)
		}
	}
}

// TestUploadPreview checks that a preview needs no recording and shows which one is sent.
func TestUploadPreview(t *testing.T) {
	cfg, _, _ := uploading(t, "http://crm.example/")
	ev := recordedEvent(1, "/monitor/7.wav")
	p, err := hooks.Render([]hooks.Config{cfg}, &ev, "crm")
	if err != nil || !strings.Contains(p.Body, "Call of +4930123") || !strings.Contains(p.Body, "(the recording /monitor/7.wav)") || !strings.Contains(p.Body, `filename="7.wav"`) {
		t.Errorf("%v\n%s", err, p.Body)
	}
}
