//go:build e2e

package lab

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"ringhook/ami"
	"ringhook/control"
	"ringhook/store/desk"
)

// steering sends the commands for an agent's calls to the running ringhook.
type steering struct {
	phone  string // the agent's
	hold   func(t *testing.T, call string)
	resume func(t *testing.T, call string)
	// transfer begins a transfer, and returns the id of one that is attended.
	transfer func(t *testing.T, call, to string, attended bool) string
	complete func(t *testing.T, transfer string)
	cancel   func(t *testing.T, transfer string)
	// dial calls a number, and returns the call.
	dial   func(t *testing.T, number string) string
	hangUp func(t *testing.T, call string)
}

// overREST steers with a token of an agent.
func (l *lab) overREST(t *testing.T, agent, phone string) steering {
	own := strings.TrimSpace(l.ringhook(t, "token", "create", "lab-"+agent, "--agent", agent))
	send := func(t *testing.T, method, path string, in, out any) {
		t.Helper()
		body, err := json.Marshal(in)
		must(t, err)
		var status int
		var text string
		eventually(t, "the call is not changing", func() bool {
			status, text = l.server.askAs(t, own, method, "/me"+path, string(body))
			return !moving(text)
		})
		if status != http.StatusAccepted && status != http.StatusOK {
			t.Fatalf("%s %s %s: %d %s", method, path, body, status, text)
		}
		must(t, json.Unmarshal([]byte(text), out))
	}
	hold := func(command string) func(*testing.T, string) {
		return func(t *testing.T, call string) {
			t.Helper()
			var r control.HoldResult
			send(t, "POST", "/calls/"+call+"/"+command, struct{}{}, &r)
			if r.LinkedID != call || r.Way != "pbx" {
				t.Errorf("%s: %+v", command, r)
			}
		}
	}
	end := func(method, command string) func(*testing.T, string) {
		return func(t *testing.T, transfer string) {
			t.Helper()
			var r control.TransferResult
			send(t, method, "/transfers/"+transfer+command, struct{}{}, &r)
			if r.Transfer != transfer {
				t.Errorf("%s of a transfer: %+v", method, r)
			}
		}
	}
	return steering{
		phone: phone, hold: hold("hold"), resume: hold("resume"), complete: end("POST", "/complete"), cancel: end("DELETE", ""),
		transfer: func(t *testing.T, call, to string, attended bool) string {
			t.Helper()
			in := control.TransferRequest{To: to}
			if attended {
				in.Kind = control.AttendedTransfer
			}
			var r control.TransferResult
			send(t, "POST", "/calls/"+call+"/transfer", in, &r)
			if r.LinkedID != call || r.To != to || (r.Transfer != "") != attended {
				t.Errorf("transfer: %+v", r)
			}
			return r.Transfer
		},
		dial: func(t *testing.T, number string) string {
			t.Helper()
			in := control.DialRequest{Number: number, RequestID: "lab " + number}
			var r control.DialResult
			send(t, "POST", "/calls", in, &r)
			if r.Number != number || r.Stage != "phone" || r.LinkedID == "" {
				t.Errorf("dial: %+v", r)
			}
			status, text := l.server.askAs(t, own, "POST", "/me/calls", fmt.Sprintf(`{"number": "101", "request_id": %q}`, in.RequestID))
			if status != http.StatusConflict || !strings.Contains(text, `"repeat"`) || !strings.Contains(text, r.LinkedID) {
				t.Errorf("the request again: %d %s", status, text)
			}
			return r.LinkedID
		},
		hangUp: func(t *testing.T, call string) {
			t.Helper()
			var r control.CallResult
			send(t, "POST", "/calls/"+call+"/hangup", struct{}{}, &r)
		},
	}
}

// byCommand steers with the commands of ringhook.
func (l *lab) byCommand(agent, phone string) steering {
	run := func(t *testing.T, want string, args ...string) string {
		t.Helper()
		var out []byte
		var err error
		eventually(t, "the call is not changing", func() bool {
			out, err = exec.Command(os.Getenv(binaryVariable), append([]string{"-c", filepath.Join(l.server.folder, "ringhook.toml")}, args...)...).CombinedOutput()
			return err == nil || !moving(string(out))
		})
		found := regexp.MustCompile("^" + want + "\n?$").FindStringSubmatch(string(out))
		if err != nil || found == nil {
			t.Fatalf("ringhook %s: %v\n%s\nwant %s", strings.Join(args, " "), err, out, want)
		}
		return found[len(found)-1]
	}
	return steering{
		phone:  phone,
		hold:   func(t *testing.T, call string) { t.Helper(); run(t, "done by pbx", "agent", "hold", agent, call) },
		resume: func(t *testing.T, call string) { t.Helper(); run(t, "done by pbx", "agent", "unhold", agent, call) },
		transfer: func(t *testing.T, call, to string, attended bool) string {
			t.Helper()
			if attended {
				return run(t, `transfer (\S+) to `+to+" has begun: complete or cancel it", "agent", "transfer", agent, call, to, "--attended")
			}
			run(t, "transferred to "+to, "agent", "transfer", agent, call, to)
			return ""
		},
		complete: func(t *testing.T, transfer string) { t.Helper(); run(t, ".*", "agent", "complete", agent, transfer) },
		cancel:   func(t *testing.T, transfer string) { t.Helper(); run(t, ".*", "agent", "cancel", agent, transfer) },
		dial: func(t *testing.T, number string) string {
			t.Helper()
			return run(t, `call (\S+) to `+number+": the phone is (?:ringing|answered)", "agent", "call", agent, number)
		},
		hangUp: func(t *testing.T, call string) {
			t.Helper()
			run(t, "hangup: .+", "calls", "hangup", call, "--agent", agent)
		},
	}
}

