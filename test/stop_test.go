package test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"ringhook/test/wait"
)

// A stop does not wait for a CRM for which no call waits, and ends with 0.
func TestStopDuringLookup(t *testing.T) {
	asked, over := make(chan struct{}, 1), make(chan struct{})
	crm := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		asked <- struct{}{}
		<-over
	}))
	defer crm.Close()
	defer close(over)
	file, agi, _ := config(t, "[[lookup]]\nname = \"crm\"\npoints = [\"lookup\"]\nurl = \""+crm.URL+"/%callerid%\"\ntimeout = \"90ms\"\n")
	text, err := os.ReadFile(file)
	if err == nil {
		err = os.WriteFile(file, bytes.Replace(text, []byte("[fastagi]\n"), []byte("[fastagi]\nbudget = \"100ms\"\n"), 1), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	var log bytes.Buffer
	ended := make(chan int, 1)
	go func() { ended <- run(ctx, []string{"serve", "-c", file}, io.Discard, &log) }()
	for tick := time.NewTicker(5 * time.Millisecond); ; <-tick.C {
		if c, err := net.Dial("tcp", agi); err == nil {
			c.Close()
			tick.Stop()
			break
		}
		select {
		case code := <-ended:
			t.Fatalf("ringhook serve ended with %d:\n%s", code, &log)
		default:
		}
	}
	var out bytes.Buffer
	if code := run(t.Context(), []string{"call", "lookup", "--from", "+442079460142", "--server", agi}, &out, &out); code != exitOK || !strings.Contains(out.String(), "TIMEOUT") {
		t.Errorf("ringhook call ended with %d:\n%s", code, &out)
	}
	<-asked
	stop()
	if code := <-ended; code != exitOK || !strings.Contains(log.String(), "cut short") {
		t.Errorf("ringhook serve ended with %d:\n%s", code, &log)
	}
}

// slowReceiver holds every delivery until it is released, and reports each one.
type slowReceiver struct {
	*httptest.Server
	came chan string // ids of events
	let  chan struct{}
}

func newSlowReceiver(t *testing.T) *slowReceiver {
	r := &slowReceiver{came: make(chan string, 1000), let: make(chan struct{})}
	r.Server = httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) {
		r.came <- req.Header.Get("webhook-id")
		<-r.let
	}))
	t.Cleanup(r.Close)
	return r
}

// played makes n calls, and asks the point of each until it is answered OK: on a busy disk that takes more
// than one commit.
func (c *process) played(agi string, n int) {
	c.t.Helper()
	for i := range n {
		wait.Until(c.t, func() bool {
			var out bytes.Buffer
			code := run(c.t.Context(), []string{"call", "queue-dial", "queue_id=500", fmt.Sprint("linkedid=1.", i), "--server", agi}, &out, &out)
			return code == exitOK && strings.Contains(out.String(), "RINGHOOK_STATUS = OK")
		}, "call %d is not answered OK", i)
	}
}

// F29: a stop accepts no more calls, waits for the attempts in progress and stores their results,
// checkpoints the files and ends with 0. Pending deliveries arrive after the next start, and delivered ones
// are not repeated.
func TestGracefulStop(t *testing.T) {
	// Not beside others: a stop that takes longer than its limit leaves attempts unrecorded.
	receiver := newSlowReceiver(t)
	const calls, atOnce = 6, 2
	file, agi, web := config(t, fmt.Sprintf("[[hook]]\nname = \"journal\"\nevents = [\"*\"]\nurl = %q\nconcurrency = %d\n", receiver.URL, atOnce))
	c := spawn(t, file, web)
	defer c.kill()
	c.played(agi, calls)
	seen := map[string]int{}
	for range atOnce {
		seen[<-receiver.came]++
	}
	if err := c.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	limit := time.Now().Add(wait.Limit)
	for tick := time.NewTicker(5 * time.Millisecond); ; <-tick.C { // the listener closes before the attempts end
		conn, err := net.Dial("tcp", agi)
		if err != nil {
			break
		}
		conn.Close()
		if time.Now().After(limit) {
			t.Fatalf("calls are still taken:\n%s", c.log)
		}
	}
	close(receiver.let)
	if err := c.cmd.Wait(); err != nil {
		t.Fatalf("ringhook ended with %v:\n%s", err, c.log)
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(file), "data", "*-wal")); len(left) > 0 {
		t.Errorf("not brought into the files: %v", left)
	}
	c = spawn(t, file, web)
	defer c.kill()
	for len(seen) < calls {
		select {
		case id := <-receiver.came:
			seen[id]++
		case <-time.After(time.Until(limit)):
			t.Fatalf("%d of %d events came:\n%s", len(seen), calls, c.log)
		}
	}
	c.stop()
	for id, n := range seen {
		if n != 1 {
			t.Errorf("%s came %d times", id, n)
		}
	}
}

