package storetest

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"ringhook/store/desk"
)

// Node is the store of commands, tokens, passwords and campaigns as one of several processes or nodes has it.
type Node interface {
	Desk
	Accounts
}

// both calls do at two nodes at the same moment.
func both(t *testing.T, a, b Node, do func(Node) error) {
	t.Helper()
	var errs [2]error
	var wg sync.WaitGroup
	for i, d := range []Node{a, b} {
		wg.Go(func() { errs[i] = do(d) })
	}
	wg.Wait()
	good(t, errs[:]...)
}

// counter counts what succeeded at any node.
type counter struct {
	mu sync.Mutex
	n  map[string]int
}

func (c *counter) note(what string, done bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if done {
		c.n[what]++
	}
}

// sharedNow is the time of what RunSharedDesk stores.
var sharedNow = newClock().now()

// RunSharedDesk checks what two processes or nodes that do the same at the same moment may rely on. open returns an empty store as
// each of them has it, which is closed when the test ends.
func RunSharedDesk(t *testing.T, open func(t *testing.T) (a, b Node)) {
	for _, test := range []struct {
		name string
		run  func(t *testing.T, a, b Node)
	}{
		{"an invitation is accepted once", invitedOnce},
		{"a number is claimed once", claimedOnce},
		{"a campaign that ended calls no number", endedCampaign},
		{"accounts have a limit", limitedAccounts},
		{"states are those of both", statesOfBoth},
		{"changes are seen at once", seenAtOnce},
	} {
		t.Run(test.name, func(t *testing.T) {
			a, b := open(t)
			test.run(t, a, b)
		})
	}
}

func invitedOnce(t *testing.T, a, b Node) {
	for n := range 10 {
		code, err := a.Invite("7", sharedNow.Add(time.Hour))
		good(t, err)
		c := counter{n: map[string]int{}}
		both(t, a, b, func(d Node) error {
			_, accepted, err := d.Accept(code, "hash", sharedNow)
			c.note("accepted", accepted)
			return err
		})
		same(t, fmt.Sprint("round ", n), c.n, map[string]int{"accepted": 1})
	}
}

func claimedOnce(t *testing.T, a, b Node) {
	const many = 10
	good(t, a.AddCampaign(desk.Campaign{ID: "c1", Created: sharedNow}, make([]desk.CampaignNumber, many)))
	c := counter{n: map[string]int{}}
	both(t, a, b, func(d Node) error {
		for n := range many {
			claimed, err := d.ClaimNumber("c1", n, "x", sharedNow)
			if err != nil {
				return err
			}
			c.note(fmt.Sprint(n), claimed)
		}
		return nil
	})
	for n := range many {
		same(t, fmt.Sprint("number ", n), c.n[fmt.Sprint(n)], 1)
	}
}

func endedCampaign(t *testing.T, a, b Node) {
	for n := range 10 {
		id := fmt.Sprint("c", n)
		good(t, a.AddCampaign(desk.Campaign{ID: id, Created: sharedNow}, make([]desk.CampaignNumber, 5)))
		both(t, a, b, func(d Node) error {
			if d == b {
				_, err := d.EndCampaign(id, desk.CampaignStopped, sharedNow)
				return err
			}
			_, err := d.ClaimNumber(id, 0, "x", sharedNow)
			return err
		})
		claimed, err := a.ClaimNumber(id, 1, "x", sharedNow)
		good(t, err)
		same(t, "claimed after the end", claimed, false)
	}
}

func limitedAccounts(t *testing.T, a, b Node) {
	const most = 5
	both(t, a, b, func(d Node) error {
		for n := range most {
			name := fmt.Sprint("a", n)
			if d == b {
				name = fmt.Sprint("b", n)
			}
			if _, err := d.AddSIPAccount(desk.SIPAccount{Server: "pbx", Name: name, Created: sharedNow}, most); err != nil {
				return err
			}
		}
		return nil
	})
	list, err := a.SIPAccounts()
	good(t, err)
	same(t, "accounts", len(list), most)
}

func statesOfBoth(t *testing.T, a, b Node) {
	states := func(reversed bool) (list []desk.AgentState) {
		for n := range 20 {
			if reversed {
				n = 19 - n
			}
			list = append(list, desk.AgentState{Agent: fmt.Sprint(n), State: desk.AgentIn})
		}
		return list
	}
	for n := range 5 {
		both(t, a, b, func(d Node) error {
			return d.ObserveStates(states(d == b), sharedNow.Add(time.Duration(n)*time.Minute))
		})
	}
	list, err := a.AgentStates("", sharedNow, sharedNow.Add(time.Hour))
	good(t, err)
	same(t, "states", len(list), 20)
}

func seenAtOnce(t *testing.T, a, b Node) {
	secret, err := a.AddSession(desk.Session{Agent: "7", Created: sharedNow, Ends: sharedNow.Add(time.Hour)})
	good(t, err)
	_, found, err := b.Session(secret)
	good(t, err, b.SetSettings("7", map[string]string{"language": "he"}))
	same(t, "session at the other", found, true)
	all, err := a.Settings()
	good(t, err)
	same(t, "settings at the first", all["7"], map[string]string{"language": "he"})
	_, err = b.EndSessions("7")
	_, found, err2 := a.Session(secret)
	good(t, err, err2)
	same(t, "session that the other has ended", found, false)
}
