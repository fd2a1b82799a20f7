package store

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"ringhook/dialplan"
)

// TestScrub leaves nothing of what was deleted in any byte of the files, also
// of values that lay on pages of their own, and of older versions of them.
func TestScrub(t *testing.T) {
	c := newClock()
	s := testStore(t, c.now)
	const number = "+442079460142"
	long := bytes.Repeat([]byte("x"), 20_000)
	for i := range 40 {
		linkedid := "1." + string(rune('a'+i%20))
		ev := testEvent(linkedid, i)
		ev.Params["callerid"], ev.Params["note"] = number, string(long)
		keep(t, s.Journal(), dialplan.Record{LinkedID: linkedid, State: slices.Concat([]byte(`{"note":"`), long, []byte(`","callerid":"`+number+`"}`)),
			Events: []dialplan.Accepted{{Event: ev, Hooks: testRoutes(linkedid, "a")}}})
		s.Journal().Trace(c.now(), pointRecord(linkedid, number, c.now()))
	}
	keep(t, s.Journal(), dialplan.Record{LinkedID: "2.1", State: []byte(`{"callerid":"+442079460500"}`)})
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
	if state, err := s.Journal().Call("2.1"); err != nil || len(state) == 0 {
		t.Errorf("another call: %q, %v", state, err)
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
		if got := mentions([]byte(test.text), []string{test.number}); got != test.want {
			t.Errorf("%s in %s: %v", test.number, test.text, got)
		}
	}
}
