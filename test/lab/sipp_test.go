//go:build e2e

package lab

import (
	"bytes"
	"embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"text/template"
	"time"
)

//go:embed testdata/*.xml
var scenarioFiles embed.FS

var scenarios = template.Must(template.ParseFS(scenarioFiles, "testdata/*.xml"))

// caller is one who calls: a customer by the trunk, or an agent from a phone.
type caller struct {
	From   string // the phone that calls, empty for the trunk
	Number string // the caller's own
	Name   string
	// GiveUp is after how long the caller gives up unanswered, and Talk after how
	// long in the call the caller hangs up; where both are zero the other side does.
	GiveUp, Talk time.Duration
	Withheld     bool   // the trunk knows the number and says that it is not to be shown
	Refused      string // the status with which the call is turned down
}

// request is what the caller sends after the INVITE.
type request struct {
	caller
	Method, ToTag, Branch string
	CSeq                  int
}

// Request is for the scenario's template.
func (c caller) Request(method string, cseq int, toTag, branch string) request {
	return request{c, method, toTag, branch, cseq}
}

// phone is how one who is called behaves, at every call.
type phone struct {
	// Refuse is the answer of one who is not to be had, such as 486 Busy Here.
	Refuse string
	// Silent phones ring, and are not answered.
	Silent bool
	// Ring is the time until it is answered, and Talk the time that the
	// call then lasts until this side hangs up, or transfers it; zero
	// leaves the end to the other side.
	Ring, Talk time.Duration
	// TransferTo is the extension that the call is sent to after Talk.
	TransferTo string
}

// reply is a response of a phone.
type reply struct {
	Status string
	Tag    bool
	SDP    bool
	CSeq   string // of the request, where it is not the last one
	Final  bool   // of an INVITE: repeated until the ACK comes
	Next   string // label to go to
}

// The replies of the scenario's template.
func (p phone) Refusal() reply     { return reply{Status: p.Refuse, Tag: true, Final: true} }
func (p phone) Ringing() reply     { return reply{Status: "180 Ringing", Tag: true} }
func (p phone) Accept() reply      { return reply{Status: "200 OK", Tag: true, SDP: true, Final: true} }
func (p phone) Done() reply        { return reply{Status: "200 OK"} }
func (p phone) DoneAndWait() reply { return reply{Status: "200 OK", Next: "1"} }
func (p phone) Terminated() reply {
	return reply{Status: "487 Request Terminated", Tag: true, CSeq: "[$cseq] INVITE", Final: true}
}

// sipp is a running SIPp, and the folder with what it writes.
type sipp struct {
	folder  string
	process *exec.Cmd
	result  error         // how the process ended
	ended   chan struct{} // closed then
}

// lastPort numbers the ports for callers and for media.
var lastPort atomic.Int32

// startSIPp runs a scenario; it is stopped when the test ends, and what it
// complained of is shown when the test has failed.
func startSIPp(t *testing.T, scenario string, data any, args ...string) *sipp {
	t.Helper()
	s := &sipp{folder: t.TempDir(), ended: make(chan struct{})}
	var text bytes.Buffer
	if err := scenarios.ExecuteTemplate(&text, scenario, data); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(s.folder, scenario), text.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	media := 20000 + 10*lastPort.Add(1)
	s.process = exec.Command("sipp", append([]string{
		fmt.Sprintf("%s:%d", asteriskIP, sipPort), "-sf", scenario, "-mp", fmt.Sprint(media), "-nostdin",
		"-trace_err", "-error_file", "errors",
	}, args...)...)
	s.process.Dir = s.folder
	if err := s.process.Start(); err != nil {
		t.Fatalf("start sipp: %v", err)
	}
	go func() {
		defer close(s.ended)
		s.result = s.process.Wait()
	}()
	t.Cleanup(func() {
		s.stop()
		if t.Failed() {
			complaint, _ := os.ReadFile(filepath.Join(s.folder, "errors"))
			t.Logf("sipp %s %+v said:\n%s", scenario, data, tail(string(complaint), 200))
		}
	})
	return s
}

// traced has SIPp write down every message, where it has few of them.
func traced(args ...string) []string {
	return append(args, "-trace_msg", "-message_file", "messages")
}

// stop ends it, with whatever calls it has.
func (s *sipp) stop() {
	s.process.Process.Kill()
	<-s.ended
}

// call starts a call to an extension.
func (l *lab) call(t *testing.T, to string, c caller) *sipp {
	t.Helper()
	ip := trunkIP
	if c.From != "" {
		ip = phoneIP(c.From)
	}
	return startSIPp(t, "caller.xml", c, traced("-s", to, "-i", ip, "-p", fmt.Sprint(30000+lastPort.Add(1)), "-m", "1")...)
}

// phone sets the behaviour of a phone, or of the trunk's far end, until the test ends.
func (l *lab) phone(t *testing.T, name string, p phone) *sipp {
	t.Helper()
	ip := trunkIP
	if name != "trunk" {
		ip = phoneIP(name)
	}
	s := startSIPp(t, "phone.xml", p, traced("-i", ip, "-p", fmt.Sprint(sipPort))...)
	waitForUDP(t, ip, sipPort)
	return s
}

// wait waits for a call's end, and fails the test where it was not the one
// that the scenario has.
func (s *sipp) wait(t *testing.T) {
	t.Helper()
	select {
	case <-s.ended:
		if s.result != nil {
			t.Fatalf("sipp: the call did not go as its scenario has it: %v", s.result)
		}
	case <-time.After(2 * time.Minute):
		t.Fatal("sipp: the call does not end")
	}
}

// headers lists a header of every INVITE that a phone got.
func (s *sipp) headers(t *testing.T, name string) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(s.folder, "messages"))
	if err != nil {
		t.Fatal(err)
	}
	var values []string
	for _, message := range strings.Split(string(text), "message received") {
		_, invite, ok := strings.Cut(message, "\n\nINVITE ")
		if !ok {
			continue
		}
		for line := range strings.Lines(invite) {
			if value, ok := strings.CutPrefix(line, name+": "); ok {
				values = append(values, strings.TrimRight(value, "\r\n"))
				break
			}
		}
	}
	return values
}
