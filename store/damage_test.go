package store

import (
	"bytes"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"ringhook/hooks"
	"ringhook/store/sqlite"
	"ringhook/test/wait"
)

// filled creates a folder with a cleanly stopped store of some 60 pages.
func filled(t *testing.T) Config {
	cfg := testConfig(t)
	s := mustOpen(t, cfg, time.Now)
	fillPending(t, s, 300)
	mustClose(t, s)
	return cfg
}

func scribble(t *testing.T, path string, from, n int64) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.WriteAt(bytes.Repeat([]byte{0xa5}, int(n)), from)
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
}

// With a damaged or missing outbox ringhook starts and accepts events. The damaged file
// is moved aside, and the log names the new path.
func TestDamagedOutbox(t *testing.T) {
	for name, damage := range map[string]func(t *testing.T, path string){
		"flipped page": func(t *testing.T, path string) { scribble(t, path, 19*sqlite.PageSize, sqlite.PageSize) },
		"flipped root": func(t *testing.T, path string) { scribble(t, path, 100, 1000) },
		"garbage": func(t *testing.T, path string) {
			if err := os.WriteFile(path, bytes.Repeat([]byte("no database "), 2000), 0o600); err != nil {
				t.Fatal(err)
			}
		},
		"zero length": func(t *testing.T, path string) {
			if err := os.Truncate(path, 0); err != nil {
				t.Fatal(err)
			}
		},
		"half": func(t *testing.T, path string) {
			if err := os.Truncate(path, fileSize(path)/2/sqlite.PageSize*sqlite.PageSize); err != nil {
				t.Fatal(err)
			}
		},
		"gone": func(t *testing.T, path string) {
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := filled(t)
			path := filepath.Join(cfg.Folder, outboxFile)
			damage(t, path)
			var log bytes.Buffer
			s, err := open(cfg, slog.New(slog.NewTextHandler(&log, nil)), nil, time.Now)
			if err != nil {
				t.Fatal(err)
			}
			defer mustClose(t, s)
			keep(t, s.Journal(), testRecord("9.1", 1, "a"))
			if got, _ := due(t, s.Outbox(), "a", time.Now()); len(got) != 1 {
				t.Errorf("due: %v", got)
			}
			if got := testutil.ToFloat64(s.metrics.damaged); got != 1 {
				t.Errorf("metric: got %v, want 1", got)
			}
			aside, _ := filepath.Glob(path + ".damaged-*")
			if name != "zero length" && name != "gone" && (len(aside) != 1 || !strings.Contains(log.String(), "outbox salvage "+aside[0]+"`")) {
				t.Errorf("aside: %v, log: %s", aside, log.String())
			}
		})
	}
}

// An outbox without its write-ahead log is an older state, not a damaged file.
func TestMissingLog(t *testing.T) {
	cfg := filled(t)
	s := mustOpen(t, cfg, time.Now)
	keep(t, s.Journal(), testRecord("9.1", 1, "a"))
	copied := cfg
	copied.Folder = t.TempDir()
	copyFile(t, filepath.Join(cfg.Folder, outboxFile), filepath.Join(copied.Folder, outboxFile))
	mustClose(t, s)
	s = mustOpen(t, copied, time.Now)
	defer mustClose(t, s)
	if tallies, err := s.Operator().HookCounts(); err != nil || len(tallies) != 1 || tallies[0].Pending != 300 {
		t.Errorf("got %v, %v", tallies, err)
	}
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	b, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, b, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// A file of a newer ringhook or of another program is refused and not changed.
func TestForeignFilesAreRefused(t *testing.T) {
	for pragma, want := range map[string]string{
		"user_version = 99":   "newer ringhook",
		"application_id = 77": "another program",
	} {
		cfg := filled(t)
		path := filepath.Join(cfg.Folder, outboxFile)
		db, err := sql.Open("sqlite3", path)
		if err == nil {
			_, err = db.Exec("pragma " + pragma)
		}
		if err := errors.Join(err, db.Close()); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(cfg, quiet, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want it to say %q", pragma, err, want)
		}
		if _, err := OpenTool(cfg.Folder, quiet); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s, tool: got %v, want it to say %q", pragma, err, want)
		}
	}
}

// An attempt that was planned too far ahead, by a wrong clock, is brought forward.
func TestClampedSchedule(t *testing.T) {
	c := newClock()
	cfg := testConfig(t)
	s := mustOpen(t, cfg, c.now)
	keep(t, s.Journal(), testRecord("1.1", 1, "a"))
	_, list := due(t, s.Outbox(), "a", c.now())
	settleOne(t, s.Outbox(), list[0].ID, hooks.Pending, c.now().Add(10*365*day))
	mustClose(t, s)
	s = mustOpen(t, cfg, c.now)
	defer mustClose(t, s)
	if next, err := s.Outbox().Next("a"); err != nil || !next.Equal(c.now().Add(farthest)) {
		t.Errorf("next: got %v, %v", next, err)
	}
	stopUpkeep(s) // upkeep is the test's own
	// An attempt that is not too far ahead keeps its time.
	settleOne(t, s.Outbox(), list[0].ID, hooks.Pending, c.now().Add(time.Hour))
	if _, err := s.maintainOnce(t.Context()); err != nil {
		t.Fatal(err)
	}
	if next, err := s.Outbox().Next("a"); err != nil || !next.Equal(c.now().Add(time.Hour)) {
		t.Errorf("next: got %v, %v", next, err)
	}
}

func TestConfigCheck(t *testing.T) {
	good := DefaultConfig()
	good.Check(func(key, problem string) { t.Errorf("default %s %s", key, problem) })
	var got []string
	bad := Config{Synchronous: "off", AloneAfter: -1, KeepDelivered: -1}
	bad.Check(func(key, problem string) { got = append(got, key) })
	if want := "[type promise patience alone_after folder synchronous keep_calls keep_delivered max_size cache_rows]"; fmt.Sprint(got) != want {
		t.Errorf("got %v, want %s", got, want)
	}
}

// Removing or replacing the file of an open outbox is noticed. SQLite would continue to
// write to the removed file.
func TestOutboxTakenAway(t *testing.T) {
	for name, take := range map[string]func(path string) error{
		"removed": os.Remove,
		"renamed": func(path string) error { return os.Rename(path, path+".away") },
		"replaced": func(path string) error {
			if err := os.WriteFile(path+".other", nil, 0o600); err != nil {
				return err
			}
			return os.Rename(path+".other", path)
		},
		"with its folder": func(path string) error { return os.RemoveAll(filepath.Dir(path)) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := mustOpen(t, testConfig(t), time.Now)
			keep(t, s.Journal(), testRecord("1.1", 1, "a"))
			select {
			case <-s.Damaged():
				t.Fatal("an intact outbox is reported as damaged")
			default:
			}
			if err := take(filepath.Join(s.folder, outboxFile)); err != nil {
				t.Fatal(err)
			}
			keep(t, s.Journal(), testRecord("1.1", 2, "a"))
			select {
			case <-s.Damaged():
			case <-time.After(wait.Limit):
				t.Error("the damage was not noticed")
			}
			s.Close() // its error depends on what remains
		})
	}
}
