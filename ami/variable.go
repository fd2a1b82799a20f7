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
