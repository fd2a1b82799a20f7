//go:build e2e

package lab

import (
	"slices"
	"strings"
	"testing"
	"time"

	"ringhook/test/wait"
)

// TestAsteriskRestart restarts both Asterisks in mid-call, after a crash and after an orderly end. ringhook hears of the
// calls from the manager interface.
func TestAsteriskRestart(t *testing.T) {
	for _, suite := range suites {
		t.Run(suite, func(t *testing.T) {
			l := &lab{asterisk: startAsterisk(t, suite, nil), queues: labQueueList()}
			t.Log(l.asterisk.version)
			l.crm = newCompany(t)
			l.server = reportServer(t, 4575, 4582, "known", "8080")
			l.server.start(t)
			t.Cleanup(func() { l.server.stop() })
			l.server.awaitLive(t)
			l.run(t, "killed", func(t *testing.T, l *lab) { l.restarted(t, l.asterisk.kill, true) })
			l.run(t, "stopped", func(t *testing.T, l *lab) { l.restarted(t, l.asterisk.stop, false) })
			l.undisturbed(t)
			l.crm.recheck(t)
		})
	}
}

// restarted ends Asterisk while one caller talks, one waits for the same agent, and one is rung for, and starts it again.
// presumed reports whether ringhook can only conclude how the calls ended.
func (l *lab) restarted(t *testing.T, end func(), presumed bool) {
	q := l.queue(t)
	solo := queue{id: soloQueue}
	agent := l.phone(t, soloPhone, phone{})
	l.phone(t, q.phones[0], phone{Silent: true})
	talks, waits, rings := l.caller(t), l.caller(t), l.caller(t)
	dial := func(q queue, c caller) *sipp {
		t.Helper()
		return l.call(t, byAMI+"0000"+q.id, c)
	}
	dial(solo, caller{Number: talks, Told: true})
	l.crm.of(talks).wait(t, "agent-answer", 1)
	dial(solo, caller{Number: waits, Told: true})
	l.waiting(t, solo, 1)
	dial(q, caller{Number: rings, GiveUp: wait.Limit})
	l.crm.of(rings).wait(t, "agent-dial", 1)

	end()
	eventually(t, "ringhook knows that Asterisk is gone", func() bool {
		status, text := l.server.ask(t, "GET", "/queues", "")
		return status == 503 && strings.Contains(text, `"code":"away"`)
	})
	l.command(t, "POST", "/agents/71/login", `{"queues": ["518"]}`, 503, `"code":"away"`)
	agent.stop()
	l.asterisk.start(t)
	l.server.awaitLive(t)

	abandoned, status := "queue-abandon", "cancel"
	if presumed { // whether a caller gave up is not known
		abandoned, status = "", "other"
	}
	for number, want := range map[string]string{
		talks: "queue-dial agent-dial agent-answer { agent-hangup queue-hangup } call-hangup",
		waits: "queue-dial { queue-hangup " + abandoned + " } call-hangup",
		rings: "queue-dial agent-dial { agent-cancel queue-hangup " + abandoned + " } call-hangup",
	} {
		told := l.crm.of(number)
		told.expect(t, want)
		for _, e := range told.events() {
			end := slices.Contains([]string{"agent-hangup", "agent-cancel", "queue-hangup", "queue-abandon", "call-hangup"}, e.text("event"))
			if (e["presumed"] == true) != (presumed && end) {
				t.Errorf("presumed is %v: %v", e["presumed"], e)
			}
		}
		if number != talks {
			told.wait(t, "queue-hangup", 1).has(t, map[string]string{"status": status})
		}
	}
	l.crm.of(talks).wait(t, "agent-hangup", 1).has(t, map[string]string{"agent_phone": soloPhone, "status": "answer", "queue_id": soloQueue})
	l.crm.of(talks).wait(t, "queue-hangup", 1).has(t, map[string]string{"agent_phone": soloPhone, "status": "answer", "queue_id": soloQueue})
	l.agreed(t, "the restart")

	// The next call is one as any other.
	l.phone(t, soloPhone, phone{Talk: time.Second})
	next := l.caller(t)
	dial(solo, caller{Number: next}).wait(t)
	l.crm.of(next).expect(t, "queue-dial agent-dial agent-answer { agent-hangup queue-hangup } call-hangup")
	for _, e := range l.crm.of(next).events() {
		if e["presumed"] != nil || e["correction"] != nil {
			t.Errorf("a call after the restart: %v", e)
		}
	}
	l.agreed(t, "the next call")
}
