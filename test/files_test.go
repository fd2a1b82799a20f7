package test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"ringhook/fastagi"
	"ringhook/fastagi/asterisk"
	"ringhook/test/wait"
)

// F22: with a low limit of open files, many connections that send nothing do not use the files that
// ringhook needs: every call is answered, or gets FAILURE, and /readyz is answered on separate connections.
func TestFewFiles(t *testing.T) {
	file, agi, web := config(t, "")
	c := &process{t: t, log: &bytes.Buffer{}, cmd: exec.Command("sh", "-c", `ulimit -n 480 && exec "$0" serve -c "$1"`, os.Args[0], file)}
	c.cmd.Env = append(os.Environ(), asRinghook+"=1")
	c.cmd.Stderr = c.log
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer c.kill()
	c.ready(web)
	ctx := wait.Context(t)
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
				case <-time.After(200 * time.Millisecond): // do not use all of the processor
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
		if n == 25 { // the limit also applies after a reload
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
