package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"ringhook/dialplan"
	"ringhook/lookup"
	"ringhook/lookup/number"
)

// asker looks numbers up as calls do, for people who want to see how.
type asker struct {
	settings dialplan.Settings
	numbers  *number.Reader
	lookups  *lookup.Service
}

// lookupRequest is what is to be looked up, as the HTTP API takes it.
type lookupRequest struct {
	Number string            `json:"number"`
	Point  string            `json:"point,omitempty"` // all sources there are without one
	Params map[string]string `json:"params,omitempty"`
}

// lookupReport is all that there is to see of a lookup. Its times are in
// nanoseconds.
type lookupReport struct {
	Number  numberReport     `json:"number"`
	Point   string           `json:"point,omitempty"`
	Sources []lookup.Report  `json:"sources"`
	Outcome lookup.Outcome   `json:"outcome"`
	Source  string           `json:"source,omitempty"` // that gave the answer
	Channel dialplan.Preview `json:"channel"`
	Took    time.Duration    `json:"took"`
}

// numberReport tells how a number was read.
type numberReport struct {
	Raw        string      `json:"raw"`
	Read       string      `json:"read"`
	Kind       number.Kind `json:"kind"`
	Country    string      `json:"country,omitempty"`
	RegionName string      `json:"region_name,omitempty"`
	RegionTime string      `json:"region_time,omitempty"`
}

// explain asks now, past the cache and within the budget of a call.
func (a *asker) explain(ctx context.Context, asked lookupRequest) (*lookupReport, error) {
	if asked.Point != "" {
		if !slices.Contains(dialplan.Points(), asked.Point) {
			return nil, usageError{fmt.Errorf("unknown point %q: use %s", asked.Point, strings.Join(dialplan.Points(), ", "))}
		}
		if !a.lookups.Wants(asked.Point) {
			return nil, usageError{fmt.Errorf("no [[lookup]] has the point %s", asked.Point)}
		}
	}
	if asked.Number == "" {
		return nil, usageError{errors.New("number is missing")}
	}
	start := time.Now()
	number := a.numbers.Normalize(asked.Number)
	report := &lookupReport{Point: asked.Point, Number: numberReport{
		Raw: number.Raw, Read: number.String(), Kind: number.Kind,
		Country: number.Country, RegionName: number.RegionName, RegionTime: number.RegionTime(start),
	}}
	q := a.settings.Question(asked.Point, asked.Number, asked.Params, a.numbers)
	q.Deadline = start.Add(a.settings.Budget)
	var answer lookup.Answer
	answer, report.Sources = a.lookups.Explain(ctx, q)
	report.Took = time.Since(start)
	report.Outcome, report.Source = answer.Outcome, answer.Source
	report.Channel = a.settings.Preview(answer)
	return report, nil
}
