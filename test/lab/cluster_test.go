//go:build e2e

package lab

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"ringhook/pgstore/pgtest"
)

// cluster is two Asterisks and three ringhooks on one PostgreSQL with a synchronous standby. The dialplan of the first
// Asterisk asks the first ringhook, and the second one if that does not answer; that of the second Asterisk asks the second,
// and the third.
type cluster struct {
	first, second    *lab
	nodes            [3]*server
	primary, standby *pgtest.Server
}

// TestCluster kills a ringhook, and then the primary, in mid-call: every call goes on, and every event arrives once, in
// order.
func TestCluster(t *testing.T) {
	for _, suite := range suites {
		t.Run(suite, func(t *testing.T) {
			c := newCluster(t, suite)
			c.inCall(t, "nothing happens", answeredStory, func(*testing.T) {})
			c.inCall(t, "a ringhook is killed", answeredStory, func(*testing.T) { c.nodes[0].kill() })
			c.inCall(t, "it is not there yet", answeredStory, func(t *testing.T) { c.nodes[0].start(t) })
			c.inCall(t, "the primary dies", answeredStory, func(*testing.T) { c.primary.Kill() })
			must(t, c.standby.Promote())
			c.inCall(t, "the standby has taken over", answeredStory, func(*testing.T) {})
			for _, s := range c.nodes {
				s.awaitReady(t)
			}
			c.first.crm.recheck(t)
		})
	}
}

func newCluster(t *testing.T, suite string) *cluster {
	t.Helper()
	c := &cluster{}
	var err error
	c.primary, err = pgtest.Start()
	must(t, err)
	dsn := c.primary.Database(t)
	t.Cleanup(c.primary.Stop)
	c.standby, err = c.primary.Standby()
	must(t, err)
	t.Cleanup(c.standby.Stop)
	host := func(dsn string) string { return strings.Fields(strings.TrimPrefix(dsn, "host="))[0] }
	dsn = strings.Replace(dsn, host(dsn), host(dsn)+","+host(c.standby.DSN("")), 1) + " target_session_attrs=read-write"

	moved := strings.NewReplacer(firstNet, secondNet)
	sample, err := sampleDialplan()
	must(t, err)
	c.first = &lab{asterisk: startAsterisk(t, suite, nil), queues: labQueueList()}
	c.second = &lab{asterisk: startAsteriskOn(t, map[string]string{"bullseye": "sid", "sid": "bullseye"}[suite], secondNet, map[string]string{
		"pjsip.conf":               moved.Replace(pjsipConf(phoneIP)),
		"manager.conf":             strings.Replace(managerConf, "bindaddr = 127.0.0.1", "bindaddr = "+secondNet+"1", 1),
		"extensions_ringhook.conf": strings.NewReplacer("127.0.0.1:4573", "127.0.0.1:4574", "127.0.0.1:4574", "127.0.0.1:4577").Replace(sample),
	}), queues: labQueueList()}
	t.Log(c.first.asterisk.version, "and", c.second.asterisk.version)
	c.first.crm = newCompany(t)
	c.second.crm = c.first.crm
	c.second.callers.Store(5000) // numbers that the first one has not
	for i, ports := range [][2]int{{4573, 4580}, {4574, 4581}, {4577, 4584}} {
		s := newServer(t, ports[0], ports[1])
		file := filepath.Join(s.folder, "ringhook.toml")
		text, err := os.ReadFile(file)
		must(t, err)
		store := fmt.Sprintf("[store]\ntype = \"postgres\"\nnode = \"node%d\"\ndsn = %q\n", i+1, dsn)
		must(t, os.WriteFile(file, []byte(strings.Replace(string(text), "[store]\n", store, 1)), 0o600))
		if i == 0 {
			out, err := exec.Command(os.Getenv(binaryVariable), "engine", "init", "-c", file).CombinedOutput()
			if err != nil {
				t.Fatalf("ringhook engine init: %v\n%s", err, out)
			}
		}
		s.start(t)
		t.Cleanup(func() { s.stop() })
		c.nodes[i] = s
	}
	c.first.server, c.second.server = c.nodes[0], c.nodes[1]
	return c
}

// inCall has a caller on each Asterisk talk with an agent while something happens, and then hang up. It expects the events of
// both calls.
func (c *cluster) inCall(t *testing.T, name, want string, happens func(t *testing.T)) {
	c.first.run(t, name, func(t *testing.T, _ *lab) {
		type talk struct {
			call   *sipp
			number string
			of     *lab
		}
		var calls []talk
		for _, l := range []*lab{c.first, c.second} {
			q, number := l.queue(t), l.caller(t)
			l.phone(t, q.phones[0], phone{})
			calls = append(calls, talk{l.call(t, q.did, caller{Number: number, Told: true}), number, l})
			l.crm.of(number).wait(t, "agent-answer", 1)
			talks(t, watch(t, l.asterisk.at(asteriskIP), "ringhook", silent{}), "PJSIP/"+q.phones[0], "PJSIP/trunk")
		}
		happens(t)
		for _, k := range calls {
			k.call.tell(t)
			k.call.wait(t)
		}
		if t.Failed() {
			return
		}
		for _, k := range calls {
			k.of.crm.of(k.number).expect(t, want)
		}
	})
}
