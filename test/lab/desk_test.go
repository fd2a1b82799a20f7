//go:build e2e

package lab

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

const deskAddress = "127.0.0.1:4581"

// deskConfig has a desk for two agents of the sample's queue in which all phones ring at once, and two of a lab's queue.
const deskConfig = `
[desk]
listen = %[1]q
url = "http://%[1]s"

[[pop]]
name = "card"
events = ["agent-dial"]
open = "frame"
url = "http://127.0.0.1:8080/card?phone=%%callerid%%"
`

// deskAgents are the agents: by id phone and name.
func deskAgents() map[string][2]string {
	q := labQueue(0)
	return map[string][2]string{"81": {"104", "Gleb"}, "82": {"105", "Dina"}, "83": {q.phones[0], "Anna"}, "84": {q.phones[2], "Boris"}}
}

// screen is the desk of an agent, as a program with a token has it: it confirms every pop that it is to show.
type screen struct {
	agent, token string

	mu   sync.Mutex
	seen []message
}

type message struct {
	event string
	data  map[string]any
}

// openScreen opens the stream of an agent.
func openScreen(t *testing.T, l *lab, agent string) *screen {
	t.Helper()
	out, err := exec.Command(os.Getenv(binaryVariable), "-c", filepath.Join(l.server.folder, "ringhook.toml"), "token", "create", "desk-"+agent, "--agent", agent).Output()
	if err != nil {
		t.Fatalf("create a token: %v\n%s", err, out)
	}
	s := &screen{agent: agent, token: strings.TrimSpace(string(out))}
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, "GET", "http://"+deskAddress+"/v1/me/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+s.token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("stream of agent %s: %s", agent, resp.Status)
	}
	go func() {
		defer resp.Body.Close()
		stream, event := "", ""
		for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
			if name, ok := strings.CutPrefix(lines.Text(), "event: "); ok {
				event = name
			}
			text, ok := strings.CutPrefix(lines.Text(), "data: ")
			if !ok {
				continue
			}
			m := message{event, map[string]any{}}
			if err := json.Unmarshal([]byte(text), &m.data); err != nil {
				t.Errorf("%v: %s", err, text)
				return
			}
			if event == "hello" {
				stream, _ = m.data["stream"].(string)
			}
			if m.data["lead"] == true {
				s.ask("POST", fmt.Sprintf("/v1/me/pops/%v/receipt", m.data["pop"]), map[string]any{"stream": stream, "fate": "shown"})
			}
			s.mu.Lock()
			s.seen = append(s.seen, m)
			s.mu.Unlock()
		}
	}()
	s.wait(t, "hello", nil)
	return s
}

// ask sends a request as the agent, and returns its status and answer.
func (s *screen) ask(method, path string, body any) (int, string) {
	text, err := json.Marshal(body)
	if err != nil {
		return 0, err.Error()
	}
	req, err := http.NewRequest(method, "http://"+deskAddress+path, bytes.NewReader(text))
	if err != nil {
		return 0, err.Error()
	}
	req.Header.Set("Authorization", "Bearer "+s.token)
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	var b bytes.Buffer
	_, _ = b.ReadFrom(resp.Body)
	return resp.StatusCode, b.String()
}

// wait waits for a message that has these values, and returns it.
func (s *screen) wait(t *testing.T, event string, want map[string]any) map[string]any {
	t.Helper()
	var found map[string]any
	var last []message
	end := time.Now().Add(40 * time.Second)
	for found == nil && time.Now().Before(end) {
		s.mu.Lock()
		last = s.seen
		for _, m := range s.seen {
			fits := m.event == event
			for name, value := range want {
				fits = fits && fmt.Sprint(m.data[name]) == fmt.Sprint(value)
			}
			if fits {
				found = m.data
			}
		}
		s.mu.Unlock()
		time.Sleep(20 * time.Millisecond)
	}
	if found == nil {
		t.Fatalf("the desk of agent %s has no %s with %v: %v", s.agent, event, want, last)
	}
	return found
}

// count returns the number of messages of a kind.
func (s *screen) count(event string) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range s.seen {
		if m.event == event {
			n++
		}
	}
	return n
}

// TestDesk plays calls with agents whose desks are open: a queue call rings at two of them, a transfer moves the pop, and a
// caller who gives up takes it along.
func TestDesk(t *testing.T) {
	for _, suite := range suites {
		t.Run(suite, func(t *testing.T) {
			l := newLabWith(t, suite, func(config string) string {
				config += fmt.Sprintf(deskConfig, deskAddress)
				for id, a := range deskAgents() {
					config += fmt.Sprintf("\n[[agent]]\nid = %q\nphone = %q\nname = %q\n", id, a[0], a[1])
				}
				return config
			})
			l.watchQueues(t)
			for _, s := range []scenario{{"two agents ring", deskRings}, {"transfer", deskTransfer}, {"given up", deskAbandoned}} {
				l.run(t, s.name, s.test)
			}
		})
	}
}

