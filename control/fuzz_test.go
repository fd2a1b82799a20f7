package control

import (
	"strings"
	"testing"
	"time"

	"ringhook/ami"
)

// FuzzEvents feeds any events, and checks that the state stays sound: every text is bounded and can be shown,
// positions count from 1, no channel waits twice in a queue, and what has hung up is nowhere.
func FuzzEvents(f *testing.F) {
	for _, version := range []string{"16", "22"} {
		for _, scenario := range []string{"queue-call", "members", "park-waiting", "bridge-waiting", "abandon"} {
			text, err := readRecording(version, scenario)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(text)
		}
	}
	f.Add("Event: QueueCallerJoin\r\nQueue: 500\r\nUniqueid: 1\r\nPosition: -5\r\n\r\nEvent: QueueCallerJoin\r\nQueue: 500\r\nUniqueid: 2\r\nPosition: 99\r\n\r\nEvent: Hangup\r\nUniqueid: 1\r\n\r\n")
	f.Fuzz(func(t *testing.T, text string) {
		s := newState()
		for _, name := range []string{"500", "501", "502"} {
			s.queues[name] = &queue{name: name, members: map[string]*member{}}
		}
		for _, m := range messages(text) {
			handle := handlers[m.Event()]
			if handle == nil {
				continue
			}
			handle(s, m, time.Unix(1, 0))
			if m.Event() == "Hangup" {
				s.mustNotHave(t, m)
			}
		}
		live := s.view()
		for _, q := range live.Queues {
			seen := map[string]bool{}
			for i, w := range q.Waiting {
				if w.Position != i+1 || seen[w.UniqueID] {
					t.Fatalf("%q: waiting %+v", text, q.Waiting)
				}
				seen[w.UniqueID] = true
				showable(t, w.UniqueID, w.LinkedID, w.Channel, w.Caller, w.Name)
			}
			for _, m := range q.Members {
				showable(t, m.Interface, m.Phone, m.Name, m.Reason)
			}
		}
		for _, c := range live.Calls {
			showable(t, c.LinkedID, c.Caller, c.Name, c.Dialed)
		}
	})
}

func (s *state) mustNotHave(t *testing.T, hangup ami.Message) {
	t.Helper()
	id := uniqueID(hangup)
	if s.channels[id] != nil || s.parked[id] != nil {
		t.Fatalf("%q is still there", id)
	}
	for _, q := range s.queues {
		for _, w := range q.waiting {
			if w.uniqueID == id {
				t.Fatalf("%q still waits", id)
			}
		}
	}
}

func uniqueID(m ami.Message) string { return text(m.Get("Uniqueid")) }

func showable(t *testing.T, texts ...string) {
	t.Helper()
	for _, s := range texts {
		if len(s) > longest || strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f || r == '\uFFFD' }) {
			t.Fatalf("%q cannot be shown", s)
		}
	}
}

// BenchmarkEvents plays a whole queue call, of about fifty events.
func BenchmarkEvents(b *testing.B) {
	text, err := readRecording("22", "queue-call")
	if err != nil {
		b.Fatal(err)
	}
	all := messages(text)
	s := newState()
	s.queues["501"] = &queue{name: "501", members: map[string]*member{}}
	now := time.Now()
	for b.Loop() {
		for _, m := range all {
			if handle := handlers[m.Event()]; handle != nil {
				handle(s, m, now)
			}
		}
	}
	b.ReportMetric(float64(len(all)*b.N)/b.Elapsed().Seconds(), "events/s")
}
