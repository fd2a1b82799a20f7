package store

import (
	"bytes"
	"encoding/binary"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"ringhook/dialplan"
)

// pointRecord is a record as dialplan writes it: the call, when, and nothing much.
func pointRecord(linkedid, caller string, at time.Time) []byte {
	b := []byte{1}
	text := func(s string) { b = append(binary.AppendUvarint(b, uint64(len(s))), s...) }
	number := func(n int64) { b = binary.AppendVarint(b, n) }
	text(linkedid)
	number(at.UnixMicro())
	number(1000)
	number(0)
	for _, s := range []string{"queue-dial", linkedid, "PJSIP/1", "OK", "", caller, "", "", ""} {
		text(s)
	}
	for range 4 {
		number(0)
	}
	text("")
	number(0)
	number(0)
	return b
}

// points waits until as many points of a call are kept.
func points(t *testing.T, s *Store, linkedid string, want int) []dialplan.PointTrace {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for tick := time.NewTicker(20 * time.Millisecond); ; <-tick.C {
		got, err := s.Points(linkedid)
		if err != nil {
			t.Fatal(err)
		}
		if len(got) == want {
			return got
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d points of call %s, want %d", len(got), linkedid, want)
		}
	}
}

func TestPoints(t *testing.T) {
	c := newClock()
	s := testStore(t, c.now)
	if got, err := s.Points("1.1"); len(got) != 0 || err != nil {
		t.Fatalf("of an empty file: %v, %v", got, err)
	}
	for i := range 3 {
		at := c.now().Add(time.Duration(3-i) * time.Second)
		s.Journal().Trace(at, pointRecord("1.1", "101", at))
		s.Journal().Trace(c.now(), pointRecord("11.1", "102", c.now()))
	}
	got := points(t, s, "1.1", 3)
	if !slices.IsSortedFunc(got, func(a, b dialplan.PointTrace) int { return a.At.Compare(b.At) }) || got[0].Caller != "101" || got[0].Took != time.Millisecond {
		t.Errorf("got %+v", got)
	}
	n := 0
	if err := s.PointsSince(c.now().Add(2*time.Second), func(*dialplan.PointTrace) { n++ }); err != nil || n != 2 {
		t.Errorf("%d since, %v, want 2", n, err)
	}
}

// TestTracesAreBounded fills the gathering and the file beyond their ends.
func TestTracesAreBounded(t *testing.T) {
	c := newClock()
	m := newMeter(nil)
	tr := newTraces(filepath.Join(t.TempDir(), traceFile), DefaultConfig(), slog.New(slog.DiscardHandler), m, c.now)
	record := pointRecord("1.1", "101", c.now())
	for range 2 * traceRoom / len(record) {
		tr.add(c.now(), record)
	}
	if len(tr.batch) > traceRoom || testutil.ToFloat64(m.traceLost) == 0 {
		t.Errorf("%d bytes gathered, %v dropped", len(tr.batch), testutil.ToFloat64(m.traceLost))
	}
	tr.open()
	t.Cleanup(func() {
		if err := tr.shut(); err != nil {
			t.Error(err)
		}
	})
	tr.size = 4 << 20
	for range 3 * 4 {
		c.add(2 * upkeepEvery)
		if err := tr.write(tr.batch, c.now().UnixMilli()); err != nil {
			t.Fatal(err)
		}
	}
	count := func() (rows int, last int64) {
		if _, err := tr.c.one("select count(*), coalesce(max(last_ms), 0) from batch", nil, &rows, &last); err != nil {
			t.Fatal(err)
		}
		return rows, last
	}
	used, _, err := pages(tr.c)
	if rows, last := count(); err != nil || used > tr.size/pageSize || rows == 0 || last != c.now().UnixMilli() {
		t.Errorf("%d rows in %d pages, the last of %d, %v", rows, used, last, err)
	}
	c.add(25 * time.Hour)
	if err := tr.write(nil, 0); err != nil {
		t.Fatal(err)
	}
	if rows, _ := count(); rows != 0 {
		t.Errorf("%d rows are left after a day", rows)
	}
}

// TestTracesDamaged finds something else in place of the file.
func TestTracesDamaged(t *testing.T) {
	c := newClock()
	for name, content := range map[string][]byte{"noise": bytes.Repeat([]byte("noise"), 9000), "nothing": {}} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), traceFile)
			if err := os.WriteFile(path, content, 0o600); err != nil {
				t.Fatal(err)
			}
			tr := newTraces(path, DefaultConfig(), slog.New(slog.DiscardHandler), newMeter(nil), c.now)
			tr.open()
			if err := tr.write([]byte("\x01x"), 1); err != nil {
				t.Error(err)
			}
			if err := tr.shut(); err != nil {
				t.Error(err)
			}
		})
	}
}
