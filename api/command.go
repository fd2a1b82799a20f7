package api

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"ringhook/control"
	"ringhook/store/desk"
)

// failure is the answer to a request that was not carried out.
type failure struct {
	Error string `json:"error"`          // for people
	Code  string `json:"code,omitempty"` // for programs
}

// allFailed is the answer to a command of which every part failed in the same way.
type allFailed struct {
	failure
	control.Results
}

// agentRoute is a command for an agent.
type agentRoute struct {
	route
	calls bool // is also there for any call, for administrators
}

// agentRoutes are below /v1/me and /v1/agents/{id}.
var agentRoutes = []agentRoute{
	{route: route{method: "GET", path: "/times", about: "Show how long an agent was logged in and paused", query: []string{"since", "until"}, out: control.AgentTimes{}, do: (*API).agentTimes}},
	{route: route{method: "GET", path: "", about: "Show an agent: state per queue, phone, pause, calls", out: control.AgentView{}, do: (*API).showAgent}},
	{route: route{method: "POST", path: "/login", about: "Log in to queues", in: control.LoginRequest{}, out: control.Results{}, optional: true,
		do: forAgent(placeLogin, (*control.Control).Login)}},
	{route: route{method: "POST", path: "/logout", about: "Log out of queues", in: control.LoginRequest{}, out: control.Results{}, optional: true,
		do: forAgent(placeLogin, (*control.Control).Logout)}},
	{route: route{method: "PUT", path: "/pause", about: "Pause, or change the reason", in: control.PauseRequest{}, out: control.Results{}, optional: true,
		do: forAgent(placePause, (*control.Control).Pause)}},
	{route: route{method: "DELETE", path: "/pause", about: "End the pause", in: control.PauseRequest{}, out: control.Results{}, optional: true,
		do: forAgent(placePause, (*control.Control).Resume)}},
	{calls: true, route: route{method: "POST", path: "/calls/{linkedid}/hangup", about: "Hang up a side of a call, or all of it", in: control.CallRequest{}, out: control.CallResult{}, optional: true,
		do: forAgent(placeCall, (*control.Control).Hangup)}},
	{calls: true, route: route{method: "POST", path: "/calls/{linkedid}/mute", about: "Stop the sound that comes from a side", in: control.CallRequest{}, out: control.CallResult{}, optional: true,
		do: forAgent(placeCall, (*control.Control).Mute)}},
	{calls: true, route: route{method: "POST", path: "/calls/{linkedid}/unmute", about: "Let the sound through again", in: control.CallRequest{}, out: control.CallResult{}, optional: true,
		do: forAgent(placeCall, (*control.Control).Unmute)}},
	{calls: true, route: route{method: "POST", path: "/calls/{linkedid}/dtmf", about: "Play digits to a side", in: control.CallRequest{}, out: control.CallResult{},
		do: forAgent(placeCall, (*control.Control).DTMF)}},
}

// commandRoutes are the commands for the PBX. Those for an agent exist twice, for the agent of the token and for
// any, with one handler.
func commandRoutes() []route {
	list := []route{
		{method: "GET", path: "/v1/commands", about: "List recorded commands", query: []string{"since", "until", "agent", "queue", "call", "limit"}, out: map[string][]desk.Command{}, do: (*API).listCommands},
		{method: "POST", path: "/v1/queues/{queue}/kick", about: "Take waiting callers out of a queue", may: supervisors, in: control.KickRequest{}, out: control.Results{}, do: (*API).kick},
		{method: "PUT", path: "/v1/queues/{queue}/calls/{call}/priority", about: "Change the priority of a waiting caller", may: supervisors, in: control.PriorityRequest{}, out: control.PriorityResult{}, do: (*API).priority},
		{method: "GET", path: "/v1/agents", about: "List the agents that the token may command", may: everyone, out: map[string][]control.AgentView{}, do: (*API).listAgents},
	}
	for _, base := range []string{"/v1/me", "/v1/agents/{id}", "/v1"} {
		for _, r := range slices.Concat(agentRoutes, callingRoutes, popRoutes) {
			own := r.route
			own.path, own.may = base+r.path, everyone
			switch {
			case base == "/v1" && !r.calls:
				continue
			case base == "/v1":
				own.may = administrators
			}
			list = append(list, own)
		}
	}
	list = append(list, slices.Concat(campaignRoutes, accountRoutes)...)
	for i := range list {
		if list[i].method != "GET" {
			list[i].query = []string{"server"}
		}
	}
	return list
}

// subject returns the id of the agent whom a request is about, "" for a route without one.
func (r *request) subject() (string, error) {
	switch {
	case strings.HasPrefix(r.path, "/v1/agents/"):
		return r.parts["id"], nil
	case !strings.HasPrefix(r.path, "/v1/me"):
		return "", nil
	case r.who.Agent == "":
		return "", &refusal{status: fasthttp.StatusForbidden, code: string(control.Forbidden), text: "the token names no agent: use /v1/agents/{id}"}
	}
	return r.who.Agent, nil
}

// server returns the Asterisk that a request names, "" for none.
func (r *request) server() (server string, err error) {
	for name, value := range r.query.All() {
		if string(name) != "server" {
			return "", &refusal{status: fasthttp.StatusBadRequest, text: fmt.Sprintf("unknown parameter %q", name)}
		}
		server = string(value)
	}
	return server, nil
}

