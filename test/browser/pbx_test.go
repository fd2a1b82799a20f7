package browser

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"ringhook/ami/amitest"
)

// pbx plays an Asterisk with two queues, and does what commands ask for.
type pbx struct {
	*amitest.Server
	address string

	mu       sync.Mutex
	members  []*queueMember
	waiting  []*waiter
	channels []*pbxChannel
}

type queueMember struct {
	queue, phone, name, reason string
	paused                     bool
	pausedAt                   time.Time
}

type waiter struct {
	queue, id, number, name string
	since                   time.Time
	priority                int
}

type pbxChannel struct {
	name, id, call, bridge, number, caller, state string
	since                                         time.Time
}

func startPBX(t *testing.T) *pbx {
	t.Helper()
	p := &pbx{Server: amitest.New()}
	t.Cleanup(p.Close)
	success := amitest.Text("Response: Success", "ActionID: {id}", "Message: done")
	p.AnswerFunc("QueueStatus", func(*amitest.Request) string { return amitest.List("QueueStatus", p.queues()...) })
	p.AnswerFunc("CoreShowChannels", func(*amitest.Request) string { return amitest.List("CoreShowChannels", p.shown()...) })
	p.AnswerFunc("DeviceStateList", func(*amitest.Request) string { return amitest.List("DeviceStateList", p.devices()...) })
	p.AnswerFunc("QueuePause", func(r *amitest.Request) string {
		p.change(r.Get("Queue"), r.Get("Interface"), func(m *queueMember) {
			m.paused, m.reason, m.pausedAt = r.Get("Paused") == "true", r.Get("Reason"), time.Now()
		})
		return success
	})
	p.AnswerFunc("QueueRemove", func(r *amitest.Request) string {
		p.mu.Lock()
		defer p.mu.Unlock()
		for i, m := range p.members {
			if m.queue == r.Get("Queue") && "PJSIP/"+m.phone == r.Get("Interface") {
				p.members = append(p.members[:i:i], p.members[i+1:]...)
				go p.Send(m.text("QueueMemberRemoved"))
				return success
			}
		}
		return amitest.Text("Response: Error", "ActionID: {id}", "Message: Unable to remove interface: Not there")
	})
	p.AnswerFunc("Hangup", func(r *amitest.Request) string {
		go p.gone(r.Get("Channel"))
		return success
	})
	p.AnswerFunc("Getvar", func(r *amitest.Request) string {
		value := ""
		if r.Get("Variable") == "CALLERID(num-pres)" {
			value = "allowed_not_screened" // Asterisk always names it, and callers without one count as withheld
		}
		return amitest.Text("Response: Success", "ActionID: {id}", "Variable: "+r.Get("Variable"), "Value: "+value)
	})
	var err error
	if p.address, err = p.Listen(); err != nil {
		t.Fatal(err)
	}
	return p
}

func (m *queueMember) text(kind string) string {
	name, at := "MemberName", "Interface"
	if kind == "QueueMember" {
		name, at = "Name", "Location"
	}
	paused, since := "0", int64(0)
	if m.paused {
		paused, since = "1", m.pausedAt.Unix()
	}
	status := "1"
	if m.phone == "103" || m.phone == "104" {
		status = "2"
	}
	return amitest.Text("Event: "+kind, "Queue: "+m.queue, name+": "+m.name, at+": PJSIP/"+m.phone, "StateInterface: PJSIP/"+m.phone, "Membership: dynamic", "Status: "+status,
		"Penalty: 0", "CallsTaken: 3", "InCall: 0", "Paused: "+paused, "PausedReason: "+m.reason, fmt.Sprintf("LastPause: %d", since), fmt.Sprintf("LoginTime: %d", time.Now().Add(-3*time.Hour).Unix()))
}

func (p *pbx) queues() (items []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, q := range []string{"500", "501", "600"} {
		items = append(items, amitest.Text("Event: QueueParams", "Queue: "+q, "Strategy: ringall", "Completed: 40", "Abandoned: 4"))
		for _, m := range p.members {
			if m.queue == q {
				items = append(items, m.text("QueueMember"))
			}
		}
		position := 0
		for _, w := range p.waiting {
			if w.queue == q {
				position++
				items = append(items, amitest.Text("Event: QueueEntry", "Queue: "+q, fmt.Sprintf("Position: %d", position), "Channel: PJSIP/trunk-"+w.id, "Uniqueid: "+w.id,
					"CallerIDNum: "+w.number, "CallerIDName: "+w.name, fmt.Sprintf("Wait: %d", int(time.Since(w.since).Seconds())), fmt.Sprintf("Priority: %d", w.priority)))
			}
		}
	}
	return items
}

