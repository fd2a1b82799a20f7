//go:build e2e

package lab

import (
	"cmp"
	"context"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"ringhook/ami"
)

// freepbxEvents are tried at level 2, where the dialplan reports the events of all kinds of calls, and at level 3, where
// all but queue-dial comes from Asterisk's events. First those that take longest.
var freepbxEvents = []pbxScenario{
	{name: "no answer, the next one does", test: pbxNoAnswer},
	{name: "agent timeout", test: pbxAgentTimeout},
	// While Asterisk ends the first ring, the next queue may ring another phone.
	{name: "queue times out, given up in the next", test: pbxFailover, except: []string{"agent-cancel status"}, level3: []string{givenUpInNext}},
	{name: "direct call, mailbox", test: pbxMailbox, except: directExcept},
	// Asterisk may dial the next phone before it reports the end of both.
	{name: "ring group, no answer", test: pbxGroupFailover, except: groupExcept,
		level3: []string{"{ agent-dial agent-dial } { agent-cancel agent-cancel agent-dial } { call-answer agent-answer } agent-hangup call-hangup"}},
	{name: "agents call out, follow me", test: pbxOutgoing, sites: 2, except: directExcept},
	{name: "hold", test: pbxHold, except: directExcept},
	{name: "transfers by command", test: pbxTransfers, sites: 2, except: []string{"agent-hangup cause"}},
	{name: "click to call", test: pbxClick},
	{name: "late name", test: pbxLate},
	{name: "answered, caller ends", test: pbxAnswered},
	{name: "answered, agent ends", test: pbxAgentEnds},
	{name: "busy, the next one answers", test: pbxBusy},
	{name: "given up in the queue", test: pbxAbandoned},
	{name: "hangs up in the menu", test: pbxMenu, level3: []string{"call-hangup"}, except: []string{"ivr"}},
	{name: "menu, then the queue", test: pbxMenuQueue},
	{name: "menu in the queue", test: pbxMenuInQueue, except: directExcept},
	{name: "queue callback wanted", test: pbxCallbackWanted, except: []string{"wait_time", "queue-hangup cause", "queue-failover cause"}},
	{name: "direct call", test: pbxDirect, except: directExcept},
	{name: "direct call, busy", test: pbxDirectBusy, except: directExcept},
	{name: "ring group", test: pbxGroup, except: groupExcept,
		level3: []string{"agent-dial agent-dial { agent-cancel call-answer agent-answer } agent-hangup call-hangup"}},
	{name: "ring group, given up", test: pbxGroupAbandoned, except: groupExcept,
		level3: []string{"agent-dial agent-dial agent-cancel agent-cancel call-hangup"}},
	{name: "hunt group", test: pbxHunt, except: groupExcept,
		level3: []string{"agent-dial { agent-cancel agent-dial } { call-answer agent-answer } agent-hangup call-hangup"}},
	{name: "phone to phone", test: pbxPhoneToPhone},
	{name: "phone to queue", test: pbxPhoneToQueue, sites: 2},
	{name: "call confirm", test: pbxConfirm, except: directExcept,
		level3: []string{"agent-dial { call-answer agent-answer } agent-hangup call-hangup"}},
	{name: "transferred to a phone", test: pbxToPhone, except: blindExcept},
	{name: "transferred to a queue", test: pbxToQueue, sites: 2, except: blindExcept},
	{name: "direct call transferred to a queue", test: pbxDirectToQueue, sites: 2,
		except: slices.Concat(blindExcept, []string{"transfer_uniqueid"}, directExcept)},
	{name: "attended transfer", test: pbxAttended},
	{name: "attended transfer by the phone", test: pbxPhoneAttended},
	{name: "parked", test: pbxParked},
	{name: "parked, returns", test: pbxParkedReturns},
	{name: "parked, returns and goes on", test: pbxParkedGoesOn},
	{name: "direct call parked, returns", test: pbxDirectParked, except: append([]string{"call-hangup billsec"}, directExcept...)},
	{name: "parked, picked up", test: pbxPickedUp},
	{name: "given up while the CRM is asked", test: pbxGoneDuringLookup},
	{name: "prefix and superfecta", test: pbxSuperfecta, sites: 2},
	{name: "trunk that delivers s", test: pbxNoNumber},
	{name: "trunk with Latin names", test: pbxLatin},
}

// The parameters that level 3 has otherwise. A direct call is not looked up there, and a ring group is no queue for
// Asterisk.
var (
	directExcept = []string{"match", "match_count", "callerid_name"}
	groupExcept  = append([]string{"queue_id", "queue_name", "queue_status", "wait_time", "agent-cancel answered"}, directExcept...)
	// After a blind transfer the caller goes on while Asterisk ends the phone's channel. If the caller's next point comes
	// first, it ends the conversation, and the phone's cause is not known yet.
	blindExcept = []string{"agent-hangup cause"}
	// alwaysExcept differ in all calls: FreePBX does not set QEORIGINALPOS, and the cause of a phone that did not answer
	// is that of the caller's channel at level 2.
	alwaysExcept = []string{"queue_position", "agent-cancel cause"}
)

