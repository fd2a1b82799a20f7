package desk_test

import (
	"bytes"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"ringhook/store/desk"
	"ringhook/store/sqlite"
	"ringhook/store/storetest"
)

func TestDesk(t *testing.T) {
	storetest.RunDesk(t, func(t *testing.T) (storetest.Desk, func() storetest.Desk) {
		folder := filepath.Join(t.TempDir(), "store")
		open := func() *desk.Desk {
			d, err := desk.Make(folder)
			if err != nil {
				t.Fatal(err)
			}
			return d
		}
		d := open()
		t.Cleanup(func() { d.Close() })
		return d, func() storetest.Desk {
			if err := d.Close(); err != nil {
				t.Fatal(err)
			}
			d = open()
			return d
		}
	})
}

func TestAccounts(t *testing.T) {
	storetest.RunAccounts(t, func(t *testing.T) (storetest.Accounts, func() storetest.Accounts) {
		folder := filepath.Join(t.TempDir(), "store")
		open := func() *desk.Desk {
			d, err := desk.Make(folder)
			if err != nil {
				t.Fatal(err)
			}
			return d
		}
		d := open()
		t.Cleanup(func() { d.Close() })
		return d, func() storetest.Accounts {
			if err := d.Close(); err != nil {
				t.Fatal(err)
			}
			d = open()
			return d
		}
	})
}

func TestShared(t *testing.T) {
	storetest.RunSharedDesk(t, func(t *testing.T) (a, b storetest.Node) {
		folder := t.TempDir()
		open := func() *desk.Desk {
			d, err := desk.Make(folder)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { d.Close() })
			return d
		}
		return open(), open()
	})
}

