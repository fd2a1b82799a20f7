//go:build e2e

package lab

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
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

// yemot sends a command of the dialect, and returns its answer.
func (l *lab) yemot(t *testing.T, command string, params ...string) map[string]any {
	t.Helper()
	form := url.Values{"token": {token}}
	for i := 0; i < len(params); i += 2 {
		form.Set(params[i], params[i+1])
	}
	resp, err := http.PostForm("http://"+l.server.http+"/ym/api/"+command, form)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	var answer map[string]any
	if err := json.Unmarshal(text, &answer); err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %d %v\n%s", command, resp.StatusCode, err, text)
	}
	return answer
}

// yemotCommands plays the commands of the dialect.
func yemotCommands(t *testing.T, l *lab) {
	number := l.caller(t)
	l.phone(t, soloPhone, phone{Silent: true})
	call := l.call(t, queueNumber(soloQueue), caller{Number: number, Refused: "486"})
	var id string
	eventually(t, "the caller is shown", func() bool {
		answer := l.yemot(t, "GetQueueRealTime", "queuePath", "ivr2:/"+soloQueue)
		entries, _ := answer["entries"].([]any)
		if answer["responseStatus"] != "OK" || len(entries) != 1 {
			return false
		}
		entry := entries[0].(map[string]any)
		id, _ = entry["CallId"].(string)
		return strings.HasSuffix(number, strings.TrimLeft(entry["phone"].(string), "+")) && entry["Position"] == 1.0
	})

	paused := func() any {
		return l.yemot(t, "GetQueueRealTime", "queuePath", soloQueue)["members"].([]any)[0].(map[string]any)["Paused"]
	}
	for _, c := range []struct {
		action string
		want   bool
	}{{"pause", true}, {"unpause", false}} {
		if answer := l.yemot(t, "QueueManagement", "queuePath", soloQueue, "action", c.action, "agent", soloPhone); answer["responseStatus"] != "OK" {
			t.Errorf("%s: %v", c.action, answer)
		}
		if paused() != c.want {
			t.Errorf("%s: the member is not so", c.action)
		}
		l.agreed(t, c.action)
	}

	answer := l.yemot(t, "QueueManagement", "queuePath", soloQueue, "action", "kick", "callIds", fmt.Sprintf(`[%q,"1.1"]`, id))
	if got := fmt.Sprint(answer["status"]); got != fmt.Sprintf("map[1.1:Call not found %s:OK]", id) {
		t.Errorf("kick: %v", answer)
	}
	call.wait(t)
	l.agreed(t, "kick")
	l.crm.of(number).wait(t, "queue-hangup", 1).has(t, map[string]string{"status": "other", "ended_by": "the [yemot] token"})

	register(t, 3, 120)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("SipGetContexts: %v", answer)
		}
	})
	eventually(t, "the phone has a contact", func() bool {
		answer = l.yemot(t, "SipGetContexts", "accountNumber", registeringPhone)
		contexts, _ := answer["contexts"].([]any)
		if len(contexts) != 1 {
			return false
		}
		contact := contexts[0].(map[string]any)
		return contact["user_agent"] == "Lab Phone/1.0" && contact["via_addr"] == phoneIP(registeringPhone) && contact["via_port"] == float64(sipPort)
	})
	registered := func() bool {
		accounts, _ := l.yemot(t, "GetSipAccountsRegisteredStatus")["accounts"].([]any)
		for _, a := range accounts {
			if one := a.(map[string]any); one["userName"] == registeringPhone {
				return one["registered"] == true
			}
		}
		return false
	}
	if !registered() {
		t.Error("the phone is not shown as registered")
	}
	register(t, 4, 0)
	eventually(t, "the phone is gone", func() bool { return !registered() })

	if answer := l.yemot(t, "CreateSipAccount", "extNumber", "201"); answer["responseStatus"] != "ERROR" || answer["message"] == "" {
		t.Errorf("accounts: %v", answer)
	}
}

// numberInUse calls a number that the dialplan routes by its use. Another exchange sends the call's id, and the
// phone gets ours.
func numberInUse(t *testing.T, l *lab) {
	for _, use := range []string{"goto:/1", "sip:" + plainPhone} {
		if answer := l.yemot(t, "SetSecondaryDidUsageDescription", "secondaryDidId", usedNumber, "newUsage", use); answer["status"] != true {
			t.Fatalf("use of the number: %v", answer)
		}
	}
	number := l.caller(t)
	rung := l.phone(t, plainPhone, phone{})
	call := l.call(t, usedNumber, caller{Number: number, Talk: time.Second, CallID: "crm-4711"})
	told := l.crm.of(number)
	told.wait(t, "agent-dial", 1).has(t, map[string]string{"agent_phone": plainPhone, "did_type": "sip", "did_target": plainPhone, "call_id": "crm-4711"})
	call.wait(t)
	end := told.wait(t, "call-hangup", 1)
	end.has(t, map[string]string{"call_id": "crm-4711"})
	for name, want := range map[string]string{"X-Call-ID": end.text("linkedid"), "X-Call-Path": plainPhone} {
		if got := rung.headers(t, name); len(got) != 1 || got[0] != want {
			t.Errorf("%s of the phone's INVITE: %q, want %q", name, got, want)
		}
	}
}
