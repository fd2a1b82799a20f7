package api

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

// Explainer looks numbers up as calls do, and reports each step.
type Explainer struct {
	settings dialplan.Settings
	numbers  *number.Reader
	lookups  *lookup.Service
}

// NewExplainer returns an Explainer of a configuration.
func NewExplainer(settings dialplan.Settings, numbers *number.Reader, lookups *lookup.Service) *Explainer {
	return &Explainer{settings: settings, numbers: numbers, lookups: lookups}
}

// RequestError is a mistake in a request.
type RequestError struct{ error }

// LookupRequest is a request for a lookup.
type LookupRequest struct {
	Number string            `json:"number"`
	Point  string            `json:"point,omitempty"` // empty for all sources
	Params map[string]string `json:"params,omitempty"`
}

// LookupReport is the result of a lookup. Its durations are in nanoseconds.
type LookupReport struct {
	Number  NumberReport     `json:"number"`
	Point   string           `json:"point,omitempty"`
	Sources []lookup.Report  `json:"sources"`
	Outcome lookup.Outcome   `json:"outcome"`
	Source  string           `json:"source,omitempty"` // that provides the answer
	Cached  bool             `json:"cached,omitempty"` // the answer comes from the cache
	Channel dialplan.Preview `json:"channel"`
	Took    time.Duration    `json:"took"`
}

// Parameters returns the parameters that events of the call would have of the answer.
func (r *LookupReport) Parameters() map[string]string {
	passed := slices.Clone(r.Channel.Parameters)
	for _, v := range r.Channel.Set {
		passed = append(passed, v.Name)
	}
	params := map[string]string{}
	for _, source := range r.Sources {
		for _, v := range source.Vars {
			if name := dialplan.Parameter(v.Name); name != "" && source.Lookup == r.Source && slices.Contains(passed, v.Name) {
				params[name] = v.Value
			}
		}
	}
	return params
}

// NumberReport is how a number was read.
type NumberReport struct {
	Raw        string      `json:"raw"`
	Read       string      `json:"read"`
	Kind       number.Kind `json:"kind"`
	Country    string      `json:"country,omitempty"`
	RegionName string      `json:"region_name,omitempty"`
	RegionTime string      `json:"region_time,omitempty"`
}

// Explain asks the sources now, within the budget of a call, and reports what a call would get.
func (a *Explainer) Explain(ctx context.Context, asked LookupRequest) (*LookupReport, error) {
	if asked.Point != "" {
		if !slices.Contains(dialplan.Points(), asked.Point) {
			return nil, RequestError{fmt.Errorf("unknown point %q: use %s", asked.Point, strings.Join(dialplan.Points(), ", "))}
		}
		if !a.lookups.Wants(asked.Point) {
			return nil, RequestError{fmt.Errorf("no [[lookup]] has the point %s", asked.Point)}
		}
	}
	if asked.Number == "" {
		return nil, RequestError{errors.New("number is missing")}
	}
	start := time.Now()
	number := a.numbers.Normalize(asked.Number)
	report := &LookupReport{Point: asked.Point, Number: NumberReport{
		Raw: number.Raw, Read: number.String(), Kind: number.Kind,
		Country: number.Country, RegionName: number.RegionName, RegionTime: number.RegionTime(start),
	}}
	q := a.settings.Question(asked.Point, asked.Number, asked.Params, a.numbers)
	q.Deadline = start.Add(a.settings.Budget)
	var answer lookup.Answer
	answer, report.Sources = a.lookups.Explain(ctx, q)
	report.Took = time.Since(start)
	report.Outcome, report.Source, report.Cached = answer.Outcome, answer.Source, answer.Cached
	report.Channel = a.settings.Preview(answer)
	return report, nil
}
