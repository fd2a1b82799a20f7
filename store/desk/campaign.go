package desk

import (
	"database/sql"
	"time"

	"ringhook/store/sqlite"
)

// The states of a campaign, and of its numbers. A number that is being called when ringhook ends
// is not called again: whether the phone rang is not known.
const (
	CampaignRunning = "running"
	CampaignStopped = "stopped"
	CampaignDone    = "done"

	NumberWaiting = "waiting"
	NumberCalling = "calling"
	NumberDone    = "done"
)

// Campaign is a list of numbers that are called one after the other.
type Campaign struct {
	ID       string    `json:"campaign"`
	Who      string    `json:"who"`
	Server   string    `json:"server"`
	Created  time.Time `json:"created"`
	Ended    time.Time `json:"ended,omitzero"`
	State    string    `json:"state"`
	Target   string    `json:"to"` // the extension to which callees who answer go
	Settings string    `json:"-"`  // as JSON
}

// CampaignNumber is one number of a campaign.
type CampaignNumber struct {
	N      int       `json:"n"` // its place in the list, from 0
	Number string    `json:"number"`
	Detail string    `json:"-"` // as JSON
	State  string    `json:"state"`
	Tries  int       `json:"tries"`
	Result string    `json:"result,omitempty"`
	Call   string    `json:"linkedid,omitempty"` // of the last attempt
	At     time.Time `json:"at,omitzero"`        // of the last change
}

// AddCampaign stores a campaign that runs, with its numbers, which wait.
func (d *Desk) AddCampaign(c Campaign, numbers []CampaignNumber) error {
	return d.write("add a campaign", func(conn *sqlite.Conn) error {
		_, err := conn.Exec("insert into campaign (id, who, server, created_ms, state, target, settings) values (?, ?, ?, ?, ?, ?, ?)",
			c.ID, c.Who, c.Server, c.Created.UnixMilli(), CampaignRunning, c.Target, c.Settings)
		for i, n := range numbers {
			if err != nil {
				return err
			}
			_, err = conn.Exec("insert into campaign_number (campaign, n, number, detail, state, tries, result, call) values (?, ?, ?, ?, ?, 0, '', '')",
				c.ID, i, n.Number, n.Detail, NumberWaiting)
		}
		return err
	})
}

const campaigns = "select id, who, server, created_ms, ended_ms, state, target, settings from campaign"

// Campaigns returns all campaigns, the latest first.
func (d *Desk) Campaigns() ([]Campaign, error) {
	return d.campaigns(campaigns + " order by created_ms desc, id")
}

// Campaign returns one campaign; found is false if there is none of this id.
func (d *Desk) Campaign(id string) (c Campaign, found bool, err error) {
	list, err := d.campaigns(campaigns+" where id = ?", id)
	if len(list) == 0 {
		return c, false, err
	}
	return list[0], true, err
}

func (d *Desk) campaigns(query string, args ...any) (list []Campaign, err error) {
	err = d.all("list campaigns", query, args, func(scan func(...any) error) error {
		var c Campaign
		var created int64
		var ended sql.NullInt64
		err := scan(&c.ID, &c.Who, &c.Server, &created, &ended, &c.State, &c.Target, &c.Settings)
		c.Created, c.Ended = time.UnixMilli(created), at(ended)
		list = append(list, c)
		return err
	})
	return list, err
}

// EndCampaign stores that a running campaign was stopped or is done, and reports whether it ran.
func (d *Desk) EndCampaign(id, state string, when time.Time) (ended bool, err error) {
	n, err := d.exec("end a campaign", "update campaign set state = ?2, ended_ms = ?3 where id = ?1 and state = ?4", id, state, when.UnixMilli(), CampaignRunning)
	return n > 0, err
}

const campaignNumbers = "select n, number, detail, state, tries, result, call, at_ms from campaign_number where campaign = ?"

// CampaignNumbers returns the numbers of a campaign in their order.
func (d *Desk) CampaignNumbers(id string) ([]CampaignNumber, error) {
	return d.numbers(campaignNumbers+" order by n", id)
}

// WaitingNumbers returns the next numbers of a campaign to call.
func (d *Desk) WaitingNumbers(id string, limit int) ([]CampaignNumber, error) {
	return d.numbers(campaignNumbers+" and state = 'waiting' order by n limit ?", id, limit)
}

func (d *Desk) numbers(query string, args ...any) (list []CampaignNumber, err error) {
	err = d.all("list the numbers of a campaign", query, args, func(scan func(...any) error) error {
		var n CampaignNumber
		var changed sql.NullInt64
		err := scan(&n.N, &n.Number, &n.Detail, &n.State, &n.Tries, &n.Result, &n.Call, &changed)
		n.At = at(changed)
		list = append(list, n)
		return err
	})
	return list, err
}

// ClaimNumber stores that a number is about to be called, as the call of a linkedid. It reports false if
// the number does not wait, or its campaign has ended: then it must not be called.
func (d *Desk) ClaimNumber(campaign string, n int, call string, when time.Time) (claimed bool, err error) {
	changed, err := d.exec("claim a number of a campaign", `update campaign_number set state = ?5, tries = tries + 1, call = ?3, at_ms = ?4
		where campaign = ?1 and n = ?2 and state = ?6 and exists (select 1 from campaign where id = ?1 and state = ?7)`,
		campaign, n, call, when.UnixMilli(), NumberCalling, NumberWaiting, CampaignRunning)
	return changed > 0, err
}

// SettleNumber stores the result of a call to a number. State is NumberDone, or NumberWaiting to call it again.
func (d *Desk) SettleNumber(campaign string, n int, state, result string, when time.Time) error {
	_, err := d.exec("settle a number of a campaign", "update campaign_number set state = ?3, result = ?4, at_ms = ?5 where campaign = ?1 and n = ?2",
		campaign, n, state, result, when.UnixMilli())
	return err
}

// SettleCalling stores one result for the numbers of all campaigns that are being called: they are done.
func (d *Desk) SettleCalling(result string, when time.Time) error {
	_, err := d.exec("settle the numbers of campaigns", "update campaign_number set state = ?1, result = ?2, at_ms = ?3 where state = ?4",
		NumberDone, result, when.UnixMilli(), NumberCalling)
	return err
}

// CampaignCounts returns how many numbers of a campaign are in each state, and of those done how many
// had each result.
func (d *Desk) CampaignCounts(id string) (states, results map[string]int, err error) {
	states, results = map[string]int{}, map[string]int{}
	err = d.all("count the numbers of a campaign", "select state, result, count(*) from campaign_number where campaign = ? group by state, result", []any{id},
		func(scan func(...any) error) error {
			var state, result string
			var n int
			err := scan(&state, &result, &n)
			states[state] += n
			if state == NumberDone {
				results[result] += n
			}
			return err
		})
	return states, results, err
}
