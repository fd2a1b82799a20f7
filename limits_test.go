package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"ringhook/conf"
	"ringhook/fastagi"
	"ringhook/fastagi/asterisk"
	"ringhook/hooks"
	"ringhook/lookup"
)

// F22: whoever lets in more sessions than the system has files for is told so at the
// start, and not by calls that fail.
func TestFiles(t *testing.T) {
	cfg := conf.Default()
	before := filesNeeded(cfg)
	if before < uint64(cfg.FastAGI.MaxSessions) {
		t.Errorf("%d files for %d sessions", before, cfg.FastAGI.MaxSessions)
	}
	cfg.Lookups = []lookup.Config{{Concurrency: 64}}
	cfg.Hooks = []hooks.Config{{Concurrency: 8}}
	if got := filesNeeded(cfg); got != before+64+16 {
		t.Errorf("got %d more for a lookup and a hook", got-before)
	}
	own := ownFiles(cfg)
	for _, c := range []struct {
		sessions int
		files    uint64
		want     int
	}{
		{10000, 1 << 20, 10000},
		{10000, math.MaxUint64, 10000},          // no limit
		{10000, own + 10000 + 2500 + 16, 10000}, // of which a quarter and 16 are told FAILURE
		{10000, own + 10000 + 2500 + 15, 9999},  // 9999 need 2499 and 16 beside them
		{10000, own + 20, 10},                   // of few as many as are served
		{10000, own, 1},
		{10000, 3, 1},
		{1, 3, 1},
	} {
		cfg.FastAGI.MaxSessions = c.sessions
		if got := sessionsFor(*cfg, c.files); got != c.want {
			t.Errorf("%d sessions, %d files: %d fit, want %d", c.sessions, c.files, got, c.want)
		}
	}
}

// F22: where few files may be open, a crowd that connects and says nothing takes none of those
// that ringhook needs for itself: every call that comes is answered, or told FAILURE, and
// /readyz is read on connections of its own.
func TestFewFiles(t *testing.T) {
	file, agi, web := config(t, "")
	c := &child{t: t, log: &bytes.Buffer{}, cmd: exec.Command("sh", "-c", `ulimit -n 480 && exec "$0" serve -c "$1"`, os.Args[0], file)}
	c.cmd.Env = append(os.Environ(), asRinghook+"=1")
	c.cmd.Stderr = c.log
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer c.kill()
	c.ready(web)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	crowding, disperse := context.WithCancel(ctx)
	var crowd sync.WaitGroup
	defer crowd.Wait()
	defer disperse()
	for range 500 {
		crowd.Go(func() {
			var d net.Dialer
			for crowding.Err() == nil {
				if conn, err := d.DialContext(crowding, "tcp", agi); err == nil {
					gone := context.AfterFunc(crowding, func() { conn.Close() })
					io.Copy(io.Discard, conn) // until ringhook has enough
					gone()
					conn.Close()
				}
				select {
				case <-crowding.Done():
				case <-time.After(200 * time.Millisecond): // or the test is busy with nothing else
				}
			}
		})
	}
	call := func(n int) (string, error) {
		got, err := asterisk.Call(ctx, agi, asterisk.CallRequest{Env: fastagi.Env{Point: "call-dial", Channel: "PJSIP/trunk", UniqueID: fmt.Sprintf("1.%d", n)}})
		return got.Status, err
	}
	refused := 0
	for n := 0; n < 50 || refused == 0; n++ {
		if n == 25 { // what does not fit does not after a reload
			if err := c.cmd.Process.Signal(syscall.SIGHUP); err != nil {
				t.Fatal(err)
			}
		}
		status, err := call(n)
		if ctx.Err() != nil {
			t.Fatalf("call %d does not end: %v", n, err)
		}
		if status == "FAILURE" {
			refused++
		}
		http.DefaultClient.CloseIdleConnections()
		get(t, web+"/readyz")
	}
	disperse()
	crowd.Wait()
	for n := 1_000_000; ; n++ {
		if status, _ := call(n); status == "SUCCESS" {
			break
		}
		if ctx.Err() != nil {
			t.Fatal("no call is served when the crowd has gone")
		}
	}
	c.stop()
	if !strings.Contains(c.log.String(), "limit=480") {
		t.Errorf("nothing is said of the limit:\n%s", c.log)
	}
	if strings.Contains(c.log.String(), "too many open files") {
		t.Errorf("files ran out:\n%s", c.log)
	}
}
