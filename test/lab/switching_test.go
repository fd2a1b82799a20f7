//go:build e2e

package lab

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"ringhook/ami"
	"ringhook/control/switching"
	"ringhook/test/wait"
)

// silent is a user of events that needs none.
type silent struct{}

func (silent) Connected(context.Context) error    { return nil }
func (silent) Event(context.Context, ami.Message) {}
func (silent) Tick(context.Context)               {}
func (silent) Disconnected()                      {}

// manager connects with an account of manager.conf until the test ends.
func manager(t *testing.T, username string) *ami.Client {
	t.Helper()
	return watch(t, asteriskIP, username, silent{})
}

// watch does the same with the Asterisk at an address, and delivers the events of these names.
func watch(t *testing.T, ip, username string, w ami.Watcher, events ...string) *ami.Client {
	t.Helper()
	c, err := ami.New(ami.Config{Name: "lab", Address: ip + ":5038", Username: username, Secret: "lab-s3cret"}, events, slog.New(slog.DiscardHandler), ami.NewMetrics(prometheus.NewRegistry()))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := c.Start(ctx, w)
	t.Cleanup(func() {
		cancel()
		<-done
	})
	eventually(t, "the manager is connected", c.Connected)
	return c
}

// connected lists the devices with which a device is in conversation, across Local channels, as PJSIP/101.
func connected(t *testing.T, c *ami.Client, device string) []string {
	t.Helper()
	items, err := c.List(t.Context(), ami.Action{Name: "CoreShowChannels"})
	if err != nil {
		t.Fatal(err)
	}
	group := map[string]int{} // of each channel
	number := 0
	join := func(a, b string) {
		from, to := group[b], group[a]
		for name, g := range group {
			if g == from {
				group[name] = to
			}
		}
	}
	bridges := map[string]string{}
	for _, m := range items {
		number++
		group[m.Get("Channel")] = number
	}
	for _, m := range items {
		name, bridge := m.Get("Channel"), m.Get("BridgeId")
		if strings.HasSuffix(name, ";1") {
			if other := strings.TrimSuffix(name, "1") + "2"; group[other] != 0 {
				join(name, other)
			}
		}
		if bridge == "" {
			continue
		}
		if first := bridges[bridge]; first != "" {
			join(first, name)
		}
		bridges[bridge] = name
	}
	var with []string
	for name, g := range group {
		own := slices.ContainsFunc(items, func(m ami.Message) bool {
			return strings.HasPrefix(m.Get("Channel"), device+"-") && group[m.Get("Channel")] == g && m.Get("BridgeId") != ""
		})
		if own && !strings.HasPrefix(name, device+"-") && !strings.HasPrefix(name, "Local/") {
			with = append(with, name[:strings.LastIndexByte(name, '-')])
		}
	}
	slices.Sort(with)
	return with
}

// talks waits until a device is in conversation with exactly these.
func talks(t *testing.T, c *ami.Client, device string, with ...string) {
	t.Helper()
	var got []string
	for end := time.Now().Add(wait.Limit); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if got = connected(t, c, device); slices.Equal(got, with) {
			return
		}
	}
	items, _ := c.List(t.Context(), ami.Action{Name: "CoreShowChannels"})
	for _, m := range items {
		t.Log(m.Get("Channel"), m.Get("Context"), m.Get("Exten"), m.Get("Application"), m.Get("ApplicationData"), m.Get("BridgeId"), m.Get("Linkedid"))
	}
	t.Fatalf("%s talks to %v, want %v", device, got, with)
}

// hears waits until the other end of a held call hears music.
func hears(t *testing.T, c *ami.Client, linkedid string) {
	t.Helper()
	eventually(t, "the caller hears music", func() bool {
		items, err := c.List(t.Context(), ami.Action{Name: "CoreShowChannels"})
		return err == nil && slices.ContainsFunc(items, func(m ami.Message) bool {
			return m.Get("Linkedid") == linkedid && m.Get("Application") == "MusicOnHold" && m.Get("Context") == "ringhook-hold"
		})
	})
}

