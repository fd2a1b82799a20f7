package recordings

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"ringhook/loglimit"
)

const content = "RIFF....WAVEfmt a recording of a call"

// newRecordings returns recordings of a folder with one complete file, and a server for them.
func newRecordings(t *testing.T) (r *Recordings, folder string, server *httptest.Server) {
	t.Helper()
	folder = filepath.Join(t.TempDir(), "monitor")
	write(t, filepath.Join(folder, "2026/01", "q 500-+4930.wav"), time.Hour)
	r = New([]byte("0123456789abcdef0123456789abcdef"), slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	mux := http.NewServeMux()
	mux.Handle(Prefix, r)
	server = httptest.NewServer(mux)
	t.Cleanup(server.Close)
	cfg := DefaultConfig()
	cfg.Folder = folder
	r.Exchange(cfg, server.URL)
	return r, folder, server
}

func write(t *testing.T, file string, age time.Duration) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	at := time.Now().Add(-age)
	if err := os.Chtimes(file, at, at); err != nil {
		t.Fatal(err)
	}
}

func get(t *testing.T, link string, headers ...string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, link, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(body)
}

// A link to a file, absolute or relative, works with ranges until it expires.
func TestLink(t *testing.T) {
	r, folder, _ := newRecordings(t)
	link := r.URL(filepath.Join(folder, "2026/01/q 500-+4930.wav"), "1.1")
	if again := r.URL("2026/01/q 500-+4930.wav", "1.1"); link != again {
		t.Errorf("%s and %s", link, again)
	}
	resp, body := get(t, link)
	if resp.StatusCode != 200 || body != content || resp.Header.Get("Content-Type") != "audio/wav" || resp.Header.Get("Accept-Ranges") != "bytes" {
		t.Errorf("%d %v %q", resp.StatusCode, resp.Header, body)
	}
	if resp, body = get(t, link, "Range", "bytes=5-9"); resp.StatusCode != 206 || body != content[5:10] {
		t.Errorf("a range: %d %q", resp.StatusCode, body)
	}
	if resp, _ = get(t, link, "Range", "bytes=1000-"); resp.StatusCode != 416 {
		t.Errorf("a range after the end: %d", resp.StatusCode)
	}
	r.now = func() time.Time { return time.Now().Add(31 * 24 * time.Hour) }
	if resp, _ = get(t, link); resp.StatusCode != 403 {
		t.Errorf("an expired link: %d", resp.StatusCode)
	}
}

// No link is made for a file outside the folder or of another kind.
func TestNoLink(t *testing.T) {
	r, folder, _ := newRecordings(t)
	for _, file := range []string{"", "/etc/passwd", "../x.wav", folder, filepath.Join(folder, "../x.wav"), "notes.txt", "x", strings.Repeat("a", 2000) + ".wav"} {
		if link := r.URL(file, "1.1"); link != "" {
			t.Errorf("%s: %s", file, link)
		}
	}
	r.Exchange(DefaultConfig(), "https://desk.example")
	if link := r.URL("x.wav", "1.1"); link != "" {
		t.Errorf("without a folder: %s", link)
	}
}

// Without a key there are no signed links, and nothing is served. Links to another server need no key.
func TestNoKey(t *testing.T) {
	var log strings.Builder
	r := New(nil, slog.New(slog.NewTextHandler(&log, nil)), prometheus.NewRegistry())
	cfg := DefaultConfig()
	cfg.Folder = t.TempDir()
	write(t, filepath.Join(cfg.Folder, "x.wav"), time.Hour)
	r.Exchange(cfg, "https://desk.example")
	if link := r.URL("x.wav", "1.1"); link != "" {
		t.Errorf("a link without a key: %s", link)
	}
	until := time.Now().Add(time.Hour).Unix()
	resp := httptest.NewRecorder()
	r.ServeHTTP(resp, httptest.NewRequest(http.MethodGet, fmt.Sprintf("/recordings/x.wav?until=%d&sign=%s", until, r.sign("x.wav", until)), nil))
	if resp.Code != 503 || !strings.Contains(resp.Body.String(), "unavailable") || !strings.Contains(log.String(), "recordings are unavailable") {
		t.Errorf("%d %s, logged %s", resp.Code, resp.Body, log.String())
	}
	cfg.URL = "https://rec.example/%file%"
	r.Exchange(cfg, "")
	if link := r.URL("x.wav", "1.1"); link != "https://rec.example/x.wav" {
		t.Errorf("a link to another server: %s", link)
	}
}

// A template makes links to another server.
func TestTemplate(t *testing.T) {
	r, folder, _ := newRecordings(t)
	cfg := DefaultConfig()
	cfg.Folder, cfg.URL = folder, "https://rec.example/play/%file%?name=%name%&uniqueid=%linkedid%"
	r.Exchange(cfg, "")
	if got, want := r.URL(folder+"/2026/a b.wav", "176.1"), "https://rec.example/play/2026%2Fa%20b.wav?name=a%20b.wav&uniqueid=176.1"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if resp := httptest.NewRecorder(); true {
		r.ServeHTTP(resp, httptest.NewRequest(http.MethodGet, "/recordings/x.wav", nil))
		if resp.Code != 404 {
			t.Errorf("served although another server does: %d", resp.Code)
		}
	}
}

