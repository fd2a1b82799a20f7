//go:build e2e

package lab

import (
	"fmt"
	"maps"
	"math"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"ringhook/dialplan"
)

// Calls of one scenario are reported in three ways: by the AGI lines of the sample, by one AGI line and the manager
// interface, and by both at once.
const (
	byAGI  = "7499"
	byAMI  = "7497"
	byBoth = "7498"
	byTwo  = "7494" // two servers are asked at queue-dial
)

// reportLab is a lab with three servers: one that the sample asks, one that also listens to the manager interface,
// for calls that it has heard of, and one that no dialplan asks, which reports all calls to a receiver of its own.
type reportLab struct {
	*lab
	known, all *server
	overheard  *receiver
	trunk      sync.Mutex // held by the call that is beyond the trunk
}

func newReportLab(t *testing.T, suite string) *reportLab {
	l := &reportLab{lab: &lab{asterisk: startAsterisk(t, suite, nil), server: newServer(t, 4573, 4580), queues: labQueueList()}}
	t.Log(l.asterisk.version)
	l.crm = newCompany(t)
	l.overheard = newReceiver()
	listen, err := net.Listen("tcp", "127.0.0.1:8081")
	if err != nil {
		t.Fatal(err)
	}
	receiving := &http.Server{Handler: l.overheard}
	go receiving.Serve(listen)
	t.Cleanup(func() { receiving.Close() })
	l.known = reportServer(t, 4575, 4582, "known", "8080")
	l.all = reportServer(t, 4576, 4583, "all", "8081")
	l.server.extend(t, agents())
	for _, s := range []*server{l.server, l.known, l.all} {
		s.start(t)
		t.Cleanup(s.stop)
		s.awaitLive(t)
	}
	return l
}

// reportServer makes a server that reports every point from the manager interface.
func reportServer(t *testing.T, agi, http int, calls, receiver string) *server {
	t.Helper()
	s := newServer(t, agi, http)
	file := filepath.Join(s.folder, "ringhook.toml")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	changed := strings.NewReplacer(
		"secret = \"lab-s3cret\"\n", fmt.Sprintf("secret = \"lab-s3cret\"\npoints = [%q]\ncalls = %q\n", strings.Join(dialplan.ReportablePoints(), `", "`), calls),
		"127.0.0.1:8080/cti", "127.0.0.1:"+receiver+"/cti").Replace(string(text))
	changed = strings.ReplaceAll(changed, `\"`, `"`) + agents()
	if err := os.WriteFile(file, []byte(changed), 0o644); err != nil {
		t.Fatal(err)
	}
	return s
}

// agents names the phones that call out.
func agents() string {
	return fmt.Sprintf("\n[[agent]]\nphone = %q\n[[agent]]\nphone = %q\n", reportPhone(10), reportPhone(11))
}

// reported is a scenario of calls that are reported in all ways.
type reported struct {
	name string
	// noQueue calls are in no queue: the server that is asked at queue-dial alone does not hear of them.
	noQueue bool
	// outgoing calls are from a phone to the number; the others are from the number.
	outgoing bool
	// play plays the call of a number to a prefix.
	play func(t *testing.T, l *reportLab, prefix, number string)
	// except are names of parameters that may differ, as docs/control.md says.
	except []string
}

// TestReports checks that calls make the same events, however they are reported.
func TestReports(t *testing.T) {
	for _, suite := range suites {
		t.Run(suite, func(t *testing.T) {
			l := newReportLab(t, suite)
			l.watchQueues(t)
			t.Run("at once", func(t *testing.T) {
				for _, s := range reportedCalls() {
					t.Run(s.name, func(t *testing.T) {
						t.Parallel()
						s.compare(t, l)
					})
				}
			})
			l.crm.recheck(t)
			if t.Failed() {
				t.Logf("ringhook logged:\n%s", tail(l.known.log(0), 300))
			}
		})
	}
}

func (s reported) compare(t *testing.T, l *reportLab) {
	listening := l.crm.receiver // to the server that is asked at queue-dial
	if s.noQueue {
		listening = l.overheard
	}
	agi, ami, both := l.caller(t), l.caller(t), l.caller(t)
	s.play(t, l, byAGI, agi)
	want := s.events(t, l.crm.receiver, agi)
	s.play(t, l, byAMI, ami)
	s.same(t, "by AMI", s.events(t, listening, ami), want)
	s.play(t, l, byBoth, both)
	s.same(t, "by both", s.events(t, l.crm.receiver, both), want)
}

