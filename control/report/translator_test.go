package report

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"ringhook/ami"
	"ringhook/dialplan"
)

// recorded returns what an Asterisk of the lab sent in one scenario, of the events that are used.
func recorded(t testing.TB, version, scenario string) []Event {
	t.Helper()
	text, err := os.ReadFile("testdata/" + version + "/" + scenario)
	if err != nil {
		t.Fatal(err)
	}
	return parse(string(text))
}

func readScenario(name string) ([]byte, error) { return os.ReadFile("testdata/22/" + name) }

// parse reads the events of a recorded stream, a millisecond apart.
func parse(text string) (all []Event) {
	at := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	for part := range strings.SplitSeq(text, "\r\n\r\n") {
		var m ami.Message
		for line := range strings.SplitSeq(strings.TrimPrefix(part, "\r\n"), "\r\n") {
			if key, value, ok := strings.Cut(line, ":"); ok {
				m = append(m, ami.Field{Key: key, Value: strings.TrimPrefix(value, " ")})
			}
		}
		if m != nil {
			at = at.Add(time.Millisecond)
			all = append(all, NewEvent(m, at))
		}
	}
	return all
}

func newTranslator(variables map[string]string) *Translator {
	t := &Translator{
		Points: dialplan.ReportablePoints(), Asterisk: "pbx",
		Agent: func(phone string) bool { return phone == "210" },
		Read: func(_ string, v ami.Variable) string {
			return variables[v.String()]
		},
	}
	t.Reset()
	return t
}

// later moves the queue's events of each phone that refuses behind all that the phone's own channel does, as a busy
// Asterisk sends them: the dialplan of the Local channel's other half runs in a thread of its own.
func later(events []Event) []Event {
	for _, begin := range slices.Clone(events) {
		of := func(name string) int {
			return slices.IndexFunc(events, func(e Event) bool { return e.Name == name && e.DestUniqueID == begin.DestUniqueID })
		}
		end := of("DialEnd")
		if begin.Name != "DialBegin" || !strings.HasPrefix(begin.DestChannel, "Local/") || end < 0 || events[end].DialStatus == "ANSWER" {
			continue
		}
		for _, name := range []string{"AgentCalled", "DialBegin"} {
			at := of(name)
			moved := events[at]
			events = slices.Insert(slices.Delete(events, at, at+1), end-1, moved)
		}
	}
	return events
}

// hangupLater moves the Hangup of each phone that refuses behind the one of the Local channel before it: Asterisk 16
// sends each channel's Hangup by a thread of its own.
func hangupLater(events []Event) []Event {
	hangup := func(id string) int {
		return slices.IndexFunc(events, func(e Event) bool { return e.Name == "Hangup" && e.UniqueID == id })
	}
	for _, end := range slices.Clone(events) {
		if end.Name != "DialEnd" || end.DialStatus == "ANSWER" || strings.HasPrefix(end.DestChannel, "Local/") {
			continue
		}
		at := hangup(end.DestUniqueID)
		moved := events[at]
		events = slices.Delete(events, at, at+1)
		events = slices.Insert(events, hangup(end.UniqueID)+1, moved)
	}
	return events
}

// TestLateEvents checks that the refusal of a phone has its cause, also if the queue's event or the phone's end comes
// late.
func TestLateEvents(t *testing.T) {
	for name, late := range map[string]func([]Event) []Event{"the queue's DialBegin": later, "the phone's Hangup": hangupLater} {
		t.Run(name, func(t *testing.T) { testLateEvents(t, late) })
	}
}

func testLateEvents(t *testing.T, late func([]Event) []Event) {
	for _, version := range []string{"16", "22"} {
		tr := newTranslator(nil)
		var got []string
		for _, e := range late(recorded(t, version, "busy-declined-answered")) {
			for _, r := range tr.Event(&e) {
				if r.Args["status"] != "" {
					got = append(got, r.Args["agent_phone"]+" "+r.Args["status"]+" "+r.Args["cause"])
				}
			}
		}
		if want := []string{"121 BUSY 17", "122 CHANUNAVAIL 21", "123 ANSWER 16"}; !slices.Equal(got, want) {
			t.Errorf("%s: got %q, want %q", version, got, want)
		}
		if len(tr.channels) > 0 {
			t.Errorf("%s: %d channels are left", version, len(tr.channels))
		}
	}
}

