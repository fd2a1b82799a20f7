package api

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/valyala/fasthttp"

	"ringhook/hooks"
	"ringhook/recordings"
	"ringhook/store/browse"
)

// maxListed is the maximum number of deliveries that one request lists or names.
const maxListed = 1000

// DeliveryReport is a delivery in a response.
type DeliveryReport struct {
	ID       int64      `json:"id"`
	Hook     string     `json:"hook"`
	State    string     `json:"state"`
	Event    string     `json:"event"`
	EventID  string     `json:"event_id"`
	LinkedID string     `json:"linkedid"`
	Seq      int        `json:"seq"`
	Accepted time.Time  `json:"accepted"`
	Attempts int        `json:"attempts"`
	Class    string     `json:"class,omitempty"`  // of the last attempt
	Status   int        `json:"status,omitempty"` // of HTTP, of the last attempt
	Next     *time.Time `json:"next,omitempty"`   // of the next attempt
	Held     bool       `json:"held,omitempty"`   // waits for an earlier one
	Finished *time.Time `json:"finished,omitempty"`
	ReplayOf int64      `json:"replay_of,omitempty"`
}

// DeliveryDetails are everything about one delivery.
type DeliveryDetails struct {
	DeliveryReport
	Params  map[string]any  `json:"params,omitempty"`  // of its event
	Request *hooks.Preview  `json:"request,omitempty"` // as it would be sent now, without secrets
	Made    []AttemptReport `json:"attempts_made"`
	// Remembered are the values that answers left for the hook's deliveries of the call.
	Remembered map[string]string `json:"remembered,omitempty"`
}

// AttemptReport is one attempt in a response.
type AttemptReport struct {
	Started time.Time `json:"started"`
	TookMS  int64     `json:"took_ms"`
	Class   string    `json:"class"`
	Status  int       `json:"status,omitempty"`
	Answer  string    `json:"answer,omitempty"` // its beginning, or the error
}

func reportDelivery(d *browse.Item) DeliveryReport {
	some := func(t time.Time) *time.Time {
		if t.IsZero() {
			return nil
		}
		return &t
	}
	return DeliveryReport{
		ID: d.ID, Hook: d.Hook, State: d.State.String(), Event: d.Event.Name, EventID: d.Event.ID, LinkedID: d.Event.LinkedID,
		Seq: d.Event.Seq, Accepted: d.Accepted, Attempts: d.Attempts, Class: d.Class, Status: d.Status, Next: some(d.Next), Held: d.Held,
		Finished: some(d.Finished), ReplayOf: d.ReplayOf,
	}
}

// ReportDetails returns a delivery with its attempts, without its request. Links hides the secrets of links to recordings.
func ReportDetails(d *browse.Item, attempts []hooks.Attempt, links *recordings.Shown) *DeliveryDetails {
	details := &DeliveryDetails{DeliveryReport: reportDelivery(d), Params: links.Params(d.Event.Params), Made: []AttemptReport{}, Remembered: d.Remembered}
	for _, a := range attempts {
		details.Made = append(details.Made, AttemptReport{a.Started, a.Took.Milliseconds(), a.Class, a.Status, a.Excerpt})
	}
	return details
}

// showDelivery returns one delivery, its attempts and its request.
func (a *API) showDelivery(_ context.Context, now *settings, r *request) (any, error) {
	id, err := strconv.ParseInt(r.parts["id"], 10, 64)
	if err != nil {
		return nil, &refusal{status: fasthttp.StatusNotFound, text: "not the number of a delivery"}
	}
	d, attempts, err := a.stored.Show(id)
	if errors.Is(err, browse.ErrNotFound) {
		return nil, &refusal{status: fasthttp.StatusNotFound, text: fmt.Sprintf("there is no delivery %d", id)}
	}
	if err != nil {
		return nil, err
	}
	details := ReportDetails(&d, attempts, now.links)
	if p, err := now.hooks.Render(&d.Event, d.Hook); err == nil {
		details.Request = &p
	}
	return details, nil
}

// listOutbox lists deliveries.
func (a *API) listOutbox(_ context.Context, now *settings, r *request) (any, error) {
	var asked outboxQuery
	var err error
	for name, value := range r.query.All() {
		switch text := string(value); string(name) {
		case "hook":
			asked.Hook = text
		case "call":
			asked.Call = text
		case "state":
			asked.State = text
		case "since":
			asked.Since = text
		case "until":
			asked.Until = text
		case "limit":
			asked.Limit, err = strconv.Atoi(text)
		default:
			err = fmt.Errorf("unknown parameter %s", name)
		}
		if err != nil {
			return nil, &refusal{status: fasthttp.StatusBadRequest, text: err.Error()}
		}
	}
	filter, err := asked.filter()
	if err == nil {
		err = KnownHook(a.stored, now.hooks.Names(), asked.Hook)
	}
	if err != nil {
		return nil, err
	}
	list, err := a.stored.List(filter)
	if err != nil {
		return nil, err
	}
	reports := make([]DeliveryReport, len(list))
	for i := range list {
		reports[i] = reportDelivery(&list[i])
	}
	return map[string]any{"deliveries": reports}, nil
}

