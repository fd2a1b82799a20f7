// Package switching changes calls on one Asterisk: hold and resume, blind and attended transfer,
// and calls that Asterisk begins.
//
// Every function reads the call's channels from Asterisk when it runs, and keeps what a later one needs in
// variables of those channels. So nothing is lost by a restart, and the dialplan ends what has begun also if no
// ringhook is running: see [ringhook-hold] in contrib/extensions_ringhook.conf.
package switching

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"ringhook/ami"
)

// The codes of an Error.
const (
	BadRequest = "bad-request"
	Unknown    = "unknown"
	State      = "state"
	Unclear    = "unclear"
	Phone      = "phone"
	PBX        = "pbx"
)

// Error is returned if a command cannot be carried out, and nothing was changed. Other errors are those of
// ami.Client.
type Error struct {
	Code string // one of the constants
	Text string // for people
}

// Error returns the text.
func (e *Error) Error() string { return e.Text }

func refuse(code, format string, args ...any) error {
	return &Error{Code: code, Text: fmt.Sprintf(format, args...)}
}

// The contexts of the dialplan that hold calls, and their extensions.
const (
	holdContext  = "ringhook-hold"
	callerHeld   = "caller"
	callerResume = "resume"

	agentContext = "ringhook-hold-agent"
	agentWaits   = "wait"
	agentConsult = "consult"
	agentBack    = "back"
)

// Held reports whether a channel at a place in the dialplan is the other end of a call on hold.
func Held(dialplan, extension string) bool { return dialplan == holdContext && extension == callerHeld }

// Consults reports whether a channel at a place in the dialplan is a phone that talks to the destination of a transfer.
func Consults(dialplan, extension string) bool {
	return dialplan == agentContext && extension == agentConsult
}

// channel is an entry of CoreShowChannels.
type channel struct {
	name, uniqueID, linkedID   string
	context, extension, bridge string
	runs                       bool // its own dialplan: no Dial or Queue called it
	up                         bool
}

// IsOf reports whether a channel such as PJSIP/101-0000002a is one of a device such as PJSIP/101. Behind the device's name
// comes a hyphen and what has none: PJSIP/101-home-0000002b is one of PJSIP/101-home.
func IsOf(channel, device string) bool {
	rest, ok := strings.CutPrefix(channel, device+"-")
	return ok && device != "" && rest != "" && !strings.ContainsAny(rest, "-/")
}

// ID names a call among those of its phone.
type ID struct {
	LinkedID string // empty for the phone's only call
	Device   string // of the agent's phone, such as PJSIP/101
}

// call is one end's view of a call: the agent's phone, and the other end if the two talk or one is on hold.
type call struct {
	phone, other channel
	halves       []channel // of Local channels between them
	held         bool
}

// channels lists all channels of an Asterisk.
func channels(ctx context.Context, c *ami.Client) ([]channel, error) {
	items, err := c.List(ctx, ami.Action{Name: "CoreShowChannels"})
	if err != nil {
		return nil, err
	}
	all := make([]channel, 0, len(items))
	for _, m := range items {
		all = append(all, channel{
			name: m.Get("Channel"), uniqueID: m.Get("Uniqueid"), linkedID: m.Get("Linkedid"),
			context: m.Get("Context"), extension: m.Get("Exten"), bridge: m.Get("BridgeId"),
			runs: m.Get("Application") != "AppDial" && m.Get("Application") != "AppQueue",
			up:   m.Get("ChannelStateDesc") == "Up",
		})
	}
	return all, nil
}

const (
	// settleTime is the time for which a command waits for a call whose channels are moving. Asterisk answers a Redirect before
	// the channels have left their bridge.
	settleTime = time.Second
	// firstLook and longestLook are the first and the longest pause between two looks, each of which lists all channels. A
	// pause is twice as long as the one before.
	firstLook   = 50 * time.Millisecond
	longestLook = 400 * time.Millisecond
)

// find returns the call of a phone, once its channels no longer move.
func find(ctx context.Context, c *ami.Client, id ID) (*call, error) {
	if id.Device == "" {
		return nil, refuse(BadRequest, "the agent has no phone")
	}
	var k *call
	err := settle(ctx, func() (err error) {
		k, err = look(ctx, c, id)
		return err
	})
	return k, err
}

// parted waits until a call that Asterisk was asked to hold or to resume is seen so, and a command that comes next finds it
// so.
func parted(ctx context.Context, c *ami.Client, id ID, held bool) {
	_ = settle(ctx, func() error {
		k, err := look(ctx, c, id)
		if err == nil && k.held != held {
			return &movingError{"the call has not moved"}
		}
		return err
	}) // a call that ends or stays was refused nothing: Asterisk took the command
}

// movingError is why a call is in no state from which it can be changed, though it may be in a moment.
type movingError struct{ text string }

// Error returns the text.
func (e *movingError) Error() string { return e.text }

