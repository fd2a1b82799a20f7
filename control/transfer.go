package control

import (
	"context"
	"net/http"

	"ringhook/ami"
	"ringhook/control/switching"
)

// The kinds of a transfer.
const (
	BlindTransfer    = "blind"
	AttendedTransfer = "attended"
)

// TransferRequest asks to transfer the other end of an agent's call.
type TransferRequest struct {
	Agent    string `json:"-"` // id
	Server   string `json:"-"`
	LinkedID string `json:"-"`
	// To is an extension, a queue or a number.
	To string `json:"to"`
	// Kind is blind, the default, or attended.
	Kind string `json:"kind,omitempty"`
}

// TransferResult is a transfer that is done, or has begun.
type TransferResult struct {
	Server   string `json:"server"`
	LinkedID string `json:"linkedid,omitempty"`
	Kind     string `json:"kind"`
	To       string `json:"to,omitempty"` // as it is dialled
	// Transfer is the id by which an attended transfer is completed or cancelled.
	Transfer string `json:"transfer,omitempty"`
}

// Status returns the status of HTTP.
func (TransferResult) Status() int { return http.StatusAccepted }

// Transfer transfers a call blindly, or begins an attended transfer. The destination is checked before the
// call is changed.
func (c *Control) Transfer(ctx context.Context, who Actor, in TransferRequest) (TransferResult, error) {
	at := &on{server: in.Server, agent: in.Agent, detail: in}
	return run(ctx, c, who, "transfer", at, func(ctx context.Context) (r TransferResult, err error) {
		settings, a, err := c.subject(who, "transfer", in.Agent)
		if err != nil {
			return r, err
		}
		if in.Kind == "" {
			in.Kind = BlindTransfer
		}
		if in.Kind != BlindTransfer && in.Kind != AttendedTransfer {
			return r, errorf(BadRequest, "kind must be blind or attended")
		}
		dialled, why := settings.numbers.Dialled(in.To)
		if why != "" {
			return r, errorf(BadRequest, "to %s", why)
		}
		s, id, err := c.callOf(ctx, in.Server, in.LinkedID, a, at)
		if err != nil {
			return r, err
		}
		to, err := switching.Check(ctx, s.client, settings.Click.Context, dialled)
		if err != nil {
			return r, switched(unsent(err))
		}
		r = TransferResult{Server: s.config.Name, LinkedID: in.LinkedID, Kind: in.Kind, To: dialled}
		if in.Kind == BlindTransfer {
			return r, switched(switching.Blind(ctx, s.client, id, to))
		}
		if r.Transfer, err = switching.Attend(ctx, s.client, id, to); err == nil {
			s.noteTransfer(r.Transfer, dialled)
		}
		return r, switched(err)
	})
}

// TransferEnd names an attended transfer that is to end.
type TransferEnd struct {
	Agent    string `json:"-"` // id
	Server   string `json:"-"`
	Transfer string `json:"-"`
}

// Complete connects the other end of the call with the destination of an attended transfer.
func (c *Control) Complete(ctx context.Context, who Actor, in TransferEnd) (TransferResult, error) {
	return c.endTransfer(ctx, who, "complete", in, switching.Complete)
}

// Cancel connects the other end of the call with the agent again.
func (c *Control) Cancel(ctx context.Context, who Actor, in TransferEnd) (TransferResult, error) {
	return c.endTransfer(ctx, who, "cancel", in, switching.Cancel)
}

func (c *Control) endTransfer(ctx context.Context, who Actor, command string, in TransferEnd, do func(context.Context, *ami.Client, string, string) error) (TransferResult, error) {
	at := &on{server: in.Server, agent: in.Agent, detail: map[string]string{"transfer": cut(in.Transfer)}}
	return run(ctx, c, who, command, at, func(ctx context.Context) (r TransferResult, err error) {
		_, a, err := c.subject(who, command, in.Agent)
		if err != nil {
			return r, err
		}
		reached, err := c.reach(ctx, in.Server)
		if err != nil {
			return r, err
		}
		id := switching.PhoneOf(in.Transfer)
		s, err := reached.only("transfer "+text(in.Transfer), func(s *state) bool {
			ch := s.channels[id]
			if ch == nil || !isOf(ch, deviceOf(a)) {
				return false
			}
			at.calls = []touched{{"", ch.linkedID, ch.uniqueID, ch.name, nil}}
			return true
		})
		if err != nil {
			return r, err
		}
		at.server, at.calls[0].server = s.config.Name, s.config.Name
		r = TransferResult{Server: s.config.Name, LinkedID: at.calls[0].linkedID, Kind: AttendedTransfer, Transfer: in.Transfer}
		return r, switched(do(ctx, s.client, deviceOf(a), in.Transfer))
	})
}
