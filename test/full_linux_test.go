package test

import (
	"bytes"
	"errors"
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"ringhook/test/wait"
)

// TestNoRoom checks a full disk, or a limit of the file size, while the server runs (F11). Calls continue
// without a RINGHOOK_STATUS, and events that were answered OK are delivered. When there is space again,
// points are answered OK without a restart. The log has few lines and the number of the points.
func TestNoRoom(t *testing.T) {
	t.Parallel()
	for name, fill := range map[string]func(t *testing.T, data string, pid int) (empty func()){
		"disk": fillDisk,
		"file": limitFiles,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLedger(t)
			receiver := httptest.NewServer(l)
			defer receiver.Close()
			file, agi, web := config(t, fmt.Sprintf("max_size = \"64MiB\"\n[[hook]]\nname = \"journal\"\nevents = [\"*\"]\nurl = %q\nformat = \"json\"\nschedule = \"fast\"\n", receiver.URL))
			data := filepath.Join(filepath.Dir(file), "data")
			if err := os.Mkdir(data, 0o700); err != nil {
				t.Fatal(err)
			}
			if err := syscall.Mount("tmpfs", data, "tmpfs", 0, "size=41943040,mode=700"); err != nil {
				t.Skipf("a small file system cannot be mounted here, which takes root: %v", err)
			}
			t.Cleanup(func() {
				// A process that a test beside this one starts may still hold its files for a moment.
				wait.Until(t, func() bool { return !errors.Is(syscall.Unmount(data, 0), syscall.EBUSY) }, "cannot unmount %s", data)
			})
			ctx := wait.Context(t)
			c := spawn(t, file, web)
			defer func() { c.kill() }()
			n, began := 0, time.Now()
			until := func(ok bool) {
				t.Helper()
				for l.play(ctx, agi, fmt.Sprintf("1.%d", n)) != ok {
					if n++; ctx.Err() != nil {
						t.Fatalf("no call was answered so that OK is %t:\n%s", ok, c.log)
					}
				}
				n++
			}
			until(true)
			empty := fill(t, data, c.cmd.Process.Pid)
			until(false)
			c.untilMetric(web, `ringhook_store_failures_total{class="full"} `)
			if strings.Contains(get(t, web+"/metrics"), `ringhook_store_failures_total{class="full"} 0`) {
				t.Error("no failure of class full is counted")
			}
			const calls = 50  // of six points each
			for range calls { // calls continue, answered or not
				l.play(ctx, agi, fmt.Sprintf("2.%d", n))
				n++
			}
			empty()
			until(true)
			c.untilMetric(web, "ringhook_store_reserve_bytes 4.194304e+06")
			l.await(ctx, c)
			c.stop()
			checkFlood(t, c.log.String(), 6*calls/2, time.Since(began))
		})
	}
}

// fillDisk fills the disk to the last byte.
func fillDisk(t *testing.T, data string, _ int) (empty func()) {
	path := filepath.Join(data, "ballast")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	for size := 1 << 20; size > 0; {
		if _, err := f.Write(make([]byte, size)); err != nil {
			size /= 2
		}
	}
	f.Close()
	return func() {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
}

// limitFiles prevents the files of the process from growing.
func limitFiles(t *testing.T, data string, pid int) (empty func()) {
	set := func(limit string) {
		if out, err := exec.Command("prlimit", fmt.Sprint("--pid=", pid), "--fsize="+limit+":").CombinedOutput(); err != nil {
			t.Fatalf("prlimit: %v: %s", err, bytes.TrimSpace(out))
		}
	}
	if _, err := exec.LookPath("prlimit"); err != nil {
		t.Skip("prlimit is missing here")
	}
	info, err := os.Stat(filepath.Join(data, "outbox.db-wal"))
	if err != nil {
		t.Fatal(err)
	}
	set(fmt.Sprint(info.Size()))
	return func() { set("unlimited") }
}

// checkFlood checks that the log has a line about points without events at once and one for each minute, which count at
// least so many points, and hardly any other.
func checkFlood(t *testing.T, log string, points int, took time.Duration) {
	t.Helper()
	lines, counted, others := 0, 0, 0
	for line := range strings.Lines(log) {
		if !strings.Contains(line, "event not kept") {
			others++
			continue
		}
		lines++
		counted++
		if m := regexp.MustCompile(` repeated=(\d+) within=1m0s`).FindStringSubmatch(line); m != nil {
			n, _ := strconv.Atoi(m[1])
			counted += n - 1 // the line is one of them
		}
	}
	if most := 2 + int(took/time.Minute); lines > most || lines == 0 {
		t.Errorf("%d lines for the points, want at most %d", lines, most)
	}
	if counted < points {
		t.Errorf("the log counts %d points, want %d at least", counted, points)
	}
	if others > 30+int(took/time.Second) {
		t.Errorf("%d other lines", others)
	}
	if t.Failed() {
		t.Logf("the log:\n%s", log)
	}
}