// gone waits until no channel of a device is left.
func gone(t *testing.T, c *ami.Client, devices ...string) {
	t.Helper()
	var left []string
	for end := time.Now().Add(wait.Limit); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		items, err := c.List(t.Context(), ami.Action{Name: "CoreShowChannels"})
		if err != nil {
			t.Fatal(err)
		}
		left = nil
		for _, m := range items {
			for _, device := range devices {
				if strings.HasPrefix(m.Get("Channel"), device+"-") {
					left = append(left, m.Get("Channel")+" in "+m.Get("Application"))
				}
			}
		}
		if len(left) == 0 {
			return
		}
	}
	t.Fatalf("channels are left: %v", left)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// refused checks the code with which a command is refused.
func refusedWith(t *testing.T, err error, code string) {
	t.Helper()
	var known *switching.Error
	if !errors.As(err, &known) || known.Code != code {
		t.Errorf("got %v, want the code %s", err, code)
	}
}

const answeredStory = "call-dial queue-dial agent-dial agent-answer { agent-hangup queue-hangup } call-hangup"

// holdQueueCall holds and resumes a call of a queue twice, until one of the ends hangs up, also during a hold.
func holdQueueCall(t *testing.T, l *lab) {
	c := manager(t, "ringhook")
	f := func(name string, held, byAgent bool) {
		t.Run(name, func(t *testing.T) {
			q, number := l.queue(t), l.caller(t)
			device := "PJSIP/" + q.phones[0]
			ends := l.phone(t, q.phones[0], phone{EndTold: byAgent})
			call := l.call(t, q.did, caller{Number: number, Told: !byAgent})
			if !byAgent {
				ends = call
			}
			told := l.crm.of(number)
			answer := told.wait(t, "agent-answer", 1)
			answered := time.Now()
			id := switching.ID{LinkedID: answer.text("linkedid"), Device: device}
			talks(t, c, device, "PJSIP/trunk")
			refusedWith(t, switching.Resume(t.Context(), c, id, switching.ByPBX), switching.State)
			for range 2 {
				steered(t, func() error { return switching.Hold(t.Context(), c, id, switching.ByPBX) })
				hears(t, c, id.LinkedID)
				refusedWith(t, switching.Hold(t.Context(), c, id, switching.ByPBX), switching.State)
				steered(t, func() error { return switching.Resume(t.Context(), c, id, switching.ByPBX) })
				talks(t, c, device, "PJSIP/trunk")
			}
			if got := eventNames(told.events()); slices.Contains(got, "agent-hangup") || slices.Contains(got, "queue-hangup") {
				t.Errorf("a hold is reported as an end: %v", got)
			}
			if held {
				steered(t, func() error { return switching.Hold(t.Context(), c, id, switching.ByPBX) })
				hears(t, c, id.LinkedID)
			}
			least := int(time.Since(answered).Seconds())
			ends.tell(t)
			call.wait(t)
			gone(t, c, device)
			told.expect(t, answeredStory)
			for _, name := range []string{"agent-hangup", "queue-hangup"} {
				e := told.wait(t, name, 1)
				e.has(t, map[string]string{"agent_phone": q.phones[0], "status": "answer"})
				if talked := e.number("talk_time"); talked < least {
					t.Errorf("%s: talk_time is %d, want the whole %d seconds, with what was held", name, talked, least)
				}
			}
		})
	}
	f("caller hangs up on hold", true, false)
	f("agent hangs up on hold", true, true)
	f("caller hangs up", false, false)
	f("agent hangs up", false, true)
}

// holdDirectCall holds a call without a queue, in which no Local channel is.
func holdDirectCall(t *testing.T, l *lab) {
	c := manager(t, "ringhook")
	q, number := l.queue(t), l.caller(t)
	device := "PJSIP/" + q.phones[2]
	l.phone(t, q.phones[2], phone{})
	call := l.call(t, phoneNumber(q.phones[2]), caller{Number: number, Told: true})
	told := l.crm.of(number)
	id := switching.ID{LinkedID: told.wait(t, "agent-answer", 1).text("linkedid"), Device: device}
	talks(t, c, device, "PJSIP/trunk")
	steered(t, func() error { return switching.Hold(t.Context(), c, id, switching.ByPBX) })
	hears(t, c, id.LinkedID)
	steered(t, func() error { return switching.Resume(t.Context(), c, id, switching.ByPBX) })
	talks(t, c, device, "PJSIP/trunk")
	steered(t, func() error { return switching.Hold(t.Context(), c, id, switching.ByPBX) })
	hears(t, c, id.LinkedID)
	call.tell(t)
	call.wait(t)
	gone(t, c, device)
	told.expect(t, "call-dial agent-dial { call-answer agent-answer } agent-hangup call-hangup")
}

