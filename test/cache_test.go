package test

import (
	"bytes"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"ringhook/test/wait"
)

// TestCacheCommands checks the commands that show and clear the cache while the server runs.
func TestCacheCommands(t *testing.T) {
	var asked atomic.Int32
	file, web := daemon(t, testToken, withCRM(t, &asked))
	f := func(want string, args ...string) {
		t.Helper()
		var out bytes.Buffer
		code := run(t.Context(), append(args, "-c", file), &out, &out)
		if code != exitOK || !strings.Contains(out.String(), want) {
			t.Errorf("ringhook %s ended with %d and printed\n%s\nwant %q", strings.Join(args, " "), code, &out, want)
		}
	}
	// The server notices within seconds that a command has removed an entry.
	kept := func() {
		t.Helper()
		wait.Until(t, func() bool {
			f("RINGHOOK_STATUS = FOUND", "call", "queue-dial", "queue_id=500", "--from", "02079460142")
			var out bytes.Buffer
			run(t.Context(), []string{"cache", "show", "020 7946 0142", "-c", file}, &out, &out)
			return strings.Contains(out.String(), "CALLERID(name) = Zoë")
		}, "the answer is not kept")
	}
	f("nothing is kept for +442079460142", "cache", "show", "020 7946 0142")
	kept()
	if status, _, answer := request(t, web+"/v1/cache/forget", `{"number": "020 7946 0142"}`, func(*http.Request) {}); status != 200 || answer != "{\"forgotten\":1}\n" {
		t.Errorf("got %d %s", status, answer)
	}
	kept()
	f("1 answers for +442079460142 forgotten", "cache", "forget", "020 7946 0142")
	kept()
	f("1 answers forgotten", "cache", "clear")
	f("nothing is kept", "cache", "show", "020 7946 0142")
	if asked.Load() != 3 {
		t.Errorf("the CRM was asked %d times, want 3", asked.Load())
	}
}