// programCalls holds, transfers and begins calls through the running ringhook, in both ways.
func programCalls(t *testing.T, l *lab) {
	for _, c := range []struct {
		name, number, busy string // numbers that are outside
		steering
	}{
		{"REST", "79261110301", "79261110302", l.overREST(t, "71", localPhone)},
		{"commands", "79261110303", "79261110304", l.byCommand("72", "112")},
	} {
		l.run(t, c.name, func(t *testing.T, l *lab) {
			c.inside(t, l)
			c.outside(t, l, c.number)
			c.outsideBusy(t, l, c.busy)
		})
	}
}

// begin connects a caller from outside with the agent's phone.
func (s steering) begin(t *testing.T, l *lab, c *ami.Client) (call *sipp, told story, id string) {
	t.Helper()
	number := l.caller(t)
	call = l.call(t, phoneNumber(s.phone), caller{Number: number, Told: true})
	told = l.crm.of(number)
	id = told.wait(t, "agent-answer", 1).text("linkedid")
	talks(t, c, "PJSIP/"+s.phone, "PJSIP/trunk")
	l.shown(t, id)
	return call, told, id
}

// shown waits until ringhook knows that a call is in conversation, which Asterisk may have said a moment before.
func (l *lab) shown(t *testing.T, id string) {
	t.Helper()
	eventually(t, "the call is shown as connected", func() bool {
		_, text := l.server.ask(t, "GET", "/calls/"+id, "")
		return strings.Contains(text, `"state":"talking"`)
	})
}

const directStory = "call-dial agent-dial { call-answer agent-answer } "

// inside holds a call, transfers it to a colleague, and calls the colleague.
func (s steering) inside(t *testing.T, l *lab) {
	c, colleague := manager(t, "ringhook"), l.queue(t).phones[2]
	own, other := "PJSIP/"+s.phone, "PJSIP/"+colleague
	agent := l.phone(t, s.phone, phone{})
	asked := l.phone(t, colleague, phone{})
	call, told, id := s.begin(t, l, c)
	s.hold(t, id)
	hears(t, c, id)
	s.resume(t, id)
	talks(t, c, own, "PJSIP/trunk")

	transfer := s.transfer(t, id, colleague, true)
	talks(t, c, own, other)
	s.cancel(t, transfer)
	talks(t, c, own, "PJSIP/trunk")
	gone(t, c, other)
	transfer = s.transfer(t, id, colleague, true)
	talks(t, c, own, other)
	s.complete(t, transfer)
	talks(t, c, other, "PJSIP/trunk")
	gone(t, c, own)
	call.tell(t)
	call.wait(t)
	told.expect(t, directStory+`agent-custom agent-dial agent-answer { agent-hangup agent-dialout-hangup }
		agent-custom agent-dial agent-answer { agent-hangup agent-hangup agent-dialout-hangup } call-hangup`)

	call, told, id = s.begin(t, l, c)
	s.transfer(t, id, colleague, false)
	talks(t, c, other, "PJSIP/trunk")
	gone(t, c, own)
	call.tell(t)
	call.wait(t)
	told.expect(t, directStory+"{ agent-hangup agent-custom } agent-dial agent-answer { agent-hangup agent-dialout-hangup } call-hangup")

	id = s.dial(t, colleague)
	talks(t, c, own, other)
	l.shown(t, id)
	s.hangUp(t, id)
	gone(t, c, own, other)
	story{l.crm.receiver, "linkedid", id}.expect(t, "agent-custom agent-dial agent-answer { agent-hangup agent-dialout-hangup } call-hangup")
	agent.stop()
	asked.stop()
}

