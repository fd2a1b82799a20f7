//go:build e2e

package lab

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"text/template"
	"time"

	"ringhook/test/wait"
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
	Told         bool   // hangs up in the call on the signal of tell
	Withheld     bool   // the trunk knows the number and says that it is not to be shown
	Refused      string // the status with which the call is turned down
	CallID       string // in the header X-Call-ID, empty for none
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
	// EndTold phones hang up on the signal of tell.
	EndTold bool
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
	address string // where it listens
	callID  string // of a caller
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
	return startSIPpAt(t, asteriskIP, scenario, data, args...)
}

// startSIPpAt does the same with an Asterisk at another address.
func startSIPpAt(t *testing.T, asterisk, scenario string, data any, args ...string) *sipp {
	t.Helper()
	s := &sipp{folder: t.TempDir(), ended: make(chan struct{})}
	var text bytes.Buffer
	if err := scenarios.ExecuteTemplate(&text, scenario, data); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(s.folder, scenario), text.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	media := 20000 + 10*(lastPort.Add(1)%900) // below the callers' ports
	s.process = exec.Command("sipp", append([]string{
		fmt.Sprintf("%s:%d", asterisk, sipPort), "-sf", scenario, "-mp", fmt.Sprint(media), "-nostdin",
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
	ip = l.asterisk.at(ip)
	port := 30000 + lastPort.Add(1)
	callID := fmt.Sprintf("lab-%d", port)
	s := startSIPpAt(t, l.asterisk.at(asteriskIP), "caller.xml", c, traced("-s", to, "-i", ip, "-p", fmt.Sprint(port), "-m", "1", "-cid_str", callID)...)
	s.address, s.callID = fmt.Sprintf("%s:%d", ip, port), callID
	return s
}

// phone sets the behaviour of a phone, or of the trunk's far end, until the test ends.
func (l *lab) phone(t *testing.T, name string, p phone) *sipp {
	t.Helper()
	ip := trunkIP
	if name != "trunk" {
		ip = phoneIP(name)
	}
	ip = l.asterisk.at(ip)
	s := startSIPpAt(t, l.asterisk.at(asteriskIP), "phone.xml", p, traced("-i", ip, "-p", fmt.Sprint(sipPort))...)
	s.address = fmt.Sprintf("%s:%d", ip, sipPort)
	waitForUDP(t, ip, sipPort)
	return s
}

// tell signals a caller to hang up, or a phone to hang up its latest call. SIPp answers with the headers of the
// last request, so those of a phone's are the INVITE's.
func (s *sipp) tell(t *testing.T) {
	t.Helper()
	headers := fmt.Sprintf("Via: SIP/2.0/UDP %[1]s;branch=z9hG4bK-told\r\nFrom: <sip:lab@%[1]s>;tag=told\r\nTo: <sip:lab@%[1]s>\r\nCall-ID: %[2]s\r\nCSeq: 9 INFO\r\n", s.address, s.callID)
	if s.callID == "" {
		eventually(t, "the phone was called", func() bool { return len(s.invites(t)) > 0 })
		headers = ""
		all := s.invites(t)
		for line := range strings.Lines(all[len(all)-1]) {
			if name, _, _ := strings.Cut(line, ":"); slices.Contains([]string{"Via", "From", "To", "Call-ID", "CSeq"}, name) {
				headers += strings.TrimRight(line, "\r\n") + "\r\n"
			}
		}
	}
	c, err := net.Dial("udp", s.address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write([]byte("INFO sip:lab@" + s.address + " SIP/2.0\r\n" + headers + "Max-Forwards: 70\r\nContent-Length: 0\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
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
	case <-time.After(wait.Limit):
		t.Fatal("sipp: the call does not end")
	}
}

// invites lists the INVITEs that a phone got, each once.
func (s *sipp) invites(t *testing.T) (all []string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(s.folder, "messages"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	for _, message := range strings.Split(string(text), "message received") {
		_, invite, ok := strings.Cut(message, "\n\nINVITE ")
		head, _, whole := strings.Cut(invite, "\r\n\r\n")
		if ok && whole && !slices.Contains(all, head) { // Asterisk repeats one that a slow machine has not answered in time
			all = append(all, head)
		}
	}
	return all
}

// headers lists a header of every INVITE that a phone got.
func (s *sipp) headers(t *testing.T, name string) []string {
	t.Helper()
	var values []string
	for _, invite := range s.invites(t) {
		for line := range strings.Lines(invite) {
			if value, ok := strings.CutPrefix(line, name+": "); ok {
				values = append(values, strings.TrimRight(value, "\r\n"))
				break
			}
		}
	}
	return values
}
