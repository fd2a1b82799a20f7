//go:build e2e

package lab

import (
	"testing"
	"time"

	"ringhook/control/switching"
)

// talking returns the call of an agent's phone, once it is in conversation.
func (l *lab) talking(t *testing.T, told story, phone string) switching.ID {
	t.Helper()
	id := switching.ID{LinkedID: told.wait(t, "agent-answer", 1).text("linkedid"), Device: "PJSIP/" + phone}
	talks(t, manager(t, "lab"), id.Device, "PJSIP/trunk")
	return id
}

// pbxHold puts a queue call on hold twice, and a direct call: the contexts for it are in contrib/freepbx.
func pbxHold(t *testing.T, l *lab) {
	c, s := manager(t, "lab"), l.site(t)
	f := func(to, phoneName, story string) {
		number := l.caller(t)
		agent := l.phone(t, phoneName, phone{})
		call := l.call(t, freepbxNumber(plainCall, to), caller{Number: number, Told: true})
		told := l.crm.of(number)
		id := l.talking(t, told, phoneName)
		for range 2 {
			steered(t, func() error { return switching.Hold(t.Context(), c, id, switching.ByPBX) })
			hears(t, c, id.LinkedID)
			steered(t, func() error { return switching.Resume(t.Context(), c, id, switching.ByPBX) })
			talks(t, c, id.Device, "PJSIP/trunk")
		}
		steered(t, func() error { return switching.Hold(t.Context(), c, id, switching.ByPBX) })
		hears(t, c, id.LinkedID)
		call.tell(t)
		call.wait(t)
		gone(t, c, id.Device)
		l.expect(t, told, story)
		told.wait(t, "agent-hangup", 1).has(t, map[string]string{"agent_phone": phoneName, "status": "answer"})
		agent.stop()
	}
	f(s.queue, s.phones[0], wholeCall)
	f(s.phones[1], s.phones[1], "call-dial agent-dial { call-answer agent-answer } agent-hangup call-hangup")
}

// pbxTransfers transfers by commands: attended to a colleague, and from there blindly to another queue.
func pbxTransfers(t *testing.T, l *lab) {
	c, s, other, number := manager(t, "lab"), l.site(t), l.site(t), l.caller(t)
	first, colleague := "PJSIP/"+s.phones[0], "PJSIP/"+s.phones[1]
	l.phone(t, s.phones[0], phone{})
	l.phone(t, s.phones[1], phone{})
	l.phone(t, other.phones[0], phone{})
	call := l.call(t, freepbxNumber(plainCall, s.queue), caller{Number: number, Name: "Caller", Told: true})
	told := l.crm.of(number)
	id := l.talking(t, told, s.phones[0])
	_, err := switching.Check(t.Context(), c, dialContext, "8888")
	refusedWith(t, err, switching.Unknown)
	to, err := switching.Check(t.Context(), c, dialContext, s.phones[1])
	must(t, err)
	transfer := ""
	steered(t, func() (err error) {
		transfer, err = switching.Attend(t.Context(), c, id, to)
		return err
	})
	talks(t, c, first, colleague)
	steered(t, func() error { return switching.Complete(t.Context(), c, first, transfer) })
	talks(t, c, colleague, "PJSIP/trunk")
	gone(t, c, first)
	told.wait(t, "agent-answer", 2) // by the manager interface it comes later than the transfer's point by AGI would

	id.Device = colleague
	to, err = switching.Check(t.Context(), c, dialContext, other.queue)
	must(t, err)
	steered(t, func() error { return switching.Blind(t.Context(), c, id, to) })
	talks(t, c, "PJSIP/"+other.phones[0], "PJSIP/trunk")
	gone(t, c, colleague)
	call.tell(t)
	call.wait(t)
	l.expect(t, told, `call-dial queue-dial agent-dial agent-answer agent-dial agent-answer { agent-hangup agent-hangup queue-dial } agent-dial agent-answer
		{ agent-hangup queue-hangup queue-hangup } call-hangup`)
}

// pbxClick calls an agent's phone first, and then a colleague's.
func pbxClick(t *testing.T, l *lab) {
	c, s := manager(t, "lab"), l.site(t)
	l.phone(t, s.phones[0], phone{})
	colleague := l.phone(t, s.phones[1], phone{EndTold: true})
	to, err := switching.Check(t.Context(), c, dialContext, s.phones[1])
	must(t, err)
	id := switching.NewID()
	told := l.pbx.plays(t, story{l.crm.receiver, "linkedid", id})
	course, err := switching.Start(t.Context(), c, switching.Dial{ID: id, Channel: "PJSIP/" + s.phones[0], To: to, Number: s.phones[0], Timeout: 10 * time.Second})
	must(t, err)
	defer course.Close()
	talks(t, c, "PJSIP/"+s.phones[0], "PJSIP/"+s.phones[1])
	colleague.tell(t)
	gone(t, c, "PJSIP/"+s.phones[0], "PJSIP/"+s.phones[1])
	l.expect(t, told, "agent-custom agent-dial agent-answer { agent-hangup agent-dialout-hangup } call-hangup")
}

// pbxLate is a caller whose name comes while the first phone rings: the next one shows it, after the prefix.
func pbxLate(t *testing.T, l *lab) {
	s, number := l.site(t), l.caller(t)
	l.crm.say(number, late("CALLERID(name)", "Мария Late"))
	l.phone(t, s.phones[0], phone{Silent: true})
	second := l.phone(t, s.phones[1], phone{Talk: time.Second})
	l.call(t, freepbxNumber(plainCall, s.queue), caller{Number: number, Name: "As sent"}).wait(t)
	told := l.crm.of(number)
	l.expect(t, told, "call-dial queue-dial agent-dial { agent-cancel agent-dial } agent-answer { agent-hangup queue-hangup } call-hangup")
	told.wait(t, "agent-answer", 1).has(t, map[string]string{"agent_phone": s.phones[1], "callerid_name": "Мария Late"})
	showed(t, second, "Q:Мария Late")
}
