package test

import (
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"ringhook/test/wait"
)

// notified listens like systemd, and returns the notifications.
func notified(t *testing.T) (env string, said <-chan string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "notify")
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	lines := make(chan string, 1000)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for buf := make([]byte, 4096); ; {
			n, err := l.Read(buf)
			if err != nil {
				return
			}
			lines <- string(buf[:n])
		}
	}()
	t.Cleanup(func() { l.Close(); <-ended })
	return "NOTIFY_SOCKET=" + path, lines
}

// next waits for the next notification. It skips those of the watchdog unless the caller wants them.
func next(t *testing.T, said <-chan string, pattern string) {
	t.Helper()
	limit := time.After(wait.Limit)
	for {
		select {
		case text := <-said:
			if text == "WATCHDOG=1" && pattern != text {
				continue
			}
			if !regexp.MustCompile(pattern).MatchString(text) {
				t.Fatalf("systemd gets %q, want %s", text, pattern)
			}
			return
		case <-limit:
			t.Fatalf("systemd does not get %s", pattern)
		}
	}
}

// TestNotify checks the notifications of a start, of reloads with a good and a bad file,
// and of a stop, and those of the watchdog all the while.
func TestNotify(t *testing.T) {
	t.Parallel()
	file, agi, web := config(t, "")
	env, said := notified(t)
	c := start(t, file, env, "WATCHDOG_USEC=100000")
	defer c.kill()

	next(t, said, `^READY=1\nSTATUS=`)
	conn, err := net.Dial("tcp", agi)
	if err != nil {
		t.Errorf("ready, but: %v", err)
	} else {
		conn.Close()
	}
	if resp, err := http.Get(web + "/readyz"); err != nil || resp.StatusCode != http.StatusOK {
		t.Errorf("ready, but /readyz returns %v, %v", resp, err)
	} else {
		resp.Body.Close()
	}
	for range 3 {
		next(t, said, "WATCHDOG=1")
	}
	good, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct{ text, status string }{
		{string(good), "STATUS=serving$"}, {string(good) + "wrong = 1\n", "STATUS=.*wrong"}, {string(good), "STATUS=serving$"},
	} {
		if err := os.WriteFile(file, []byte(step.text), 0o600); err != nil {
			t.Fatal(err)
		}
		c.cmd.Process.Signal(syscall.SIGHUP)
		next(t, said, `^RELOADING=1\nMONOTONIC_USEC=[1-9][0-9]*\nSTATUS=`)
		next(t, said, `^READY=1\n`+step.status)
	}
	c.cmd.Process.Signal(syscall.SIGTERM)
	next(t, said, `^STOPPING=1\nEXTEND_TIMEOUT_USEC=[1-9][0-9]{7}\n`)
	if err := c.cmd.Wait(); err != nil {
		t.Errorf("ringhook ended with %v:\n%s", err, c.log)
	}
	if strings.Contains(c.log.String(), "cannot notify") {
		t.Errorf("log:\n%s", c.log)
	}
}
