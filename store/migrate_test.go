package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"ringhook/hooks"
	"ringhook/lookup"
	"ringhook/store/cache"
	"ringhook/store/phonebook"
	"ringhook/store/sqlite"
	"ringhook/store/trace"
)

// Rows of each file in the words of its first schema, which every later one
// still has to understand.
var firstRows = map[string]string{
	"outbox": `
		insert into call (linkedid, state, seen_ms) values ('1.1', cast('state of 1.1' as blob), 1768469400000);
		insert into event (id, linkedid, event_id, accepted_ms, body) values
			(1, '1.1', 'msg_1', 1768469400000, cast('{"name":"agent-answer","seq":1,"time":"2026-01-15T09:30:00Z","params":{"linkedid":"1.1"}}' as blob)),
			(2, '1.1', 'msg_2', 1768469401000, cast('{"name":"agent-hangup","seq":2,"time":"2026-01-15T09:30:01Z","params":{"linkedid":"1.1"}}' as blob)),
			(3, '1.2', 'msg_3', 1768469402000, cast('{"name":"agent-answer","seq":1,"time":"2026-01-15T09:30:02Z","params":{"linkedid":"1.2"}}' as blob));
		insert into delivery (id, event, hook, okey, state, attempts, next_ms, finished_ms, last_class, last_status) values
			(1, 1, 'a', '1.1', 0, 2, 1768469400000, null, 'server', 500),
			(2, 2, 'a', '1.1', 0, 0, null, null, '', 0),
			(3, 3, 'a', '1.2', 2, 9, null, 1768469500000, 'rejected', 404),
			(4, 3, 'b', '1.2', 1, 1, null, 1768469403000, 'delivered', 200);
		insert into attempt (delivery, n, started_ms, took_us, class, status, excerpt) values
			(1, 1, 1768469400100, 1500, 'server', 500, 'oh'), (1, 2, 1768469405100, 1500, 'server', 500, 'oh'),
			(3, 9, 1768469499000, 700, 'rejected', 404, 'no such page')`,
	"cache": `insert into entry (id, key, lookup, number, missing, vars, stored_ms, expires_ms, used_ms) values
		(-7562217502824844381, 'crm +1', 'crm', '+1', 0, cast('[]' as blob), 1768469400000, 4102444800000, 1768469400000)`,
	"trace":     `insert into batch (id, last_ms, body) values (1, 1768469400000, x'0178')`,
	"phonebook": `insert into entry (number, vars) values ('+442079460142', '{"name": "Zoë"}')`,
}

