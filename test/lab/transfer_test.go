//go:build e2e

package lab

import (
	"testing"
	"time"
)

// transferred is a call that an agent sends on to another queue with the
// transfer key of the phone.
func transferred(t *testing.T, l *lab) {
	first, second, number := l.queue(t), l.queue(t), l.caller(t)
	l.phone(t, first.phones[0], phone{Ring: time.Second, Talk: 2 * time.Second, TransferTo: second.id})
	l.phone(t, second.phones[0], phone{Ring: time.Second, Talk: 3 * time.Second})
	l.call(t, first.did, caller{Number: number}).wait(t)

	told := l.crm.of(number)
	told.expect(t, `call-dial queue-dial agent-dial agent-answer { agent-hangup queue-dial } agent-dial agent-answer
		{ agent-hangup queue-hangup queue-hangup } call-hangup`)
	one, two := told.wait(t, "queue-dial", 1), told.wait(t, "queue-dial", 2)
	one.has(t, map[string]string{"queue_id": first.id, "transfer_uniqueid": ""})
	two.has(t, map[string]string{"queue_id": second.id, "transfer_uniqueid": one.text("uniqueid")})
	told.wait(t, "agent-hangup", 1).has(t, map[string]string{"agent_phone": first.phones[0], "queue_id": first.id, "status": "answer", "talk_time": "1~"})
	told.wait(t, "agent-hangup", 2).has(t, map[string]string{"agent_phone": second.phones[0], "queue_id": second.id, "status": "answer", "talk_time": "2~"})
	for _, e := range told.all("queue-hangup") {
		if e.text("queue_id") == second.id {
			e.has(t, map[string]string{"status": "answer", "wait_time": "1~", "talk_time": "2~", "transfer_uniqueid": one.text("uniqueid")})
		} else {
			e.has(t, map[string]string{"queue_id": first.id, "status": "answer", "wait_time": "1~", "transfer_uniqueid": ""})
		}
	}
}

// transferredAndGivenUp is one whose caller does not wait for the second queue.
func transferredAndGivenUp(t *testing.T, l *lab) {
	first, second, number := l.queue(t), l.queue(t), l.caller(t)
	l.phone(t, first.phones[0], phone{Talk: time.Second, TransferTo: second.id})
	l.phone(t, second.phones[0], phone{Silent: true})
	l.call(t, first.did, caller{Number: number, Talk: 4 * time.Second}).wait(t)

	told := l.crm.of(number)
	told.expect(t, `call-dial queue-dial agent-dial agent-answer { agent-hangup queue-dial } agent-dial
		{ agent-cancel queue-hangup queue-abandon queue-hangup call-hangup }`)
	told.wait(t, "queue-abandon", 1).has(t, map[string]string{"queue_id": second.id, "wait_time": "2~", "status": "cancel"})
	told.wait(t, "agent-cancel", 1).has(t, map[string]string{"agent_phone": second.phones[0], "status": "cancel"})
}

// directTransferred has no Local channel between caller and agent: the
// caller's own channel goes on to the queue.
func directTransferred(t *testing.T, l *lab) {
	q, number := l.queue(t), l.caller(t)
	l.phone(t, q.phones[2], phone{Talk: time.Second, TransferTo: q.id})
	l.phone(t, q.phones[0], phone{Talk: 2 * time.Second})
	l.call(t, phoneNumber(q.phones[2]), caller{Number: number, Name: "Caller"}).wait(t)

	told := l.crm.of(number)
	told.expect(t, `call-dial agent-dial { call-answer agent-answer } { agent-hangup queue-dial } agent-dial agent-answer
		{ agent-hangup queue-hangup } call-hangup`)
	if e := told.wait(t, "queue-dial", 1); e.text("transfer_uniqueid") == "" {
		t.Errorf("the visit says nothing of the transfer: %v", e)
	}
	told.wait(t, "agent-hangup", 1).has(t, map[string]string{"agent_phone": q.phones[2], "status": "answer"})
	told.wait(t, "call-hangup", 1).has(t, map[string]string{"callerid_name": "Caller", "directid": phoneNumber(q.phones[2])})
}

// toColleague is a call that an agent sends on to one person.
func toColleague(t *testing.T, l *lab) {
	q, number := l.queue(t), l.caller(t)
	l.phone(t, q.phones[0], phone{Talk: time.Second, TransferTo: q.phones[2]})
	l.phone(t, q.phones[2], phone{Ring: time.Second, Talk: 2 * time.Second})
	l.call(t, q.did, caller{Number: number, Name: "Caller"}).wait(t)

	told := l.crm.of(number)
	told.expect(t, `call-dial queue-dial agent-dial agent-answer { agent-hangup agent-custom } agent-dial agent-answer
		{ agent-hangup agent-dialout-hangup queue-hangup } call-hangup`)
	told.wait(t, "agent-custom", 1).has(t, map[string]string{
		"agent_phone": q.phones[0], "dialed": q.phones[2], "transfer_uniqueid": told.wait(t, "queue-dial", 1).text("uniqueid"),
	})
	told.wait(t, "agent-hangup", 2).has(t, map[string]string{"agent_phone": q.phones[2], "status": "answer", "talk_time": "1~"})
	told.wait(t, "call-hangup", 1).has(t, map[string]string{"callerid_name": "Caller", "directid": q.did})
}

// byTransferKey is a call that an agent's phone transfers after it asked a colleague by a second call of its own. Asterisk joins both
// calls then; the consultation keeps the colleague's ring.
func byTransferKey(t *testing.T, l *lab) {
	q, number := l.queue(t), l.caller(t)
	transferred := l.deskPhone(t, q.phones[0], q.phones[2], 2*time.Second)
	l.phone(t, q.phones[2], phone{Ring: time.Second, Talk: 5 * time.Second})
	call := l.call(t, q.did, caller{Number: number, Name: "Caller"})
	transferred()
	call.wait(t)

	told := l.crm.of(number)
	told.expect(t, "call-dial queue-dial agent-dial agent-answer { agent-hangup queue-hangup } call-hangup")
	told.wait(t, "agent-hangup", 1).has(t, map[string]string{"agent_phone": q.phones[0], "status": "answer"})
	asked := story{l.crm.receiver, "callerid", q.phones[0]}
	asked.expect(t, "agent-custom agent-dial agent-answer { agent-hangup agent-dialout-hangup } call-hangup")
	asked.wait(t, "agent-hangup", 1).has(t, map[string]string{"agent_phone": q.phones[2], "status": "answer", "ring_time": "1~", "talk_time": "2~"})
}