// expect is story.expect at level 2. At level 3 no line of the dialplan asks call-dial, and a scenario can have other
// events.
func (l *lab) expect(t *testing.T, s story, want string) {
	t.Helper()
	if l.pbx.level == "level3" {
		want = strings.Replace(want, "call-dial ", "", 1)
		l.pbx.mu.Lock()
		name := l.pbx.scenarioOf(t)
		if own := l.pbx.level3[name]; len(own) > 0 {
			want = cmp.Or(own[0], want)
			l.pbx.level3[name] = own[1:]
		}
		l.pbx.mu.Unlock()
	}
	s.expect(t, want)
}

// group returns the queue_id of a ring group's events.
func (l *lab) group(id string) string {
	if l.byDialplan() {
		return id
	}
	return ""
}

// byDialplan reports whether the dialplan reports all events, and not the manager interface.
func (l *lab) byDialplan() bool { return l.pbx.level == "level2" }

func pbxAnswered(t *testing.T, l *lab) {
	s, number := l.site(t), l.caller(t)
	l.crm.say(number, known("CALLERID(name)", cyrillic, "QUEUE_PRIO", "7", "call_info", "https://crm.example/17"))
	p := l.phone(t, s.phones[0], phone{Ring: time.Second})
	call := l.call(t, freepbxNumber(plainCall, s.queue), caller{Number: number, Name: "K.", Talk: 4 * time.Second})
	told := l.crm.of(number)
	answer := told.wait(t, "agent-answer", 1)
	answer.has(t, map[string]string{
		"agent_phone": s.phones[0], "queue_id": s.queue, "ring_time": "1~", "wait_time": "1~", "directid": freepbxNumber(plainCall, s.queue),
		"callerid_name": cyrillic, "queue_prio": "7", "direction": "incoming", "call_info": "https://crm.example/17",
	})
	showed(t, p, "Q:Александра Констант")
	call.wait(t)
	l.expect(t, told, wholeCall)
	told.wait(t, "agent-hangup", 1).has(t, map[string]string{"status": "answer", "talk_time": "2~", "agent_phone": s.phones[0], "queue_id": s.queue})
	told.wait(t, "queue-hangup", 1).has(t, map[string]string{"status": "answer", "wait_time": "1~", "talk_time": "2~", "agent_phone": s.phones[0]})
	told.wait(t, "call-hangup", 1).has(t, map[string]string{"status": "answer", "final": "true"})
}

func pbxAgentEnds(t *testing.T, l *lab) {
	s, number := l.site(t), l.caller(t)
	l.phone(t, s.phones[0], phone{Talk: 2 * time.Second})
	l.call(t, freepbxNumber(plainCall, s.extensions), caller{Number: number}).wait(t)
	told := l.crm.of(number)
	l.expect(t, told, wholeCall)
	told.wait(t, "queue-hangup", 1).has(t, map[string]string{"status": "answer", "talk_time": "1~", "queue_id": s.extensions})
}

func pbxBusy(t *testing.T, l *lab) {
	s, number := l.site(t), l.caller(t)
	l.phone(t, s.phones[0], phone{Refuse: "486 Busy Here"})
	l.phone(t, s.phones[1], phone{Talk: time.Second})
	l.call(t, freepbxNumber(plainCall, s.queue), caller{Number: number}).wait(t)
	told := l.crm.of(number)
	l.expect(t, told, "call-dial queue-dial agent-dial { agent-cancel agent-dial } agent-answer { agent-hangup queue-hangup } call-hangup")
	told.wait(t, "agent-cancel", 1).has(t, map[string]string{"agent_phone": s.phones[0], "status": "busy", "queue_id": s.queue})
	told.wait(t, "agent-hangup", 1).has(t, map[string]string{"agent_phone": s.phones[1], "status": "answer"})
}

// pbxNoAnswer has phones that ring for 6 seconds, less than the queue would let them.
func pbxNoAnswer(t *testing.T, l *lab) {
	s, number := l.site(t), l.caller(t)
	l.phone(t, s.phones[0], phone{Silent: true})
	l.phone(t, s.phones[1], phone{Talk: time.Second})
	l.call(t, freepbxNumber(plainCall, s.queue), caller{Number: number}).wait(t)
	told := l.crm.of(number)
	l.expect(t, told, "call-dial queue-dial agent-dial { agent-cancel agent-dial } agent-answer { agent-hangup queue-hangup } call-hangup")
	told.wait(t, "agent-cancel", 1).has(t, map[string]string{"agent_phone": s.phones[0], "status": "noanswer", "ring_time": "6~"})
	told.wait(t, "queue-hangup", 1).has(t, map[string]string{"status": "answer", "wait_time": "6~"})
}

// pbxAgentTimeout has phones that ring as long as the queue lets them: Asterisk ends the ring as if the
// caller had gone, and the files know the time.
func pbxAgentTimeout(t *testing.T, l *lab) {
	number := l.caller(t)
	l.phone(t, "177", phone{Silent: true})
	l.phone(t, "178", phone{Talk: time.Second})
	l.call(t, freepbxNumber(plainCall, "588"), caller{Number: number}).wait(t)
	told := l.crm.of(number)
	l.expect(t, told, "call-dial queue-dial agent-dial { agent-cancel agent-dial } agent-answer { agent-hangup queue-hangup } call-hangup")
	told.wait(t, "agent-cancel", 1).has(t, map[string]string{"agent_phone": "177", "status": "noanswer", "ring_time": "15~"})
	told.wait(t, "queue-hangup", 1).has(t, map[string]string{"status": "answer", "wait_time": "15~"})
}