var instance = regexp.MustCompile(`-[0-9a-f]{8}`)

// short describes a report: its point, its channel and its arguments.
func short(r *dialplan.Report) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s on %s", r.Point, instance.ReplaceAllString(r.Name, ""))
	if r.Stay != nil {
		fmt.Fprintf(&b, " in %s", r.Stay.Queue)
	}
	for _, name := range []string{"agent_phone", "dialed", "status", "cause", "queue_status", "abandoned", "queue_position", "wait_time", "billsec", "recording_file"} {
		if v := r.Args[name]; v != "" && (name != "cause" || v != "0") {
			fmt.Fprintf(&b, " %s=%s", name, v)
		}
	}
	if r.Left != "" {
		b.WriteString(" left=" + r.Left)
	}
	return b.String()
}

// TestConsultation checks that a colleague who is asked before an attended transfer has a ring: Asterisk sends no
// DialBegin for the Local channel to the colleague. What a Local channel of Originate dials has none.
func TestConsultation(t *testing.T) {
	f := func(linkedID, status, want string) {
		t.Helper()
		tr := newTranslator(nil)
		at := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
		channel := func(id, name, linkedID string) Event {
			return Event{Name: "Newchannel", UniqueID: id, LinkedID: linkedID, Channel: name}
		}
		dial := func(name, by, phone, device, status string) Event {
			return Event{Name: name, UniqueID: by, LinkedID: linkedID, DestUniqueID: phone, DestChannel: "PJSIP/" + device + "-00000001", DialString: device, DialStatus: status}
		}
		var got []string
		for _, e := range []Event{
			channel("1", "PJSIP/trunk-00000001", "1"), channel("2", "PJSIP/210-00000001", "1"),
			dial("DialBegin", "1", "2", "210", ""), dial("DialEnd", "1", "2", "210", "ANSWER"),
			channel("3", "Local/101@a-00000001;1", linkedID), channel("4", "Local/101@a-00000001;2", linkedID), {Name: "LocalBridge", One: "3", Two: "4"},
			channel("5", "PJSIP/101-00000001", linkedID), dial("DialBegin", "4", "5", "101", ""), dial("DialEnd", "4", "5", "101", status),
			{Name: "Hangup", UniqueID: "5", LinkedID: linkedID, Cause: "17"}, {Name: "Hangup", UniqueID: "4", LinkedID: linkedID, Cause: "17"},
		} {
			e.At = at
			for _, r := range tr.Event(&e) {
				if r.Args["agent_phone"] == "101" {
					got = append(got, string(r.Point)+" "+r.Args["status"])
				}
			}
		}
		if strings.Join(got, ", ") != want {
			t.Errorf("%s in the call %s: got %q, want %q", status, linkedID, got, want)
		}
	}
	f("1", "ANSWER", "agent-dial , call-answer , agent-answer , agent-hangup ANSWER") // call-answer is recognised
	f("1", "BUSY", "agent-dial , agent-hangup BUSY")
	f("3", "ANSWER", "")
	f("3", "BUSY", "")
}

// TestExitWithKey checks that a caller who left a queue by a key has not abandoned it: Asterisk sends no
// QueueCallerAbandon then. Hung up within a second is no other end.
func TestExitWithKey(t *testing.T) {
	for _, version := range []string{"16", "22"} {
		for _, scenario := range []string{"abandoned", "queue-times-out"} {
			tr := newTranslator(nil)
			got := ""
			for _, e := range recorded(t, version, scenario) {
				if e.Name == "QueueCallerAbandon" || scenario == "abandoned" && e.Name == "HangupRequest" {
					continue
				}
				for _, r := range tr.Event(&e) {
					if r.Point == dialplan.QueueHangup && got == "" {
						got = r.Args["queue_status"] + r.Args["abandoned"]
					}
				}
			}
			if got != dialplan.ExitWithKey {
				t.Errorf("%s of %s without QueueCallerAbandon: got %q, want %q", scenario, version, got, dialplan.ExitWithKey)
			}
		}
	}
}

