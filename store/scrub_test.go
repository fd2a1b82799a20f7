package store

import (
	"bytes"
	"encoding/binary"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"ringhook/dialplan"
	"ringhook/store/mention"
	"ringhook/test/wait"
)

// TestScrub checks that no file contains deleted data, including values on overflow
// pages and older versions of rows.
func TestScrub(t *testing.T) {
	c := newClock()
	s := testStore(t, c.now)
	const number = "+442079460142"
	long := bytes.Repeat([]byte("x"), 20_000)
	for i := range 40 {
		linkedid := "1." + string(rune('a'+i%20))
		ev := testEvent(linkedid, i)
		ev.Params["callerid"], ev.Params["note"] = number, string(long)
		keep(t, s.Journal(), dialplan.Record{Call: linkedid, State: slices.Concat([]byte(`{"note":"`), long, []byte(`","callerid":"`+number+`"}`)),
			Events: []dialplan.Accepted{{Event: ev, Hooks: testRoutes(linkedid, "a")}}})
		s.Journal().Trace(c.now(), pointRecord(linkedid, number, c.now()))
	}
	keep(t, s.Journal(), dialplan.Record{Call: "2.1", State: []byte(`{"callerid":"+442079460500"}`)})
	points(t, s, "1.a", 2)
	if e, err := s.Erase(t.Context(), number); err != nil || e.Calls != 20 || e.Events != 40 || e.Points != 40 {
		t.Errorf("erased %+v, %v", e, err)
	}
	if err := Scrub(s.Folder()); err != nil {
		t.Fatal(err)
	}
	err := fs.WalkDir(os.DirFS(s.Folder()), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := os.ReadFile(filepath.Join(s.Folder(), path))
		if n := bytes.Count(content, []byte(number[1:])); n > 0 {
			t.Errorf("%s has the number %d times", path, n)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	if state, _, err := s.Journal().Call("2.1", time.Time{}); err != nil || len(state) == 0 {
		t.Errorf("another call: %q, %v", state, err)
	}
}

// TestLeftovers checks that the copies beside the files are named that Erase and Scrub do not reach.
func TestLeftovers(t *testing.T) {
	folder := t.TempDir()
	want := []string{"outbox.db.damaged-20260115T093000.000Z", "replaced-20260115T093000.000Z", restoring + "1"}
	for _, name := range append([]string{"outbox.db", "outbox.db-wal", want[0] + "-wal", want[0] + "-shm", "trace.db"}, want...) {
		if err := os.WriteFile(filepath.Join(folder, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got, err := Leftovers(folder)
	for i := range got {
		got[i] = filepath.Base(got[i])
	}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
}

func TestMentions(t *testing.T) {
	for _, test := range []struct {
		text, number string
		want         bool
	}{
		{`{"callerid":"+442079460142"}`, "+442079460142", true},
		{`{"url":"https://a/?p=%2B442079460142&x"}`, "442079460142", true},
		{`{"callerid":"+4420794601429"}`, "+442079460142", false},
		{`{"callerid":"9442079460142"}`, "442079460142", false},
		{`{"a":"4420794601421 442079460142"}`, "442079460142", true},
		{`{"agent":"101"}`, "101", true},
		{`{"a":"1.101","b":"x 101"}`, "101", false},
	} {
		if got := mention.In([]byte(test.text), []string{test.number}); got != test.want {
			t.Errorf("%s in %s: %v", test.number, test.text, got)
		}
	}
}

// pointRecord returns a record as dialplan encodes it, with the call, the time and little
// else.
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

// points waits until the trace has this number of points of a call, and returns them.
func points(t *testing.T, s *Store, linkedid string, want int) []dialplan.PointTrace {
	t.Helper()
	var got []dialplan.PointTrace
	wait.Until(t, func() bool {
		var err error
		if got, err = s.Points(linkedid); err != nil {
			t.Fatal(err)
		}
		return len(got) == want
	}, "call %s does not come to have %d points", linkedid, want)
	return got
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
