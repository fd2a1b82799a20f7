package app

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"ringhook/conf"
	"ringhook/httpclient"
	"ringhook/store/credentials"
	"ringhook/test/wait"
)

// TestStopWaitsForTokens checks that a stop waits for a request for a token that is in progress, and stores the answer.
func TestStopWaitsForTokens(t *testing.T) {
	asked, answer := make(chan struct{}, 1), make(chan struct{})
	issuer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked <- struct{}{}
		<-answer
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"access_token": "access", "token_type": "Bearer", "expires_in": 3600, "refresh_token": "second"}`)
	}))
	defer issuer.Close()
	cfg, err := conf.Parse("ringhook.toml", fmt.Appendf(nil, `
[fastagi]
listen = "127.0.0.1:0"
[http]
listen = "127.0.0.1:0"
[[account]]
name = "crm"
oauth2 = { grant = "refresh_token", token_url = %q, client_id = "id", client_secret = "secret", refresh_token = "first" }
`, issuer.URL), os.LookupEnv)
	if err != nil {
		t.Fatal(err)
	}
	cfg.Store.Folder = t.TempDir()
	a, err := New(cfg, slog.New(slog.DiscardHandler), Build{})
	if err != nil {
		t.Fatal(err)
	}
	checkTokenSteps(t, a.undo)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx, nil, nil) }()
	<-asked
	cancel()
	wait.Until(t, func() bool { return len(ended) > 0 || closesTokens() }, "the stop closes no tokens")
	if len(ended) > 0 {
		t.Error("the stop has not waited")
	}
	close(answer)
	if err := <-ended; err != nil {
		t.Error(err)
	}
	stored, err := credentials.Open(cfg.Store.Folder)
	if err != nil {
		t.Fatal(err)
	}
	st, err := stored.Load("crm")
	if err = errors.Join(err, stored.Close()); err != nil || st.Refresh != "second" || st.Access != "access" {
		t.Errorf("stored: %+v, %v, want the answer", st, err)
	}
}

// closesTokens reports whether a goroutine is in Close of tokens.
func closesTokens() bool {
	stacks := make([]byte, 1<<20)
	return bytes.Contains(stacks[:runtime.Stack(stacks, true)], []byte("httpclient.(*Tokens).Close("))
}

// checkTokenSteps checks that the stop begins no request for a token after its first step, and has time for the last one.
func checkTokenSteps(t *testing.T, steps []step) {
	t.Helper()
	if last := steps[len(steps)-1]; last.name != "requests for tokens" || sessionTime+httpclient.TokenWait >= stopTime {
		t.Errorf("the stop begins with %s: a request for a token may begin too late to be waited for", last.name)
	}
	i := slices.IndexFunc(steps, func(s step) bool { return s.name == "accounts" })
	if i < 0 || steps[i].limit <= httpclient.TokenWait {
		t.Errorf("the stop does not wait %v, as long as a request for a token may take", httpclient.TokenWait)
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
