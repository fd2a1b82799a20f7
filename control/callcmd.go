package control

import (
	"context"
	"regexp"
	"slices"
	"strings"
	"time"

	"ringhook/ami"
	"ringhook/dialplan"
)

// The sides of a call.
const (
	SideAgent = "agent" // the agent's phone
	SideOther = "other" // with whom the agent talks
	SideAll   = "all"
)

// CallRequest asks to do something with a live call.
type CallRequest struct {
	Agent    string `json:"-"` // id of the agent whose call it is; empty for any call
	Server   string `json:"-"`
	LinkedID string `json:"-"`
	// Side is agent, other or all. The default is agent, and all for a call of no named agent; for DTMF it is other.
	Side string `json:"side,omitempty"`
	// UniqueID names one channel of the call instead of a side.
	UniqueID string `json:"uniqueid,omitempty"`
	Digits   string `json:"digits,omitempty"` // for DTMF
}

// CallResult is what a command did with a call.
type CallResult struct {
	Server   string   `json:"server"`
	LinkedID string   `json:"linkedid"`
	Channels []string `json:"channels"` // uniqueids
}

// Hangup hangs up a side of a call, or all of it.
func (c *Control) Hangup(ctx context.Context, who Actor, in CallRequest) (CallResult, error) {
	return c.onChannels(ctx, who, "hangup", in, "", func(ctx context.Context, s *server, ch channel) error {
		return s.hangup(ctx, ch.uniqueID)
	})
}

// hangup hangs up a channel. One that is gone is hung up.
func (s *server) hangup(ctx context.Context, uniqueID string) error {
	_, err := s.client.Do(ctx, ami.Action{Name: "Hangup", Fields: []ami.Field{{Key: "Channel", Value: uniqueID}, {Key: "Cause", Value: "16"}}})
	if rejectedWith(err, "No such channel") {
		err = nil
	}
	if err == nil {
		s.settle(ctx, func(s *state) bool { return s.channels[uniqueID] == nil })
	}
	return err
}

// Mute stops the sound that comes from a side of a call.
func (c *Control) Mute(ctx context.Context, who Actor, in CallRequest) (CallResult, error) {
	return c.onChannels(ctx, who, "mute", in, SideAgent, muting(true))
}

// Unmute lets the sound through again.
func (c *Control) Unmute(ctx context.Context, who Actor, in CallRequest) (CallResult, error) {
	return c.onChannels(ctx, who, "unmute", in, SideAgent, muting(false))
}

func muting(on bool) func(ctx context.Context, s *server, ch channel) error {
	value := map[bool]string{true: "on", false: "off"}[on]
	return func(ctx context.Context, s *server, ch channel) error {
		err := s.client.SetVariable(ctx, ch.uniqueID, ami.MuteIn, value)
		if rejectedWith(err, "No such channel") {
			return errorf(State, "the channel has just ended")
		}
		if err == nil { // no event says that a channel is muted
			s.mu.Lock()
			defer s.mu.Unlock()
			if live := s.state.channels[ch.uniqueID]; live != nil {
				live.muted = on
			}
		}
		return err
	}
}

var digitsPattern = regexp.MustCompile(`^[0-9*#A-D]{1,16}$`)

// digitGap is the silence between two digits, which Asterisk plays for 100 ms each.
const digitGap = 200 * time.Millisecond

