package lookup

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"ringhook/httpclient"
	"ringhook/lookup/answer"
)

// Report is how one source answers a question, for people.
type Report struct {
	Lookup  string        `json:"lookup"`
	Request string        `json:"request,omitempty"` // the last one, without what may be secret in it
	Cache   string        `json:"cache"`             // none, fresh, stale or missing
	Age     time.Duration `json:"age,omitempty"`     // of what the cache holds, in nanoseconds
	Cached  []Var         `json:"cached,omitempty"`  // what the cache holds
	Empty   []string      `json:"empty,omitempty"`   // parameters in the request that the question has no value for
	Took    time.Duration `json:"took"`              // in nanoseconds
	Status  int           `json:"status,omitempty"`  // of HTTP, 0 if there was none
	// Location is where a redirect points. It is not followed.
	Location string      `json:"location,omitempty"`
	Header   [][2]string `json:"header,omitempty"` // of the response, without secrets
	Raw      string      `json:"raw,omitempty"`    // the beginning of the response, in UTF-8
	Vars     []Var       `json:"vars,omitempty"`
	Outcome  Outcome     `json:"outcome"`
	Reason   string      `json:"reason,omitempty"` // of the closed list that the metric has
	Detail   string      `json:"detail,omitempty"` // the error
	Notes    []string    `json:"notes,omitempty"`  // values that were left out, and why
}

// maxRaw is the length of an answer that a report shows, in bytes.
const maxRaw = 2048

// Explain asks every source of a point, or every source if the point is empty, in the
// way that a call does. It asks also if the cache has a fresh answer, and does not
// change the cache. It returns the answer that a call would get now, from the
// cache if that is fresh, and a report of each source, in the order in which they
// count, shadows last. It ends with each source's timeout, the question's deadline, or
// the context.
func (svc *Service) Explain(ctx context.Context, q Question) (Answer, []Report) {
	at := svc.at(q.Point)
	if q.Point == "" {
		at = &pointSources{}
		for _, s := range svc.sources {
			at.add(s)
		}
		at.sort()
	}
	sources := slices.Concat(at.sources, at.shadows)
	reports, queries := make([]Report, len(sources)), make([]sourceQuery, len(sources))
	var all sync.WaitGroup
	for i, src := range sources {
		s := &queries[i]
		s.source = src
		s.prepare(&q)
		all.Go(func() { reports[i] = s.explain(ctx, &q) })
	}
	all.Wait()
	p := &Pending{queries: queries[:len(at.sources)]}
	return p.combine(), reports
}

// explain asks a query's source, and ends the query as a call would.
func (s *sourceQuery) explain(ctx context.Context, q *Question) Report {
	src := s.source
	r := Report{Lookup: src.cfg.Name, Cache: "none"}
	s.done = true
	if s.request == nil {
		s.outcome = Missing
		r.Outcome, r.Reason = Missing, "number"
		r.Detail = "not asked: the number is withheld, an extension or a service, or has too few digits"
		return r
	}
	src.cfg.Parameters(func(_, name string) {
		if q.Param != nil && q.Param(name) == "" && name != "callerid" && !slices.Contains(r.Empty, name) {
			r.Empty = append(r.Empty, name)
		}
	})
	start := time.Now()
	if s.request.key != "" {
		s.cached = src.peek(s.request.key)
		r.describe(src, s.cached)
	}
	s.request.forPeople = true
	res := src.ask(s.request, src.until(ctx, q))
	r.Request, r.Notes = src.hide(res.sent), res.notes
	for i, note := range r.Notes {
		r.Notes[i] = src.hide(note)
	}
	if res.response != nil {
		r.Status, r.Raw = res.response.Status, excerpt(src.hide(res.text))
		r.Location = excerpt(src.hide(httpclient.MaskURL(res.response.Location)))
		for _, h := range res.response.Header {
			value := src.hide(h[1])
			switch {
			case httpclient.SecretName(h[0]):
				value = httpclient.Masked
			case strings.EqualFold(h[0], "Location"):
				value = r.Location
			}
			r.Header = append(r.Header, [2]string{excerpt(h[0]), excerpt(value)})
		}
	}
	r.Took = time.Since(start)
	r.Vars, r.Outcome = src.hideVars(res.vars), res.outcome
	if record := answer.Record(res.vars); record.Value("name") != "" && record.Value("CALLERID(name)") == "" {
		r.Notes = append(r.Notes, "name is a parameter of events; did you mean CALLERID(name), which phones show?")
	}
	if res.fault != nil {
		r.Reason, r.Detail = res.fault.reason, src.hide(res.fault.err.Error())
	}
	switch {
	case s.cached.fresh && s.cached.entry.Missing:
		s.fresh, s.outcome, s.vars = true, Missing, s.cached.vars
	case s.cached.fresh:
		s.fresh, s.outcome, s.vars = true, Found, s.cached.vars
	case s.cached.stale && (res.fault != nil || src.cfg.Renew == renewBehind):
		s.outcome, s.vars = Stale, s.cached.vars
	default:
		s.outcome, s.vars = res.outcome, res.vars
	}
	s.vars = src.hideVars(s.vars)
	return r
}

// hideVars returns variables without the source's secrets in their values.
func (s *source) hideVars(vars []Var) []Var {
	vars = slices.Clone(vars)
	for i := range vars {
		vars[i].Value = s.hide(vars[i].Value)
	}
	return vars
}

// hide replaces the source's secrets in a text for people: an answer or an error may repeat what the request says.
func (s *source) hide(text string) string {
	if b, ok := s.backend.(interface{ hide(string) string }); ok {
		return b.hide(text)
	}
	return text
}

// until returns the time by which a source that is asked now must have answered.
func (s *source) until(ctx context.Context, q *Question) time.Time {
	deadline := time.Now().Add(s.cfg.Timeout)
	if end, ok := ctx.Deadline(); ok && end.Before(deadline) {
		deadline = end
	}
	if !q.Deadline.IsZero() && q.Deadline.Before(deadline) {
		deadline = q.Deadline
	}
	return deadline
}

// describe fills in what the cache holds.
func (r *Report) describe(s *source, c cached) {
	switch {
	case c.fresh && c.entry.Missing:
		r.Cache = "missing"
	case c.fresh:
		r.Cache = "fresh"
	case c.stale:
		r.Cache = "stale"
	default:
		return
	}
	r.Age, r.Cached = s.now().Sub(c.entry.Stored), s.hideVars(c.vars)
}

// excerpt returns the beginning of a text, as a terminal can show it.
func excerpt(text string) string {
	text = text[:min(len(text), maxRaw)]
	return strings.Map(func(r rune) rune {
		if r < ' ' && r != '\n' && r != '\t' || r == 0x7f {
			return utf8.RuneError
		}
		return r
	}, strings.ToValidUTF8(text, string(utf8.RuneError)))
}
