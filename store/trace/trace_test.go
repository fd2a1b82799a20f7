package trace

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"ringhook/store/sqlite"
)

var start = time.Date(2026, 1, 15, 9, 30, 0, 0, time.UTC)

func plenty() bool { return true }

func testFile(path string, now func() time.Time) *File {
	return New(path, 24*time.Hour, plenty, slog.New(slog.DiscardHandler), prometheus.NewCounter(prometheus.CounterOpts{}), now)
}

// TestTracesAreBounded fills the buffer and the file beyond their limits.
func TestTracesAreBounded(t *testing.T) {
	now := start
	tr := testFile(filepath.Join(t.TempDir(), Name), func() time.Time { return now })
	record := make([]byte, 100)
	for range 2 * gatherRoom / len(record) {
		tr.Add(now, record)
	}
	if len(tr.batch) > gatherRoom || testutil.ToFloat64(tr.dropped) == 0 {
		t.Errorf("%d bytes buffered, %v dropped", len(tr.batch), testutil.ToFloat64(tr.dropped))
	}
	tr.Open()
	t.Cleanup(func() {
		if err := tr.Shut(); err != nil {
			t.Error(err)
		}
	})
	tr.size = 4 << 20
	for range 3 * 4 {
		now = now.Add(2 * tidyEvery)
		if err := tr.write(tr.batch, now.UnixMilli()); err != nil {
			t.Fatal(err)
		}
	}
	count := func() (rows int, last int64) {
		if _, err := tr.c.One("select count(*), coalesce(max(last_ms), 0) from batch", nil, &rows, &last); err != nil {
			t.Fatal(err)
		}
		return rows, last
	}
	used, _, err := sqlite.Pages(tr.c)
	if rows, last := count(); err != nil || used > tr.size/sqlite.PageSize || rows == 0 || last != now.UnixMilli() {
		t.Errorf("%d rows in %d pages, the last of %d, %v", rows, used, last, err)
	}
	now = now.Add(25 * time.Hour)
	if err := tr.write(nil, 0); err != nil {
		t.Fatal(err)
	}
	if rows, _ := count(); rows != 0 {
		t.Errorf("%d rows remain after a day", rows)
	}
}

// TestTracesClockSetBack checks that records that were written while the clock was ahead are removed like others, also after
// a restart.
func TestTracesClockSetBack(t *testing.T) {
	now := start
	path := filepath.Join(t.TempDir(), Name)
	open := func() *File {
		tr := testFile(path, func() time.Time { return now })
		tr.Open()
		return tr
	}
	tr := open()
	write := func() {
		t.Helper()
		now = now.Add(2 * tidyEvery)
		if err := tr.write([]byte("\x01x"), now.UnixMilli()); err != nil {
			t.Fatal(err)
		}
	}
	rows := func() (n int) {
		if _, err := tr.c.One("select count(*) from batch", nil, &n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	const years = 10 * 365 * 24 * time.Hour
	for restart := range 2 {
		now = now.Add(years)
		for range 3 * tidyRows / 2 {
			write()
		}
		now = now.Add(-years)
		if restart == 1 {
			if err := tr.Shut(); err != nil {
				t.Fatal(err)
			}
			tr = open()
		}
		write()
		now = now.Add(23 * time.Hour)
		write()
		if n := rows(); n < 3*tidyRows/2 {
			t.Errorf("%d rows are left before their time", n)
		}
		now = now.Add(2 * time.Hour)
		write()
		if n := rows(); n != 2 {
			t.Errorf("%d rows are left, want the last two", n)
		}
		now = now.Add(25 * time.Hour)
		write()
	}
	if err := tr.Shut(); err != nil {
		t.Error(err)
	}
}

// TestTracesDamaged opens a file that is not a trace file.
func TestTracesDamaged(t *testing.T) {
	for name, content := range map[string][]byte{"noise": bytes.Repeat([]byte("noise"), 9000), "nothing": {}} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), Name)
			if err := os.WriteFile(path, content, 0o600); err != nil {
				t.Fatal(err)
			}
			tr := testFile(path, time.Now)
			tr.Open()
			if err := tr.write([]byte("\x01x"), 1); err != nil {
				t.Error(err)
			}
			if err := tr.Shut(); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestGivesWay checks that the file does not grow while there is no room, is deleted to
// make room, and stores records when there is room again.
func TestGivesWay(t *testing.T) {
	now, enough := start, false
	f := New(filepath.Join(t.TempDir(), Name), 24*time.Hour, func() bool { return enough }, slog.New(slog.DiscardHandler),
		prometheus.NewCounter(prometheus.CounterOpts{}), func() time.Time { return now })
	f.Open()
	t.Cleanup(func() {
		if err := f.Shut(); err != nil {
			t.Error(err)
		}
	})
	if err := f.write([]byte("\x01x"), 1); !errors.Is(err, errNoRoom) {
		t.Errorf("without room: got %v", err)
	}
	if freed := f.delete(); freed == 0 {
		t.Error("no bytes were freed")
	}
	if _, err := os.Stat(f.opening.Path); !os.IsNotExist(err) {
		t.Errorf("the file is still there: %v", err)
	}
	if err := f.write(nil, 0); err != nil || f.c != nil {
		t.Errorf("nothing to write: %v, a file %v", err, f.c)
	}
	enough, now = true, now.Add(time.Second)
	if err := f.write([]byte("\x01x"), 1); err != nil {
		t.Errorf("with room: %v", err)
	}
}
