//go:build e2e

package lab

import (
	"encoding/hex"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"ringhook/test/wait"
)

// lab is all that a call meets: an Asterisk, ringhook, and the company's systems.
type lab struct {
	asterisk *asterisk
	server   *server
	crm      *company
	queues   chan queue // those that no test has, the longest unused first
	callers  atomic.Int32
	pbx      *pbxRun // nil without a FreePBX
}

// company is the CRM and the receiver of events: /who and /cti.
type company struct {
	answers
	*receiver
	server *http.Server
}

// newLab starts everything for one version of Asterisk.
func newLab(t *testing.T, suite string) *lab {
	t.Helper()
	l := &lab{asterisk: startAsterisk(t, suite, nil), server: newServer(t, 4573, 4580), queues: labQueueList()}
	t.Log(l.asterisk.version)
	l.crm = newCompany(t)
	startSamples(t)
	l.server.start(t)
	t.Cleanup(func() { l.server.stop() })
	return l
}

// newCompany opens the company's systems until the test ends.
func newCompany(t *testing.T) *company {
	t.Helper()
	c := &company{answers: answers{byNumber: map[string]http.HandlerFunc{}}, receiver: newReceiver()}
	c.open(t)
	t.Cleanup(func() { c.server.Close() })
	return c
}

// open has the company's systems answer, until its server is closed.
func (c *company) open(t *testing.T) {
	t.Helper()
	mux := http.NewServeMux()
	mux.Handle("/who", &c.answers)
	mux.Handle("/cti", c.receiver)
	listen, err := net.Listen("tcp", "127.0.0.1:8080")
	if err != nil {
		t.Fatal(err)
	}
	c.server = &http.Server{Handler: mux}
	go c.server.Serve(listen)
}

// labQueueList returns all queues of a lab.
func labQueueList() chan queue {
	queues := make(chan queue, labQueues)
	for n := range labQueues {
		queues <- labQueue(n)
	}
	return queues
}

// queue returns a queue that no other test has until this one ends.
func (l *lab) queue(t *testing.T) queue {
	t.Helper()
	select {
	case q := <-l.queues:
		t.Cleanup(func() { l.queues <- q })
		return q
	default:
		t.Fatal("the lab has too few queues for tests that run at once")
		return queue{}
	}
}

// caller returns a number that no other test calls from; if the test fails, its events are shown.
func (l *lab) caller(t *testing.T) string {
	t.Helper()
	number := fmt.Sprintf("7916%07d", l.callers.Add(1))
	if l.pbx != nil {
		l.pbx.plays(t, l.crm.of(number))
	}
	t.Cleanup(func() {
		if !t.Failed() {
			return
		}
		for _, e := range l.crm.of(number).events() {
			t.Log(e)
		}
	})
	return number
}

// run runs one test of a call; where it fails, all that was logged meanwhile is shown.
func (l *lab) run(t *testing.T, name string, test func(t *testing.T, l *lab)) {
	t.Run(name, func(t *testing.T) {
		asterisk, server := len(l.asterisk.log(0)), len(l.server.log(0))
		t.Cleanup(func() {
			if !t.Failed() {
				return
			}
			t.Logf("Asterisk logged:\n%s", tail(l.asterisk.log(asterisk), 400))
			t.Logf("ringhook logged:\n%s", tail(l.server.log(server), 400))
		})
		test(t, l)
	})
}

// tail is a text's last lines.
func tail(text string, n int) string {
	lines := strings.Split(text, "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

// eventually waits until a condition holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	wait.Until(t, func() bool {
		if holds() {
			return true
		}
		time.Sleep(15 * time.Millisecond) // most conditions are a question to another process
		return false
	}, "waited in vain until %s", what)
}

// waitForUDP waits until a process listens on a port.
func waitForUDP(t *testing.T, ip string, port int) {
	t.Helper()
	four := netip.MustParseAddr(ip).As4()
	// The kernel lists an address as a number in the machine's own byte order.
	want := fmt.Sprintf(" %s:%04X ", strings.ToUpper(hex.EncodeToString([]byte{four[3], four[2], four[1], four[0]})), port)
	eventually(t, fmt.Sprintf("a server listens on %s:%d", ip, port), func() bool {
		text, err := os.ReadFile("/proc/net/udp")
		return err == nil && strings.Contains(string(text), want)
	})
}
