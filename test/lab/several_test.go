//go:build e2e

package lab

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"ringhook/ami"
	"ringhook/control"
	"ringhook/dialplan"
)

// The second Asterisk of a lab with two is at these addresses, and this is the name of its [[ami]] table.
const (
	secondNet  = "127.0.1."
	secondName = "second"
)

// TestTwoAsterisks has one ringhook listen to both Asterisks. The one of the suite goes away, and the other goes on.
func TestTwoAsterisks(t *testing.T) {
	for _, suite := range suites {
		t.Run(suite, func(t *testing.T) {
			first, second := newTwins(t, suite)
			first.run(t, "a server must be named", func(t *testing.T, first *lab) { nameServer(t, first, second) })
			first.run(t, "one goes away", func(t *testing.T, first *lab) { oneGoesAway(t, first, second) })
			first.undisturbed(t)
			first.crm.recheck(t)
			if t.Failed() {
				t.Logf("the second Asterisk logged:\n%s", tail(second.asterisk.log(0), 200))
			}
		})
	}
}

// newTwins starts two Asterisks with the same queues, and one ringhook. The labs that it returns have it in common, and
// see the queues of one Asterisk each.
func newTwins(t *testing.T, suite string) (first, second *lab) {
	t.Helper()
	other := map[string]string{"bullseye": "sid", "sid": "bullseye"}[suite]
	moved := strings.NewReplacer(firstNet, secondNet)
	first = &lab{asterisk: startAsterisk(t, suite, nil), queues: labQueueList()}
	second = &lab{asterisk: startAsteriskOn(t, other, secondNet, map[string]string{
		"pjsip.conf":   moved.Replace(pjsipConf(phoneIP)),
		"manager.conf": strings.Replace(managerConf, "bindaddr = 127.0.0.1", "bindaddr = "+secondNet+"1", 1),
	})}
	t.Log(first.asterisk.version, "and", second.asterisk.version)
	first.crm = newCompany(t)
	second.crm = first.crm
	first.server = reportServer(t, 4575, 4582, "known", "8080")
	first.server.extend(t, campaignConfig+fmt.Sprintf(`
[[ami]]
name = %q
address = "%s1:5038"
username = "ringhook"
secret = "lab-s3cret"
points = ["%s"]
`, secondName, secondNet, strings.Join(dialplan.ReportablePoints(), `", "`)))
	first.server.start(t)
	t.Cleanup(func() { first.server.stop() })
	first.server.awaitLive(t)
	second.server = &server{folder: first.server.folder, http: first.server.http, ami: secondName}
	first.server.ami = "pbx"
	return first, second
}

// originate begins a call of a linkedid to a queue, of which ringhook is asked at queue-dial alone. It returns the call's
// story.
func (l *lab) originate(t *testing.T, linkedid string, q queue) story {
	t.Helper()
	c := watch(t, l.asterisk.at(asteriskIP), "lab", silent{})
	_, err := c.Do(context.Background(), ami.Action{Name: "Originate", Fields: []ami.Field{
		{Key: "Channel", Value: "Local/" + byAMI + "0000" + q.id + "@ringhook-incoming/n"}, {Key: "Application", Value: "Wait"}, {Key: "Data", Value: "3600"},
		{Key: "ChannelId", Value: linkedid}, {Key: "Timeout", Value: "600000"}, {Key: "Async", Value: "true"},
	}})
	must(t, err)
	return story{l.crm.receiver, "call_uuid", dialplan.NewIdentity(linkedid, "", l.asterisk.entity()).UUID()}
}

// liveCall returns a live call, as the API shows it; false if there is none.
func (l *lab) liveCall(t *testing.T, linkedid string) (c control.Call, ok bool) {
	t.Helper()
	status, text := l.server.ask(t, "GET", "/calls/"+linkedid+"?server="+l.server.ami, "")
	return c, status == 200 && json.Unmarshal([]byte(text), &c) == nil && c.Server == l.server.ami
}

