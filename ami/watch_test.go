package ami

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"ringhook/ami/amitest"
	"ringhook/test/wait"
)

// TestWatch watches one channel. A Watch ends when events were lost: with the connection, and if they are not read.
func TestWatch(t *testing.T) {
	s := amitest.New()
	address, err := s.Listen()
	if err != nil {
		t.Fatal(err)
	}
	c, err := New(Config{Name: "pbx", Address: address, Username: amitest.Username, Secret: amitest.Secret}, nil, slog.New(slog.DiscardHandler), NewMetrics(prometheus.NewRegistry()))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := c.Start(ctx, &watcher{})
	defer func() {
		cancel()
		<-done
		s.Close()
	}()
	for end := time.Now().Add(30 * time.Second); !c.Connected(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("not connected")
		}
	}
	one, other, closed := c.Watch("1.1"), c.Watch("1.1"), c.Watch("1.2")
	closed.Close()
	closed.Close()
	if _, open := <-closed.Events; open {
		t.Error("an event after Close")
	}
	s.Send(amitest.Text("Event: Newstate", "Uniqueid: 1.2") + amitest.Text("Event: VarSet", "Uniqueid: 1.1") +
		amitest.Text("Event: Hangup", "Uniqueid: 1.1", "Cause: 17"))
	for _, w := range []*Watch{one, other} {
		if m := <-w.Events; m.Event() != "Hangup" || m.Get("Cause") != "17" {
			t.Errorf("got %q", m)
		}
	}
	one.Close()
	for range maxWatched + 1 {
		s.Send(amitest.Text("Event: Newstate", "Uniqueid: 1.1"))
	}
	last := c.Watch("1.3")
	wait.Until(t, func() bool { return len(other.Events) == maxWatched }, "the events do not arrive")
	s.Drop()
	for range last.Events {
		t.Error("an event of no channel")
	}
	n := 0
	for range other.Events { // ends, although it was not closed
		n++
	}
	if n != maxWatched {
		t.Errorf("%d events, want %d", n, maxWatched)
	}
	if len(c.watches.all) != 0 {
		t.Errorf("left: %v", c.watches.all)
	}
}

// TestVariableNeedsChannel checks that nothing is written for a variable without a channel or name: Getvar would read a global
// variable, and Setvar set one.
func TestVariableNeedsChannel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, amitest.New(), &watcher{})
		for _, one := range []struct {
			channel string
			v       Variable
		}{{"", MuteIn}, {"", Variable{}}, {"1.1", Variable{}}} {
			if err := b.client.SetVariable(t.Context(), one.channel, one.v, "on"); !errors.Is(err, ErrInvalid) {
				t.Errorf("Setvar of %q at %q: %v", one.v, one.channel, err)
			}
			if _, err := b.client.Variable(t.Context(), one.channel, one.v); !errors.Is(err, ErrInvalid) {
				t.Errorf("Getvar of %q at %q: %v", one.v, one.channel, err)
			}
		}
		synctest.Wait()
		if sent := b.server.Requests(""); len(sent) != 0 {
			t.Errorf("Asterisk got %v", sent)
		}
		b.stop()
	})
}
