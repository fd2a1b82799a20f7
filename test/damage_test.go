package test

import (
	"bytes"
	"database/sql"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"ringhook/test/wait"
)

// TestDamagedWhileServing checks an outbox that is damaged while the server runs (F14): the server ends, so
// that its supervisor restarts it. The next one creates a new outbox, and salvage copies the pending
// deliveries of the old one.
func TestDamagedWhileServing(t *testing.T) {
	t.Parallel()
	l := newLedger(t)
	var well atomic.Bool
	l.answer = func(w http.ResponseWriter, _ *http.Request, take func()) {
		if well.Load() {
			take()
			return
		}
		w.WriteHeader(http.StatusNotFound)
	}
	receiver := httptest.NewServer(l)
	defer receiver.Close()
	file, agi, web := config(t, fmt.Sprintf("[[hook]]\nname = \"journal\"\nevents = [\"*\"]\nurl = %q\nformat = \"json\"\n", receiver.URL))
	ctx := wait.Context(t)
	c := spawn(t, file, web)
	defer func() { c.kill() }()
	for n := range 40 {
		l.play(ctx, agi, fmt.Sprintf("1.%d", n))
	}
	c.stop()

	c = spawn(t, file, web) // with an empty page cache
	path := filepath.Join(filepath.Dir(file), "data", "outbox.db")
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	index, last := rootPages(t, path, "delivery_order")
	// These pages have rows, because they follow those of the schema. Of them some are read by the next calls, or
	// none. The root of the index is read with each event.
	_, err = f.WriteAt(bytes.Repeat([]byte{0xa5}, 16*4096), (last+8)*4096)
	_, err2 := f.WriteAt(bytes.Repeat([]byte{0xa5}, 4096), (index-1)*4096)
	if err := errors.Join(err, err2, f.Close()); err != nil {
		t.Fatal(err)
	}
	written(t, path)
	ended := make(chan error, 1)
	go func() { ended <- c.cmd.Wait() }()
	for n := 0; len(ended) == 0 && ctx.Err() == nil; n++ {
		l.play(ctx, agi, fmt.Sprintf("2.%d", n))
	}
	var exit *exec.ExitError
	if err := <-ended; !errors.As(err, &exit) || exit.ExitCode() != exitFailure || !strings.Contains(c.log.String(), "outbox is damaged") {
		t.Fatalf("ringhook ended with %v:\n%s", err, c.log)
	}
	c = spawn(t, file, web)
	c.untilMetric(web, "ringhook_store_damaged 1")
	well.Store(true)
	aside, _ := filepath.Glob(path + ".damaged-*Z")
	if len(aside) != 1 {
		t.Fatalf("aside: %v", aside)
	}
	var out bytes.Buffer
	if code := run(ctx, []string{"outbox", "salvage", aside[0], "-c", file}, &out, &out); code != exitOK || !strings.Contains(out.String(), " deliveries copied") {
		t.Fatalf("ringhook outbox salvage ended with %d: %s", code, &out)
	}
	t.Log(strings.TrimSpace(out.String()))
	var copied int
	if _, err := fmt.Sscan(out.String(), &copied); err != nil || copied < 50 {
		t.Errorf("%d copied (%v), want most of what 40 calls left", copied, err)
	}
	came := func() int { // includes events that were stored but answered too late
		l.mu.Lock()
		defer l.mu.Unlock()
		return len(l.came)
	}
	for came() < copied {
		select {
		case <-l.arrived:
		case <-ctx.Done():
			t.Fatalf("what was salvaged does not come:\n%s", c.log)
		}
	}
	c.stop()
}

// rootPages returns the number of the first page of a table or index, and the largest of all of them.
func rootPages(t *testing.T, path, name string) (page, last int64) {
	t.Helper()
	db, err := sql.Open("sqlite3", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	row := db.QueryRowContext(t.Context(), "select max(rootpage) filter (where name = ?), max(rootpage) from sqlite_schema", name)
	if err := row.Scan(&page, &last); err != nil {
		t.Fatal(err)
	}
	return page, last
}

// written commits a change of the first page, so that ringhook drops the pages that it has in memory.
func written(t *testing.T, path string) {
	t.Helper()
	db, err := sql.Open("sqlite3", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var version int
	err = db.QueryRowContext(t.Context(), "pragma user_version").Scan(&version)
	if err == nil {
		_, err = db.ExecContext(t.Context(), fmt.Sprint("pragma user_version = ", version))
	}
	if err != nil {
		t.Fatal(err)
	}
}