// holdByNotify holds a call by the phone itself.
func holdByNotify(t *testing.T, l *lab) {
	q, number := l.queue(t), l.caller(t)
	device := "PJSIP/" + q.phones[0]
	able := startSIPp(t, "notified.xml", struct{ Directions []string }{[]string{"sendonly", "sendrecv"}}, traced("-i", phoneIP(q.phones[0]), "-p", fmt.Sprint(sipPort))...)
	waitForUDP(t, phoneIP(q.phones[0]), sipPort)
	call := l.call(t, q.did, caller{Number: number, Told: true})
	told := l.crm.of(number)
	id := switching.ID{LinkedID: told.wait(t, "agent-answer", 1).text("linkedid"), Device: device}
	talks(t, manager(t, "ringhook"), device, "PJSIP/trunk")
	// The account with the least rights cannot send NOTIFY.
	refusedWith(t, switching.Hold(t.Context(), manager(t, "ringhook"), id, switching.ByNotify), switching.Phone)
	c := manager(t, "notify")
	steered(t, func() error { return switching.Hold(t.Context(), c, id, switching.ByNotify) })
	steered(t, func() error { return switching.Resume(t.Context(), c, id, switching.ByNotify) })
	call.tell(t)
	call.wait(t)
	gone(t, c, device)
	told.expect(t, answeredStory)
	able.stop()

	// A phone that does not know it.
	l.phone(t, q.phones[0], phone{})
	number = l.caller(t)
	call = l.call(t, q.did, caller{Number: number, Told: true})
	id.LinkedID = l.crm.of(number).wait(t, "agent-answer", 1).text("linkedid")
	talks(t, c, device, "PJSIP/trunk")
	refusedWith(t, switching.Hold(t.Context(), c, id, switching.ByNotify), switching.Phone)
	call.tell(t)
	l.crm.of(number).expect(t, answeredStory)
}

// steered runs a command, again while the channels of the call are moving, as a user does.
func steered(t *testing.T, do func() error) {
	t.Helper()
	var err error
	eventually(t, "the call is not changing", func() bool {
		err = do()
		return err == nil || !moving(err.Error())
	})
	must(t, err)
}

// moving reports whether a command was refused because the channels of the call are moving.
func moving(refusal string) bool {
	return slices.ContainsFunc([]string{"the call is changing", "is not in conversation", "the other end of the call has hung up"}, func(text string) bool {
		return strings.Contains(refusal, text)
	})
}

const dialContext = "ringhook-desk"

// blindTransfers are to a colleague, to a queue, from a call on hold, and to what is not there.
func blindTransfers(t *testing.T, l *lab) {
	c := manager(t, "ringhook")
	q, second, number := l.queue(t), l.queue(t), l.caller(t)
	first, colleague := "PJSIP/"+q.phones[0], "PJSIP/"+q.phones[2]
	l.phone(t, q.phones[0], phone{})
	l.phone(t, q.phones[2], phone{})
	last := l.phone(t, second.phones[0], phone{EndTold: true})
	call := l.call(t, q.did, caller{Number: number})
	told := l.crm.of(number)
	id := switching.ID{LinkedID: told.wait(t, "agent-answer", 1).text("linkedid"), Device: first}
	talks(t, c, first, "PJSIP/trunk")

	for to, code := range map[string]string{"8888": switching.Unknown, "s": switching.BadRequest, "1,1": switching.BadRequest, "1\r\nAction: x": switching.BadRequest, "": switching.BadRequest} {
		_, err := switching.Check(t.Context(), c, dialContext, to)
		refusedWith(t, err, code)
	}
	to, err := switching.Check(t.Context(), c, dialContext, q.phones[2])
	must(t, err)
	steered(t, func() error { return switching.Blind(t.Context(), c, id, to) })
	talks(t, c, colleague, "PJSIP/trunk")
	gone(t, c, first)

	// The colleague sends the caller from hold to a queue.
	id.Device = colleague
	steered(t, func() error { return switching.Hold(t.Context(), c, id, switching.ByPBX) })
	hears(t, c, id.LinkedID)
	to, err = switching.Check(t.Context(), c, dialContext, second.id)
	must(t, err)
	steered(t, func() error { return switching.Blind(t.Context(), c, id, to) })
	talks(t, c, "PJSIP/"+second.phones[0], "PJSIP/trunk")
	gone(t, c, colleague)
	last.tell(t)
	call.wait(t)
	told.expect(t, `call-dial queue-dial agent-dial agent-answer { agent-hangup agent-custom } agent-dial agent-answer
		{ agent-hangup queue-hangup queue-dial agent-dial agent-answer } { agent-hangup queue-hangup agent-dialout-hangup } call-hangup`)
}

