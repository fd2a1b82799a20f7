package store

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"ringhook/hooks"
	"ringhook/store/cache"
	"ringhook/store/sqlite"
)

// The readable deliveries of a damaged outbox are copied in order and once, however often
// it is salvaged. Newer deliveries are not changed.
func TestSalvage(t *testing.T) {
	t.Parallel()
	cfg := testConfig(t)
	s := mustOpen(t, cfg, time.Now)
	for n := range 400 {
		for seq := range 2 {
			keep(t, s.Journal(), testRecord(fmt.Sprintf("1.%03d", n), seq+1, "a", "b"))
		}
	}
	_, list := due(t, s.Outbox(), "a", time.Now())
	for i, d := range list {
		settleOne(t, s.Outbox(), d.ID, []hooks.State{hooks.Delivered, hooks.Dead, hooks.Pending}[i%3], time.Now().Add(time.Hour))
	}
	before, err := s.Operator().List(Filter{States: []hooks.State{hooks.Pending, hooks.Dead}, Limit: 10_000})
	if err != nil {
		t.Fatal(err)
	}
	mustClose(t, s)

	path := filepath.Join(cfg.Folder, outboxFile)
	scribble(t, path, 40*sqlite.PageSize, 6*sqlite.PageSize)
	s = mustOpen(t, cfg, time.Now)
	defer mustClose(t, s)
	aside, _ := filepath.Glob(path + ".damaged-*Z")
	if len(aside) != 1 {
		t.Fatalf("aside: %v", aside)
	}
	keep(t, s.Journal(), testRecord("2.1", 1, "a"))
	got, err := s.Operator().Salvage(context.Background(), aside[0])
	if err != nil {
		t.Fatal(err)
	}
	if got.Copied+got.Unreadable < len(before) || got.Copied < len(before)/2 || got.Unreadable == 0 || got.Known != 0 {
		t.Errorf("of %d: %+v", len(before), got)
	}
	if again, err := s.Operator().Salvage(context.Background(), aside[0]); err != nil || again.Copied != 0 || again.Known != got.Copied {
		t.Errorf("again: %+v, %v", again, err)
	}
	after, err := s.Operator().List(Filter{Limit: 10_000})
	if err != nil || len(after) != got.Copied+1 {
		t.Fatalf("%d deliveries, want %d and the new one: %v", len(after), got.Copied, err)
	}
	key := func(d Item) string { return fmt.Sprint(d.Hook, d.Event.ID, d.State, d.Attempts, d.Class) }
	were := map[string]bool{}
	for _, d := range before {
		were[key(d)] = true
	}
	dead := 0
	for _, d := range after {
		if d.Event.LinkedID != "2.1" && !were[key(d)] {
			t.Errorf("salvaged, but not in the damaged outbox: %+v", d)
		}
		if d.State == hooks.Dead {
			dead++
		}
	}
	tallies, err := s.Operator().HookCounts()
	if err != nil || len(tallies) != 2 || tallies[0].Dead+tallies[1].Dead != dead || dead == 0 {
		t.Errorf("tallies %+v (%v), want %d dead", tallies, err, dead)
	}
	ids, _ := due(t, s.Outbox(), "b", time.Now())
	for _, id := range ids {
		if second := id[len(id)-1] == '2'; second && slices.Contains(ids, id[:len(id)-1]+"1") {
			t.Errorf("%s is due together with the first of its call", id)
		}
	}
}

