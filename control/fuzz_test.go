package control

import (
	"encoding/json"
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
		encodable(t, live)
	})
}

// FuzzLists reads any messages as the answers to each list, and checks that the state is sound: every text is bounded and can
// be shown, and positions count from 1.
func FuzzLists(f *testing.F) {
	for _, version := range []string{"16", "22"} {
		for _, list := range []string{"queue-status", "channels", "parked"} {
			text, err := readRecording(version, list)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(text)
		}
	}
	f.Add("Event: ParkedCall\r\nParkeeUniqueid: 1.1\r\nParkeeCallerIDName: \\e\\\r\nParkingDuration: -1\r\nParkingTimeout: 99999999999999999999\r\n\r\nEvent: DeviceStateChange\r\nDevice: PJSIP/101\x01\r\nState: X\r\n\r\n")
	f.Add("Event: QueueMember\r\nQueue: 500\r\nLocation: PJSIP/101\r\nPaused: 1\r\nLastPause: 99999999999999999999\r\nLoginTime: 999999999999\r\n\r\n")
	f.Add("Event: QueueEntry\r\nQueue: 500\r\nPosition: -9223372036854775808\r\nWait: 9223372036854775807\r\n\r\nEvent: CoreShowChannel\r\nUniqueid: 1\r\nDuration: -1:-1:99999999999\r\n\r\n")
	f.Fuzz(func(t *testing.T, text string) {
		all := messages(text)
		s, err := readState(t.Context(), lists{"CoreShowChannels": all, "QueueStatus": all, "ParkedCalls": all, "DeviceStateList": all})
		if err != nil {
			t.Fatal(err)
		}
		live := s.view()
		live.Phones = s.phones("pbx")
		for _, q := range live.Queues {
			for i, w := range q.Waiting {
				if w.Position != i+1 {
					t.Fatalf("%q: waiting %+v", text, q.Waiting)
				}
				showable(t, w.UniqueID, w.LinkedID, w.Channel, w.Caller, w.Name)
			}
			showable(t, q.ID, q.Strategy)
			for _, m := range q.Members {
				showable(t, m.Interface, m.Phone, m.Name, m.Reason)
			}
		}
		for _, c := range live.Calls {
			showable(t, c.LinkedID, c.Caller, c.Name, c.Dialed, c.State)
		}
		for _, p := range live.Phones {
			showable(t, p.Phone, p.Device, p.State)
		}
		encodable(t, live)
	})
}

// FuzzContacts reads any values as the contacts of a phone: each text can be shown, and there are as many as names.
func FuzzContacts(f *testing.F) {
	f.Add("101;@9348bdc6c3d0d57bfd509ddb1c763e85,101;@0", "sip:101@192.0.2.7:5060;transport=ws", "1768473741", "1234.5")
	f.Add(",,a", "\x00\r\n<sip:x>", "-1", "N/A")
	f.Add("a", strings.Repeat("Ж", 500), "99999999999999999999", "NaN")
	f.Fuzz(func(t *testing.T, names, value, expires, rtt string) {
		list, err := contactsOf("101", func(fn ami.Function, name string) (string, error) {
			switch fn {
			case ami.PhoneContacts:
				return names, nil
			case ami.ContactExpires:
				return expires, nil
			case ami.ContactRoundTrip:
				return rtt, nil
			}
			return value, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if want := len(strings.FieldsFunc(names, func(r rune) bool { return r == ',' })); len(list) != want {
			t.Fatalf("%q: %d contacts, want %d", names, len(list), want)
		}
		for _, c := range list {
			showable(t, c.URI, c.UserAgent, c.Via, c.Status)
		}
		encodable(t, list)
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

// encodable checks that the API can answer with a value: one time beyond the year 9999 would break the answer about all queues.
func encodable(t *testing.T, v any) {
	t.Helper()
	if _, err := json.Marshal(v); err != nil {
		t.Fatal(err)
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
