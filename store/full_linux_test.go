package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"ringhook/hooks"
	"ringhook/store/sqlite"
)

// smallDisk mounts a file system of so many bytes.
func smallDisk(t *testing.T, size int) string {
	t.Helper()
	folder := t.TempDir()
	if err := syscall.Mount("tmpfs", folder, "tmpfs", 0, fmt.Sprintf("size=%d,mode=700", size)); err != nil {
		t.Skipf("a small file system cannot be mounted here, which takes root: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(folder, 0); err != nil {
			t.Errorf("unmount %s: %v", folder, err)
		}
	})
	return folder
}

// ballast fills the disk to its last byte.
func ballast(t *testing.T, folder string) (remove func()) {
	t.Helper()
	path := filepath.Join(folder, "ballast")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	for size := 1 << 20; size > 0; {
		if _, err := f.Write(make([]byte, size)); err != nil {
			size /= 2
		}
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
}

// F11: the disk is full. Acceptances fail and say so, what is stored can be
// read and its results written, for which the reserve is given up; with
// room again all is as it was, without a restart. The log says each once.
func TestDiskFull(t *testing.T) {
	cfg := testConfig(t)
	cfg.Folder = filepath.Join(smallDisk(t, 40<<20), "data")
	var log bytes.Buffer
	s, err := open(cfg, slog.New(slog.NewTextHandler(&log, nil)), prometheus.NewRegistry(), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	defer mustClose(t, s)
	s.stop() // the test mends by itself
	kept := 0
	big := strings.Repeat("x", 100<<10)
	fill := func() (refused error) {
		for n := 0; n < 1000 && refused == nil; n++ {
			r := testRecord(fmt.Sprintf("1.%03d", kept), 1, "a")
			r.Events[0].Event.Params["call_info"] = big
			if _, refused = s.Journal().Keep(context.Background(), r); refused == nil {
				kept++
			}
		}
		return refused
	}
	for range 20 {
		keep(t, s.Journal(), testRecord(fmt.Sprintf("1.%03d", kept), 1, "a"))
		kept++
	}
	remove := ballast(t, cfg.Folder)
	var f *sqlite.Fault
	if err := fill(); !errors.As(err, &f) || f.Class != sqlite.Full {
		t.Fatalf("got %v, want a fault of class full", err)
	}
	if s.Ready() == nil {
		t.Error("disk is full, but ready")
	}
	_, list := due(t, s.Outbox(), "a", time.Now())
	if len(list) != kept {
		t.Errorf("%d due, %d were acknowledged", len(list), kept)
	}
	for i, d := range list {
		settleOne(t, s.Outbox(), d.ID, hooks.Delivered, time.Time{})
		if i%5 == 0 {
			_ = fill() // calls go on; whatever is accepted leaves room for results
		}
	}
	if s.w.reserve.Held() {
		t.Error("the reserve was not given up")
	}
	s.mend()
	if s.w.reserve.Held() {
		t.Error("the reserve is taken back on a full disk")
	}
	if err := fill(); !errors.As(err, &f) || f.Class != sqlite.Full {
		t.Errorf("still full: got %v", err)
	}
	remove()
	s.mend()
	if err := s.Ready(); err != nil {
		t.Errorf("room again: %v", err)
	}
	if !s.w.reserve.Held() || fileSize(s.w.reserve.Path()) != s.w.reserve.Size() {
		t.Error("the reserve is not taken back")
	}
	for n := range 20 {
		keep(t, s.Journal(), testRecord(fmt.Sprint("2.", n), 1, "a"))
	}
	for _, line := range []string{"the reserve is given up", "outbox does not commit", "disk has room again", "outbox commits again"} {
		if got := strings.Count(log.String(), line); got != 1 {
			t.Errorf("the log says %d times %q:\n%s", got, line, &log)
		}
	}
	if testutil.ToFloat64(s.meter.failures.WithLabelValues(string(sqlite.Full))) == 0 {
		t.Error("no failure counted")
	}
}

// F11: a disk without room for the reserve is no reason not to start.
func TestDiskFullAtStart(t *testing.T) {
	cfg := testConfig(t)
	cfg.MaxSize = 4 << 30
	cfg.Folder = filepath.Join(smallDisk(t, 24<<20), "data")
	s := mustOpen(t, cfg, time.Now)
	defer mustClose(t, s)
	if s.w.reserve.Held() {
		t.Error("64 MiB of 24 are held back")
	}
	keep(t, s.Journal(), testRecord("1.1", 1, "a"))
	if _, err := os.Stat(s.w.reserve.Path()); err == nil {
		t.Error("half a reserve is left")
	}
}

// F11: neither is a disk that has no room at all, where ringhook was killed: what
// waits is delivered, and with room again points are answered.
func TestKilledOnFullDisk(t *testing.T) {
	before := testConfig(t)
	s := mustOpen(t, before, time.Now)
	s.stop()
	for n := range 20 {
		keep(t, s.Journal(), testRecord(fmt.Sprint("1.", n), 1, "a"))
	}
	keep(t, s.Journal(), testRecord("1.20", 1, "b"))
	_, list := due(t, s.Outbox(), "b", time.Now())
	settleOne(t, s.Outbox(), list[0].ID, hooks.Delivered, time.Time{})
	cfg := testConfig(t)
	cfg.Folder = filepath.Join(smallDisk(t, 24<<20), "data")
	left(t, before.Folder, cfg.Folder)
	mustClose(t, s)
	remove := ballast(t, cfg.Folder)

	s = mustOpen(t, cfg, time.Now)
	defer mustClose(t, s)
	s.stop() // the test mends by itself
	if _, list := due(t, s.Outbox(), "a", time.Now()); len(list) != 20 {
		t.Errorf("%d are due of 20", len(list))
	}
	if err := s.Outbox().Enrol(context.Background(), []string{"a", "c"}); err != nil {
		t.Error(err)
	}
	var f *sqlite.Fault
	if _, err := s.Journal().Keep(context.Background(), testRecord("2.1", 1, "a")); !errors.As(err, &f) || f.Class != sqlite.Full {
		t.Errorf("got %v, want a fault of class full", err)
	}
	remove()
	s.mend()
	keep(t, s.Journal(), testRecord("2.1", 1, "a"))
}

// F11: a store that was closed in order needs some room to be opened; the error
// says so, and nothing is lost by it.
func TestNoRoomToStart(t *testing.T) {
	cfg := testConfig(t)
	cfg.Folder = filepath.Join(smallDisk(t, 24<<20), "data")
	s := mustOpen(t, cfg, time.Now)
	keep(t, s.Journal(), testRecord("1.1", 1, "a"))
	mustClose(t, s)
	remove := ballast(t, cfg.Folder)
	s, err := open(cfg, slog.New(slog.DiscardHandler), nil, time.Now)
	if err == nil {
		mustClose(t, s)
		t.Fatal("a full disk has room for the shared memory of the store")
	}
	if !strings.Contains(err.Error(), "free some room on the disk of "+cfg.Folder) {
		t.Errorf("the error does not say what to do: %v", err)
	}
	remove()
	s = mustOpen(t, cfg, time.Now)
	defer mustClose(t, s)
	if _, list := due(t, s.Outbox(), "a", time.Now()); len(list) != 1 {
		t.Errorf("%d are due of 1", len(list))
	}
}

// left copies a folder as a process leaves it that is killed now.
func left(t *testing.T, from, to string) {
	t.Helper()
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(to, "outbox.reserve")); err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
}
