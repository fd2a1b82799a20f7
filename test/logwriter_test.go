package test

import (
	"bufio"
	"bytes"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"ringhook/fastagi"
	"ringhook/fastagi/asterisk"
	"ringhook/test/wait"
)

// F12: the log is a pipe that is not read, and later one without a reader. Calls are not affected, lost
// lines are counted, and the gap is logged.
func TestLogNobodyReads(t *testing.T) {
	t.Parallel()
	file, agi, web := config(t, "")
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	c := &process{t: t, cmd: exec.Command(os.Args[0], "serve", "-c", file, "--log-level", "debug"), log: &bytes.Buffer{}}
	c.cmd.Env = append(os.Environ(), asRinghook+"=1")
	c.cmd.Stderr = w
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	c.ready(web)
	defer c.kill()

	// Each line has the channel's name, so that few of them fill pipe and memory.
	name := "PJSIP/" + strings.Repeat("x", 7000)
	play := func(calls int) {
		var callers sync.WaitGroup
		for range calls {
			callers.Go(func() {
				ctx := wait.Context(t)
				got, err := asterisk.Call(ctx, agi, asterisk.CallRequest{Env: fastagi.Env{Point: "no-such-point", Channel: name, UniqueID: "1.1"}})
				if err != nil || len(got.Set) != 1 || got.Set[0].Value != "ERROR" {
					t.Errorf("call returns %+v, %v", got.Set, err)
				}
			})
		}
		callers.Wait()
	}
	for range 100 {
		play(50)
		if metrics := get(t, web+"/metrics"); !strings.Contains(metrics, "ringhook_log_dropped_total 0\n") {
			break
		}
	}
	if metrics := get(t, web+"/metrics"); strings.Contains(metrics, "ringhook_log_dropped_total 0\n") {
		t.Fatal("no line was dropped: the test did not fill the pipe")
	}
	lines := bufio.NewReader(r)
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			t.Fatalf("the log does not tell its gap: %v", err)
		}
		if strings.Contains(line, "lines are missing here") {
			break
		}
	}
	r.Close()
	play(50)
	c.stop()
}
