package dialplan

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"ringhook/hooks"
	"ringhook/lookup/number"
)

// memory is a journal without a disk.
type memory struct {
	states map[string][]byte
	seen   map[string]time.Time
	events []hooks.Event
	now    func() time.Time
}

// keepAs keeps the state of a call as that of an identity.
func (m *memory) keepAs(t *testing.T, state []byte, id Identity) {
	t.Helper()
	call, err := decodeCall(state)
	if err != nil {
		t.Fatal(err)
	}
	call.Asterisk = id.Asterisk
	if m.states[id.Key()], err = call.encode(); err != nil {
		t.Fatal(err)
	}
}

// everything returns the hooks of a configuration in which one wants all events.
func everything(t *testing.T) *hooks.Dispatcher {
	t.Helper()
	hook := hooks.DefaultConfig()
	hook.Name, hook.Events, hook.URL = "all", []string{"*"}, hooks.Addresses{"http://127.0.0.1:1/"}
	dispatcher, err := hooks.New([]hooks.Config{hook}, nil, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	return dispatcher
}

func (m *memory) Call(linkedid string, _ time.Time) ([]byte, int64, error) {
	return m.states[linkedid], 0, nil
}

func (m *memory) Queue(_ context.Context, r Record) (Commit, error) {
	m.KeepLater(r)
	return committed{}, nil
}

// committed is the commit of a stored record.
type committed struct{}

func (committed) Wait(context.Context) ([]hooks.Delivery, error) { return nil, nil }

func (m *memory) KeepLater(r Record) {
	m.states[r.Call], m.seen[r.Call] = r.State, m.now()
	for _, a := range r.Events {
		m.events = append(m.events, a.Event)
	}
}

func (m *memory) Trace(time.Time, []byte) {}

func (m *memory) Barrier(context.Context) error { return nil }

func (m *memory) IdleCalls(after, until time.Time, _ int) (list []IdleCall, _ error) {
	for _, id := range sortedKeys(m.seen) {
		if seen := m.seen[id]; seen.After(after) && !seen.After(until) {
			list = append(list, IdleCall{Call: id, Seen: seen})
		}
	}
	return list, nil
}

// TestCloseIdleCalls checks that each idle call that has not ended is closed once, with everything open
// in it.
func TestCloseIdleCalls(t *testing.T) {
	now := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	m := &memory{states: map[string][]byte{}, seen: map[string]time.Time{}, now: func() time.Time { return now }}
	p := newPBX(t)
	p.at(0, "caller", QueueDial, "queue_id=500")
	m.states["call-1"], m.seen["call-1"] = p.kept, now
	p.at(9, "caller", CallHangup)
	m.states["call-2"], m.seen["call-2"] = p.kept, now

	parts := Parts{Hooks: everything(t), Numbers: number.NewReader(number.Config{})}
	d := New(Settings{Dialplan: Config{MaxCall: time.Hour}}, parts, m, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	d.now = m.now

	var swept time.Time
	for _, c := range []struct {
		after time.Duration
		want  int // number of events by then
	}{{59 * time.Minute, 0}, {61 * time.Minute, 2}, {300 * time.Minute, 2}} {
		now = time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC).Add(c.after)
		swept = d.closeIdleCalls(t.Context(), swept)
		if len(m.events) != c.want {
			t.Fatalf("after %s there are %d events, want %d", c.after, len(m.events), c.want)
		}
	}
	last := m.events[1]
	if last.Name != "call-hangup" || last.LinkedID != "call-1" || !last.Final || last.Params["status"] != "other" || last.Params["presumed"] != true {
		t.Errorf("the last event is %s of %s with %v", last.Name, last.LinkedID, last.Params)
	}
	// It is not known whether the caller gave up, so there is no queue-abandon.
	if m.events[0].Name != "queue-hangup" || m.events[0].Params["status"] != "other" {
		t.Errorf("the event before it is %s with status %v", m.events[0].Name, m.events[0].Params["status"])
	}
}

// refusing is a journal that refuses the first record of one call.
type refusing struct {
	*memory
	call string
}

var errRefused = errors.New("refused by the test")

func (r *refusing) Queue(ctx context.Context, rec Record) (Commit, error) {
	if rec.Call == r.call {
		r.call = ""
		return nil, errRefused
	}
	return r.memory.Queue(ctx, rec)
}

// TestCloseIdleCallsOfOneMoment checks that an idle call whose end is not stored is closed later, although another one of the
// same time is closed already.
func TestCloseIdleCallsOfOneMoment(t *testing.T) {
	now := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	m := &memory{states: map[string][]byte{}, seen: map[string]time.Time{}, now: func() time.Time { return now }}
	p := newPBX(t)
	p.at(0, "caller", CallDial)
	for _, id := range []string{"call-1", "call-2", "call-3"} {
		call, err := decodeCall(p.kept)
		if err != nil {
			t.Fatal(err)
		}
		call.LinkedID = id
		if m.states[id], err = call.encode(); err != nil {
			t.Fatal(err)
		}
		m.seen[id] = now
	}
	parts := Parts{Hooks: everything(t), Numbers: number.NewReader(number.Config{})}
	d := New(Settings{Dialplan: Config{MaxCall: time.Hour}}, parts, &refusing{m, "call-2"}, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	d.now = m.now
	now = now.Add(2 * time.Hour)
	d.closeIdleCalls(t.Context(), d.closeIdleCalls(t.Context(), time.Time{}))
	var ended []string
	for _, ev := range m.events {
		ended = append(ended, ev.LinkedID)
	}
	if slices.Sort(ended); !slices.Equal(ended, []string{"call-1", "call-2", "call-3"}) {
		t.Errorf("ended are %v", ended)
	}
}

// TestCloseIdleCallsOfOneLinkedID checks that an idle call of an unknown Asterisk is closed, and a call in progress with its
// linkedid is not: points that do not know their Asterisk still belong to that one.
func TestCloseIdleCallsOfOneLinkedID(t *testing.T) {
	began := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	now := began
	m := &memory{states: map[string][]byte{}, seen: map[string]time.Time{}, now: func() time.Time { return now }}
	p := newPBX(t)
	p.at(0, "caller", QueueDial, "queue_id=500")
	west := Identity{Asterisk: "west", LinkedID: "call-1"}
	m.states["call-1"], m.seen["call-1"] = p.kept, began
	m.keepAs(t, p.kept, west)
	now = began.Add(2 * time.Hour)
	m.seen[west.Key()] = now
	parts := Parts{Hooks: everything(t), Numbers: number.NewReader(number.Config{})}
	d := New(Settings{Dialplan: Config{MaxCall: time.Hour}}, parts, m, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	d.now = m.now
	e, err := d.calls.acquire(west, now, time.Now().Add(time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	d.calls.release(e, true)
	d.closeIdleCalls(t.Context(), time.Time{})
	if call, err := decodeCall(m.states[west.Key()]); err != nil || !call.Ended.IsZero() {
		t.Errorf("the call in progress is closed: %+v, %v", call, err)
	}
	if call, err := decodeCall(m.states["call-1"]); err != nil || call.Ended.IsZero() {
		t.Errorf("the idle call is not closed: %+v, %v", call, err)
	}
	if e, err = d.calls.acquire(Identity{LinkedID: "call-1"}, now, time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if e.call.id() != west {
		t.Errorf("a point without its Asterisk belongs to %+v", e.call.id())
	}
}
