package control

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"ringhook/ami"
	"ringhook/ami/amitest"
	"ringhook/dialplan"
	"ringhook/test/wait"
)

// recorded returns what an Asterisk of the lab sent in one scenario.
func recorded(t *testing.T, version, name string) []ami.Message {
	t.Helper()
	text, err := readRecording(version, name)
	if err != nil {
		t.Fatal(err)
	}
	return messages(text)
}

func readRecording(version, name string) (string, error) {
	text, err := os.ReadFile("../ami/amitest/testdata/" + version + "/" + name)
	return string(text), err
}

func messages(text string) (all []ami.Message) {
	for part := range strings.SplitSeq(text, "\r\n\r\n") {
		var m ami.Message
		for line := range strings.SplitSeq(strings.TrimPrefix(part, "\r\n"), "\r\n") {
			if key, value, ok := strings.Cut(line, ": "); ok {
				m = append(m, ami.Field{Key: key, Value: value})
			}
		}
		if m != nil {
			all = append(all, m)
		}
	}
	return all
}

// lists answers with recorded lists.
type lists map[string][]ami.Message

func (l lists) Names(context.Context) (system, entity string, err error) { return "", "", nil }

func (l lists) List(_ context.Context, a ami.Action) (items []ami.Message, _ error) {
	for _, m := range l[a.Name] {
		if m.Event() != "" && m.Get("EventList") == "" {
			items = append(items, m)
		}
	}
	return items, nil
}

// emptyQueues is an Asterisk with the queues of the recordings and no call.
func emptyQueues(t *testing.T, version string) *state {
	t.Helper()
	l := lists{}
	for _, m := range recorded(t, version, "queue-status") {
		if m.Event() != "QueueEntry" {
			l["QueueStatus"] = append(l["QueueStatus"], m)
		}
	}
	s, err := readState(t.Context(), l)
	if err != nil || len(s.queues) != 3 || len(s.queues["500"].members) != 2 {
		t.Fatalf("got %+v, %v", s, err)
	}
	return s
}

func (s *state) view() Live {
	var l Live
	l.add("pbx", true, s, true)
	return l
}

// TestPhonesOfMembers checks that the phone of a member is that of the agent who has it, in all names of a device.
func TestPhonesOfMembers(t *testing.T) {
	l := Live{Queues: []Queue{{Members: []Member{{device: "SIP/gateway/101"}, {device: "Local/102@agents/n"}, {device: "PJSIP/103/sip:101@host"}}}}}
	l.name(&Settings{Agents: []dialplan.Agent{{Phone: "101"}, {Phone: "103"}}})
	for i, want := range []string{"101", "102", "103"} {
		if got := l.Queues[0].Members[i].Phone; got != want {
			t.Errorf("member %d has the phone %s, want %s", i, got, want)
		}
	}
}

// TestScenarios plays recordings of both versions, and looks at the state after one of the events, and at the end.
// Row Y16.
func TestScenarios(t *testing.T) {
	type seen struct {
		waiting, parked int
		call            string // state of the one call
	}
	f := func(scenario, after string, want seen) {
		t.Helper()
		for _, version := range []string{"16", "22"} {
			s := emptyQueues(t, version)
			looked := false
			for _, m := range recorded(t, version, scenario) {
				if handle := handlers[m.Event()]; handle != nil && !handle(s, m, time.Now()) {
					t.Errorf("%s, %s: %s is about something unknown", version, scenario, m.Event())
				}
				if m.Event() != after || looked {
					continue
				}
				looked = true
				got := seen{parked: len(s.parked)}
				for _, q := range s.queues {
					got.waiting += len(q.waiting)
				}
				for _, c := range s.view().Calls {
					got.call = c.State
				}
				if got != want {
					t.Errorf("%s, %s, after %s: got %+v, want %+v", version, scenario, after, got, want)
				}
			}
			if !looked {
				t.Errorf("%s, %s: no %s", version, scenario, after)
			}
			left := s.view()
			for _, q := range left.Queues {
				if len(q.Waiting) > 0 {
					t.Errorf("%s, %s: still waiting in %s: %+v", version, scenario, q.ID, q.Waiting)
				}
			}
			if len(s.parked) > 0 {
				t.Errorf("%s, %s: still parked: %+v", version, scenario, s.parked)
			}
			// The recording of the bridge ends before the other call does.
			if len(left.Calls) > 0 && scenario != "bridge-waiting" {
				t.Errorf("%s, %s: calls left: %+v", version, scenario, left.Calls)
			}
		}
	}
	f("queue-call", "QueueCallerJoin", seen{waiting: 1, call: "waiting"})
	f("queue-call", "QueueCallerLeave", seen{call: "up"})
	f("queue-call", "AgentComplete", seen{call: "talking"})
	f("abandon", "QueueCallerAbandon", seen{waiting: 1, call: "waiting"})
	f("park-waiting", "ParkedCall", seen{parked: 1, call: "parked"})
	f("bridge-waiting", "BridgeEnter", seen{call: "up"})
}