func pbxAbandoned(t *testing.T, l *lab) {
	s, number := l.site(t), l.caller(t)
	l.phone(t, s.phones[0], phone{Silent: true})
	l.call(t, freepbxNumber(plainCall, s.queue), caller{Number: number, Talk: 3 * time.Second}).wait(t)
	told := l.crm.of(number)
	l.expect(t, told, "call-dial queue-dial agent-dial { agent-cancel queue-hangup queue-abandon } call-hangup")
	told.wait(t, "agent-cancel", 1).has(t, map[string]string{"status": "cancel", "ring_time": "2~"})
	told.wait(t, "queue-abandon", 1).has(t, map[string]string{"status": "cancel", "wait_time": "2~", "queue_id": s.queue})
}

// givenUpInNext are the events of a call whose queue times out, and whose caller gives up in the next one. The end of the
// first ring can come late.
const givenUpInNext = "queue-dial agent-dial { agent-cancel queue-hangup queue-failover queue-dial agent-dial agent-cancel queue-hangup queue-abandon } call-hangup"

// pbxFailover leaves the first queue after 8 seconds for the second, where it is asked again.
func pbxFailover(t *testing.T, l *lab) {
	s, number := l.site(t), l.caller(t)
	l.crm.say(number, known("CALLERID(name)", "Мария", "QUEUE_PRIO", "7"))
	p := l.phone(t, s.phones[0], phone{Silent: true})
	call := l.call(t, freepbxNumber(plainCall, s.extensions), caller{Number: number, Told: true})
	told := l.crm.of(number)
	told.wait(t, "agent-dial", 2)
	call.tell(t)
	call.wait(t)
	l.expect(t, told, "call-dial "+givenUpInNext)
	told.wait(t, "queue-failover", 1).has(t, map[string]string{"queue_id": s.extensions, "queue_status": "TIMEOUT", "status": "noanswer", "wait_time": "8~"})
	told.wait(t, "queue-dial", 2).has(t, map[string]string{"queue_id": s.queue, "queue_prio": "7"})
	told.wait(t, "queue-abandon", 1).has(t, map[string]string{"queue_id": s.queue, "status": "cancel"})
	for _, from := range p.headers(t, "From") {
		if want := `"Q:Мария" <sip:`; len(from) < len(want) || from[:len(want)] != want {
			t.Errorf("the phone showed %q, want %q", from, want)
		}
	}
}

func pbxMenu(t *testing.T, l *lab) {
	s, number := l.site(t), l.caller(t)
	l.call(t, freepbxNumber(menuCall, s.queue), caller{Number: number, Talk: 2 * time.Second}).wait(t)
	told := l.crm.of(number)
	l.expect(t, told, "call-dial ivr-hangup call-hangup")
	if l.byDialplan() {
		told.wait(t, "ivr-hangup", 1).has(t, map[string]string{"ivr": "ivr-1"})
	}
}

func pbxMenuQueue(t *testing.T, l *lab) {
	s, number := l.site(t), l.caller(t)
	l.phone(t, s.phones[0], phone{Talk: time.Second})
	l.call(t, freepbxNumber(menuCall, s.queue), caller{Number: number}).wait(t)
	l.expect(t, l.crm.of(number), wholeCall)
}

// presses plays a call to a queue whose first phone is silent, and has the caller press 1 while it rings.
func (l *lab) presses(t *testing.T, number, queue, phoneName string) (told story, call *sipp) {
	t.Helper()
	l.phone(t, phoneName, phone{Silent: true})
	call = l.call(t, freepbxNumber(plainCall, queue), caller{Number: number})
	told = l.crm.of(number)
	caller := l.asterisk.channelOf(t, told.wait(t, "agent-dial", 1).text("linkedid"), "PJSIP/trunk")
	act(t, func(ctx context.Context, c *ami.Client) error {
		_, err := c.Do(ctx, ami.Action{Name: "PlayDTMF", Fields: []ami.Field{
			{Key: "Channel", Value: caller.name}, {Key: "Digit", Value: "1"}, {Key: "Receive", Value: "true"},
		}})
		return err
	})
	return told, call
}

// pbxMenuInQueue is a caller who leaves the queue by a key, for a phone.
func pbxMenuInQueue(t *testing.T, l *lab) {
	s, number := l.site(t), l.caller(t)
	l.phone(t, s.phones[1], phone{Ring: time.Second, Talk: 2 * time.Second})
	told, call := l.presses(t, number, s.queue, s.phones[0])
	call.wait(t)
	l.expect(t, told, "call-dial queue-dial agent-dial { agent-cancel queue-hangup queue-failover agent-dial } { call-answer agent-answer } agent-hangup call-hangup")
	told.wait(t, "queue-failover", 1).has(t, map[string]string{"queue_id": s.queue, "queue_status": "EXITWITHKEY", "status": "other"})
	told.wait(t, "agent-hangup", 1).has(t, map[string]string{"agent_phone": s.phones[1], "status": "answer", "queue_id": "", "talk_time": "1~"})
}

// pbxCallbackWanted is a caller who wants to be called back, and leaves the queue by a key.
func pbxCallbackWanted(t *testing.T, l *lab) {
	s, number := l.site(t), l.caller(t)
	told, call := l.presses(t, number, s.extensions, s.phones[0])
	call.wait(t)
	l.expect(t, told, "call-dial queue-dial agent-dial { agent-cancel queue-hangup queue-failover } call-hangup")
	told.wait(t, "queue-failover", 1).has(t, map[string]string{"queue_id": s.extensions, "queue_status": "EXITWITHKEY", "status": "other"})
}