// events returns the events of a call that has ended, without call-dial, which only the dialplan reports.
func (s reported) events(t *testing.T, r *receiver, number string) []event {
	t.Helper()
	of := r.of(number)
	if s.outgoing {
		of = story{r, "dialed", number}
	}
	of.wait(t, "call-hangup", 1)
	var list []event
	for i, e := range of.events() {
		if e.number("seq") != i+1 {
			t.Errorf("event %d has seq %d: %v", i+1, e.number("seq"), e)
		}
		if s.outgoing { // each call is to another number
			e = maps.Clone(e)
			e["dialed"] = "the number"
		}
		if e.text("event") != "call-dial" {
			list = append(list, e)
		}
	}
	return list
}

// same compares the events of two calls, field by field.
func (s reported) same(t *testing.T, how string, got, want []event) {
	t.Helper()
	sameEvents(t, how, got, want, s.except)
}

// sameEvents compares the events of two calls, field by field, without the parameters of except.
func sameEvents(t *testing.T, how string, got, want []event, except []string) {
	t.Helper()
	got, want = without(got, except), without(want, except)
	order := func(e event) string {
		return e.text("event") + " " + e.text("queue_id") + " " + e.text("agent_phone") + " " + e.text("dialed")
	}
	for _, list := range [][]event{got, want} {
		slices.SortStableFunc(list, func(a, b event) int { return strings.Compare(order(a), order(b)) })
	}
	var names [2][]string
	for i, list := range [][]event{got, want} {
		for _, e := range list {
			names[i] = append(names[i], order(e))
		}
	}
	if !slices.Equal(names[0], names[1]) {
		t.Errorf("%s: events are\n\t%s\nwant\n\t%s", how, strings.Join(names[0], "\n\t"), strings.Join(names[1], "\n\t"))
		return
	}
	for i, e := range want {
		for _, list := range []event{e, got[i]} {
			if name := list.text("callerid_name"); name != "" && name == strings.TrimPrefix(list.text("callerid_raw"), "+") {
				list["callerid_name"] = "the number" // FreePBX names a caller without a name so
			}
		}
		for _, field := range slices.Sorted(maps.Keys(union(e, got[i]))) {
			if !alike(field, got[i][field], e[field]) {
				t.Errorf("%s: %s of %s is %v, want %v", how, field, names[1][i], got[i][field], e[field])
			}
		}
	}
}

// without returns copies of events without some parameters, such as "cause", or "agent-cancel cause" for that of one event.
func without(events []event, except []string) []event {
	list := make([]event, len(events))
	for i, e := range events {
		list[i] = maps.Clone(e)
		for _, name := range except {
			delete(list[i], strings.TrimPrefix(name, e.text("event")+" "))
		}
	}
	return list
}

func union(a, b event) event {
	u := maps.Clone(a)
	maps.Copy(u, b)
	return u
}

// alike reports whether a parameter is the same in two calls. Times and ids need only be there in both, and a busy
// machine makes seconds of what takes milliseconds.
func alike(field string, got, want any) bool {
	switch field {
	case "event_id", "time", "uniqueid", "linkedid", "call_uuid", "started", "answered", "ended", "ring_started", "transfer_uniqueid",
		"callerid", "callerid_raw", "directid", "region_time":
		return (got == nil) == (want == nil)
	case "seq":
		return true
	case "wait_time", "ring_time", "talk_time", "duration", "billsec":
		a, isNumber := got.(float64)
		b, isToo := want.(float64)
		return isNumber == isToo && math.Abs(a-b) <= busy
	}
	return got == want
}

