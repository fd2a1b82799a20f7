//go:build e2e

package lab

import (
	"strings"
	"testing"
	"time"

	"ringhook/dialplan"
)

// answered is the call that all is for, by the sample's own number and queue:
// what the CRM says is on the channels and on the phone, and what happened is reported.
func answered(t *testing.T, l *lab) {
	number := l.caller(t)
	l.crm.say(number, known("CALLERID(name)", "Карл Ивáнов", "QUEUE_PRIO", "7", "call_info", "https://crm.example/17?a=1&b=2"))
	phone := l.phone(t, "101", phone{Ring: time.Second, Talk: 3 * time.Second})
	call := l.call(t, "74951234500", caller{Number: number, Name: "K. Ivanov"})

	told := l.crm.of(number)
	answer := told.wait(t, "agent-answer", 1)
	answer.has(t, map[string]string{
		"agent_phone": "101", "queue_id": "500", "ring_time": "1~", "wait_time": "1~", "directid": "74951234500",
		"callerid_name": "Карл Ивáнов", "queue_prio": "7", "direction": "incoming",
		"call_uuid": dialplan.NewIdentity(answer.text("linkedid"), "", l.asterisk.entity()).UUID(),
	})
	for device, want := range map[string]map[string]string{
		"PJSIP/trunk": {"Caller ID Name": "Карл Ивáнов", "QUEUE_PRIO": "7", "call_info": "https://crm.example/17?a=1&b=2", "RINGHOOK_STATUS": "FOUND"},
		"PJSIP/101":   {"Connected Line ID Name": "Карл Ивáнов", "call_info": "https://crm.example/17?a=1&b=2"},
	} {
		c := l.asterisk.channelOf(t, answer.text("linkedid"), device)
		for name, value := range want {
			if c.fields[name] != value {
				t.Errorf("%s of %s is %q, want %q", name, c.name, c.fields[name], value)
			}
		}
	}
	showed(t, phone, "Карл Ивáнов")

	call.wait(t)
	told.expect(t, "call-dial queue-dial agent-dial agent-answer { agent-hangup queue-hangup } call-hangup")
	told.wait(t, "agent-hangup", 1).has(t, map[string]string{"status": "answer", "ring_time": "1~", "talk_time": "2~", "cause": "16", "agent_phone": "101"})
	told.wait(t, "queue-hangup", 1).has(t, map[string]string{"status": "answer", "wait_time": "1~", "talk_time": "2~", "queue_position": "1"})
	told.wait(t, "call-hangup", 1).has(t, map[string]string{"status": "answer", "final": "true", "duration": "3~", "billsec": "2~"})
}

// twoBusy is a call to a department: two agents are busy, the third answers.
func twoBusy(t *testing.T, l *lab) {
	q, number := l.queue(t), l.caller(t)
	l.phone(t, q.phones[0], phone{Refuse: "486 Busy Here"})
	l.phone(t, q.phones[1], phone{Refuse: "486 Busy Here"})
	l.phone(t, q.phones[2], phone{Ring: time.Second})
	l.call(t, q.did, caller{Number: number, Talk: 2 * time.Second}).wait(t)

	told := l.crm.of(number)
	told.expect(t, `call-dial queue-dial agent-dial agent-cancel agent-dial agent-cancel agent-dial agent-answer
		{ agent-hangup queue-hangup } call-hangup`)
	for i := range 2 {
		told.wait(t, "agent-dial", i+1).has(t, map[string]string{"agent_phone": q.phones[i], "queue_id": q.id})
		told.wait(t, "agent-cancel", i+1).has(t, map[string]string{"agent_phone": q.phones[i], "status": "busy", "cause": "17", "queue_id": q.id})
	}
	told.wait(t, "agent-hangup", 1).has(t, map[string]string{"agent_phone": q.phones[2], "status": "answer", "talk_time": "1~"})
	told.wait(t, "queue-hangup", 1).has(t, map[string]string{"agent_phone": q.phones[2], "status": "answer", "wait_time": "1~"})
}

