package board

import (
	"context"
	"net/http"

	"ringhook/control"
)

// Command is a route of a command on others: agents, their calls, and callers who wait.
type Command struct {
	Pattern string
	// Do carries it out. decode reads the body, and returns false if it has answered.
	Do func(b *Board, ctx context.Context, r *http.Request, v *Viewer, decode func(into any) bool) (answer any, err error)
}

// errAnswered is returned by a command whose request has been answered.
type errAnswered struct{}

// Error returns a text that no viewer sees.
func (errAnswered) Error() string { return "answered" }

// ErrAnswered is returned if decode has answered the request.
var ErrAnswered error = errAnswered{}

// Commands returns all commands. Who may give them is decided by control; calls must be such as the viewer sees.
func Commands() []Command {
	return []Command{
		{"POST /v1/agents/{id}/login", command(func(r *http.Request, in *control.LoginRequest) { in.Agent = r.PathValue("id") }, (*control.Control).Login)},
		{"POST /v1/agents/{id}/logout", command(func(r *http.Request, in *control.LoginRequest) { in.Agent = r.PathValue("id") }, (*control.Control).Logout)},
		{"PUT /v1/agents/{id}/pause", command(func(r *http.Request, in *control.PauseRequest) { in.Agent = r.PathValue("id") }, (*control.Control).Pause)},
		{"DELETE /v1/agents/{id}/pause", command(func(r *http.Request, in *control.PauseRequest) { in.Agent = r.PathValue("id") }, (*control.Control).Resume)},
		{"POST /v1/agents/{id}/calls/{linkedid}/hangup", command(func(r *http.Request, in *control.CallRequest) {
			in.Agent, in.LinkedID = r.PathValue("id"), r.PathValue("linkedid")
		}, (*control.Control).Hangup)},
		{"POST /v1/agents/{id}/calls/{linkedid}/transfer", command(func(r *http.Request, in *control.TransferRequest) {
			in.Agent, in.LinkedID = r.PathValue("id"), r.PathValue("linkedid")
		}, (*control.Control).Transfer)},
		{"POST /v1/agents/{id}/transfers/{transfer}/complete", ofTransfer((*control.Control).Complete)},
		{"DELETE /v1/agents/{id}/transfers/{transfer}", ofTransfer((*control.Control).Cancel)},
		{"POST /v1/queues/{queue}/kick", command(func(r *http.Request, in *control.KickRequest) {
			in.Queue, in.Server = r.PathValue("queue"), r.URL.Query().Get("server")
		}, (*control.Control).Kick)},
	}
}

// command returns the function of a command that takes a body.
func command[In, Out any](name func(*http.Request, *In), do func(*control.Control, context.Context, control.Actor, In) (Out, error)) func(*Board, context.Context, *http.Request, *Viewer, func(any) bool) (any, error) {
	return func(b *Board, ctx context.Context, r *http.Request, v *Viewer, decode func(any) bool) (any, error) {
		var in In
		if call := r.PathValue("linkedid"); call != "" && !b.commands(v, r.PathValue("id"), call) {
			return nil, errNotSeen(v)
		}
		if !decode(&in) {
			return nil, ErrAnswered
		}
		name(r, &in)
		return do(b.Control, ctx, v.Actor, in)
	}
}

// ofTransfer returns the function of a command that ends an attended transfer.
func ofTransfer(do func(*control.Control, context.Context, control.Actor, control.TransferEnd) (control.TransferResult, error)) func(*Board, context.Context, *http.Request, *Viewer, func(any) bool) (any, error) {
	end := command(func(r *http.Request, in *control.TransferEnd) {
		in.Agent, in.Transfer = r.PathValue("id"), r.PathValue("transfer")
	}, do)
	return func(b *Board, ctx context.Context, r *http.Request, v *Viewer, decode func(any) bool) (any, error) {
		calls, err := b.Control.AgentCalls(v.Actor, r.PathValue("id"))
		if err != nil {
			return nil, err
		}
		for i := range calls {
			if calls[i].Transfer == r.PathValue("transfer") && !b.commands(v, r.PathValue("id"), calls[i].LinkedID) {
				return nil, errNotSeen(v)
			}
		}
		return end(b, ctx, r, v, decode)
	}
}

// errNotSeen returns the refusal of a command for a call that a viewer does not see.
func errNotSeen(v *Viewer) error {
	return &control.Error{Code: control.Forbidden, Text: v.Name + " may not change this call: it was in none of the supervised queues"}
}

// commands reports whether a viewer may change a call of an agent: the own ones, and those that were in a queue that the
// viewer sees.
func (b *Board) commands(v *Viewer, agent, linkedid string) bool {
	return v.all() || v.Agent != "" && v.Agent == agent || b.seesLive(v, linkedid, b.Control.Live().Calls)
}

// seesLive reports whether a viewer sees every live call of a linkedid: by the queue in which it waits, or because the
// points reported it. A live call that they did not report may be another Asterisk's.
func (b *Board) seesLive(v *Viewer, linkedid string, live []control.Call) bool {
	calls, waiting := 0, 0
	for i := range live {
		if live[i].LinkedID != linkedid {
			continue
		}
		calls++
		if v.Sees(live[i].Queue) {
			waiting++
		}
	}
	if calls > 0 && waiting == calls {
		return true
	}
	c, err := b.call(v, linkedid)
	return err == nil && c.last != nil && c.whole && calls <= c.open
}
