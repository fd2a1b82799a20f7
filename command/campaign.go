package command

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"ringhook/control"
)

type campaignCmd struct {
	Start campaignStartCmd `cmd:"" help:"Call a list of numbers."`
	List  campaignListCmd  `cmd:"" help:"List campaigns with their progress."`
	Show  campaignShowCmd  `cmd:"" help:"Show a campaign with the result of each number."`
	Stop  campaignStopCmd  `cmd:"" help:"Stop a campaign: no further number is called."`
}

type campaignStartCmd struct {
	serverFlag
	File     string `arg:"" help:"A file with one number a line, optionally with a comma and its caller ID; - is standard input."`
	To       string `required:"" help:"The extension of [campaign] context where callees who answer go."`
	CallerID string `name:"caller-id" help:"The number that callees see."`
	Timeout  int    `help:"Seconds that a phone rings; by default [campaign] timeout."`
	Parallel int    `help:"Open calls at once; by default [campaign] parallel."`
}

// maxList is the maximum size of a list of numbers, in bytes.
const maxList = 1 << 20

// Run begins the campaign and prints its id.
func (c *campaignStartCmd) Run(s *streams) error {
	text, err := readInput(c.File, maxList)
	if err != nil {
		return err
	}
	type entry struct {
		Number   string `json:"number"`
		CallerID string `json:"caller_id,omitempty"`
	}
	var list []entry
	for line := range strings.Lines(string(text)) {
		number, callerID, _ := strings.Cut(line, ",")
		if number = strings.TrimSpace(number); number != "" {
			list = append(list, entry{number, strings.TrimSpace(callerID)})
		}
	}
	numbers, err := json.Marshal(list)
	if err != nil {
		return err
	}
	var r control.CampaignResult
	request := control.CampaignRequest{Numbers: numbers, To: c.To, CallerID: c.CallerID, Timeout: c.Timeout, Parallel: c.Parallel}
	if err := s.ask(http.MethodPost, apiPath("campaigns"), c.query(), request, &r); err != nil {
		return err
	}
	for _, number := range slices.Sorted(maps.Keys(r.Errors)) {
		fmt.Fprintf(s.out, "%s %s\n", printable(number), printable(r.Errors[number]))
	}
	fmt.Fprintf(s.out, "campaign %s calls %d numbers\n", r.Campaign, r.Count)
	if len(r.Errors) > 0 {
		return errors.New("some numbers are not called, see above")
	}
	return nil
}

type campaignListCmd struct {
	JSON bool `name:"json" help:"Print JSON, as GET /v1/campaigns does."`
}

// Run prints all campaigns, the latest first.
func (c *campaignListCmd) Run(s *streams) error {
	var list struct {
		Campaigns []control.CampaignView `json:"campaigns"`
	}
	if err := s.ask(http.MethodGet, apiPath("campaigns"), nil, nil, &list); err != nil {
		return err
	}
	if c.JSON {
		return printJSON(s.out, list)
	}
	w := tabwriter.NewWriter(s.out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "CAMPAIGN\tBEGAN\tBY\tTO\tSTATE\tWAITING\tCALLING\tDONE\tRESULTS")
	for _, v := range list.Campaigns {
		var results []string
		for _, name := range slices.Sorted(maps.Keys(v.Results)) {
			results = append(results, fmt.Sprintf("%d %s", v.Results[name], printable(name)))
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%d\t%d\t%d\t%s\n", printable(v.ID), v.Created.Local().Format(time.DateTime), printable(v.Who), printable(v.Target),
			v.State, v.Waiting, v.Calling, v.Done, strings.Join(results, ", "))
	}
	return w.Flush()
}

type campaignShowCmd struct {
	Campaign string `arg:"" help:"The campaign, as ringhook campaign list shows it."`
	JSON     bool   `name:"json" help:"Print JSON, as GET /v1/campaigns/CAMPAIGN does."`
}

// Run prints one line for each number.
func (c *campaignShowCmd) Run(s *streams) error {
	var v control.CampaignView
	if err := s.ask(http.MethodGet, apiPath("campaigns", c.Campaign), nil, nil, &v); err != nil {
		return err
	}
	if c.JSON {
		return printJSON(s.out, v)
	}
	w := tabwriter.NewWriter(s.out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "NUMBER\tSTATE\tRESULT\tAT\tCALL")
	for _, n := range v.Numbers {
		at := "-"
		if !n.At.IsZero() {
			at = n.At.Local().Format(time.DateTime)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", printable(n.Number), n.State, printable(n.Result), at, printable(n.Call))
	}
	return w.Flush()
}

type campaignStopCmd struct {
	Campaign string `arg:"" help:"The campaign, as ringhook campaign list shows it."`
}

// Run stops a campaign. Calls in progress continue.
func (c *campaignStopCmd) Run(s *streams) error {
	var v control.CampaignView
	return s.ask(http.MethodDelete, apiPath("campaigns", c.Campaign), nil, nil, &v)
}
