package hooks

import (
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

func testDispatcher(t testing.TB, outbox Outbox, cfgs ...Config) *Dispatcher {
	t.Helper()
	d, err := New(cfgs, outbox, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestMatch(t *testing.T) {
	hook := func(name, when string, events ...string) Config {
		c := sample()
		c.Name, c.When, c.Events = name, when, events
		return c
	}
	d := testDispatcher(t, nil,
		hook("exact", "", "agent-hangup", "agent-hangup", "queue-dial"),
		hook("some", "", "agent-*"),
		hook("all", "", "*"),
		hook("short", "talk_time < 10", "agent-hangup"),
		hook("custom", "", "door-opened"),
		hook("own", "", HookDisabled),
		hook("owns", "", "ringhook.*"),
	)
	f := func(ev Event, want ...string) {
		t.Helper()
		var got []string
		for _, r := range d.Match(&ev) {
			got = append(got, r.Hook)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: got %q, want %q", ev.Name, got, want)
		}
	}
	f(Event{Name: "agent-hangup", Params: map[string]any{"talk_time": int64(7)}}, "exact", "some", "all", "short")
	f(Event{Name: "agent-hangup", Params: map[string]any{"talk_time": int64(70)}}, "exact", "some", "all")
	f(Event{Name: "agent-dial"}, "some", "all")
	f(Event{Name: "queue-dial"}, "exact", "all")
	f(Event{Name: "door-opened"}, "all", "custom")
	f(Event{Name: "window-opened"}, "all")
	f(Event{Name: HookDisabled}, "own", "owns")
	f(Event{Name: "ringhook.later"}, "owns")

	d = testDispatcher(t, nil, hook("exact", "", "queue-dial"), hook("some", "", "agent-*"))
	f(Event{Name: "call-dial"})
	for name, want := range map[string]bool{"queue-dial": true, "agent-dial": true, "agent-": true, "call-dial": false, "": false} {
		if got := d.Wants(name); got != want {
			t.Errorf("Wants(%q): got %v", name, got)
		}
	}
}

// TestRoute checks the route of an event for each order.
func TestRoute(t *testing.T) {
	for order, want := range map[string]Route{
		"call":   {Hook: "crm", Key: "1.1", Hold: time.Minute},
		"strict": {Hook: "crm", Key: "", Hold: time.Minute},
		"none":   {Hook: "crm", Key: "msg_1", Hold: time.Minute},
	} {
		c := sample()
		c.Name, c.Order, c.OrderHold, c.Events, c.When = "crm", order, time.Minute, []string{"*"}, ""
		d := testDispatcher(t, nil, c)
		if got := d.Match(&Event{ID: "msg_1", Name: "call-dial", LinkedID: "1.1"}); len(got) != 1 || got[0] != want {
			t.Errorf("%s: got %+v, want %+v", order, got, want)
		}
	}
}

// TestRouteOfCall checks that the order of a call is not that of another Asterisk's call with the same linkedid.
func TestRouteOfCall(t *testing.T) {
	c := sample()
	c.Name, c.Order, c.Events, c.When = "crm", "call", []string{"*"}, ""
	d := testDispatcher(t, nil, c)
	for _, id := range []string{"uuid-a", "uuid-b"} {
		if got := d.Match(&Event{ID: "msg_" + id, Name: "call-dial", LinkedID: "1.1", Params: map[string]any{"call_uuid": id}}); len(got) != 1 || got[0].Key != id {
			t.Errorf("got %+v, want the key %s", got, id)
		}
	}
}

func TestAny(t *testing.T) {
	if testDispatcher(t, nil).Any() || !testDispatcher(t, nil, sample()).Any() {
		t.Error("Any does not report whether there is a hook")
	}
}

// TestMatchIsCheapWithoutHook checks that an event that no hook wants allocates nothing.
func TestMatchIsCheapWithoutHook(t *testing.T) {
	c := sample()
	c.Events = []string{"agent-*", "queue-dial"}
	d := testDispatcher(t, nil, c)
	ev := &Event{Name: "call-dial"}
	if n := testing.AllocsPerRun(100, func() { d.Match(ev) }); n > 0 {
		t.Errorf("%v allocations for an event that no hook wants", n)
	}
}

func BenchmarkMatch(b *testing.B) {
	c := sample()
	c.When = "talk_time < 10 and direction == 'incoming'"
	d := testDispatcher(b, nil, c)
	ev := hangup()
	b.ReportAllocs()
	for b.Loop() {
		d.Match(ev)
	}
}
