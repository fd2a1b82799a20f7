package switching

import (
	"context"
	"errors"
	"strings"
	"time"

	"ringhook/ami"
)

// Way is how a call is put on hold.
type Way string

// The ways of [[agent]] hold.
const (
	// ByPBX has Asterisk play music to the other end, while the phone hears silence. It works with every phone.
	ByPBX Way = "pbx"
	// ByNotify asks the phone to hold the call as its own key does. Some desk phones can do that.
	ByNotify Way = "notify"
)

// notifyTime is the longest time in which a phone does what it was asked to. With settleTime it is shorter than a command
// may take.
const notifyTime = 3 * time.Second

// Hold puts the call of a phone on hold.
func Hold(ctx context.Context, c *ami.Client, id ID, way Way) error {
	k, err := find(ctx, c, id)
	switch {
	case err != nil:
		return err
	case k.held:
		return refuse(State, "the call is on hold already")
	case way == ByNotify:
		return notify(ctx, c, k.phone, "hold", "Hold")
	}
	if err := prepared(ctx, c); err != nil {
		return err
	}
	if err := k.part(ctx, c, agentWaits); err != nil {
		return err
	}
	parted(ctx, c, id, true)
	return nil
}

// Resume ends the hold of a call. The way is the one by which the call was put on hold.
func Resume(ctx context.Context, c *ami.Client, id ID, way Way) error {
	k, err := find(ctx, c, id)
	if err != nil {
		return err
	}
	if !k.held {
		if way == ByNotify {
			return notify(ctx, c, k.phone, "talk", "Unhold")
		}
		return refuse(State, "the call is not on hold")
	}
	if k.phone.extension == agentConsult {
		return refuse(State, "the agent talks to the destination of a transfer: cancel the transfer")
	}
	if err := redirect(ctx, c, k.other, holdContext, callerResume); err != nil {
		return err
	}
	parted(ctx, c, id, false)
	return nil
}

// Answer has a phone that rings answer, which only some phones can do.
func Answer(ctx context.Context, c *ami.Client, id ID) error {
	all, err := channels(ctx, c)
	if err != nil {
		return err
	}
	var ringing []channel
	for _, ch := range all {
		if IsOf(ch.name, id.Device) && !ch.up && !ch.runs && (id.LinkedID == "" || ch.linkedID == id.LinkedID) {
			ringing = append(ringing, ch)
		}
	}
	switch len(ringing) {
	case 0:
		return refuse(State, "%s does not ring", id.Device)
	case 1:
		return notify(ctx, c, ringing[0], "talk", "Newstate")
	}
	return refuse(Unclear, "%s rings for %d calls: name one by its linkedid", id.Device, len(ringing))
}

// prepared checks that the dialplan can hold calls.
func prepared(ctx context.Context, c *ami.Client) error {
	for _, place := range [][2]string{{holdContext, callerHeld}, {agentContext, agentWaits}} {
		found, err := c.Exists(ctx, place[0], place[1])
		if err != nil {
			return err
		}
		if !found {
			return refuse(Phone, "the dialplan has no context %s: include extensions_ringhook.conf, or set hold = \"notify\" for the agent", place[0])
		}
	}
	return nil
}

// part separates the two ends of a conversation: the other end hears music, and the phone goes to an extension
// of agentContext. Both must be redirected in one action: Asterisk hangs up the one that is left.
func (k *call) part(ctx context.Context, c *ami.Client, extension string) error {
	var values []value
	for _, ch := range []channel{k.phone, k.other} {
		// The h of the context in which the channel was reports its end. A channel that was called has none.
		if !ch.runs || ch.context == holdContext || ch.context == agentContext {
			continue
		}
		before, err := c.Variable(ctx, ch.uniqueID, ami.HeldContext)
		if err != nil {
			return changed(err)
		}
		if before == "" {
			values = append(values, value{ch, ami.HeldContext, ch.context})
		}
	}
	values = append(values, value{k.phone, ami.HeldPartner, k.other.name}, value{k.other, ami.SharedPartner, k.phone.name})
	if extension == agentWaits {
		values = append(values, value{k.phone, ami.TransferID, ""}, value{k.other, ami.SharedID, ""})
	}
	// The channels between them end now, but the agent's part of the call does not.
	for _, half := range k.halves {
		values = append(values, value{half, ami.HeldRing, "1"})
	}
	err := set(ctx, c, values...)
	if err == nil {
		_, err = c.Do(ctx, ami.Action{Name: "Redirect", Fields: []ami.Field{
			field("Channel", k.other.uniqueID), field("Context", holdContext), field("Exten", callerHeld), field("Priority", "1"),
			field("ExtraChannel", k.phone.uniqueID), field("ExtraContext", agentContext), field("ExtraExten", extension), field("ExtraPriority", "1"),
		}})
		if ami.MayHaveRun(err) {
			return err // the marks are right if Asterisk has moved the two
		}
	}
	if err != nil {
		for _, half := range k.halves {
			_ = c.SetVariable(ctx, half.uniqueID, ami.HeldRing, "") // it fails if the call has ended, which is why this one did
		}
	}
	return changed(err)
}

// notify asks a phone by NOTIFY in its dialog, and waits for the event that shows that it did.
func notify(ctx context.Context, c *ami.Client, phone channel, what, shows string) error {
	if !strings.HasPrefix(phone.name, "PJSIP/") {
		return refuse(Phone, "only phones of chan_pjsip can be asked by NOTIFY")
	}
	w := c.Watch(phone.uniqueID)
	defer w.Close()
	_, err := c.Do(ctx, ami.Action{Name: "PJSIPNotify", Fields: []ami.Field{field("Channel", phone.uniqueID), field("Variable", "Event="+what)}})
	var rejected *ami.RejectedError
	if errors.As(err, &rejected) && (strings.Contains(rejected.Message, "Permission denied") || strings.Contains(rejected.Message, "Invalid/unknown command")) {
		return refuse(Phone, "NOTIFY needs write=system in manager.conf, or hold = \"pbx\" for the agent: %s", rejected.Message)
	}
	if err != nil {
		return changed(err)
	}
	late := time.NewTimer(notifyTime)
	defer late.Stop()
	for {
		select {
		case m, ok := <-w.Events:
			switch {
			case !ok:
				return ami.ErrLost
			case m.Event() == "Hangup":
				return refuse(State, "the call has ended")
			case m.Event() == shows && (shows != "Newstate" || m.Get("ChannelStateDesc") == "Up"):
				return nil
			}
		case <-late.C:
			return refuse(Phone, "the phone did not do it within %v: it may not know NOTIFY with Event: %s", notifyTime, what)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
