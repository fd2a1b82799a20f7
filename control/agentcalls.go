package control

import (
	"context"
	"slices"
	"strings"
	"time"

	"ringhook/ami"
	"ringhook/control/switching"
	"ringhook/dialplan"
)

// AgentCall is a call of an agent's phone as Asterisk has it now.
type AgentCall struct {
	Server   string `json:"server"`
	LinkedID string `json:"linkedid"`
	// State is ringing, dialing, talking, held or consulting (the agent talks to the destination of a transfer).
	State string    `json:"state"`
	Since time.Time `json:"since"` // of the phone's channel
	Muted bool      `json:"muted"`
	Other string    `json:"other,omitempty"` // number of the other party that is nearest, as Asterisk shows it; empty if withheld
	Name  string    `json:"name,omitempty"`
	// Can names the commands that make sense now: answer, hold, resume, transfer, mute, unmute, dtmf, hangup, complete, cancel.
	Can []string `json:"can"`
	// Transfer is the id of an attended transfer that has begun, and To its destination. They can be empty for a moment.
	Transfer string `json:"transfer,omitempty"`
	To       string `json:"to,omitempty"`
}

// The states of an AgentCall.
const (
	CallRinging    = "ringing"
	CallDialing    = "dialing"
	CallTalking    = "talking"
	CallHeld       = "held"
	CallConsulting = "consulting"
)

// AgentCalls returns the calls of an agent's phone, the oldest first.
func (c *Control) AgentCalls(who Actor, id string) ([]AgentCall, error) {
	settings := c.settings.Load()
	a, err := settings.agent(id)
	if err == nil {
		err = allowed(who, "hold", a, "")
	}
	if err != nil {
		return nil, err
	}
	list := []AgentCall{}
	for _, s := range c.all() {
		s.mu.Lock()
		for _, ch := range s.state.channels {
			if isOf(ch, deviceOf(a)) {
				list = append(list, s.agentCall(a, ch, settings.ShowWithheld))
				if now := time.Now(); ch.consults() && ch.transfer == "" && now.Sub(ch.asked) >= askAgain {
					ch.asked = now
					uniqueID := ch.uniqueID
					c.background(func(ctx context.Context) { s.learnTransfer(ctx, uniqueID) })
				}
			}
		}
		s.mu.Unlock()
	}
	slices.SortFunc(list, func(x, y AgentCall) int {
		if d := x.Since.Compare(y.Since); d != 0 {
			return d
		}
		return strings.Compare(x.LinkedID, y.LinkedID)
	})
	return list, nil
}

// consults reports whether a phone talks to the destination of an attended transfer. No event says so while the
// destination rings: a transfer that a command began is known by its id.
func (ch *channel) consults() bool {
	return ch.transfer != "" || switching.Consults(ch.context, ch.extension)
}

// agentCall returns the call of a phone's channel. The caller holds mu.
func (s *server) agentCall(a *dialplan.Agent, ch *channel, showWithheld bool) AgentCall {
	v := AgentCall{Server: s.config.Name, LinkedID: ch.linkedID, Since: ch.since, Muted: ch.muted, Can: []string{"hangup"}}
	held := ch.held
	var other *channel
	for _, o := range s.state.channels {
		if o.linkedID != ch.linkedID || o == ch || strings.HasPrefix(o.name, "Local/") {
			continue
		}
		held = held || o.held
		if other == nil || ch.nearer(o, other) {
			other = o
		}
	}
	if other != nil {
		v.Other, v.Name = s.state.shownCaller(other.uniqueID, other.number, other.callerName, showWithheld)
	}
	switch {
	case ch.consults():
		v.State, v.Transfer, v.To = CallConsulting, ch.transfer, ch.to
		if v.Transfer != "" {
			v.Can = append(v.Can, "complete", "cancel")
		}
		v.Can = append(v.Can, "mute", "unmute", "dtmf")
	case held:
		v.State, v.Can = CallHeld, append(v.Can, "resume", "transfer")
	case ch.state == "Up":
		v.State, v.Can = CallTalking, append(v.Can, "hold", "transfer", "mute", "unmute", "dtmf")
	case ch.state == "Ringing":
		v.State = CallRinging
		if a.Hold == string(switching.ByNotify) {
			v.Can = append(v.Can, "answer")
		}
	default:
		v.State = CallDialing
	}
	return v
}

// nearer reports whether a is rather the other party of a phone's channel than b. The nearest is in the phone's bridge; else
// it is the first channel of the call, and of the others the oldest.
func (ch *channel) nearer(a, b *channel) bool {
	bridged := func(o *channel) bool { return ch.bridge != "" && o.bridge == ch.bridge }
	first := func(o *channel) bool { return o.uniqueID == o.linkedID }
	switch {
	case bridged(a) != bridged(b):
		return bridged(a)
	case first(a) != first(b):
		return first(a)
	}
	return older(a, b) < 0
}

// askAgain is the time after which Asterisk is asked again for a transfer's id that it did not return.
const askAgain = 5 * time.Second

// learnTransfer reads the id of a transfer that began before ringhook did.
func (s *server) learnTransfer(ctx context.Context, uniqueID string) {
	ctx, cancel := context.WithTimeout(ctx, commandTime)
	defer cancel()
	secret, err := s.client.Variable(ctx, uniqueID, ami.TransferID)
	to, err2 := s.client.Variable(ctx, uniqueID, ami.Consulting)
	if err != nil || err2 != nil || secret == "" {
		return // it has ended meanwhile, or Asterisk does not answer
	}
	s.noteTransfer(uniqueID+"-"+secret, text(to))
}

// noteTransfer records the id of an attended transfer at its phone's channel.
func (s *server) noteTransfer(transfer, to string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if ch := s.state.channels[switching.PhoneOf(transfer)]; ch != nil {
		ch.transfer, ch.to = transfer, to
	}
}