// nameServer has callers with the same linkedid wait in queues of the same name.
func nameServer(t *testing.T, first, second *lab) {
	q, twin := first.queue(t), "lab-twin-1"
	stories := map[*lab]story{}
	for _, l := range []*lab{first, second} {
		for _, name := range q.phones {
			l.phone(t, name, phone{Silent: true})
		}
		stories[l] = l.originate(t, twin, q)
		stories[l].wait(t, "agent-dial", 1)
		if waiting := l.waiting(t, q, 1); waiting[0].LinkedID != twin {
			t.Errorf("waiting: %+v", waiting)
		}
	}
	unclear := func(method, path, body string) {
		t.Helper()
		first.command(t, method, path, body, 409, `"unclear"`)
	}
	unclear("GET", "/queues/"+q.id, "")
	unclear("GET", "/calls/"+twin, "")
	unclear("POST", "/queues/"+q.id+"/kick", fmt.Sprintf(`{"calls": [%q]}`, twin))
	unclear("PUT", "/queues/"+q.id+"/calls/"+twin+"/priority", `{"priority": 7}`)
	unclear("POST", "/calls/"+twin+"/hangup", "")
	unclear("POST", "/agents/71/login", fmt.Sprintf(`{"queues": [%q]}`, emptyQueue))
	unclear("POST", "/campaigns", fmt.Sprintf(`{"numbers": ["79160001001"], "to": %q}`, q.id))
	first.command(t, "GET", "/queues/"+q.id+"?server=third", "", 404, `"unknown"`)
	first.waiting(t, q, 1)
	second.waiting(t, q, 1)

	// With the name of a server a command reaches that alone.
	first.command(t, "POST", "/agents/71/login?server="+secondName, fmt.Sprintf(`{"queues": [%q]}`, emptyQueue), 200, `"server":"second"`)
	if _, ok := first.member(t, emptyQueue, localPhone); ok {
		t.Error("the agent is logged in at the first Asterisk")
	}
	first.command(t, "PUT", "/agents/71/pause", `{"reason": "tea"}`, 200, `"server":"second"`)
	first.command(t, "POST", "/agents/71/logout", "", 200, `"server":"second"`)
	first.command(t, "POST", "/queues/"+q.id+"/kick?server="+secondName, fmt.Sprintf(`{"calls": [%q]}`, twin), 200, `"result":"ok"`)
	second.waiting(t, q, 0)
	first.waiting(t, q, 1)
	stories[second].wait(t, "queue-hangup", 1).has(t, map[string]string{"status": "other", "ended_by": "the [http] token"})
	stories[second].expect(t, "queue-dial agent-dial { agent-cancel queue-hangup call-hangup }")
	if got := eventNames(stories[first].events()); !slices.Equal(got, []string{"queue-dial", "agent-dial"}) {
		t.Errorf("the call of the first Asterisk has the events %v", got)
	}
	eventually(t, "only one Asterisk has the call", func() bool {
		_, ok := second.liveCall(t, twin)
		return !ok
	})
	first.command(t, "POST", "/calls/"+twin+"/hangup", "", 200, `"server":"pbx"`)
	first.waiting(t, q, 0)
	stories[first].wait(t, "call-hangup", 1)
	first.agreed(t, "the commands")
	second.agreed(t, "the commands")
}

// oneGoesAway has callers with the same linkedid talk, and then kills the first Asterisk and starts it again.
func oneGoesAway(t *testing.T, first, second *lab) {
	q, twin := first.queue(t), "lab-twin-2"
	stories := map[*lab]story{}
	for _, l := range []*lab{first, second} {
		l.phone(t, q.phones[0], phone{})
		stories[l] = l.originate(t, twin, q)
		stories[l].wait(t, "agent-answer", 1)
		eventually(t, "the call is connected", func() bool {
			c, ok := l.liveCall(t, twin)
			return ok && c.State == "talking"
		})
	}
	first.asterisk.kill()
	eventually(t, "ringhook knows that Asterisk is gone", func() bool {
		status, text := first.server.ask(t, "GET", "/queues?server=pbx", "")
		return status == 503 && strings.Contains(text, `"code":"away"`)
	})
	first.command(t, "POST", "/calls/"+twin+"/hangup?server=pbx", "", 503, `"away"`)
	first.command(t, "GET", "/calls/"+twin, "", 200, `"server":"second"`)
	// What no other has may be on the one that is away, and what is for one of two still is.
	first.command(t, "POST", "/queues/999/kick", `{"calls": ["1.1"]}`, 503, `"away"`)
	first.command(t, "POST", "/campaigns", fmt.Sprintf(`{"numbers": ["79160001001"], "to": %q}`, q.id), 409, `"unclear"`)
	second.agreed(t, "the end of the other")
	second.phone(t, q.phones[1], phone{Talk: time.Second})
	number := first.caller(t)
	second.call(t, byAMI+"0000"+q.id, caller{Number: number}).wait(t)
	const whole = "queue-dial agent-dial agent-answer { agent-hangup queue-hangup } call-hangup"
	first.crm.of(number).expect(t, whole)

	first.asterisk.start(t)
	first.server.awaitLive(t)
	stories[first].expect(t, whole)
	stories[first].wait(t, "call-hangup", 1).presumed(t, true)
	if c, ok := second.liveCall(t, twin); !ok || c.State != "talking" {
		t.Errorf("the call of the second Asterisk: %t %+v", ok, c)
	}
	first.command(t, "POST", "/calls/"+twin+"/hangup", "", 200, `"server":"second"`)
	stories[second].expect(t, whole)
	for _, e := range slices.Concat(stories[second].events(), first.crm.of(number).events()) {
		e.presumed(t, false)
	}
	first.agreed(t, "the restart")
	second.agreed(t, "the restart of the other")
}

// presumed checks whether an event is one that ringhook concluded.
func (e event) presumed(t *testing.T, want bool) {
	t.Helper()
	if (e["presumed"] == true) != want {
		t.Errorf("presumed is %v, want %t: %v", e["presumed"], want, e)
	}
}
