package dialplan

import (
	"maps"
	"slices"
	"testing"
	"time"
)

// TestSample checks that a sample of each event has an id of its own and only parameters that such an event
// has by docs/events.md.
func TestSample(t *testing.T) {
	rows := documented(t)
	now := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	for _, name := range append(Events(), "survey") {
		ev, err := Sample(name, now)
		if err != nil {
			t.Error(err)
			continue
		}
		if ev.Name != name || ev.Time.After(now) || name == string(CallHangup) && !(ev.Final && ev.Time.Equal(now)) {
			t.Errorf("sample of %s: %+v", name, ev)
		}
		if again, err := Sample(name, now); err != nil || again.ID == ev.ID || again.LinkedID == ev.LinkedID {
			t.Errorf("two samples of %s: %+v and %+v, %v", name, ev, again, err)
		}
		for _, param := range slices.Sorted(maps.Keys(ev.Params)) {
			if !slices.ContainsFunc(rows, func(d parameterDoc) bool { return d.name == param && d.has(name) }) {
				t.Errorf("the sample of %s has %s, which it has not by %s", name, param, eventsDoc)
			}
		}
	}
	if ev, err := Sample("no event", now); err == nil {
		t.Errorf("got %+v of a name that no event can have", ev)
	}
}
