package api

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/valyala/fasthttp"

	"ringhook/control"
	"ringhook/dialplan"
	"ringhook/hooks"
	"ringhook/pops"
)

// popRequest asks for a screen pop of an agent.
type popRequest struct {
	Number   string `json:"number,omitempty"`   // of the other party, as a trunk delivers it; it is looked up
	LinkedID string `json:"linkedid,omitempty"` // of a call that goes on, instead of a number
	Force    bool   `json:"force,omitempty"`    // opens the page; otherwise as the rule has it
	URL      string `json:"url,omitempty"`      // instead of the rule's; its origin must be one of a rule
}

// popAnswer is a pop that was sent to the agent's desk.
type popAnswer struct {
	Pop  string   `json:"pop"`
	Rule string   `json:"rule"`
	Way  pops.Way `json:"way"`
}

// Status returns the status of HTTP.
func (popAnswer) Status() int { return fasthttp.StatusAccepted }

// popRoutes are those of pops on demand, below /v1/me and /v1/agents/{id}.
var popRoutes = []agentRoute{
	{route: route{method: "POST", path: "/pop", about: "Open the page of a call or a number on the agent's desk", in: popRequest{}, out: popAnswer{}, do: (*API).pop}},
}

// SetPops sets what makes pops on demand.
func (a *API) SetPops(l *pops.Live) { a.pops.Store(l) }

func (a *API) pop(ctx context.Context, now *settings, r *request) (any, error) {
	in, agent, _, err := take[popRequest](r)
	if err != nil {
		return nil, err
	}
	if _, err := a.control.Agent(r.who, agent); err != nil {
		return nil, err
	}
	if in.Number != "" && r.who.Role != dialplan.RoleSupervisor && r.who.Role != dialplan.RoleAdministrator {
		return nil, &refusal{status: fasthttp.StatusForbidden, code: string(control.Forbidden), text: "number is for supervisors and administrators: name a call by linkedid"}
	}
	live := a.pops.Load()
	if live == nil {
		return nil, &refusal{status: fasthttp.StatusConflict, code: string(control.State), text: "there are no screen pops"}
	}
	demand := pops.Demand{Agent: agent, Sees: r.who.Sees, LinkedID: in.LinkedID, URL: in.URL}
	if in.Force {
		demand.Mode = pops.Force
	}
	switch {
	case (in.Number == "") == (in.LinkedID == ""):
		return nil, &refusal{status: fasthttp.StatusBadRequest, text: "name either number or linkedid"}
	case in.Number != "":
		if demand.Event, demand.Result, err = demanded(ctx, now, in.Number); err != nil {
			return nil, err
		}
	}
	p, err := live.Demand(demand)
	if err != nil {
		return nil, popRefusal(err)
	}
	return popAnswer{p.ID, p.Rule, p.Way}, nil
}

// demanded looks a number up, and returns the event of a call that there is not.
func demanded(ctx context.Context, now *settings, number string) (*hooks.Event, pops.Result, error) {
	if len(number) > 64 {
		return nil, "", &refusal{status: fasthttp.StatusBadRequest, text: "number is too long"}
	}
	report, err := now.explainer.Explain(ctx, LookupRequest{Number: number})
	if errors.As(err, new(RequestError)) {
		return nil, "", &refusal{status: fasthttp.StatusBadRequest, text: err.Error()}
	}
	if err != nil {
		return nil, "", err
	}
	id := "demand-" + strconv.FormatInt(time.Now().UnixNano(), 36)
	ev := &hooks.Event{ID: id, LinkedID: id, Time: time.Now(), Params: map[string]any{
		"direction": "incoming", "callerid": report.Number.Read, "callerid_raw": report.Number.Raw, "linkedid": id, "region_name": report.Number.RegionName, "region_time": report.Number.RegionTime,
	}}
	matches := int64(0)
	for name, value := range report.Parameters() {
		ev.Params[name] = value
		if name == "match_count" {
			matches, _ = strconv.ParseInt(value, 10, 64)
		}
	}
	return ev, pops.Result(dialplan.Looked(report.Outcome, matches)), nil
}

// popRefusal returns why there is no pop on demand.
func popRefusal(err error) error {
	status, code := fasthttp.StatusConflict, control.State
	switch {
	case errors.Is(err, pops.ErrNoCall), errors.Is(err, pops.ErrNoAgent):
		status, code = fasthttp.StatusNotFound, control.Unknown
	case errors.Is(err, pops.ErrUnclear):
		code = control.Unclear
	case errors.Is(err, pops.ErrURL):
		status, code = fasthttp.StatusBadRequest, control.BadRequest
	}
	return &refusal{status: status, code: string(code), text: fmt.Sprint(err)}
}