// Names are escaped in channel events, and plain in QueueEntry: both must be shown the same.
func TestCallerName(t *testing.T) {
	for _, version := range []string{"16", "22"} {
		s := emptyQueues(t, version)
		for _, m := range recorded(t, version, "abandon") {
			if m.Event() == "Hangup" || m.Event() == "QueueCallerLeave" {
				break
			}
			if handle := handlers[m.Event()]; handle != nil {
				handle(s, m, time.Now())
			}
			switch w := s.queues["502"].waiting; m.Event() {
			case "QueueCallerJoin":
				if w[0].callerName != `Иван "the" caller` || w[0].number != "79161234567" {
					t.Errorf("%s: joined as %q %q", version, w[0].callerName, w[0].number)
				}
			case "NewCallerid":
				if len(w) > 0 && w[0].callerName != "VIP Ivan" {
					t.Errorf("%s: renamed to %q", version, w[0].callerName)
				}
			}
		}
		listed, err := readState(t.Context(), lists{"QueueStatus": recorded(t, version, "queue-status"), "CoreShowChannels": recorded(t, version, "channels"), "ParkedCalls": recorded(t, version, "parked")})
		if err != nil {
			t.Fatal(err)
		}
		w := listed.queues["502"].waiting
		if len(w) != 1 || w[0].callerName != `Иван "the" caller` || w[0].linkedID == "" || w[0].linkedID == w[0].uniqueID {
			t.Errorf("%s: listed as %+v", version, w)
		}
	}
}

