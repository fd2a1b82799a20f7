//go:build e2e

package lab

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"ringhook/test/wait"
)

const wholeCall = "call-dial queue-dial agent-dial agent-answer { agent-hangup queue-hangup } call-hangup"

// slowCRM answers long after the point's budget: the call goes on without it.
func slowCRM(t *testing.T, l *lab) {
	q, number := l.queue(t), l.caller(t)
	l.crm.say(number, silence)
	unnamed(t, l, q, number, "TIMEOUT", 4)
}

// rubbishCRM answers with a page for people.
func rubbishCRM(t *testing.T, l *lab) {
	q, number := l.queue(t), l.caller(t)
	l.crm.say(number, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		w.Write([]byte("<html>\x00\xff<body>CALLERID(name)=Eve&QUEUE_PRIO=99</body></html>"))
	})
	unnamed(t, l, q, number, "ERROR", 2)
}

// crmDown is a CRM that is not running: neither its lookup nor its
// hook is there. The events wait for it.
func crmDown(t *testing.T, l *lab) {
	q, number := l.queue(t), l.caller(t)
	l.crm.server.Close()
	l.phone(t, q.phones[0], phone{Talk: time.Second})
	l.call(t, q.did, caller{Number: number, Name: "As sent"}).wait(t)
	if got := l.crm.of(number).events(); len(got) != 0 {
		t.Errorf("who was down got %v", got)
	}
	l.crm.open(t)
	told := l.crm.of(number)
	told.expect(t, wholeCall)
	told.wait(t, "agent-answer", 1).has(t, map[string]string{"callerid_name": "As sent", "agent_phone": q.phones[0]})
}

// unnamed is a call of which the CRM returns no name: it rings as it came, and no
// later than the budget allows.
func unnamed(t *testing.T, l *lab, q queue, number, status string, within int) {
	t.Helper()
	phone := l.phone(t, q.phones[0], phone{Talk: 2 * time.Second})
	call := l.call(t, q.did, caller{Number: number, Name: "As sent"})
	told := l.crm.of(number)
	answer := told.wait(t, "agent-answer", 1)
	c := l.asterisk.channelOf(t, answer.text("linkedid"), "PJSIP/trunk")
	if c.fields["RINGHOOK_STATUS"] != status || c.fields["Caller ID Name"] != "As sent" || c.fields["QUEUE_PRIO"] != "" {
		t.Errorf("the channel has RINGHOOK_STATUS %q, name %q, QUEUE_PRIO %q; want %s, the name as sent and none",
			c.fields["RINGHOOK_STATUS"], c.fields["Caller ID Name"], c.fields["QUEUE_PRIO"], status)
	}
	showed(t, phone, "As sent")
	if waited := answer.number("wait_time"); waited > within+busy {
		t.Errorf("the caller waited %d seconds, %d at most are right", waited, within)
	}
	call.wait(t)
	told.expect(t, wholeCall)
}

// showed checks the name that a phone got first.
func showed(t *testing.T, phone *sipp, name string) {
	t.Helper()
	if from := phone.headers(t, "From"); len(from) == 0 || !strings.HasPrefix(from[0], `"`+name+`" <sip:`) {
		t.Errorf("the phone showed %q, want %q", from, name)
	}
}

// notRunning is a call without ringhook: it goes its way, and a call after
// that is reported as always.
func notRunning(t *testing.T, l *lab) {
	q, number := l.queue(t), l.caller(t)
	l.server.stop()
	phone := l.phone(t, q.phones[0], phone{Talk: time.Second})
	l.call(t, q.did, caller{Number: number, Name: "As sent"}).wait(t)
	showed(t, phone, "As sent")
	l.server.start(t)
	if got := l.crm.of(number).events(); len(got) != 0 {
		t.Errorf("events of a call that was not reported: %v", got)
	}
	later := l.caller(t)
	l.call(t, q.did, caller{Number: later}).wait(t)
	l.crm.of(later).expect(t, wholeCall)
}

