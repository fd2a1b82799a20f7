package control

import (
	"context"
	"errors"
	"net/http"

	"ringhook/ami"
	"ringhook/control/switching"
	"ringhook/dialplan"
)

// HoldRequest asks to put an agent's call on hold, to resume it, or to have the agent's phone answer.
type HoldRequest struct {
	Agent    string `json:"-"` // id
	Server   string `json:"-"`
	LinkedID string `json:"-"`
}

// HoldResult is what was done.
type HoldResult struct {
	Server   string `json:"server"`
	LinkedID string `json:"linkedid"`
	Way      string `json:"way"` // pbx or notify
}

// Status returns the status of HTTP.
func (HoldResult) Status() int { return http.StatusAccepted }

// Hold puts an agent's call on hold, in the way that the configuration has for the agent.
func (c *Control) Hold(ctx context.Context, who Actor, in HoldRequest) (HoldResult, error) {
	return c.holding(ctx, who, "hold", in, switching.Hold)
}

// Unhold ends the hold of an agent's call.
func (c *Control) Unhold(ctx context.Context, who Actor, in HoldRequest) (HoldResult, error) {
	return c.holding(ctx, who, "unhold", in, switching.Resume)
}

// Answer has an agent's phone answer, which works only with hold = "notify".
func (c *Control) Answer(ctx context.Context, who Actor, in HoldRequest) (HoldResult, error) {
	return c.holding(ctx, who, "answer", in, func(ctx context.Context, client *ami.Client, id switching.ID, way switching.Way) error {
		if way != switching.ByNotify {
			return errorf(NoPhone, "the phone cannot be asked to answer: the agent's hold is not notify")
		}
		return switching.Answer(ctx, client, id)
	})
}

func (c *Control) holding(ctx context.Context, who Actor, command string, in HoldRequest, do func(context.Context, *ami.Client, switching.ID, switching.Way) error) (HoldResult, error) {
	at := &on{server: in.Server, agent: in.Agent}
	return run(ctx, c, who, command, at, func(ctx context.Context) (r HoldResult, err error) {
		_, a, err := c.subject(who, command, in.Agent)
		if err != nil {
			return r, err
		}
		s, id, err := c.callOf(ctx, in.Server, in.LinkedID, a, at)
		if err != nil {
			return r, err
		}
		return HoldResult{s.config.Name, in.LinkedID, a.Hold}, switched(do(ctx, s.client, id, switching.Way(a.Hold)))
	})
}

// callOf returns the Asterisk that has a call of an agent, and names the call there.
func (c *Control) callOf(ctx context.Context, server, linkedID string, a *dialplan.Agent, at *on) (*server, switching.ID, error) {
	s, channels, err := c.channelsOf(ctx, CallRequest{Server: server, LinkedID: linkedID}, a)
	if err != nil {
		return nil, switching.ID{}, err
	}
	at.server = s.config.Name
	at.calls = []touched{s.touched(linkedID, channels[0].uniqueID, channels[0].name, c.settings.Load().ShowWithheld)}
	return s, switching.ID{LinkedID: linkedID, Device: deviceOf(a)}, nil
}

// switched returns an error of switching as one of a command. An err that says more than the text is the cause.
func switched(err error) error {
	var refused *switching.Error
	if !errors.As(err, &refused) {
		return err
	}
	failed := errorf(Code(refused.Code), "%s", refused.Text)
	if err.Error() != refused.Text {
		failed.Err = err
	}
	return failed
}