// TestScenarios translates what both versions of Asterisk sent in calls of the lab.
func TestScenarios(t *testing.T) {
	f := func(scenario string, variables map[string]string, want ...string) {
		t.Helper()
		for _, version := range []string{"16", "22"} {
			tr := newTranslator(variables)
			var got []string
			var last time.Time
			for _, e := range recorded(t, version, scenario) {
				last = e.At
				for _, r := range tr.Event(&e) {
					got = append(got, short(r))
				}
			}
			late, _ := tr.Due(last.Add(time.Hour))
			for _, r := range late {
				got = append(got, "late "+short(r))
			}
			// The ends of channels come in any order.
			slices.Sort(got)
			slices.Sort(want)
			if strings.Join(got, "\n") != strings.Join(want, "\n") {
				t.Errorf("%s of %s: got\n\t%s\nwant\n\t%s", scenario, version, strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
			}
			if len(tr.channels) > 0 || len(tr.pending) > 0 {
				t.Errorf("%s of %s: %d channels and %d stays are left", scenario, version, len(tr.channels), len(tr.pending))
			}
		}
	}
	answered := []string{
		"agent-dial on Local/121@ringhook-agents;2 in 520 agent_phone=121",
		"agent-answer on Local/121@ringhook-agents;2 in 520 agent_phone=121 wait_time=1",
		"agent-hangup on Local/121@ringhook-agents;2 in 520 agent_phone=121 status=ANSWER cause=16",
		"queue-hangup on PJSIP/trunk in 520 agent_phone=Local/121@ringhook-agents/n cause=16 queue_position=1 wait_time=1 recording_file=a.wav",
		"call-hangup on PJSIP/trunk cause=16 billsec=2 recording_file=a.wav",
	}
	started := float64(time.Date(2026, 3, 2, 8, 59, 57, 5e8, time.UTC).UnixMicro()) / 1e6
	vars := map[string]string{"MIXMONITOR_FILENAME": "a.wav", "CDR(answer,u)": fmt.Sprintf("%.6f", started)}
	f("answered-caller-ends", vars, answered...)
	f("answered-agent-ends", vars, answered...)
	// Asterisk sends QueueCallerAbandon after a timeout too.
	f("abandoned", nil,
		"agent-dial on Local/121@ringhook-agents;2 in 520 agent_phone=121",
		"agent-hangup on Local/121@ringhook-agents;2 in 520 agent_phone=121 status=CANCEL",
		"queue-hangup on PJSIP/trunk in 520 cause=127 abandoned=TRUE",
		"call-hangup on PJSIP/trunk cause=127")
	f("queue-times-out", map[string]string{"QUEUESTATUS": "TIMEOUT"},
		"agent-dial on Local/121@ringhook-agents;2 in 520 agent_phone=121",
		"agent-hangup on Local/121@ringhook-agents;2 in 520 agent_phone=121 status=NOANSWER",
		"queue-hangup on PJSIP/trunk in 520 queue_status=TIMEOUT",
		"agent-dial on Local/206@ringhook-agents;2 in 599 agent_phone=206",
		"agent-answer on Local/206@ringhook-agents;2 in 599 agent_phone=206 wait_time=0",
		"agent-hangup on Local/206@ringhook-agents;2 in 599 agent_phone=206 status=ANSWER cause=16",
		"queue-hangup on PJSIP/trunk in 599 agent_phone=Local/206@ringhook-agents/n cause=16 queue_position=1 wait_time=0",
		"call-hangup on PJSIP/trunk cause=16")
	// The events of a refused phone all say NOANSWER; only the cause distinguishes them.
	f("busy-declined-answered", nil,
		"agent-dial on Local/121@ringhook-agents;2 in 520 agent_phone=121",
		"agent-hangup on Local/121@ringhook-agents;2 in 520 agent_phone=121 status=BUSY cause=17",
		"agent-dial on Local/122@ringhook-agents;2 in 520 agent_phone=122",
		"agent-hangup on Local/122@ringhook-agents;2 in 520 agent_phone=122 status=CHANUNAVAIL cause=21",
		"agent-dial on Local/123@ringhook-agents;2 in 520 agent_phone=123",
		"agent-answer on Local/123@ringhook-agents;2 in 520 agent_phone=123 wait_time=0",
		"agent-hangup on Local/123@ringhook-agents;2 in 520 agent_phone=123 status=ANSWER cause=16",
		"queue-hangup on PJSIP/trunk in 520 agent_phone=Local/123@ringhook-agents/n cause=16 queue_position=1 wait_time=0",
		"call-hangup on PJSIP/trunk cause=16")
	f("unavailable-answered", nil,
		"agent-dial on Local/121@ringhook-agents;2 in 520 agent_phone=121",
		"agent-hangup on Local/121@ringhook-agents;2 in 520 agent_phone=121 status=CONGESTION cause=34",
		"agent-dial on Local/122@ringhook-agents;2 in 520 agent_phone=122",
		"agent-answer on Local/122@ringhook-agents;2 in 520 agent_phone=122 wait_time=0",
		"agent-hangup on Local/122@ringhook-agents;2 in 520 agent_phone=122 status=ANSWER cause=16",
		"queue-hangup on PJSIP/trunk in 520 agent_phone=Local/122@ringhook-agents/n cause=16 queue_position=1 wait_time=0",
		"call-hangup on PJSIP/trunk cause=16")
	f("no-answer-answered", nil,
		"agent-dial on Local/121@ringhook-agents;2 in 520 agent_phone=121",
		"agent-hangup on Local/121@ringhook-agents;2 in 520 agent_phone=121 status=NOANSWER",
		"agent-dial on Local/122@ringhook-agents;2 in 520 agent_phone=122",
		"agent-answer on Local/122@ringhook-agents;2 in 520 agent_phone=122 wait_time=16",
		"agent-hangup on Local/122@ringhook-agents;2 in 520 agent_phone=122 status=ANSWER cause=16",
		"queue-hangup on PJSIP/trunk in 520 agent_phone=Local/122@ringhook-agents/n cause=16 queue_position=1 wait_time=16",
		"call-hangup on PJSIP/trunk cause=16")
	f("ring-all", nil,
		"agent-dial on Local/203@ringhook-agents;2 in 591 agent_phone=203",
		"agent-dial on Local/204@ringhook-agents;2 in 591 agent_phone=204",
		"agent-hangup on Local/203@ringhook-agents;2 in 591 agent_phone=203 status=CANCEL cause=26",
		"agent-answer on Local/204@ringhook-agents;2 in 591 agent_phone=204 wait_time=2",
		"agent-hangup on Local/204@ringhook-agents;2 in 591 agent_phone=204 status=ANSWER cause=16",
		"queue-hangup on PJSIP/trunk in 591 agent_phone=Local/204@ringhook-agents/n cause=16 queue_position=1 wait_time=2",
		"call-hangup on PJSIP/trunk cause=16")
	f("plain-members", nil,
		"agent-dial on PJSIP/200 in 590 agent_phone=200",
		"agent-hangup on PJSIP/200 in 590 agent_phone=200 status=BUSY cause=17",
		"agent-dial on PJSIP/201 in 590 agent_phone=201",
		"agent-hangup on PJSIP/201 in 590 agent_phone=201 status=NOANSWER",
		"agent-dial on PJSIP/202 in 590 agent_phone=202",
		"agent-answer on PJSIP/202 in 590 agent_phone=202 wait_time=17",
		"agent-hangup on PJSIP/202 in 590 agent_phone=202 status=ANSWER cause=16",
		"queue-hangup on PJSIP/trunk in 590 agent_phone=PJSIP/202 cause=16 queue_position=1 wait_time=17",
		"call-hangup on PJSIP/trunk cause=16")
	f("plain-abandoned", nil,
		"agent-dial on PJSIP/200 in 590 agent_phone=200",
		"agent-hangup on PJSIP/200 in 590 agent_phone=200 status=CANCEL",
		"queue-hangup on PJSIP/trunk in 590 cause=127 abandoned=TRUE",
		"call-hangup on PJSIP/trunk cause=127")
	f("optimized", nil,
		"agent-dial on Local/205@ringhook-agents;2 in 592 agent_phone=205",
		"agent-answer on Local/205@ringhook-agents;2 in 592 agent_phone=205 wait_time=1",
		"agent-hangup on Local/205@ringhook-agents;2 in 592 agent_phone=205 status=ANSWER cause=16",
		"queue-hangup on PJSIP/trunk in 592 agent_phone=Local/205@ringhook-agents cause=16 queue_position=1 wait_time=1",
		"call-hangup on PJSIP/trunk cause=16")
	// A queue that takes no caller sends nothing.
	f("refused", nil,
		"agent-dial on Local/206@ringhook-agents;2 in 599 agent_phone=206",
		"agent-answer on Local/206@ringhook-agents;2 in 599 agent_phone=206 wait_time=0",
		"agent-hangup on Local/206@ringhook-agents;2 in 599 agent_phone=206 status=ANSWER cause=16",
		"queue-hangup on PJSIP/trunk in 599 agent_phone=Local/206@ringhook-agents/n cause=16 queue_position=1 wait_time=0",
		"call-hangup on PJSIP/trunk cause=16")
	f("ring-group", nil,
		"agent-dial on PJSIP/trunk agent_phone=208",
		"agent-dial on PJSIP/trunk agent_phone=209",
		"agent-hangup on PJSIP/trunk agent_phone=208 status=CANCEL cause=26",
		"call-answer on PJSIP/209 agent_phone=209",
		"agent-answer on PJSIP/trunk agent_phone=209",
		"agent-hangup on PJSIP/trunk agent_phone=209 status=ANSWER cause=16",
		"call-hangup on PJSIP/trunk status=ANSWER cause=16")
	f("direct", nil,
		"agent-dial on PJSIP/trunk agent_phone=208",
		"call-answer on PJSIP/208 agent_phone=208",
		"agent-answer on PJSIP/trunk agent_phone=208",
		"agent-hangup on PJSIP/trunk agent_phone=208 status=ANSWER cause=16",
		"call-hangup on PJSIP/trunk status=ANSWER cause=16")
	f("direct-busy", nil,
		"agent-dial on PJSIP/trunk agent_phone=208",
		"agent-hangup on PJSIP/trunk agent_phone=208 status=BUSY cause=17",
		"call-hangup on PJSIP/trunk status=BUSY cause=17")
	f("out-answered", nil,
		"agent-custom on PJSIP/210 agent_phone=210 dialed=79261110100",
		"agent-dialout-answer on PJSIP/210 agent_phone=210 dialed=79261110100",
		"agent-dialout-hangup on PJSIP/210 agent_phone=210 dialed=79261110100 status=ANSWER cause=16",
		"call-hangup on PJSIP/210 status=ANSWER cause=16")
	f("out-busy", nil,
		"agent-custom on PJSIP/210 agent_phone=210 dialed=79261110100",
		"agent-dialout-hangup on PJSIP/210 agent_phone=210 dialed=79261110100 status=BUSY cause=17",
		"call-hangup on PJSIP/210 status=BUSY cause=17")
	f("out-given-up", nil,
		"agent-custom on PJSIP/210 agent_phone=210 dialed=79261110100",
		"agent-dialout-hangup on PJSIP/210 agent_phone=210 dialed=79261110100 status=CANCEL cause=127",
		"call-hangup on PJSIP/210 status=CANCEL cause=127")
	// The half of the Local channel goes on, the caller's channel stays in the first queue.
	f("transferred", nil,
		"agent-dial on Local/121@ringhook-agents;2 in 520 agent_phone=121",
		"agent-answer on Local/121@ringhook-agents;2 in 520 agent_phone=121 wait_time=0",
		"agent-hangup on Local/121@ringhook-agents;2 in 520 agent_phone=121 status=ANSWER cause=16",
		"agent-dial on Local/124@ringhook-agents;2 in 521 agent_phone=124",
		"agent-answer on Local/124@ringhook-agents;2 in 521 agent_phone=124 wait_time=0",
		"agent-hangup on Local/124@ringhook-agents;2 in 521 agent_phone=124 status=ANSWER cause=16",
		"queue-hangup on Local/121@ringhook-agents;2 in 521 agent_phone=Local/124@ringhook-agents/n cause=16 queue_position=1 wait_time=0",
		"queue-hangup on PJSIP/trunk in 520 agent_phone=Local/121@ringhook-agents/n cause=16 queue_position=1 wait_time=0",
		"call-hangup on PJSIP/trunk cause=16")
	f("plain-transferred", nil,
		"agent-dial on PJSIP/200 in 590 agent_phone=200",
		"agent-answer on PJSIP/200 in 590 agent_phone=200 wait_time=0",
		"agent-hangup on PJSIP/200 in 590 agent_phone=200 status=ANSWER cause=16",
		"queue-hangup on PJSIP/trunk in 590 agent_phone=PJSIP/200 queue_position=1 wait_time=0",
		"agent-dial on Local/124@ringhook-agents;2 in 521 agent_phone=124",
		"agent-answer on Local/124@ringhook-agents;2 in 521 agent_phone=124 wait_time=0",
		"agent-hangup on Local/124@ringhook-agents;2 in 521 agent_phone=124 status=ANSWER cause=16",
		"queue-hangup on PJSIP/trunk in 521 agent_phone=Local/124@ringhook-agents/n cause=16 queue_position=1 wait_time=0",
		"call-hangup on PJSIP/trunk cause=16")
	f("transferred-to-colleague", nil,
		"agent-dial on Local/121@ringhook-agents;2 in 520 agent_phone=121",
		"agent-answer on Local/121@ringhook-agents;2 in 520 agent_phone=121 wait_time=0",
		"agent-hangup on Local/121@ringhook-agents;2 in 520 agent_phone=121 status=ANSWER cause=16",
		"agent-dial on Local/121@ringhook-agents;2 in 520 agent_phone=124",
		"agent-answer on Local/121@ringhook-agents;2 in 520 agent_phone=124",
		"agent-hangup on Local/121@ringhook-agents;2 in 520 agent_phone=124 status=ANSWER cause=16",
		"queue-hangup on PJSIP/trunk in 520 agent_phone=Local/121@ringhook-agents/n cause=16 queue_position=1 wait_time=0",
		"call-hangup on PJSIP/trunk cause=16")
}

// TestPresentationOfEnded checks that the number of a caller who withholds it is marked so in the report of the end, when
// Asterisk does not know the channel any more, and that of a caller of whom nothing could be read.
func TestPresentationOfEnded(t *testing.T) {
	for _, c := range []struct {
		first, event string // what Asterisk says at the beginning
		withheld     bool
	}{
		{"allowed_not_screened", "", false}, {"prohib_not_screened", "", true}, {"", "", true},
		{"allowed_not_screened", "32 (Presentation Prohibited, Not Screened)", true}, {"", "0 (Presentation Allowed, Not Screened)", false}, {"", "none at all", true},
	} {
		variables := map[string]string{"CALLERID(num-pres)": c.first}
		tr := newTranslator(variables)
		tr.All = true
		for _, e := range []Event{
			{Name: "Newchannel", Channel: "PJSIP/trunk-1", UniqueID: "1.1", LinkedID: "1.1", Number: "02079460142"},
			{Name: "NewCallerid", Channel: "PJSIP/trunk-1", UniqueID: "1.1", LinkedID: "1.1", Number: "02079460142", Presentation: c.event},
		} {
			tr.Event(&e)
		}
		clear(variables)
		got := tr.Event(&Event{Name: "Hangup", Channel: "PJSIP/trunk-1", UniqueID: "1.1", LinkedID: "1.1"})
		if len(got) != 1 || got[0].Caller.Number != "02079460142" || got[0].Caller.Withheld != c.withheld {
			t.Errorf("%+v: got %+v", c, got[0].Caller)
		}
		if first := got[0].First; first == nil || first.Name != "PJSIP/trunk-1" || first.Number != "02079460142" {
			t.Errorf("%+v: the first channel is %+v", c, first)
		}
	}
}

// TestWithheldLater checks that the caller counts as one who withholds the number in all reports after the dialplan has said so.
func TestWithheldLater(t *testing.T) {
	tr := newTranslator(map[string]string{"CALLERID(num-pres)": "allowed_not_screened"})
	tr.All = true
	on := func(name string) Event {
		return Event{Name: name, Channel: "PJSIP/trunk-1", UniqueID: "1.1", LinkedID: "1.1", Number: "02079460142"}
	}
	newchannel, join, change, hangup := on("Newchannel"), on("QueueCallerJoin"), on("NewCallerid"), on("Hangup")
	join.Queue, change.Presentation = "500", "32 (Presentation Prohibited, Not Screened)"
	tr.Event(&newchannel)
	tr.Event(&join)
	before := tr.callerOf("1.1")
	tr.Event(&change)
	tr.Read = func(string, ami.Variable) string { return "" } // the channel is gone
	for _, r := range tr.Event(&hangup) {
		if !r.Caller.Withheld || r.Caller.Number == "" {
			t.Errorf("%s: got %+v", r.Point, r.Caller)
		}
	}
	if before.Withheld {
		t.Error("the caller of an earlier report was changed")
	}
}

// TestAnotherAskedFirst translates calls that go to a second queue, about which another ringhook was asked first: it has
// removed QUEUESTATUS and noted on the channel how the caller left the first queue.
func TestAnotherAskedFirst(t *testing.T) {
	f := func(scenario, second, left string, want ...string) {
		t.Helper()
		for _, version := range []string{"16", "22"} {
			tr := newTranslator(nil)
			variables := map[string]string{}
			tr.Read = func(_ string, v ami.Variable) string { return variables[v.String()] }
			var got []string
			for _, e := range recorded(t, version, scenario) {
				if e.Name == "QueueCallerJoin" && e.Queue == second {
					variables["RINGHOOK_LEFT"] = left
				}
				for _, r := range tr.Event(&e) {
					if r.Point == dialplan.QueueHangup {
						got = append(got, short(r))
					}
				}
			}
			if !slices.Equal(got, want) {
				t.Errorf("%s of %s: got\n\t%s\nwant\n\t%s", scenario, version, strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
			}
		}
	}
	const last = "queue-hangup on PJSIP/trunk in 599 agent_phone=Local/206@ringhook-agents/n cause=16 queue_position=1 wait_time=0"
	f("queue-times-out", "599", "1795738479.36/1/520/TIMEOUT", "queue-hangup on PJSIP/trunk in 520 left=1795738479.36/1/520/TIMEOUT", last)
	f("refused", "599", "1795738520.60/1/593/FULL", "queue-hangup on PJSIP/trunk left=1795738520.60/1/593/FULL", last)
}

// TestStatusAfterLeave checks that QUEUESTATUS counts if Asterisk sets it after the event, also if the caller hangs up next.
func TestStatusAfterLeave(t *testing.T) {
	variables := map[string]string{}
	tr := newTranslator(variables)
	events := plainEvents(
		"Event: Newchannel\nChannel: PJSIP/trunk-1\nUniqueid: 1.1\nLinkedid: 1.1\nExten: 500\nCallerIDNum: 79161234567",
		"Event: QueueCallerJoin\nChannel: PJSIP/trunk-1\nUniqueid: 1.1\nLinkedid: 1.1\nQueue: 500\nPosition: 1",
		"Event: QueueCallerLeave\nChannel: PJSIP/trunk-1\nUniqueid: 1.1\nLinkedid: 1.1\nQueue: 500\nPosition: 1",
		"Event: Hangup\nChannel: PJSIP/trunk-1\nUniqueid: 1.1\nLinkedid: 1.1\nCause: 16")
	for i := range events[:3] {
		if got := tr.Event(&events[i]); len(got) > 0 {
			t.Fatalf("%s is reported at once", short(got[0]))
		}
	}
	left := events[2].At
	got, next := tr.Due(left.Add(time.Millisecond))
	if len(got) > 0 || !next.Equal(left.Add(askAgain)) {
		t.Errorf("%d reports, and the next look is %v after the event", len(got), next.Sub(left))
	}
	variables["QUEUESTATUS"] = "TIMEOUT"
	got, next = tr.Due(next)
	if len(got) != 1 || short(got[0]) != "queue-hangup on PJSIP/trunk-1 in 500 queue_status=TIMEOUT" || !next.IsZero() {
		t.Errorf("got %d reports, next %v", len(got), next)
	}
	if got := tr.Event(&events[3]); len(got) != 1 || got[0].Point != dialplan.CallHangup {
		t.Errorf("%d reports at the hangup", len(got))
	}
}

// plainEvents are events as text, without line ends.
func plainEvents(events ...string) []Event {
	return parse(strings.ReplaceAll(strings.Join(events, "\n\n")+"\n\n", "\n", "\r\n"))
}

// TestInside checks calls from phone to phone, with an agent's phone that answers or is busy.
func TestInside(t *testing.T) {
	f := func(status string, want ...string) {
		t.Helper()
		tr := newTranslator(nil)
		events := plainEvents(
			"Event: Newchannel\nChannel: PJSIP/210-1\nUniqueid: 1.1\nLinkedid: 1.1\nExten: 211\nCallerIDNum: 210",
			"Event: Newchannel\nChannel: PJSIP/211-2\nUniqueid: 1.2\nLinkedid: 1.1",
			"Event: DialBegin\nChannel: PJSIP/210-1\nUniqueid: 1.1\nLinkedid: 1.1\nExten: s\nDestChannel: PJSIP/211-2\nDestUniqueid: 1.2\nDialString: 211",
			"Event: DialEnd\nChannel: PJSIP/210-1\nUniqueid: 1.1\nLinkedid: 1.1\nDestChannel: PJSIP/211-2\nDestUniqueid: 1.2\nDialStatus: "+status,
			"Event: Hangup\nChannel: PJSIP/211-2\nUniqueid: 1.2\nLinkedid: 1.1\nCause: 16",
			"Event: Hangup\nChannel: PJSIP/210-1\nUniqueid: 1.1\nLinkedid: 1.1\nCause: 16")
		var got []string
		for i := range events {
			for _, r := range tr.Event(&events[i]) {
				got = append(got, strings.TrimSpace(short(r)+" "+r.Args["direction"]))
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: got\n\t%s\nwant\n\t%s", status, strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
		}
	}
	f("ANSWER",
		"agent-custom on PJSIP/210-1 agent_phone=210 dialed=211 internal",
		"agent-dial on PJSIP/210-1 agent_phone=211",
		"agent-answer on PJSIP/210-1 agent_phone=211",
		"agent-hangup on PJSIP/210-1 agent_phone=211 status=ANSWER cause=16",
		"agent-dialout-hangup on PJSIP/210-1 agent_phone=210 dialed=211 status=ANSWER cause=16",
		"call-hangup on PJSIP/210-1 status=ANSWER cause=16")
	f("BUSY",
		"agent-custom on PJSIP/210-1 agent_phone=210 dialed=211 internal",
		"agent-dial on PJSIP/210-1 agent_phone=211",
		"agent-hangup on PJSIP/210-1 agent_phone=211 status=BUSY cause=16",
		"agent-dialout-hangup on PJSIP/210-1 agent_phone=210 dialed=211 status=BUSY cause=16",
		"call-hangup on PJSIP/210-1 status=BUSY cause=16")
}

// TestNothingButTheEnd checks that a call whose end is its only report has its caller.
func TestNothingButTheEnd(t *testing.T) {
	tr := newTranslator(map[string]string{"CALLERID(num-pres)": "allowed_not_screened"})
	tr.All = true
	events := plainEvents(
		"Event: Newchannel\nChannel: PJSIP/trunk-1\nUniqueid: 1.1\nLinkedid: 1.1\nExten: 74951234500\nCallerIDNum: 79161234567\nCallerIDName: Anna",
		"Event: Hangup\nChannel: PJSIP/trunk-1\nUniqueid: 1.1\nLinkedid: 1.1\nCause: 16")
	tr.Event(&events[0])
	got := tr.Event(&events[1])
	want := dialplan.Caller{Number: "79161234567", Name: "Anna", DNID: "74951234500"}
	if len(got) != 1 || *got[0].Caller != want {
		t.Errorf("got %+v", got)
	}
	if len(tr.channels) != 0 {
		t.Errorf("channels are left: %v", tr.channels)
	}
}

// TestTransfersInCircles checks that channels that claim to have called each other do no harm.
func TestTransfersInCircles(t *testing.T) {
	tr := newTranslator(nil)
	a, b := &channel{}, &channel{}
	a.other, b.other, a.called, b.called = b, a, a, b
	if tr.stayBehind(a) != nil {
		t.Error("a stay was found")
	}
}