// reportedCalls are the calls that are reported in all ways.
func reportedCalls() []reported {
	silent := phone{Silent: true}
	inQueue := func(phones []phone, c caller) func(*testing.T, *reportLab, string, string) {
		var q *queue
		return func(t *testing.T, l *reportLab, prefix, number string) {
			if q == nil {
				own := l.queue(t)
				q = &own
			}
			l.dial(t, prefix+"0000"+q.id, number, c, named(q.phones[:], phones))
		}
	}
	to := func(extension string, phones map[string]phone, c caller) func(*testing.T, *reportLab, string, string) {
		return func(t *testing.T, l *reportLab, prefix, number string) {
			l.dial(t, prefix+extension, number, c, phones)
		}
	}
	return []reported{
		{name: "answered, caller ends", play: inQueue([]phone{{Ring: time.Second}}, caller{Talk: 3 * time.Second})},
		{name: "answered, agent ends", play: inQueue([]phone{{Ring: time.Second, Talk: 2 * time.Second}}, caller{})},
		{name: "abandoned", play: inQueue([]phone{silent}, caller{GiveUp: 2 * time.Second})},
		{name: "busy, declined, answered", play: inQueue([]phone{{Refuse: "486 Busy Here"}, {Refuse: "603 Decline"}, {Talk: time.Second}}, caller{})},
		{name: "unavailable, answered", play: inQueue([]phone{{Refuse: "503 Service Unavailable"}, {Talk: time.Second}}, caller{})},
		{name: "no answer, answered", play: inQueue([]phone{silent, {Talk: time.Second}}, caller{})},
		// The phone that stops ringing can be reported before the one that is answered.
		{name: "ring all", except: []string{"answered"}, play: to("0000"+ringAll, map[string]phone{reportPhone(3): silent, reportPhone(4): {Ring: 2 * time.Second, Talk: time.Second}}, caller{})},
		{name: "Local channel that leaves the call", play: to("0000"+optimized, map[string]phone{reportPhone(5): {Ring: time.Second, Talk: 2 * time.Second}}, caller{})},
		// The end of the first ring can be reported after the answer of the second.
		{name: "another queue after a timeout", except: []string{"agent-cancel answered"}, play: to("0001"+ringAgain, map[string]phone{reportPhone(12): silent, reportPhone(6): {Talk: time.Second}}, caller{})},
		{name: "refused by the first queue", play: to("0001"+full, map[string]phone{reportPhone(7): {Talk: time.Second}}, caller{})},
		{name: "members without a Local channel", except: []string{"queue_id", "queue_name"}, play: plainOrLocal},
		{name: "direct call", noQueue: true, except: directCall, play: to("0003"+reportPhone(13), map[string]phone{reportPhone(13): {Ring: time.Second}}, caller{Talk: 3 * time.Second})},
		{name: "direct call, busy", noQueue: true, except: directCall, play: to("0003"+reportPhone(14), map[string]phone{reportPhone(14): {Refuse: "486 Busy Here"}}, caller{Refused: "486"})},
		{name: "direct call, given up", noQueue: true, except: directCall, play: to("0003"+reportPhone(15), map[string]phone{reportPhone(15): silent}, caller{GiveUp: 2 * time.Second})},
		// As in ring all, the first phone may stop ringing before the answer is reported.
		{name: "ring group", noQueue: true, except: append([]string{"agent-cancel answered"}, directCall...), play: to("0002"+reportPhone(8), map[string]phone{reportPhone(8): silent, reportPhone(9): {Ring: 2 * time.Second, Talk: time.Second}}, caller{})},
		{name: "call out", noQueue: true, outgoing: true, play: out(reportPhone(10), phone{Ring: time.Second}, caller{Talk: 2 * time.Second})},
		{name: "call out, busy", noQueue: true, outgoing: true, play: out(reportPhone(11), phone{Refuse: "486 Busy Here"}, caller{Refused: "486"})},
	}
}

// directCall are parameters of a call without a queue that is looked up at a point of the dialplan, and else is not.
var directCall = []string{"match", "match_count"}

// plainOrLocal is a call to a queue whose members are phones. To be asked for each member, the dialplan needs Local
// channels.
func plainOrLocal(t *testing.T, l *reportLab, prefix, number string) {
	id := plainMembers
	if prefix == byAGI {
		id = localMembers
	}
	phones := map[string]phone{reportPhone(0): {Refuse: "486 Busy Here"}, reportPhone(1): {Silent: true}, reportPhone(2): {Ring: time.Second, Talk: 2 * time.Second}}
	l.dial(t, prefix+"0000"+id, number, caller{}, phones)
}

// out is a call of a phone to a number.
func out(from string, far phone, c caller) func(*testing.T, *reportLab, string, string) {
	return func(t *testing.T, l *reportLab, prefix, number string) {
		l.trunk.Lock()
		defer l.trunk.Unlock()
		trunk := l.phone(t, "trunk", far)
		defer trunk.stop()
		c.From, c.Number = from, from
		l.call(t, map[string]string{byAMI: "97", byBoth: "98"}[prefix]+number, c).wait(t)
	}
}

func named(names []string, phones []phone) map[string]phone {
	m := map[string]phone{}
	for i, p := range phones {
		m[names[i]] = p
	}
	return m
}

// dial plays a call, and returns after its end.
func (l *reportLab) dial(t *testing.T, to, number string, c caller, phones map[string]phone) {
	t.Helper()
	var running []*sipp
	for name, p := range phones {
		running = append(running, l.phone(t, name, p))
	}
	c.Number, c.Name = number, "Caller"
	l.call(t, to, c).wait(t)
	for _, p := range running {
		p.stop()
	}
}
