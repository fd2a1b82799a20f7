package store

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestSyncChild is the child of TestSyncBeforeAcknowledgement: it accepts
// events, one after the other, and prints each that is acknowledged.
func TestSyncChild(t *testing.T) {
	if os.Getenv("STORE_TEST_FOLDER") == "" {
		t.Skip("only as a child of TestSyncBeforeAcknowledgement")
	}
	s := childStore(t, "full")
	defer mustClose(t, s)
	for n := range 50 {
		keep(t, s.Journal(), testRecord(fmt.Sprint("1.", n), 1, "a"))
		fmt.Fprintln(os.Stdout, "kept", n)
	}
}

// TestSyncBeforeAcknowledgement checks by the system calls that with synchronous = "full" no record is
// acknowledged before the write-ahead log that holds it is synced (T-PWR-2, F16).
func TestSyncBeforeAcknowledgement(t *testing.T) {
	if _, err := exec.LookPath("strace"); err != nil {
		t.Skip("strace is missing here")
	}
	trace := filepath.Join(t.TempDir(), "trace")
	c := child(t, "TestSyncChild", t.TempDir())
	c.Args = append([]string{"strace", "-f", "-y", "-o", trace, "-e", "trace=write,pwrite64,fsync,fdatasync"}, c.Args...)
	c.Path, _ = exec.LookPath("strace")
	if out, err := c.CombinedOutput(); err != nil {
		if strings.Contains(string(out), "ptrace") {
			t.Skipf("processes cannot be traced here: %s", out)
		}
		t.Fatalf("child: %v\n%s", err, out)
	}
	text, err := os.ReadFile(trace)
	if err != nil {
		t.Fatal(err)
	}
	const wal = outboxFile + "-wal>"
	said, synced, dirty := 0, 0, false
	syncing := map[string]bool{} // threads whose sync of the log is cut in two by another's call
	for line := range strings.Lines(string(text)) {
		thread, _, _ := strings.Cut(line, " ")
		switch {
		case strings.Contains(line, "sync(") && strings.Contains(line, wal) && strings.Contains(line, "<unfinished"):
			syncing[thread] = true
		case strings.Contains(line, "pwrite64(") && strings.Contains(line, wal):
			dirty = true
		case strings.Contains(line, "sync(") && strings.Contains(line, wal) && strings.HasSuffix(strings.TrimSpace(line), "= 0"),
			strings.Contains(line, "sync resumed>") && syncing[thread] && strings.HasSuffix(strings.TrimSpace(line), "= 0"):
			dirty, syncing[thread] = false, false
			synced++
		case strings.Contains(line, `"kept `):
			if said++; dirty || synced < said {
				t.Fatalf("acknowledged %d times after %d syncs, written since: %t", said, synced, dirty)
			}
		}
	}
	if said != 50 {
		t.Errorf("%d acknowledgements seen, want 50", said)
	}
}