func declined(t *testing.T, l *lab) {
	q, number := l.queue(t), l.caller(t)
	l.phone(t, q.phones[0], phone{Refuse: "603 Decline"})
	l.phone(t, q.phones[1], phone{Refuse: "503 Service Unavailable"})
	l.phone(t, q.phones[2], phone{Talk: time.Second})
	l.call(t, q.did, caller{Number: number}).wait(t)

	told := l.crm.of(number)
	told.expect(t, `call-dial queue-dial agent-dial agent-cancel agent-dial agent-cancel agent-dial agent-answer
		{ agent-hangup queue-hangup } call-hangup`)
	told.wait(t, "agent-cancel", 1).has(t, map[string]string{"agent_phone": q.phones[0], "status": "unavailable", "cause": "21"})
	told.wait(t, "agent-cancel", 2).has(t, map[string]string{"agent_phone": q.phones[1], "status": "unavailable", "cause": "34"})
}

func noAnswer(t *testing.T, l *lab) {
	q, number := l.queue(t), l.caller(t)
	l.phone(t, q.phones[0], phone{Silent: true})
	l.phone(t, q.phones[1], phone{Ring: time.Second, Talk: time.Second})
	l.call(t, q.did, caller{Number: number}).wait(t)

	told := l.crm.of(number)
	told.expect(t, "call-dial queue-dial agent-dial agent-cancel agent-dial agent-answer { agent-hangup queue-hangup } call-hangup")
	told.wait(t, "agent-cancel", 1).has(t, map[string]string{"agent_phone": q.phones[0], "status": "noanswer", "ring_time": "15~"})
	told.wait(t, "agent-hangup", 1).has(t, map[string]string{"agent_phone": q.phones[1], "status": "answer", "ring_time": "1~"})
	told.wait(t, "queue-hangup", 1).has(t, map[string]string{"agent_phone": q.phones[1], "status": "answer", "wait_time": "16~"})
}

func abandoned(t *testing.T, l *lab) {
	q, number := l.queue(t), l.caller(t)
	l.phone(t, q.phones[0], phone{Silent: true})
	l.call(t, q.did, caller{Number: number, GiveUp: 3 * time.Second}).wait(t)

	told := l.crm.of(number)
	told.expect(t, "call-dial queue-dial agent-dial { agent-cancel queue-hangup queue-abandon } call-hangup")
	told.wait(t, "agent-cancel", 1).has(t, map[string]string{"status": "cancel", "ring_time": "3~"})
	told.wait(t, "queue-abandon", 1).has(t, map[string]string{"status": "cancel", "wait_time": "3~", "queue_id": q.id})
	told.wait(t, "call-hangup", 1).has(t, map[string]string{"status": "cancel", "duration": "3~", "billsec": "0", "final": "true"})
}

// abandonedAtOnce gives up while the CRM is still asked: the dialplan's h runs all
// the same.
func abandonedAtOnce(t *testing.T, l *lab) {
	q, number := l.queue(t), l.caller(t)
	l.crm.say(number, silence)
	l.call(t, q.did, caller{Number: number, GiveUp: 600 * time.Millisecond}).wait(t)
	told := l.crm.of(number)
	told.expect(t, "call-dial queue-dial queue-hangup queue-abandon call-hangup")
	told.wait(t, "queue-abandon", 1).has(t, map[string]string{"status": "cancel", "queue_id": q.id})
}

// failover is a call that two agents do not answer, until it leaves the queue
// and the sample's failover takes it.
func failover(t *testing.T, l *lab) {
	q, number := l.queue(t), l.caller(t)
	l.phone(t, q.phones[0], phone{Silent: true})
	l.phone(t, q.phones[1], phone{Silent: true})
	l.phone(t, "109", phone{Ring: time.Second, Talk: time.Second})
	l.call(t, q.did, caller{Number: number}).wait(t)

	told := l.crm.of(number)
	told.expect(t, `call-dial queue-dial agent-dial agent-cancel agent-dial { agent-cancel queue-hangup queue-failover
		agent-dial } { call-answer agent-answer } agent-hangup call-hangup`)
	told.wait(t, "queue-failover", 1).has(t, map[string]string{"queue_id": q.id, "queue_status": "TIMEOUT", "status": "noanswer", "wait_time": "30~"})
	told.wait(t, "agent-dial", 3).has(t, map[string]string{"agent_phone": "109", "queue_id": ""})
	told.wait(t, "agent-hangup", 1).has(t, map[string]string{"agent_phone": "109", "status": "answer", "talk_time": "1~"})
}

