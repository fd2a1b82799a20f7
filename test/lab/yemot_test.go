//go:build e2e

package lab

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"

	"ringhook/control"
	"ringhook/test/wait"
)

// usedNumber leads to where the lookup of the type did says.
const usedNumber = "74962000501"

// yemotConfig is the part of ringhook.toml for the dialect.
const yemotConfig = `
[dialplan]
variables = { call_id = "word" }

[yemot]
token = "` + token + `"

[[lookup]]
name = "numbers"
type = "did"
points = ["call-dial"]
`

// The ways in which a command of the dialect is sent.
const (
	byQuery = "query"
	byForm  = "form"
	byJSON  = "JSON"
)

// params are the parameters of a command. In a query and in a form, lists and objects are JSON within a text.
type params map[string]any

// yemot sends a command of the dialect, and returns its answer.
func (l *lab) yemot(t *testing.T, way, command string, p params) map[string]any {
	t.Helper()
	p = maps.Clone(p)
	if p == nil {
		p = params{}
	}
	p["token"] = token
	form := url.Values{}
	for name, value := range p {
		encoded, err := json.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		if text, isText := value.(string); isText {
			encoded = []byte(text)
		}
		form.Set(name, string(encoded))
	}
	text, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	var resp *http.Response
	switch address := "http://" + l.server.http + "/ym/api/" + command; way {
	case byQuery:
		resp, err = http.Get(address + "?" + form.Encode())
	case byForm:
		resp, err = http.PostForm(address, form)
	case byJSON:
		resp, err = http.Post(address, "application/json", bytes.NewReader(text))
	default:
		t.Fatalf("there is no way %q", way)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if text, err = io.ReadAll(resp.Body); err != nil {
		t.Fatal(err)
	}
	var answer map[string]any
	if err := json.Unmarshal(text, &answer); err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %d %v\n%s", command, resp.StatusCode, err, text)
	}
	return answer
}

// answers sends a command of the dialect, and checks that its answer is exactly this JSON.
func (l *lab) answers(t *testing.T, way, command string, p params, want string) {
	t.Helper()
	checkAnswer(t, fmt.Sprintf("%s %v by %s", command, p, way), l.yemot(t, way, command, p), want)
}

// checkAnswer checks that an answer is exactly this JSON.
func checkAnswer(t *testing.T, what string, got any, want string) {
	t.Helper()
	var wanted any
	if err := json.Unmarshal([]byte(want), &wanted); err != nil {
		t.Fatalf("%v: %s", err, want)
	}
	if !reflect.DeepEqual(got, wanted) {
		t.Errorf("%s: got\n%v\nwant\n%v", what, got, wanted)
	}
}

// take removes a value from an answer, and returns it; so what is left can be compared.
func take[T any](answer map[string]any, name string) T {
	value, _ := answer[name].(T)
	delete(answer, name)
	return value
}

const (
	yemotOK    = `{"responseStatus": "OK"}`
	yemotNoSIP = `{"responseStatus": "ERROR", "message": "שרת זה אינו תומך במערכת SIP", "yAfastVersion": "any"}`
)

// yemotCommands plays the commands of the dialect.
func yemotCommands(t *testing.T, l *lab) {
	l.run(t, "queue", yemotQueue)
	l.run(t, "contacts", yemotContacts)
	l.run(t, "no accounts", yemotNoAccounts)
}

