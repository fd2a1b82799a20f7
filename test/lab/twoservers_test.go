//go:build e2e

package lab

import (
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
)

// twoServers is a lab with two ringhooks that report the calls of one Asterisk, each to a receiver of its own and both to
// a third one. The dialplan asks both at queue-dial.
type twoServers struct {
	*reportLab // its server is the first, and its all the second
	common     *receiver

	mu      sync.Mutex
	callers []string // whose events were compared; guarded by mu
}

// TestTwoServers checks that two ringhooks give an event the same id, so that a receiver that drops repeats has each
// event once.
func TestTwoServers(t *testing.T) {
	for _, suite := range suites {
		t.Run(suite, func(t *testing.T) {
			l := newTwoServers(t, suite)
			t.Run("at once", func(t *testing.T) {
				for _, s := range reportedCalls() {
					if s.noQueue {
						continue
					}
					t.Run(s.name, func(t *testing.T) {
						t.Parallel()
						number := l.caller(t)
						s.play(t, l.reportLab, byTwo, number)
						l.sameIDs(t, number)
					})
				}
			})
			l.run(t, "the first is killed", func(t *testing.T, _ *lab) { l.oneKilled(t, l.server, l.crm.receiver, l.overheard) })
			l.run(t, "the second is killed", func(t *testing.T, _ *lab) { l.oneKilled(t, l.all, l.overheard, l.crm.receiver) })
			for _, number := range l.callers {
				l.sameIDs(t, number) // nothing has come since
			}
			if t.Failed() {
				t.Logf("the first ringhook logged:\n%s\nthe second:\n%s", tail(l.server.log(0), 200), tail(l.all.log(0), 200))
			}
		})
	}
}

func newTwoServers(t *testing.T, suite string) *twoServers {
	t.Helper()
	l := &twoServers{reportLab: &reportLab{lab: &lab{asterisk: startAsterisk(t, suite, nil), crm: newCompany(t), queues: labQueueList()}}, common: newReceiver()}
	t.Log(l.asterisk.version)
	l.overheard = newReceiver()
	for port, r := range map[string]*receiver{"8081": l.overheard, "8082": l.common} {
		listen, err := net.Listen("tcp", "127.0.0.1:"+port)
		must(t, err)
		receiving := &http.Server{Handler: r}
		go receiving.Serve(listen)
		t.Cleanup(func() { receiving.Close() })
	}
	l.server = reportServer(t, 4575, 4582, "known", "8080")
	l.all = reportServer(t, 4576, 4583, "known", "8081")
	for _, s := range []*server{l.server, l.all} {
		s.extend(t, "\n[[hook]]\nname = \"common\"\nevents = [\"*\"]\nurl = \"http://127.0.0.1:8082/cti\"\n")
		s.start(t)
		t.Cleanup(func() { s.stop() })
		s.awaitLive(t)
	}
	return l
}

// sameIDs waits for the end of a call, and checks that both ringhooks gave its events the same ids, so that the common
// receiver has each event once, and with the same status unless one is concluded. The ringhook that is asked first about the
// next queue removes QUEUESTATUS from the channel, so the other has it from RINGHOOK_LEFT.
func (l *twoServers) sameIDs(t *testing.T, number string) {
	t.Helper()
	all := map[string]string{}
	var reported [2]map[string]string
	concluded := false
	for _, r := range []*receiver{l.crm.receiver, l.overheard} {
		r.of(number).wait(t, "call-hangup", 1)
		concluded = concluded || slices.ContainsFunc(r.of(number).events(), func(e event) bool { return e["presumed"] == true })
	}
	for i, r := range []*receiver{l.crm.receiver, l.overheard} {
		reported[i] = ids(r.of(number), !concluded)
		maps.Copy(all, reported[i])
	}
	if !maps.Equal(reported[0], reported[1]) {
		t.Errorf("events of %s: the first ringhook has\n%v\nthe second\n%v", number, l.crm.of(number).events(), l.overheard.of(number).events())
	}
	common := l.common.of(number)
	eventually(t, "the common receiver has the events of both", func() bool { return len(common.events()) >= len(all) })
	if got := ids(common, !concluded); !maps.Equal(got, all) {
		t.Errorf("events of %s at the common receiver: %v, want %v", number, got, all)
	}
	known := map[string]bool{}
	for _, e := range common.events() {
		key := strings.Join([]string{e.text("event"), e.text("uniqueid"), e.text("queue_id"), e.text("agent_phone")}, " ")
		if known[key] {
			t.Errorf("the common receiver has %s twice", key)
		}
		known[key] = true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if !slices.Contains(l.callers, number) {
		l.callers = append(l.callers, number)
	}
}

// ids returns the events' names, and statuses if they are wanted, by their ids.
func ids(of story, statuses bool) map[string]string {
	names := map[string]string{}
	for _, e := range of.events() {
		names[e.text("event_id")] = e.text("event")
		if statuses {
			names[e.text("event_id")] += " " + e.text("status")
		}
	}
	return names
}

// oneKilled kills one ringhook while a caller talks, and starts it again after the call: it concludes how the call ended.
func (l *twoServers) oneKilled(t *testing.T, s *server, its, other *receiver) {
	q, number := l.queue(t), l.caller(t)
	l.phone(t, q.phones[0], phone{})
	call := l.call(t, byTwo+"0000"+q.id, caller{Number: number, Told: true})
	its.of(number).wait(t, "agent-answer", 1)
	other.of(number).wait(t, "agent-answer", 1)
	s.kill()
	call.tell(t)
	call.wait(t)
	other.of(number).wait(t, "call-hangup", 1).presumed(t, false)
	s.start(t)
	s.awaitLive(t)
	its.of(number).wait(t, "call-hangup", 1).presumed(t, true)
	l.sameIDs(t, number)
}
