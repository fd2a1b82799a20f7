package yemot

import (
	"bytes"
	"context"
	"encoding/json"
	"strconv"
	"strings"

	"ringhook/control"
	"ringhook/control/campaign"
)

// bridgingAnswer is the answer to CallExtensionBridging.
type bridgingAnswer struct {
	status
	Module   string            `json:"module"`
	CallerID string            `json:"callerId"`
	Count    int               `json:"callsCount"`
	Price    float64           `json:"bilingPerCall"` // always 0; that API writes it so
	Errors   map[string]string `json:"errors"`        // why a number is not called
	Timeout  int               `json:"callsTimeout"`  // seconds
	Campaign string            `json:"campaignId"`
}

const (
	maxCalls       = 500
	longestTimeout = 35 // seconds
)

// callBridging calls a list of numbers, and connects those who answer with an extension.
func callBridging(ctx context.Context, y *Yemot, p Params) (any, error) {
	in := control.CampaignRequest{To: place(p.Text("ivrPath")), CallerID: p.Text("callerId"), CutTimeout: true}
	if in.To == "" {
		return nil, refuse("ivrPath is missing")
	}
	if text := p.Text("callsTimeOut"); text != "" {
		var err error
		if in.Timeout, err = strconv.Atoi(text); err != nil || in.Timeout < 1 || in.Timeout > longestTimeout {
			return nil, refuse("callsTimeOut must be 1 to %d seconds", longestTimeout)
		}
	}
	var err error
	if in.Numbers, err = p.phones(); err != nil {
		return nil, err
	}
	r, err := y.pbx.StartCampaign(ctx, actor(), in)
	if err != nil {
		return nil, err
	}
	return bridgingAnswer{
		status: ok, Module: "CallExtensionBridging", CallerID: in.CallerID, Count: r.Count, Errors: r.Errors, Timeout: r.Timeout, Campaign: r.Campaign,
	}, nil
}

// phones returns the parameter phones as a campaign takes it. In a query or a form, JSON is within a text.
func (p Params) phones() (json.RawMessage, error) {
	list := bytes.TrimSpace(p["phones"])
	if text, single := textOf(list); single {
		switch {
		case strings.HasPrefix(text, "tpl:"), strings.HasPrefix(text, "tzl:"):
			return nil, refuse("stored lists are not supported: send the numbers")
		case strings.HasPrefix(text, "["), strings.HasPrefix(text, "{"):
			list = json.RawMessage(text)
		}
	}
	if bytes.HasPrefix(list, []byte("{")) {
		list = bytes.Join([][]byte{[]byte("["), list, []byte("]")}, nil)
	}
	if len(list) == 0 {
		return nil, refuse("phones is missing")
	}
	if _, err := campaign.ParseNumbers(list, maxCalls); err != nil {
		return nil, refuse("phones: %v", err)
	}
	return list, nil
}
