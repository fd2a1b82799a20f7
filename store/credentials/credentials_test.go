package credentials_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"ringhook/account"
	"ringhook/store/credentials"
	"ringhook/store/storetest"
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

func TestCredentials(t *testing.T) {
	storetest.RunCredentials(t, func(t *testing.T) (a, b storetest.Credentials, reopen func() storetest.Credentials) {
		folder := t.TempDir()
		first, second := open(t, folder), open(t, folder)
		return first, second, func() storetest.Credentials {
			if err := errors.Join(first.Close(), second.Close()); err != nil {
				t.Fatal(err)
			}
			return open(t, folder)
		}
	})
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
