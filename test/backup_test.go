package test

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"ringhook/test/wait"
)

// TestBackup checks a lost disk: a backup is made during calls, ringhook is killed, its folder is removed,
// and the backup is restored. All events accepted before the backup arrive, in order, and repeated ones
// have the same id.
func TestBackup(t *testing.T) {
	t.Parallel()
	l := newLedger(t)
	dead := make(chan struct{})
	l.answer = func(_ http.ResponseWriter, _ *http.Request, take func()) {
		take()
		<-dead // the sender gets no answer
	}
	receiver := httptest.NewServer(l)
	defer receiver.Close()
	file, agi, web := config(t, fmt.Sprintf("[[hook]]\nname = \"journal\"\nevents = [\"*\"]\nurl = %q\nformat = \"json\"\nschedule = \"fast\"\ntimeout = \"1m\"\n", receiver.URL))
	folder := filepath.Join(filepath.Dir(file), "data")
	backup := filepath.Join(t.TempDir(), "ringhook.tar")

	command := func(code int, want string, args ...string) {
		t.Helper()
		var out bytes.Buffer
		if got := run(t.Context(), args, &out, &out); got != code || !strings.Contains(out.String(), want) {
			t.Fatalf("ringhook %s ended with %d:\n%s\nwant %d and %q", strings.Join(args, " "), got, &out, code, want)
		}
	}
	command(exitFailure, "no store", "backup", "-c", file, backup)
	contacts := filepath.Join(t.TempDir(), "contacts.csv")
	if err := os.WriteFile(contacts, []byte("number,name\n+442079460142,Zoë\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c := spawn(t, file, web)
	defer c.kill()
	command(exitOK, "1 numbers", "phonebook", "import", contacts, "-c", file)

	ctx := wait.Context(t)
	calls, stop := context.WithCancel(ctx)
	var callers sync.WaitGroup
	for n := range 4 {
		callers.Go(func() {
			for i := 0; calls.Err() == nil; i++ {
				l.play(ctx, agi, fmt.Sprintf("%d.%d", n+1, i+1))
			}
		})
	}
	wait := func(what string, enough func() bool) {
		t.Helper()
		for tick := time.NewTicker(5 * time.Millisecond); ; {
			l.mu.Lock()
			done := enough()
			l.mu.Unlock()
			if done {
				tick.Stop()
				return
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
				t.Fatalf("%s:\n%s", what, c.log)
			}
		}
	}
	wait("too few events", func() bool { return len(l.promised) >= 200 && len(l.came) > 0 })
	l.mu.Lock()
	before := maps.Clone(l.promised)
	l.mu.Unlock()
	command(exitOK, "outbox.db, phonebook.db and desk.db", "backup", "-c", file, backup)
	info, err := os.Stat(backup)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the backup's mode is %v, %v", info.Mode(), err)
	}
	command(exitFailure, "exists", "backup", "-c", file, backup)
	if again, err := os.Stat(backup); err != nil || again.Size() != info.Size() {
		t.Errorf("an older backup was touched: %v", err)
	}
	if left, _ := os.ReadDir(filepath.Dir(backup)); len(left) != 1 {
		t.Errorf("left beside the backup: %v", left)
	}
	stop()
	callers.Wait()
	c.kill()

	if err := os.RemoveAll(folder); err != nil {
		t.Fatal(err)
	}
	command(exitOK, "outbox.db, phonebook.db and desk.db restored", "restore", "-c", file, backup)
	close(dead)
	l.mu.Lock()
	twice := len(l.came)
	clear(l.came)
	clear(l.last)
	l.mu.Unlock()
	c = spawn(t, file, web)
	defer c.kill()
	command(exitFailure, "in use by another ringhook", "restore", "-c", file, backup)
	wait("not everything that was promised came", func() bool {
		return !slices.ContainsFunc(slices.Collect(maps.Keys(before)), func(key string) bool { _, came := l.came[key]; return !came })
	})
	t.Logf("%d events were promised, %d of them came a second time", len(before), twice)
	command(exitOK, "Zoë", "phonebook", "list", "-c", file)
	c.stop()
	if strings.Contains(c.log.String(), "damaged") {
		t.Errorf("log after the restore:\n%s", c.log)
	}
}
