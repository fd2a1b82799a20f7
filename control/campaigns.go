package control

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"ringhook/ami"
	"ringhook/control/campaign"
	"ringhook/control/switching"
	"ringhook/store/desk"
)

// CampaignRequest asks to call a list of numbers.
type CampaignRequest struct {
	Server string `json:"-"`
	// Numbers are text with colons, or a list of numbers, of {number, caller_id} or of {numbers, caller_id}.
	Numbers json.RawMessage `json:"numbers"`
	// To is the extension of [campaign] context where callees who answer go.
	To string `json:"to"`
	// CallerID is what callees see whose entry has none.
	CallerID string `json:"caller_id,omitempty"`
	// Timeout is the time that a callee's phone rings, in seconds; 0 is [campaign] timeout, which is also the maximum.
	Timeout int `json:"timeout,omitempty"`
	// CutTimeout is true if a longer Timeout is cut to [campaign] timeout instead of refused.
	CutTimeout bool `json:"-"`
	// Parallel is the maximum number of open calls; 0 is [campaign] parallel, which is also the maximum.
	Parallel int `json:"parallel,omitempty"`
}

// CampaignResult is a campaign that has begun.
type CampaignResult struct {
	Campaign string            `json:"campaign"`
	Server   string            `json:"server"`
	Count    int               `json:"count"`   // of numbers that are called
	Timeout  int               `json:"timeout"` // of a callee's phone, in seconds
	Errors   map[string]string `json:"errors"`  // why a number is not called
}

// Status returns the status of HTTP.
func (CampaignResult) Status() int { return http.StatusCreated }

// StartCampaign stores a campaign and begins to call.
func (c *Control) StartCampaign(ctx context.Context, who Actor, in CampaignRequest) (CampaignResult, error) {
	at := &on{server: in.Server}
	return run(ctx, c, who, "campaign", at, func(ctx context.Context) (r CampaignResult, err error) {
		if err := allowed(who, "campaign", nil, ""); err != nil {
			return r, err
		}
		settings := c.settings.Load()
		o, err := c.campaignOptions(settings, in)
		if err != nil {
			return r, err
		}
		entries, err := campaign.ParseNumbers(in.Numbers, int(settings.Campaign.Most))
		if err != nil {
			return r, errorf(BadRequest, "%v", err)
		}
		reached, err := c.reach(ctx, in.Server)
		if err != nil {
			return r, err
		}
		s, err := reached.one()
		if err != nil {
			return r, err
		}
		at.server = s.config.Name
		if !switching.Word(in.To) {
			return r, errorf(BadRequest, "to is not an extension")
		}
		if _, err := switching.CheckExtension(ctx, s.client, o.Context, in.To); err != nil {
			return r, switched(err)
		}
		id := strings.ToLower(rand.Text()[:16])
		count, refused, err := c.campaigns.Add(desk.Campaign{ID: id, Who: who.Name, Server: s.config.Name, Target: in.To}, o, entries)
		if err != nil {
			return r, err
		}
		if count == 0 {
			text := "no number can be called"
			if numbers := slices.Sorted(maps.Keys(refused)); len(numbers) > 0 {
				text += ": a number " + refused[numbers[0]]
			}
			return r, errorf(BadRequest, "%s", text)
		}
		return CampaignResult{id, s.config.Name, count, int(o.Timeout / time.Second), refused}, nil
	})
}