func (p *pbx) shown() (items []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.channels {
		d := time.Since(c.since)
		items = append(items, amitest.Text("Event: CoreShowChannel", "Channel: "+c.name, "Uniqueid: "+c.id, "Linkedid: "+c.call, "BridgeId: "+c.bridge, "ChannelStateDesc: "+c.state,
			"CallerIDNum: "+c.number, "CallerIDName: "+c.caller, fmt.Sprintf("Duration: %02d:%02d:%02d", int(d.Hours()), int(d.Minutes())%60, int(d.Seconds())%60)))
	}
	return items
}

func (p *pbx) devices() (items []string) {
	for phone, state := range map[string]string{"101": "NOT_INUSE", "102": "NOT_INUSE", "103": "INUSE", "104": "INUSE", "105": "NOT_INUSE", "106": "UNAVAILABLE", "107": "NOT_INUSE"} {
		items = append(items, amitest.Text("Event: DeviceStateChange", "Device: PJSIP/"+phone, "State: "+state))
	}
	return items
}

// member logs a phone in.
func (p *pbx) member(queue, phone, name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.members = append(p.members, &queueMember{queue: queue, phone: phone, name: name})
}

// change changes a member and reports it.
func (p *pbx) change(queue, iface string, change func(*queueMember)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, m := range p.members {
		if m.queue == queue && "PJSIP/"+m.phone == iface {
			change(m)
			go p.Send(m.text("QueueMemberPause"))
		}
	}
}

// join has a caller join a queue. Before the first connection nothing is sent.
func (p *pbx) join(send bool, w *waiter) {
	p.mu.Lock()
	p.waiting = append(p.waiting, w)
	c := &pbxChannel{name: "PJSIP/trunk-" + w.id, id: w.id, call: w.id, number: w.number, caller: w.name, state: "Up", since: w.since}
	p.channels = append(p.channels, c)
	position := 0
	for _, o := range p.waiting {
		if o.queue == w.queue {
			position++
		}
	}
	p.mu.Unlock()
	if send {
		p.Send(amitest.Text("Event: Newchannel", "Channel: "+c.name, "Uniqueid: "+c.id, "Linkedid: "+c.call, "ChannelStateDesc: Up", "CallerIDNum: "+c.number, "CallerIDName: "+c.caller) +
			amitest.Text("Event: QueueCallerJoin", "Queue: "+w.queue, fmt.Sprintf("Position: %d", position), "Channel: "+c.name, "Uniqueid: "+c.id, "Linkedid: "+c.call, "CallerIDNum: "+c.number, "CallerIDName: "+c.caller))
	}
}

// talk connects a caller with a phone.
func (p *pbx) talk(call, number, name, phone string, since time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.channels = append(p.channels,
		&pbxChannel{name: "PJSIP/trunk-" + call, id: call, call: call, bridge: "b" + call, number: number, caller: name, state: "Up", since: since},
		&pbxChannel{name: "PJSIP/" + phone + "-" + strings.ReplaceAll(call, ".", ""), id: call + "9", call: call, bridge: "b" + call, state: "Up", since: since})
}

// gone ends a channel, also in a queue.
func (p *pbx) gone(id string) {
	p.mu.Lock()
	text, call := "", id
	for i, w := range p.waiting {
		if w.id == id {
			p.waiting = append(p.waiting[:i:i], p.waiting[i+1:]...)
			text = amitest.Text("Event: QueueCallerLeave", "Queue: "+w.queue, "Uniqueid: "+id, "Linkedid: "+id, "Position: 1", "Count: 0")
			break
		}
	}
	for i, c := range p.channels {
		if c.id == id {
			call = c.call
			p.channels = append(p.channels[:i:i], p.channels[i+1:]...)
			break
		}
	}
	p.mu.Unlock()
	p.Send(text + amitest.Text("Event: Hangup", "Channel: PJSIP/trunk-"+id, "Uniqueid: "+id, "Linkedid: "+call))
}
