package storetest

import (
	"bytes"
	"context"
	"testing"
	"time"

	"ringhook/account"
	"ringhook/directory"
)

// Credentials is a store of the tokens of other systems under test.
type Credentials interface {
	account.Vault
	directory.Shelf
	States() (map[string]account.State, error)
	Remove(name string) (removed bool, err error)
	Secret(name string) (value []byte, err error)
}

// RunCredentials checks what a store of the tokens of other systems promises. open returns an empty one, another one of the
// same data, as another process or node has it, and a function that closes both and opens the first again.
func RunCredentials(t *testing.T, open func(t *testing.T) (a, b Credentials, reopen func() Credentials)) {
	for name, run := range map[string]func(t *testing.T, a, b Credentials, reopen func() Credentials){
		"states": credentialStates, "locks": credentialLocks, "ids and secrets": credentialLists,
	} {
		t.Run(name, func(t *testing.T) {
			a, b, reopen := open(t)
			run(t, a, b, reopen)
		})
	}
}

// What is stored last is there after a restart.
func credentialStates(t *testing.T, c, _ Credentials, reopen func() Credentials) {
	st, err := c.Load("crm")
	good(t, err)
	same(t, "nothing stored", st, account.State{})
	now := time.UnixMilli(1768469400123)
	want := account.State{
		Refresh: "refresh-of-yesterday", Seed: "seed", Access: "access", Expiry: now.Add(time.Hour), Refreshed: now, Started: now.Add(time.Second),
		Failure: "status 400", Failed: now.Add(2 * time.Second), Refused: true,
	}
	for _, refresh := range []string{"refresh-of-yesterday", "refresh-of-today"} {
		want.Refresh = refresh
		good(t, c.Save("crm", want))
	}
	good(t, c.Save("other", account.State{}))
	c = reopen()
	st, err = c.Load("crm")
	all, err2 := c.States()
	good(t, err, err2)
	same(t, "stored", st, want)
	same(t, "all", all, map[string]account.State{"crm": want, "other": {}})
	for _, want := range []bool{true, false} {
		removed, err := c.Remove("crm")
		good(t, err)
		same(t, "removed", removed, want)
	}
	st, err = c.Load("crm")
	good(t, err)
	same(t, "after the removal", st, account.State{})
}

// One goroutine or process has the lock of an account at a time; other accounts have locks of their own.
func credentialLocks(t *testing.T, a, b Credentials, _ func() Credentials) {
	unlock, err := a.Lock(t.Context(), "crm")
	good(t, err)
	for _, c := range []Credentials{a, b} {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := c.Lock(ctx, "crm"); err == nil {
			t.Fatal("the lock is held twice")
		}
		other, err := c.Lock(t.Context(), "other")
		good(t, err)
		other()
	}
	good(t, a.Save("crm", account.State{Access: "of the holder"}))
	unlock()
	unlock, err = b.Lock(t.Context(), "crm")
	good(t, err)
	st, err := b.Load("crm")
	good(t, err)
	same(t, "stored by the former holder", st, account.State{Access: "of the holder"})
	unlock()
}

func credentialLists(t *testing.T, c, other Credentials, reopen func() Credentials) {
	first, err := c.Secret("recordings")
	equal, err2 := other.Secret("recordings")
	another, err3 := c.Secret("other")
	good(t, err, err2, err3)
	if len(first) != 32 || !bytes.Equal(first, equal) || bytes.Equal(first, another) {
		t.Errorf("secrets of %d bytes: equal for one use %v, for two %v", len(first), bytes.Equal(first, equal), bytes.Equal(first, another))
	}
	list := []directory.AgentID{{Field: "phone", Value: "101", ID: "7"}, {Field: "info", Value: "anna@crm.example", ID: "7"}}
	for _, ids := range [][]directory.AgentID{append([]directory.AgentID{{Field: "phone", Value: "1", ID: "1"}}, list...), list} {
		good(t, c.SetAgentIDs("bitrix24", ids))
	}
	good(t, c.SetAgentIDs("zoho", list[:1]))
	c = reopen()
	again, err := c.Secret("recordings")
	ids, err2 := c.AgentIDs("bitrix24")
	none, err3 := c.AgentIDs("x")
	good(t, err, err2, err3)
	same(t, "ids", ids, list)
	same(t, "ids of none", len(none), 0)
	if !bytes.Equal(first, again) {
		t.Error("the secret has changed")
	}
}
