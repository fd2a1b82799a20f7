//go:build e2e

package lab

import (
	"path/filepath"
	"testing"
	"time"
)

// plainAnswered is README's lines around a queue without setinterfacevar=yes: nothing
// names the agent, and the answered call is an answered call all the same.
func plainAnswered(t *testing.T, l *lab) {
	number := l.caller(t)
	told := l.crm.of(number)
	l.phone(t, plainPhone, phone{Ring: time.Second, Talk: 3 * time.Second})
	l.call(t, queueNumber(plainQueue), caller{Number: number}).wait(t)
	told.expect(t, "call-dial queue-dial queue-hangup call-hangup")
	hangup := told.wait(t, "queue-hangup", 1)
	hangup.has(t, map[string]string{"status": "answer", "agent_phone": ""})
	if filepath.Base(l.asterisk.root) == "sid" { // Asterisk 16 does not say when the agent answered
		hangup.has(t, map[string]string{"talk_time": "2~", "wait_time": "1~"})
	}
	told.wait(t, "call-hangup", 1).has(t, map[string]string{"status": "answer", "billsec": "3~"})
}

// plainAsked is the same queue with agent-answer as its AGI: the event comes and the
// visit is answered.
func plainAsked(t *testing.T, l *lab) {
	number := l.caller(t)
	told := l.crm.of(number)
	p := l.phone(t, askedPhone, phone{Ring: time.Second, Talk: 3 * time.Second})
	l.call(t, queueNumber(askedQueue), caller{Number: number}).wait(t)
	told.expect(t, "call-dial queue-dial agent-answer queue-hangup call-hangup")
	told.wait(t, "agent-answer", 1).has(t, map[string]string{"queue_id": askedQueue, "wait_time": "1~"})
	told.wait(t, "queue-hangup", 1).has(t, map[string]string{"status": "answer", "talk_time": "2~"})
	p.stop()

	given := l.caller(t)
	l.phone(t, askedPhone, phone{Silent: true})
	l.call(t, queueNumber(askedQueue), caller{Number: given, Talk: 3 * time.Second}).wait(t)
	told = l.crm.of(given)
	told.expect(t, "call-dial queue-dial queue-hangup queue-abandon call-hangup")
	told.wait(t, "queue-abandon", 1).has(t, map[string]string{"status": "cancel", "wait_time": "2~"})
	told.wait(t, "call-hangup", 1).has(t, map[string]string{"status": "cancel", "billsec": "0"})
}

// withheld is a caller whose number the trunk knows and marks as not to be shown:
// no source is asked about it, and neither events nor the live state have it.
func withheld(t *testing.T, l *lab) {
	q, number := l.queue(t), l.caller(t)
	l.crm.say(number, known("CALLERID(name)", "must not be asked"))
	l.phone(t, q.phones[0], phone{Ring: 2 * time.Second, Talk: 2 * time.Second})
	did := "74963000" + q.id // no other test calls it, also if it gets this queue later
	call := l.call(t, did, caller{Number: number, Name: "K. Ivanov", Withheld: true})
	if w := l.waiting(t, q, 1); w[0].Caller != "" || w[0].Name != "" {
		t.Errorf("shown as waiting: %+v", w[0])
	}
	call.wait(t)
	told := story{l.crm.receiver, "directid", did}
	told.expect(t, "call-dial queue-dial agent-dial agent-answer { agent-hangup queue-hangup } call-hangup")
	for _, e := range told.events() {
		e.has(t, map[string]string{"callerid_withheld": "true", "callerid": "", "callerid_raw": "", "callerid_name": ""})
	}
}
