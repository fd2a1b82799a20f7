package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"ringhook/dialplan"
	"ringhook/store/cache"
	"ringhook/store/sqlite"
)

// TestSettingsHoldOnEveryConnection checks the settings of the connections of each pool (T-SQL-01).
func TestSettingsHoldOnEveryConnection(t *testing.T) {
	s := testStore(t, time.Now)
	var want int64
	if s.cfg.Synchronous != "normal" {
		t.Fatal("the test wants the setting that is not SQLite's own")
	}
	for range readers {
		c, err := s.read.Conn(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		for pragma, value := range map[string]int64{"query_only": 1, "foreign_keys": 1, "busy_timeout": 5000, "trusted_schema": 0} {
			if err := c.QueryRowContext(context.Background(), "pragma "+pragma).Scan(&want); err != nil || want != value {
				t.Errorf("reader: %s = %d, %v, want %d", pragma, want, err, value)
			}
		}
	}
	err := s.w.do(context.Background(), upkeep, 0, func(c *sqlite.Conn) error {
		for pragma, value := range map[string]int64{"synchronous": 1, "auto_vacuum": 2, "secure_delete": 2, "application_id": outboxSchema.AppID} {
			if _, err := c.One("pragma "+pragma, nil, &want); err != nil || want != value {
				t.Errorf("writer: %s = %d, %v, want %d", pragma, want, err, value)
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	for _, name := range []string{"", outboxFile, cache.File, "ringhook.lock", outboxFile + "-wal"} {
		info, err := os.Stat(filepath.Join(s.folder, name))
		if err != nil || info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%q is open to others: %v, %v", name, info.Mode(), err)
		}
	}
}

// TestSecondDaemonIsKeptOut checks that a second daemon cannot open the store, and a tool can (F13).
func TestSecondDaemonIsKeptOut(t *testing.T) {
	s := testStore(t, time.Now)
	if _, err := Open(s.cfg, quiet, nil); err == nil || !strings.Contains(err.Error(), "in use by another ringhook") {
		t.Errorf("second daemon: got %v", err)
	}
	keep(t, s.Journal(), testRecord("1.1", 1, "a"))
	tool, err := OpenTool(s.folder, quiet)
	if err != nil {
		t.Fatal(err)
	}
	list, err := tool.Operator().List(Filter{})
	if err != nil || len(list) != 1 {
		t.Fatalf("tool sees %v, %v", list, err)
	}
	if n, err := tool.Operator().Drop(context.Background(), list[0].ID); n != 1 || err != nil {
		t.Errorf("tool drops: %d, %v", n, err)
	}
	mustClose(t, tool)
	if got, _ := due(t, s.Outbox(), "a", time.Now()); len(got) != 0 {
		t.Errorf("dropped by the tool, but due: %v", got)
	}
	if _, err := OpenTool(t.TempDir(), quiet); err == nil || !strings.Contains(err.Error(), "no store in") {
		t.Errorf("tool without a store: got %v", err)
	}
}

// lockOut opens the outbox as another program would, and holds it.
func lockOut(t *testing.T, s *Store) (release func()) {
	t.Helper()
	db, err := sql.Open("sqlite3", "file:"+s.outboxOptions().Path)
	if err != nil {
		t.Fatal(err)
	}
	c, err := db.Conn(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.ExecContext(context.Background(), "begin exclusive"); err != nil {
		t.Fatal(err)
	}
	return func() {
		if _, err := c.ExecContext(context.Background(), "rollback"); err != nil {
			t.Error(err)
		}
		if err := errors.Join(c.Close(), db.Close()); err != nil {
			t.Error(err)
		}
	}
}

// TestLockedByAnotherProcess checks a file that another process has locked: commits fail, reads do not, and
// commits succeed after the lock is released (F13).
func TestLockedByAnotherProcess(t *testing.T) {
	s := testStore(t, time.Now)
	keep(t, s.Journal(), testRecord("1.1", 1, "a"))
	s.hurry(t)
	release := lockOut(t, s)
	_, err := s.Journal().Keep(context.Background(), testRecord("1.1", 2, "a"))
	var f *sqlite.Fault
	if !errors.As(err, &f) || f.Class != sqlite.Busy {
		t.Errorf("locked: got %v, want a fault of class busy", err)
	}
	if s.Ready() == nil {
		t.Error("locked, but ready")
	}
	if state, _, err := s.Journal().Call("1.1", time.Time{}); string(state) != `{"seq":1}` || err != nil {
		t.Errorf("read while locked: got %q, %v", state, err)
	}
	release()
	keep(t, s.Journal(), testRecord("1.1", 3, "a"))
	if err := s.Ready(); err != nil {
		t.Errorf("released: %v", err)
	}
	if got := testutil.ToFloat64(s.metrics.failures.WithLabelValues(string(sqlite.Busy))); got < 1 { // upkeep may have met it too
		t.Errorf("failures counted: %v, want at least 1", got)
	}
}

// hurry makes the writer wait less for other processes.
func (s *Store) hurry(t *testing.T) {
	t.Helper()
	err := s.w.do(context.Background(), upkeep, 0, func(c *sqlite.Conn) error {
		_, err := c.Exec("pragma busy_timeout = 20")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// When max_size is reached, acceptances fail, results are still stored, and the space
// that they free is used again.
func TestFull(t *testing.T) {
	s := testStore(t, time.Now)
	var limit int64
	err := s.w.do(context.Background(), upkeep, 0, func(c *sqlite.Conn) error {
		used, _, err := sqlite.Pages(c)
		limit = used + 20
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	s.w.maxPages = limit // nothing is under way
	if err := s.w.do(context.Background(), upkeep, 0, func(*sqlite.Conn) error { s.w.limit(limit); return nil }); err != nil {
		t.Fatal(err)
	}
	kept := 0
	var f *sqlite.Fault
	for seq := 1; ; seq++ {
		_, err := s.Journal().Keep(context.Background(), testRecord(fmt.Sprint("1.", seq), 1, "a"))
		if errors.As(err, &f) {
			break
		}
		if kept++; err != nil || kept > 10_000 {
			t.Fatalf("after %d: %v", kept, err)
		}
	}
	if f.Class != sqlite.Full {
		t.Fatalf("got %v, want a fault of class full", f)
	}
	_, list := due(t, s.Outbox(), "a", time.Now())
	if len(list) != kept {
		t.Errorf("%d due, %d were acknowledged", len(list), kept)
	}
	for _, d := range list {
		settleOne(t, s.Outbox(), d.ID, 1, time.Time{})
	}
	// Settled deliveries free only pages of the indexes.
	for more := 0; ; more++ {
		if _, err := s.Journal().Keep(context.Background(), testRecord(fmt.Sprint("2.", more), 1, "a")); err != nil {
			break
		}
		if more > kept/2 {
			t.Fatal("still full, but kept")
		}
	}
	stopUpkeep(s) // upkeep is the test's own
	s.now = func() time.Time { return time.Now().Add(30 * day) }
	for more := true; more; {
		if more, err = s.maintainOnce(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	keep(t, s.Journal(), testRecord("1.y", 1, "a"))
}

// TestFileSizeLimit checks a process whose files may not grow: commits fail, stored records can be read, and
// commits succeed when the limit is gone (F11, F17).
func TestFileSizeLimit(t *testing.T) {
	if os.Getenv("STORE_TEST_FOLDER") == "" {
		child(t, "TestFileSizeLimit", t.TempDir()).run(t)
		return
	}
	s := childStore(t, "full")
	defer mustClose(t, s)
	keep(t, s.Journal(), testRecord("1.1", 1, "a"))
	setFileLimit(t, uint64(fileSize(s.outboxOptions().Path))+64<<10)
	failed := false
	for seq := 2; seq < 2000 && !failed; seq++ {
		_, err := s.Journal().Keep(context.Background(), testRecord(fmt.Sprint("1.", seq), 1, "a"))
		failed = err != nil
	}
	if !failed {
		t.Fatal("the limit was never reached")
	}
	if got, _ := due(t, s.Outbox(), "a", time.Now()); len(got) == 0 {
		t.Error("nothing to read")
	}
	setFileLimit(t, 1<<40)
	keep(t, s.Journal(), testRecord("2.1", 1, "b"))
}

// An operation that is itself at fault does not take its batch with it.
func TestFaultyTaskFailsAlone(t *testing.T) {
	s := testStore(t, time.Now)
	hold := make(chan struct{})
	entered := make(chan struct{})
	go func() {
		_ = s.w.do(context.Background(), acceptance, 0, func(*sqlite.Conn) error {
			close(entered)
			<-hold
			return nil
		})
	}()
	<-entered
	errs := make(chan error)
	bad := func(c *sqlite.Conn) error {
		_, err := c.Exec("insert into delivery (event, hook, okey) values (999999, 'a', '1.1')")
		return err
	}
	go func() { errs <- s.w.do(context.Background(), acceptance, 0, bad) }()
	s.Journal().KeepLater(testRecord("1.1", 1, "a"))
	close(hold)
	var f *sqlite.Fault
	if err := <-errs; !errors.As(err, &f) || f.Class != sqlite.Other {
		t.Errorf("got %v, want a fault of class other", err)
	}
	keep(t, s.Journal(), testRecord("1.2", 1, "a"))
	if got, _ := due(t, s.Outbox(), "a", time.Now()); len(got) != 2 {
		t.Errorf("due: %v", got)
	}
}

// TestLineage loses one record of a call among others in one batch: those of the
// call that come after it are lost too, those before it and of other calls are not.
func TestLineage(t *testing.T) {
	s := testStore(t, time.Now)
	hold, entered := make(chan struct{}), make(chan struct{})
	go func() {
		_ = s.w.do(context.Background(), acceptance, 0, func(*sqlite.Conn) error {
			close(entered)
			<-hold
			return nil
		})
	}()
	<-entered
	ctx := context.Background()
	lineage := &dialplan.Lineage{}
	queue := func(seq int, l *dialplan.Lineage, linkedid string) dialplan.Commit {
		r := testRecord(linkedid, seq, "a")
		r.State, r.Lineage = fmt.Append(nil, seq), l
		c, err := s.Journal().Queue(ctx, r)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	before := queue(1, lineage, "1.1")
	bad := &task{rank: acceptance, lineage: lineage, awaited: true, apply: func(c *sqlite.Conn) error {
		_, err := c.Exec("insert into delivery (event, hook, okey) values (999999, 'a', '1.1')")
		return err
	}}
	if err := s.w.queue(ctx, bad); err != nil {
		t.Fatal(err)
	}
	after := queue(2, lineage, "1.1")
	other := queue(1, &dialplan.Lineage{}, "1.2")
	close(hold)
	if _, err := before.Wait(ctx); err != nil {
		t.Errorf("the record before: %v", err)
	}
	if err := s.w.wait(ctx, bad); err == nil {
		t.Error("the bad record was kept")
	}
	if _, err := after.Wait(ctx); !errors.Is(err, errLineage) {
		t.Errorf("the record after: got %v, want %v", err, errLineage)
	}
	if _, err := other.Wait(ctx); err != nil {
		t.Errorf("the other call: %v", err)
	}
	if _, err := queue(3, lineage, "1.1").Wait(ctx); !errors.Is(err, errLineage) {
		t.Errorf("a record in a later batch: got %v, want %v", err, errLineage)
	}
	if state, _, err := s.Journal().Call("1.1", time.Time{}); string(state) != "1" || err != nil {
		t.Errorf("state %q, %v, want that of the record before", state, err)
	}
}

func TestQueueFull(t *testing.T) {
	s := testStore(t, time.Now)
	hold, entered := make(chan struct{}), make(chan struct{})
	go func() {
		_ = s.w.do(context.Background(), upkeep, 0, func(*sqlite.Conn) error {
			close(entered)
			<-hold
			return nil
		})
	}()
	<-entered
	for i := range rooms[acceptance] + 10 {
		s.Journal().KeepLater(dialplan.Record{Call: fmt.Sprint(i), State: []byte("x")})
	}
	if got := testutil.ToFloat64(s.metrics.unsaved); got != 10 {
		t.Errorf("unsaved: got %v, want 10", got)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := s.Journal().Keep(ctx, testRecord("1.1", 1, "a")); !errors.Is(err, context.Canceled) {
		t.Errorf("full queue: got %v", err)
	}
	close(hold)
	keep(t, s.Journal(), testRecord("1.2", 1, "a"))
}

func TestClosed(t *testing.T) {
	s := mustOpen(t, testConfig(t), time.Now)
	mustClose(t, s)
	if _, err := s.Journal().Keep(context.Background(), testRecord("1.1", 1, "a")); !errors.Is(err, ErrClosed) {
		t.Errorf("got %v, want ErrClosed", err)
	}
	s.Journal().KeepLater(testRecord("1.1", 1, "a"))
	if _, ok := s.Cache().Get("x"); ok {
		t.Error("a closed cache has an answer")
	}
}

// childProcess is the test binary run again for one test.
type childProcess struct{ *exec.Cmd }

func child(t *testing.T, test, folder string) *childProcess {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^"+test+"$", "-test.count=1")
	cmd.Env = append(os.Environ(), "STORE_TEST_FOLDER="+folder)
	return &childProcess{cmd}
}

func (c *childProcess) run(t *testing.T) {
	t.Helper()
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("child: %v\n%s", err, out)
	}
}

// childStore opens the store that the parent named.
func childStore(t *testing.T, synchronous string) *Store {
	t.Helper()
	cfg := DefaultConfig()
	cfg.Folder, cfg.Synchronous = os.Getenv("STORE_TEST_FOLDER"), synchronous
	return mustOpen(t, cfg, time.Now)
}