// failoverQueue is a call that leaves the sample's second queue, where all
// phones ring at once, for its first, and is given up there.
func failoverQueue(t *testing.T, l *lab) {
	number := l.caller(t)
	l.phone(t, "104", phone{Silent: true})
	l.phone(t, "105", phone{Silent: true})
	l.call(t, "74951234501", caller{Number: number, GiveUp: 33 * time.Second}).wait(t)

	told := l.crm.of(number)
	told.expect(t, `call-dial queue-dial { agent-dial agent-dial } { agent-cancel agent-cancel } { agent-dial agent-dial }
		{ agent-cancel agent-cancel queue-hangup queue-failover queue-dial } agent-dial
		{ agent-cancel queue-hangup queue-abandon } call-hangup`)
	told.wait(t, "queue-failover", 1).has(t, map[string]string{"queue_id": "501", "queue_status": "TIMEOUT", "wait_time": "29~"})
	told.wait(t, "queue-dial", 2).has(t, map[string]string{"queue_id": "500", "transfer_uniqueid": ""})
	told.wait(t, "queue-abandon", 1).has(t, map[string]string{"queue_id": "500", "status": "cancel", "queue_status": "", "wait_time": "2~"})
}

// vip calls last of four who wait for one agent, and is served first of them.
func vip(t *testing.T, l *lab) {
	agent := l.phone(t, soloPhone, phone{EndTold: true})
	var numbers []string
	var waiting []*sipp
	for range 4 {
		numbers = append(numbers, l.caller(t))
	}
	l.crm.say(numbers[3], known("QUEUE_PRIO", "10"))
	for i, number := range numbers {
		waiting = append(waiting, l.call(t, queueNumber(soloQueue), caller{Number: number}))
		if i == 0 {
			l.crm.of(number).wait(t, "agent-answer", 1)
		}
		l.waiting(t, queue{id: soloQueue}, i)
	}
	c := manager(t, "lab")
	var served []string
	for n := range waiting {
		told := story{l.crm.receiver, "queue_id", soloQueue}
		served = append(served, strings.TrimPrefix(told.wait(t, "agent-answer", n+1).text("callerid"), "+"))
		talks(t, c, "PJSIP/"+soloPhone, "PJSIP/trunk")
		agent.tell(t)
		told.wait(t, "agent-hangup", n+1)
	}
	for _, w := range waiting {
		w.wait(t)
	}
	want := []string{numbers[0], numbers[3], numbers[1], numbers[2]}
	if strings.Join(served, " ") != strings.Join(want, " ") {
		t.Errorf("served were %v, want %v", served, want)
	}
}

func menu(t *testing.T, l *lab) {
	number := l.caller(t)
	l.call(t, "74951234502", caller{Number: number, Talk: 2 * time.Second}).wait(t)
	told := l.crm.of(number)
	told.expect(t, "call-dial ivr-hangup call-hangup")
	told.wait(t, "ivr-hangup", 1).has(t, map[string]string{"ivr": "main", "directid": "74951234502"})
	told.wait(t, "call-hangup", 1).has(t, map[string]string{"final": "true", "duration": "2~"})
}

func direct(t *testing.T, l *lab) {
	q, number := l.queue(t), l.caller(t)
	l.phone(t, q.phones[0], phone{Ring: time.Second, Talk: 2 * time.Second})
	l.call(t, phoneNumber(q.phones[0]), caller{Number: number}).wait(t)
	told := l.crm.of(number)
	told.expect(t, "call-dial agent-dial { call-answer agent-answer } agent-hangup call-hangup")
	told.wait(t, "agent-hangup", 1).has(t, map[string]string{"agent_phone": q.phones[0], "status": "answer", "ring_time": "1~", "talk_time": "1~", "queue_id": ""})
}