func pbxDirect(t *testing.T, l *lab) {
	s, number := l.site(t), l.caller(t)
	l.crm.say(number, known("CALLERID(name)", "Мария"))
	p := l.phone(t, s.phones[0], phone{Ring: time.Second, Talk: 2 * time.Second})
	l.call(t, freepbxNumber(plainCall, s.phones[0]), caller{Number: number}).wait(t)
	told := l.crm.of(number)
	l.expect(t, told, "call-dial agent-dial { call-answer agent-answer } agent-hangup call-hangup")
	told.wait(t, "agent-hangup", 1).has(t, map[string]string{"agent_phone": s.phones[0], "status": "answer", "ring_time": "1~", "talk_time": "1~", "queue_id": ""})
	if l.byDialplan() {
		showed(t, p, "Мария")
	}
}

// pbxMailbox is a call that no one answers: the mailbox does. The hangup handler reports the ring at the
// end of the call, so its time is too long.
func pbxMailbox(t *testing.T, l *lab) {
	s, number := l.site(t), l.caller(t)
	l.phone(t, s.phones[0], phone{Silent: true})
	l.call(t, freepbxNumber(plainCall, s.phones[0]), caller{Number: number, GiveUp: 8 * time.Second}).wait(t)
	told := l.crm.of(number)
	l.expect(t, told, "call-dial agent-dial agent-cancel call-hangup")
	told.wait(t, "agent-cancel", 1).has(t, map[string]string{"agent_phone": s.phones[0], "status": "noanswer"})
}

func pbxDirectBusy(t *testing.T, l *lab) {
	s, number := l.site(t), l.caller(t)
	l.phone(t, s.phones[1], phone{Refuse: "486 Busy Here"})
	refused := "503" // Congestion() of the shape with macros
	if filepath.Base(l.asterisk.root) == "sid" {
		refused = "486"
	}
	l.call(t, freepbxNumber(plainCall, s.phones[1]), caller{Number: number, Refused: refused}).wait(t)
	told := l.crm.of(number)
	l.expect(t, told, "call-dial agent-dial agent-cancel call-hangup")
	told.wait(t, "agent-cancel", 1).has(t, map[string]string{"agent_phone": s.phones[1], "status": "busy"})
}

// pbxGroup rings both phones at once; the second answers.
func pbxGroup(t *testing.T, l *lab) {
	s, number := l.site(t), l.caller(t)
	l.crm.say(number, known("CALLERID(name)", "Мария"))
	l.phone(t, s.phones[0], phone{Silent: true})
	p := l.phone(t, s.phones[1], phone{Ring: 2 * time.Second, Talk: 3 * time.Second})
	l.call(t, freepbxNumber(plainCall, s.group), caller{Number: number}).wait(t)
	told := l.crm.of(number)
	l.expect(t, told, "call-dial queue-dial agent-dial agent-dial agent-answer agent-cancel { agent-hangup queue-hangup } call-hangup")
	told.wait(t, "agent-answer", 1).has(t, map[string]string{"agent_phone": s.phones[1], "queue_id": l.group(s.group), "ring_time": "2~"})
	told.wait(t, "agent-cancel", 1).has(t, map[string]string{"agent_phone": s.phones[0], "status": "cancel", "ring_time": "2~"})
	told.wait(t, "agent-hangup", 1).has(t, map[string]string{"agent_phone": s.phones[1], "status": "answer", "talk_time": "2~"})
	if l.byDialplan() {
		told.wait(t, "queue-hangup", 1).has(t, map[string]string{"agent_phone": s.phones[1], "status": "answer", "talk_time": "2~"})
	}
	showed(t, p, "Мария")
}

// pbxGroupFailover goes to another phone when no one of the group answers.
func pbxGroupFailover(t *testing.T, l *lab) {
	s, number := l.site(t), l.caller(t)
	l.phone(t, s.phones[0], phone{Silent: true})
	l.phone(t, s.phones[1], phone{Silent: true})
	l.phone(t, "196", phone{Talk: time.Second})
	l.call(t, freepbxNumber(plainCall, s.group), caller{Number: number}).wait(t)
	told := l.crm.of(number)
	l.expect(t, told, `call-dial queue-dial agent-dial agent-dial agent-cancel agent-cancel queue-hangup queue-failover
		agent-dial { call-answer agent-answer } agent-hangup call-hangup`)
	if l.byDialplan() {
		told.wait(t, "queue-failover", 1).has(t, map[string]string{"queue_id": s.group, "status": "noanswer", "wait_time": "6~"})
	}
	for n := range 2 {
		told.wait(t, "agent-cancel", n+1).has(t, map[string]string{"status": "noanswer", "ring_time": "6~"})
	}
	told.wait(t, "agent-hangup", 1).has(t, map[string]string{"agent_phone": "196", "status": "answer", "queue_id": ""})
}