// makeOld makes a file as the ringhook with the first n steps did.
func makeOld(t *testing.T, path, rows string, s sqlite.Schema, n int) {
	t.Helper()
	steps, err := s.Steps()
	if err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite3", "file:"+path+"?_journal_mode=WAL&_foreign_keys=on&_auto_vacuum=incremental")
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	for i, name := range steps[:n] {
		text, err := fs.ReadFile(s.Files, name)
		if err == nil {
			_, err = db.Exec(string(text))
		}
		if i == 0 && err == nil { // rows go through the later steps
			_, err = db.Exec(rows)
		}
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	_, err = db.Exec(fmt.Sprintf("pragma application_id = %d; pragma user_version = %d", s.AppID, n))
	if err := errors.Join(err, db.Close(), os.Chmod(path, 0o600)); err != nil {
		t.Fatal(err)
	}
}

// described is what a file has in it: the version, and the text of every table,
// index and trigger.
func described(t *testing.T, path string) string {
	t.Helper()
	db, err := sqlite.Options{Path: path, Busy: time.Second, CacheKiB: 100}.Pool(1)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var all strings.Builder
	rows, err := db.Query("select type, name, coalesce(sql, '') from sqlite_schema order by type, name")
	err = sqlite.Each(rows, err, func(scan func(...any) error) error {
		var kind, name, text string
		err := scan(&kind, &name, &text)
		fmt.Fprintln(&all, kind, name, text)
		return err
	})
	var version, appID int64
	_, err1 := sqlite.One(db, "pragma user_version", nil, &version)
	_, err2 := sqlite.One(db, "pragma application_id", nil, &appID)
	if err := errors.Join(err, err1, err2); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintln(&all, version, appID)
	return all.String()
}

// TestUpgrade opens files as every earlier ringhook made them, with rows in them. They come out
// as a new file would be, and nothing in them is lost.
func TestUpgrade(t *testing.T) {
	t.Parallel()
	fresh := testConfig(t)
	mustClose(t, mustOpen(t, fresh, time.Now))
	for kind, s := range map[string]sqlite.Schema{"outbox": outboxSchema, "cache": cache.Schema, "phonebook": phonebook.Schema, "trace": trace.Schema} {
		steps, err := s.Steps()
		if err != nil || len(steps) == 0 {
			t.Fatalf("%s: %v, %v", kind, steps, err)
		}
		for n := 1; n <= len(steps); n++ {
			t.Run(fmt.Sprintf("%s %d", kind, n), func(t *testing.T) {
				c := newClock()
				cfg := testConfig(t)
				if err := os.MkdirAll(cfg.Folder, 0o700); err != nil {
					t.Fatal(err)
				}
				file := kind + ".db"
				makeOld(t, filepath.Join(cfg.Folder, file), firstRows[kind], s, n)
				st := mustOpen(t, cfg, c.now)
				map[string]func(*testing.T, *Store, *clock){"outbox": oldOutbox, "cache": oldCache, "phonebook": oldPhonebook, "trace": oldTrace}[kind](t, st, c)
				mustClose(t, st)
				if aside, _ := filepath.Glob(filepath.Join(cfg.Folder, "*.damaged-*")); len(aside) > 0 {
					t.Errorf("moved aside: %v", aside)
				}
				if got, want := described(t, filepath.Join(cfg.Folder, file)), described(t, filepath.Join(fresh.Folder, file)); got != want {
					t.Errorf("after the upgrade:\n%s\nwant, as in a new file:\n%s", got, want)
				}
			})
		}
	}
}

func oldOutbox(t *testing.T, s *Store, c *clock) {
	if state, _, err := s.Journal().Call("1.1", time.Time{}); string(state) != "state of 1.1" || err != nil {
		t.Errorf("call: got %q, %v", state, err)
	}
	tallies, err := s.Operator().HookCounts()
	got := map[string]string{}
	for _, tally := range tallies {
		got[tally.Hook] = fmt.Sprint(tally.Pending, tally.Dead)
	}
	if want := map[string]string{"a": "2 1", "b": "0 0"}; err != nil || got["a"] != want["a"] || got["b"] != want["b"] && got["b"] != "" {
		t.Errorf("tallies: got %v, %v, want %v", got, err, want)
	}
	list, err := s.Operator().List(Filter{Limit: 10})
	if err != nil || len(list) != 4 {
		t.Errorf("deliveries: got %+v, %v", list, err)
	}
	_, attempts, err := s.Operator().Show(3)
	if err != nil || len(attempts) != 1 || attempts[0].Excerpt != "no such page" || attempts[0].Took != 700*time.Microsecond {
		t.Errorf("attempts: got %+v, %v", attempts, err)
	}
	now := c.add(time.Hour)
	ids, due1 := due(t, s.Outbox(), "a", now)
	if !slices.Equal(ids, []string{"msg_1"}) || due1[0].Attempts != 2 {
		t.Fatalf("due: got %v, %+v", ids, due1)
	}
	settleOne(t, s.Outbox(), due1[0].ID, hooks.Delivered, time.Time{})
	if ids, _ := due(t, s.Outbox(), "a", now); !slices.Equal(ids, []string{"msg_2"}) {
		t.Errorf("due behind it: got %v", ids)
	}
	if n, err := s.Operator().Retry(context.Background(), 3); n != 1 || err != nil {
		t.Errorf("retry of a dead one: got %d, %v", n, err)
	}
	keep(t, s.Journal(), testRecord("1.3", 1, "a"))
	if ids, _ := due(t, s.Outbox(), "a", c.add(time.Hour)); len(ids) != 3 {
		t.Errorf("due in the end: got %v", ids)
	}
	var verdict string
	if _, err := sqlite.One(s.read, "pragma integrity_check", nil, &verdict); err != nil || verdict != "ok" {
		t.Errorf("integrity: %q, %v", verdict, err)
	}
}

func oldCache(t *testing.T, s *Store, _ *clock) {
	if e, found := s.Cache().Get("crm +1"); !found || e.Number != "+1" {
		t.Errorf("cache: got %+v, %v", e, found)
	}
	if n := s.Cache().Len(); n != 1 {
		t.Errorf("cache: %d entries", n)
	}
}

func oldPhonebook(t *testing.T, s *Store, _ *clock) {
	if vars, err := s.Phonebook().Find("+442079460142"); err != nil || len(vars) != 1 || vars[0] != (lookup.Var{Name: "name", Value: "Zoë"}) {
		t.Errorf("phonebook: got %v, %v", vars, err)
	}
}

func oldTrace(t *testing.T, s *Store, _ *clock) {
	db, err := sqlite.Options{Path: filepath.Join(s.folder, trace.Name), Busy: time.Minute, CacheKiB: 100}.Pool(1)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var n int
	if _, err := sqlite.One(db, "select count(*) from batch where body = x'0178'", nil, &n); err != nil || n != 1 {
		t.Errorf("trace: got %d rows, %v", n, err)
	}
}

// A step that cannot be taken leaves the file as it was, for the ringhook that made it.
func TestUpgradeFails(t *testing.T) {
	steps, err := outboxSchema.Steps()
	if err != nil || len(steps) < 2 {
		t.Fatal(steps, err)
	}
	cfg := testConfig(t)
	if err := os.MkdirAll(cfg.Folder, 0o700); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(cfg.Folder, outboxFile)
	makeOld(t, path, firstRows["outbox"], outboxSchema, 1)
	db, err := sql.Open("sqlite3", path) // in the way of the second step
	if err == nil {
		_, err = db.Exec("create unique index delivery_replay on delivery (id)")
	}
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	before := described(t, path)
	if _, err := Open(cfg, quiet, nil); err == nil || !strings.Contains(err.Error(), "0002.sql") {
		t.Errorf("got %v, want the step that failed", err)
	}
	if after := described(t, path); after != before {
		t.Errorf("a failed upgrade left\n%s\nwant\n%s", after, before)
	}
}
