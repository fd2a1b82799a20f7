package storetest

import (
	"testing"
	"time"

	"ringhook/store/desk"
)

// revised checks that a change raises the revision.
func revised(t *testing.T, d Desk, change func() error) {
	t.Helper()
	before, err := d.Revision()
	good(t, err, change())
	after, err := d.Revision()
	good(t, err)
	if after.Personal <= before.Personal {
		t.Errorf("the revision was %+v and is %+v", before, after)
	}
}

func deskSettings(t *testing.T, d Desk, reopen func() Desk) {
	all, err := d.Settings()
	good(t, err)
	same(t, "no settings", all, map[string]map[string]string{})
	revised(t, d, func() error { return d.SetSettings("7", map[string]string{"language": "he", "moment": "agent-answer"}) })
	good(t, d.SetSettings("8", map[string]string{"language": "fr"}))
	revised(t, d, func() error { return d.SetSettings("7", map[string]string{"language": "", "moment": "agent-dial"}) })
	d = reopen()
	all, err = d.Settings()
	good(t, err)
	same(t, "settings", all, map[string]map[string]string{"7": {"moment": "agent-dial"}, "8": {"language": "fr"}})
}

func deskExceptions(t *testing.T, d Desk, reopen func() Desk, now time.Time) {
	now = time.UnixMilli(now.UnixMilli())
	a := desk.Exception{Number: "+4930*", Who: "anna", Note: "trunk", Created: now}
	b := desk.Exception{Number: "+4930123456", Agent: "7", Created: now}
	c := desk.Exception{Number: "+4930123456", Created: now}
	revised(t, d, func() error { return d.AddExceptions(b, a, c) })
	b.Note = "mother"
	good(t, d.AddExceptions(b))
	d = reopen()
	list, err := d.Exceptions()
	good(t, err)
	same(t, "exceptions", list, []desk.Exception{a, c, b})
	revised(t, d, func() error {
		removed, err := d.RemoveException("+4930123456", "7")
		if !removed {
			t.Error("not removed")
		}
		return err
	})
	for number, agent := range map[string]string{"+4930123456": "7", "+493012345": ""} {
		if removed, err := d.RemoveException(number, agent); removed || err != nil {
			t.Errorf("%s of %q: %v %v", number, agent, removed, err)
		}
	}
	p, err := d.Person("+4930123456")
	good(t, err)
	same(t, "of the person", p.Exceptions, []desk.Exception{c})
	e, err := d.Erase("+4930123456")
	good(t, err)
	same(t, "erased", e, desk.Erased{Exceptions: 1})
	list, err = d.Exceptions()
	good(t, err)
	same(t, "left", list, []desk.Exception{a})
}

func deskNotes(t *testing.T, d Desk, reopen func() Desk, now time.Time) {
	now = time.UnixMilli(now.UnixMilli())
	a := desk.Note{Call: "1.1", Agent: "7", Number: "+4930123456", Note: "wants a call back", At: now.Add(-time.Minute)}
	b := desk.Note{Call: "2.2", Agent: "7", Note: "…", At: now}
	old := desk.Note{Call: "3.3", Agent: "8", Note: "old", At: now.Add(-desk.KeepCommands - time.Hour)}
	good(t, d.SetNote(a), d.SetNote(b), d.SetNote(old))
	a.Note = "called back"
	good(t, d.SetNote(a))
	d = reopen()
	list, err := d.Notes("7", 10)
	good(t, err)
	same(t, "notes", list, []desk.Note{b, a})
	good(t, d.SetNote(desk.Note{Call: "2.2", Agent: "7"}), d.Tidy(now))
	list, err = d.Notes("7", 10)
	others, err2 := d.Notes("8", 10)
	good(t, err, err2)
	same(t, "notes", list, []desk.Note{a})
	if len(others) != 0 {
		t.Errorf("old notes are left: %+v", others)
	}
	p, err := d.Person("+4930123456")
	good(t, err)
	same(t, "of the person", p.Notes, []desk.Note{a})
	e, err := d.Erase("+4930123456")
	good(t, err)
	same(t, "erased", e, desk.Erased{Notes: 1})
	// A server may list calls of a number under which nothing is stored here.
	before, err := d.Revision()
	good(t, err)
	e, err = d.Erase("+4930123456")
	good(t, err)
	same(t, "erased again", e, desk.Erased{})
	if after, err := d.Revision(); after.Personal <= before.Personal || after.Erased <= before.Erased || err != nil {
		t.Errorf("the revision was %+v and is %+v; %v", before, after, err)
	}
}