// outboxQuery selects deliveries: by number, or by all other fields that are set.
type outboxQuery struct {
	IDs   []int64 `json:"ids"`
	Hook  string  `json:"hook"`
	Call  string  `json:"call"`
	State string  `json:"state"`
	Since string  `json:"since"` // a Moment
	Until string  `json:"until"`
	Limit int     `json:"limit"`
}

func (q *outboxQuery) filter() (browse.Filter, error) {
	wrong := func(format string, args ...any) (browse.Filter, error) {
		return browse.Filter{}, &refusal{status: fasthttp.StatusBadRequest, text: fmt.Sprintf(format, args...)}
	}
	filter := browse.Filter{Hook: q.Hook, Call: q.Call, Limit: q.Limit}
	var since, until Moment
	if q.Limit < 0 || q.Limit > maxListed {
		return wrong("limit is out of range: 1 to %d", maxListed)
	}
	for _, m := range []struct {
		text string
		at   *Moment
	}{{q.Since, &since}, {q.Until, &until}} {
		if m.text == "" {
			continue
		}
		if err := m.at.UnmarshalText([]byte(m.text)); err != nil {
			return wrong("%v", err)
		}
	}
	filter.Since, filter.Until = since.Time, until.EndOf(since.Time)
	if state, ok := hooks.StateNamed(q.State); ok {
		filter.States = []hooks.State{state}
	} else if q.State != "" && q.State != "all" {
		return wrong("unknown state %q: use pending, dead, delivered, dropped or all", q.State)
	}
	return filter, nil
}

// retry makes deliveries due now.
func (a *API) retry(ctx context.Context, now *settings, r *request) (any, error) {
	return a.change(ctx, now, r, a.stored.Retry)
}

// drop drops deliveries.
func (a *API) drop(ctx context.Context, now *settings, r *request) (any, error) {
	return a.change(ctx, now, r, a.stored.Drop)
}

// change changes the deliveries that a request selects.
func (a *API) change(ctx context.Context, now *settings, r *request, change func(context.Context, ...int64) (int, error)) (any, error) {
	var asked outboxQuery
	if err := decode(r.body, &asked); err != nil {
		return nil, err
	}
	if len(asked.IDs) == 0 && asked.Hook == "" && asked.Call == "" && asked.Since == "" {
		return nil, &refusal{status: fasthttp.StatusBadRequest, text: "give ids, or hook, call or since"}
	}
	if len(asked.IDs) > maxListed {
		return nil, &refusal{status: fasthttp.StatusBadRequest, text: fmt.Sprintf("at most %d ids at once", maxListed)}
	}
	ids := asked.IDs
	if len(ids) == 0 {
		filter, err := asked.filter()
		if err == nil {
			err = KnownHook(a.stored, now.hooks.Names(), asked.Hook)
		}
		if err != nil {
			return nil, err
		}
		if ids, err = a.stored.Changeable(filter); err != nil {
			return nil, err
		}
	}
	n, err := change(ctx, ids...)
	now.hooks.WakeAll()
	return map[string]int{"changed": n}, err
}

// replayRequest selects the events of a time span.
type replayRequest struct {
	Hook   string `json:"hook"`
	From   string `json:"from"`
	Since  string `json:"since"`
	Until  string `json:"until"`
	NewID  bool   `json:"new_id"`
	DryRun bool   `json:"dry_run"`
}

// replay sends the events of a time span again.
func (a *API) replay(ctx context.Context, now *settings, in *request) (any, error) {
	var asked replayRequest
	if err := decode(in.body, &asked); err != nil {
		return nil, err
	}
	since, ok := ParseMoment(asked.Since, time.Now())
	until, ended := Moment{Time: time.Now()}, true
	if asked.Until != "" {
		until, ended = ParseMoment(asked.Until, time.Now())
	}
	if asked.Hook == "" || !ok || !ended {
		return nil, &refusal{status: fasthttp.StatusBadRequest, text: "give hook and since, and until if it is not now, as on the command line"}
	}
	if asked.NewID && asked.From != "" {
		return nil, &refusal{status: fasthttp.StatusBadRequest, text: "new_id is for the hook's own events, from for those of another hook"}
	}
	for _, name := range []string{asked.Hook, asked.From} {
		if err := KnownHook(a.stored, now.hooks.Names(), name); err != nil {
			return nil, err
		}
	}
	r := browse.Replay{Hook: asked.Hook, From: asked.From, Since: since.Time, Until: until.EndOf(since.Time), NewID: asked.NewID}
	if asked.From != "" {
		if r.Wants, ok = now.hooks.Subscription(asked.Hook); !ok {
			return nil, &refusal{status: fasthttp.StatusBadRequest, text: fmt.Sprintf("there is no hook %q", asked.Hook)}
		}
	}
	if asked.DryRun {
		n, err := a.stored.Replayable(r)
		return map[string]any{"replayable": n, "seconds": int(browse.ReplayTime(n).Seconds())}, err
	}
	n, err := a.stored.Replay(ctx, r)
	now.hooks.WakeAll()
	return map[string]any{"replayed": n, "seconds": int(browse.ReplayTime(n).Seconds())}, err
}