// yemotQueue shows a queue, pauses its member, and kicks two callers, one of them to another queue.
func yemotQueue(t *testing.T, l *lab) {
	next := l.queue(t)
	moved, out := l.caller(t), l.caller(t)
	l.phone(t, soloPhone, phone{Silent: true})
	l.call(t, queueNumber(soloQueue), caller{Number: moved, GiveUp: wait.Limit})
	first := l.waiting(t, queue{id: soloQueue}, 1)[0]
	hungUp := l.call(t, queueNumber(soloQueue), caller{Number: out, Refused: "486"})
	second := l.waiting(t, queue{id: soloQueue}, 2)[1]

	var answer map[string]any
	shown := func(way string, p params) (members []any) {
		answer = l.yemot(t, way, "GetQueueRealTime", p)
		members, _ = answer["members"].([]any)
		return members
	}
	eventually(t, "the member is shown as ringing", func() bool {
		members := shown(byQuery, params{"queuePath": "ivr2:/" + soloQueue})
		return len(members) == 1 && members[0].(map[string]any)["Status"] == "6"
	})
	for _, e := range answer["entries"].([]any) {
		waited, ago := take[float64](e.(map[string]any), "Wait"), take[string](e.(map[string]any), "WaitAgo")
		if waited < 0 || ago != fmt.Sprintf("%02d:%02d", int(waited)/60, int(waited)%60) {
			t.Errorf("the caller waits %v seconds, %s", waited, ago)
		}
	}
	data, _ := answer["queueData"].(map[string]any)
	counted := l.asterisk.counted(t, soloQueue, soloPhone)
	checkAnswer(t, "GetQueueRealTime", answer, fmt.Sprintf(`{"responseStatus": "OK",
		"queueData": {"Calls": 2, "Completed": %v, "Abandoned": %v, "TalkTime": 0, "Holdtime": 0, "Max": 0, "Strategy": "linear"},
		"members": [{"agent": %q, "Status": "6", "CallsTaken": %d, "Paused": false, "Penalty": "0"}],
		"entries": [{"phone": %q, "Position": 1, "CallId": %q}, {"phone": %q, "Position": 2, "CallId": %q}]}`,
		data["Completed"], data["Abandoned"], soloPhone, counted.taken, first.Caller, first.UniqueID, second.Caller, second.UniqueID))
	for number, w := range map[string]control.Waiter{moved: first, out: second} {
		if strings.TrimPrefix(w.Caller, "+") != number {
			t.Errorf("the caller %s is shown as %s", number, w.Caller)
		}
	}
	l.answers(t, byQuery, "GetQueueRealTime", params{"queuePath": "ivr2:/999"}, `{"responseStatus": "ERROR", "message": "queue does not exist"}`)

	for _, c := range []struct {
		way    string
		agent  any
		action string
		want   bool
	}{
		{byJSON, soloPhone, "pause", true}, {byQuery, soloPhone, "unpause", false},
		{byForm, 73, "pause", true}, {byJSON, 73, "unpause", false}, // the id
	} {
		l.answers(t, c.way, "QueueManagement", params{"queuePath": "ivr2:/" + soloQueue, "action": c.action, "agent": c.agent}, yemotOK)
		eventually(t, c.action+" is shown", func() bool {
			members := shown(byJSON, params{"queuePath": soloQueue})
			return len(members) == 1 && members[0].(map[string]any)["Paused"] == c.want
		})
		l.agreed(t, c.action)
	}
	answer = l.yemot(t, byJSON, "QueueManagement", params{"queuePath": soloQueue, "action": "pause", "agent": localPhone})
	if message := take[string](answer, "message"); message == "" {
		t.Error("no message for an agent who is not logged in")
	}
	checkAnswer(t, "pause of an agent who is not logged in", answer, `{"responseStatus": "ERROR"}`)

	kick := func(what string, p params, want string) {
		t.Helper()
		p["queuePath"], p["action"] = soloQueue, "kick"
		l.answers(t, byJSON, "QueueManagement", p, want)
		l.agreed(t, what)
	}
	kick("kick to nowhere", params{"callIds": []string{first.UniqueID}, "moreData": "GOTO:/7"},
		fmt.Sprintf(`{"responseStatus": "OK", "status": {%q: "there is no extension 7 in the context ringhook-queues"}}`, first.UniqueID))
	l.waiting(t, queue{id: soloQueue}, 2)
	kick("kick to another queue", params{"callIds": []string{first.UniqueID, "1.1"}, "moreData": "GOTO:/" + next.id},
		fmt.Sprintf(`{"responseStatus": "OK", "status": {%q: "OK", "1.1": "Call not found"}}`, first.UniqueID))
	if w := l.waiting(t, next, 1)[0]; w.UniqueID != first.UniqueID {
		t.Errorf("in the other queue waits %+v", w)
	}
	kick("kick", params{"callIds": []string{second.UniqueID}}, fmt.Sprintf(`{"responseStatus": "OK", "status": {%q: "OK"}}`, second.UniqueID))
	hungUp.wait(t)
	l.waiting(t, queue{id: soloQueue}, 0)
	kick("kick of callers who are not there", params{"callIds": first.UniqueID + ":" + second.UniqueID},
		fmt.Sprintf(`{"responseStatus": "OK", "status": {%q: "Call not found", %q: "Call not found"}}`, first.UniqueID, second.UniqueID))
	l.answers(t, byQuery, "QueueManagement", params{"queuePath": next.id, "action": "kick", "callIds": fmt.Sprintf("[%q]", first.UniqueID)},
		fmt.Sprintf(`{"responseStatus": "OK", "status": {%q: "OK"}}`, first.UniqueID))
	l.waiting(t, next, 0)

	by := map[string]string{"status": "other", "ended_by": "the [yemot] token"}
	told := l.crm.of(out)
	told.wait(t, "call-hangup", 1)
	told.wait(t, "queue-hangup", 1).has(t, by)
	told = l.crm.of(moved)
	told.wait(t, "queue-dial", 2).has(t, map[string]string{"queue_id": next.id})
	told.wait(t, "call-hangup", 1)
	for n := range 2 {
		told.wait(t, "queue-hangup", n+1).has(t, by)
	}
	for _, number := range []string{moved, out} {
		if names := strings.Join(eventNames(l.crm.of(number).events()), " "); strings.Contains(names, "queue-abandon") || strings.Contains(names, "queue-failover") {
			t.Errorf("events of a kicked caller: %s", names)
		}
	}
}

