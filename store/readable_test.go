package store

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// All files are created readable only for their owner, and the log warns of those that
// others can read.
func TestReadableByOthers(t *testing.T) {
	cfg := testConfig(t)
	opened := func(mode os.FileMode) string {
		t.Helper()
		var log bytes.Buffer
		s, err := open(cfg, slog.New(slog.NewTextHandler(&log, nil)), nil, time.Now)
		if err != nil {
			t.Fatal(err)
		}
		keep(t, s.Journal(), testRecord("1.1", 1, "a"))
		files, err := os.ReadDir(cfg.Folder)
		if err != nil || len(files) < 4 {
			t.Errorf("in the folder: %v, %v", files, err)
		}
		for _, f := range files {
			want := os.FileMode(0o600)
			if strings.HasPrefix(f.Name(), outboxFile) { // its log is made as it is
				want = mode
			}
			if info, err := f.Info(); err == nil && info.Mode().Perm() != want {
				t.Errorf("%s has mode %v, want %v", f.Name(), info.Mode(), want)
			}
		}
		mustClose(t, s)
		return log.String()
	}
	if log := opened(0o600); strings.Contains(log, "others") {
		t.Errorf("log of a new folder:\n%s", log)
	}
	for path, mode := range map[string]os.FileMode{cfg.Folder: 0o700, filepath.Join(cfg.Folder, outboxFile): 0o600} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != mode {
			t.Errorf("%s: got %v, %v, want %v", path, info.Mode(), err, mode)
		}
	}
	if err := os.Chmod(filepath.Join(cfg.Folder, outboxFile), 0o640); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(cfg.Folder, 0o750); err != nil {
		t.Fatal(err)
	}
	log := opened(0o640)
	if strings.Count(log, "others than its owner") != 2 || !strings.Contains(log, "path="+cfg.Folder+" mode=-rwxr-x---") ||
		!strings.Contains(log, outboxFile+" mode=-rw-r-----") {
		t.Errorf("log:\n%s", log)
	}
}
