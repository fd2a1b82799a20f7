//go:build e2e

package lab

import (
	"encoding/csv"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The queues and phones of the lab under fire. One SIPp answers for all phones
// that behave alike, at an address of theirs.
const (
	manyQueue   = "590" // callers hang up
	leaveQueue  = "591" // agents hang up
	busyQueue   = "592" // the first two are busy
	silentQueue = "593" // no agent answers

	directPhone  = 170
	callingPhone = "190" // calls out
)

// group is phones that behave alike.
type group struct {
	ip     string
	phone  phone
	phones []int
}

func span(from, to int) (all []int) {
	for n := from; n <= to; n++ {
		all = append(all, n)
	}
	return all
}

var groups = []group{
	{"127.0.1.1", phone{Ring: 700 * time.Millisecond}, append(span(121, directPhone), 109)},
	{"127.0.1.2", phone{Ring: time.Second, Talk: 10 * time.Second}, append(span(171, 185), 108)},
	{"127.0.1.3", phone{Refuse: "486 Busy Here"}, []int{186}},
	{"127.0.1.4", phone{Refuse: "603 Decline"}, []int{187}},
	{"127.0.1.5", phone{Silent: true}, []int{188, 189}},
}

// series is calls of one kind, one after the other for as long as it burns.
type series struct {
	to     string
	caller caller
	every  time.Duration
	// What the end of each of them must have, if it is reported.
	status string
}

var allSeries = map[string]series{
	"queue":      {queueNumber(manyQueue), caller{Number: "79161[call_number]", Talk: 20 * time.Second}, 450 * time.Millisecond, "answer"},
	"agent ends": {queueNumber(leaveQueue), caller{Number: "79162[call_number]"}, time.Second, "answer"},
	"two busy":   {queueNumber(busyQueue), caller{Number: "79163[call_number]", Talk: 8 * time.Second}, 2 * time.Second, "answer"},
	"gives up":   {queueNumber(silentQueue), caller{Number: "79164[call_number]", GiveUp: 6 * time.Second}, 1500 * time.Millisecond, "cancel"},
	"direct":     {phoneNumber(fmt.Sprint(directPhone)), caller{Number: "79165000001", Talk: 20 * time.Second}, 300 * time.Millisecond, "answer"},
	"menu":       {"74951234502", caller{Number: "79166000001", Talk: 2 * time.Second}, 2 * time.Second, "cancel"},
	"outgoing":   {"79261110100", caller{From: callingPhone, Number: callingPhone, Talk: 10 * time.Second}, time.Second, "answer"},
}

// fireFiles are what the Asterisk has otherwise than the lab has as a rule: more
// members in fewer queues, and a line in its log for each point: when it was
// asked, what came of it, and when the dialplan went on.
func fireFiles(t *testing.T) map[string]string {
	t.Helper()
	at := func(name string) string {
		n, _ := strconv.Atoi(name)
		for _, g := range groups {
			if slices.Contains(g.phones, n) {
				return g.ip
			}
		}
		return phoneIP(name)
	}
	var queues strings.Builder
	queues.WriteString("[general]\npersistentmembers=no\n#include queues_ringhook.conf\n")
	for _, q := range []struct {
		id, strategy string
		phones       []int
	}{
		{manyQueue, "rrmemory", span(121, 160)},
		{leaveQueue, "rrmemory", span(171, 185)},
		{busyQueue, "linear", append([]int{186, 187}, span(161, 166)...)},
		{silentQueue, "linear", []int{188, 189}},
	} {
		fmt.Fprintf(&queues, "[%s](ringhook)\nstrategy=%s\n", q.id, q.strategy)
		for _, n := range q.phones {
			fmt.Fprintf(&queues, "member => Local/%[1]d@ringhook-agents/n,0,Agent %[1]d,PJSIP/%[1]d\n", n)
		}
	}

	dialplan, err := sampleDialplan()
	if err != nil {
		t.Fatal(err)
	}
	const (
		clock  = "${STRFTIME(,,%s.%3q)}"
		report = "Log(NOTICE,fire|${CHANNEL(linkedid)}|${UNIQUEID}|${ARG1}|${ARG2}|${RINGHOOK_STATUS}|${FIRE_BEGAN}|" + clock + ")\n"
	)
	for _, change := range [][2]string{
		{"Set(RINGHOOK_STATUS=)\n", "Set(RINGHOOK_STATUS=)\n same => n,Set(FIRE_BEGAN=" + clock + ")\n"},
		{" same => n,Return()\n; A caller that hangs up", " same => n," + report + " same => n,Set(FIRE_BEGAN=)\n same => n,Return()\n; A caller that hangs up"},
		{"exten => h,1,Goto(${STACK_PEEK(1,c)},h,1)\n", "exten => h,1," + report + " same => n,Goto(${STACK_PEEK(1,c)},h,1)\n"},
	} {
		changed := strings.Replace(dialplan, change[0], change[1], 1)
		if changed == dialplan {
			t.Fatalf("the sample's dialplan has no %q any more", change[0])
		}
		dialplan = changed
	}
	return map[string]string{
		"pjsip.conf":               pjsipConf(at),
		"queues.conf":              queues.String(),
		"rtp.conf":                 "[general]\nrtpstart=10000\nrtpend=19999\n",
		"extensions.conf":          extensionsConf + "[ringhook-failover](+)\nexten => " + leaveQueue + ",1,Goto(ringhook-direct,108,1)\n",
		"extensions_ringhook.conf": dialplan,
	}
}

// traffic is everybody who calls.
type traffic map[string]*sipp

// patient has SIPp live on where the machine has no time for it.
var patient = []string{"-watchdog_minor_maxtriggers", "1000000", "-watchdog_major_maxtriggers", "1000000"}

// startTraffic has everybody pick up their phones, and begin to call.
func startTraffic(t *testing.T) traffic {
	t.Helper()
	answer := func(ip string, p phone) {
		startSIPp(t, "phone.xml", p, append(patient, "-i", ip, "-p", fmt.Sprint(sipPort))...)
		waitForUDP(t, ip, sipPort)
	}
	for _, g := range groups {
		answer(g.ip, g.phone)
	}
	answer(trunkIP, phone{Ring: time.Second})
	all := traffic{}
	for name, s := range allSeries {
		ip := trunkIP
		if s.caller.From != "" {
			ip = phoneIP(s.caller.From)
		}
		all[name] = startSIPp(t, "caller.xml", s.caller, append(patient, "-s", s.to, "-i", ip, "-p", fmt.Sprint(30000+lastPort.Add(1)),
			"-r", "1", "-rp", fmt.Sprint(s.every.Milliseconds()), "-l", "1000", "-trace_stat", "-stf", "stat", "-fd", "1")...)
	}
	return all
}

// end stops new calls, waits for those in progress, and returns the number of calls that there
// were, and how many at once at most. One that did not go as its scenario has it fails
// the test.
func (all traffic) end(t *testing.T) (calls, most int) {
	t.Helper()
	for name, s := range all {
		if err := s.process.Process.Signal(syscall.SIGUSR1); err != nil {
			t.Errorf("%s: SIPp is not there any more: %v", name, err)
		}
	}
	late := time.After(5 * time.Minute)
	var atOnce []int
	for name, s := range all {
		select {
		case <-s.ended:
		case <-late:
			t.Fatalf("%s: the calls do not end", name)
		}
		open, good, failed := s.column(t, "CurrentCall"), s.column(t, "SuccessfulCall(C)"), s.column(t, "FailedCall(C)")
		last := len(good) - 1
		if failed[last] != 0 || s.result != nil || good[last] == 0 {
			t.Errorf("%s: %d calls of %d did not go as their scenario has it; SIPp ended with %v", name, failed[last], good[last]+failed[last], s.result)
		}
		calls += good[last] + failed[last]
		for i, n := range open {
			if i == len(atOnce) {
				atOnce = append(atOnce, 0)
			}
			atOnce[i] += n
		}
	}
	return calls, slices.Max(atOnce)
}

// column is one of SIPp's figures, as it was each second.
func (s *sipp) column(t *testing.T, name string) (all []int) {
	t.Helper()
	f, err := os.Open(filepath.Join(s.folder, "stat"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r := csv.NewReader(f)
	r.Comma, r.FieldsPerRecord = ';', -1
	rows, err := r.ReadAll()
	if err != nil || len(rows) < 2 {
		t.Fatalf("SIPp's statistics: %d lines, %v", len(rows), err)
	}
	i := slices.Index(rows[0], name)
	for _, row := range rows[1:] {
		if i < 0 || i >= len(row) {
			t.Fatalf("SIPp's statistics have no %s", name)
		}
		n, err := strconv.Atoi(row[i])
		if err != nil {
			t.Fatalf("SIPp's statistics: %s: %v", name, err)
		}
		all = append(all, n)
	}
	return all
}