// Only the owner can read the file, and it has no token.
func TestSecrets(t *testing.T) {
	folder := t.TempDir()
	d, err := desk.Make(folder)
	if err != nil {
		t.Fatal(err)
	}
	token, err := d.AddToken(desk.Token{Name: "crm", Rights: "administrator", Created: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(folder, desk.File)
	info, err := os.Stat(file)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	text, err := os.ReadFile(file)
	if err != nil || bytes.Contains(text, []byte(token)) || bytes.Contains(text, []byte(token[3:])) {
		t.Errorf("the token is in the file (%v)", err)
	}
}

// A server and a command write at the same time.
func TestTwoProcesses(t *testing.T) {
	folder := t.TempDir()
	if _, err := desk.Open(folder); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("open without a file: %v", err)
	}
	a, err := desk.Make(folder)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	b, err := desk.Open(folder)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	token, err := b.AddToken(desk.Token{Name: "crm", Rights: "administrator", Created: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	if _, found, err := a.Token(token); !found || err != nil {
		t.Errorf("the server does not see the token: %v", err)
	}
}

// A damaged file is not changed, and every method of what stands in for it fails.
func TestDamaged(t *testing.T) {
	folder := t.TempDir()
	file := filepath.Join(folder, desk.File)
	text := bytes.Repeat([]byte("not a database. "), 1000)
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := desk.Make(folder)
	if err == nil {
		t.Fatal("a damaged file was opened")
	}
	if got, err := os.ReadFile(file); err != nil || !bytes.Equal(got, text) {
		t.Errorf("the file was changed (%v)", err)
	}
	d := desk.Broken(err)
	defer d.Close()
	var fault *sqlite.Fault
	if _, _, err := d.Token("x"); !errors.As(err, &fault) {
		t.Errorf("read: %v", err)
	}
	if err := d.AddCommand(&desk.Command{}); !errors.As(err, &fault) {
		t.Errorf("write: %v", err)
	}
	if d.Err() == nil {
		t.Error("no error")
	}
}

// shared returns a file and a connection of another process to it.
func shared(t *testing.T) (*desk.Desk, *sqlite.Conn) {
	t.Helper()
	folder := t.TempDir()
	d, err := desk.Make(folder)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	c, err := sqlite.Options{Path: filepath.Join(folder, desk.File), Synchronous: "NORMAL", Busy: time.Minute}.Writer()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return d, c
}

// TestCommandNotCommitted checks that a command whose commit failed has no ID, so that its end is stored as a new command
// and not in the row of another one, and that a campaign has not ended if its commit failed. The end of a command that was
// removed is stored too.
func TestCommandNotCommitted(t *testing.T) {
	now := time.UnixMilli(1795719720000)
	d, c := shared(t)
	do := func(query string) {
		t.Helper()
		if _, err := c.Exec(query); err != nil {
			t.Fatal(err)
		}
	}
	do("create table refused (campaign text references campaign (id) deferrable initially deferred)")
	do("create trigger refuse after insert on command begin insert into refused values ('none'); end")
	lost := desk.Command{At: now, Who: "agent 7", Command: "hold", Outcome: desk.CommandBegun}
	if err := d.AddCommand(&lost); err == nil || lost.ID != 0 {
		t.Errorf("not committed: ID %d, %v", lost.ID, err)
	}
	removed := desk.Command{ID: 5, At: now, Who: "agent 7", Command: "mute", Outcome: "ok"}
	if err := d.EndCommand(&removed); err == nil || removed.ID != 5 {
		t.Errorf("end not committed: ID %d, %v", removed.ID, err)
	}
	if err := d.AddCampaign(desk.Campaign{ID: "a", Created: now}, []desk.CampaignNumber{{Number: "1"}}); err != nil {
		t.Fatal(err)
	}
	do("create trigger refuse_end after update on campaign begin insert into refused values ('none'); end")
	if ended, err := d.EndCampaign("a", desk.CampaignStopped, now); err == nil || ended {
		t.Errorf("campaign not ended: %t, %v", ended, err)
	}
	do("drop trigger refuse")
	other := desk.Command{At: now, Who: "agent 8", Command: "dial", Outcome: desk.CommandBegun}
	if err := errors.Join(d.AddCommand(&other), d.EndCommand(&removed)); err != nil {
		t.Fatal(err)
	}
	list, err := d.Commands(desk.CommandFilter{})
	if err != nil || !slices.Equal(list, []desk.Command{removed, other}) || removed.ID == 5 {
		t.Errorf("got %+v, %v, want %+v and %+v", list, err, removed, other)
	}
}

// TestCommandsAreBounded checks that the latest commands are kept, however many were given within the month.
func TestCommandsAreBounded(t *testing.T) {
	now := time.Now()
	d, c := shared(t)
	_, err := c.Exec(`with recursive n(i) as (select 1 union all select i + 1 from n where i < ?1)
		insert into command (at_ms, who, command, server, agent, queue, call, detail, outcome, result, took_us)
		select ?2 + i, 'agent 7', 'mute', '', '7', '', '', '', 'ok', '', 1 from n`, desk.MaxCommands+2500, now.UnixMilli())
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Tidy(now); err != nil {
		t.Fatal(err)
	}
	list, err := d.Commands(desk.CommandFilter{})
	if err != nil || len(list) != desk.MaxCommands || list[0].ID != desk.MaxCommands+2500 {
		t.Errorf("%d commands are kept, want %d; %v", len(list), desk.MaxCommands, err)
	}
}

// TestSessionsAreBounded checks that the latest sessions of an agent are kept.
func TestSessionsAreBounded(t *testing.T) {
	d, err := desk.Make(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	now := time.Now()
	add := func(agent string, at time.Time) string {
		t.Helper()
		secret, err := d.AddSession(desk.Session{Agent: agent, Created: at, Ends: at.Add(time.Hour)})
		if err != nil {
			t.Fatal(err)
		}
		return secret
	}
	first, other := add("7", now), add("8", now)
	last := ""
	for i := range desk.MaxSessions {
		last = add("7", now.Add(time.Duration(i+1)*time.Second))
	}
	for secret, want := range map[string]bool{first: false, last: true, other: true} {
		if _, found, err := d.Session(secret); err != nil || found != want {
			t.Errorf("found %v, want %v; %v", found, want, err)
		}
	}
	if list, err := d.Sessions("7"); err != nil || len(list) != desk.MaxSessions {
		t.Errorf("%d sessions, %v", len(list), err)
	}
}

// TestClockSetBack checks that what was stored while the clock was ahead is not kept until that time, and that no session lasts
// until then.
func TestClockSetBack(t *testing.T) {
	d, c := shared(t)
	now := time.Now()
	ahead := now.Add(10 * 365 * 24 * time.Hour)
	secret, err := d.AddSession(desk.Session{Agent: "7", Created: ahead, Ends: ahead.Add(time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.SetNote(desk.Note{Call: "1.1", Agent: "7", Number: "+442079460142", Note: "x", At: ahead}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Exec(`insert into command (at_ms, who, command, server, agent, queue, call, detail, outcome, result, took_us) values (?1, '', '', '', '', '', '', '', '', '', 1)`, ahead.UnixMilli()); err != nil {
		t.Fatal(err)
	}
	counts := func(when time.Time, want int) {
		t.Helper()
		if err := d.Tidy(when); err != nil {
			t.Fatal(err)
		}
		n := 0
		if _, err := c.One("select (select count(*) from command) + (select count(*) from note)", nil, &n); err != nil || n != want {
			t.Errorf("%d are kept, want %d, %v", n, want, err)
		}
	}
	counts(now, 2)
	if _, found, err := d.Session(secret); err != nil || found {
		t.Errorf("the session is valid: %v, %v", found, err)
	}
	counts(now.Add(desk.KeepCommands-time.Minute), 2)
	counts(now.Add(desk.KeepCommands+time.Minute), 0)
}

// TestSettings checks that the settings of one agent are those among the settings of all.
func TestSettings(t *testing.T) {
	d, err := desk.Make(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	for agent, changes := range map[string]map[string]string{"7": {"language": "he", "sound": "40"}, "8": {"language": "fr"}} {
		if err := d.SetSettings(agent, changes); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.SetSettings("7", map[string]string{"sound": ""}); err != nil {
		t.Fatal(err)
	}
	all, err := d.Settings()
	if err != nil || len(all) != 2 || !maps.Equal(all["7"], map[string]string{"language": "he"}) {
		t.Errorf("all: %v, %v", all, err)
	}
	for _, agent := range []string{"7", "8", "9"} {
		if own, err := d.SettingsOf(agent); err != nil || own == nil || !maps.Equal(own, all[agent]) {
			t.Errorf("agent %s: %v, %v", agent, own, err)
		}
	}
}