// maxCommand is the maximum size of the body of a command, in bytes.
const maxCommand = 64 << 10

// take reads the body of a command and who and what it is about.
func take[In any](r *request) (in In, agent, server string, err error) {
	if len(r.body) > maxCommand {
		return in, "", "", &refusal{status: fasthttp.StatusRequestEntityTooLarge, text: fmt.Sprintf("the body is larger than %d bytes", maxCommand)}
	}
	if len(r.body) > 0 {
		err = decode(r.body, &in)
	}
	if err == nil {
		agent, err = r.subject()
	}
	if err == nil {
		server, err = r.server()
	}
	return in, agent, server, err
}

// forAgent returns the handler of a command. place puts what the path says into the request.
func forAgent[In, Out any](place func(in *In, agent, server string, parts map[string]string), do func(*control.Control, context.Context, control.Actor, In) (Out, error)) func(*API, context.Context, *settings, *request) (any, error) {
	return func(a *API, ctx context.Context, _ *settings, r *request) (any, error) {
		in, agent, server, err := take[In](r)
		if err != nil {
			return nil, err
		}
		place(&in, agent, server, r.parts)
		return answered(do(a.control, ctx, r.who, in))
	}
}

// answered adds the error and the code to results of which every part failed in the same way.
func answered[Out any](out Out, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	if all, ok := any(out).(control.Results); ok && all.Status() >= fasthttp.StatusBadRequest {
		first := all.Results[0]
		return allFailed{failure{first.Error, string(first.Result)}, all}, nil
	}
	return out, nil
}

func placeLogin(in *control.LoginRequest, agent, server string, _ map[string]string) {
	in.Agent, in.Server = agent, server
}

func placePause(in *control.PauseRequest, agent, server string, _ map[string]string) {
	in.Agent, in.Server = agent, server
}

func placeCall(in *control.CallRequest, agent, server string, parts map[string]string) {
	in.Agent, in.Server, in.LinkedID = agent, server, parts["linkedid"]
}

func (a *API) listAgents(_ context.Context, _ *settings, r *request) (any, error) {
	if _, err := r.server(); err != nil {
		return nil, err
	}
	return map[string][]control.AgentView{"agents": a.control.Agents(r.who)}, nil
}

func (a *API) showAgent(_ context.Context, _ *settings, r *request) (any, error) {
	id, err := r.subject()
	if err != nil {
		return nil, err
	}
	return answered(a.control.Agent(r.who, id))
}

// agentTimes shows the times of an agent, by default those of today.
func (a *API) agentTimes(_ context.Context, _ *settings, r *request) (any, error) {
	var since, until Moment
	for name, value := range r.query.All() {
		var err error
		switch string(name) {
		case "since":
			err = since.UnmarshalText(value)
		case "until":
			err = until.UnmarshalText(value)
		default:
			err = fmt.Errorf("unknown parameter %q", name)
		}
		if err != nil {
			return nil, &refusal{status: fasthttp.StatusBadRequest, text: err.Error()}
		}
	}
	id, err := r.subject()
	if err != nil {
		return nil, err
	}
	return answered(a.control.Times(r.who, id, since.Time, until.EndOf(since.Time)))
}

func (a *API) kick(ctx context.Context, _ *settings, r *request) (any, error) {
	in, _, server, err := take[control.KickRequest](r)
	if err != nil {
		return nil, err
	}
	in.Server, in.Queue = server, r.parts["queue"]
	return answered(a.control.Kick(ctx, r.who, in))
}

func (a *API) priority(ctx context.Context, _ *settings, r *request) (any, error) {
	in, _, server, err := take[control.PriorityRequest](r)
	if err != nil {
		return nil, err
	}
	in.Server, in.Queue, in.Call = server, r.parts["queue"], r.parts["call"]
	return answered(a.control.Priority(ctx, r.who, in))
}

// listCommands lists the commands of the last 30 days, the latest first.
func (a *API) listCommands(_ context.Context, _ *settings, r *request) (any, error) {
	f := desk.CommandFilter{Limit: 100}
	var since, until Moment
	for name, value := range r.query.All() {
		text := string(value)
		var err error
		switch string(name) {
		case "since":
			err = since.UnmarshalText(value)
		case "until":
			err = until.UnmarshalText(value)
		case "agent":
			f.Agent = text
		case "queue":
			f.Queue = text
		case "call":
			f.Call = text
		case "limit":
			if f.Limit, err = strconv.Atoi(text); err == nil && (f.Limit < 1 || f.Limit > maxListed) {
				err = fmt.Errorf("limit is out of range: 1 to %d", maxListed)
			}
		default:
			err = fmt.Errorf("unknown parameter %q", name)
		}
		if err != nil {
			return nil, &refusal{status: fasthttp.StatusBadRequest, text: err.Error()}
		}
	}
	f.Since, f.Until = since.Time, until.EndOf(since.Time)
	if until.IsZero() {
		f.Until = time.Now().Add(time.Second)
	}
	list, err := a.desk.Commands(f)
	if list == nil {
		list = []desk.Command{}
	}
	return map[string][]desk.Command{"commands": list}, err
}
