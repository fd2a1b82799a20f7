package store

import (
	"bytes"
	"database/sql"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ringhook/store/cache"
	"ringhook/store/trace"
)

// endless is a view with rows without end, in place of a table.
const endless = ` as with recursive n (id) as (select 1 union all select id + 1 from n) `

// endlessValue is a condition that takes longer than anyone waits.
const endlessValue = "instr(hex(zeroblob(20000000)), hex(zeroblob(10000000)) || '1') = 1"

// rewrite returns statements that change the text of a table in the schema.
func rewrite(table, from, to string) string {
	quote := func(text string) string { return "'" + strings.ReplaceAll(text, "'", "''") + "'" }
	return "pragma writable_schema = 1; update sqlite_schema set sql = replace(sql, " + quote(from) + ", " + quote(to) + ") where name = " + quote(table) + "; pragma writable_schema = 0"
}

// TestTampered checks that a file whose tables were replaced by endless views, or that has
// a foreign trigger, blocks neither the start nor salvage.
func TestTampered(t *testing.T) {
	for name, change := range map[string]string{
		"calls":      "drop table call; create view call (id, linkedid, state, seen_ms)" + endless + "select id, id, '', 0 from n",
		"deliveries": "pragma foreign_keys = 0; drop table delivery; create view delivery (id, event, hook, okey, hold_ms, state, attempts, finished_ms, last_class, last_status)" + endless + "select id, id, 'a', '', 0, 0, 0, 0, '', 0 from n",
		"trigger":    "create trigger mine before insert on event begin insert into number" + strings.TrimPrefix(endless, " as") + "select 1, id from n; end",
		"changed":    "drop trigger delivery_added; create trigger delivery_added after insert on delivery begin delete from event; end",
		"check":      rewrite("number", "check (id = 1),", "check (id = 1 and "+endlessValue+"),"),
		"check of a table of the administrator's": "create table notes (text check (" + endlessValue + "))",
		"index":      "create index mine on event (accepted_ms) where accepted_ms < 0",
		"expression": "create index mine on event (accepted_ms, length(hex(zeroblob(1))))",
		"default":    "create table notes (text default (hex(zeroblob(1))))",
		"generated":  "drop table number; create table number (id integer primary key, last integer as (id) virtual)",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := filled(t)
			path := filepath.Join(cfg.Folder, outboxFile)
			alter(t, path, change)
			s := mustOpen(t, cfg, time.Now)
			defer mustClose(t, s)
			keep(t, s.Journal(), testRecord("9.1", 1, "a"))
			aside, _ := filepath.Glob(path + ".damaged-*Z")
			if len(aside) != 1 {
				t.Fatalf("moved aside: %v", aside)
			}
			got, err := s.Operator().Salvage(t.Context(), aside[0])
			if name == "deliveries" && err == nil {
				t.Errorf("salvaged %+v from a view", got)
			}
			if name == "calls" && (err != nil || got.Copied != 300) {
				t.Errorf("salvaged %+v, %v, want 300", got, err)
			}
		})
	}
	t.Run("cache and trace", func(t *testing.T) {
		t.Parallel()
		cfg := filled(t)
		alter(t, filepath.Join(cfg.Folder, cache.File), "drop table entry; create view entry (id, key, number)"+endless+"select id, '', '' from n")
		alter(t, filepath.Join(cfg.Folder, trace.Name), "drop table batch; create view batch (id, last_ms, body)"+endless+"select id, 0, x'00' from n")
		s := mustOpen(t, cfg, time.Now)
		defer mustClose(t, s)
		if list, err := s.Cache().Show("+1"); len(list) > 0 || err != nil {
			t.Errorf("cache: %v, %v", list, err)
		}
		if list, err := s.Points("1.1"); len(list) > 0 || err != nil {
			t.Errorf("points: %v, %v", list, err)
		}
	})
	t.Run("an index of the administrator's", func(t *testing.T) {
		t.Parallel()
		cfg := filled(t)
		alter(t, filepath.Join(cfg.Folder, outboxFile), "create index mine on event (accepted_ms); create table notes (text); insert into notes values ('x'); analyze")
		s := mustOpen(t, cfg, time.Now)
		defer mustClose(t, s)
		if list, err := s.Operator().List(Filter{}); err != nil || len(list) != 100 {
			t.Errorf("%d deliveries, %v", len(list), err)
		}
	})
}

func alter(t *testing.T, path, change string) {
	t.Helper()
	db, err := sql.Open("sqlite3", path)
	if err == nil {
		_, err = db.Exec(change)
	}
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
}

// TestLinksAreNotFollowed: a symbolic link in the folder of the store makes ringhook
// touch no file elsewhere.
func TestLinksAreNotFollowed(t *testing.T) {
	for _, name := range []string{outboxFile, outboxFile + "-wal", cache.File, trace.Name, "ringhook.lock", "outbox.reserve"} {
		for _, content := range []string{"precious content\n", ""} { // SQLite writes into an empty file
			cfg := testConfig(t)
			if err := os.MkdirAll(cfg.Folder, 0o700); err != nil {
				t.Fatal(err)
			}
			elsewhere := filepath.Join(t.TempDir(), "precious")
			if err := os.WriteFile(elsewhere, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink(elsewhere, filepath.Join(cfg.Folder, name)); err != nil {
				t.Fatal(err)
			}
			if s, err := Open(cfg, quiet, nil); err == nil {
				keep(t, s.Journal(), testRecord("1.1", 1, "a"))
				mustClose(t, s)
			} else if strings.HasPrefix(name, outboxFile) && !strings.Contains(err.Error(), "not a regular file") {
				t.Errorf("%s: got %v", name, err)
			}
			if text, err := os.ReadFile(elsewhere); err != nil || string(text) != content {
				t.Errorf("%s: the file elsewhere is now %q, %v", name, text, err)
			}
		}
	}
}

// TestFolderOfAnother warns of a folder whose owner could replace the files.
func TestFolderOfAnother(t *testing.T) {
	cfg := testConfig(t)
	if err := os.MkdirAll(cfg.Folder, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(cfg.Folder, 65534, -1); err != nil {
		t.Skipf("a folder cannot be given to another user here, which takes root: %v", err)
	}
	var log bytes.Buffer
	s, err := open(cfg, slog.New(slog.NewTextHandler(&log, nil)), nil, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	defer mustClose(t, s)
	if !strings.Contains(log.String(), "belongs to another user") {
		t.Errorf("log:\n%s", &log)
	}
}
