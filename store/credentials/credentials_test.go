package credentials_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"ringhook/account"
	"ringhook/directory"
	"ringhook/store/credentials"
)

func open(t *testing.T, folder string) *credentials.Credentials {
	t.Helper()
	c, err := credentials.Make(folder)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// What is stored is there after a restart, for its owner only, and what was replaced is not in the files any more.
func TestStates(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "store")
	c := open(t, folder)
	if st, err := c.Load("crm"); st != (account.State{}) || err != nil {
		t.Fatalf("%+v, %v", st, err)
	}
	now := time.UnixMilli(1768469400123)
	want := account.State{
		Refresh: "refresh-of-yesterday", Seed: "seed", Access: "access", Expiry: now.Add(time.Hour), Refreshed: now, Started: now.Add(time.Second),
		Failure: "status 400", Failed: now.Add(2 * time.Second), Refused: true,
	}
	for _, refresh := range []string{"refresh-of-yesterday", "refresh-of-today"} {
		want.Refresh = refresh
		if err := c.Save("crm", want); err != nil {
			t.Fatal(err)
		}
	}
	c.Close()
	c = open(t, folder)
	st, err := c.Load("crm")
	if st != want || err != nil {
		t.Errorf("loaded %+v, %v", st, err)
	}
	if all, err := c.States(); len(all) != 1 || all["crm"] != want || err != nil {
		t.Errorf("all %v, %v", all, err)
	}
	files, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		info, err := f.Info()
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s has the mode %v, %v", f.Name(), info.Mode(), err)
		}
	}
	c.Close() // with the last connection, the write-ahead log is merged and removed
	text, err := os.ReadFile(filepath.Join(folder, credentials.File))
	if err != nil || bytes.Contains(text, []byte("refresh-of-yesterday")) || !bytes.Contains(text, []byte("refresh-of-today")) {
		t.Errorf("the file has a replaced token, or not the present one: %v", err)
	}
	c = open(t, folder)
	if removed, err := c.Remove("crm"); !removed || err != nil {
		t.Errorf("removed %v, %v", removed, err)
	}
	if st, err := c.Load("crm"); st != (account.State{}) || err != nil {
		t.Errorf("after the removal %+v, %v", st, err)
	}
}

// One goroutine or process has the lock of an account at a time; other accounts have locks of their own.
func TestLock(t *testing.T) {
	folder := t.TempDir()
	a, b := open(t, folder), open(t, folder)
	unlock, err := a.Lock(t.Context(), "crm")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []*credentials.Credentials{a, b} {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := c.Lock(ctx, "crm"); err == nil {
			t.Fatal("the lock is held twice")
		}
		other, err := c.Lock(t.Context(), "other")
		if err != nil {
			t.Fatal(err)
		}
		other()
	}
	unlock()
	if unlock, err = b.Lock(t.Context(), "crm"); err != nil {
		t.Fatal(err)
	}
	unlock()
}

func TestSecretAndAgentIDs(t *testing.T) {
	folder := t.TempDir()
	c := open(t, folder)
	first, err := c.Secret("recordings")
	if len(first) != 32 || err != nil {
		t.Fatalf("%d bytes, %v", len(first), err)
	}
	other, err := c.Secret("other")
	if bytes.Equal(first, other) || err != nil {
		t.Errorf("two secrets are equal, %v", err)
	}
	list := []directory.AgentID{{Field: "phone", Value: "101", ID: "7"}, {Field: "info", Value: "anna@crm.example", ID: "7"}}
	for _, ids := range [][]directory.AgentID{{{Field: "phone", Value: "1", ID: "1"}}, list} {
		if err := c.SetAgentIDs("bitrix24", ids); err != nil {
			t.Fatal(err)
		}
	}
	c.Close()
	c = open(t, folder)
	if again, err := c.Secret("recordings"); !bytes.Equal(first, again) || err != nil {
		t.Errorf("the secret has changed, %v", err)
	}
	got, err := c.AgentIDs("bitrix24")
	if len(got) != 2 || got[0] != list[0] || got[1] != list[1] || err != nil {
		t.Errorf("ids %v, %v", got, err)
	}
}

// A file that cannot be used fails each method, and nothing else.
func TestBroken(t *testing.T) {
	why := errors.New("damaged")
	c := credentials.Broken(why)
	_, err1 := c.Load("crm")
	_, err2 := c.States()
	_, err3 := c.Secret("x")
	_, err4 := c.Lock(t.Context(), "crm")
	_, err5 := c.AgentIDs("x")
	for i, err := range []error{err1, err2, err3, err4, err5, c.Save("crm", account.State{}), c.SetAgentIDs("x", nil)} {
		if !errors.Is(err, why) {
			t.Errorf("method %d: %v", i+1, err)
		}
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}
