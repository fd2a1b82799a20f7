package api

import (
	"context"

	"ringhook/control"
)

// callingRoutes are the commands for an agent's calls, below /v1/me and /v1/agents/{id}.
var callingRoutes = []agentRoute{
	{route: route{method: "POST", path: "/calls", about: "Call a number: first the agent's phone, then the number", in: control.DialRequest{}, out: control.DialResult{},
		do: forAgent(placeDial, (*control.Control).Dial)}},
	{route: route{method: "POST", path: "/calls/{linkedid}/answer", about: "Have the phone answer, if it can", in: control.HoldRequest{}, out: control.HoldResult{}, optional: true,
		do: forAgent(placeHold, (*control.Control).Answer)}},
	{route: route{method: "POST", path: "/calls/{linkedid}/hold", about: "Put a call on hold", in: control.HoldRequest{}, out: control.HoldResult{}, optional: true,
		do: forAgent(placeHold, (*control.Control).Hold)}},
	{route: route{method: "POST", path: "/calls/{linkedid}/resume", about: "End the hold", in: control.HoldRequest{}, out: control.HoldResult{}, optional: true,
		do: forAgent(placeHold, (*control.Control).Unhold)}},
	{route: route{method: "POST", path: "/calls/{linkedid}/transfer", about: "Transfer the other end of a call", in: control.TransferRequest{}, out: control.TransferResult{},
		do: forAgent(placeTransfer, (*control.Control).Transfer)}},
	{route: route{method: "POST", path: "/transfers/{transfer}/complete", about: "Complete an attended transfer", in: control.TransferEnd{}, out: control.TransferResult{}, optional: true,
		do: forAgent(placeTransferEnd, (*control.Control).Complete)}},
	{route: route{method: "DELETE", path: "/transfers/{transfer}", about: "Cancel an attended transfer", in: control.TransferEnd{}, out: control.TransferResult{}, optional: true,
		do: forAgent(placeTransferEnd, (*control.Control).Cancel)}},
}

// campaignRoutes are those of campaigns.
var campaignRoutes = []route{
	{method: "POST", path: "/v1/campaigns", about: "Call a list of numbers", in: control.CampaignRequest{}, out: control.CampaignResult{}, do: (*API).startCampaign},
	{method: "GET", path: "/v1/campaigns", about: "List campaigns with their progress", out: map[string][]control.CampaignView{}, do: (*API).listCampaigns},
	{method: "GET", path: "/v1/campaigns/{campaign}", about: "Show a campaign with the result of each number", out: control.CampaignView{}, do: (*API).showCampaign},
	{method: "DELETE", path: "/v1/campaigns/{campaign}", about: "Stop a campaign: no further number is called", in: struct{}{}, out: control.CampaignView{}, optional: true, do: (*API).stopCampaign},
}

func placeDial(in *control.DialRequest, agent, server string, _ map[string]string) {
	in.Agent, in.Server = agent, server
}

func placeHold(in *control.HoldRequest, agent, server string, parts map[string]string) {
	in.Agent, in.Server, in.LinkedID = agent, server, parts["linkedid"]
}

func placeTransfer(in *control.TransferRequest, agent, server string, parts map[string]string) {
	in.Agent, in.Server, in.LinkedID = agent, server, parts["linkedid"]
}

func placeTransferEnd(in *control.TransferEnd, agent, server string, parts map[string]string) {
	in.Agent, in.Server, in.Transfer = agent, server, parts["transfer"]
}

// startCampaign takes a larger body than other commands: the list of numbers.
func (a *API) startCampaign(ctx context.Context, _ *settings, r *request) (any, error) {
	var in control.CampaignRequest
	if err := decode(r.body, &in); err != nil {
		return nil, err
	}
	server, err := r.server()
	if err != nil {
		return nil, err
	}
	in.Server = server
	return answered(a.control.StartCampaign(ctx, r.who, in))
}

func (a *API) listCampaigns(_ context.Context, _ *settings, r *request) (any, error) {
	if _, err := r.server(); err != nil {
		return nil, err
	}
	list, err := a.control.Campaigns(r.who)
	return answered(map[string][]control.CampaignView{"campaigns": list}, err)
}

func (a *API) showCampaign(_ context.Context, _ *settings, r *request) (any, error) {
	return answered(a.control.Campaign(r.who, r.parts["campaign"]))
}

func (a *API) stopCampaign(ctx context.Context, _ *settings, r *request) (any, error) {
	if _, _, _, err := take[struct{}](r); err != nil {
		return nil, err
	}
	return answered(a.control.StopCampaign(ctx, r.who, r.parts["campaign"]))
}