// TestSalvageRemembered checks that deliveries are copied with the values that answers left for them, but not over newer
// ones.
func TestSalvageRemembered(t *testing.T) {
	cfg := testConfig(t)
	s := mustOpen(t, cfg, time.Now)
	fetch := func(linkedid, value string) {
		t.Helper()
		_, list := due(t, s.Outbox(), "a", time.Now())
		for _, d := range list {
			if d.Event.LinkedID != linkedid {
				continue
			}
			r := hooks.Result{Delivery: d.ID, State: hooks.Delivered, Call: d.Event.Call(), Values: map[string]string{"crm_call": value}, Attempt: hooks.Attempt{Started: time.Now(), Class: "delivered"}}
			if _, err := s.Outbox().Settle(context.Background(), []hooks.Result{r}); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, linkedid := range []string{"1.1", "1.2"} {
		keep(t, s.Journal(), testRecord(linkedid, 1, "a"))
		keep(t, s.Journal(), testRecord(linkedid, 2, "a"))
		fetch(linkedid, "old")
	}
	mustClose(t, s)
	path := filepath.Join(cfg.Folder, outboxFile)
	aside := filepath.Join(t.TempDir(), "aside.db")
	if err := os.Rename(path, aside); err != nil {
		t.Fatal(err)
	}

	s = mustOpen(t, cfg, time.Now)
	defer mustClose(t, s)
	keep(t, s.Journal(), testRecord("1.2", 3, "a"))
	fetch("1.2", "new")
	if got, err := s.Operator().Salvage(context.Background(), aside); err != nil || got.Copied != 2 || got.Unreadable != 0 {
		t.Fatalf("got %+v, %v", got, err)
	}
	_, list := due(t, s.Outbox(), "a", time.Now())
	for i, want := range []string{"old", "new"} {
		if got, err := s.Outbox().Remembered("a", list[i].Event.Call()); err != nil || got["crm_call"] != want {
			t.Errorf("%s: got %v, %v, want %s", list[i].Event.LinkedID, got, err, want)
		}
	}
}

// A file that cannot be salvaged is refused.
func TestSalvageRefuses(t *testing.T) {
	s := testStore(t, time.Now)
	folder := t.TempDir()
	garbage, empty := filepath.Join(folder, "garbage"), filepath.Join(folder, "empty")
	for path, text := range map[string]string{garbage: string(make([]byte, 9000)) + "no database", empty: ""} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, path := range []string{garbage, empty, filepath.Join(folder, "none"), filepath.Join(s.folder, outboxFile), filepath.Join(s.folder, cache.File)} {
		if got, err := s.Operator().Salvage(context.Background(), path); err == nil {
			t.Errorf("%s: got %+v", path, got)
		}
	}
}

// An outbox of the first schema can be salvaged too.
func TestSalvageOldSchema(t *testing.T) {
	s := testStore(t, time.Now)
	path := filepath.Join(t.TempDir(), "old.db")
	o := s.outboxOptions()
	o.Path = path
	c, err := o.Writer()
	if err != nil {
		t.Fatal(err)
	}
	text, err := migrations.ReadFile("migrations/0001.sql")
	if err == nil {
		_, err = c.Exec(string(text) + fmt.Sprintf("; pragma application_id = %d; pragma user_version = 1", outboxSchema.AppID))
	}
	if err == nil {
		body := `{"name":"agent-answer","seq":1,"time":"2026-01-15T09:30:00Z"}`
		_, err = c.Exec("insert into event (linkedid, event_id, accepted_ms, body) values ('1.1', 'msg_old', 1, cast(? as blob)); insert into delivery (event, hook, okey, next_ms) values (1, 'a', '1.1', 1)", body)
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Operator().Salvage(context.Background(), path); err != nil || got.Copied != 1 {
		t.Fatalf("got %+v, %v", got, err)
	}
	if ids, _ := due(t, s.Outbox(), "a", time.Now()); len(ids) != 1 || ids[0] != "msg_old" {
		t.Errorf("due: %v", ids)
	}
}

// Damage found while the store is open closes Damaged once, and the next start replaces
// the file, whatever its size and however the daemon ended.
func TestDamagedWhileInUse(t *testing.T) {
	for name, use := range map[string]func(s *Store) error{
		"read": func(s *Store) error {
			_, err := s.Outbox().Due("a", time.Now(), 1000)
			return err
		},
		"commit": func(s *Store) error {
			return s.w.do(context.Background(), result, 0, func(c *sqlite.Conn) error {
				if _, err := c.Exec("pragma cache_size = 1"); err != nil {
					return err
				}
				_, err := c.Exec("update delivery set attempts = attempts + 1")
				return err
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := filled(t)
			path := filepath.Join(cfg.Folder, outboxFile)
			s := mustOpen(t, cfg, time.Now)
			scribble(t, path, 3*sqlite.PageSize, fileSize(path)-3*sqlite.PageSize)
			for range 2 {
				if err := use(s); err == nil {
					t.Error("nothing found")
				}
			}
			select {
			case <-s.Damaged():
			default:
				t.Error("Damaged is not closed")
			}
			mustClose(t, s)
			s = mustOpen(t, cfg, time.Now)
			defer mustClose(t, s)
			keep(t, s.Journal(), testRecord("9.1", 1, "a"))
			if aside, _ := filepath.Glob(path + ".damaged-*Z"); len(aside) != 1 {
				t.Errorf("aside: %v", aside)
			}
		})
	}
}

// If ringhook died between moving the file and its write-ahead log, the log is moved to
// its file and not applied to the new one.
func TestDiedWhileMovingAside(t *testing.T) {
	cfg := filled(t)
	s := mustOpen(t, cfg, time.Now)
	path := filepath.Join(cfg.Folder, outboxFile)
	keep(t, s.Journal(), testRecord("9.1", 1, "a"))
	saved := t.TempDir()
	for _, part := range []string{"", "-wal"} {
		copyFile(t, path+part, filepath.Join(saved, outboxFile+part))
	}
	mustClose(t, s)
	aside := path + ".damaged-20260115T093000.000Z"
	copyFile(t, filepath.Join(saved, outboxFile), aside)
	copyFile(t, filepath.Join(saved, outboxFile+"-wal"), path+"-wal")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	s = mustOpen(t, cfg, time.Now)
	defer mustClose(t, s)
	if list, err := s.Operator().List(Filter{}); err != nil || len(list) != 0 {
		t.Errorf("the new outbox has %d deliveries, %v", len(list), err)
	}
	if got, err := s.Operator().Salvage(context.Background(), aside); err != nil || got.Copied != 301 {
		t.Errorf("salvaged: %+v, %v", got, err)
	}
}
