package dialplan

import (
	"log/slog"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"ringhook/lookup/number"
)

// TestNoteEnd checks in which call it is noted that a command takes a caller out of a queue, if two Asterisks have one
// linkedid, and if no point of the call knew its Asterisk.
func TestNoteEnd(t *testing.T) {
	const by = "agent 9"
	east := Identity{Asterisk: "east", LinkedID: "call-1"}
	for _, c := range []struct {
		name     string
		calls    []Identity // that are stored
		inMemory bool       // before the command
		want     string     // the key of the call that has the note; empty for none
	}{
		{"two Asterisks", []Identity{east, {Asterisk: "west", LinkedID: "call-1"}}, false, "call-1 @east"},
		{"two Asterisks in memory", []Identity{east, {Asterisk: "west", LinkedID: "call-1"}}, true, "call-1 @east"},
		{"another Asterisk", []Identity{{Asterisk: "west", LinkedID: "call-1"}}, true, ""},
		{"an unknown Asterisk", []Identity{{LinkedID: "call-1"}}, false, "call-1"},
		{"an unknown Asterisk in memory", []Identity{{LinkedID: "call-1"}}, true, "call-1"},
		{"no call", nil, false, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newPBX(t)
			p.at(0, "caller", QueueDial, "queue_id=500")
			m := &memory{states: map[string][]byte{}, seen: map[string]time.Time{}, now: time.Now}
			for _, id := range c.calls {
				m.keepAs(t, p.kept, id)
			}
			d := New(Settings{Dialplan: Config{MaxCall: time.Hour}}, Parts{Numbers: number.NewReader(number.Config{})}, m, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
			if c.inMemory {
				for _, id := range c.calls {
					e, err := d.calls.acquire(id, time.Now(), time.Now().Add(time.Minute))
					if err != nil {
						t.Fatal(err)
					}
					d.calls.release(e, true)
				}
			}
			noted := func() (keys string) {
				for _, key := range sortedKeys(m.states) {
					call, err := decodeCall(m.states[key])
					if err != nil {
						t.Fatal(err)
					}
					for _, v := range call.Visits {
						if v.EndedBy == by {
							keys += key
						}
					}
				}
				return keys
			}
			undo, err := d.NoteEnd(t.Context(), east, "caller", by)
			if err != nil {
				t.Fatal(err)
			}
			if got := noted(); got != c.want {
				t.Errorf("noted in %q, want %q", got, c.want)
			}
			undo()
			if got := noted(); got != "" {
				t.Errorf("noted in %q after it was undone", got)
			}
		})
	}
}

// TestNote checks that a note is an event of its call alone, if two Asterisks have one linkedid.
func TestNote(t *testing.T) {
	dispatcher := everything(t)
	unknown, east, west := Identity{LinkedID: "call-1"}, Identity{Asterisk: "east", LinkedID: "call-1"}, Identity{Asterisk: "west", LinkedID: "call-1"}
	for _, c := range []struct {
		name   string
		stored []Identity
		of     Identity
		want   bool
	}{
		{"the earlier", []Identity{east, west}, east, true},
		{"the later", []Identity{east, west}, west, true},
		{"of an unknown Asterisk", []Identity{unknown}, unknown, true},
		{"of an unknown Asterisk, with another in memory", []Identity{unknown, west}, unknown, true},
		{"not stored", []Identity{west}, east, false},
		{"of an unknown Asterisk, not stored", []Identity{west}, unknown, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newPBX(t)
			p.at(0, "caller", QueueDial, "queue_id=500")
			m := &memory{states: map[string][]byte{}, seen: map[string]time.Time{}, now: time.Now}
			d := New(Settings{Dialplan: Config{MaxCall: time.Hour}}, Parts{Hooks: dispatcher, Numbers: number.NewReader(number.Config{})}, m, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
			for _, id := range c.stored {
				m.keepAs(t, p.kept, id)
			}
			last := c.stored[len(c.stored)-1] // is in memory
			e, err := d.calls.acquire(last, time.Now(), time.Now().Add(time.Minute))
			if err != nil {
				t.Fatal(err)
			}
			d.calls.release(e, true)
			if got := d.Note(t.Context(), c.of, "101", "is angry"); got != c.want {
				t.Errorf("got %v", got)
			}
			if err := d.Close(); err != nil {
				t.Fatal(err)
			}
			if len(m.events) > 1 || len(m.events) == 1 != c.want {
				t.Fatalf("events: %+v", m.events)
			}
			if c.want && m.events[0].Call() != c.of.UUID() {
				t.Errorf("the note is of %s, want %s", m.events[0].Call(), c.of.UUID())
			}
		})
	}
}
