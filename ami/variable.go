package ami

import (
	"context"
	"fmt"
)

// Variable is the name of a channel variable or function. Only this package makes them, because with a
// name of their choice a caller of Setvar or Getvar controls the PBX.
type Variable struct{ name string }

// The variables that are set. Channels that the channel creates inherit those with two underscores.
var (
	CallerName    = Variable{"CALLERID(name)"}
	CallInfo      = Variable{"__call_info"}
	AgentInfo     = Variable{"__agent_info"}
	QueuePriority = Variable{"QUEUE_PRIO"}
	MuteIn        = Variable{"MUTEAUDIO(in)"} // on or off: the sound that comes from the channel
)

// The properties of a channel that are read.
var (
	ChannelContext   = Variable{"CHANNEL(context)"}
	ChannelExtension = Variable{"CHANNEL(exten)"}
)

// The variables that are read.
var (
	QueueStatus   = Variable{"QUEUESTATUS"}
	LeftQueue     = Variable{"RINGHOOK_LEFT"} // how the caller left the queue before, noted by the ringhook that was asked about this one
	RecordingFile = Variable{"MIXMONITOR_FILENAME"}
	AnsweredAt    = Variable{"CDR(answer,u)"}      // seconds since 1970
	Presentation  = Variable{"CALLERID(num-pres)"} // see dialplan.Withheld
	DNID          = Variable{"CALLERID(dnid)"}
	NamePrefix    = Variable{"RINGHOOK_PREFIX"} // in front of the caller's name, by contrib/freepbx
)

// Variable returns the value of a variable of a channel, which is a name or a uniqueid; "" if it is not set.
// Without a channel Asterisk would read a global one, so an empty channel is refused. The errors are those of Do.
func (c *Client) Variable(ctx context.Context, channel string, v Variable) (string, error) {
	if channel == "" || v.name == "" {
		return "", fmt.Errorf("%w: Getvar without a channel or variable", ErrInvalid)
	}
	m, err := c.Do(ctx, Action{"Getvar", []Field{{"Channel", channel}, {"Variable", v.name}}})
	return m.Get("Value"), err
}

// Names returns SYSTEMNAME, "" if asterisk.conf has none, and ENTITYID. The errors are those of Do.
func (c *Client) Names(ctx context.Context) (system, entity string, err error) {
	for _, v := range []struct {
		name string
		to   *string
	}{{"SYSTEMNAME", &system}, {"ENTITYID", &entity}} {
		m, err := c.Do(ctx, Action{"Getvar", []Field{{"Variable", v.name}}})
		if err != nil {
			return "", "", err
		}
		*v.to = m.Get("Value")
	}
	return system, entity, nil
}

// The variables of calls on hold and of transfers; contrib/extensions_ringhook.conf explains them.
// A shared one can be read and set by the dialplan of another channel.
var (
	HeldRing      = Variable{"RINGHOOK_HELD"}
	HeldPartner   = Variable{"RINGHOOK_PARTNER"}
	HeldContext   = Variable{"RINGHOOK_CONTEXT"}
	Consulting    = Variable{"RINGHOOK_TO"}
	ConsultedAt   = Variable{"RINGHOOK_TO_CONTEXT"}
	TransferID    = Variable{"RINGHOOK_TRANSFER"}
	SharedPartner = Variable{"SHARED(RINGHOOK_PARTNER)"}
	SharedID      = Variable{"SHARED(RINGHOOK_TRANSFER)"}
)

// SetVariable sets a variable of a channel, which is a name or a uniqueid. Without a channel
// Asterisk would set a global one, so an empty channel is refused. The errors are those of Do.
func (c *Client) SetVariable(ctx context.Context, channel string, v Variable, value string) error {
	if channel == "" || v.name == "" {
		return fmt.Errorf("%w: Setvar without a channel or variable", ErrInvalid)
	}
	_, err := c.Do(ctx, Action{"Setvar", []Field{{"Channel", channel}, {"Variable", v.name}, {"Value", value}}})
	return err
}

// String returns the name as Asterisk has it.
func (v Variable) String() string { return v.name }