func pbxGroupAbandoned(t *testing.T, l *lab) {
	s, number := l.site(t), l.caller(t)
	l.phone(t, s.phones[0], phone{Silent: true})
	l.phone(t, s.phones[1], phone{Silent: true})
	l.call(t, freepbxNumber(plainCall, s.group), caller{Number: number, GiveUp: 3 * time.Second}).wait(t)
	told := l.crm.of(number)
	l.expect(t, told, "call-dial queue-dial agent-dial agent-dial agent-cancel agent-cancel { queue-hangup queue-abandon } call-hangup")
	if l.byDialplan() {
		told.wait(t, "queue-abandon", 1).has(t, map[string]string{"queue_id": s.group, "wait_time": "3~"})
	}
}

// pbxHunt rings one phone after the other.
func pbxHunt(t *testing.T, l *lab) {
	s, number := l.site(t), l.caller(t)
	l.phone(t, s.phones[0], phone{Refuse: "486 Busy Here"})
	l.phone(t, s.phones[1], phone{Ring: time.Second, Talk: 2 * time.Second})
	l.call(t, freepbxNumber(plainCall, s.hunt), caller{Number: number}).wait(t)
	told := l.crm.of(number)
	l.expect(t, told, "call-dial queue-dial agent-dial { agent-cancel agent-dial } agent-answer { agent-hangup queue-hangup } call-hangup")
	told.wait(t, "agent-cancel", 1).has(t, map[string]string{"agent_phone": s.phones[0], "status": "busy", "queue_id": l.group(s.hunt)})
	told.wait(t, "agent-hangup", 1).has(t, map[string]string{"agent_phone": s.phones[1], "status": "answer", "ring_time": "1~", "talk_time": "1~"})
}

// pbxConfirm rings a phone that has to confirm. FreePBX 17 confirms by U(), which another U() would replace:
// there the answer itself is not reported, only the end.
func pbxConfirm(t *testing.T, l *lab) {
	number := l.caller(t)
	l.phone(t, "191", phone{Ring: time.Second, Talk: 2 * time.Second})
	l.call(t, freepbxNumber(plainCall, "191"), caller{Number: number}).wait(t)
	told := l.crm.of(number)
	told.wait(t, "call-hangup", 1)
	if !l.byDialplan() {
		l.expect(t, told, "")
	}
	told.wait(t, "agent-hangup", 1).has(t, map[string]string{"agent_phone": "191", "status": "answer", "talk_time": "1~"})
}

func pbxPhoneToPhone(t *testing.T, l *lab) {
	s := l.site(t)
	from, to := s.phones[0], s.phones[1]
	l.phone(t, to, phone{Ring: time.Second, Talk: 2 * time.Second})
	l.call(t, to, caller{From: from, Number: from}).wait(t)
	told := l.pbx.plays(t, story{l.crm.receiver, "dialed", to})
	l.expect(t, told, "agent-custom agent-dial agent-answer { agent-hangup agent-dialout-hangup } call-hangup")
	told.wait(t, "agent-custom", 1).has(t, map[string]string{"agent_phone": from, "direction": "internal"})
	told.wait(t, "agent-answer", 1).has(t, map[string]string{"agent_phone": to, "direction": "internal"})
}

func pbxPhoneToQueue(t *testing.T, l *lab) {
	s, other := l.site(t), l.site(t)
	l.phone(t, s.phones[0], phone{Talk: time.Second})
	l.call(t, s.queue, caller{From: other.phones[0], Number: other.phones[0]}).wait(t)
	told := l.pbx.plays(t, story{l.crm.receiver, "queue_id", s.queue})
	told.wait(t, "queue-hangup", 1).has(t, map[string]string{"status": "answer", "direction": "internal", "agent_phone": s.phones[0]})
	told.wait(t, "agent-answer", 1).has(t, map[string]string{"agent_phone": s.phones[0], "callerid_raw": other.phones[0]})
}

// pbxOutgoing are the calls through the trunk, one after the other: there is one trunk.
func pbxOutgoing(t *testing.T, l *lab) {
	from := l.site(t).phones[0]
	play := func(dialed string, far phone, c caller) story {
		c.From, c.Number = from, from
		trunk := l.phone(t, "trunk", far)
		l.call(t, dialed, c).wait(t)
		trunk.stop()
		return l.pbx.plays(t, story{l.crm.receiver, "dialed", dialed})
	}
	told := play("79261110100", phone{Ring: time.Second}, caller{Talk: 2 * time.Second})
	l.expect(t, told, "agent-custom agent-dialout-answer agent-dialout-hangup call-hangup")
	told.wait(t, "agent-custom", 1).has(t, map[string]string{"direction": "outgoing", "agent_phone": from, "dialed": "79261110100"})
	told.wait(t, "agent-dialout-answer", 1).has(t, map[string]string{"agent_phone": from, "ring_time": "1~"})
	told.wait(t, "agent-dialout-hangup", 1).has(t, map[string]string{"agent_phone": from, "status": "answer", "talk_time": "1~"})

	told = play("79261110101", phone{Refuse: "486 Busy Here"}, caller{Refused: "486"})
	l.expect(t, told, "agent-custom agent-dialout-hangup call-hangup")
	told.wait(t, "agent-dialout-hangup", 1).has(t, map[string]string{"status": "busy", "agent_phone": from})

	// Follow me: the phone rings together with a mobile phone, which answers.
	number := l.caller(t)
	trunk := l.phone(t, "trunk", phone{Ring: time.Second, Talk: 2 * time.Second})
	l.phone(t, "181", phone{Silent: true})
	l.call(t, freepbxNumber(plainCall, "181"), caller{Number: number}).wait(t)
	trunk.stop()
	told = l.crm.of(number)
	l.expect(t, told, "call-dial agent-dial agent-cancel call-hangup")
	told.wait(t, "agent-cancel", 1).has(t, map[string]string{"agent_phone": "181", "status": "cancel"})
	number = l.caller(t)
	l.phone(t, "182", phone{Ring: time.Second, Talk: 2 * time.Second})
	trunk = l.phone(t, "trunk", phone{Silent: true})
	l.call(t, freepbxNumber(plainCall, "182"), caller{Number: number}).wait(t)
	trunk.stop()
	told = l.crm.of(number)
	l.expect(t, told, "call-dial agent-dial { call-answer agent-answer } agent-hangup call-hangup")
	told.wait(t, "agent-answer", 1).has(t, map[string]string{"agent_phone": "182", "ring_time": "1~"})

	pbxCallback(t, l)
}

