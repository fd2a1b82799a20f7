package desk

import (
	"time"

	"ringhook/pgstore"
	"ringhook/store/desk"
)

// AddCampaign stores a campaign that runs, with its numbers, which wait.
func (d *Desk) AddCampaign(c desk.Campaign, numbers []desk.CampaignNumber) error {
	list, details := make([]string, len(numbers)), make([]string, len(numbers))
	for i, n := range numbers {
		list[i], details[i] = n.Number, n.Detail
	}
	_, err := d.exec("add a campaign",
		pgstore.Do("insert into ringhook.campaign (tenant, id, who, server, created, state, target, settings) values ($1, $2, $3, $4, $5, $6, $7, $8)",
			c.ID, c.Who, c.Server, c.Created, desk.CampaignRunning, c.Target, c.Settings),
		pgstore.Do(`insert into ringhook.campaign_number (tenant, campaign, n, number, detail, state, tries, result, call)
			select $1, $2, i - 1, number, detail, $5, 0, '', '' from unnest($3::text[], $4::text[]) with ordinality u (number, detail, i)`,
			c.ID, list, details, desk.NumberWaiting))
	return err
}

const campaigns = "select id, who, server, created, ended, state, target, settings from ringhook.campaign where tenant = $1"

// Campaigns returns all campaigns, the latest first.
func (d *Desk) Campaigns() ([]desk.Campaign, error) {
	return d.campaigns(campaigns + " order by created desc, id")
}

// Campaign returns one campaign; found is false if there is none of this id.
func (d *Desk) Campaign(id string) (c desk.Campaign, found bool, err error) {
	list, err := d.campaigns(campaigns+" and id = $2", id)
	if len(list) == 0 {
		return c, false, err
	}
	return list[0], true, err
}

func (d *Desk) campaigns(query string, args ...any) (list []desk.Campaign, err error) {
	err = d.all("list campaigns", func(scan func(...any) error) error {
		var c desk.Campaign
		var ended *time.Time
		err := scan(&c.ID, &c.Who, &c.Server, &c.Created, &ended, &c.State, &c.Target, &c.Settings)
		c.Created, c.Ended = c.Created.Local(), at(ended)
		list = append(list, c)
		return err
	}, query, args...)
	return list, err
}

// EndCampaign stores that a running campaign was stopped or is done, and reports whether it ran.
func (d *Desk) EndCampaign(id, state string, when time.Time) (ended bool, err error) {
	n, err := d.exec("end a campaign", pgstore.Do("update ringhook.campaign set state = $3, ended = $4 where tenant = $1 and id = $2 and state = $5", id, state, when, desk.CampaignRunning))
	return n > 0, err
}

const (
	numberColumns   = "n, number, detail, state, tries, result, call, at"
	campaignNumbers = "select " + numberColumns + " from ringhook.campaign_number where tenant = $1 and campaign = $2"
)

// CampaignNumbers returns the numbers of a campaign in their order.
func (d *Desk) CampaignNumbers(id string) ([]desk.CampaignNumber, error) {
	return d.numbers(campaignNumbers+" order by n", id)
}

// WaitingNumbers returns the next numbers of a campaign to call.
func (d *Desk) WaitingNumbers(id string, limit int) ([]desk.CampaignNumber, error) {
	return d.numbers(campaignNumbers+" and state = 'waiting' order by n limit $3", id, limit)
}

func (d *Desk) numbers(query string, args ...any) (list []desk.CampaignNumber, err error) {
	err = d.all("list the numbers of a campaign", func(scan func(...any) error) error {
		n, err := scanNumber(scan)
		list = append(list, n)
		return err
	}, query, args...)
	return list, err
}

func scanNumber(scan func(...any) error, before ...any) (n desk.CampaignNumber, err error) {
	var changed *time.Time
	err = scan(append(before, &n.N, &n.Number, &n.Detail, &n.State, &n.Tries, &n.Result, &n.Call, &changed)...)
	n.At = at(changed)
	return n, err
}

// ClaimNumber stores that a number is about to be called, as the call of a linkedid. It reports false if the number does not
// wait, or its campaign has ended: then it must not be called.
func (d *Desk) ClaimNumber(campaign string, n int, call string, when time.Time) (claimed bool, err error) {
	// The campaign is locked against its end.
	changed, err := d.exec("claim a number of a campaign", pgstore.Do(`with running as materialized (
			select id from ringhook.campaign where tenant = $1 and id = $2 and state = $8 for share
		)
		update ringhook.campaign_number set state = $6, tries = tries + 1, call = $4, at = $5
		where tenant = $1 and campaign = $2 and n = $3 and state = $7 and exists (select from running)`,
		campaign, n, call, when, desk.NumberCalling, desk.NumberWaiting, desk.CampaignRunning))
	return changed > 0, err
}

// SettleNumber stores the result of a call to a number. State is desk.NumberDone, or desk.NumberWaiting to call it again.
func (d *Desk) SettleNumber(campaign string, n int, state, result string, when time.Time) error {
	_, err := d.exec("settle a number of a campaign", pgstore.Do("update ringhook.campaign_number set state = $4, result = $5, at = $6 where tenant = $1 and campaign = $2 and n = $3",
		campaign, n, state, result, when))
	return err
}

// SettleCalling stores one result for the numbers of all campaigns that are being called: they are done.
func (d *Desk) SettleCalling(result string, when time.Time) error {
	_, err := d.exec("settle the numbers of campaigns", pgstore.Do("update ringhook.campaign_number set state = 'done', result = $2, at = $3 where tenant = $1 and state = 'calling'",
		result, when))
	return err
}

// CampaignCounts returns how many numbers of a campaign are in each state, and of those done how many had each result.
func (d *Desk) CampaignCounts(id string) (states, results map[string]int, err error) {
	states, results = map[string]int{}, map[string]int{}
	err = d.all("count the numbers of a campaign", func(scan func(...any) error) error {
		var state, result string
		var n int
		err := scan(&state, &result, &n)
		states[state] += n
		if state == desk.NumberDone {
			results[result] += n
		}
		return err
	}, "select state, result, count(*) from ringhook.campaign_number where tenant = $1 and campaign = $2 group by state, result", id)
	return states, results, err
}