func TestMembers(t *testing.T) {
	for _, version := range []string{"16", "22"} {
		s := emptyQueues(t, version)
		var got []string
		for _, m := range recorded(t, version, "members") {
			handle := handlers[m.Event()]
			if handle == nil || !strings.HasPrefix(m.Event(), "QueueMember") {
				continue
			}
			for range 2 { // Asterisk can send an event twice
				if removed := m.Event() == "QueueMemberRemoved"; !handle(s, m, time.Now()) && !removed {
					t.Errorf("%s: %s of an unknown member", version, m.Event())
				}
			}
			q := s.queues["502"].view("pbx", s, true)
			line := strings.TrimPrefix(m.Event(), "QueueMember") + ":"
			for _, member := range q.Members {
				text, _ := json.Marshal([]any{member.Name, member.Phone, member.State, member.Paused, member.Reason, member.Penalty, member.Since != nil})
				line += " " + string(text)
			}
			got = append(got, line)
		}
		want := []string{
			`Added: ["Зоя, \"Z\"","103","free",false,"",2,false]`,
			`Pause: ["Зоя, \"Z\"","103","free",true,"обед, \"x\"",2,true]`,
			`Penalty: ["Зоя, \"Z\"","103","free",true,"обед, \"x\"",3,true]`,
			`Pause: ["Зоя, \"Z\"","103","free",false,"",3,false]`,
			`Removed:`,
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got\n%s\nwant\n%s", version, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
}

// Positions move as Asterisk moves them.
func TestPositions(t *testing.T) {
	q := &queue{}
	join := func(id string, position int) { q.join(&waiting{uniqueID: id}, position) }
	f := func(want string) {
		t.Helper()
		got := ""
		for _, w := range q.waiting {
			got += w.uniqueID
		}
		if got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	join("a", 1)
	join("b", 2)
	join("c", 1) // of higher priority
	f("cab")
	join("c", 1) // reported twice
	f("cab")
	join("d", -7)
	join("e", 99)
	f("dcabe")
	q.leave("a")
	q.leave("a")
	q.leave("x")
	f("dcbe")
}

// What a caller or a dialplan chose is bounded and safe to show.
func TestHostileText(t *testing.T) {
	s := newState()
	handlers["Newchannel"](s, ami.Message{
		{Key: "Event", Value: "Newchannel"}, {Key: "Uniqueid", Value: "1.1"}, {Key: "Linkedid", Value: "1.1"},
		{Key: "CallerIDName", Value: "a\\n\x1b[31m\xff" + strings.Repeat("x", 1000)}, {Key: "CallerIDNum", Value: "<unknown>"},
	}, time.Now())
	call := s.view().Calls[0]
	if !strings.HasPrefix(call.Name, "a  [31mx") || len(call.Name) > longest || call.Caller != "" {
		t.Errorf("got %q, %q", call.Name, call.Caller)
	}
}

// TestKeepsNoMessages checks that what is kept of an event does not keep the event's other lines in memory.
func TestKeepsNoMessages(t *testing.T) {
	heap := func() uint64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	s, before := newState(), heap()
	const events = 200
	for i := range events {
		id := fmt.Sprint("1.", i)
		lines := "Event: x\r\nUniqueid: " + id + "\r\nLinkedid: " + id + "\r\nChannel: PJSIP/" + id + "\r\nCallerIDNum: " + id + "\r\nChanVariable: " + strings.Repeat("x", 200<<10)
		var m ami.Message // its values are parts of one text, as those that the reader makes
		for line := range strings.SplitSeq(lines, "\r\n") {
			key, value, _ := strings.Cut(line, ": ")
			m = append(m, ami.Field{Key: key, Value: value})
		}
		handlers["Newchannel"](s, m, time.Now())
		handlers["ParkedCall"](s, append(ami.Message{{Key: "ParkeeUniqueid", Value: m.Get("Uniqueid")}, {Key: "ParkeeChannel", Value: m.Get("Channel")}}, m...), time.Now())
	}
	if after := heap(); after > before+4<<20 {
		t.Errorf("%d events keep %d KiB", events, (after-before)>>10)
	}
	runtime.KeepAlive(s)
}

// bench is one server, connected to a fake Asterisk over TCP.
func newBench(t *testing.T) (*Control, *amitest.Server) {
	t.Helper()
	s := amitest.New()
	address, err := s.Listen()
	if err != nil {
		t.Fatal(err)
	}
	reg := prometheus.NewRegistry()
	c := New(slog.New(slog.DiscardHandler), reg)
	next, err := c.Prepare([]ami.Config{{Name: "pbx", Address: address, Username: amitest.Username, Secret: amitest.Secret}})
	if err != nil {
		t.Fatal(err)
	}
	// A reload that fails after this must leave no server behind that seems to be away.
	if n, err := testutil.GatherAndCount(reg, "ringhook_ami_connected", "ringhook_ami_events_total", "ringhook_ami_state_differences_total"); n > 0 || err != nil {
		t.Errorf("%d series of a server that is not in force, %v", n, err)
	}
	c.Exchange(next)
	t.Cleanup(func() {
		c.Close()
		if n, err := testutil.GatherAndCount(reg, "ringhook_ami_connected", "ringhook_ami_events_total", "ringhook_ami_state_differences_total"); n > 0 || err != nil {
			t.Errorf("%d series of a server that was removed, %v", n, err)
		}
		s.Close()
	})
	return c, s
}

// until waits until the live state is as wanted.
func until(t *testing.T, c *Control, what string, is func(Live) bool) {
	t.Helper()
	wait.Until(t, func() bool { return is(c.Live()) }, "waited in vain until %s", what)
}

// The state is there after a connect, follows events, is forgotten with the connection, and read again.
func TestServer(t *testing.T) {
	c, s := newBench(t)
	until(t, c, "connected", func(l Live) bool { return l.Servers[0].Connected })
	join := amitest.Text("Event: QueueCallerJoin", "Queue: 600", "Position: 1", "Uniqueid: 1.1", "Linkedid: 1.1", "CallerIDNum: 1")
	// A queue that a reload has brought is read when an event names it.
	s.AnswerList("QueueStatus", amitest.Text("Event: QueueParams", "Queue: 600", "Strategy: ringall"),
		amitest.Text("Event: QueueEntry", "Queue: 600", "Position: 1", "Uniqueid: 1.1", "CallerIDNum: 1", "Wait: 7"))
	until(t, c, "the new queue is there", func(l Live) bool {
		s.Send(join)
		return len(l.Queues) == 1 && len(l.Queues[0].Waiting) == 1
	})
	if waits, connected := c.Waits(); !connected || len(waits) != 1 || waits[0].Queue != "600" || waits[0].Waiting != 1 || waits[0].Longest == nil {
		t.Errorf("who waits: %+v", waits)
	}
	s.Send(amitest.Text("Event: QueueCallerLeave", "Queue: 600", "Position: 1", "Uniqueid: 1.1"))
	until(t, c, "the caller has left", func(l Live) bool {
		return len(l.Queues) == 1 && len(l.Queues[0].Waiting) == 0
	})

	s.AnswerList("QueueStatus")
	s.Drop()
	until(t, c, "the state is empty", func(l Live) bool { return len(l.Queues) == 0 })
	until(t, c, "connected again", func(l Live) bool { return l.Servers[0].Connected })
}

// A reload keeps the connection of a server that stays as it is.
func TestExchange(t *testing.T) {
	c, s := newBench(t)
	until(t, c, "connected", func(l Live) bool { return l.Servers[0].Connected })
	same := c.all()[0].config
	asked := len(s.Requests("QueueStatus"))
	other := same
	other.Name = "other"
	next, err := c.Prepare([]ami.Config{other, same})
	if err != nil {
		t.Fatal(err)
	}
	c.Exchange(next)
	until(t, c, "both connected", func(l Live) bool { return len(l.Servers) == 2 && l.Servers[0].Connected && l.Servers[1].Connected })
	if got := len(s.Requests("QueueStatus")); got != asked+1 {
		t.Errorf("the state was read %d times more, want 1", got-asked)
	}
	bad := same
	bad.TLS, bad.CAFile = true, t.TempDir()+"/none"
	if _, err := c.Prepare([]ami.Config{bad}); err == nil {
		t.Error("a CA file that is not there was accepted")
	}
	until(t, c, "both connected", func(l Live) bool { return len(l.Servers) == 2 && l.Servers[0].Connected && l.Servers[1].Connected })
	c.Exchange(&Servers{})
	if l := c.Live(); len(l.Servers) != 0 {
		t.Errorf("got %+v", l)
	}
}

// TestReplacedCertificate checks that a reload uses CA certificates that were replaced in the same file.
func TestReplacedCertificate(t *testing.T) {
	server := httptest.NewTLSServer(nil)
	server.Close()
	text := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))
	cfg := ami.DefaultConfig()
	cfg.Address, cfg.Username, cfg.Secret, cfg.TLS, cfg.CAFile = "127.0.0.1:1", "ringhook", "secret", true, filepath.Join(t.TempDir(), "ca.pem")
	write := func(text string) {
		if err := os.WriteFile(cfg.CAFile, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(text)
	c, _ := newBench(t)
	prepare := func() *Servers {
		t.Helper()
		next, err := c.Prepare([]ami.Config{cfg})
		if err != nil {
			t.Fatal(err)
		}
		return next
	}
	c.Exchange(prepare())
	now := c.all()[0]
	if prepare().list[0] != now {
		t.Error("the same configuration counts as changed")
	}
	write(text + "\n" + text)
	if prepare().list[0] == now {
		t.Error("a renewed certificate is not used")
	}
}

// TestCorrectionsAreCounted checks that the log has the first difference of a kind, not one line for each phone of an
// Asterisk whose events do not come.
func TestCorrectionsAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		l, c := lists{}, New(slog.New(slog.NewTextHandler(&log, nil)), prometheus.NewRegistry())
		s := &server{config: ami.Config{Name: "pbx"}, from: l, log: c.log, limited: c.limited, state: newState(), differences: c.differences}
		if err := s.Connected(t.Context()); err != nil {
			t.Fatal(err)
		}
		for n := range 300 {
			l["DeviceStateList"] = append(l["DeviceStateList"], ami.Message{{Key: "Event", Value: "DeviceStateChange"}, {Key: "Device", Value: fmt.Sprint("PJSIP/", n)}, {Key: "State", Value: "INUSE"}})
		}
		for _, after := range []time.Duration{checkEvery, 10 * time.Second} {
			time.Sleep(after)
			s.Tick(t.Context())
		}
		if n := testutil.ToFloat64(c.differences.WithLabelValues("pbx", "phone")); n != 300 {
			t.Errorf("%v differences are counted, want 300", n)
		}
		if n := strings.Count(log.String(), "live state corrected"); n != 1 {
			t.Errorf("%d lines, want 1", n)
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		if !strings.Contains(log.String(), "repeated=299") {
			t.Errorf("no summary:\n%s", &log)
		}
	})
}

// A difference that two comparisons find is corrected and counted; one that an event explains is not.
func TestCompare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := lists{}
		c := New(slog.New(slog.DiscardHandler), prometheus.NewRegistry())
		s := &server{config: ami.Config{Name: "pbx"}, from: l, log: c.log, limited: c.limited, state: newState(), differences: c.differences}
		if err := s.Connected(t.Context()); err != nil {
			t.Fatal(err)
		}
		count := func() (n float64) {
			for _, kind := range kinds {
				n += testutil.ToFloat64(c.differences.WithLabelValues("pbx", kind))
			}
			return n
		}
		channel := ami.Message{{Key: "Event", Value: "CoreShowChannel"}, {Key: "Uniqueid", Value: "1.1"}, {Key: "Linkedid", Value: "1.1"}}
		tick := func(after time.Duration) {
			time.Sleep(after)
			s.Tick(t.Context())
		}
		// Asterisk has a channel whose Newchannel is on its way.
		l["CoreShowChannels"] = []ami.Message{channel}
		tick(checkEvery)
		s.Event(t.Context(), append(ami.Message{{Key: "Event", Value: "Newchannel"}}, channel[1:]...))
		tick(10 * time.Second)
		if count() != 0 || len(s.state.channels) != 1 {
			t.Errorf("%v differences are counted, want 0", count())
		}
		// Its Hangup is lost.
		delete(l, "CoreShowChannels")
		tick(checkEvery)
		if len(s.state.channels) != 1 {
			t.Error("corrected by one comparison alone")
		}
		tick(10 * time.Second)
		if got := testutil.ToFloat64(c.differences.WithLabelValues("pbx", "channel")); got != 1 || count() != 1 || len(s.state.channels) != 0 {
			t.Errorf("%v differences are counted, want 1; %d channels", count(), len(s.state.channels))
		}
		before := s.read
		tick(10 * time.Second)
		if s.read != before {
			t.Error("compared again within a minute")
		}
	})
}