// Every change of a link is refused, and a signed path cannot leave the folder.
func TestTampering(t *testing.T) {
	r, folder, server := newRecordings(t)
	write(t, filepath.Join(filepath.Dir(folder), "secret.wav"), time.Hour)
	for name, target := range map[string]string{"out.wav": "../secret.wav", "abs.wav": filepath.Join(filepath.Dir(folder), "secret.wav")} {
		if err := os.Symlink(target, filepath.Join(folder, name)); err != nil {
			t.Fatal(err)
		}
		if resp, body := get(t, r.URL(name, "1.1")); resp.StatusCode != 404 {
			t.Errorf("a symbolic link that leaves the folder: %d %q", resp.StatusCode, body)
		}
	}
	if err := syscall.Mkfifo(filepath.Join(folder, "pipe.wav"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(folder, "folder.wav"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"pipe.wav", "folder.wav", "missing.wav"} {
		if resp, _ := get(t, r.URL(name, "1.1")); resp.StatusCode != 404 {
			t.Errorf("%s: %d", name, resp.StatusCode)
		}
	}
	link, err := url.Parse(r.URL("2026/01/q 500-+4930.wav", "1.1"))
	if err != nil {
		t.Fatal(err)
	}
	until, sign := link.Query().Get("until"), link.Query().Get("sign")
	for _, tampered := range []string{
		"/recordings/2026/01/q%20500-+4930.wav", "/recordings/2026/01/q%20500-+4930.wav?until=" + until,
		"/recordings/2026/01/q%20500-+4930.wav?until=9" + until + "&sign=" + sign,
		"/recordings/2026/01/q%20500-+4930.wav?until=" + until + "&sign=" + sign + "&sign=" + sign,
		"/recordings/2026/01/q%20500-+4930.wav?until=" + until + "&sign=" + sign[1:],
		"/recordings/2026/01/other.wav?until=" + until + "&sign=" + sign,
		"/recordings/..%2fsecret.wav?until=" + until + "&sign=" + r.sign("../secret.wav", 1<<40),
		"/recordings/%2fetc%2fpasswd?until=1099511627776&sign=" + r.sign("/etc/passwd", 1<<40),
		"/recordings/?until=1099511627776&sign=" + r.sign("", 1<<40), "/recordings/.?until=1099511627776&sign=" + r.sign(".", 1<<40),
	} {
		if resp, body := get(t, server.URL+tampered); resp.StatusCode != 403 && resp.StatusCode != 404 {
			t.Errorf("%s: %d %q", tampered, resp.StatusCode, body)
		}
	}
	if resp, err := http.Post(link.String(), "text/plain", nil); err != nil || resp.StatusCode != 405 {
		t.Errorf("POST: %v %v", resp, err)
	}
}

// Requests for a file that cannot be opened fill no log.
func TestFailuresAreCounted(t *testing.T) {
	r, folder, _ := newRecordings(t)
	var log strings.Builder
	r.limited = loglimit.New(slog.New(slog.NewTextHandler(&log, nil)), time.Minute)
	if err := os.Symlink("../secret.wav", filepath.Join(folder, "out.wav")); err != nil {
		t.Fatal(err)
	}
	for range 20 {
		if resp, body := get(t, r.URL("out.wav", "1.1")); resp.StatusCode != 404 {
			t.Fatalf("%d %q", resp.StatusCode, body)
		}
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(log.String(), "cannot open a recording"); n != 2 || !strings.Contains(log.String(), "repeated=19") {
		t.Errorf("%d lines:\n%s", n, log.String())
	}
}

// A file that may still be written is not sent.
func TestIncomplete(t *testing.T) {
	r, folder, _ := newRecordings(t)
	write(t, filepath.Join(folder, "now.wav"), 0)
	link := r.URL("now.wav", "1.1")
	if resp, _ := get(t, link); resp.StatusCode != 503 || resp.Header.Get("Retry-After") != "10" {
		t.Errorf("a file of now: %d, Retry-After %q", resp.StatusCode, resp.Header.Get("Retry-After"))
	}
	r.now = func() time.Time { return time.Now().Add(11 * time.Second) }
	if resp, body := get(t, link); resp.StatusCode != 200 || body != content {
		t.Errorf("later: %d %q", resp.StatusCode, body)
	}
}

// FuzzLink checks that no request is answered with a file that is not below the folder, or without its signature.
func FuzzLink(f *testing.F) {
	for _, path := range []string{"x.wav", "../x.wav", "%2e%2e/x.wav", "a//b.wav", "a/./b.wav", "/etc/passwd", "\x00.wav"} {
		f.Add(path, "1099511627776", "sign")
	}
	r := New([]byte("key"), slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	cfg := DefaultConfig()
	cfg.Folder = f.TempDir()
	r.Exchange(cfg, "https://desk.example")
	f.Fuzz(func(t *testing.T, path, until, sign string) {
		req := &http.Request{Method: http.MethodGet, URL: &url.URL{Path: Prefix + path, RawQuery: url.Values{"until": {until}, "sign": {sign}}.Encode()}}
		w := httptest.NewRecorder()
		r.ServeHTTP(w, req)
		if w.Code != http.StatusForbidden {
			t.Errorf("%q: %d", path, w.Code)
		}
		if link := r.URL(path, "1.1"); link != "" {
			u, err := url.Parse(link)
			if err != nil || !strings.HasPrefix(u.Path, Prefix) || strings.Contains(u.Path, "/../") {
				t.Errorf("%q: link %q, %v", path, link, err)
			}
		}
	})
}
