package test

import (
	"bytes"
	"context"
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
)

// TestDamagedWhileServing checks an outbox that is damaged while the server runs (F14): the server ends, so
// that its supervisor restarts it. The next one creates a new outbox, and salvage copies the pending
// deliveries of the old one.
func TestDamagedWhileServing(t *testing.T) {
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
	ctx, cancel := context.WithTimeout(context.Background(), slowest)
	defer cancel()
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
	_, err = f.WriteAt(bytes.Repeat([]byte{0xa5}, 16*4096), 19*4096)
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- c.cmd.Wait() }()
	for n := 0; ; n++ { // until a write reaches those pages
		l.play(ctx, agi, fmt.Sprintf("2.%d", n))
		if len(ended) > 0 || ctx.Err() != nil {
			break
		}
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
