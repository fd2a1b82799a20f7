package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"ringhook/dialplan"
	"ringhook/hooks"
	"ringhook/lookup"
	"ringhook/store/phonebook"
	"ringhook/store/sqlite"
	"ringhook/test/wait"
)

// smallDisk mounts a file system of a size in bytes.
func smallDisk(t *testing.T, size int) string {
	t.Helper()
	folder := t.TempDir()
	if err := syscall.Mount("tmpfs", folder, "tmpfs", 0, fmt.Sprintf("size=%d,mode=700", size)); err != nil {
		t.Skipf("a small file system cannot be mounted here, which takes root: %v", err)
	}
	t.Cleanup(func() {
		// A process that a test beside this one starts may still hold its files for a moment.
		wait.Until(t, func() bool { return !errors.Is(syscall.Unmount(folder, 0), syscall.EBUSY) }, "cannot unmount %s", folder)
	})
	return folder
}

// ballast fills the disk to its last byte.
func ballast(t *testing.T, folder string) (remove func()) {
	t.Helper()
	f, err := os.CreateTemp(folder, "ballast")
	if err != nil {
		t.Fatal(err)
	}
	path := f.Name()
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

// TestDiskFull fills the disk (F11). New records are refused with the reason. Stored deliveries can be read and
// their results written, for which the reserve is deleted. With room again records are accepted without a
// restart. The log has one line for each change.
func TestDiskFull(t *testing.T) {
	cfg := testConfig(t)
	cfg.Folder = filepath.Join(smallDisk(t, 40<<20), "data")
	var log bytes.Buffer
	s, err := open(cfg, slog.New(slog.NewTextHandler(&log, nil)), prometheus.NewRegistry(), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	defer mustClose(t, s)
	stopUpkeep(s) // the test recovers by itself
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
	s.recover()
	if s.w.reserve.Held() {
		t.Error("the reserve is taken back on a full disk")
	}
	if err := fill(); !errors.As(err, &f) || f.Class != sqlite.Full {
		t.Errorf("still full: got %v", err)
	}
	remove()
	s.recover()
	if err := s.Ready(); err != nil {
		t.Errorf("room again: %v", err)
	}
	if !s.w.reserve.Held() || fileSize(s.w.reserve.Path()) != s.w.reserve.Size() {
		t.Error("the reserve is not taken back")
	}
	for n := range 20 {
		keep(t, s.Journal(), testRecord(fmt.Sprint("2.", n), 1, "a"))
	}
	for _, line := range []string{"reserve released", "outbox does not commit", "disk has room again", "outbox commits again"} {
		if got := strings.Count(log.String(), line); got != 1 {
			t.Errorf("the log says %d times %q:\n%s", got, line, &log)
		}
	}
	if testutil.ToFloat64(s.metrics.failures.WithLabelValues(string(sqlite.Full))) == 0 {
		t.Error("no failure counted")
	}
}

// TestRebuildableGivesWay fills the disk and frees it while calls are traced and cached as fast as the machine
// can (F11). Cache and trace leave the outbox its room, and the first failed commit wakes the maintenance, whose
// next regular run is an hour away.
func TestRebuildableGivesWay(t *testing.T) {
	cfg := testConfig(t)
	cfg.Folder = filepath.Join(smallDisk(t, 24<<20), "data")
	s := mustOpen(t, cfg, time.Now)
	defer mustClose(t, s)
	s.hurryMaintenance(t)
	stop, flooded := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(flooded)
		record, vars := make([]byte, 500), make([]byte, 500)
		for n := 0; ; n++ {
			select {
			case <-stop:
				return
			default:
			}
			s.Journal().Trace(time.Now(), record)
			s.Cache().Put(lookup.Entry{Key: fmt.Sprint(n), Vars: vars, Stored: time.Now(), Expires: time.Now().Add(time.Hour)})
		}
	}()
	defer func() { close(stop); <-flooded }()
	n := 0
	until := func(kept bool) {
		t.Helper()
		for ; t.Context().Err() == nil; n++ {
			_, err := s.Journal().Keep(t.Context(), testRecord(fmt.Sprintf("1.%06d", n), 1, "a"))
			if (err == nil) == kept {
				return
			}
		}
	}
	dropped := func() float64 {
		return testutil.ToFloat64(s.metrics.traceLost) + testutil.ToFloat64(s.metrics.cacheLost)
	}
	for before := dropped(); s.room.Enough(); { // the flood takes what it may
		until(true)
		if t.Context().Err() != nil {
			t.Fatalf("%v were dropped, but there is enough room", dropped()-before)
		}
	}
	for range 3 {
		until(true)
		remove := ballast(t, cfg.Folder)
		until(false)
		remove()
		until(true)
		for tick := time.NewTicker(10 * time.Millisecond); !s.reserve.Held(); {
			<-tick.C
		}
		until(true)
	}
	if s.room.Scarce() {
		t.Error("what can be rebuilt took the room of the reserve")
	}
}

// TestFailureWakesMaintenance checks that the first failed commit wakes the maintenance, whose next regular run
// is an hour away: with room again the reserve is taken back and commits succeed (F11).
func TestFailureWakesMaintenance(t *testing.T) {
	cfg := testConfig(t)
	cfg.Folder = filepath.Join(smallDisk(t, 40<<20), "data")
	s := mustOpen(t, cfg, time.Now)
	defer mustClose(t, s)
	s.hurryMaintenance(t)
	n := 0
	big := func() dialplan.Record {
		n++
		r := testRecord(fmt.Sprintf("1.%03d", n), 1, "a")
		r.Events[0].Event.Params["call_info"] = strings.Repeat("x", 100<<10)
		return r
	}
	fill := func() {
		for refused := error(nil); refused == nil; {
			_, refused = s.Journal().Keep(t.Context(), big())
		}
	}
	for range 20 {
		keep(t, s.Journal(), testRecord(fmt.Sprintf("0.%03d", n), 1, "a"))
		n++
	}
	remove := ballast(t, cfg.Folder)
	fill()
	for s.reserve.Held() { // results of deliveries take it
		_, list := due(t, s.Outbox(), "a", time.Now())
		if len(list) == 0 {
			t.Fatal("all is settled, and the reserve was not needed")
		}
		settleOne(t, s.Outbox(), list[0].ID, hooks.Delivered, time.Time{})
		fill()
	}
	remove()
	refused := func() bool { // calls that fail meanwhile do not put it off
		_, err := s.Journal().Keep(t.Context(), big())
		return err != nil
	}
	for refused() || !s.reserve.Held() || s.Ready() != nil {
		runtime.Gosched()
	}
	keep(t, s.Journal(), testRecord("2.1", 1, "a"))
}

// hurryMaintenance sets the next regular maintenance an hour away, and recovery to moments.
func (s *Store) hurryMaintenance(t *testing.T) {
	t.Helper()
	stopUpkeep(s)
	s.maintainEvery, s.recoverEvery = time.Hour, 10*time.Millisecond
	ctx, stop := context.WithCancel(context.Background())
	s.stop = stop
	s.maintainers.Go(func() { s.maintain(ctx) })
}

// TestDiskFullAtStart checks that ringhook starts if the disk has no room for the reserve (F11).
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

// TestKilledOnFullDisk checks that ringhook starts on a full disk after it was killed there: pending deliveries
// are delivered, and with room again points are answered (F11).
func TestKilledOnFullDisk(t *testing.T) {
	before := testConfig(t)
	s := mustOpen(t, before, time.Now)
	stopUpkeep(s)
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
	stopUpkeep(s)                  // the test recovers by itself
	more := ballast(t, cfg.Folder) // what cache and trace gave back
	if _, list := due(t, s.Outbox(), "a", time.Now()); len(list) != 20 {
		t.Errorf("%d are due of 20", len(list))
	}
	if err := s.Outbox().EnsureHooks(context.Background(), []string{"a", "c"}); err != nil {
		t.Error(err)
	}
	var f *sqlite.Fault
	if _, err := s.Journal().Keep(context.Background(), testRecord("2.1", 1, "a")); !errors.As(err, &f) || f.Class != sqlite.Full {
		t.Errorf("got %v, want a fault of class full", err)
	}
	more()
	remove()
	s.recover()
	keep(t, s.Journal(), testRecord("2.1", 1, "a"))
}

// TestNoRoomToStart checks that a store that was closed in order needs some room to be opened: the error says so,
// and nothing is lost (F11).
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

// left copies a folder in the state in which a killed process leaves it.
func left(t *testing.T, from, to string) {
	t.Helper()
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(to, "outbox.reserve")); err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
}