// ended checks that a process ends with 0 after SIGTERM. TestUnit checks that the limits of its parts end
// before systemd's.
func (c *process) ended() {
	c.t.Helper()
	ended := make(chan error, 1)
	go func() { ended <- c.cmd.Wait() }()
	select {
	case err := <-ended:
		if err != nil {
			c.t.Errorf("ringhook ended with %v:\n%s", err, c.log)
		}
	case <-time.After(wait.Limit):
		c.cmd.Process.Signal(syscall.SIGQUIT)
		<-ended
		c.t.Fatalf("ringhook does not end:\n%s", c.log)
	}
}

// F29: with a receiver that hangs or an outbox that another process has locked, a stop still ends with 0
// within the limit of systemd. Interrupted deliveries arrive after the next start.
func TestStopHangs(t *testing.T) {
	t.Parallel()
	t.Run("receiver", func(t *testing.T) {
		t.Parallel()
		receiver := newSlowReceiver(t)
		defer close(receiver.let)
		file, agi, web := config(t, fmt.Sprintf("[[hook]]\nname = \"journal\"\nevents = [\"*\"]\nurl = %q\n", receiver.URL))
		c := spawn(t, file, web)
		defer c.kill()
		c.played(agi, 1)
		id := <-receiver.came
		c.cmd.Process.Signal(syscall.SIGTERM)
		c.ended()
		c = spawn(t, file, web)
		defer c.kill()
		if again := <-receiver.came; again != id {
			t.Errorf("after the next start %s came, want %s", again, id)
		}
	})
	t.Run("outbox", func(t *testing.T) {
		t.Parallel()
		file, agi, web := config(t, "[[hook]]\nname = \"journal\"\nevents = [\"*\"]\nurl = \"http://127.0.0.1:1/\"\n")
		c := spawn(t, file, web)
		defer c.kill()
		c.played(agi, 1)
		db, err := sql.Open("sqlite3", filepath.Join(filepath.Dir(file), "data", "outbox.db"))
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		conn, err := db.Conn(t.Context())
		if err == nil {
			_, err = conn.ExecContext(t.Context(), "pragma busy_timeout = 20000; begin exclusive")
		}
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		var out bytes.Buffer
		run(t.Context(), []string{"call", "queue-dial", "queue_id=500", "linkedid=2.1", "--server", agi}, &out, &out)
		c.cmd.Process.Signal(syscall.SIGTERM)
		c.ended()
	})
}