// pbxCallback calls a caller back who left a queue: through the trunk, and if answered into the queue.
func pbxCallback(t *testing.T, l *lab) {
	const number = "79261110102"
	s := l.site(t)
	l.phone(t, s.phones[0], phone{Ring: time.Second, Talk: 2 * time.Second})
	trunk := l.phone(t, "trunk", phone{Ring: time.Second})
	act(t, func(ctx context.Context, c *ami.Client) error {
		_, err := c.Do(ctx, ami.Action{Name: "Originate", Fields: []ami.Field{
			{Key: "Channel", Value: "Local/" + number + "@from-internal/n"}, {Key: "CallerID", Value: number}, {Key: "Async", Value: "true"},
			{Key: "Context", Value: "ext-queues"}, {Key: "Exten", Value: s.queue}, {Key: "Priority", Value: "1"},
		}})
		return err
	})
	told := l.pbx.plays(t, story{l.crm.receiver, "callerid", "+" + number})
	l.expect(t, told, strings.TrimPrefix(wholeCall, "call-dial "))
	told.wait(t, "queue-hangup", 1).has(t, map[string]string{"queue_id": s.queue, "directid": "", "status": "answer", "agent_phone": s.phones[0], "talk_time": "1~"})
	trunk.stop()
}

func pbxToPhone(t *testing.T, l *lab) {
	s, number := l.site(t), l.caller(t)
	l.phone(t, s.phones[0], phone{Talk: time.Second, TransferTo: s.phones[1]})
	l.phone(t, s.phones[1], phone{Ring: time.Second, Talk: 2 * time.Second})
	l.call(t, freepbxNumber(plainCall, s.queue), caller{Number: number, Name: "Caller"}).wait(t)
	told := l.crm.of(number)
	l.expect(t, told, "call-dial queue-dial agent-dial agent-answer { agent-hangup agent-dial } agent-answer { agent-hangup queue-hangup } call-hangup")
	told.wait(t, "agent-hangup", 1).has(t, map[string]string{"agent_phone": s.phones[0], "status": "answer", "talk_time": "1~"})
	told.wait(t, "agent-hangup", 2).has(t, map[string]string{"agent_phone": s.phones[1], "status": "answer", "talk_time": "1~"})
}

func pbxToQueue(t *testing.T, l *lab) {
	s, other, number := l.site(t), l.site(t), l.caller(t)
	l.phone(t, s.phones[0], phone{Talk: time.Second, TransferTo: other.queue})
	l.phone(t, other.phones[0], phone{Ring: time.Second, Talk: 2 * time.Second})
	l.call(t, freepbxNumber(plainCall, s.queue), caller{Number: number, Name: "Caller"}).wait(t)
	told := l.crm.of(number)
	l.expect(t, told, `call-dial queue-dial agent-dial agent-answer { agent-hangup queue-dial } agent-dial agent-answer
		{ agent-hangup queue-hangup queue-hangup } call-hangup`)
	told.wait(t, "queue-dial", 2).has(t, map[string]string{"queue_id": other.queue, "transfer_uniqueid": told.wait(t, "queue-dial", 1).text("uniqueid")})
	told.wait(t, "agent-hangup", 2).has(t, map[string]string{"agent_phone": other.phones[0], "status": "answer"})
}

func pbxDirectToQueue(t *testing.T, l *lab) {
	s, other, number := l.site(t), l.site(t), l.caller(t)
	l.phone(t, s.phones[0], phone{Talk: time.Second, TransferTo: other.queue})
	l.phone(t, other.phones[0], phone{Ring: time.Second, Talk: 2 * time.Second})
	l.call(t, freepbxNumber(plainCall, s.phones[0]), caller{Number: number, Name: "Caller"}).wait(t)
	told := l.crm.of(number)
	l.expect(t, told, `call-dial agent-dial { call-answer agent-answer } { agent-hangup queue-dial } agent-dial agent-answer
		{ agent-hangup queue-hangup } call-hangup`)
	told.wait(t, "queue-hangup", 1).has(t, map[string]string{"queue_id": other.queue, "agent_phone": other.phones[0], "status": "answer"})
}

// act runs an action of the manager interface.
func act(t *testing.T, do func(ctx context.Context, c *ami.Client) error) {
	t.Helper()
	c, err := ami.New(ami.Config{Name: "lab", Address: "127.0.0.1:5038", Username: "lab", Secret: "lab-s3cret"}, nil, slog.New(slog.DiscardHandler), ami.NewMetrics(prometheus.NewRegistry()))
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Once(t.Context(), func(ctx context.Context) error { return do(ctx, c) }); err != nil {
		t.Fatal(err)
	}
}