// outside transfers a call to a number behind the trunk, and calls it.
func (s steering) outside(t *testing.T, l *lab, number string) {
	c, own := manager(t, "ringhook"), "PJSIP/"+s.phone
	agent := l.phone(t, s.phone, phone{})
	trunk := l.phone(t, "trunk", phone{Ring: 500 * time.Millisecond})
	called := 0
	reached := func() {
		t.Helper()
		called++
		eventually(t, "the number is called", func() bool { return trunk.invited(t)[number] == called })
	}

	call, told, id := s.begin(t, l, c)
	s.transfer(t, id, number, false)
	reached()
	l.outsideTalk(t, id)
	gone(t, c, own)
	call.tell(t)
	call.wait(t)
	told.expect(t, directStory+"{ agent-hangup agent-custom } agent-dialout-answer agent-dialout-hangup call-hangup")
	told.wait(t, "agent-custom", 1).has(t, map[string]string{"agent_phone": s.phone, "dialed": number})
	told.wait(t, "agent-dialout-hangup", 1).has(t, map[string]string{"status": "answer"})

	call, told, id = s.begin(t, l, c)
	transfer := s.transfer(t, id, number, true)
	reached()
	told.wait(t, "agent-dialout-answer", 1).has(t, map[string]string{"agent_phone": s.phone})
	s.cancel(t, transfer)
	told.wait(t, "agent-dialout-hangup", 1)
	talks(t, c, own, "PJSIP/trunk")
	transfer = s.transfer(t, id, number, true)
	reached()
	told.wait(t, "agent-dialout-answer", 2)
	talks(t, c, own, "PJSIP/trunk") // before that the transfer would become a blind one
	s.complete(t, transfer)
	l.outsideTalk(t, id)
	gone(t, c, own)
	call.tell(t)
	call.wait(t)
	told.expect(t, directStory+`agent-custom agent-dialout-answer agent-dialout-hangup agent-custom agent-dialout-answer
		{ agent-hangup agent-dialout-hangup } call-hangup`)

	id = s.dial(t, number)
	reached()
	talks(t, c, own, "PJSIP/trunk")
	l.shown(t, id)
	if from := trunk.headers(t, "From"); !strings.Contains(from[len(from)-1], "<sip:"+s.phone+"@") {
		t.Errorf("the number shows %q", from)
	}
	s.hangUp(t, id)
	gone(t, c, own)
	told = story{l.crm.receiver, "linkedid", id}
	told.expect(t, "agent-custom agent-dialout-answer agent-dialout-hangup call-hangup")
	told.wait(t, "agent-custom", 1).has(t, map[string]string{"agent_phone": s.phone, "dialed": number, "direction": "outgoing"})
	agent.stop()
	trunk.stop()
}

// outsideTalk waits until the two ends of a call that are in conversation are both outside.
func (l *lab) outsideTalk(t *testing.T, id string) {
	t.Helper()
	eventually(t, "the caller talks to the number", func() bool {
		_, text := l.server.ask(t, "GET", "/calls/"+id, "")
		var call control.Call
		if json.Unmarshal([]byte(text), &call) != nil || call.State != "talking" {
			return false
		}
		ends := slices.DeleteFunc(call.Channels, func(ch control.Channel) bool { return strings.HasPrefix(ch.Channel, "Local/") })
		return len(ends) == 2 && !slices.ContainsFunc(ends, func(ch control.Channel) bool { return !strings.HasPrefix(ch.Channel, "PJSIP/trunk-") || !ch.Bridged })
	})
}

// outsideBusy transfers a call to a number that is busy, and calls it.
func (s steering) outsideBusy(t *testing.T, l *lab, number string) {
	c, own := manager(t, "ringhook"), "PJSIP/"+s.phone
	agent := l.phone(t, s.phone, phone{})
	trunk := l.phone(t, "trunk", phone{Refuse: "486 Busy Here"})
	call, told, id := s.begin(t, l, c)
	s.transfer(t, id, number, true)
	told.wait(t, "agent-dialout-hangup", 1).has(t, map[string]string{"status": "busy", "cause": "17", "dialed": number})
	talks(t, c, own, "PJSIP/trunk")
	call.tell(t)
	call.wait(t)
	told.expect(t, directStory+"agent-custom agent-dialout-hangup agent-hangup call-hangup")

	id = s.dial(t, number)
	eventually(t, "the outcome is recorded", func() bool {
		_, text := l.server.ask(t, "GET", "/commands?call="+id, "")
		var list struct{ Commands []desk.Command }
		if err := json.Unmarshal([]byte(text), &list); err != nil {
			t.Fatalf("%v: %s", err, text)
		}
		return slices.ContainsFunc(list.Commands, func(c desk.Command) bool {
			return c.Command == "dial-outcome" && c.Outcome == "busy" && strings.Contains(c.Result, `"stage":"number"`) && strings.Contains(c.Result, `"cause":17`)
		})
	})
	gone(t, c, own)
	story{l.crm.receiver, "linkedid", id}.expect(t, "agent-custom agent-dialout-hangup call-hangup")
	agent.stop()
	trunk.stop()
}