// TestToolsOnFullDisk checks that tools read on a disk that is full to its last byte or its last file while no server runs, and
// that a backup to another disk succeeds.
func TestToolsOnFullDisk(t *testing.T) {
	for name, fill := range map[string]func(t *testing.T, folder string){
		"bytes": func(t *testing.T, folder string) { ballast(t, folder) },
		"files": func(t *testing.T, folder string) {
			for n := 0; ; n++ {
				if err := os.WriteFile(filepath.Join(folder, fmt.Sprint("ballast", n)), nil, 0o600); errors.Is(err, syscall.ENOSPC) {
					return
				} else if err != nil {
					t.Fatal(err)
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			disk := smallDisk(t, 64<<20)
			if err := syscall.Mount("", disk, "", syscall.MS_REMOUNT, "nr_inodes=100"); err != nil {
				t.Skip(err)
			}
			cfg := testConfig(t)
			cfg.Folder = filepath.Join(disk, "data")
			s := mustOpen(t, cfg, time.Now)
			keep(t, s.Journal(), testRecord("1.1", 1, "a"))
			if err := s.Phonebook().Put([]lookup.Contact{{Number: "+1", Vars: []lookup.Var{{Name: "call_info", Value: "x"}}}}); err != nil {
				t.Fatal(err)
			}
			s.Journal().Trace(time.Now(), pointRecord("1.1", "101", time.Now()))
			points(t, s, "1.1", 1)
			mustClose(t, s)
			fill(t, disk)

			for range 2 { // what the first leaves behind does not matter
				tool, err := OpenTool(cfg.Folder, quiet)
				if err != nil {
					t.Fatal(err)
				}
				if list, err := tool.Operator().List(Filter{}); err != nil || len(list) != 1 {
					t.Errorf("list: %v, %v", list, err)
				}
				if list, err := tool.Points("1.1"); err != nil || len(list) != 1 {
					t.Errorf("points: %v, %v", list, err)
				}
				mustClose(t, tool)
			}
			book, err := phonebook.Open(cfg.Folder)
			if err != nil {
				t.Fatal(err)
			}
			defer book.Close()
			if vars, err := book.Find("+1"); err != nil || len(vars) != 1 {
				t.Errorf("phonebook: %v, %v", vars, err)
			}
			if names, err := Backup(t.Context(), cfg.Folder, filepath.Join(t.TempDir(), "backup.tar")); err != nil || len(names) != 3 {
				t.Errorf("backup: %v, %v", names, err)
			}
			if err := Scrub(cfg.Folder); !errors.Is(err, syscall.ENOSPC) {
				t.Errorf("scrub: %v, want the reason", err)
			}
		})
	}
}