// secondServer answers where the first does not.
func secondServer(t *testing.T, l *lab) {
	q, number := l.queue(t), l.caller(t)
	l.crm.say(number, known("CALLERID(name)", "By the second", "QUEUE_PRIO", "3"))
	l.server.stop()
	defer l.server.start(t)
	second := newServer(t, 4574, 4581)
	second.start(t)
	defer second.stop()
	l.phone(t, q.phones[0], phone{Talk: time.Second})
	l.call(t, q.did, caller{Number: number}).wait(t)
	told := l.crm.of(number)
	told.expect(t, wholeCall)
	told.wait(t, "agent-answer", 1).has(t, map[string]string{"callerid_name": "By the second", "queue_prio": "3"})
}

// killed loses ringhook while one caller talks, one is being rung for, and one
// waits; it comes back while they still do.
func killed(t *testing.T, l *lab) {
	talking, ringing := l.queue(t), l.queue(t)
	talks, rings := l.caller(t), l.caller(t)
	l.phone(t, talking.phones[0], phone{Ring: time.Second})
	l.phone(t, ringing.phones[0], phone{Ring: 6 * time.Second})
	first := l.call(t, talking.did, caller{Number: talks, Talk: 8 * time.Second})
	l.crm.of(talks).wait(t, "agent-answer", 1)
	second := l.call(t, ringing.did, caller{Number: rings, Talk: 2 * time.Second})
	l.crm.of(rings).wait(t, "agent-dial", 1)

	l.server.kill()
	l.server.start(t)
	first.wait(t)
	second.wait(t)

	l.crm.of(talks).expect(t, wholeCall)
	l.crm.of(talks).wait(t, "agent-hangup", 1).has(t, map[string]string{"status": "answer", "ring_time": "1~", "talk_time": "7~"})
	l.crm.of(talks).wait(t, "queue-hangup", 1).has(t, map[string]string{"status": "answer", "wait_time": "1~"})
	l.crm.of(rings).expect(t, wholeCall)
	l.crm.of(rings).wait(t, "agent-answer", 1).has(t, map[string]string{"ring_time": "6~", "wait_time": "6~"})
	l.crm.of(rings).wait(t, "agent-hangup", 1).has(t, map[string]string{"status": "answer", "talk_time": "1~"})
}

// ringUnheard loses ringhook while it is asked before a phone is rung: that the
// phone was rung is not reported, but who answered and how it ended is.
func ringUnheard(t *testing.T, l *lab) {
	q := l.queue(t)
	for _, c := range []struct {
		name  string
		asked int32 // how often the CRM is asked until then
		want  string
	}{
		{"direct", 1, "call-dial { call-answer agent-answer } agent-hangup call-hangup"},
		{"queue", 2, "call-dial queue-dial agent-answer { agent-hangup queue-hangup } call-hangup"},
	} {
		number, name, did := l.caller(t), q.phones[0], q.did
		if c.name == "direct" {
			name, did = q.phones[2], phoneNumber(q.phones[2])
		}
		var asked atomic.Int32
		gone := make(chan struct{})
		l.crm.say(number, func(w http.ResponseWriter, _ *http.Request) {
			if asked.Add(1) == c.asked {
				l.server.kill()
				close(gone)
			}
			http.Error(w, "not today", http.StatusInternalServerError)
		})
		l.phone(t, name, phone{Ring: 8 * time.Second, Talk: 2 * time.Second})
		call := l.call(t, did, caller{Number: number})
		select {
		case <-gone:
		case <-time.After(wait.Limit):
			t.Fatalf("%s: the CRM is not asked", c.name)
		}
		l.server.start(t)
		call.wait(t)
		told := l.crm.of(number)
		told.expect(t, c.want)
		told.wait(t, "agent-answer", 1).has(t, map[string]string{"agent_phone": name})
		told.wait(t, "agent-hangup", 1).has(t, map[string]string{"agent_phone": name, "status": "answer", "talk_time": "1~"})
		told.wait(t, "call-hangup", 1).has(t, map[string]string{"agent_phone": name, "status": "answer"})
	}
}