// newLabWith starts everything for one version of Asterisk, with a configuration that change has changed.
func newLabWith(t *testing.T, suite string, change func(config string) string) *lab {
	t.Helper()
	l := &lab{asterisk: startAsterisk(t, suite, nil), server: newServer(t, 4573, 4580), queues: labQueueList()}
	t.Log(l.asterisk.version)
	file := filepath.Join(l.server.folder, "ringhook.toml")
	text, err := os.ReadFile(file)
	if err == nil {
		err = os.WriteFile(file, []byte(change(string(text))), 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	l.crm = newCompany(t)
	startSamples(t)
	l.server.start(t)
	t.Cleanup(func() { l.server.stop() })
	return l
}

// deskRings rings at two agents, of whom the first answers.
func deskRings(t *testing.T, l *lab) {
	gleb, dina, number := openScreen(t, l, "81"), openScreen(t, l, "82"), l.caller(t)
	l.phone(t, "104", phone{Ring: 2 * time.Second, Talk: 3 * time.Second})
	l.phone(t, "105", phone{Silent: true})
	call := l.call(t, "74951234501", caller{Number: number, Name: "Caller"})
	id := l.crm.of(number).wait(t, "agent-dial", 1).text("linkedid")
	first, second := gleb.wait(t, "pop", map[string]any{"linkedid": id}), dina.wait(t, "pop", map[string]any{"linkedid": id})
	if want := "http://127.0.0.1:8080/card?phone=%2B" + number; first["url"] != want || second["url"] != want {
		t.Errorf("pages: %v, %v", first["url"], second["url"])
	}
	dina.wait(t, "pop-closed", map[string]any{"pop": second["pop"], "fate": "elsewhere", "clear": true})
	dina.wait(t, "call", map[string]any{"linkedid": id, "state": "ended", "outcome": "elsewhere", "by": "Gleb"})
	gleb.wait(t, "call", map[string]any{"linkedid": id, "state": "talking"})
	call.wait(t)
	gleb.wait(t, "pop-closed", map[string]any{"pop": first["pop"], "fate": "ended"})
	gleb.wait(t, "call", map[string]any{"linkedid": id, "state": "ended", "outcome": "answered"})
	if gleb.count("pop") != 1 || dina.count("pop") != 1 {
		t.Errorf("%d and %d pops", gleb.count("pop"), dina.count("pop"))
	}
	out, err := exec.Command(os.Getenv(binaryVariable), "-c", filepath.Join(l.server.folder, "ringhook.toml"), "trace", id).CombinedOutput()
	for _, want := range []string{"pop for 81 (Gleb): rule card, force by frame", "pop for 82 (Dina): frame elsewhere", "frame shown"} {
		if err != nil || !strings.Contains(string(out), want) {
			t.Errorf("the trace has no %q: %v\n%s", want, err, out)
		}
	}
}

// deskTransfer has an agent transfer a call to another by the desk's command: the pop of the first closes, and the other has
// one.
func deskTransfer(t *testing.T, l *lab) {
	anna, boris, q, number := openScreen(t, l, "83"), openScreen(t, l, "84"), labQueue(0), l.caller(t)
	l.phone(t, q.phones[0], phone{Ring: time.Second})
	l.phone(t, q.phones[2], phone{Ring: time.Second, Talk: 2 * time.Second})
	call := l.call(t, q.did, caller{Number: number, Name: "Caller"})
	id := l.crm.of(number).wait(t, "agent-answer", 1).text("linkedid")
	first := anna.wait(t, "pop", map[string]any{"linkedid": id})
	var status int
	var answer string
	eventually(t, "the transfer is accepted", func() bool {
		status, answer = anna.ask("POST", "/v1/me/calls/"+id+"/transfer", map[string]any{"to": q.phones[2]})
		return status == http.StatusAccepted
	})
	second := boris.wait(t, "pop", map[string]any{"linkedid": id})
	if second["url"] != first["url"] || second["pop"] == first["pop"] {
		t.Errorf("pops: %v, %v (%s)", first, second, answer)
	}
	anna.wait(t, "pop-closed", map[string]any{"pop": first["pop"], "fate": "ended"})
	boris.wait(t, "call", map[string]any{"linkedid": id, "state": "talking"})
	if status, text := boris.ask("PUT", "/v1/me/calls/"+id+"/note", map[string]any{"note": "was transferred"}); status != http.StatusOK || !strings.Contains(text, `"reported":true`) {
		t.Errorf("note: %d %s", status, text)
	}
	l.crm.of(number).wait(t, "agent-note", 1).has(t, map[string]string{"note": "was transferred", "agent_phone": q.phones[2]})
	call.wait(t)
	boris.wait(t, "pop-closed", map[string]any{"pop": second["pop"], "fate": "ended"})
}

// deskAbandoned rings at two agents until the caller gives up.
func deskAbandoned(t *testing.T, l *lab) {
	gleb, dina, number := openScreenAgain(t, l, "81"), openScreenAgain(t, l, "82"), l.caller(t)
	l.phone(t, "104", phone{Silent: true})
	l.phone(t, "105", phone{Silent: true})
	l.call(t, "74951234501", caller{Number: number, GiveUp: 4 * time.Second}).wait(t)
	id := l.crm.of(number).wait(t, "agent-dial", 1).text("linkedid")
	for _, s := range []*screen{gleb, dina} {
		pop := s.wait(t, "pop", map[string]any{"linkedid": id})
		s.wait(t, "pop-closed", map[string]any{"pop": pop["pop"], "fate": "abandoned", "clear": true})
		s.wait(t, "call", map[string]any{"linkedid": id, "state": "ended", "outcome": "missed"})
	}
}

// openScreenAgain opens the stream of an agent who has had one, with another token.
func openScreenAgain(t *testing.T, l *lab, agent string) *screen {
	t.Helper()
	out, err := exec.Command(os.Getenv(binaryVariable), "-c", filepath.Join(l.server.folder, "ringhook.toml"), "token", "delete", "desk-"+agent).CombinedOutput()
	if err != nil {
		t.Fatalf("delete a token: %v\n%s", err, out)
	}
	return openScreen(t, l, agent)
}
