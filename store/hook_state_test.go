package store

import (
	"context"
	"testing"
	"time"

	"ringhook/hooks"
)

// TestHookState checks that the state of a hook survives a restart, and that its notice
// is accepted once, however often the state is stored.
func TestHookState(t *testing.T) {
	c := newClock()
	cfg := testConfig(t)
	s := mustOpen(t, cfg, c.now)
	defer func() { mustClose(t, s) }()
	f := func(hook string, want hooks.HookState) {
		t.Helper()
		got, err := s.Outbox().State(hook)
		if err != nil || got != want {
			t.Errorf("%s: got %+v, %v, want %+v", hook, got, err, want)
		}
	}
	set := func(st hooks.HookState, notice *hooks.Event) {
		t.Helper()
		if err := s.Outbox().SetState(context.Background(), st, notice, testRoutes("", "b", "c")); err != nil {
			t.Fatal(err)
		}
	}
	f("a", hooks.HookState{})
	at := time.UnixMilli(c.now().UnixMilli())
	failing := hooks.HookState{Hook: "a", Receiver: "r", Since: at, Failures: 7, Class: "timeout", Until: at.Add(time.Minute), Opened: 2}
	set(failing, nil)
	f("a", failing)
	gone := hooks.HookState{Hook: "a", Receiver: "r", Disabled: "gone", DisabledAt: at}
	notice := testEvent("", 0)
	for range 2 {
		set(gone, &notice)
	}
	mustClose(t, s)
	s = mustOpen(t, cfg, c.now)
	f("a", gone)
	f("b", hooks.HookState{})
	for _, hook := range []string{"b", "c"} {
		if events, _ := due(t, s.Outbox(), hook, c.now()); len(events) != 1 || events[0] != notice.ID {
			t.Errorf("%s gets %v", hook, events)
		}
	}
	if list, err := s.Operator().States(); err != nil || len(list) != 1 || list[0] != gone {
		t.Errorf("got %+v, %v", list, err)
	}
	for _, want := range []bool{true, false} {
		if was, err := s.Operator().Enable(context.Background(), "a"); was != want || err != nil {
			t.Errorf("enable: got %v, %v, want %v", was, err, want)
		}
		f("a", hooks.HookState{})
	}
	set(failing, nil)
	if was, err := s.Operator().Enable(context.Background(), "a"); was || err != nil {
		t.Errorf("a failing hook was reported as disabled, %v", err)
	}
	f("a", failing)
	set(hooks.HookState{Hook: "a"}, nil)
	if list, err := s.Operator().States(); err != nil || len(list) != 0 {
		t.Errorf("state of a working hook: %+v, %v", list, err)
	}
}
