package store

import (
	"context"
	"testing"
	"time"

	"ringhook/hooks"
)

// TestHookState wants what is kept of a hook to be there after a restart, with the
// event that tells of it once, however often it is kept.
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
	set := func(st hooks.HookState, told *hooks.Event) {
		t.Helper()
		if err := s.Outbox().SetState(context.Background(), st, told, testRoutes("", "b", "c")); err != nil {
			t.Fatal(err)
		}
	}
	f("a", hooks.HookState{})
	at := time.UnixMilli(c.now().UnixMilli())
	failing := hooks.HookState{Hook: "a", Receiver: "r", Since: at, Failures: 7, Class: "timeout", Until: at.Add(time.Minute), Opened: 2}
	set(failing, nil)
	f("a", failing)
	gone := hooks.HookState{Hook: "a", Receiver: "r", Disabled: "gone", DisabledAt: at}
	told := testEvent("", 0)
	for range 2 {
		set(gone, &told)
	}
	mustClose(t, s)
	s = mustOpen(t, cfg, c.now)
	f("a", gone)
	f("b", hooks.HookState{})
	for _, hook := range []string{"b", "c"} {
		if events, _ := due(t, s.Outbox(), hook, c.now()); len(events) != 1 || events[0] != told.ID {
			t.Errorf("%s is told %v", hook, events)
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
		t.Errorf("one that only fails was enabled, %v", err)
	}
	f("a", failing)
	set(hooks.HookState{Hook: "a"}, nil)
	if list, err := s.Operator().States(); err != nil || len(list) != 0 {
		t.Errorf("kept of a hook that is well: %+v, %v", list, err)
	}
}

// TestRetryOpensTheGate wants an operator's retry to say to the hooks concerned, and
// to no other, that an attempt is wanted now. A hook that is disabled is not enabled by it.
func TestRetryOpensTheGate(t *testing.T) {
	c := newClock()
	s := testStore(t, c.now)
	at := time.UnixMilli(c.now().UnixMilli())
	keep(t, s.Journal(), testRecord("1.1", 1, "a", "b", "c"))
	left := hooks.HookState{Receiver: "r", Since: at, Failures: 7, Class: "timeout", Until: at.Add(10 * time.Minute), Opened: 6}
	off := left
	off.Disabled, off.DisabledAt = "gone", at
	var ids []int64
	for hook, st := range map[string]hooks.HookState{"a": left, "b": left, "c": off} {
		st.Hook = hook
		if err := s.Outbox().SetState(t.Context(), st, nil, nil); err != nil {
			t.Fatal(err)
		}
		if _, list := due(t, s.Outbox(), hook, at); hook != "b" {
			ids = append(ids, list[0].ID)
		}
	}
	if n, err := s.Operator().Retry(t.Context(), ids...); n != 2 || err != nil {
		t.Fatalf("got %d, %v", n, err)
	}
	for hook, want := range map[string]time.Time{"a": {}, "b": left.Until, "c": left.Until} {
		if st, err := s.Outbox().State(hook); err != nil || !st.Until.Equal(want) || st.Opened != left.Opened {
			t.Errorf("%s: got %+v, %v, want it left alone until %v", hook, st, err, want)
		}
	}
}
