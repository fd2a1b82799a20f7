//go:build failpoints

package store

import (
	"context"
	"errors"
	"os"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"ringhook/store/sqlite"
)

// TestFailPointSync is F17: where the sync of a commit reports an error the
// batch is failed, whatever the file holds of it; the connection is not used
// again, and the next commit is made on another.
func TestFailPointSync(t *testing.T) {
	if os.Getenv("STORE_TEST_FOLDER") == "" {
		c := child(t, "TestFailPointSync", t.TempDir())
		c.Env = append(c.Env, "RINGHOOK_FAILPOINTS=accept.before_commit=error@2")
		c.run(t)
		return
	}
	s := childStore(t, "full")
	defer mustClose(t, s)
	keep(t, s.Journal(), testRecord("1.1", 1, "a"))
	var before, after *sqlite.Conn
	note := func(c **sqlite.Conn) func(*sqlite.Conn) error {
		return func(now *sqlite.Conn) error {
			*c = now
			return nil
		}
	}
	if err := s.w.do(context.Background(), upkeep, 0, note(&before)); err != nil {
		t.Fatal(err)
	}
	_, err := s.Journal().Keep(context.Background(), testRecord("1.1", 2, "a"))
	var f *sqlite.Fault
	if !errors.As(err, &f) || f.Class != sqlite.IO {
		t.Errorf("got %v, want a fault of class io", err)
	}
	if s.Ready() == nil {
		t.Error("the disk fails, but ready")
	}
	keep(t, s.Journal(), testRecord("1.1", 3, "a"))
	if err := s.w.do(context.Background(), upkeep, 0, note(&after)); err != nil || after == before {
		t.Errorf("the connection is still the one that failed (%v)", err)
	}
	if err := s.Ready(); err != nil {
		t.Error(err)
	}
	if got := testutil.ToFloat64(s.metrics.failures.WithLabelValues(string(sqlite.IO))); got != 1 {
		t.Errorf("failures counted: %v, want 1", got)
	}
	list, err := s.Operator().List(Filter{})
	if err != nil || len(list) != 2 {
		t.Errorf("kept: %v, %v, want the two that were acknowledged", list, err)
	}
	if got, _ := due(t, s.Outbox(), "a", time.Now()); len(got) != 1 || got[0] != "msg_1.1_1" {
		t.Errorf("due: %v", got)
	}
}