// pbxAttended is an agent who asks a colleague before the caller is transferred. Asterisk merges two calls
// then, which no hook of the dialplan sees: the second phone's end is reported, and the first one's.
func pbxAttended(t *testing.T, l *lab) {
	s, number := l.site(t), l.caller(t)
	l.phone(t, s.phones[0], phone{Talk: 5 * time.Second})
	l.phone(t, s.phones[1], phone{Ring: time.Second, Talk: 6 * time.Second})
	call := l.call(t, freepbxNumber(plainCall, s.queue), caller{Number: number, Name: "Caller"})
	told := l.crm.of(number)
	agent := l.asterisk.channelOf(t, l.talking(t, told, s.phones[0]).LinkedID, "PJSIP/"+s.phones[0])
	act(t, func(ctx context.Context, c *ami.Client) error {
		_, err := c.Do(ctx, ami.Action{Name: "Atxfer", Fields: []ami.Field{
			{Key: "Channel", Value: agent.name}, {Key: "Exten", Value: s.phones[1]}, {Key: "Context", Value: "from-internal"},
		}})
		return err
	})
	call.wait(t)
	l.expect(t, told, "call-dial queue-dial agent-dial agent-answer agent-dial agent-answer agent-hangup { agent-hangup queue-hangup } call-hangup")
	told.wait(t, "agent-answer", 2).has(t, map[string]string{"agent_phone": s.phones[1], "ring_time": "1~", "queue_id": s.queue})
	told.wait(t, "agent-hangup", 1).has(t, map[string]string{"agent_phone": s.phones[0], "status": "answer"})
	told.wait(t, "agent-hangup", 2).has(t, map[string]string{"agent_phone": s.phones[1], "status": "answer", "talk_time": "5~"})
	told.wait(t, "queue-hangup", 1).has(t, map[string]string{"queue_id": s.queue, "status": "answer", "agent_phone": s.phones[0]})
}

// pbxPhoneAttended is the same by the transfer key of a desk phone, which has two calls of its own until Asterisk joins them.
func pbxPhoneAttended(t *testing.T, l *lab) {
	s, number := l.site(t), l.caller(t)
	transferred := l.deskPhone(t, s.phones[0], s.phones[1], 2*time.Second)
	l.phone(t, s.phones[1], phone{Ring: time.Second, Talk: 5 * time.Second})
	call := l.call(t, freepbxNumber(plainCall, s.queue), caller{Number: number, Name: "Caller"})
	transferred()
	call.wait(t)
	told := l.crm.of(number)
	l.expect(t, told, wholeCall)
	told.wait(t, "agent-hangup", 1).has(t, map[string]string{"agent_phone": s.phones[0], "status": "answer"})
	told.wait(t, "queue-hangup", 1).has(t, map[string]string{"status": "answer", "agent_phone": s.phones[0]})

	// The consultation is a call of its own until Asterisk joins both.
	asked := story{l.crm.receiver, "callerid", s.phones[0]}
	asked.expect(t, "agent-custom agent-dial agent-answer { agent-hangup agent-dialout-hangup } call-hangup")
	asked.wait(t, "agent-hangup", 1).has(t, map[string]string{"agent_phone": s.phones[1], "status": "answer", "ring_time": "1~", "talk_time": "2~"})
}

// pbxParked is a caller whom an agent parks, and who gives up there. The phone of the lab stays in the call
// until Asterisk ends it.
func pbxParked(t *testing.T, l *lab) {
	s, number := l.site(t), l.caller(t)
	l.phone(t, s.phones[0], phone{Talk: time.Second, TransferTo: "70"})
	l.call(t, freepbxNumber(plainCall, s.queue), caller{Number: number, Talk: 5 * time.Second}).wait(t)
	told := l.crm.of(number)
	l.expect(t, told, wholeCall)
	told.wait(t, "agent-hangup", 1).has(t, map[string]string{"agent_phone": s.phones[0], "status": "answer"})
}

// parks plays a call to an extension, whose phone parks it; next is what the phone does when the call returns.
func (l *lab) parks(t *testing.T, number, to, phoneName, place string, next phone) (told story, call *sipp) {
	t.Helper()
	parks := l.phone(t, phoneName, phone{Talk: time.Second, TransferTo: place})
	call = l.call(t, freepbxNumber(plainCall, to), caller{Number: number})
	told = l.crm.of(number)
	told.wait(t, "agent-hangup", 1)
	parks.stop()
	l.phone(t, phoneName, next)
	return told, call
}

// pbxParkedReturns is a parked caller whom no one picks up: the phone that parked the call rings again.
func pbxParkedReturns(t *testing.T, l *lab) {
	s, number := l.site(t), l.caller(t)
	l.crm.say(number, known("CALLERID(name)", "Мария"))
	told, call := l.parks(t, number, s.queue, s.phones[0], "70", phone{Ring: time.Second, Talk: 2 * time.Second})
	call.wait(t)
	l.expect(t, told, "call-dial queue-dial agent-dial agent-answer agent-hangup agent-dial agent-answer { agent-hangup queue-hangup } call-hangup")
	told.wait(t, "agent-answer", 2).has(t, map[string]string{"agent_phone": s.phones[0], "ring_time": "1~", "callerid_name": "Мария"})
	told.wait(t, "agent-hangup", 2).has(t, map[string]string{"agent_phone": s.phones[0], "status": "answer", "talk_time": "1~"})
}