// yemotContacts shows where a phone is registered.
func yemotContacts(t *testing.T, l *lab) {
	register(t, 3, 120)
	var contact map[string]any
	eventually(t, "the phone has a contact", func() bool {
		contexts, _ := l.yemot(t, byQuery, "SipGetContexts", params{"accountNumber": registeringPhone})["contexts"].([]any)
		if len(contexts) == 1 {
			contact = contexts[0].(map[string]any)
		}
		return contact != nil
	})
	if left := take[float64](contact, "expiration_time") - float64(time.Now().Unix()); left < 60 || left > 121 {
		t.Errorf("the contact expires in %v seconds", left)
	}
	ip := phoneIP(registeringPhone)
	checkAnswer(t, "SipGetContexts", contact, fmt.Sprintf(`{"endpoint": %q, "uri": "sip:%[1]s@%[2]s:%[3]d", "user_agent": "Lab Phone/1.0", "via_addr": %[2]q, "via_port": %[3]d}`,
		registeringPhone, ip, sipPort))
	l.answers(t, byJSON, "SipGetContexts", params{"accountNumber": 999}, `{"responseStatus": "ERROR", "message": "account does not exist"}`)

	status := func() (account any) {
		accounts, _ := l.yemot(t, byQuery, "GetSipAccountsRegisteredStatus", nil)["accounts"].([]any)
		for _, a := range accounts {
			if a.(map[string]any)["userName"] == registeringPhone {
				account = a
			}
		}
		return account
	}
	checkAnswer(t, "GetSipAccountsRegisteredStatus", status(), fmt.Sprintf(`{"userName": %q, "createdDate": null, "registered": true}`, registeringPhone))
	register(t, 4, 0)
	eventually(t, "the phone is gone", func() bool { return status().(map[string]any)["registered"] == false })
	l.answers(t, byJSON, "SipGetContexts", params{"accountNumber": 113}, `{"responseStatus": "OK", "contexts": []}`)
}

// yemotNoAccounts sends the commands for SIP accounts without [accounts].
func yemotNoAccounts(t *testing.T, l *lab) {
	for command, p := range map[string]params{
		"GetSipAccountsInCustomer": nil,
		"CreateSipAccount":         {"extNumber": 201},
		"DeleteSipAccount":         {"accountNumber": []int{201, 202}},
		"SipExtensionManagement":   {"action": "Get", "accountNumber": 201},
		"EditCallerIdInSipAccount": {"accountNumber": 201, "callerId": "0771234567"},
		"SipToWss":                 {"accountNumber": 201},
		"SipToUdp":                 {"accountNumber": 201},
	} {
		for _, way := range []string{byQuery, byJSON} {
			l.answers(t, way, command, p, yemotNoSIP)
		}
	}
	l.answers(t, byJSON, "SipExtensionManagement", params{"action": "Set", "accountNumber": 201, "extNumber": 250}, yemotNoSIP)
}

// numberInUse calls a number that the dialplan routes by its use: to a queue, and to a phone. Another exchange sends the
// call's id, and the phone gets ours.
func numberInUse(t *testing.T, l *lab) {
	use := func(way, as string) {
		t.Helper()
		l.answers(t, way, "SetSecondaryDidUsageDescription", params{"secondaryDidId": usedNumber, "newUsage": as}, `{"responseStatus": "OK", "status": true}`)
	}
	answer := l.yemot(t, byJSON, "SetSecondaryDidUsageDescription", params{"secondaryDidId": usedNumber, "newUsage": "fax:1"})
	if message := take[string](answer, "message"); !strings.HasPrefix(message, "newUsage must be sip: ") {
		t.Errorf("another use: %q", message)
	}
	checkAnswer(t, "another use", answer, `{"responseStatus": "ERROR"}`)

	use(byQuery, "goto:/"+soloQueue)
	agent, number := l.phone(t, soloPhone, phone{Talk: time.Second}), l.caller(t)
	l.call(t, usedNumber, caller{Number: number}).wait(t)
	told := l.crm.of(number)
	told.expect(t, answeredStory)
	told.wait(t, "agent-answer", 1).has(t, map[string]string{"queue_id": soloQueue, "agent_phone": soloPhone, "did_type": "goto", "did_target": "/" + soloQueue})
	agent.stop()

	use(byJSON, "sip:"+plainPhone)
	number = l.caller(t)
	rung := l.phone(t, plainPhone, phone{})
	call := l.call(t, usedNumber, caller{Number: number, Talk: time.Second, CallID: "crm-4711"})
	told = l.crm.of(number)
	told.wait(t, "agent-dial", 1).has(t, map[string]string{"agent_phone": plainPhone, "did_type": "sip", "did_target": plainPhone, "call_id": "crm-4711"})
	call.wait(t)
	end := told.wait(t, "call-hangup", 1)
	end.has(t, map[string]string{"call_id": "crm-4711"})
	for name, want := range map[string]string{"X-Call-ID": end.text("linkedid"), "X-Call-Path": plainPhone} {
		if got := rung.headers(t, name); len(got) != 1 || got[0] != want {
			t.Errorf("%s of the phone's INVITE: %q, want %q", name, got, want)
		}
	}

	// Without a use the dialplan has no destination.
	use(byForm, "")
	number = l.caller(t)
	l.call(t, usedNumber, caller{Number: number, Refused: "404"}).wait(t)
	l.crm.of(number).expect(t, "call-dial call-hangup")
}