// campaignOptions checks a request against the configuration.
func (c *Control) campaignOptions(settings *Settings, in CampaignRequest) (o campaign.Options, err error) {
	cfg := settings.Campaign
	if in.CutTimeout {
		in.Timeout = min(in.Timeout, int(cfg.Timeout/time.Second))
	}
	o = campaign.Options{Context: cfg.Context, CallerID: in.CallerID, Timeout: cfg.Timeout, Parallel: int(cfg.Parallel)}
	switch {
	case cfg.Context == "" || c.campaigns == nil:
		return o, errorf(Unknown, "campaigns are off: set [campaign] context")
	case in.CallerID != "" && !switching.Digits(in.CallerID):
		return o, errorf(BadRequest, "caller_id is not a number")
	case in.Timeout < 0 || time.Duration(in.Timeout)*time.Second > cfg.Timeout:
		return o, errorf(BadRequest, "timeout must be at most %v, in seconds", cfg.Timeout)
	case in.Parallel < 0 || int64(in.Parallel) > cfg.Parallel:
		return o, errorf(BadRequest, "parallel must be at most %d", cfg.Parallel)
	}
	if in.Timeout > 0 {
		o.Timeout = time.Duration(in.Timeout) * time.Second
	}
	if in.Parallel > 0 {
		o.Parallel = in.Parallel
	}
	return o, nil
}

// CampaignView is the progress of a campaign.
type CampaignView struct {
	desk.Campaign
	Waiting int            `json:"waiting"`
	Calling int            `json:"calling"`
	Done    int            `json:"done"`
	Results map[string]int `json:"results"` // of the numbers that are done: answered, busy and so on
	// Numbers are there if one campaign is asked for.
	Numbers []desk.CampaignNumber `json:"numbers,omitempty"`
}

// Campaigns returns all campaigns, the latest first.
func (c *Control) Campaigns(who Actor) ([]CampaignView, error) {
	if err := allowed(who, "campaign", nil, ""); err != nil {
		return nil, err
	}
	if c.desk == nil {
		return []CampaignView{}, nil
	}
	all, err := c.desk.Campaigns()
	if err != nil {
		return nil, err
	}
	views := make([]CampaignView, 0, len(all))
	for _, one := range all {
		v, err := c.progress(one)
		if err != nil {
			return nil, err
		}
		views = append(views, v)
	}
	return views, nil
}

// Campaign returns one campaign with its numbers.
func (c *Control) Campaign(who Actor, id string) (v CampaignView, err error) {
	if err := allowed(who, "campaign", nil, ""); err != nil {
		return v, err
	}
	if c.desk == nil {
		return v, errorf(Unknown, "there is no campaign %s", text(id))
	}
	one, found, err := c.desk.Campaign(id)
	switch {
	case err != nil:
		return v, err
	case !found:
		return v, errorf(Unknown, "there is no campaign %s", text(id))
	}
	if v, err = c.progress(one); err != nil {
		return v, err
	}
	v.Numbers, err = c.desk.CampaignNumbers(id)
	return v, err
}

func (c *Control) progress(one desk.Campaign) (CampaignView, error) {
	states, results, err := c.desk.CampaignCounts(one.ID)
	return CampaignView{
		Campaign: one, Waiting: states[desk.NumberWaiting], Calling: states[desk.NumberCalling], Done: states[desk.NumberDone], Results: results,
	}, err
}

// StopCampaign ends a campaign: no further number is called. Calls in progress continue.
func (c *Control) StopCampaign(ctx context.Context, who Actor, id string) (CampaignView, error) {
	at := &on{detail: map[string]string{"campaign": cut(id)}}
	return run(ctx, c, who, "campaign-stop", at, func(context.Context) (v CampaignView, err error) {
		if err := allowed(who, "campaign-stop", nil, ""); err != nil {
			return v, err
		}
		if v, err = c.Campaign(who, id); err != nil {
			return v, err
		}
		at.server = v.Server
		stopped, err := c.campaigns.Stop(id)
		if err != nil {
			return v, err
		}
		if !stopped {
			return v, errorf(State, "the campaign has ended already")
		}
		v, err = c.Campaign(who, id)
		v.Numbers = nil
		return v, err
	})
}

// clientOf returns the connection to an Asterisk, nil if the configuration has none of this name.
func (c *Control) clientOf(name string) *ami.Client {
	for _, s := range c.all() {
		if s.config.Name == name {
			return s.client
		}
	}
	return nil
}