// settle repeats a look at a call while it returns a movingError, which becomes an Error after settleTime.
func settle(ctx context.Context, look func() error) error {
	end := time.Now().Add(settleTime)
	for pause := firstLook; ; pause = min(2*pause, longestLook) {
		err := look()
		moving := (*movingError)(nil)
		if !errors.As(err, &moving) {
			return err
		}
		left := time.Until(end)
		if left <= 0 {
			return refuse(State, "%s", moving.text)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(min(pause, left)):
		}
	}
}

// look returns the call of a phone as it is now. The error is a movingError if its channels may be moving.
func look(ctx context.Context, c *ami.Client, id ID) (*call, error) {
	all, err := channels(ctx, c)
	if err != nil {
		return nil, err
	}
	var own []channel
	for _, ch := range all {
		if IsOf(ch.name, id.Device) && (id.LinkedID == "" || ch.linkedID == id.LinkedID) {
			own = append(own, ch)
		}
	}
	switch {
	case len(own) == 0:
		return nil, refuse(State, "%s has no such call", id.Device)
	case len(own) > 1:
		return nil, refuse(Unclear, "%s has %d calls: name one by its linkedid", id.Device, len(own))
	case !own[0].up:
		return nil, refuse(State, "the call of %s is not answered", id.Device)
	}
	found := &call{phone: own[0]}
	if found.phone.context == agentContext && (found.phone.bridge == "" || found.phone.extension == agentConsult) {
		return found, found.findHeld(ctx, c, all)
	}
	return found, found.follow(all)
}

// findHeld sets the other end of a call whose phone waits.
func (k *call) findHeld(ctx context.Context, c *ami.Client, all []channel) error {
	name, err := c.Variable(ctx, k.phone.uniqueID, ami.HeldPartner)
	if err != nil {
		return err
	}
	for _, ch := range all {
		if ch.name == name && Held(ch.context, ch.extension) {
			k.other, k.held = ch, true
			return nil
		}
	}
	return &movingError{"the other end of the call has hung up"}
}

// follow sets the other end of a call, across the Local channels between it and the phone.
func (k *call) follow(all []channel) error {
	at := k.phone
	for range all {
		var next []channel
		for _, ch := range all {
			if at.bridge != "" && ch.bridge == at.bridge && ch.name != at.name {
				next = append(next, ch)
			}
		}
		switch {
		case len(next) == 0:
			return &movingError{"the call is not in conversation"}
		case len(next) > 1:
			return refuse(State, "the call is a conference of %d", len(next)+1)
		case !strings.HasPrefix(next[0].name, "Local/"):
			k.other = next[0]
			return nil
		}
		far := otherHalf(all, next[0].name)
		if far == nil {
			return &movingError{"the call is changing: try again"}
		}
		k.halves = append(k.halves, next[0], *far)
		at = *far
	}
	return &movingError{"the call is not in conversation"}
}

// otherHalf returns the other channel of a Local pair, nil if it is gone.
func otherHalf(all []channel, name string) *channel {
	pair, half := name[:len(name)-1], name[len(name)-1:]
	other := pair + "1"
	if half == "1" {
		other = pair + "2"
	}
	for i := range all {
		if all[i].name == other {
			return &all[i]
		}
	}
	return nil
}

// set sets variables of channels, in order.
func set(ctx context.Context, c *ami.Client, values ...value) error {
	for _, v := range values {
		if err := c.SetVariable(ctx, v.channel.uniqueID, v.name, v.value); err != nil {
			return err
		}
	}
	return nil
}

type value struct {
	channel channel
	name    ami.Variable
	value   string
}

// Exists reports whether Asterisk has a channel, by its uniqueid. The errors are those of ami.Client.Do.
func Exists(ctx context.Context, c *ami.Client, uniqueID string) (bool, error) {
	_, err := c.Variable(ctx, uniqueID, ami.ChannelContext)
	if gone(err) {
		return false, nil
	}
	return err == nil, err
}

// gone reports whether Asterisk rejected an action because a channel no longer exists.
func gone(err error) bool {
	var rejected *ami.RejectedError
	return errors.As(err, &rejected) && (strings.HasPrefix(rejected.Message, "No such channel") || strings.Contains(rejected.Message, "does not exist"))
}

// changed makes an Error of an action that failed because the call has ended meanwhile.
func changed(err error) error {
	if gone(err) {
		return refuse(State, "the call has ended")
	}
	return err
}

func field(key, value string) ami.Field { return ami.Field{Key: key, Value: value} }

// redirect sends a channel to a place in the dialplan. Redirect does not check that the place exists.
func redirect(ctx context.Context, c *ami.Client, ch channel, dialplan, extension string) error {
	_, err := c.Do(ctx, ami.Action{Name: "Redirect", Fields: []ami.Field{
		field("Channel", ch.uniqueID), field("Context", dialplan), field("Exten", extension), field("Priority", "1"),
	}})
	return changed(err)
}