// DTMF plays digits to a side of a call.
func (c *Control) DTMF(ctx context.Context, who Actor, in CallRequest) (CallResult, error) {
	return c.onChannels(ctx, who, "dtmf", in, SideOther, func(ctx context.Context, s *server, ch channel) error {
		if !digitsPattern.MatchString(in.Digits) {
			return errorf(BadRequest, "digits must be 1 to 16 of 0-9, *, # and A-D")
		}
		for i, digit := range in.Digits {
			if i > 0 {
				select {
				case <-ctx.Done():
					return ctx.Err()
				case <-time.After(digitGap):
				}
			}
			_, err := s.client.Do(ctx, ami.Action{Name: "PlayDTMF", Fields: []ami.Field{{Key: "Channel", Value: ch.uniqueID}, {Key: "Digit", Value: string(digit)}}})
			if rejectedWith(err, "Channel not found") {
				return errorf(State, "the channel has ended")
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// onChannels runs a command on the channels that a request names. side is the default; an empty one is the agent's,
// or all if the request names no agent.
func (c *Control) onChannels(ctx context.Context, who Actor, command string, in CallRequest, side string, do func(ctx context.Context, s *server, ch channel) error) (CallResult, error) {
	at := &on{server: in.Server, agent: in.Agent, detail: in}
	return run(ctx, c, who, command, at, func(ctx context.Context) (r CallResult, err error) {
		if command != "dtmf" && in.Digits != "" {
			return r, errorf(BadRequest, "digits are for DTMF")
		}
		var a *dialplan.Agent
		if in.Agent != "" {
			_, a, err = c.subject(who, command, in.Agent)
		} else {
			err = allowed(who, command, nil, "")
		}
		if err != nil {
			return r, err
		}
		s, channels, err := c.channelsOf(ctx, in, a)
		if err != nil {
			return r, err
		}
		at.server = s.config.Name
		if in.Side == "" {
			in.Side = side
		}
		chosen, err := choose(in, a, channels)
		if err != nil {
			return r, err
		}
		r = CallResult{Server: s.config.Name, LinkedID: in.LinkedID, Channels: []string{}}
		for _, ch := range chosen {
			at.calls = []touched{s.touched(in.LinkedID, ch.uniqueID, ch.name, c.settings.Load().ShowWithheld)}
			if err := do(ctx, s, ch); err != nil {
				return r, err
			}
			r.Channels = append(r.Channels, ch.uniqueID)
		}
		return r, nil
	})
}

// channelsOf returns the channels of a live call, the oldest first. One of them must be of the agent's phone, if a is
// not nil.
func (c *Control) channelsOf(ctx context.Context, in CallRequest, a *dialplan.Agent) (*server, []channel, error) {
	reached, err := c.reach(ctx, in.Server)
	if err != nil {
		return nil, nil, err
	}
	is := func(ch *channel) bool { return ch.linkedID == in.LinkedID && in.LinkedID != "" }
	s, err := reached.only("call "+text(in.LinkedID)+" now", func(s *state) bool {
		for _, ch := range s.channels {
			if is(ch) {
				return true
			}
		}
		return false
	})
	if err != nil {
		return nil, nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var channels []channel
	for _, ch := range s.state.channels {
		if is(ch) {
			channels = append(channels, *ch)
		}
	}
	slices.SortFunc(channels, func(x, y channel) int { return older(&x, &y) })
	if a != nil && !slices.ContainsFunc(channels, func(ch channel) bool { return isOf(&ch, deviceOf(a)) }) {
		return nil, nil, errorf(State, "agent %s is not in call %s", a.ID, text(in.LinkedID))
	}
	return s, channels, nil
}

// choose returns the channels of a side.
func choose(in CallRequest, a *dialplan.Agent, channels []channel) ([]channel, error) {
	if in.UniqueID != "" {
		i := slices.IndexFunc(channels, func(ch channel) bool { return ch.uniqueID == in.UniqueID })
		if i < 0 {
			return nil, errorf(Unknown, "call %s has no channel %s", text(in.LinkedID), text(in.UniqueID))
		}
		return channels[i : i+1], nil
	}
	own := func(ch channel) bool { return a != nil && isOf(&ch, deviceOf(a)) }
	local := func(ch channel) bool { return strings.HasPrefix(ch.name, "Local/") }
	var chosen []channel
	switch in.Side {
	case SideAll, "":
		if in.Side == SideAll || a == nil {
			return channels, nil
		}
		fallthrough
	case SideAgent:
		if a == nil {
			return nil, errorf(BadRequest, "the side agent needs an agent: use /v1/agents/{id}/calls, or name a channel by uniqueid")
		}
		chosen = slices.DeleteFunc(channels, func(ch channel) bool { return !own(ch) })
	case SideOther:
		chosen = slices.DeleteFunc(channels, func(ch channel) bool { return own(ch) || local(ch) })
	default:
		return nil, errorf(BadRequest, "side must be agent, other or all")
	}
	switch {
	case len(chosen) == 1:
		return chosen, nil
	case len(chosen) == 0:
		return nil, errorf(State, "the call has no such side now")
	}
	return nil, errorf(Unclear, "the call has %d such channels: name one by uniqueid", len(chosen))
}
