package test

import (
	"bytes"
	"database/sql"
	"errors"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ringhook/test/wait"
)

// TestLockedOutside checks a running server whose outbox another process has locked (F13). Calls continue
// without a RINGHOOK_STATUS, and with one after the lock is released. Events that were answered OK arrive.
// A second server on the folder does not start.
func TestLockedOutside(t *testing.T) {
	t.Parallel()
	l := newLedger(t)
	receiver := httptest.NewServer(l)
	defer receiver.Close()
	hook := fmt.Sprintf("[[hook]]\nname = \"journal\"\nevents = [\"*\"]\nurl = %q\nformat = \"json\"\n", receiver.URL)
	file, agi, web := config(t, hook)
	data := filepath.Join(filepath.Dir(file), "data")
	c := spawn(t, file, web)
	defer c.kill()

	other, _, _ := config(t, "")
	text, err := os.ReadFile(other)
	if err == nil {
		err = os.WriteFile(other, bytes.Replace(text, []byte(filepath.Join(filepath.Dir(other), "data")), []byte(data), 1), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	ctx := wait.Context(t)
	var out bytes.Buffer
	if code := run(ctx, []string{"serve", "-c", other}, &out, &out); code != exitFailure || !strings.Contains(out.String(), "in use by another ringhook") {
		t.Errorf("a second server ended with %d: %s", code, &out)
	}

	db, err := sql.Open("sqlite3", filepath.Join(data, "outbox.db"))
	if err != nil {
		t.Fatal(err)
	}
	conn, err := db.Conn(ctx)
	if err == nil {
		_, err = conn.ExecContext(ctx, "pragma busy_timeout = 20000; begin exclusive")
	}
	if err != nil {
		t.Fatal(err)
	}
	if l.play(ctx, agi, "1.1") {
		t.Error("locked, but every point is answered OK")
	}
	_, err = conn.ExecContext(ctx, "rollback")
	if err := errors.Join(err, conn.Close(), db.Close()); err != nil {
		t.Fatal(err)
	}
	for n := 2; !l.play(ctx, agi, fmt.Sprint("1.", n)); n++ {
		if ctx.Err() != nil {
			t.Fatalf("let go, but no call is answered OK:\n%s", c.log)
		}
	}
	for {
		missing, _ := l.missing()
		if len(missing) == 0 {
			break
		}
		select {
		case <-l.arrived:
		case <-ctx.Done():
			t.Fatalf("%s did not come:\n%s", missing[0], c.log)
		}
	}
	c.stop()
}