// attendedTransfers talk to the destination first.
func attendedTransfers(t *testing.T, l *lab) {
	c := manager(t, "ringhook")
	f := func(name, story string, target phone, then func(t *testing.T, asked *sipp, first, target, transfer string)) {
		t.Run(name, func(t *testing.T) {
			q, number := l.queue(t), l.caller(t)
			first, colleague := "PJSIP/"+q.phones[0], "PJSIP/"+q.phones[2]
			l.phone(t, q.phones[0], phone{})
			asked := l.phone(t, q.phones[2], target)
			call := l.call(t, q.did, caller{Number: number, Name: "Caller", Told: true})
			told := l.crm.of(number)
			id := switching.ID{LinkedID: told.wait(t, "agent-answer", 1).text("linkedid"), Device: first}
			talks(t, c, first, "PJSIP/trunk")
			to, err := switching.Check(t.Context(), c, dialContext, q.phones[2])
			must(t, err)
			transfer, err := switching.Attend(t.Context(), c, id, to)
			must(t, err)
			then(t, asked, first, colleague, transfer)
			call.tell(t)
			call.wait(t)
			gone(t, c, first, colleague)
			told.expect(t, story)
			for _, e := range told.events() {
				e.has(t, map[string]string{"callerid": "+" + number, "callerid_name": "Caller", "callerid_kind": ""})
			}
			for _, e := range told.all("agent-custom") {
				e.has(t, map[string]string{"agent_phone": q.phones[0], "dialed": q.phones[2]})
			}
		})
	}
	f("completed", "call-dial queue-dial agent-dial agent-answer agent-custom agent-dial agent-answer { agent-hangup agent-hangup queue-hangup agent-dialout-hangup } call-hangup", phone{}, func(t *testing.T, asked *sipp, first, target, transfer string) {
		talks(t, c, first, target)
		steered(t, func() error { return switching.Complete(t.Context(), c, first, transfer) })
		talks(t, c, target, "PJSIP/trunk")
		gone(t, c, first)
	})
	f("completed while it rings", "call-dial queue-dial agent-dial agent-answer agent-custom agent-dial { agent-cancel agent-dialout-hangup agent-hangup agent-custom agent-dial agent-answer } { agent-hangup agent-dialout-hangup queue-hangup } call-hangup", phone{Ring: 3 * time.Second}, func(t *testing.T, asked *sipp, first, target, transfer string) {
		eventually(t, "the destination rings", func() bool {
			items, _ := c.List(t.Context(), ami.Action{Name: "CoreShowChannels"})
			return slices.ContainsFunc(items, func(m ami.Message) bool {
				return strings.HasPrefix(m.Get("Channel"), target+"-") && m.Get("ChannelStateDesc") == "Ringing"
			})
		})
		steered(t, func() error { return switching.Complete(t.Context(), c, first, transfer) })
		talks(t, c, target, "PJSIP/trunk")
		gone(t, c, first)
	})
	f("cancelled", "call-dial queue-dial agent-dial agent-answer agent-custom agent-dial agent-answer { agent-hangup agent-dialout-hangup } { agent-hangup queue-hangup } call-hangup", phone{}, func(t *testing.T, asked *sipp, first, target, transfer string) {
		talks(t, c, first, target)
		steered(t, func() error { return switching.Cancel(t.Context(), c, first, transfer) })
		talks(t, c, first, "PJSIP/trunk")
		gone(t, c, target)
		refusedWith(t, switching.Complete(t.Context(), c, first, transfer), switching.State)
	})
	ended := func(transfer string) {
		eventually(t, "the transfer has ended", func() bool {
			v, err := c.Variable(t.Context(), transfer[:strings.LastIndexByte(transfer, '-')], ami.TransferID)
			return err == nil && v == ""
		})
	}
	f("busy", "call-dial queue-dial agent-dial agent-answer agent-custom agent-dial { agent-cancel agent-dialout-hangup } { agent-hangup queue-hangup } call-hangup", phone{Refuse: "486 Busy Here"}, func(t *testing.T, asked *sipp, first, target, transfer string) {
		ended(transfer)
		talks(t, c, first, "PJSIP/trunk")
		refusedWith(t, switching.Cancel(t.Context(), c, first, transfer), switching.State)
	})
	f("destination hangs up", "call-dial queue-dial agent-dial agent-answer agent-custom agent-dial agent-answer { agent-hangup agent-dialout-hangup } { agent-hangup queue-hangup } call-hangup", phone{EndTold: true}, func(t *testing.T, asked *sipp, first, target, transfer string) {
		talks(t, c, first, target)
		asked.tell(t)
		talks(t, c, first, "PJSIP/trunk")
	})
}

