//go:build e2e

package lab

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"ringhook/control"
	"ringhook/test/wait"
)

const (
	localPhone       = "111" // of the agent 71
	registeringPhone = "113" // has no address in pjsip.conf
)

// agentsConfig is the part of ringhook.toml that commands use: an agent who is rung as the sample's are, one who is a
// member by the phone itself, and one who is a member by queues.conf.
const agentsConfig = `
[[agent]]
id = "71"
phone = "111"
name = "Ольга"
interface = "Local/111@ringhook-agents/n"

[[agent]]
id = "72"
phone = "112"
name = "Pavel"

[[agent]]
id = "73"
phone = "120"
interface = "Local/120@ringhook-agents/n"
`

// ask sends a request to the API, and returns the status and the answer.
func (s *server) ask(t *testing.T, method, path, body string) (int, string) {
	t.Helper()
	return s.askAs(t, token, method, path, body)
}

// askAs does the same with another token.
func (s *server) askAs(t *testing.T, token, method, path, body string) (int, string) {
	t.Helper()
	req, err := http.NewRequest(method, "http://"+s.http+"/v1"+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

// command sends a command, and checks its status and a part of its answer.
func (l *lab) command(t *testing.T, method, path, body string, status int, want string) {
	t.Helper()
	if got, text := l.server.ask(t, method, path, body); got != status || !strings.Contains(text, want) {
		t.Errorf("%s %s %s: got %d %s, want %d %s", method, path, body, got, text, status, want)
	}
}

// agreed checks that ringhook and Asterisk's own queue show agree after a command.
func (l *lab) agreed(t *testing.T, what string) {
	t.Helper()
	if differ, same := l.agree(); differ != "" || same == 0 {
		t.Errorf("after %s: %s", what, differ)
	}
}

// member returns a member of a queue, as the API shows it; false if there is none.
func (l *lab) member(t *testing.T, queue, phone string) (m control.Member, ok bool) {
	t.Helper()
	now, _ := l.server.live()
	for _, q := range now.Queues {
		for _, m := range q.Members {
			if q.ID == queue && m.Phone == phone {
				return m, true
			}
		}
	}
	return m, false
}

// agentCommands logs agents in and out and pauses them, as a program and on the command line.
func agentCommands(t *testing.T, l *lab) {
	body := fmt.Sprintf(`{"queues": [%q]}`, emptyQueue)
	l.command(t, "POST", "/agents/71/login", body, 200, `"result":"ok"`)
	l.agreed(t, "log in")
	l.command(t, "POST", "/agents/71/login", body, 409, `"result":"state"`)
	l.command(t, "POST", "/agents/71/login", `{"queues": ["518", "999"]}`, 207, `"result":"unknown"`)
	l.command(t, "POST", "/agents/73/login", fmt.Sprintf(`{"queues": [%q]}`, soloQueue), 409, `"code":"static"`)
	l.command(t, "POST", "/agents/73/logout", "", 409, `"code":"static"`)
	l.command(t, "PUT", "/agents/72/pause", "", 409, `"code":"state"`)
	l.command(t, "POST", "/agents/72/login", `{"queues": ["518"], "penalty": 3}`, 200, `"result":"ok"`)
	l.agreed(t, "log in with a penalty")
	l.command(t, "PUT", "/agents/71/pause", `{"reason": "обед: à table"}`, 200, `"result":"ok"`)
	l.agreed(t, "pause")
	if m, ok := l.member(t, emptyQueue, localPhone); !ok || !m.Paused || m.Reason != "обед: à table" || m.Name != "Ольга" {
		t.Errorf("member: %+v", m)
	}
	l.command(t, "DELETE", "/agents/71/pause", "", 200, `"result":"ok"`)
	l.agreed(t, "resume")
	until := time.Now().Add(5 * time.Second)
	l.command(t, "PUT", "/agents/71/pause", fmt.Sprintf(`{"reason": "short", "until": %q}`, until.Format(time.RFC3339Nano)), 200, `"result":"ok"`)
	if m, _ := l.member(t, emptyQueue, localPhone); !m.Paused && time.Now().Before(until) {
		t.Errorf("not paused: %+v", m)
	}
	eventually(t, "the pause ends by itself", func() bool {
		m, ok := l.member(t, emptyQueue, localPhone)
		return ok && !m.Paused
	})
	l.agreed(t, "the end of the pause")
	ringhook := func(want string, args ...string) {
		t.Helper()
		out, err := exec.Command(os.Getenv(binaryVariable), append([]string{"-c", filepath.Join(l.server.folder, "ringhook.toml")}, args...)...).CombinedOutput()
		if err != nil || !strings.Contains(string(out), want) {
			t.Errorf("ringhook %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
	ringhook("518: ok", "agent", "pause", "72", "--reason", "tea", "--for", "1h")
	ringhook("518 (tea", "agent", "list")
	ringhook("518: ok", "agent", "resume", "72")
	ringhook("518: ok", "agent", "logout", "72")
	l.agreed(t, "log out")

	// A log-out in a call leaves the call alone. Meanwhile Asterisk saw that the phone was busy.
	number := l.caller(t)
	l.phone(t, localPhone, phone{})
	call := l.call(t, queueNumber(emptyQueue), caller{Number: number, Told: true})
	told := l.crm.of(number)
	told.wait(t, "agent-answer", 1).has(t, map[string]string{"agent_phone": localPhone, "agent_id": "71"})
	eventually(t, "the member is busy", func() bool {
		m, ok := l.member(t, emptyQueue, localPhone)
		return ok && m.State == "busy"
	})
	l.command(t, "POST", "/agents/71/logout", "", 200, `"result":"ok"`)
	l.agreed(t, "log out in a call")
	call.tell(t)
	call.wait(t)
	told.expect(t, "call-dial queue-dial agent-dial agent-answer { agent-hangup queue-hangup } call-hangup")
	told.wait(t, "agent-hangup", 1).has(t, map[string]string{"status": "answer"})
	l.command(t, "POST", "/agents/71/logout", "", 409, `"code":"state"`)
}

// kickCallers takes waiting callers out of a queue.
func kickCallers(t *testing.T, l *lab) {
	q, next := l.queue(t), l.queue(t)
	l.phone(t, q.phones[0], phone{Silent: true})
	moved, out := l.caller(t), l.caller(t)
	l.call(t, q.did, caller{Number: moved, GiveUp: wait.Limit})
	l.waiting(t, q, 1)
	hungUp := l.call(t, q.did, caller{Number: out, Refused: "486"})
	callers := l.waiting(t, q, 2)
	kick := func(body string, status int, want string) {
		t.Helper()
		l.command(t, "POST", "/queues/"+q.id+"/kick", body, status, want)
		l.agreed(t, "kick "+body)
	}
	kick(fmt.Sprintf(`{"calls": [%q], "to": "7"}`, callers[0].LinkedID), 400, "there is no extension 7 in the context ringhook-queues")
	l.waiting(t, q, 2)
	kick(fmt.Sprintf(`{"calls": [%q, "1.1"], "to": %q}`, callers[0].LinkedID, next.id), 207, `"result":"unknown"`)
	l.waiting(t, q, 1)
	l.waiting(t, next, 1)
	l.crm.of(out).wait(t, "agent-dial", 1) // the phone rings for the caller who is first now
	kick(fmt.Sprintf(`{"calls": [%q]}`, callers[1].UniqueID), 200, `"result":"ok"`)
	hungUp.wait(t)
	l.waiting(t, q, 0)

	told := l.crm.of(out)
	told.expect(t, "call-dial queue-dial agent-dial { agent-cancel queue-hangup call-hangup }")
	told.wait(t, "queue-hangup", 1).has(t, map[string]string{"status": "other", "ended_by": "the [http] token", "queue_id": q.id})
	told = l.crm.of(moved)
	told.wait(t, "queue-dial", 2).has(t, map[string]string{"queue_id": next.id})
	told.wait(t, "queue-hangup", 1).has(t, map[string]string{"status": "other", "ended_by": "the [http] token", "queue_id": q.id})
	kick(fmt.Sprintf(`{"calls": [%q]}`, callers[0].LinkedID), 404, `"result":"unknown"`)
	l.command(t, "POST", "/queues/"+next.id+"/kick", fmt.Sprintf(`{"calls": [%q]}`, callers[0].LinkedID), 200, `"result":"ok"`)
	told.wait(t, "call-hangup", 1)
	for _, e := range slices.Concat(l.crm.of(moved).events(), l.crm.of(out).events()) {
		if name := e.text("event"); name == "queue-abandon" || name == "queue-failover" {
			t.Errorf("a kicked caller has the event %s", name)
		}
	}
}

// kickConnected does not touch a caller whom an agent has answered.
func kickConnected(t *testing.T, l *lab) {
	q, number := l.queue(t), l.caller(t)
	l.phone(t, q.phones[0], phone{})
	call := l.call(t, q.did, caller{Number: number, Told: true})
	answer := l.crm.of(number).wait(t, "agent-answer", 1)
	eventually(t, "the call is connected", func() bool {
		_, text := l.server.ask(t, "GET", "/calls/"+answer.text("linkedid"), "")
		return strings.Contains(text, `"state":"talking"`)
	})
	l.command(t, "POST", "/queues/"+q.id+"/kick", fmt.Sprintf(`{"calls": [%q]}`, answer.text("linkedid")), 409, `"code":"connected"`)
	call.tell(t)
	call.wait(t)
	l.crm.of(number).wait(t, "queue-hangup", 1).has(t, map[string]string{"status": "answer", "ended_by": ""})
}

// callerPriority moves a waiting caller on 22, and changes the number alone on 16.
func callerPriority(t *testing.T, l *lab) {
	q := l.queue(t)
	for _, name := range q.phones {
		l.phone(t, name, phone{Silent: true})
	}
	for n := range 2 {
		l.call(t, q.did, caller{Number: l.caller(t), GiveUp: wait.Limit})
		l.waiting(t, q, n+1)
	}
	second := l.waiting(t, q, 2)[1]
	position := 2
	if !strings.Contains(l.asterisk.version, " 16.") {
		position = 1
	}
	path := "/queues/" + q.id + "/calls/" + second.LinkedID + "/priority"
	l.command(t, "PUT", path, `{"priority": 7}`, 200, fmt.Sprintf(`"priority":7,"position":%d`, position))
	l.agreed(t, "priority")
	l.command(t, "PUT", path, `{"priority": "7"}`, 400, "bad-request")
	l.command(t, "PUT", "/queues/"+q.id+"/calls/1.1/priority", `{"priority": 7}`, 404, "unknown")
}

// callCommands mute a call, play digits and hang it up.
func callCommands(t *testing.T, l *lab) {
	number := l.caller(t)
	l.phone(t, localPhone, phone{})
	call := l.call(t, phoneNumber(localPhone), caller{Number: number})
	told := l.crm.of(number)
	id := told.wait(t, "agent-answer", 1).text("linkedid")
	path := "/agents/71/calls/" + id
	eventually(t, "the call is connected", func() bool {
		_, text := l.server.ask(t, "GET", "/calls/"+id, "")
		return strings.Contains(text, `"state":"talking"`)
	})
	channel := l.asterisk.channelOf(t, id, "PJSIP/"+localPhone)
	l.command(t, "POST", path+"/mute", "", 200, channel.fields["UniqueID"])
	if _, text := l.server.ask(t, "GET", "/calls/"+id, ""); !strings.Contains(text, `"muted":true`) {
		t.Errorf("the call is not shown as muted: %s", text)
	}
	l.command(t, "POST", path+"/unmute", "", 200, channel.fields["UniqueID"])
	l.command(t, "POST", path+"/dtmf", `{"digits": "1#"}`, 200, id)
	l.command(t, "POST", path+"/dtmf", `{"digits": "1,2"}`, 400, "bad-request")
	l.command(t, "POST", "/agents/72/calls/"+id+"/mute", "", 409, "state")
	l.command(t, "POST", path+"/hangup", "", 200, channel.fields["UniqueID"])
	call.wait(t)
	told.wait(t, "agent-hangup", 1).has(t, map[string]string{"status": "answer", "cause": "16"})
	told.wait(t, "call-hangup", 1)
	l.command(t, "POST", path+"/hangup", "", 404, "unknown")
	out, err := exec.Command(os.Getenv(binaryVariable), "-c", filepath.Join(l.server.folder, "ringhook.toml"), "trace", id).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "command of the [http] token") {
		t.Errorf("the trace has no command: %v\n%s", err, out)
	}
}

// registration is seen when a phone registers, and when it is gone.
func registration(t *testing.T, l *lab) {
	phone := func() (p control.Phone, text string) {
		_, text = l.server.ask(t, "GET", "/phones", "")
		var list struct{ Phones []control.Phone }
		if err := json.Unmarshal([]byte(text), &list); err != nil {
			t.Fatalf("%v: %s", err, text)
		}
		for _, p := range list.Phones {
			if p.Phone == registeringPhone {
				return p, text
			}
		}
		return p, text
	}
	if p, _ := phone(); p.Registered || len(p.Contacts) > 0 {
		t.Errorf("before: %+v", p)
	}
	register(t, 1, 120)
	eventually(t, "the phone is registered", func() bool {
		p, _ := phone()
		return p.Registered && len(p.Contacts) == 1
	})
	p, text := phone()
	c := p.Contacts[0]
	if !strings.HasPrefix(c.URI, "sip:113@127.0.0.113:5060") || c.UserAgent != "Lab Phone/1.0" || c.Via == "" || c.Expires == nil || time.Until(*c.Expires) > 2*time.Minute || time.Until(*c.Expires) < time.Minute {
		t.Errorf("contact: %+v", c)
	}
	if strings.Contains(strings.ToLower(text), "password") {
		t.Errorf("a password: %s", text)
	}
	register(t, 2, 0)
	eventually(t, "the phone is gone", func() bool {
		p, _ := phone()
		return !p.Registered && len(p.Contacts) == 0
	})
}

// register registers the phone for some seconds, or removes its registration.
func register(t *testing.T, cseq, expires int) {
	t.Helper()
	ip := phoneIP(registeringPhone)
	c, err := net.DialUDP("udp", &net.UDPAddr{IP: net.ParseIP(ip), Port: sipPort}, &net.UDPAddr{IP: net.ParseIP(asteriskIP), Port: sipPort})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	address := fmt.Sprintf("sip:%s@%s", registeringPhone, asteriskIP)
	request := strings.Join([]string{
		"REGISTER sip:" + asteriskIP + " SIP/2.0", fmt.Sprintf("Via: SIP/2.0/UDP %s:%d;branch=z9hG4bK-lab-%d", ip, sipPort, cseq), "Max-Forwards: 70",
		"From: <" + address + ">;tag=lab", "To: <" + address + ">", "Call-ID: lab-register@" + ip, fmt.Sprintf("CSeq: %d REGISTER", cseq),
		fmt.Sprintf("Contact: <sip:%s@%s:%d>", registeringPhone, ip, sipPort), fmt.Sprintf("Expires: %d", expires), "User-Agent: Lab Phone/1.0", "Content-Length: 0", "", "",
	}, "\r\n")
	if _, err := c.Write([]byte(request)); err != nil {
		t.Fatal(err)
	}
	answer := make([]byte, 4096)
	c.SetReadDeadline(time.Now().Add(10 * time.Second))
	n, err := c.Read(answer)
	if err != nil || !strings.HasPrefix(string(answer[:n]), "SIP/2.0 200") {
		t.Fatalf("REGISTER: %v\n%s", err, answer[:n])
	}
}
