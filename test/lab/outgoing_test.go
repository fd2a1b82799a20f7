//go:build e2e

package lab

import (
	"testing"
	"time"
)

// outgoing are the calls of agents; there is one trunk for all of them to be
// distinguished on, so they follow each other.
func outgoing(t *testing.T, l *lab) {
	phoneThat := l.queue(t).phones[0]
	play := func(dialed string, far phone, c caller) story {
		c.From, c.Number = phoneThat, phoneThat
		trunk := l.phone(t, "trunk", far)
		l.call(t, dialed, c).wait(t)
		trunk.stop()
		return story{l.crm.receiver, "dialed", dialed}
	}

	told := play("79261110100", phone{Ring: time.Second}, caller{Talk: 2 * time.Second})
	told.expect(t, "agent-custom agent-dialout-answer agent-dialout-hangup call-hangup")
	told.wait(t, "agent-custom", 1).has(t, map[string]string{"direction": "outgoing", "agent_phone": phoneThat, "dialed": "79261110100"})
	told.wait(t, "agent-dialout-answer", 1).has(t, map[string]string{"agent_phone": phoneThat, "ring_time": "1~"})
	told.wait(t, "agent-dialout-hangup", 1).has(t, map[string]string{"agent_phone": phoneThat, "status": "answer", "talk_time": "1~", "cause": "16"})
	told.wait(t, "call-hangup", 1).has(t, map[string]string{"final": "true", "billsec": "1~", "direction": "outgoing"})

	told = play("79261110101", phone{Refuse: "486 Busy Here"}, caller{Refused: "486"})
	told.expect(t, "agent-custom agent-dialout-hangup call-hangup")
	told.wait(t, "agent-dialout-hangup", 1).has(t, map[string]string{"status": "busy", "cause": "17", "agent_phone": phoneThat})

	told = play("79261110102", phone{Silent: true}, caller{GiveUp: 2 * time.Second})
	told.expect(t, "agent-custom agent-dialout-hangup call-hangup")
	told.wait(t, "agent-dialout-hangup", 1).has(t, map[string]string{"status": "cancel", "ring_time": "2~"})
}
