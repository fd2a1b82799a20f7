package node

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestAssign checks that each lease goes to a live node that wants it, that all have equal shares, and that a lease stays where
// it is if that makes no difference.
func TestAssign(t *testing.T) {
	nodes := func(wants ...string) (list []Node) { // "a:x y" is the node a, which wants x and y
		for _, text := range wants {
			name, of, _ := strings.Cut(text, ":")
			list = append(list, Node{Name: name, wants: strings.Fields(of)})
		}
		return list
	}
	for _, c := range []struct {
		name, holders, want string
		live                []Node
	}{
		{"one node has all", "", "w=a x=a", nodes("a:w x")},
		{"equal shares", "", "w=a x=b y=a z=b", nodes("a:w x y z", "b:w x y z")},
		{"kept by the second", "x=b", "x=b", nodes("a:x", "b:x")},
		{"a new node gets its share", "w=a x=a y=a z=a", "w=b x=b y=a z=a", nodes("a:w x y z", "b:w x y z")},
		{"one more makes no difference", "w=a x=a y=b", "w=a x=a y=b", nodes("a:w x y", "b:w x y")},
		{"a third node", "w=a x=a y=b z=b", "w=c x=a y=b z=b", nodes("a:w x y z", "b:w x y z", "c:w")},
		{"five to three", "v=a w=a x=a y=b z=b", "v=c w=a x=a y=b z=b", nodes("a:v w x y z", "b:v w x y z", "c:v w x y z")},
		{"that of a dead node", "w=a x=b", "w=a x=a", nodes("a:w x")},
		{"only one node has the hook", "w=a x=a y=a", "w=a x=a y=a", nodes("a:w x y", "b:")},
		{"a holder that does not want it", "x=a", "x=b", nodes("a:", "b:x")},
		{"no node", "x=a", "", nil},
	} {
		holders := map[string]string{}
		for _, held := range strings.Fields(c.holders) {
			name, node, _ := strings.Cut(held, "=")
			holders[name] = node
		}
		to := assign(c.live, holders)
		var got []string
		for name, node := range to {
			got = append(got, name+"="+node)
		}
		slices.Sort(got)
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s: %v, want %s", c.name, got, c.want)
		}
		again := assign(c.live, to)
		for name, node := range to {
			if again[name] != node {
				t.Errorf("%s: %s moves on to %s", c.name, name, again[name])
			}
		}
	}
}

// TestValid checks that a lease may be used for 10 s after it was renewed, by the node's own clock, and not after it ended.
func TestValid(t *testing.T) {
	m := NewMember(Self{Name: "a"}, 0, slog.New(slog.DiscardHandler), func() {}, func() {})
	now := time.Now()
	m.now = func() time.Time { return now }
	got := make(chan *Lease, 1)
	go func() { got <- m.Acquire(context.Background(), "crm").(*Lease) }()
	for granted := false; !granted; {
		m.mu.Lock()
		if granted = m.works["crm"] != nil; granted {
			m.grant("crm", 3, now)
		}
		m.mu.Unlock()
	}
	l := <-got
	for _, c := range []struct {
		after time.Duration
		valid bool
	}{{0, true}, {10*time.Second - 1, true}, {10 * time.Second, false}} {
		now = l.renewed.Load().Add(c.after)
		if l.Valid() != c.valid || m.Holds("crm") != c.valid {
			t.Errorf("%s after it was renewed: valid %v, held %v", c.after, l.Valid(), m.Holds("crm"))
		}
	}
	m.see(&beat{at: now, renew: []*Lease{l}}, map[string]row{"crm": {node: "a", epoch: 3}}, nil, now)
	if !l.Valid() {
		t.Error("it is not valid after it was renewed")
	}
	m.see(&beat{at: now}, map[string]row{"crm": {node: "b", epoch: 4}}, nil, now)
	if l.Valid() || l.Context().Err() == nil || m.Facts().Lost != 1 || m.Holds("crm") {
		t.Error("a lease that another node has is valid, or not counted as lost")
	}
	l.Release()
	if m.Holds("crm") || len(m.works) != 0 || len(m.returned) != 1 {
		t.Errorf("after the release: %v, %v", m.works, m.returned)
	}
}

// TestMessage checks that a message that the engine would refuse is about all hooks.
func TestMessage(t *testing.T) {
	m := Message{From: "a", Hooks: []string{"crm"}}
	if text := m.text(); text != `{"from":"a","hooks":["crm"]}` {
		t.Error(text)
	}
	for range 1000 {
		m.Hooks = append(m.Hooks, "a-long-name-of-a-hook")
	}
	if text := m.text(); text != `{"from":"a","all":true}` {
		t.Error(len(text))
	}
}
