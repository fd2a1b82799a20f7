package app

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ringhook/conf"
	"ringhook/httpclient"
	"ringhook/store/credentials"
)

// TestStopWaitsForTokens checks that a stop has time for a request for a token that is in progress.
func TestStopWaitsForTokens(t *testing.T) {
	cfg := conf.Default()
	cfg.FastAGI.Listen, cfg.HTTP.Listen, cfg.Store.Folder = "127.0.0.1:0", "127.0.0.1:0", t.TempDir()
	a, err := New(cfg, slog.New(slog.DiscardHandler), Build{})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range a.undo {
		if s.name == "accounts" && s.limit < httpclient.TokenWait {
			t.Errorf("a stop waits for %v, and a request for a token may take %v", s.limit, httpclient.TokenWait)
		}
	}
	if first := a.undo[len(a.undo)-1]; first.name != "requests for tokens" || sessionTime+httpclient.TokenWait >= stopTime {
		t.Errorf("the stop begins with %s: a request for a token may begin too late to be waited for", first.name)
	}
	if err := a.unwind(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestDamagedCredentials checks that a ringhook with a damaged credentials.db starts. It answers that recordings are
// unavailable, and does not change the file.
func TestDamagedCredentials(t *testing.T) {
	cfg, err := conf.Parse("ringhook.toml", fmt.Appendf(nil, `
[fastagi]
listen = "127.0.0.1:0"
[http]
listen = "127.0.0.1:0"
[desk]
listen = "127.0.0.1:0"
url = "http://127.0.0.1"
[recordings]
folder = %q
`, t.TempDir()), os.LookupEnv)
	if err != nil {
		t.Fatal(err)
	}
	cfg.Store.Folder = t.TempDir()
	file, damaged := filepath.Join(cfg.Store.Folder, credentials.File), strings.Repeat("damaged ", 1024)
	if err := os.WriteFile(file, []byte(damaged), 0o600); err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	a, err := New(cfg, slog.New(slog.NewTextHandler(&log, nil)), Build{})
	if err != nil {
		t.Fatal(err)
	}
	resp := httptest.NewRecorder()
	a.recordings.ServeHTTP(resp, httptest.NewRequest(http.MethodGet, "/recordings/x.wav?until=1&sign=x", nil))
	if resp.Code != http.StatusServiceUnavailable {
		t.Errorf("a recording is answered %d", resp.Code)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := a.Run(ctx, nil, nil); err != nil {
		t.Error(err)
	}
	if text, err := os.ReadFile(file); err != nil || string(text) != damaged {
		t.Errorf("the file has changed (%v)", err)
	}
	for _, want := range []string{"cannot open credentials.db", "recordings are unavailable"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("%q is not in the log:\n%s", want, log.String())
		}
	}
}
