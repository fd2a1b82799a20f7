package adopt_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"ringhook/account"
	"ringhook/lookup"
	"ringhook/pgstore/adopt"
	enginecredentials "ringhook/pgstore/credentials"
	enginedesk "ringhook/pgstore/desk"
	enginebook "ringhook/pgstore/phonebook"
	"ringhook/pgstore/sidetest"
	"ringhook/store/credentials"
	"ringhook/store/desk"
	"ringhook/store/phonebook"
	"ringhook/store/storetest"
)

func TestMain(m *testing.M) { sidetest.Main(m) }

// TestFolder checks that what a folder has is in the database after it was copied, once.
func TestFolder(t *testing.T) {
	folder := t.TempDir()
	now := time.UnixMilli(time.Now().UnixMilli())
	d, err := desk.Make(folder)
	if err != nil {
		t.Fatal(err)
	}
	token, err1 := d.AddToken(desk.Token{Name: "crm", Rights: "supervisor", Queues: []string{"500"}, Created: now})
	code, err2 := d.Invite("7", now.Add(time.Hour))
	_, _, err3 := d.Accept(code, "hash", now)
	command := desk.Command{At: now, Who: "agent 7", Command: "kick", Detail: "{}", Outcome: "ok", Took: time.Second}
	err = errors.Join(err1, err2, err3, d.AddCommand(&command), d.SetSettings("7", map[string]string{"language": "he"}),
		d.AddExceptions(desk.Exception{Number: "+49*", Note: "trunk", Created: now}), d.SetNote(desk.Note{Call: "1.1", Agent: "7", Note: "x", At: now}),
		d.SetDIDUse(desk.DIDUse{DID: "4930", Type: "sip", Target: "101", Changed: now}), d.SetPauseEnds(desk.PauseEnd{Server: "pbx", Interface: "PJSIP/101", Queue: "500", From: now, At: now}),
		d.AddCampaign(desk.Campaign{ID: "c1", Created: now}, []desk.CampaignNumber{{Number: "+441"}}), d.ObserveStates([]desk.AgentState{{Agent: "7", State: desk.AgentIn}}, now), d.ObserveStates(nil, now.Add(time.Second)), d.Close())
	if err != nil {
		t.Fatal(err)
	}
	c, err := credentials.Make(folder)
	if err != nil {
		t.Fatal(err)
	}
	state := account.State{Refresh: "r", Access: "a", Expiry: now.Add(time.Hour), Refused: true}
	secret, err := c.Secret("recordings")
	book, err2 := phonebook.Make(folder)
	if err := errors.Join(err, err2, c.Save("zoho", state), c.Close(), book.Put([]lookup.Contact{storetest.Contact("+441", "Ada")}), book.Close()); err != nil {
		t.Fatal(err)
	}

	engine := sidetest.Open(t, sidetest.Database(t))
	files, err := adopt.Folder(t.Context(), engine, folder)
	if err != nil || !slices.Equal(files, []string{desk.File, credentials.File, phonebook.File}) {
		t.Fatalf("copied %v, %v", files, err)
	}
	to := enginedesk.New(engine)
	if got, found, err := to.Token(token); !found || err != nil || got.Name != "crm" || !slices.Equal(got.Queues, []string{"500"}) || !got.Created.Equal(now) {
		t.Errorf("token: %+v, %v, %v", got, found, err)
	}
	if hash, found, err := to.Password("7"); hash != "hash" || !found || err != nil {
		t.Errorf("password: %q, %v", hash, err)
	}
	if list, err := to.Commands(desk.CommandFilter{}); err != nil || len(list) != 1 || list[0].Took != time.Second || list[0].Command != "kick" {
		t.Errorf("commands: %+v, %v", list, err)
	}
	if own, err := to.SettingsOf("7"); err != nil || own["language"] != "he" {
		t.Errorf("settings: %v, %v", own, err)
	}
	exceptions, err1 := to.Exceptions()
	notes, err2 := to.Notes("7", 9)
	uses, err3 := to.DIDUses()
	ends, err4 := to.PauseEnds()
	numbers, err5 := to.CampaignNumbers("c1")
	states, err6 := to.AgentStates("7", now.Add(-time.Minute), now.Add(time.Minute))
	if err := errors.Join(err1, err2, err3, err4, err5, err6); err != nil || len(exceptions) != 1 || len(notes) != 1 || len(uses) != 1 || len(ends) != 1 || len(numbers) != 1 || len(states) != 1 || states[0].Open {
		t.Errorf("copied: %v %v %v %v %v %v, %v", exceptions, notes, uses, ends, numbers, states, err)
	}
	vault := enginecredentials.New(engine)
	st, err1 := vault.Load("zoho")
	key, err2 := vault.Secret("recordings")
	if err := errors.Join(err1, err2); err != nil || st != state || !slices.Equal(key, secret) {
		t.Errorf("account: %+v, %v", st, err)
	}
	if got := storetest.Contacts(t, enginebook.New(engine), ""); len(got) != 1 {
		t.Errorf("phonebook: %v", got)
	}
	if files, err := adopt.Folder(t.Context(), engine, folder); err != nil || len(files) != 0 {
		t.Errorf("copied again: %v, %v", files, err)
	}
	// What has something of its own stays as it is, unless that is from a copy that was interrupted.
	other := sidetest.Open(t, sidetest.Database(t))
	to = enginedesk.New(other)
	err1 = to.SetSettings("8", map[string]string{"language": "fr"})
	err2 = to.AddCommand(&command)
	if files, err = adopt.Folder(t.Context(), other, folder); errors.Join(err, err1, err2) != nil || slices.Contains(files, desk.File) {
		t.Errorf("copied %v into what is used, %v, %v, %v", files, err, err1, err2)
	}
	mark := filepath.Join(folder, desk.File+".copying")
	for range 2 {
		if err := os.WriteFile(mark, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if files, err = adopt.Folder(t.Context(), other, folder); err != nil || !slices.Equal(files, []string{desk.File}) {
			t.Errorf("copied %v after an interruption, %v", files, err)
		}
	}
	_, found, err1 := to.Token(token)
	list, err2 := to.Commands(desk.CommandFilter{})
	states, err3 = to.AgentStates("7", now.Add(-time.Minute), now.Add(time.Minute))
	if err := errors.Join(err1, err2, err3); err != nil || !found || len(list) != 1 || len(states) != 1 {
		t.Errorf("after an interruption: %t %v %v, %v", found, list, states, err)
	}
	if _, err := os.Stat(mark); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the mark is left: %v", err)
	}
	// An empty folder has nothing to copy.
	if files, err := adopt.Folder(t.Context(), engine, t.TempDir()); err != nil || len(files) != 0 {
		t.Errorf("copied from an empty folder: %v, %v", files, err)
	}
}