// F29: a stop during a reload accepts no call after it is announced.
func TestStopDuringReload(t *testing.T) {
	t.Parallel()
	receiver := newSlowReceiver(t)
	defer close(receiver.let)
	file, agi, web := config(t, fmt.Sprintf("[[hook]]\nname = \"journal\"\nevents = [\"*\"]\nurl = %q\n", receiver.URL))
	env, said := notified(t)
	c := start(t, file, env)
	defer c.kill()
	next(t, said, `^READY=1`)
	c.ready(web)
	c.played(agi, 1)
	<-receiver.came // the attempt delays the end of the old hook
	text, err := os.ReadFile(file)
	if err == nil {
		err = os.WriteFile(file, append(text, "concurrency = 3\n"...), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	c.cmd.Process.Signal(syscall.SIGHUP)
	next(t, said, `^RELOADING=1`)
	c.cmd.Process.Signal(syscall.SIGTERM)
	for text := range said {
		if strings.HasPrefix(text, "STOPPING=1") {
			break
		}
	}
	if conn, err := net.Dial("tcp", agi); err == nil {
		conn.Close()
		t.Error("a call is taken after it was said that ringhook stops")
	}
	c.ended()
}

// TestStopDuringEndlessReload checks that a reload that does not come to an end, of a file that cannot be read, neither
// keeps ringhook from stopping nor calls from being refused.
func TestStopDuringEndlessReload(t *testing.T) {
	file, agi, web := config(t, "")
	env, said := notified(t)
	c := start(t, file, env)
	defer c.kill()
	next(t, said, `^READY=1`)
	c.ready(web)
	pipe := filepath.Join(t.TempDir(), "pipe")
	err := syscall.Mkfifo(pipe, 0o600)
	if err == nil {
		err = os.Rename(pipe, file)
	}
	if err != nil {
		t.Fatal(err)
	}
	c.cmd.Process.Signal(syscall.SIGHUP)
	next(t, said, `^RELOADING=1`)
	c.cmd.Process.Signal(syscall.SIGTERM)
	for text := range said {
		if strings.HasPrefix(text, "STOPPING=1") {
			break
		}
	}
	if conn, err := net.Dial("tcp", agi); err == nil {
		conn.Close()
		t.Error("a call is taken after it was said that ringhook stops")
	}
	c.ended()
}

// F29: a second signal ends the process without waiting for the attempts in progress.
func TestSecondSignal(t *testing.T) {
	t.Parallel()
	receiver := newSlowReceiver(t)
	defer close(receiver.let)
	file, agi, web := config(t, fmt.Sprintf("[[hook]]\nname = \"journal\"\nevents = [\"*\"]\nurl = %q\n", receiver.URL))
	c := spawn(t, file, web)
	defer c.kill()
	c.played(agi, 1)
	<-receiver.came
	ended := make(chan error, 1)
	go func() { ended <- c.cmd.Wait() }()
	for tick := time.NewTicker(20 * time.Millisecond); ; <-tick.C {
		c.cmd.Process.Signal(syscall.SIGTERM)
		select {
		case err := <-ended:
			var code *exec.ExitError
			if !errors.As(err, &code) || code.Sys().(syscall.WaitStatus).Signal() != syscall.SIGTERM {
				t.Errorf("ringhook ended with %v:\n%s", err, c.log)
			}
			return
		default:
		}
	}
}

// TestReloadBeforeReady checks that a SIGHUP while ringhook reads its configuration does not end it.
func TestReloadBeforeReady(t *testing.T) {
	t.Parallel()
	file, _, web := config(t, "")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	pipe := filepath.Join(t.TempDir(), "slow.toml")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	c := start(t, pipe)
	var slow *os.File
	for tick, late := time.NewTicker(10*time.Millisecond), time.After(30*time.Second); slow == nil; {
		if slow, err = os.OpenFile(pipe, os.O_WRONLY|syscall.O_NONBLOCK, 0); err == nil {
			break
		}
		slow = nil
		select {
		case <-tick.C:
		case <-late:
			c.kill()
			t.Fatalf("the configuration is not read: %v\n%s", err, c.log)
		}
	}
	if err := c.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(file, pipe); err != nil { // for the reload
		t.Fatal(err)
	}
	if _, err := slow.Write(text); err != nil {
		t.Fatal(err)
	}
	if err := slow.Close(); err != nil {
		t.Fatal(err)
	}
	c.ready(web)
	c.stop()
}