// pbxParkedGoesOn is a parked call whose phone is busy when it returns: it goes to the destination of the parking lot.
func pbxParkedGoesOn(t *testing.T, l *lab) {
	s, number := l.site(t), l.caller(t)
	l.phone(t, "179", phone{Ring: time.Second, Talk: 2 * time.Second})
	told, call := l.parks(t, number, s.queue, s.phones[0], "70", phone{Refuse: "486 Busy Here"})
	call.wait(t)
	l.expect(t, told, `call-dial queue-dial agent-dial agent-answer agent-hangup agent-dial { agent-cancel agent-dial } agent-answer
		{ agent-hangup queue-hangup } call-hangup`)
	told.wait(t, "agent-cancel", 1).has(t, map[string]string{"agent_phone": s.phones[0], "status": "busy"})
	told.wait(t, "agent-hangup", 2).has(t, map[string]string{"agent_phone": "179", "status": "answer", "talk_time": "1~"})
}

// pbxDirectParked parks a direct call in a place that the agent chose.
func pbxDirectParked(t *testing.T, l *lab) {
	s, number := l.site(t), l.caller(t)
	told, call := l.parks(t, number, s.phones[1], s.phones[1], "77", phone{Ring: time.Second, Talk: 2 * time.Second})
	call.wait(t)
	l.expect(t, told, "call-dial agent-dial { call-answer agent-answer } agent-hangup agent-dial agent-answer agent-hangup call-hangup")
	told.wait(t, "agent-hangup", 2).has(t, map[string]string{"agent_phone": s.phones[1], "status": "answer", "talk_time": "1~"})
}

// pbxPickedUp is a parked call that a colleague picks up: it goes on, and nothing names the colleague.
func pbxPickedUp(t *testing.T, l *lab) {
	s, number := l.site(t), l.caller(t)
	told, call := l.parks(t, number, s.queue, s.phones[0], "78", phone{Refuse: "486 Busy Here"})
	l.call(t, "78", caller{From: s.phones[1], Number: s.phones[1], Talk: 3 * time.Second}).wait(t)
	call.wait(t)
	l.expect(t, told, wholeCall)
}

func pbxGoneDuringLookup(t *testing.T, l *lab) {
	s, number := l.site(t), l.caller(t)
	asked := l.crm.silent(number)
	call := l.call(t, freepbxNumber(plainCall, s.queue), caller{Number: number, Told: true})
	<-asked
	call.tell(t)
	call.wait(t)
	told := l.crm.of(number)
	l.expect(t, told, "call-dial queue-dial queue-hangup queue-abandon call-hangup")
}

func pbxSuperfecta(t *testing.T, l *lab) {
	s, number := l.site(t), l.caller(t)
	p := l.phone(t, s.phones[0], phone{Talk: time.Second})
	l.call(t, freepbxNumber(superfectaCall, s.queue), caller{Number: number}).wait(t)
	showed(t, p, "Q:Superfecta")
	told := l.crm.of(number)
	l.expect(t, told, wholeCall)

	other, known2 := l.site(t), l.caller(t)
	l.crm.say(known2, known("CALLERID(name)", "Мария"))
	p = l.phone(t, other.phones[0], phone{Talk: time.Second})
	l.call(t, freepbxNumber(superfectaCall, other.queue), caller{Number: known2}).wait(t)
	showed(t, p, "Q:Мария")
	l.crm.of(known2).wait(t, "agent-answer", 1).has(t, map[string]string{"callerid_name": "Мария"})
}

// pbxLatin is a caller by a trunk whose context sets the script of names. The events have the name as the CRM has it.
func pbxLatin(t *testing.T, l *lab) {
	s, number := l.site(t), l.caller(t)
	l.crm.say(number, known("CALLERID(name)", "Мария"))
	p := l.phone(t, s.phones[0], phone{Talk: time.Second})
	l.call(t, freepbxNumber(plainCall, s.queue), caller{From: latinTrunk, Number: number}).wait(t)
	showed(t, p, "Q:Mariia")
	told := l.crm.of(number)
	l.expect(t, told, wholeCall)
	told.wait(t, "agent-answer", 1).has(t, map[string]string{"callerid_name": "Мария", "agent_phone": s.phones[0]})
}

func pbxNoNumber(t *testing.T, l *lab) {
	number := l.caller(t)
	l.phone(t, "197", phone{Talk: time.Second})
	l.call(t, "s", caller{Number: number}).wait(t)
	told := l.crm.of(number)
	l.expect(t, told, wholeCall)
	told.wait(t, "queue-hangup", 1).has(t, map[string]string{"queue_id": "549", "status": "answer"})
	if !l.byDialplan() {
		return
	}
	const toHeader = "79165550001"
	l.call(t, freepbxNumber(plainCall, "549"), caller{From: toHeaderTrunk, Number: toHeader}).wait(t)
	told = l.crm.of(toHeader)
	told.expect(t, wholeCall)
	told.wait(t, "call-dial", 1).has(t, map[string]string{"directid": freepbxNumber(plainCall, "549"), "direction": "incoming"})
}