// clickCalls call an agent's phone first, and then a number: one that answers, one that is busy, from a phone that is
// busy, and from one that is not there.
func clickCalls(t *testing.T, l *lab) {
	c := manager(t, "ringhook")
	q := l.queue(t)
	l.phone(t, q.phones[0], phone{Ring: time.Second})
	l.phone(t, q.phones[1], phone{Refuse: "486 Busy Here"})
	colleague := l.phone(t, q.phones[2], phone{EndTold: true})
	f := func(from, to string, want switching.Outcome) string {
		t.Helper()
		place, err := switching.Check(t.Context(), c, dialContext, to)
		must(t, err)
		id := switching.NewID()
		course, err := switching.Start(t.Context(), c, switching.Dial{
			ID: id, Channel: "PJSIP/" + from, To: place, Name: "Anna", Number: from, Timeout: 3 * time.Second,
		})
		must(t, err)
		defer course.Close()
		for {
			got, final := course.Next(t.Context())
			if !final {
				continue
			}
			got.Text = ""
			if !strings.Contains(l.asterisk.version, " 16.") {
				got.SIP = 0 // 16 does not report it
			}
			if got != want {
				t.Errorf("%s calls %s: %+v, want %+v", from, to, got, want)
			}
			return id
		}
	}
	id := f(q.phones[0], q.phones[2], switching.Outcome{Stage: switching.StageNumber, State: switching.Answered})
	talks(t, c, "PJSIP/"+q.phones[0], "PJSIP/"+q.phones[2])
	colleague.tell(t)
	gone(t, c, "PJSIP/"+q.phones[0], "PJSIP/"+q.phones[2])
	if got := colleague.headers(t, "From"); len(got) != 1 || !strings.Contains(got[0], `"Anna" <sip:`+q.phones[0]+`@`) {
		t.Errorf("the colleague's phone shows %q", got)
	}
	told := story{l.crm.receiver, "linkedid", id}
	told.expect(t, "agent-custom agent-dial agent-answer { agent-hangup agent-dialout-hangup } call-hangup")
	told.wait(t, "agent-custom", 1).has(t, map[string]string{"agent_phone": q.phones[0], "dialed": q.phones[2], "direction": "internal"})

	busy := f(q.phones[0], q.phones[1], switching.Outcome{Stage: switching.StageNumber, State: switching.Busy, Cause: 17})
	f(q.phones[1], q.phones[2], switching.Outcome{Stage: switching.StagePhone, State: switching.Busy, Cause: 17})
	f("999", q.phones[2], switching.Outcome{Stage: switching.StagePhone, State: switching.Unreachable})
	story{l.crm.receiver, "linkedid", busy}.expect(t, "agent-custom agent-dial { agent-cancel agent-dialout-hangup } call-hangup")
}
